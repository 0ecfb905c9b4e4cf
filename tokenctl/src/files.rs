//! Reading input and writing output.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// More than any key file or token needs; a device or a log given by mistake stops here.
const MAX_INPUT: u64 = 16 * 1024 * 1024;

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let source: &mut dyn io::Read = if path == Path::new("-") {
        &mut io::stdin().lock()
    } else {
        &mut fs::File::open(path).with_context(|| path.display().to_string())?
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

/// Prints `text`. A reader that has gone away, as in a pipe to `head`, is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}

/// Tells the person who calls what went wrong.
pub(crate) fn complain(text: &str) {
    // There is nobody to tell when standard error is closed.
    drop(writeln!(io::stderr(), "tokenctl: {}", printable(text)));
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
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let bidi = matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if (character.is_control() && character != '\n') || bidi {
            out.extend(character.escape_unicode());
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
        assert_eq!(printable("a\u{1b}[2J\nb\u{9b}\u{202e}ü"), "a\\u{1b}[2J\nb\\u{9b}\\u{202e}ü");
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
