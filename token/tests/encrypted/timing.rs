//! Whether the time of a refusal tells what was wrong, and what an encrypted token costs beside the same token
//! unencrypted. Measured alone, on a quiet machine:
//! `cargo nextest run --release -p token --run-ignored only -E 'test(timing::)' --no-capture`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::base64url::{decode, encode};
use token::jwe::{ContentEncryption, DecryptionKeys, KeyManagement, decrypt};
use token::{AlgorithmSet, Cache, Headers, Key, KeySet, Policy, Trust, With};

use super::judged::{check, policy};
use super::{CURVES, NOW, RSA, encrypted, key_for, keys, oct};

const TRIES: usize = 10_000;

/// The token with the last byte of a section changed.
fn changed(token: &str, section: usize) -> String {
    let mut sections: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut bytes = decode(sections[section].as_bytes()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    sections[section] = encode(bytes);
    sections.join(".")
}

/// The median time of each work, measured in turns.
fn medians(works: &mut [Box<dyn FnMut() + '_>]) -> Vec<Duration> {
    let mut times = vec![Vec::with_capacity(TRIES); works.len()];
    for _ in 0..TRIES {
        for (work, times) in works.iter_mut().zip(&mut times) {
            let began = Instant::now();
            work();
            times.push(began.elapsed());
        }
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    times.iter().map(|times| times[TRIES / 2]).collect()
}

fn us(time: Duration) -> String {
    format!("{:.2}", time.as_nanos() as f64 / 1e3)
}

#[test]
#[ignore = "a measurement, which other work on the machine disturbs"]
fn refusals() {
    let content = vec![b' '; 500];
    for management in KeyManagement::ALL {
        for encryption in [ContentEncryption::A256Gcm, ContentEncryption::A256CbcHs512] {
            let key = &key_for(management, encryption)[0];
            let token = encrypted(key, management, encryption, &content);
            let mut tokens = vec![token.clone(), changed(&token, 4)];
            if !token.contains("..") {
                tokens.push(changed(&token, 1));
            }
            let keys = keys(key);
            let decrypts = |token: &String| -> Box<dyn FnMut() + '_> {
                let (token, keys) = (token.clone(), &keys);
                Box::new(move || drop(black_box(decrypt(black_box(token.as_bytes()), keys))))
            };
            let times = medians(&mut tokens.iter().map(decrypts).collect::<Vec<_>>());
            let shown: Vec<_> = times.iter().copied().map(us).collect();
            println!("{management} {encryption}: good, bad tag, bad key: {} us", shown.join(", "));
            if let [_, tag, key] = times[..] {
                let (less, more) = (tag.min(key), tag.max(key));
                assert!(more - less < Duration::from_nanos(300).max(less / 20), "{shown:?}");
            }
        }
    }
}

/// A token whose signature costs little, so that the rest shows, and who accepts it in which form.
fn quick(accept: &str, keys: Vec<Arc<DecryptionKeys>>) -> (String, Trust) {
    const SECRET: &[u8] = &[7; 32];
    let claims =
        format!(r#"{{"iss":"https://issuer.example","sub":"somebody","exp":{}}}"#, NOW + 600);
    let message = format!("{}.{}", encode(r#"{"alg":"HS256","kid":"s"}"#), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(&message);
    let token = format!("{message}.{}", encode(mac.finalize().into_bytes()));
    let key = Key::hmac(SECRET, AlgorithmSet::ALL).unwrap().with_kid(Some("s"));
    let verifying = vec![Arc::new(KeySet::new(vec![key]))];
    (token, Trust::Keys(Policy { keys: verifying, ..policy(accept, keys) }))
}

/// A signed token, the same one encrypted, without a cache and with one; and what the library needs for RSA.
#[test]
#[ignore = "a measurement, which other work on the machine disturbs"]
fn costs() {
    let (signed, plain) = quick("signed", Vec::new());
    let rsa = rsa_alone();
    for (management, encryption, key) in [
        (KeyManagement::Dir, ContentEncryption::A256Gcm, &*oct(32)),
        (KeyManagement::Dir, ContentEncryption::A128CbcHs256, &oct(32)),
        (KeyManagement::A256Kw, ContentEncryption::A256Gcm, &oct(32)),
        (KeyManagement::A192Kw, ContentEncryption::A256Gcm, &oct(24)),
        (KeyManagement::EcdhEs, ContentEncryption::A256Gcm, CURVES[0]),
        (KeyManagement::EcdhEs, ContentEncryption::A256Gcm, CURVES[3]),
        (KeyManagement::RsaOaep, ContentEncryption::A256Gcm, RSA),
    ] {
        let nested = encrypted(key, management, encryption, signed.as_bytes());
        let (_, trust) = quick("nested", vec![Arc::new(keys(key))]);
        let caches = [Cache::new(1 << 20).unwrap(), Cache::new(1 << 20).unwrap()];
        let headers = [Headers::default(), Headers::default()];
        let new = |at: usize| With { headers: Some(&headers[at]), ..With::default() };
        let cached = |at: usize| With { cache: Some(&caches[at]), ..new(at) };
        let mut works: Vec<Box<dyn FnMut() + '_>> = vec![
            Box::new(|| drop(check(&plain, &signed, new(0)).unwrap())),
            Box::new(|| drop(check(&trust, &nested, new(1)).unwrap())),
            Box::new(|| drop(check(&plain, &signed, cached(0)).unwrap())),
            Box::new(|| drop(check(&trust, &nested, cached(1)).unwrap())),
            Box::new(&rsa),
        ];
        let times = medians(&mut works);
        let [plain, sealed, seen, seen_sealed, floor] = [0, 1, 2, 3, 4].map(|at| us(times[at]));
        println!(
            "{management} {encryption}: {plain} us signed (HS256), {sealed} nested; seen before {seen} and \
             {seen_sealed}; the library's RSA-OAEP {floor}"
        );
    }
}

/// A decryption by the library alone.
fn rsa_alone() -> impl Fn() {
    use aws_lc_rs::rsa::{
        OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    };
    let key = PrivateDecryptingKey::from_pkcs8(pem::parse(RSA).unwrap().contents()).unwrap();
    let public = OaepPublicEncryptingKey::new(key.public_key()).unwrap();
    let mut sealed = vec![0; 256];
    public.encrypt(&OAEP_SHA1_MGF1SHA1, &[7; 32], &mut sealed, None).unwrap();
    let key = OaepPrivateDecryptingKey::new(key).unwrap();
    move || {
        let mut out = vec![0; 256];
        let opened = key.decrypt(&OAEP_SHA1_MGF1SHA1, black_box(&sealed), &mut out, None);
        assert_eq!(opened.unwrap().len(), 32);
    }
}
