//! Other implementations read what is signed here: PyJWT, jwcrypto and joserfc. `./build.sh test` installs
//! them, and sets `NGX_TEST_JOSE` to the Python that has them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use module_tests::{Behaviour, ED25519, Nginx, P256, P384, P521, Provider, RSA, SECRET, base64url};
use serde_json::{Map, Value, json};

use super::text;

/// What the libraries have read of tokens; nothing, with a printed note, where they are not installed.
fn verified(given: &Value) -> Result<Option<Value>> {
    let python = PathBuf::from(std::env::var_os("NGX_TEST_JOSE").unwrap_or_default());
    if python.as_os_str().is_empty() {
        println!("not run: NGX_TEST_JOSE names no Python with PyJWT, jwcrypto and joserfc");
        return Ok(None);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signing/verify.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("stdin")?.write_all(given.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

#[test]
fn what_is_signed_here_is_verified_elsewhere() -> Result<()> {
    let answer = r#"{"t":{"sub":"Zoë","roles":["a"],"n":12345678901234567}}"#;
    let provider = Provider::start(Behaviour::Keys(answer.into()))?;
    let secret = json!({ "kty": "oct", "kid": "s", "k": base64url(SECRET) }).to_string();
    let keys = [
        ("rsa.pem", RSA.private, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        ("p256.pem", P256.private, &["ES256"]),
        ("p384.pem", P384.private, &["ES384"]),
        ("p521.pem", P521.private, &["ES512"]),
        ("ed25519.pem", ED25519.private, &["EdDSA"]),
        ("secret.json", &secret, &["HS256", "HS384", "HS512"]),
    ];
    let mut builder = Nginx::builder();
    let mut server = "location = /jwks { jwks_publish; }".to_owned();
    for (file, key, algorithms) in keys {
        builder = builder.file(file, key);
        for algorithm in algorithms {
            let key = format!("jwt_sign_key {file} kid={algorithm} alg={algorithm};");
            server.push_str(&format!(
                "location = /{algorithm} {{ {key} jwt_sign t; {pass} }}
                location = /full/{algorithm} {{ {key} jwt_sign t full; {pass} }}",
                pass = provider.pass()
            ));
        }
    }
    let nginx = builder.server(server).start()?;
    let set: Value = serde_json::from_slice(&nginx.get("/jwks")?.body)?;
    let (mut tokens, mut full) = (Map::new(), Map::new());
    for algorithm in keys.iter().flat_map(|(.., algorithms)| *algorithms) {
        let signed = |target: String| -> Result<Value> {
            let answer: Value = serde_json::from_slice(&nginx.get(target)?.body)?;
            Ok(text(&answer, "t")?.into())
        };
        tokens.insert((*algorithm).to_owned(), signed(format!("/{algorithm}"))?);
        if !algorithm.starts_with("HS") {
            full.insert(format!("full {algorithm}"), signed(format!("/full/{algorithm}"))?);
        }
    }
    let given = json!({ "set": set, "secret": base64url(SECRET), "tokens": tokens, "full": full });
    if let Some(read) = verified(&given)? {
        let read = read.as_object().context("an object")?;
        assert_eq!(read.len(), tokens.len() + full.len());
        for (name, claims) in read {
            let expected = (json!("Zoë"), json!(["a"]), json!(12_345_678_901_234_567_i64));
            assert_eq!(
                (&claims["sub"], &claims["roles"], &claims["n"]),
                (&expected.0, &expected.1, &expected.2),
                "{name}"
            );
        }
    }
    nginx.finish()
}
