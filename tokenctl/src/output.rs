//! Standard output and standard error, and escaping what could control a terminal.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::stdout;

/// Prints `text`. It is an error if a part of it cannot be written, whatever the reason: a token or a
/// key that is cut off must not be taken for a complete one.
pub(crate) fn print(text: &str) -> Result<()> {
    if stdout::was_closed() {
        bail!("standard output: it is closed");
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")
}

/// Writes an error message, on one line, to standard error.
pub(crate) fn error(text: &str) {
    to_stderr(&format!("tokenctl: {}\n", one_line(text)));
}

/// Writes `text`, which must be printable, to standard error.
pub(crate) fn to_stderr(text: &str) {
    // If standard error is closed, nobody can be told.
    drop(io::stderr().write_all(text.as_bytes()));
}

/// Writes a warning, on one line, to standard error.
pub(crate) fn warn(text: &str) {
    error(&format!("warning: {text}"));
}

/// `text` with control characters and characters that change the writing direction as `\u{…}`. Line
/// breaks stay.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |character, out| match character {
        '\n' => out.push('\n'),
        other => out.extend(other.escape_unicode()),
    })
}

/// As [`printable`], but line breaks are escaped as well.
pub(crate) fn one_line(text: &str) -> String {
    escaped(text, |character, out| out.extend(character.escape_default()))
}

/// JSON with the characters that [`printable`] escapes written as JSON escapes. serde_json leaves such
/// characters only inside strings, so this is right.
pub(crate) fn printable_json(text: &str) -> String {
    escaped(text, |character, out| match character {
        '\n' => out.push('\n'),
        other => out.push_str(&format!("\\u{:04x}", u32::from(other))),
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let bidi = matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if character.is_control() || bidi {
            escape(character, &mut out);
        } else {
            out.push(character);
        }
    }
    out
}

/// Indented JSON with a line break at its end.
pub(crate) fn pretty_json(value: &Value) -> String {
    printable_json(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let text = "a\u{1b}[2J\nb\u{9b}\u{202e}ü";
        assert_eq!(printable(text), "a\\u{1b}[2J\nb\\u{9b}\\u{202e}ü");
        assert_eq!(one_line(text), "a\\u{1b}[2J\\nb\\u{9b}\\u{202e}ü");
        assert_eq!(printable_json(text), "a\\u001b[2J\nb\\u009b\\u202eü");
    }
}
