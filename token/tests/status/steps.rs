//! Compressed data, good and bad, in steps that are short.

use std::sync::atomic::Ordering::Relaxed;

use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::json;
use token::base64url::encode;
use token::status::{INFLATE_INPUT, INFLATE_OUTPUT, MAX_INFLATED, StatusList, StatusListError};

use crate::{NOW, URI, header, open, signed, zeros};

fn with_lst(deflated: &[u8]) -> StatusList {
    let list = json!({"bits": 8, "lst": encode(deflated)});
    let claims = json!({"sub": URI, "iat": NOW, "status_list": list});
    open(&signed(&header(), &claims.to_string())).unwrap()
}

/// Decompresses all of it; the number of steps.
fn steps(deflated: &[u8]) -> Result<usize, StatusListError> {
    let mut list = with_lst(deflated);
    let mut count = 1;
    loop {
        match list.inflate() {
            Ok(true) => count += 1,
            Ok(false) => {
                assert_eq!(list.inflate(), Ok(false), "it has ended");
                return Ok(count);
            }
            Err(error) => {
                assert_eq!(list.inflate(), Err(error.clone()), "it has failed");
                assert_eq!((list.words(), list.entries()), (0, None));
                assert!(!list.write(&crate::words(100)));
                return Err(error);
            }
        }
    }
}

#[test]
fn data_that_is_wrong_is_refused() {
    let good = compress_to_vec_zlib(b"some statuses, some statuses", 9);
    assert_eq!(steps(&good), Ok(1));
    for len in 0..good.len() {
        assert_eq!(steps(&good[..len]), Err(StatusListError::Truncated), "{len}");
    }
    for more in [&b"\0"[..], b"abc", &good] {
        let trailing = [&good, more].concat();
        assert_eq!(steps(&trailing), Err(StatusListError::Trailing(more.len())));
    }
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(steps(&changed), Err(StatusListError::Checksum));
    // A reference to before the beginning (fixed codes, length 3, distance 1), with a checksum that fits
    // three zeros.
    let before = [0x78, 0x9c, 0x03, 0x02, 0x00, 0x00, 0x03, 0x00, 0x01];
    assert_eq!(steps(&before), Err(StatusListError::NoZlib));
    // gzip, DEFLATE without ZLIB's frame, a dictionary, a method that is none, a block that is none.
    let raw = &good[2..good.len() - 4];
    for bad in [
        b"\x1f\x8b\x08\0\0\0\0\0\0\0",
        raw,
        b"\x78\xbb\0\0\0\0",
        b"\x79\x9d\x03\0",
        b"\x78\x9c\x07\0\0\0\0\0",
    ] {
        assert_eq!(steps(bad), Err(StatusListError::NoZlib), "{bad:?}");
    }
    let of = |deflated: &[u8]| {
        let mut list = with_lst(deflated);
        while list.inflate()? {}
        let memory = crate::written(&mut list);
        Ok::<_, StatusListError>(memory.iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>())
    };
    let whole = of(&good).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[at] ^= 1 << bit;
            // Some bits mean nothing; no change leads to other data.
            assert!(
                of(&changed).is_ok_and(|it| it == whole) || of(&changed).is_err(),
                "{at} {bit}"
            );
        }
    }
}

#[test]
fn data_of_every_size_is_whole() {
    let sizes = [0, 1, INFLATE_OUTPUT - 1, INFLATE_OUTPUT, INFLATE_OUTPUT + 1, 3 * INFLATE_OUTPUT];
    for size in sizes.into_iter().chain([MAX_INFLATED - 1, MAX_INFLATED]) {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let mut list = with_lst(&compress_to_vec_zlib(&bytes, 1));
        while list.inflate().unwrap() {}
        assert_eq!(list.entries(), Some(size as u64));
        let memory = crate::written(&mut list);
        let table = token::status::StatusTable::read(&memory).unwrap();
        for at in [0, 1, size / 2, size.saturating_sub(1)] {
            let want = bytes.get(at).copied();
            assert_eq!(table.status_at(at as u64), want, "{at} of {size}");
        }
        assert_eq!(table.status_at(size as u64), None);
    }
}

#[test]
fn a_step_has_a_limit_in_both_directions() {
    // Data that does not compress: the input limits a step.
    let mut random = 1_u64;
    let noise: Vec<u8> = (0..4 * INFLATE_OUTPUT)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        })
        .collect();
    let deflated = compress_to_vec_zlib(&noise, 6);
    let count = steps(&deflated).unwrap();
    assert!(count >= deflated.len() / INFLATE_INPUT, "{count} steps");
    // Zeros: the output does.
    let zeros = compress_to_vec_zlib(&vec![0; 4 * INFLATE_OUTPUT], 6);
    assert!((4..=5).contains(&steps(&zeros).unwrap()));
    // Empty blocks that are stored: nothing but input.
    let mut empty = vec![0x78, 0x9c];
    let blocks = 40 * INFLATE_INPUT / 5;
    empty.extend([0, 0, 0, 0xff, 0xff].repeat(blocks));
    empty.extend([1, 0, 0, 0xff, 0xff, 0, 0, 0, 1]);
    assert_eq!(steps(&empty), Ok(41));
}

#[test]
fn a_bomb_is_refused_at_the_limit_and_not_later() {
    let good = zeros::mebibytes(16);
    assert!(steps(&good).is_ok());
    // It is its size that is refused.
    let bomb = zeros::mebibytes(1024);
    assert!(bomb.len() < 2 * 1024 * 1024);
    let too_large = Err(StatusListError::TooLarge(MAX_INFLATED));
    assert_eq!(steps(&bomb), too_large);
    assert_eq!(steps(&compress_to_vec_zlib(&vec![0; MAX_INFLATED + 1], 9)), too_large);
    let said = StatusListError::TooLarge(MAX_INFLATED).to_string();
    assert_eq!(said, "lst inflates to more than 16777216 bytes");
    let mut list = with_lst(&bomb);
    let before = std::iter::from_fn(|| list.inflate().is_ok().then_some(())).count();
    assert!(before <= MAX_INFLATED / INFLATE_OUTPUT + 1, "{before} steps");
}
