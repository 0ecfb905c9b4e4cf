//! Encrypted tokens, judged as a location does.

use std::cell::Cell;
use std::sync::Arc;

use token::jwe::{ContentEncryption, DecryptionKeys, KeyManagement};
use token::sign::{Json, Members, SigningKey, Wanted};
use token::{
    Cache, Forms, Issuers, KeySet, LiveInputs, LocationPolicy, Policy, Providers, Refusal, Reject,
    Requirements, Trust, Verified, With, load_keys,
};

use super::{NOW, RSA, encrypted, keys, oct};

const ISSUER: &str = "https://issuer.example";

fn claims(exp: i64) -> Members {
    let mut claims = Members::default();
    claims.set("iss", Json::string(ISSUER));
    claims.set("sub", Json::string("somebody"));
    claims.set("exp", Json::integer(exp));
    claims
}

fn signed(exp: i64) -> String {
    let key = include_bytes!("../../../tests/keys/p256.pem");
    let wanted = Wanted { kid: Some("s"), ..Wanted::default() };
    SigningKey::load(key, wanted).unwrap().0.sign(&claims(exp)).unwrap()
}

fn in_secret(content: &str) -> String {
    encrypted(&oct(32), KeyManagement::Dir, ContentEncryption::A256Gcm, content.as_bytes())
}

pub(crate) fn policy(accept: &str, keys: Vec<Arc<DecryptionKeys>>) -> Policy {
    let verifying = load_keys(include_bytes!("../../../tests/keys/p256.jwk.json"), Some("s"));
    Policy {
        keys: vec![Arc::new(KeySet::new(verifying.unwrap().keys))],
        forms: forms(accept, keys),
        requirements: vec![Requirements {
            issuers: Issuers::new([ISSUER]).unwrap(),
            ..Requirements::default()
        }],
        ..Policy::default()
    }
}

fn forms(accept: &str, keys: Vec<Arc<DecryptionKeys>>) -> Forms {
    let has = |word| accept.contains(word);
    Forms { signed: has("signed"), encrypted: has("encrypted"), nested: has("nested"), keys }
}

fn secret() -> Arc<DecryptionKeys> {
    Arc::new(keys(&oct(32)))
}

pub(crate) fn check(trust: &Trust, token: &str, with: With<'_>) -> Result<Verified, Refusal> {
    trust.check_with(token.as_bytes(), NOW, |_| LiveInputs::default(), with)
}

fn result(accept: &str, token: &str) -> Result<Verified, Refusal> {
    check(&Trust::Keys(policy(accept, vec![secret()])), token, With::default())
}

fn reason(accept: &str, token: &str) -> Reject {
    result(accept, token).unwrap_err().reason
}

#[test]
fn each_form_passes_where_it_is_accepted_and_nowhere_else() {
    let signed = signed(NOW + 60);
    let nested = in_secret(&signed);
    let encrypted = in_secret(&claims(NOW + 60).to_string());
    for accept in [
        "signed",
        "encrypted",
        "nested",
        "signed encrypted",
        "signed nested",
        "encrypted nested",
        "signed encrypted nested",
    ] {
        for (form, token) in [("signed", &signed), ("nested", &nested), ("encrypted", &encrypted)] {
            let result = result(accept, token);
            match accept.contains(form) {
                true => assert_eq!(
                    result.unwrap().payload.root().get("sub").unwrap().as_str(),
                    Some("somebody")
                ),
                false => {
                    assert_eq!(result.unwrap_err().reason, Reject::Malformed, "{accept} {form}");
                }
            }
        }
    }
    let refusal = result("signed", &nested).unwrap_err();
    assert_eq!(refusal.to_string(), "malformed: 5 sections, an encrypted token");
    let refusal = result("nested", &encrypted).unwrap_err();
    let why = "malformed: an encrypted token, which is not signed: jwt_type does not accept that";
    assert_eq!(refusal.to_string(), why);
}

#[test]
fn the_header_is_the_one_of_the_claims() {
    let alg = |form: &str, token: &str| {
        let token = result(form, token).unwrap();
        token.header.root().get("alg").unwrap().to_text()
    };
    assert_eq!(alg("nested", &in_secret(&signed(NOW + 60))), "ES256");
    assert_eq!(alg("encrypted", &in_secret(&claims(NOW + 60).to_string())), "dir");
}

#[test]
fn what_was_encrypted_is_judged_as_any() {
    let both = "encrypted nested";
    assert_eq!(reason(both, &in_secret(&signed(NOW - 60))), Reject::Expired);
    assert_eq!(reason(both, &in_secret(&claims(NOW - 60).to_string())), Reject::Expired);
    let mut other = claims(NOW + 60);
    other.set("iss", Json::string("https://other.example"));
    assert_eq!(reason(both, &in_secret(&other.to_string())), Reject::BadIssuer);
    let good = signed(NOW + 60);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", signature.chars().rev().collect::<String>());
    assert!([Reject::BadSignature, Reject::Malformed].contains(&reason(both, &in_secret(&forged))));
    let unsecured = token::base64url::encode(r#"{"alg":"none"}"#);
    let unsecured = format!("{unsecured}.{}.AA", token::base64url::encode("{}"));
    assert_eq!(reason(both, &in_secret(&unsecured)), Reject::BadAlgorithm);
    for content in ["", "{", "[]", "7", "\"a\"", "{}{}", "a.b", "{\"exp\":\"1\"}", "\0"] {
        assert_eq!(reason(both, &in_secret(content)), Reject::Malformed, "{content}");
    }
}

#[test]
fn tokens_are_encrypted_once() {
    let nested = in_secret(&signed(NOW + 60));
    for token in [in_secret(&nested), in_secret(&in_secret(&nested))] {
        let refusal = result("signed encrypted nested", &token).unwrap_err();
        let why = "malformed: what is encrypted is neither claims nor a signed token: 5 sections, an \
                   encrypted token";
        assert_eq!(refusal.to_string(), why);
    }
}

#[test]
fn what_is_wrong_with_a_content_is_said_of_the_content() {
    for content in ["[]", "\u{feff}{}", "\0{}"] {
        let refusal = result("encrypted nested", &in_secret(content)).unwrap_err().to_string();
        let why = "malformed: what is encrypted is neither claims nor a signed token: ";
        assert!(refusal.starts_with(why), "{refusal}");
    }
}

#[test]
fn no_provider_vouches_for_what_is_not_signed() {
    let mut providers = Providers::default();
    providers.add(policy("signed", Vec::new())).unwrap();
    let forms = forms("signed encrypted nested", vec![secret()]);
    let location = LocationPolicy { forms, ..LocationPolicy::default() };
    let trust = Trust::Providers(Arc::new(providers), location);
    let cache = Cache::new(1 << 20).unwrap();
    let with = With { cache: Some(&cache), ..With::default() };
    let signed = signed(NOW + 60);
    let claims = in_secret(&claims(NOW + 60).to_string());
    // It is known from a location where it passes.
    let known = Trust::Keys(policy("encrypted", vec![secret()]));
    check(&known, &claims, with).unwrap();
    for _ in 0..2 {
        check(&trust, &signed, with).unwrap();
        check(&trust, &in_secret(&signed), with).unwrap();
        let refusal = check(&trust, &claims, with).unwrap_err();
        let why = "malformed: no provider vouches for a token that is not signed";
        assert_eq!(refusal.to_string(), why);
    }
}

#[test]
fn a_kid_chooses_among_keys() {
    let [a, b] = [oct(32), oct(32).replace("AQID", "BQID")];
    let named = |text: &str, kid: &str| text.replacen('{', &format!(r#"{{"kid":"{kid}","#), 1);
    let claims = claims(NOW + 60).to_string();
    let token = |key: &str| {
        encrypted(key, KeyManagement::Dir, ContentEncryption::A256Gcm, claims.as_bytes())
    };
    let set = format!(r#"{{"keys":[{},{}]}}"#, named(&a, "a"), named(&b, "b"));
    let trust = Trust::Keys(policy("encrypted", vec![Arc::new(keys(&set))]));
    let reason = |token: &str| check(&trust, token, With::default()).map_err(|it| it.reason);
    for (token, want) in [
        (token(&named(&a, "a")), None),
        (token(&named(&b, "b")), None),
        (token(&b), None),
        (token(&named(&a, "b")), Some(Reject::BadDecryption)),
        (token(&named(&a, "c")), Some(Reject::UnknownKey)),
    ] {
        assert_eq!(reason(&token).err(), want, "{token}");
    }
    let other = encrypted(RSA, KeyManagement::RsaOaep, ContentEncryption::A256Gcm, b"{}");
    assert_eq!(reason(&other).err(), Some(Reject::BadAlgorithm));
    let none = Trust::Keys(policy("encrypted", Vec::new()));
    let refusal = check(&none, &token(&a), With::default()).unwrap_err();
    assert_eq!(refusal.reason, Reject::NoKeys);
    // Keys that change at run time come after the others.
    let live = [secret()];
    let with = With { decryption: &live, ..With::default() };
    assert!(check(&none, &token(&a), with).is_ok());
}

#[test]
fn the_cache_knows_a_token_by_the_keys_that_decrypt_it() {
    let (one, same) = (secret(), secret());
    let other = Arc::new(keys(&oct(32).replace("AQID", "BQID")));
    let content = claims(NOW + 60).to_string();
    for token in [in_secret(&signed(NOW + 60)), in_secret(&content)] {
        let cache = Cache::new(1 << 20).unwrap();
        let with = With { cache: Some(&cache), ..With::default() };
        let judge = |accept: &str, keys: &[&Arc<DecryptionKeys>]| {
            let keys = keys.iter().map(|keys| Arc::clone(keys)).collect();
            let mut policy = policy(accept, keys);
            // The same sets that verify each time.
            policy.keys.clone_from(&*VERIFYING);
            check(&Trust::Keys(policy), &token, with).map_err(|refusal| refusal.reason)
        };
        let hits = || cache.counts().hits;
        let both = "encrypted nested";
        assert!(judge(both, &[&one]).unwrap().is_cached());
        assert!(judge(both, &[&one]).is_ok() && hits() == 1);
        // Other sets, other facts: also with the same key.
        assert!(judge(both, &[&same]).is_ok() && hits() == 1);
        assert!(judge(both, &[&one, &same]).is_ok() && hits() == 1);
        assert_eq!(judge(both, &[&other]).unwrap_err(), Reject::BadDecryption);
        assert_eq!(judge(both, &[]).unwrap_err(), Reject::NoKeys);
        // Each of them is known, and they are one token.
        for sets in [&[&one][..], &[&same], &[&one, &same]] {
            let before = hits();
            assert!(judge(both, sets).is_ok() && hits() == before + 1);
        }
        assert_eq!(cache.len(), 1);
        assert_eq!(judge("signed", &[&one]).unwrap_err(), Reject::Malformed);
    }
}

/// What another location has accepted tells nothing of a token here: not what is in it, nor that it is known.
#[test]
fn a_token_that_is_known_from_elsewhere_is_refused_as_a_new_one() {
    let other = Arc::new(keys(&oct(32).replace("AQID", "BQID")));
    let rsa = Arc::new(keys(RSA));
    for token in [in_secret(&signed(NOW + 60)), in_secret(&claims(NOW + 60).to_string())] {
        let cache = Cache::new(1 << 20).unwrap();
        let known = With { cache: Some(&cache), ..With::default() };
        let own = secret();
        let elsewhere = Trust::Keys(policy("encrypted nested", vec![Arc::clone(&own)]));
        check(&elsewhere, &token, known).unwrap();
        // And the keys in force are asked for in the same cases: what is refused before may be nobody's token.
        let said = |trust: &Trust, with| {
            let asked = Cell::new(false);
            let live = |_: token::Wanted<'_>| {
                asked.set(true);
                LiveInputs::default()
            };
            let judged = trust.check_with(token.as_bytes(), NOW, live, with);
            (judged.map_or_else(|refusal| refusal.to_string(), |_| "ok".to_owned()), asked.get())
        };
        for accept in ["signed", "encrypted", "nested", "signed encrypted", "signed nested"] {
            for keys in [vec![], vec![&other], vec![&rsa], vec![&own], vec![&own, &other]] {
                let keys = keys.into_iter().map(Arc::clone).collect();
                let trust = Trust::Keys(policy(accept, keys));
                assert_eq!(said(&trust, known), said(&trust, With::default()), "{accept}");
            }
        }
        let trust = Trust::Keys(policy("nested", vec![Arc::clone(&other)]));
        assert_eq!(check(&trust, &token, known).unwrap_err().reason, Reject::BadDecryption);
        let mut providers = Providers::default();
        providers.add(policy("signed", Vec::new())).unwrap();
        let forms = forms("nested", vec![other.clone()]);
        let location = LocationPolicy { forms, ..LocationPolicy::default() };
        let trust = Trust::Providers(Arc::new(providers), location);
        assert_eq!(check(&trust, &token, known).unwrap_err().reason, Reject::BadDecryption);
    }
}

static VERIFYING: std::sync::LazyLock<Vec<Arc<KeySet>>> =
    std::sync::LazyLock::new(|| policy("signed", Vec::new()).keys);
