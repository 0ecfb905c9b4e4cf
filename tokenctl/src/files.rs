//! Reading input and writing output.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::fs::OFlags;

use crate::stdout;

/// More than any key file or token needs; a device or a log given by mistake stops here.
const MAX_INPUT: u64 = 16 * 1024 * 1024;

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let source: &mut dyn io::Read = if path == Path::new("-") {
        &mut io::stdin().lock()
    } else {
        &mut open(path).with_context(|| path.display().to_string())?
    };
    source
        .take(MAX_INPUT + 1)
        .read_to_end(&mut bytes)
        .with_context(|| path.display().to_string())?;
    if bytes.len() as u64 > MAX_INPUT {
        anyhow::bail!("{}: larger than {} MiB", path.display(), MAX_INPUT >> 20);
    }
    Ok(bytes)
}

/// Opens a regular file. Opening a FIFO or a terminal waits for somebody, and some devices never
/// end: so the file is looked at before it is opened, since opening alone can have effects, and once
/// more afterwards, since another may have come in its place.
fn open(path: &Path) -> Result<File> {
    regular(&fs::metadata(path)?)?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = File::options().read(true).custom_flags(flags.cast_signed()).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

fn regular(file: &Metadata) -> Result<()> {
    let kind = file.file_type();
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_dir() => bail!("is a directory, not a regular file"),
        () if kind.is_fifo() => {
            bail!("is a FIFO, not a regular file; give it as - (standard input)")
        }
        () if kind.is_socket() => bail!("is a socket, not a regular file"),
        () => bail!("is a device, not a regular file"),
    }
}

/// Prints `text`. What the reader did not get is an error, whatever the reason: a token or a key
/// that is cut off must not pass for a whole one.
pub(crate) fn print(text: &str) -> Result<()> {
    if stdout::was_closed() {
        bail!("standard output: it is closed");
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")
}

/// Tells the person who calls what went wrong, on one line.
pub(crate) fn complain(text: &str) {
    tell(&format!("tokenctl: {}\n", line(text)));
}

/// Writes `text`, which must be printable, to standard error.
pub(crate) fn tell(text: &str) {
    // There is nobody to tell when standard error is closed.
    drop(io::stderr().write_all(text.as_bytes()));
}

/// Tells the person who calls what is not an error.
pub(crate) fn warn(text: &str) {
    complain(&format!("warning: {text}"));
}

/// Writes a new file. A secret one is for its owner only, from its first byte on.
pub(crate) fn create(path: &Path, contents: &str, secret: bool) -> Result<()> {
    let mode = if secret { 0o600 } else { 0o644 };
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(contents.as_bytes())
    };
    write().with_context(|| path.display().to_string())
}

/// `text` with what could steer a terminal or turn the reading direction written as `\u{…}`; line
/// breaks stay.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |character, out| match character {
        '\n' => out.push('\n'),
        other => out.extend(other.escape_unicode()),
    })
}

/// [`printable`], on one line.
pub(crate) fn line(text: &str) -> String {
    escaped(text, |character, out| out.extend(character.escape_default()))
}

/// JSON in which what [`printable`] escapes is written as JSON escapes it: where serde_json has left
/// it as it is, it is within a string.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let text = "a\u{1b}[2J\nb\u{9b}\u{202e}ü";
        assert_eq!(printable(text), "a\\u{1b}[2J\nb\\u{9b}\\u{202e}ü");
        assert_eq!(line(text), "a\\u{1b}[2J\\nb\\u{9b}\\u{202e}ü");
        assert_eq!(printable_json(text), "a\\u001b[2J\nb\\u009b\\u202eü");
    }

    #[test]
    fn a_file_that_exists_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        create(&path, "one", true).unwrap();
        assert!(create(&path, "two", true).is_err());
        assert_eq!(read(&path).unwrap(), b"one");
    }
}
