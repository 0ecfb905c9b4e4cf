//! Key files: what is read, what is refused, and with which messages.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used)]

use token::{Algorithm, Loaded, load_keys, load_kids, load_published_keys};

const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

fn rsa(members: &str) -> String {
    format!(r#"{{"kty":"RSA","e":"AQAB","n":"{RSA_N}"{members}}}"#)
}

fn oct(members: &str) -> String {
    format!(r#"{{"kty":"oct","k":"{SECRET}"{members}}}"#)
}

fn other(members: &str) -> String {
    format!(r#"{{"kty":"oct","k":"YW5vdGhlciBzZWNyZXQ"{members}}}"#)
}

fn set(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn kids(loaded: &Loaded) -> Vec<Option<&str>> {
    loaded.keys.iter().map(token::Key::kid).collect()
}

fn refused(text: &str) -> String {
    load_keys(text.as_bytes(), None).unwrap_err().to_string()
}

#[test]
fn a_set_a_single_key_and_a_kid_for_it() {
    let two = set(&[rsa(r#","kid":"a","alg":"RS256""#), rsa(r#","kid":"b""#)]);
    let loaded = load_keys(two.as_bytes(), None).unwrap();
    assert_eq!(kids(&loaded), [Some("a"), Some("b")]);
    assert!(loaded.keys[0].algorithms().iter().eq([Algorithm::RS256]));
    assert_eq!(loaded.keys[1].algorithms().iter().count(), 6);
    assert!(loaded.warnings.is_empty());
    let one = load_keys(rsa("").as_bytes(), Some("given")).unwrap();
    assert_eq!(kids(&one), [Some("given")]);
    let own = load_keys(rsa(r#","kid":"own""#).as_bytes(), Some("given")).unwrap();
    assert_eq!(kids(&own), [Some("own")]);
    assert!(load_keys(two.as_bytes(), Some("given")).is_err());
}

#[test]
fn keys_that_are_not_for_verifying_are_left_out_and_told() {
    for members in
        [r#","use":"enc""#, r#","key_ops":["encrypt"]"#, r#","key_ops":[]"#, r#","alg":"RSA-OAEP""#]
    {
        let loaded = load_keys(set(&[rsa(members), rsa("")]).as_bytes(), None).unwrap();
        assert_eq!(loaded.keys.len(), 1, "{members}");
        assert!(loaded.warnings[0].contains("keys[0]"), "{:?}", loaded.warnings);
        assert!(refused(&set(&[rsa(members)])).contains("no usable key"), "{members}");
    }
    let both = rsa(r#","use":"sig","key_ops":["sign","verify"]"#);
    assert_eq!(load_keys(both.as_bytes(), None).unwrap().keys.len(), 1);
}

#[test]
fn errors_name_the_member() {
    for (text, want) in [
        (
            set(&[rsa(r#","use":"enc""#), r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.into()]),
            "keys[1].n: RSA modulus of 17 bits",
        ),
        (set(&[rsa(r#","alg":"ES256""#)]), "keys[0].alg: algorithm ES256 does not go with"),
        (set(&[r#"{"kty":"XYZ"}"#.into()]), "keys[0].kty: unknown value \"XYZ\""),
        (set(&[r#"{"kid":"a"}"#.into()]), "keys[0].kty: is missing"),
        (set(&[r#"{"kty":"EC","crv":"P-256K"}"#.into()]), "keys[0].crv: unknown value"),
        (set(&[r#"{"kty":"OKP","crv":"X25519"}"#.into()]), "keys[0].crv: unknown value"),
        (set(&[r#"{"kty":"oct","k":""}"#.into()]), "keys[0].k: the secret is empty"),
        (set(&[r#"{"kty":"oct","k":"A="}"#.into()]), "keys[0].k: must be base64url"),
        (set(&[rsa(r#","kid":[1]"#)]), "keys[0].kid: must be a string"),
        (set(&[oct(r#","kid":"a""#), other(r#","kid":"a""#)]), "keys[1]: duplicate kid \"a\""),
        ("{}".into(), "neither \"keys\""),
        (r#"{"keys":{}}"#.into(), "keys: must be an array"),
        (r#"{"keys":[]}"#.into(), "no usable key"),
        (r#"{"keys":[],"keys":[]}"#.into(), "stands twice at line 1"),
        ("\u{feff}{}".into(), "neither \"keys\""),
        ("\u{feff}\u{feff}{}".into(), "neither JSON nor PEM"),
        ("{\u{feff}}".into(), "line 1"),
        ("ssh-rsa AAAA".into(), "neither JSON nor PEM"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into(),
            "is a private key",
        ),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into(), "not DER"),
        ("-----BEGIN PUBLIC KEY-----\n".into(), "PEM"),
    ] {
        let error = refused(&text);
        assert!(error.contains(want), "{text}: {error}");
        assert!(!error.contains(SECRET));
    }
}

#[test]
fn a_byte_order_mark_before_a_file_is_dropped() {
    let marked = |text: &str| format!("\u{feff}{text}").into_bytes();
    assert_eq!(load_keys(&marked(&set(&[rsa("")])), None).unwrap().keys.len(), 1);
    let pem = include_str!("../../tests/keys/p256.pub.pem");
    assert_eq!(load_keys(&marked(pem), None).unwrap().keys.len(), 1);
    assert_eq!(load_published_keys(&marked(pem)).unwrap().keys.len(), 1);
    assert_eq!(load_kids(&marked(r#"{"a":"secret"}"#)).unwrap().keys.len(), 1);
}

#[test]
fn a_long_name_is_not_shown_whole() {
    let long = "k".repeat(1_000);
    let keys = [rsa(&format!(r#","use":"{long}","kid":"{long}""#)), rsa("")];
    let loaded = load_keys(set(&keys).as_bytes(), None).unwrap();
    assert!(loaded.warnings[0].contains("kkk...\")") && loaded.warnings[0].len() < 250);
    let error = refused(&set(&[format!(r#"{{"kty":"{long}"}}"#)]));
    assert!(error.contains("kkk...\"") && error.len() < 180, "{error}");
}

#[test]
fn a_kid_may_stand_for_keys_of_different_types_and_a_mixed_set_is_told() {
    let mixed = set(&[rsa(r#","kid":"a""#), oct(r#","kid":"a""#)]);
    let loaded = load_keys(mixed.as_bytes(), None).unwrap();
    assert_eq!(loaded.keys.len(), 2);
    assert!(loaded.warnings.iter().any(|w| w.contains("more than one key")));
    assert!(loaded.warnings.iter().any(|w| w.contains("shared secrets beside public keys")));
    let private = load_keys(rsa(r#","d":"AQAB""#).as_bytes(), None).unwrap();
    assert!(private.warnings[0].contains("private key"));
}

#[test]
fn kids_and_secrets_in_each_form() {
    let secret = "0123456789abcdef0123456789abcdef";
    for form in [
        format!(r#"{{"a":"{secret}","b":"{secret}"}}"#),
        format!(r#"{{"kids":{{"a":"{secret}","b":"{secret}"}}}}"#),
        format!(r#"[{{"kids":{{"a":"{secret}","b":"{secret}"}}}}]"#),
        format!(r#"[{{"kids":{{"a":"{secret}"}}}},{{"kids":{{"b":"{secret}"}}}}]"#),
    ] {
        let loaded = load_kids(form.as_bytes()).unwrap();
        assert_eq!(kids(&loaded), [Some("a"), Some("b")], "{form}");
        assert!(loaded.warnings.is_empty());
    }
    for (form, want) in [
        (r#"{"a":1}"#, "a: must be a string"),
        (r#"{"kids":{"a":""}}"#, "kids.a: the secret is empty"),
        (r#"[{"kids":{"a":"x"}},{"kids":{"a":"y"}}]"#, "[1].kids.a: duplicate kid \"a\""),
        (r#"{"a":"x","a":"y"}"#, "stands twice"),
        (r#"[{"x":{}}]"#, "[0].kids: is missing"),
        ("{}", "no usable key"),
        ("7", "must be an object"),
        ("{\n\u{201c}a\u{201d}: \u{201c}b\u{201d}\n}", "line 2 has the typographic quote \u{201c}"),
    ] {
        let error = load_kids(form.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(want), "{form}: {error}");
    }
    assert!(load_kids(br#"{"a":"short"}"#).unwrap().warnings[0].contains("a: secret of 5 bytes"));
}

#[test]
fn entries_of_a_block_have_options() {
    let mut loaded = Loaded::default();
    let raw = b"0123456789abcdef0123456789abcdef";
    let hex = "30313233343536373839616263646566".repeat(2);
    let mut add = |kid: &str, secret: &[u8], options: &[&str]| {
        let options: Vec<&[u8]> = options.iter().map(|option| option.as_bytes()).collect();
        loaded.add_secret(kid.as_bytes(), secret, &options).map_err(|error| error.to_string())
    };
    add("raw", raw, &[]).unwrap();
    add("url", SECRET.as_bytes(), &["encoding=base64url", "alg=HS256"]).unwrap();
    add("b64", b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", &["encoding=base64"]).unwrap();
    add("hex", hex.as_bytes(), &["encoding=hex", "expires=2027-01-31T00:00:00Z"]).unwrap();
    for (secret, option, want) in [
        ("x", "encoding=rot13", "unknown value \"encoding=rot13\""),
        ("x", "alg=HS999", "unknown value \"alg=HS999\""),
        ("x", "alg=RS256", "does not go with a key of type oct"),
        ("x", "expires=2027", "is no RFC 3339 time"),
        ("x", "part-of-a-secret", "unknown option"),
        ("zz-secret", "encoding=hex", "the secret is not hex"),
    ] {
        let error = add("bad", secret.as_bytes(), &[option]).unwrap_err();
        assert!(error.contains(want) && error.contains("\"bad\""), "{error}");
        assert!(!error.contains("part-of-a-secret") && !error.contains("zz-secret"), "{error}");
    }
    assert!(add("raw", raw, &[]).unwrap_err().contains("duplicate kid \"raw\""));
    assert!(loaded.warnings.is_empty());
    // One secret in four encodings: each verifies the same signature.
    let tag = aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, raw),
        b"message",
    );
    for key in &loaded.keys {
        assert!(key.verify(Algorithm::HS256, b"message", tag.as_ref()), "{:?}", key.kid());
    }
    let expiring = loaded.keys.iter().find(|key| key.kid() == Some("hex")).unwrap();
    assert!(expiring.is_current(1_801_353_599) && !expiring.is_current(1_801_353_600));
}

/// Coordinates whose first bytes are zero: libraries that hold them as numbers drop those bytes, and others
/// write more of them.
#[test]
fn a_coordinate_is_a_number_however_many_zeros_lead_it() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
        KeyPair as _,
    };
    for (signing, curve, alg, size) in [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", Algorithm::ES256, 32),
        (&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521", Algorithm::ES512, 66),
    ] {
        let read = |x: &[u8], y: &[u8]| {
            let [x, y] = [x, y].map(token::base64url::encode);
            let jwk = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#);
            load_keys(jwk.as_bytes(), None).map(|mut loaded| loaded.keys.remove(0))
        };
        let drawn = || EcdsaKeyPair::generate(signing).unwrap();
        let halves = |pair: &EcdsaKeyPair| {
            let (x, y) = pair.public_key().as_ref()[1..].split_at(size);
            (x.to_vec(), y.to_vec())
        };
        let zero_in = |which: usize| {
            let is_it = |pair: &EcdsaKeyPair| pair.public_key().as_ref()[1 + which * size] == 0;
            std::iter::repeat_with(drawn).find(is_it).unwrap()
        };
        for pair in [zero_in(0), zero_in(1)] {
            let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
            let (x, y) = halves(&pair);
            let short = |number: &[u8]| number.iter().copied().skip_while(|it| *it == 0).collect();
            let long = |number: &[u8]| [&[0; 3], number].concat();
            let (short_x, short_y): (Vec<u8>, Vec<u8>) = (short(&x), short(&y));
            assert!(short_x.len() < size || short_y.len() < size);
            for (x, y) in [
                (x.clone(), y.clone()),
                (short_x.clone(), short_y.clone()),
                (long(&x), y.clone()),
                (short_x, long(&y)),
            ] {
                let key = read(&x, &y).unwrap();
                assert!(key.verify(alg, b"message", signature.as_ref()), "{curve} {x:?} {y:?}");
                assert!(!key.verify(alg, b"massage", signature.as_ref()));
            }
        }
        // Bytes that are missing elsewhere, or that make it a larger number, are no zeros that lead.
        let full = |pair: &EcdsaKeyPair| pair.public_key().as_ref()[1] != 0;
        let (x, y) = halves(&std::iter::repeat_with(drawn).find(full).unwrap());
        for (x, why) in [
            (x[1..].to_vec(), "not a point"),
            (x[..size - 1].to_vec(), "not a point"),
            ([&x[..], &[0]].concat(), "coordinate of"),
            ([&[1], &x[..]].concat(), "coordinate of"),
            (vec![0; size], "not a point"),
            (Vec::new(), "coordinate of 0 bytes"),
        ] {
            let error = read(&x, &y).unwrap_err().to_string();
            assert!(error.contains(why), "{curve} {x:?}: {error}");
        }
    }
}

#[test]
fn two_secrets_for_any_kid_clash_with_each_other_alone() {
    let any = || load_kids(br#"{"*":"one","a":"two"}"#).unwrap();
    assert_eq!(kids(&any()), [None, Some("a")]);
    let twice = br#"[{"kids":{"*":"one"}},{"kids":{"*":"two"}}]"#;
    let error = load_kids(twice).unwrap_err().to_string();
    assert!(error.contains("[1].kids.*: duplicate kid \"*\""), "{error}");
    let mut block = Loaded::default();
    block.add_secret(b"*", b"one", &[b"alg=HS256"]).unwrap();
    block.add_secret(b"*", b"two", &[b"alg=HS512"]).unwrap();
    let error = block.add_secret(b"*", b"three", &[]).unwrap_err().to_string();
    assert!(error.contains("duplicate kid \"*\""), "{error}");
}
