use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use token::{KeySet, load_keys};

use crate::{Made, failed, openssl_key, printed, tokenctl, with_input};

fn mode(made: &Made, suffix: &str) -> u32 {
    std::fs::metadata(made.path(suffix)).unwrap().permissions().mode() & 0o777
}

#[test]
fn names_that_would_mislead_are_refused() {
    let said = failed(&["keys", "--alg=HS256", "--kid=*", "--out=x"]);
    assert!(said.contains("every kid"), "{said}");
    let said = failed(&["keys", "--alg=ES256", "--out=keys/"]);
    assert!(said.contains("want a name for the files"), "{said}");
}

#[test]
fn secret_files_are_for_their_owner_only() {
    let made = Made::new("ES256", &[]);
    for (suffix, want) in [("pem", 0o600), ("jwk.json", 0o600)] {
        assert_eq!(mode(&made, suffix), want, "{suffix}");
    }
    for suffix in ["pub.pem", "jwks.json"] {
        assert_eq!(mode(&made, suffix) & 0o400, 0o400, "{suffix}");
        assert!(!made.text(suffix).contains("PRIVATE") && !made.text(suffix).contains("\"d\""));
    }
    let made = Made::new("HS512", &[]);
    assert_eq!((mode(&made, "jwk.json"), mode(&made, "kids.json")), (0o600, 0o600));
}

#[test]
fn nothing_is_overwritten_unasked() {
    let made = Made::new("EdDSA", &[]);
    let before = made.text("pem");
    let out = made.dir.path().join("k").display().to_string();
    let said = failed(&["keys", "--alg", "EdDSA", "--out", &out]);
    assert!(said.contains("k.pem exists; --force"), "{said}");
    assert_eq!(made.text("pem"), before);
    // The old file may be readable by everybody; the new one must not be.
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(made.path("pem"), open).unwrap();
    printed(&["keys", "--alg", "EdDSA", "--out", &out, "--force"]);
    assert_ne!(made.text("pem"), before);
    assert_eq!(mode(&made, "pem"), 0o600);
}

#[test]
fn what_is_printed_names_the_files_and_holds_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("new/web").display().to_string();
    let said = printed(&["keys", "--alg", "HS256", "--kid", "w", "--out", &out]);
    let kids = std::fs::read_to_string(format!("{out}.kids.json")).unwrap();
    let kids: Value = serde_json::from_str(&kids).unwrap();
    assert!(!said.contains(kids["w"].as_str().unwrap()));
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.ends_with("kid w"), "{said}");
}

#[test]
fn the_kid_is_the_thumbprint_and_the_same_from_every_form() {
    let made = Made::new("RS256", &["--bits", "3072"]);
    let set: Value = serde_json::from_str(&made.text("jwks.json")).unwrap();
    let key = &set["keys"][0];
    assert_eq!(key["n"].as_str().unwrap().len(), 512);
    assert_eq!((key["alg"].as_str(), key["use"].as_str()), (Some("RS256"), Some("sig")));
    for form in ["pub.pem", "pem"] {
        let again: Value =
            serde_json::from_str(&printed(&["jwks", "--alg=RS256", &made.name(form)])).unwrap();
        assert_eq!(again["keys"][0]["kid"], key["kid"], "{form}");
        assert_eq!(again, set, "{form}");
    }
    let again: Value = serde_json::from_str(&printed(&["jwks", &made.name("jwk.json")])).unwrap();
    assert_eq!(again, set);
}

#[test]
fn sizes_are_for_rsa_alone() {
    let bits =
        |algorithm, bits| failed(&["keys", "--alg", algorithm, "--bits", bits, "--out=/x/y"]);
    assert!(bits("ES256", "2048").contains("--bits is for RSA"));
    assert!(bits("RS256", "1024").contains("one of 2048"));
    assert!(failed(&["keys", "--alg=RS256", "--out=/"]).contains("want a name"));
}

#[test]
fn a_set_of_keys_of_every_form() {
    let names = ["rsa2048.pub.pem", "p256.crt.pem", "p384.jwk.json", "p521.pem", "ed25519.pub.pem"];
    let files = names.map(openssl_key);
    let mut words = vec!["jwks"];
    words.extend(files.iter().map(String::as_str));
    let pub_pem = openssl_key("p256.pub.pem");
    let set = printed(&words);
    let keys = load_keys(set.as_bytes(), None).unwrap();
    assert!(keys.warnings.is_empty(), "{:?}", keys.warnings);
    assert_eq!(KeySet::new(keys.keys).len(), 5);
    for private in ["\"d\"", "\"p\"", "\"k\""] {
        assert!(!set.contains(private));
    }
    // A set goes in as well, and comes out as it was.
    let again = with_input(&["jwks", "-"], set.as_bytes());
    assert_eq!(again.out.trim_end(), set);
    assert!(failed(&["jwks", "--kid=x", &files[0], &files[1]]).contains("a single key"));
    // The same key in another form has the same kid, and counts once.
    words.push(&pub_pem);
    assert_eq!(printed(&words), set);
}

#[test]
fn what_cannot_verify_is_refused() {
    let secret = Made::new("HS256", &[]);
    for (words, part) in [
        (vec!["jwks".to_owned(), secret.name("jwk.json")], "no public half"),
        (vec!["jwks".to_owned(), openssl_key("rsa1024.pub.pem")], "RSA modulus of 1024 bits"),
        (vec!["jwks".to_owned(), openssl_key("secp256k1.pub.pem")], "has a curve other than"),
        (vec!["jwks".to_owned(), openssl_key("README.md")], "neither PEM nor JSON"),
        (
            vec!["jwks".to_owned(), openssl_key("p256.pub.pem"), "--alg=ES384".to_owned()],
            "does not go with a key of type P-256",
        ),
    ] {
        let said = failed(&words);
        assert!(said.contains(part), "{words:?}: {said}");
    }
    // The same key twice is one.
    let twice = ["jwks".to_owned(), openssl_key("p256.pub.pem"), openssl_key("p256.crt.pem")];
    assert_eq!(printed(&twice), printed(&twice[..2]));
    let bad = with_input(&["jwks", "-"], "{\n\u{201c}keys\u{201d}: []}".as_bytes());
    assert_eq!(bad.status, 2);
    assert!(bad.err.contains("typographic quote"), "{}", bad.err);
}

#[test]
fn help_and_mistakes_in_the_call() {
    for command in ["jwt", "url", "keys", "jwks", "inspect"] {
        let help = printed(&[command, "--help"]);
        assert!(help.contains("Examples:"), "{command}");
    }
    assert_eq!(tokenctl(&["mint"]).status, 2);
    assert_eq!(tokenctl::<&str>(&[]).status, 2);
}

/// As Firebase publishes certificates.
#[test]
fn pem_by_kid_becomes_a_set_and_verifies() {
    let certificate = std::fs::read_to_string(openssl_key("p256.crt.pem")).unwrap();
    let public = std::fs::read_to_string(openssl_key("rsa2048.pub.pem")).unwrap();
    let by_kid = json!({ "k1": certificate, "k2": public });
    let made = with_input(&["jwks", "-"], by_kid.to_string().as_bytes());
    assert_eq!((made.status, made.err.as_str()), (0, ""));
    let set: Value = serde_json::from_str(&made.out).unwrap();
    let key = |at: usize| (set["keys"][at]["kid"].as_str(), set["keys"][at]["kty"].as_str());
    assert_eq!([key(0), key(1)], [(Some("k1"), Some("EC")), (Some("k2"), Some("RSA"))]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("by-kid.json");
    std::fs::write(&path, by_kid.to_string()).unwrap();
    let token = printed(&["jwt", "--key", &openssl_key("p256.pem"), "--kid", "k1"]);
    let said = printed(&["inspect", &token, "--keys", path.to_str().unwrap()]);
    assert!(said.ends_with("Verdict: ok"), "{said}");
    for (value, part) in [
        (json!({ "k1": certificate, "k2": "text" }), "k2: must be one certificate or public key"),
        (json!({ "k1": certificate, "k2": 7 }), "k2: must be one"),
        (json!({ "k1": format!("{certificate}{public}") }), "k1: must be one"),
        (json!({ "k1": "-----BEGIN CERTIFICATE-----" }), "k1"),
    ] {
        let call = with_input(&["jwks", "-"], value.to_string().as_bytes());
        assert!(call.status != 0 && call.err.contains(part), "{value}: {}", call.err);
    }
}
