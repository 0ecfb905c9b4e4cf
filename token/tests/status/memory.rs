//! Tables in memory that may hold anything.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;
use token::status::StatusTable;

use crate::{claims, header, inflated, open, property, signed, words, written};

#[test]
fn what_is_written_is_read_with_all_bits() {
    let strategy =
        (0..4_u32, prop::collection::vec(any::<u8>(), 0..3000), any::<i64>(), 1..i64::MAX);
    property::check(64, strategy, |(log, bytes, exp, ttl)| {
        let bits = 1 << log;
        let mut claims = claims(bits, &bytes);
        claims["ttl"] = ttl.into();
        let exp = exp.max(crate::NOW + 1);
        claims["exp"] = exp.into();
        let mut list = inflated(&signed(&header(), &claims.to_string())).unwrap();
        let memory = written(&mut list);
        let table = StatusTable::read(&memory).unwrap();
        let per_byte = 8 / bits;
        assert_eq!(table.entries(), bytes.len() as u64 * per_byte);
        // An exp of all ones in 63 bits is as good as none.
        assert_eq!(table.expires(), Some(exp).filter(|exp| *exp != i64::MAX));
        assert_eq!(table.ttl(), Some(ttl));
        for index in 0..table.entries() {
            let byte = bytes[usize::try_from(index / per_byte).unwrap()];
            let mask = u8::try_from((1_u32 << bits) - 1).unwrap();
            let want = byte >> (index % per_byte * bits) & mask;
            assert_eq!(table.status_at(index), Some(want), "{index} of {bits} bits");
        }
        assert_eq!(table.status_at(table.entries()), None);
    });
}

#[test]
fn the_table_of_an_empty_list_has_no_entry() {
    let mut list = inflated(&signed(&header(), &claims(1, b"").to_string())).unwrap();
    let memory = written(&mut list);
    assert_eq!(memory.len(), 8);
    let table = StatusTable::read(&memory).unwrap();
    assert_eq!((table.entries(), table.status_at(0)), (0, None));
    assert_eq!((table.expires(), table.ttl()), (None, None));
}

#[test]
fn only_a_complete_table_is_one() {
    let bytes = vec![0xff; 300 * 1024];
    let token = signed(&header(), &claims(1, &bytes).to_string());
    let mut list = inflated(&token).unwrap();
    let memory = written(&mut list);
    assert!(StatusTable::read(&memory).is_some());
    // Too few words: nothing is there, not even the old table.
    assert!(!list.write(&memory[..memory.len() - 1]));
    assert!(StatusTable::read(&memory).is_none());
    assert!(!list.write(&[]));
    // It can be written again, and to more words than it needs.
    while list.write(&memory) {}
    assert!(StatusTable::read(&memory).is_some());
    let more = words(memory.len() + 9);
    while list.write(&more) {}
    assert_eq!(StatusTable::read(&more).unwrap().entries(), 8 * 300 * 1024);
    // Fewer words than the head promises.
    for len in [0, 1, 7, 8, memory.len() - 1] {
        assert!(StatusTable::read(&memory[..len]).is_none(), "{len}");
    }
    // A list that is not decompressed makes no table either.
    let mut early = open(&token).unwrap();
    assert!(!early.write(&memory));
    assert!(StatusTable::read(&memory).is_none());
}

#[test]
fn memory_that_holds_anything_never_fails() {
    let strategy = (
        prop::collection::vec(any::<u64>(), 0..40),
        any::<u64>(),
        prop::collection::vec((0..8_usize, any::<u64>()), 0..3),
    );
    let mut list = inflated(&signed(&header(), &claims(4, &[7; 100]).to_string())).unwrap();
    let good = written(&mut list);
    property::check(512, strategy, |(garbage, index, changes)| {
        let garbage: Vec<_> = garbage.into_iter().map(AtomicU64::new).collect();
        assert!(StatusTable::read(&garbage).is_none());
        // A good head with other words in it is none; one with changed statuses is read within bounds.
        let memory: Vec<_> = good.iter().map(|word| AtomicU64::new(word.load(Relaxed))).collect();
        for (at, value) in &changes {
            memory[*at].store(*value, Relaxed);
        }
        let same =
            changes.iter().all(|(at, _)| memory[*at].load(Relaxed) == good[*at].load(Relaxed));
        assert_eq!(StatusTable::read(&memory).is_some(), same);
        for word in &memory[8..] {
            word.store(index, Relaxed);
        }
        if let Some(table) = StatusTable::read(&memory) {
            assert!(table.status_at(index % 200).is_some_and(|it| it < 16));
            assert_eq!(table.status_at(index.max(200)), None);
        }
    });
}

#[test]
fn a_table_that_is_replaced_while_it_is_read_stays_within_bounds() {
    let mut large = inflated(&signed(&header(), &claims(8, &[9; 1000]).to_string())).unwrap();
    let mut small = inflated(&signed(&header(), &claims(1, &[0; 1]).to_string())).unwrap();
    let memory = written(&mut large);
    let table = StatusTable::read(&memory).unwrap();
    while small.write(&memory) {}
    // The view has what the head said when it was read.
    assert_eq!(table.entries(), 1000);
    assert_eq!(table.status_at(0), Some(0));
    assert_eq!(table.status_at(999), Some(9));
}
