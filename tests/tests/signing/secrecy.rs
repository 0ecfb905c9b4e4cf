//! Private keys are not published, not logged, and wiped from memory.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use module_tests::{
    Behaviour, ED25519, Nginx, P256, P256_OTHER, Provider, RSA, RSA_OTHER, SECRET, base64url, until,
};
use serde_json::json;

use super::{CHECKED, KEY, logged, login_builder};

/// How often the memory of a process holds these bytes.
fn occurrences(pid: u32, wanted: &[u8]) -> Result<usize> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (start, end) = range.context("a range")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let mut bytes = vec![0; usize::try_from(end - start)?];
        // Some ranges are the kernel's.
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            found += bytes.windows(wanted.len()).filter(|window| *window == wanted).count();
        }
    }
    Ok(found)
}

/// What of a private key in PEM must not be in memory: parts of its text and of its bytes.
fn parts(pem: &str) -> Result<Vec<Vec<u8>>> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(&text)?;
    // The beginning says which kind it is, which is no secret.
    let middle = der.len() / 2;
    let line = pem.lines().nth(2).filter(|line| line.len() > 30).unwrap_or(&text[40..70]);
    Ok(vec![line.as_bytes()[..30].to_vec(), der[middle..middle + 16].to_vec()])
}

#[test]
fn a_key_that_is_gone_is_wiped() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let oct = |secret: &str| json!({ "kty": "oct", "kid": secret[..3].to_owned(), "k": base64url(secret) });
    let other = "a secret of another configuration, long enough";
    for (old, new, wanted) in [
        (RSA.private.to_owned(), RSA_OTHER.private.to_owned(), parts(RSA.private)?),
        (ED25519.private.to_owned(), P256.private.to_owned(), ed25519_parts()?),
        (
            oct(SECRET).to_string(),
            oct(other).to_string(),
            vec![SECRET.as_bytes()[..30].to_vec(), base64url(SECRET).as_bytes()[..30].to_vec()],
        ),
    ] {
        let login = format!(
            "location = /login {{ jwt_sign_key {KEY} keep=1h; jwt_sign t; {} }}",
            provider.pass()
        );
        let nginx = Nginx::builder().file(KEY, old).server(&login).start()?;
        assert_eq!(nginx.get("/login")?.status, 200);
        let master = nginx.read("nginx.pid").trim().parse()?;
        let processes = |nginx: &Nginx| [vec![master], nginx.workers()].concat();
        for wanted in &wanted {
            for pid in processes(&nginx) {
                // While it is in force it is there at most once: as the library's own.
                assert!(occurrences(pid, wanted)? <= 1, "copies of the key in {pid}");
            }
        }
        nginx.put(KEY, new)?;
        nginx.reload()?;
        assert_eq!(nginx.get("/login")?.status, 200);
        for wanted in &wanted {
            until("the old key to be gone", || {
                let mut left = 0;
                for pid in processes(&nginx) {
                    left += occurrences(pid, wanted).unwrap_or(0);
                }
                Ok((left == 0).then_some(()))
            })?;
        }
        nginx.finish()?;
    }
    Ok(())
}

/// The seed of the Ed25519 key, which is the end of its PKCS#8.
fn ed25519_parts() -> Result<Vec<Vec<u8>>> {
    let text: String = ED25519.private.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(&text)?;
    let seed = der.len().checked_sub(32).and_then(|at| der.get(at..)).context("a seed")?;
    Ok(vec![seed.to_vec(), text.as_bytes()[24..60].to_vec()])
}

#[test]
fn neither_logs_nor_the_key_set_nor_the_status_tell_a_private_key() -> Result<()> {
    let provider =
        Provider::start(Behaviour::Keys(r#"{"access_token":{"sub":"alice-4711"}}"#.into()))?;
    let jwk = json!({ "kty": "oct", "kid": "s", "k": base64url(SECRET) }).to_string();
    let nginx = login_builder(&provider, "jwt_sign access_token; jwt_sign_key secret.json;")
        .file("secret.json", jwk)
        .server(format!(
            "jwt_sign_key {KEY}; jwt_sign_key secret.json;
            location = /login {{ jwt_sign access_token; {} }}
            location = /status {{ token_auth_status format=json; }}
            {CHECKED}",
            provider.pass()
        ))
        .start()?;
    let signed = nginx.get("/login")?;
    let token: serde_json::Value = serde_json::from_slice(&signed.body)?;
    let token = super::text(&token, "access_token")?.to_owned();
    assert_eq!(super::api(&nginx, &token)?.status, 200);
    let set = nginx.get("/jwks")?;
    let status = nginx.get("/status")?;
    let der = STANDARD
        .decode(P256.private.lines().filter(|l| !l.starts_with('-')).collect::<String>())?;
    // The private number of a P-256 key in PKCS#8 (RFC 5915).
    let at = der.windows(4).position(|it| it == [2, 1, 1, 4]).context("a number")? + 5;
    let number = der.get(at..at + 32).context("32 bytes")?;
    for text in [set.text(), status.text()] {
        for secret in
            [URL_SAFE_NO_PAD.encode(number), base64url(SECRET), "\"d\"".into(), "alice".into()]
        {
            ensure!(!text.contains(&secret), "{secret} in {text}");
        }
    }
    assert!(status.text().contains("\"s\""), "the kid is shown: {}", status.text());
    nginx.assert_no_secret(&[&token, SECRET, &URL_SAFE_NO_PAD.encode(number)])?;
    assert!(!nginx.error_log().contains("alice-4711"));
    nginx.finish()
}

#[test]
fn a_broken_key_file_leaves_the_running_one_in_force() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let login = format!(
        "location = /login {{ jwt_sign_key {KEY} check=10ms; jwt_sign t; {} }}",
        provider.pass()
    );
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .server(format!("{login} {CHECKED}"))
        .expect_log("login.pem")
        .start()?;
    let works = || -> Result<()> {
        let answer: serde_json::Value = serde_json::from_slice(&nginx.get("/login")?.body)?;
        assert_eq!(super::api(&nginx, super::text(&answer, "t")?)?.verdict(), (200, "ok"));
        Ok(())
    };
    works()?;
    for broken in ["", "hello", P256.public, &P256_OTHER.private[..80]] {
        nginx.put(KEY, broken)?;
        until("the fault to be told", || {
            works()?;
            Ok(nginx.error_log().contains("its last good content stays in force").then_some(()))
        })?;
    }
    let said = nginx.reload_refused()?;
    assert!(said.contains("login.pem"), "{said}");
    works()?;
    logged(&nginx, "signing key")?;
    nginx.finish()
}
