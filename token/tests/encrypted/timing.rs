//! Whether the time of a refusal tells what was wrong. Measured alone, on a quiet machine:
//! `cargo nextest run --release -p token --run-ignored only -E 'test(timing)' --no-capture`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use token::base64url::{decode, encode};
use token::jwe::{ContentEncryption, DecryptionKeys, KeyManagement, decrypt};

use super::{encrypted, key_for, keys};

const TRIES: usize = 10_000;

/// The token with the last byte of a section changed.
fn changed(token: &str, section: usize) -> String {
    let mut sections: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut bytes = decode(sections[section].as_bytes()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    sections[section] = encode(bytes);
    sections.join(".")
}

/// The median time of each token, measured in turns.
fn medians(tokens: &[String], keys: &DecryptionKeys) -> Vec<Duration> {
    let mut times = vec![Vec::with_capacity(TRIES); tokens.len()];
    for _ in 0..TRIES {
        for (token, times) in tokens.iter().zip(&mut times) {
            let began = Instant::now();
            let _ = black_box(decrypt(black_box(token.as_bytes()), keys));
            times.push(began.elapsed());
        }
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    times.iter().map(|times| times[TRIES / 2]).collect()
}

#[test]
#[ignore = "a measurement, which other work on the machine disturbs"]
fn timing() {
    let content = vec![b' '; 500];
    for management in KeyManagement::ALL {
        for encryption in [ContentEncryption::A256Gcm, ContentEncryption::A256CbcHs512] {
            let key = &key_for(management, encryption)[0];
            let token = encrypted(key, management, encryption, &content);
            let mut tokens = vec![token.clone(), changed(&token, 4)];
            if !token.contains("..") {
                tokens.push(changed(&token, 1));
            }
            let times = medians(&tokens, &keys(key));
            let shown: Vec<_> =
                times.iter().map(|it| format!("{:.2}", it.as_nanos() as f64 / 1e3)).collect();
            println!("{management} {encryption}: good, bad tag, bad key: {} us", shown.join(", "));
            if let [_, tag, key] = times[..] {
                let (less, more) = (tag.min(key), tag.max(key));
                assert!(more - less < Duration::from_nanos(300).max(less / 20), "{shown:?}");
            }
        }
    }
}
