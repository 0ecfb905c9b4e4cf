//! Tokens that jwcrypto and joserfc encrypt, in every combination, pass; and both decrypt what `tokenctl`
//! encrypts. `./build.sh test` installs them, and sets `NGX_TEST_JOSE` to the Python that has them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use module_tests::{Nginx, SERVE, now, secret_jwk, tokenctl};
use serde_json::{Map, Value, json};

/// The private members of the committed keys, as JWKs, and a secret of each length.
fn keys() -> Result<Map<String, Value>> {
    let mut keys = Map::new();
    for name in ["rsa2048", "p256", "p384", "p521"] {
        let pem = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("keys/{name}.pem"));
        let output = python(&["-c", JWK_OF_PEM, &pem.display().to_string()], "")?;
        keys.insert(name.to_owned(), serde_json::from_str(&output)?);
    }
    let x25519 = json!({
        "kty": "OKP", "crv": "X25519", "d": "GBsjnhlARZxE3c0MUm7tMTsJlGur7zjMqWD6q5v7_38",
        "x": "WjyxMPak-TB57hl--P7MiNcFSn6bJyqphtgHNcMy6Aw",
    });
    keys.insert("x25519".to_owned(), x25519);
    for len in [16_u8, 24, 32, 48, 64] {
        let secret: Vec<u8> = (0..len).map(|at| at.wrapping_mul(7)).collect();
        keys.insert(format!("oct{len}"), secret_jwk(&secret, &json!({})));
    }
    Ok(keys)
}

const JWK_OF_PEM: &str = "import sys; from jwcrypto.jwk import JWK; \
    print(JWK.from_pem(open(sys.argv[1], 'rb').read()).export_private())";

fn jose() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("NGX_TEST_JOSE").unwrap_or_default());
    (!python.as_os_str().is_empty()).then_some(python)
}

fn python(words: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(jose().context("NGX_TEST_JOSE")?)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("stdin")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What `tokenctl` encrypts to each key, with each algorithm of its kind once.
fn ours(nginx: &Nginx, keys: &Map<String, Value>, content: &str) -> Result<Vec<Value>> {
    let mut tokens = Vec::new();
    for (name, key) in keys {
        let algorithms: &[&str] = match (key["kty"].as_str(), name.as_str()) {
            (Some("RSA"), _) => &["RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"],
            (_, "oct16") => &["A128KW", "A128GCMKW"],
            (_, "oct24") => &["A192KW", "A192GCMKW"],
            (_, "oct32") => &["A256KW", "A256GCMKW", "dir"],
            (_, "oct48") | (_, "oct64") => &["dir"],
            _ => &["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"],
        };
        let file = nginx.prefix().join(format!("{name}.json"));
        let encryptions = ["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A192GCM"];
        for (algorithm, encryption) in algorithms.iter().zip(encryptions) {
            let encryption = match (name.as_str(), *algorithm) {
                ("oct48", _) => "A192CBC-HS384",
                ("oct64", _) => "A256CBC-HS512",
                (_, "dir") => "A256GCM",
                _ => encryption,
            };
            let output = Command::new(tokenctl()?)
                .args(["encrypt", content, "--alg", algorithm, "--enc", encryption, "--key"])
                .arg(&file)
                .output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            tokens.push(json!([String::from_utf8(output.stdout)?.trim(), name]));
        }
    }
    Ok(tokens)
}

#[test]
fn in_every_combination() -> Result<()> {
    if jose().is_none() {
        println!("not run: NGX_TEST_JOSE names no Python with jwcrypto and joserfc");
        return Ok(());
    }
    let keys = keys()?;
    let mut builder = Nginx::builder();
    let mut server = String::new();
    for (name, key) in &keys {
        builder = builder.file(format!("{name}.json"), key.to_string());
        server.push_str(&format!(
            "location /{name} {{ jwt_type encrypted; jwt_decryption_key {name}.json; {SERVE} }}\n"
        ));
    }
    let nginx = builder.server(server).start()?;
    let content = json!({ "sub": "Zoë", "exp": now() + 600 }).to_string();
    let ours = ours(&nginx, &keys, &content)?;
    let given = json!({ "keys": keys, "content": content, "ours": ours });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens/encrypt.py");
    let answer: Value =
        serde_json::from_str(&python(&[&script.display().to_string()], &given.to_string())?)?;
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let mut passed = BTreeSet::new();
    for made in list("made") {
        let [library, alg, enc, key, token] =
            [0, 1, 2, 3, 4].map(|at| made[at].as_str().unwrap_or_default());
        let response = nginx.bearer(format!("/{key}"), token)?;
        assert_eq!(response.verdict(), (200, "ok"), "{library} {alg} {enc} {key}");
        passed.insert((library.to_owned(), alg.to_owned(), enc.to_owned(), key.to_owned()));
    }
    for read in list("read") {
        let texts = [2, 3, 4].map(|at| read[at].as_str().unwrap_or_default());
        let known = texts.iter().filter(|text| **text == content).count();
        let cannot = texts.iter().filter(|text| text.starts_with("cannot: ")).count();
        assert!(known >= 1 && known + cannot == 3, "{read}");
    }
    for left_out in list("left_out") {
        println!("left out: {left_out}");
    }
    let by = |library: &str| passed.iter().filter(|one| one.0 == library).count();
    println!("passed: {} of jwcrypto, {} of joserfc", by("jwcrypto"), by("joserfc"));
    // RSA: 2; curves: 4 each; secrets of 16, 24, 32 bytes: 2 each; each with 6 encryptions. And dir with 6, and
    // RSA-OAEP-384 and -512, which neither of them knows, with AES-GCM.
    let all = 6 * (2 + 4 * 4 + 3 * 2) + 6 + 2 * 3;
    let known: BTreeSet<_> = passed.iter().map(|(_, alg, enc, key)| (alg, enc, key)).collect();
    assert_eq!(known.len(), all, "{:?}", list("left_out"));
    nginx.finish()
}
