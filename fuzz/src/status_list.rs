//! The target `status_list`: what tokens say of their status, lists, compressed data, and tables.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde_json::{Value, json};
use sha2::Sha256;
use token::json::Document;
use token::status::{
    INFLATE_INPUT, INFLATE_OUTPUT, MAX_INFLATED, StatusList, StatusRef, StatusTable,
};
use token::{AlgorithmSet, Key, KeySet, LiveInputs, Policy};

use crate::{NOW, SECRET, parts};

const URI: &str = "https://a.example/1";

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let key = Key::hmac(SECRET, AlgorithmSet::ALL).expect("a key");
    Policy { keys: vec![KeySet::new(vec![key]).into()], leeway: 10, ..Policy::default() }
});

/// The first byte says what the rest is: a token, header and claims of one (signed here, so that they are
/// reached), compressed data of a list, claims with a status, or words of memory.
pub fn status_list(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else { return };
    match kind {
        b't' => assert!(open(input).is_err()),
        b'h' => {
            let [header, payload] = parts(input);
            drop(open(signed(header, payload).as_bytes()).map(|list| judged(list, payload)));
        }
        b'l' => {
            let Some((bits, deflated)) = input.split_first() else { return };
            list_of(*bits, deflated);
        }
        b'r' => reference(input),
        _ => {
            let [words, index] = parts(input);
            let bytes = words.chunks_exact(8).map(|it| it.try_into().expect("8 bytes"));
            let words: Vec<_> = bytes.map(|it| AtomicU64::new(u64::from_le_bytes(it))).collect();
            let index = index.first_chunk().map_or(0, |it| u64::from_le_bytes(*it));
            if let Some(table) = StatusTable::read(&words) {
                looked_up(&table, index);
            }
        }
    }
}

fn signed(header: &[u8], payload: &[u8]) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key").chain_update(&text);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn open(token: &[u8]) -> Result<StatusList, String> {
    let opened = StatusList::open(token, URI, &POLICY, None, &LiveInputs::default(), NOW);
    opened.map_err(|error| {
        let line = error.to_string();
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        assert!(line.len() < 900, "{line:?}");
        line
    })
}

/// A list that was opened: its claims are what they must be, computed again in a naive way.
fn judged(list: StatusList, payload: &[u8]) {
    let claims: Value = serde_json::from_slice(payload).expect("JSON");
    assert_eq!(claims["sub"], URI);
    assert!(claims["iat"].as_f64().expect("a number") <= (NOW + 10) as f64);
    assert!(claims.get("exp").is_none_or(|it| it.as_f64().expect("a number") >= (NOW - 10) as f64));
    assert!(claims.get("ttl").is_none_or(|it| it.as_f64().expect("a number") >= 0.0));
    assert!(list.ttl().is_none_or(|ttl| ttl > 0));
    let bits = claims["status_list"]["bits"].as_f64().expect("a number");
    let lst = claims["status_list"]["lst"].as_str().expect("a string");
    let deflated = URL_SAFE_NO_PAD.decode(lst).expect("base64url");
    inflated(list, bits as u64, &deflated);
}

/// A good list of this compressed data.
fn list_of(bits: u8, deflated: &[u8]) {
    let bits = 1_u64 << (bits % 4);
    let lst = URL_SAFE_NO_PAD.encode(deflated);
    let claims = json!({"sub": URI, "iat": NOW, "status_list": {"bits": bits, "lst": lst}});
    let header = br#"{"alg":"HS256","typ":"statuslist+jwt"}"#;
    let list = open(signed(header, claims.to_string().as_bytes()).as_bytes());
    inflated(list.expect("a good list"), bits, deflated);
}

/// The steps must give what the whole does at once.
fn inflated(mut list: StatusList, bits: u64, deflated: &[u8]) {
    let most = deflated.len() / INFLATE_INPUT + MAX_INFLATED / INFLATE_OUTPUT + 2;
    let mut steps = 0;
    let result = loop {
        steps += 1;
        match list.inflate() {
            Ok(true) => assert!(steps < most, "{steps} steps"),
            Ok(false) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
    };
    let whole = decompress_to_vec_zlib_with_limit(deflated, MAX_INFLATED);
    if let Err(why) = result {
        assert!(list.words() == 0 && list.entries().is_none());
        // At once, bytes after the data are ignored.
        return assert!(whole.is_err() || why.ends_with("after its ZLIB data"), "{why}");
    }
    let whole = whole.expect("what is good in steps is good at once");
    let memory: Vec<_> = (0..list.words()).map(|_| AtomicU64::new(u64::MAX)).collect();
    while list.write(&memory) {}
    let table = StatusTable::read(&memory).expect("a table");
    assert_eq!(table.entries(), whole.len() as u64 * 8 / bits);
    for (at, byte) in whole.iter().enumerate().take(1000) {
        for one in 0..8 / bits {
            let want = u64::from(*byte) >> (one * bits) & ((1 << bits) - 1);
            assert_eq!(table.status_at(at as u64 * 8 / bits + one), u8::try_from(want).ok());
        }
    }
    looked_up(&table, table.entries());
}

fn looked_up(table: &StatusTable<'_>, index: u64) {
    let entries = table.entries();
    assert_eq!(table.status_at(index).is_some(), index < entries);
    assert_eq!(table.status_at(entries), None);
    assert_eq!(table.status_at(u64::MAX), None);
    assert!(entries == 0 || table.status_at(entries - 1).is_some());
}

/// The input is the claims of a token.
fn reference(claims: &[u8]) {
    let Ok(document) = Document::parse(claims.to_vec()) else { return };
    let claims: Value = serde_json::from_slice(claims).expect("JSON");
    let list = &claims["status"]["status_list"];
    match StatusRef::of_claims(&document) {
        Ok(None) => assert!(list.is_null()),
        Ok(Some(StatusRef { uri, index })) => {
            assert_eq!(list["uri"], uri);
            assert!(!uri.is_empty() && uri.bytes().all(|byte| (b'!'..=b'~').contains(&byte)));
            let number = list["idx"].as_f64().expect("a number");
            // Large integers are rounded there.
            assert!(list["idx"].as_u64() == Some(index) || number == index as f64);
        }
        Err(refusal) => {
            let line = refusal.to_string();
            assert!(line.starts_with("bad_status: status"), "{line}");
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        }
    }
}
