//! Memory that held a private key is wiped before it is given back, whether the key is used or refused.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::path::Path;

use serde_json::Value;
use token::sign::{KeyFile, KeySize, Members, PrivateKey, SigningKey, Wanted};
use token::{Algorithm, base64url};

thread_local! {
    /// Whether freed memory is searched.
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    /// Parts of the secret, in each form that it has.
    static NEEDLES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

struct Searching;

// SAFETY: every call goes on to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Searching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that all of it can be read when it is given back.
        // SAFETY: by the contract of this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory is valid until it is given back, and was written when it was allocated.
        let freed = unsafe { std::slice::from_raw_parts(memory, layout.size()) };
        search(freed);
        // SAFETY: by the contract of this function.
        unsafe { System.dealloc(memory, layout) }
    }
    // What grows is allocated anew and copied, by the default of the trait.
}

#[global_allocator]
static SEARCHING: Searching = Searching;

fn search(freed: &[u8]) {
    if !WATCHING.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    NEEDLES.with_borrow(|needles| {
        let has = |needle: &Vec<u8>| freed.windows(needle.len()).any(|part| part == *needle);
        if needles.iter().any(has) {
            LEFT.set(LEFT.get() + 1);
        }
    });
}

/// How many blocks of memory with a part of the secret are given back while `what` runs.
fn left<T>(needles: Vec<Vec<u8>>, what: impl FnOnce() -> T) -> usize {
    NEEDLES.set(needles);
    LEFT.set(0);
    WATCHING.set(true);
    drop(what());
    WATCHING.set(false);
    NEEDLES.take();
    LEFT.get()
}

/// The beginning, the middle and the end of a secret.
fn parts(secret: &[u8]) -> Vec<Vec<u8>> {
    let len = secret.len();
    [0, len / 2 - 6, len - 12].map(|at| secret[at..at + 12].to_vec()).into()
}

fn members(key: &PrivateKey) -> (String, Vec<Vec<u8>>) {
    let members = key.jwk().unwrap();
    let mut needles = Vec::new();
    for name in ["d", "p", "q", "dp", "dq", "qi", "k", "priv"] {
        let Some(text) = members.get(name).and_then(Value::as_str) else { continue };
        needles.extend(parts(text.as_bytes()));
        needles.extend(parts(&base64url::decode(text.as_bytes()).unwrap()));
    }
    (Value::Object(members).to_string(), needles)
}

fn key(algorithm: Algorithm) -> PrivateKey {
    if algorithm.name().starts_with(['R', 'P']) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/keys/rsa2048.pem");
        return KeyFile::read(&std::fs::read(path).unwrap()).unwrap().key;
    }
    PrivateKey::generate(algorithm, KeySize::Rsa2048).unwrap()
}

#[test]
fn the_search_finds_what_is_left() {
    let secret = b"a secret that somebody forgets";
    assert_eq!(left(parts(secret), || secret.to_vec()), 1);
    assert_eq!(left(parts(secret), || vec![7; 40]), 0);
}

#[test]
fn keys_leave_nothing_behind() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let (jwk, needles) = members(&key);
        let mut texts = vec![(jwk, needles.clone())];
        if let Some((private, _)) = key.pem().unwrap() {
            let lines: Vec<_> = private.lines().filter(|line| line.len() > 12).collect();
            let in_pem =
                lines[1..lines.len() - 1].iter().map(|line| line.as_bytes()[..12].to_vec());
            texts.push((private.clone(), needles.into_iter().chain(in_pem).collect()));
        }
        for (text, needles) in texts {
            let wanted = Wanted { algorithm: Some(algorithm), kid: Some("a"), typ: None };
            let used = left(needles.clone(), || {
                let (key, _) = SigningKey::load(text.as_bytes(), wanted).unwrap();
                drop(key.sign(&Members::default()).unwrap());
            });
            assert_eq!(used, 0, "{algorithm}: {}", &text[..20]);
            // A key that is refused: cut off, or with an algorithm that is not its own.
            let cut = &text[..text.len() - 10];
            let found = left(needles.clone(), || KeyFile::read(cut.as_bytes()).unwrap_err());
            assert_eq!(found, 0, "{algorithm}: {}", &text[..20]);
            let other = if algorithm == Algorithm::ES256 { "RS256" } else { "ES256" };
            let algorithm = Algorithm::from_name(other);
            let wanted = Wanted { algorithm, ..Wanted::default() };
            let refused = left(needles, || SigningKey::load(text.as_bytes(), wanted).unwrap_err());
            assert_eq!(refused, 0, "{other}: {}", &text[..20]);
        }
    }
}

#[test]
fn keys_that_decrypt_leave_nothing_behind() {
    use token::jwe::{
        ContentEncryption, DecryptionKeys, EncryptionKey, KeyManagement, decrypt,
        load_decryption_keys,
    };
    let content = b"what nobody but the issuer and nginx may see";
    for (algorithm, management) in [
        (Algorithm::HS256, KeyManagement::Dir),
        (Algorithm::HS256, KeyManagement::A256Kw),
        (Algorithm::HS256, KeyManagement::A256GcmKw),
        (Algorithm::RS256, KeyManagement::RsaOaep),
        (Algorithm::ES256, KeyManagement::EcdhEs),
        (Algorithm::ES512, KeyManagement::EcdhEsA192Kw),
    ] {
        let secret: Vec<u8> = (100..132).collect();
        let key = match algorithm {
            Algorithm::HS256 => PrivateKey::from_secret(&secret).unwrap(),
            _ => key(algorithm),
        };
        let (jwk, needles) = members(&key);
        let pem = key.pem().unwrap().map(|(private, _)| private);
        let to = EncryptionKey::read(jwk.as_bytes()).unwrap();
        for encryption in [ContentEncryption::A256Gcm, ContentEncryption::A128CbcHs256] {
            let token = to.encrypt(management, encryption, &Members::default(), content).unwrap();
            for text in [Some(&jwk), pem.as_ref()].into_iter().flatten() {
                let all = [needles.clone(), parts(content)].concat();
                let found = left(all, || {
                    let loaded = load_decryption_keys(text.as_bytes(), None).unwrap();
                    let keys = DecryptionKeys::new(loaded.keys);
                    drop(decrypt(token.as_bytes(), &keys).unwrap());
                });
                assert_eq!(found, 0, "{management} {encryption}: {}", &text[..20]);
                let cut = &text[..text.len() - 10];
                let found = left(needles.clone(), || {
                    load_decryption_keys(cut.as_bytes(), None).unwrap_err();
                });
                assert_eq!(found, 0, "{management}: {}", &text[..20]);
            }
        }
    }
}

#[test]
fn other_spellings_leave_nothing_behind() {
    let secret: Vec<u8> = (0..64).map(|at| 0xff - at).collect();
    let k = base64url::encode(&secret);
    let standard = k.replace('-', "+").replace('_', "/");
    let needles = [parts(&secret), parts(k.as_bytes()), parts(standard.as_bytes())].concat();
    for (k, good) in [(format!("{k}=="), true), (standard, true), (format!("{k}*"), false)] {
        let text = format!(r#"{{"kty":"oct","k":"{k}"}}"#);
        let found = left(needles.clone(), || {
            assert_eq!(KeyFile::read(text.as_bytes()).is_ok(), good);
        });
        assert_eq!(found, 0, "{text}");
    }
}
