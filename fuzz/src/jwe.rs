//! The target `jwe`: encrypted tokens, and files of keys that decrypt.

use std::sync::{Arc, LazyLock};

use token::json::Document;
use token::jwe::{
    ContentEncryption, DecryptionKeys, EncryptionKey, KeyManagement, decrypt, load_decryption_keys,
};
use token::sign::Members;
use token::{Forms, MAX_TOKEN_LEN, Policy, Reject, load_keys};

use crate::{NOW, parts};

const KEYS: &str = r#"{"keys":[
    {"kty":"oct","kid":"d","k":"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"},
    {"kty":"oct","k":"AQIDBAUGBwgJCgsMDQ4PEA"},
    {"kty":"OKP","crv":"X25519","kid":"x","d":"GBsjnhlARZxE3c0MUm7tMTsJlGur7zjMqWD6q5v7_38",
     "x":"WjyxMPak-TB57hl--P7MiNcFSn6bJyqphtgHNcMy6Aw"}]}"#;

static DECRYPTING: LazyLock<Arc<DecryptionKeys>> = LazyLock::new(|| {
    let keys = load_decryption_keys(KEYS.as_bytes(), None).expect("keys").keys;
    Arc::new(DecryptionKeys::new(keys))
});

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let secret = r#"{"kty":"oct","k":"YSBzZWNyZXQgdGhhdCBmdXp6aW5nIGtub3dzLCBsb25nIGVub3VnaA"}"#;
    let keys = load_keys(secret.as_bytes(), None).expect("a key").keys;
    let decrypting = vec![Arc::clone(&DECRYPTING)];
    let forms = Forms { signed: true, encrypted: true, nested: true, keys: decrypting };
    Policy { keys: vec![token::KeySet::new(keys).into()], forms, ..Policy::default() }
});

static SEALING: LazyLock<[EncryptionKey; 3]> = LazyLock::new(|| {
    let keys = DECRYPTING.keys();
    [0, 1, 2].map(|at| EncryptionKey::of(&keys[at]).expect("a key"))
});

/// Three parts: a token or a file of keys; the members of a header; a content. The content is encrypted with that
/// header, decrypted again, and judged.
pub fn jwe(input: &[u8]) {
    let [text, header, content] = parts(input);
    let _ = load_decryption_keys(text, None);
    judge(text);
    let members = Document::parse(header.to_vec()).ok();
    let members = members.and_then(|it| Members::of(it.root())).unwrap_or_default();
    let pick = |n: usize, of: usize| input.get(n).copied().map_or(0, usize::from) % of;
    let (management, key) = [
        (KeyManagement::Dir, 0),
        (KeyManagement::A256Kw, 0),
        (KeyManagement::A256GcmKw, 0),
        (KeyManagement::A128Kw, 1),
        (KeyManagement::EcdhEs, 2),
        (KeyManagement::EcdhEsA192Kw, 2),
    ][pick(0, 6)];
    let encryption = match management {
        KeyManagement::Dir => ContentEncryption::A256Gcm,
        _ => ContentEncryption::ALL[pick(1, 6)],
    };
    let sealed = SEALING[key].encrypt(management, encryption, &members, content);
    let token = sealed.expect("a token").into_bytes();
    judge(&token);
    let opened = decrypt(&token, &DECRYPTING);
    // A header that says nothing of how to decrypt leaves the token as it is.
    let is_plain = |name: &str| {
        !["alg", "enc", "kid", "epk", "apu", "apv", "iv", "tag", "zip", "crit", "p2c", "p2s", "typ"]
            .contains(&name)
    };
    let is_short = token.len() <= MAX_TOKEN_LEN && header.len() < 2000;
    let is_flat = !header.contains(&b'[') && !header.iter().skip(1).any(|byte| *byte == b'{');
    let few = members.iter().count() < 50 && is_flat;
    if members.iter().all(|(name, _)| is_plain(name)) && is_short && few {
        assert_eq!(opened.expect("decrypted").plaintext.as_slice(), content);
    }
    // A byte that is changed is noticed.
    let mut changed = token;
    let at = pick(2, 251) * changed.len() / 251;
    if let Some(byte) = changed.get_mut(at).filter(|byte| **byte != b'.') {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        assert!(decrypt(&changed, &DECRYPTING).is_err());
    }
}

/// Judges a token: it may be anything. What does not have five sections is not decrypted.
fn judge(token: &[u8]) {
    let verdict = POLICY.check(token, NOW);
    let dots = token.iter().filter(|byte| **byte == b'.').count();
    if let Err(refusal) = verdict {
        let decrypts = refusal.reason == Reject::BadDecryption;
        assert!(!decrypts || dots == 4, "{refusal}");
    }
}
