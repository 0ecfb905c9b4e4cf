//! The targets `signing` (an answer whose members are signed) and `private` (files of private keys).

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use token::json::{Document, Value};
use token::sign::{AnswerSigner, Json, KeyFile, SigningKey, Wanted};
use token::{KeySet, Policy, load_keys};

use crate::NOW;

const SECRET: &str =
    r#"{"kty":"oct","kid":"k","k":"YSBzZWNyZXQgdGhhdCBmdXp6aW5nIGtub3dzLCBsb25nIGVub3VnaA"}"#;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::load(SECRET.as_bytes(), Wanted::default()).expect("a key").0);

static JUDGE: LazyLock<Policy> = LazyLock::new(|| {
    let keys = load_keys(SECRET.as_bytes(), None).expect("a key").keys;
    Policy { keys: vec![KeySet::new(keys).into()], ..Policy::default() }
});

fn json(value: Value<'_>) -> String {
    let mut text = String::new();
    value.write_json(&mut text);
    text
}

/// The members `a` and `b` of an answer are signed. What comes out must be the same JSON but for them, with
/// the same bytes around, and tokens with the same claims.
pub fn signing(input: &[u8]) {
    let members: [Box<str>; 2] = ["a".into(), "b".into()];
    let claims = [("iss".into(), Json::string("x"))];
    let signer = AnswerSigner {
        members: &members,
        full: false,
        key: &KEY,
        claims: &claims,
        lifetime: 60,
        now: NOW,
    };
    let signed = signer.sign(input.to_vec());
    let Ok(before) = Document::parse(input.to_vec()) else { return assert!(signed.is_err()) };
    let Ok((text, tokens)) = signed else { return };
    if tokens == 0 {
        return assert_eq!(text, input);
    }
    let after = Document::parse(text.clone()).expect("JSON");
    let (old, new) = (before.root().members(), after.root().members());
    let (old, new): (Vec<_>, Vec<_>) =
        (old.expect("an object").collect(), new.expect("an object").collect());
    assert_eq!(old.len(), new.len());
    let (mut rest, mut count) = (text.as_slice(), 0);
    for ((name, value), (same, other)) in old.into_iter().zip(new) {
        assert_eq!(name, same);
        if !members.iter().any(|member| **member == *name) {
            assert_eq!(json(value), json(other));
            continue;
        }
        let token = other.as_str().expect("a token");
        judge(token, value);
        let at = rest.windows(token.len()).position(|it| it == token.as_bytes()).expect("in order");
        rest = &rest[at + token.len()..];
        count += 1;
    }
    assert_eq!(count, tokens);
    // The bytes before the first token and after the last one are those that were there.
    let first = text.windows(4).position(|it| it == b"\"eyJ").expect("a token");
    assert_eq!(&text[..first], &input[..first]);
    let tail = rest.strip_prefix(b"\"").expect("a quote");
    assert!(input.ends_with(tail));
}

/// A token must verify, and have the claims of its object.
fn judge(token: &str, claims: Value<'_>) {
    let payload = token.split('.').nth(1).expect("a payload");
    let payload =
        Document::parse(URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON");
    for name in ["iat", "exp", "jti"] {
        assert!(payload.root().get(name).is_some_and(|it| !it.is_null()), "{name}");
    }
    for (name, value) in claims.members().expect("claims") {
        let other = payload.root().get(name).expect("the claim");
        assert!(value.is_null() || json(value) == json(other), "{name}");
    }
    // The times may be any, so the signature is judged by the refusal.
    let judged = JUDGE.check(token.as_bytes(), NOW);
    if let Err(refusal) = judged {
        let why = refusal.to_string();
        assert!(!why.starts_with("bad_signature") && !why.starts_with("unknown_key"), "{why}");
    }
}

/// A file of a private key. A key that is read must sign what its public half verifies.
pub fn private(input: &[u8]) {
    drop(KeyFile::read(input).map_err(|error| error.to_string()));
    let Ok((key, _)) = SigningKey::load(input, Wanted::default()) else { return };
    let Some(published) = key.published() else { return };
    assert!(!published.contains("\"d\"") && !published.contains("\"priv\""));
    let keys = load_keys(published.as_bytes(), None).expect("a key that is published").keys;
    let policy = Policy { keys: vec![KeySet::new(keys).into()], ..Policy::default() };
    let token = key.sign(&Default::default()).expect("a token");
    policy.check(token.as_bytes(), NOW).map(drop).expect("a token of one's own");
}
