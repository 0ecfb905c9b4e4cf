//! Reading and writing files.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use rustix::fs::OFlags;

/// The largest input, in bytes: more than any key file or token needs. A log file that was given by
/// mistake is not read to its end.
const MAX_INPUT: u64 = 16 * 1024 * 1024;

/// The bytes of a file, or of standard input for `-`.
///
/// # Errors
/// A second `-`: there would be nothing left, and an empty list lets every token pass.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    static STDIN_IS_READ: AtomicBool = AtomicBool::new(false);
    if path == Path::new("-") && STDIN_IS_READ.swap(true, Ordering::Relaxed) {
        bail!("standard input holds one thing only; give the others as files");
    }
    refuse_url(&path.to_string_lossy())?;
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

/// Refuses what is a URL and no file.
pub(crate) fn refuse_url(given: &str) -> Result<()> {
    if given.contains("://") && !Path::new(given).exists() {
        bail!("nothing is fetched here: first curl -fsS -o FILE URL, then give the file");
    }
    Ok(())
}

/// Opens a regular file. Opening a FIFO or a terminal can wait for ever, and some devices never end.
/// So the type is checked before opening, since opening alone can have effects, and again afterwards,
/// since another file may have replaced it in between.
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

/// Writes a new file. If `secret`, only its owner can read it, from the first byte on.
pub(crate) fn create(path: &Path, contents: &str, secret: bool) -> Result<()> {
    let mode = if secret { 0o600 } else { 0o644 };
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(contents.as_bytes())
    };
    write().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        create(&path, "one", true).unwrap();
        assert!(create(&path, "two", true).is_err());
        assert_eq!(read(&path).unwrap(), b"one");
    }
}
