//! Signatures that are almost right, and keys that are too weak to trust.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use module_tests::{
    ED25519, Jwt, Key, Nginx, P256, P256_OTHER, P384, P521, RSA, RSA_E3, RSA_OTHER, RSA_WEAK,
    SECRET, SERVE, base64url, jwk_set, mistake, mistake_in, refuse_all, signature, unsigned_part,
};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use rsa::{BigUint, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384};

use crate::{Case, withstand};

/// The order of an algorithm's curve, big-endian.
pub(crate) fn order(alg: &str) -> Vec<u8> {
    let hex = match alg {
        "ES256" => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551".to_owned(),
        "ES384" => format!("{}c7634d81f4372ddf581a0db248b0a77aecec196accc52973", "f".repeat(48)),
        _ => format!(
            "01{}fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
            "f".repeat(64)
        ),
    };
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// `a - b` of two numbers of the same length, big-endian.
pub(crate) fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    fixed(&(BigUint::from_bytes_be(a) - BigUint::from_bytes_be(b)), a.len()).unwrap()
}

/// A number in exactly `length` bytes, big-endian, if it fits.
fn fixed(number: &BigUint, length: usize) -> Option<Vec<u8>> {
    let bytes = number.to_bytes_be();
    Some([vec![0; length.checked_sub(bytes.len())?], bytes].concat())
}

/// One nginx with a public key of every kind.
fn start() -> Result<Nginx> {
    let keys =
        [("rsa", &RSA), ("ES256", &P256), ("ES384", &P384), ("ES512", &P521), ("ed", &ED25519)];
    let keys: Vec<Value> =
        keys.iter().map(|(kid, key)| key.jwk(&json!({ "kid": kid }))).collect::<Result<_>>()?;
    Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", jwk_set(&keys))
        .start()
}

/// Cases with these signatures over one input. A token with an empty signature is malformed.
fn cases(nginx: &Nginx, input: &str, table: Vec<(String, Vec<u8>, &'static str)>) -> Vec<Case> {
    let case = |(name, signature, word): (String, Vec<u8>, &'static str)| {
        let word = if signature.is_empty() { "malformed" } else { word };
        let token = format!("{input}.{}", base64url(signature));
        Case::token(name, nginx.request().bearer(&token), word)
    };
    table.into_iter().map(case).collect()
}

fn input(alg: &str, kid: &str) -> String {
    unsigned_part(json!({ "alg": alg, "kid": kid }).to_string(), r#"{"sub":"alice"}"#)
}

/// The DER form of a positive integer: a leading zero only where the sign bit needs one.
fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    [vec![2, u8::try_from(digits.len()).unwrap()], digits].concat()
}

fn der_sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
    let body = [der_integer(r), der_integer(s)].concat();
    let length = u8::try_from(body.len()).unwrap();
    let head = if length < 0x80 { vec![0x30, length] } else { vec![0x30, 0x81, length] };
    [head, body].concat()
}

#[test]
fn ecdsa_signatures_are_two_numbers_of_the_right_size() -> Result<()> {
    let nginx = start()?;
    for (alg, key) in [("ES256", &P256), ("ES384", &P384), ("ES512", &P521)] {
        let input = input(alg, alg);
        let good = signature(alg, key, input.as_bytes())?;
        let (r, s) = good.split_at(good.len() / 2);
        let n = order(alg);
        let size = n.len();
        let zero = vec![0; size];
        let one = fixed(&BigUint::from(1_u8), size).context("one")?;
        let max = vec![0xff; size];
        let n_minus_1 = subtract(&n, &one);
        let n_plus_1 = fixed(&(BigUint::from_bytes_be(&n) + 1_u8), size).context("n + 1")?;
        let other_s = subtract(&n, s);
        let other_r = subtract(&n, r);
        let padded = |number: &[u8]| [&[0], number].concat();
        let mut table: Vec<(String, Vec<u8>, &str)> = vec![
            ("good".into(), good.clone(), "ok"),
            // ECDSA accepts both s and n - s, so a list of revoked tokens must compare claims.
            ("s as n - s".into(), [r, &other_s].concat(), "ok"),
            ("empty".into(), Vec::new(), "bad_signature"),
            ("DER".into(), der_sequence(r, s), "bad_signature"),
            ("DER of s as n - s".into(), der_sequence(r, &other_s), "bad_signature"),
            ("DER of zeros".into(), der_sequence(&[0], &[0]), "bad_signature"),
            ("ASN.1 NULL".into(), vec![5, 0], "bad_signature"),
            ("exchanged".into(), [s, r].concat(), "bad_signature"),
            ("r as n - r".into(), [&other_r, s].concat(), "bad_signature"),
            ("r alone".into(), r.to_vec(), "bad_signature"),
            ("one byte less".into(), good[..good.len() - 1].to_vec(), "bad_signature"),
            ("one byte more".into(), [&good[..], &[0]].concat(), "bad_signature"),
            ("one byte before".into(), [&[0], &good[..]].concat(), "bad_signature"),
            ("both padded".into(), [padded(r), padded(s)].concat(), "bad_signature"),
            ("twice".into(), [&good[..], &good].concat(), "bad_signature"),
            ("a little-endian".into(), good.iter().rev().copied().collect(), "bad_signature"),
            ("the compact form of Bitcoin".into(), [&[27], &good[..]].concat(), "bad_signature"),
        ];
        let numbers = [
            ("0", &zero),
            ("1", &one),
            ("n - 1", &n_minus_1),
            ("n", &n),
            ("n + 1", &n_plus_1),
            ("all ones", &max),
        ];
        for (name, number) in &numbers {
            table.push((format!("r {name}"), [number.as_slice(), s].concat(), "bad_signature"));
            table.push((format!("s {name}"), [r, number.as_slice()].concat(), "bad_signature"));
            for (name_s, number_s) in &numbers {
                let both = [number.as_slice(), number_s].concat();
                table.push((format!("r {name}, s {name_s}"), both, "bad_signature"));
            }
        }
        // The same number plus the order n, if the sum still fits, is equal modulo n.
        for (name, r, s) in
            [("r + n", plus(r, &n), Some(s.to_vec())), ("s + n", Some(r.to_vec()), plus(s, &n))]
        {
            if let (Some(r), Some(s)) = (r, s) {
                table.push((name.to_owned(), [r, s].concat(), "bad_signature"));
            }
        }
        for at in [0, size - 1, size, 2 * size - 1] {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            table.push((format!("a bit of byte {at}"), flipped, "bad_signature"));
        }
        withstand(&nginx, cases(&nginx, &input, table))?;
    }
    // Valid signatures, but by other keys or for other curves.
    let token = |alg: &str, kid: &str, used: &str, key: &'static Key| {
        let token = Jwt::live().kid(kid).signed(alg, |input| signature(used, key, input))?;
        Ok::<_, anyhow::Error>((format!("{alg}, kid {kid}, by {used}"), token))
    };
    let mut others = Vec::new();
    for (token, word) in [
        (token("ES256", "ES256", "ES256", &P256_OTHER)?, "bad_signature"),
        (token("ES256", "ES256", "ES384", &P384)?, "bad_signature"),
        (token("ES384", "ES256", "ES256", &P256)?, "bad_algorithm"),
        (token("ES256", "ES384", "ES256", &P256)?, "bad_algorithm"),
        (token("ES384", "ES512", "ES512", &P521)?, "bad_algorithm"),
        (token("ES521", "ES512", "ES512", &P521)?, "bad_algorithm"),
        (token("ES256", "ed", "EdDSA", &ED25519)?, "bad_algorithm"),
    ] {
        others.push(Case::token(token.0, nginx.request().bearer(&token.1), word));
    }
    withstand(&nginx, others)?;
    nginx.finish()
}

/// `a + b`, if it fits into the bytes of `a`.
fn plus(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    fixed(&(BigUint::from_bytes_be(a) + BigUint::from_bytes_be(b)), a.len())
}

/// Little-endian y coordinates with both signs of x: those of the points of order 1, 2, 4 and 8,
/// and some that are not below the prime of the field.
fn odd_points() -> Vec<[u8; 32]> {
    let low = |first: u8| {
        let mut point = [0; 32];
        point[0] = first;
        point
    };
    let high = |first: u8| {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (first, 0x7f);
        point
    };
    let order_8 = [
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ]
    .map(|hex| {
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    });
    let points =
        [low(0), low(1), high(0xec), high(0xed), high(0xee), high(0xff), order_8[0], order_8[1]];
    let signed = points.map(|mut point| {
        point[31] |= 0x80;
        point
    });
    points.into_iter().chain(signed).collect()
}

#[test]
fn ed25519_signatures_are_canonical() -> Result<()> {
    let nginx = start()?;
    let input = input("EdDSA", "ed");
    let good = signature("EdDSA", &ED25519, input.as_bytes())?;
    let (r, s) = good.split_at(32);
    // The order of the base point, little-endian like all numbers of RFC 8032.
    let mut l = [0_u8; 32];
    l[..16].copy_from_slice(&[
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14,
    ]);
    l[31] = 0x10;
    let number = BigUint::from_bytes_le;
    let little = |number: &BigUint| {
        let mut bytes = fixed(number, 32)?;
        bytes.reverse();
        Some(bytes)
    };
    let mut table: Vec<(String, Vec<u8>, &str)> = vec![
        ("good".into(), good.clone(), "ok"),
        ("empty".into(), Vec::new(), "bad_signature"),
        ("R alone".into(), r.to_vec(), "bad_signature"),
        ("one byte less".into(), good[..63].to_vec(), "bad_signature"),
        ("one byte more".into(), [&good[..], &[0]].concat(), "bad_signature"),
        ("exchanged".into(), [s, r].concat(), "bad_signature"),
        (
            "big-endian S".into(),
            [r.to_vec(), s.iter().rev().copied().collect()].concat(),
            "bad_signature",
        ),
        ("S 0".into(), [r, &[0; 32]].concat(), "bad_signature"),
        ("S L".into(), [r, &l].concat(), "bad_signature"),
        ("S all ones".into(), [r, &[0xff; 32]].concat(), "bad_signature"),
        ("all zeros".into(), vec![0; 64], "bad_signature"),
        ("all ones".into(), vec![0xff; 64], "bad_signature"),
    ];
    // A verifier that does not check the range of S also accepts S plus a multiple of L.
    for times in 1_u8..=15 {
        if let Some(s) = little(&(number(s) + number(&l) * times)) {
            table.push((format!("S + {times} L"), [r, &s].concat(), "bad_signature"));
        }
    }
    for bit in [253, 254, 255] {
        let mut flipped = good.clone();
        flipped[32 + bit / 8] ^= 1 << (bit % 8);
        table.push((format!("bit {bit} of S"), flipped, "bad_signature"));
    }
    let mut sign = good.clone();
    sign[31] ^= 0x80;
    table.push(("the sign of R".into(), sign, "bad_signature"));
    for point in odd_points() {
        for (name, s) in [("0", &[0; 32][..]), ("1", &[&[1], &[0; 31][..]].concat()), ("good", s)] {
            let name = format!("R {:02x}..{:02x}, S {name}", point[0], point[31]);
            table.push((name, [&point[..], s].concat(), "bad_signature"));
        }
    }
    withstand(&nginx, cases(&nginx, &input, table))?;
    nginx.finish()?;

    let key = |x: &[u8]| json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(x) }).to_string();
    let refused = |name: &str, x: &[u8]| {
        mistake_in(name, "jwks_file keys.json;", "keys.json", key(x), &["Ed25519"])
    };
    let mut mistakes: Vec<_> =
        odd_points().iter().map(|x| refused(&format!("{:02x}..{:02x}", x[0], x[31]), x)).collect();
    let short = ED25519.public_number()?;
    mistakes.push(refused("31 bytes", &short[..31]));
    mistakes.push(refused("33 bytes", &[&short[..], &[0]].concat()));
    mistakes.push(refused("none", &[]));
    println!("attack cases: {}", mistakes.len());
    refuse_all(&mistakes)
}

/// Signs these bytes as they are (RSASP1), so that a test can sign any padding.
fn rsa_raw(key: &RsaPrivateKey, encoded: &[u8]) -> Vec<u8> {
    let signature = BigUint::from_bytes_be(encoded).modpow(key.d(), key.n());
    fixed(&signature, key.size()).unwrap()
}

/// The prefix of RFC 8017 section 9.2 for SHA-256 and SHA-384.
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0, 0x04, 0x20,
];
const SHA384_INFO: [u8; 19] = [
    0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05,
    0, 0x04, 0x30,
];

#[test]
fn rsa_signatures_have_one_padding() -> Result<()> {
    let nginx = start()?;
    let key = RsaPrivateKey::from_pkcs8_pem(RSA.private)?;
    let size = key.size();
    let input = input("RS256", "rsa");
    let digest = Sha256::digest(&input).to_vec();
    let good = signature("RS256", &RSA, input.as_bytes())?;
    let padded = |parts: &[&[u8]]| {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        [&[0, 1][..], &vec![0xff; size - 3 - length], &[0], &parts.concat()].concat()
    };
    let right = padded(&[&SHA256_INFO, &digest]);
    let changed = |at: usize, to: u8| {
        let mut block = right.clone();
        block[at] = to;
        block
    };
    let no_null: Vec<u8> =
        [&[0x30, 0x2f, 0x30, 0x0b][..], &SHA256_INFO[4..15], &SHA256_INFO[17..]].concat();
    let n = key.n().to_bytes_be();
    let number = |small: u8| fixed(&BigUint::from(small), size).unwrap();
    let blocks = [
        ("digest alone", padded(&[&digest])),
        ("no NULL", padded(&[&no_null, &digest])),
        ("of SHA-384", padded(&[&SHA384_INFO, &Sha384::digest(&input)])),
        ("SHA-384 said of SHA-256", padded(&[&SHA384_INFO, &digest])),
        ("another digest", padded(&[&SHA256_INFO, &Sha256::digest("other")])),
        ("block type 0", changed(1, 0)),
        ("block type 2", changed(1, 2)),
        ("a first byte", changed(0, 1)),
        ("padding not all ones", changed(9, 0xfe)),
        ("padding that ends early", changed(9, 0)),
        ("no separator", changed(size - 52, 0xff)),
        // Bleichenbacher 2006: short padding, then garbage that a lax parser ignores.
        (
            "garbage behind",
            [&[0, 1][..], &[0xff; 8], &[0], &SHA256_INFO, &digest, &vec![0x42; size - 62]].concat(),
        ),
        (
            "garbage within the parameters",
            padded(&[
                &[0x30, 0x35, 0x30, 0x11],
                &SHA256_INFO[4..15],
                &[4, 4, 1, 2, 3, 4],
                &SHA256_INFO[17..],
                &digest,
            ]),
        ),
        ("no padding at all", [vec![0; size - 51], SHA256_INFO.to_vec(), digest.clone()].concat()),
        ("long form lengths", padded(&[&[0x30, 0x81, 0x31], &SHA256_INFO[2..], &digest])),
    ];
    assert_eq!(rsa_raw(&key, &right), good, "the block is not what RS256 signs");
    let mut table: Vec<(String, Vec<u8>, &str)> = vec![("good".into(), good.clone(), "ok")];
    for (name, block) in blocks {
        table.push((name.to_owned(), rsa_raw(&key, &block), "bad_signature"));
    }
    for (name, signature) in [
        ("empty", Vec::new()),
        ("0", number(0)),
        ("1", number(1)),
        ("n - 1", subtract(&n, &number(1))),
        ("n", n.clone()),
        ("all ones", vec![0xff; size]),
        ("0 in one byte", vec![0]),
        ("the block itself", right.clone()),
        ("n - s", subtract(&n, &good)),
        ("one byte less", good[..size - 1].to_vec()),
        ("one byte more", [&good[..], &[0]].concat()),
        ("one byte before", [&[0], &good[..]].concat()),
        ("twice", [&good[..], &good].concat()),
        ("little-endian", good.iter().rev().copied().collect()),
        ("of another key", signature("RS256", &RSA_OTHER, input.as_bytes())?),
        ("of PS256", signature("PS256", &RSA, input.as_bytes())?),
    ] {
        table.push((name.to_owned(), signature, "bad_signature"));
    }
    if let Some(above) = plus(&good, &n) {
        table.push(("s + n".into(), above, "bad_signature"));
    }
    withstand(&nginx, cases(&nginx, &input, table))?;
    nginx.finish()
}

/// MGF1 of RFC 8017 section B.2.1 with SHA-256.
fn mask(seed: &[u8], length: usize) -> Vec<u8> {
    let blocks = (0_u32..).map(|at| Sha256::digest([seed, &at.to_be_bytes()].concat()).to_vec());
    blocks.take(length.div_ceil(32)).flatten().take(length).collect()
}

/// EMSA-PSS of RFC 8017 section 9.1.1, with SHA-256 and a salt of any length.
fn pss(message: &[u8], salt: &[u8], size: usize, trailer: u8) -> Vec<u8> {
    let hashed = Sha256::digest([&[0; 8], &Sha256::digest(message)[..], salt].concat()).to_vec();
    let zeros = size - salt.len() - 34;
    let block = [&vec![0; zeros], &[1][..], salt].concat();
    let masked: Vec<u8> =
        block.iter().zip(mask(&hashed, block.len())).map(|(a, b)| a ^ b).collect();
    let mut encoded = [&masked, &hashed[..], &[trailer]].concat();
    encoded[0] &= 0x7f;
    encoded
}

#[test]
fn pss_salts_are_as_long_as_the_hash() -> Result<()> {
    let nginx = start()?;
    let key = RsaPrivateKey::from_pkcs8_pem(RSA.private)?;
    let size = key.size();
    let input = input("PS256", "rsa");
    let n = key.n().to_bytes_be();
    let sign = |salt: &[u8], trailer| rsa_raw(&key, &pss(input.as_bytes(), salt, size, trailer));
    let mut table: Vec<(String, Vec<u8>, &str)> = Vec::new();
    for length in [0, 1, 20, 31, 32, 33, 48, 64, size - 34] {
        let word = if length == 32 { "ok" } else { "bad_signature" };
        table.push((format!("salt of {length}"), sign(&vec![7; length], 0xbc), word));
    }
    table.push(("another trailer".into(), sign(&[7; 32], 0xcc), "bad_signature"));
    let mut top = pss(input.as_bytes(), &[7; 32], size, 0xbc);
    let leading = top[0];
    top[0] = 0;
    if leading != 0 {
        table.push(("the first byte masked".into(), rsa_raw(&key, &top), "bad_signature"));
    }
    table.push(("0".into(), vec![0; size], "bad_signature"));
    table.push(("n".into(), n, "bad_signature"));
    for (name, used) in [("RS256", "RS256"), ("PS384", "PS384"), ("PS512", "PS512")] {
        table.push((name.to_owned(), signature(used, &RSA, input.as_bytes())?, "bad_signature"));
    }
    withstand(&nginx, cases(&nginx, &input, table))?;
    nginx.finish()
}

#[test]
fn weak_keys_are_refused_by_name_and_short_secrets_told() -> Result<()> {
    let number = |key: &Key, member: &str| -> Result<Vec<u8>> {
        let jwk = key.jwk(&json!({}))?;
        Ok(URL_SAFE_NO_PAD.decode(jwk[member].as_str().context("a member")?)?)
    };
    let n = number(&RSA, "n")?;
    let rsa = |n: &[u8], e: &[u8]| {
        json!({ "keys": [{ "kty": "RSA", "kid": "weak", "n": base64url(n), "e": base64url(e) }] })
            .to_string()
    };
    let odd = |bits: usize| {
        let mut n = vec![0xff; bits / 8];
        n[0] = 0x80;
        n
    };
    let mut even = n.clone();
    even[255] &= 0xfe;
    let good_e = &[1, 0, 1][..];
    let mut mistakes = Vec::new();
    let mut add = |name: &str, text: String, fragments: &[&str]| {
        mistakes.push(mistake_in(name, "jwks_file keys.json;", "keys.json", text, fragments));
    };
    for (name, n, fragment) in [
        ("1024 bits", number(&RSA_WEAK, "n")?, "1024"),
        ("2040 bits", odd(2040), "2040"),
        ("8200 bits", odd(8200), "8200"),
        ("16384 bits", odd(16384), "16384"),
        ("no modulus", Vec::new(), "0 bits"),
        ("modulus 0", vec![0; 256], "0 bits"),
        ("modulus 1", [vec![0; 255], vec![1]].concat(), "1 bits"),
        ("even", even, "even"),
        ("padded to size", [vec![0; 128], odd(1024)].concat(), "1024"),
    ] {
        add(name, rsa(&n, good_e), &["keys[0]", "RSA modulus", fragment]);
    }
    for e in
        [&[][..], &[0], &[1], &[2], &[3], &[17], &[1, 0, 0], &[0xff; 5], &[1; 9], &[0, 0, 0, 3]]
    {
        add(&format!("exponent {e:?}"), rsa(&n, e), &["keys[0].e", "RSA exponent"]);
    }
    add("exponent 3", RSA_E3.jwks("e3")?, &["RSA exponent"]);
    add("1024 bits in PEM", RSA_WEAK.public.to_owned(), &["1024"]);
    add("a private key in PEM", RSA.private.to_owned(), &["private key"]);
    let oct = |k: &str| json!({ "kty": "oct", "kid": "weak", "k": k }).to_string();
    add("an empty secret", oct(""), &["k", "empty"]);
    for k in ["c2VjcmV0=", "c2Vj cmV0", "a+b/=", "QR", "!"] {
        add(&format!("k {k:?}"), oct(k), &["k", "base64url"]);
    }
    mistakes.push(mistake("an empty secret", "jwt_kids { weak \"\"; }", &["weak", "empty"]));
    mistakes.push(mistake_in(
        "an empty secret in a file",
        "jwt_kids_file kids.json;",
        "kids.json",
        r#"{"weak":""}"#,
        &["weak", "empty"],
    ));
    println!("attack cases: {}", mistakes.len());
    refuse_all(&mistakes)?;

    let told = |server: &str| Nginx::builder().server(server).check();
    for (secret, fragments) in [
        ("x", ["1 bytes", "32"]),
        ("a-secret-of-thirty-one-bytes-xx", ["31 bytes", "32"]),
        ("a-secret-of-forty-seven-bytes-x-a-secret-of-for alg=HS384", ["47 bytes", "48"]),
    ] {
        let checked = told(&format!("jwt_kids {{ short {secret}; }}"))?;
        checked.warned_with(&[&["short"][..], &fragments].concat())?;
    }
    told(&format!("jwt_kids {{ long {SECRET}; }}"))?.accepted()
}
