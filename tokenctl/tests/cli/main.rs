//! Runs the program as a person does. What it signs is verified by the core, as in the module, and by
//! `jsonwebtoken` with RustCrypto, which shares no code with the signing.
// The lints exempt test functions, and here their helpers are meant as well.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod encrypted;
mod inspect;
mod jwt;
mod keys;
mod links;
mod links_of_urls;
mod output;
mod status_list;
mod url;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a call ended.
#[derive(Debug)]
struct Call {
    status: i32,
    out: String,
    err: String,
}

/// Calls tokenctl with nothing on its standard input.
fn tokenctl<S: AsRef<str>>(words: &[S]) -> Call {
    with_input(words, b"")
}

fn with_input<S: AsRef<str>>(words: &[S], input: &[u8]) -> Call {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tokenctl"))
        .args(words.iter().map(AsRef::as_ref))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A call that does not read its input may have ended already.
    drop(child.stdin.take().unwrap().write_all(input));
    let output = child.wait_with_output().unwrap();
    Call {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The output, without its line break, of a call that must succeed and write nothing to standard error.
fn printed<S: AsRef<str>>(words: &[S]) -> String {
    let call = tokenctl(words);
    assert_eq!((call.status, call.err.as_str()), (0, ""), "{}", call.out);
    call.out.trim_end().to_owned()
}

/// The message of a call that must fail.
fn failed<S: AsRef<str>>(words: &[S]) -> String {
    let call = tokenctl(words);
    assert_eq!((call.status, call.out.as_str()), (2, ""), "{}", call.err);
    call.err
}

/// A folder with keys that `tokenctl keys` made.
struct Made {
    dir: tempfile::TempDir,
}

impl Made {
    fn new(algorithm: &str, more: &[&str]) -> Self {
        let made = Self { dir: tempfile::tempdir().unwrap() };
        let out = made.dir.path().join("k").display().to_string();
        let words = [&["keys", "--alg", algorithm, "--out", &out], more].concat();
        printed(&words);
        made
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.dir.path().join(format!("k.{suffix}"))
    }

    fn name(&self, suffix: &str) -> String {
        self.path(suffix).display().to_string()
    }

    fn text(&self, suffix: &str) -> String {
        std::fs::read_to_string(self.path(suffix)).unwrap()
    }
}

/// A key that OpenSSL made.
fn openssl_key(name: &str) -> String {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/keys");
    keys.join(name).display().to_string()
}
