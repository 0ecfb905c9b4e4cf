//! Output that fails, and input that could control the terminal.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::{Made, tokenctl, with_input};

const TOKENCTL: &str = env!("CARGO_BIN_EXE_tokenctl");

/// Calls that print something.
fn calls(made: &Made) -> Vec<Vec<String>> {
    let jwks = made.name("jwks.json");
    let fresh = made.path("fresh").display().to_string();
    let token = tokenctl(&["jwt", "--secret=s"]).out.trim().to_owned();
    [
        vec!["jwt", "--secret=s"],
        vec!["url", "--secret=s", "/a"],
        vec!["jwks", &jwks],
        vec!["inspect", &token, "--secret=s"],
        vec!["inspect", "/a?st=x&e=1"],
        vec!["keys", "--alg=HS256", "--force", "--out", &fresh],
        vec!["--help"],
        vec!["--version"],
        vec!["jwt", "--help"],
    ]
    .into_iter()
    .map(|words| words.into_iter().map(str::to_owned).collect())
    .collect()
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let made = Made::new("ES256", &[]);
    for words in calls(&made) {
        // A full device, a reader that has ended, and an output that was closed from the start.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(TOKENCTL).args(&words).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains("standard output: No space left"), "{words:?}: {said}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(TOKENCTL).args(&words).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains("standard output: Broken pipe"), "{words:?}: {said}");

        let closed = ["-c", "exec \"$@\" >&-", "sh", TOKENCTL];
        let output = Command::new("sh").args(closed).args(&words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains("standard output: it is closed"), "{words:?}: {said}");

        // /dev/null is not a closed output.
        let silent = Command::new(TOKENCTL).args(&words).stdout(Stdio::null()).output().unwrap();
        assert!(silent.status.code().is_some_and(|code| code < 2), "{words:?}");
        let both = File::options().read(true).write(true).open("/dev/null").unwrap();
        let silent = Command::new(TOKENCTL).args(&words).stdout(both).output().unwrap();
        assert!(silent.status.code().is_some_and(|code| code < 2), "{words:?}");
    }
}

#[test]
fn with_nowhere_to_complain_the_status_still_tells() {
    let closed = ["-c", "exec \"$@\" >&- 2>&-", "sh", TOKENCTL, "jwt", "--secret=s"];
    assert_eq!(Command::new("sh").args(closed).status().unwrap().code(), Some(2));
}

/// Clears the screen, in two ways, and turns the direction of writing.
const STEERING: &str = "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}";

/// Whether something could steer a terminal; lines may end.
fn steers(text: &str) -> bool {
    text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
}

#[test]
fn nothing_that_comes_from_outside_reaches_the_terminal_raw() {
    let made = Made::new("ES256", &[]);
    let (jwks, pem) = (made.name("jwks.json"), made.name("pem"));
    let folder = made.path("folder").display().to_string();
    let named = format!("{folder}{STEERING}\nkid forged");
    let not_there = format!("/nowhere/{STEERING}");
    let odd = made.path(&format!("odd{STEERING}"));
    fs::write(&odd, "no key").unwrap();
    let odd = odd.display().to_string();
    let claim = format!("--claim={STEERING}={STEERING}");
    let token = tokenctl(&["jwt", "--secret=s", "--kid", STEERING, &claim]).out;
    for words in [
        vec!["keys", "--alg=ES256", "--kid", STEERING, "--out", &named],
        vec!["jwks", "--kid", STEERING, &jwks],
        vec!["jwks", &not_there],
        vec!["jwks", &odd],
        vec!["jwt", "--key", &odd],
        vec!["jwt", "--key", &pem, "--alg", STEERING],
        vec!["jwt", "--secret=s", "--lifetime", STEERING],
        vec!["jwt", "--secret=s", &format!("--{STEERING}")],
        vec![STEERING],
        vec!["jwt", "--secret=s", "--claim", STEERING],
        vec!["jwt", "--secret=s", &claim, &claim],
        vec!["inspect", token.trim(), "--secret=x"],
        vec!["inspect", token.trim(), "--secret=s", "--issuer", STEERING],
        vec!["inspect", &format!("a.b.{STEERING}")],
        vec!["inspect", "/%1b[2J%c2%9b%0aVerdict:%20ok?st=x&e=1", "--sig-arg", STEERING],
        vec!["inspect", "/?st=x&e=1", "--value", STEERING],
        vec!["url", "--secret=s", "--sig-arg", STEERING, "/a"],
        vec!["url", "--secret=s", "--expires-arg", STEERING, "/a"],
        vec!["url", "--secret=s", "--expires", STEERING, "/a"],
        vec!["url", "--secret=s", STEERING],
    ] {
        let call = tokenctl(&words);
        assert!(!steers(&call.out) && !steers(&call.err), "{words:?}: {call:?}");
        assert!(!format!("{}{}", call.out, call.err).is_empty(), "{words:?}");
        // Input cannot add a line of its own.
        let forged = |line: &str| line.starts_with("kid forged") || line == "Verdict: ok";
        assert!(!call.out.lines().chain(call.err.lines()).any(forged), "{words:?}: {call:?}");
    }
}

/// Escapes do not change the value.
#[test]
fn a_key_set_says_the_kid_as_it_was_given() {
    let made = Made::new("ES256", &[]);
    let call = tokenctl(&["jwks", "--kid", STEERING, &made.name("jwks.json")]);
    let set: serde_json::Value = serde_json::from_str(&call.out).unwrap();
    assert_eq!(set["keys"][0]["kid"], STEERING);
}

#[test]
fn only_regular_files_are_read_and_nothing_waits_for_one() {
    let made = Made::new("ES256", &[]);
    let fifo = made.name("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let folder = made.name("folder");
    fs::create_dir(&folder).unwrap();
    let huge = made.name("huge");
    File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    for (file, told) in [
        (&*fifo, "is a FIFO, not a regular file; give it as - (standard input)"),
        (&*folder, "is a directory, not a regular file"),
        ("/dev/zero", "is a device, not a regular file"),
        (&*huge, "larger than 16 MiB"),
    ] {
        for words in [
            vec!["jwks", file],
            vec!["jwt", "--key", file],
            vec!["jwt", "--secret-file", file],
            vec!["jwt", "--secret=s", "--claims-file", file],
            vec!["inspect", "a.b.c", "--keys", file],
            vec!["inspect", "a.b.c", "--kids", file],
        ] {
            let call = tokenctl(&words);
            assert_eq!((call.status, call.out.as_str()), (2, ""), "{words:?}");
            assert!(call.err.contains(told) && call.err.contains(file), "{words:?}: {}", call.err);
        }
    }
    // Standard input may be anything.
    let piped = with_input(&["jwks", "-"], made.text("jwks.json").as_bytes());
    assert_eq!((piped.status, piped.err.as_str()), (0, ""));
}
