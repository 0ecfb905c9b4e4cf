//! Files: opened without blocking, read up to a size limit, and read again when they change.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

/// The largest key file, in bytes.
pub(crate) const LARGEST_KEY_FILE: usize = 16 << 20;

/// The largest revocation list, in bytes.
pub(crate) const LARGEST_LIST: usize = 256 << 20;

/// The coarsest time stamp that a file system may give to a change. A file that was read so soon after
/// a change may change once more and keep the same stamp.
const TICK: Duration = Duration::from_secs(2);

/// The bytes of a file.
pub(crate) type Text = Zeroizing<Vec<u8>>;

/// Reads a file that a directive names.
pub(crate) fn read(path: &[u8], limit: usize) -> io::Result<Text> {
    read_with_stamp(path, limit).map(|(text, _)| text)
}

/// Whether every user of the machine may read the file: those that are neither its owner nor in its group.
pub(crate) fn is_readable_by_all(path: &[u8]) -> bool {
    let found = fs::metadata(Path::new(OsStr::from_bytes(path)));
    found.is_ok_and(|file| file.mode() & 0o004 != 0)
}

/// The state of a file at the last check.
#[derive(Default)]
pub(super) struct FileState {
    /// `None` if the next check has to read the file.
    stamp: Option<Stamp>,
    fingerprint: Option<[u8; 32]>,
    /// Why the file could not be read: logged only once.
    fault: Option<String>,
}

/// What has changed in a file since the last check.
pub(super) enum Change {
    /// The content is the same.
    Nothing,
    New(Text),
    /// The file is missing, or its metadata cannot be read.
    Gone(io::Error),
    Unreadable(io::Error),
}

impl FileState {
    /// Checks the file at `path`, and reads it if it may have changed.
    pub(super) fn check(&mut self, path: &[u8], limit: usize) -> Change {
        let there = match fs::metadata(Path::new(OsStr::from_bytes(path))) {
            Ok(file) => Stamp::from(&file),
            Err(error) => {
                self.stamp = None;
                return Change::Gone(error);
            }
        };
        if self.stamp == Some(there) {
            return Change::Nothing;
        }
        let (text, stamp) = match read_with_stamp(path, limit) {
            Ok(read) => read,
            Err(error) => {
                self.stamp = None;
                return Change::Unreadable(error);
            }
        };
        self.stamp = stamp;
        self.fault = None;
        let fingerprint = token::fingerprint(&text);
        match self.fingerprint.replace(fingerprint) {
            Some(known) if known == fingerprint => Change::Nothing,
            _ => Change::New(text),
        }
    }

    /// `fault`, unless it is the same as the last one.
    pub(super) fn once(&mut self, fault: String) -> Option<String> {
        let again = self.fault.replace(fault.clone());
        (again.as_ref() != Some(&fault)).then_some(fault)
    }

    /// Makes the next check report the file's content as new.
    pub(super) fn forget(&mut self) {
        self.fingerprint = None;
    }
}

/// Metadata that changes when a file is written or replaced.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The bytes of a file, and its stamp. No stamp if the file changed so recently that another change
/// might leave the same stamp.
///
/// Only regular files are read: opening a FIFO or a terminal may block, and some devices never end. The
/// kind is checked before the file is opened, since opening alone can have effects, and again
/// afterwards, since the file may have been replaced meanwhile.
fn read_with_stamp(path: &[u8], limit: usize) -> io::Result<(Text, Option<Stamp>)> {
    let path = Path::new(OsStr::from_bytes(path));
    regular(&fs::metadata(path)?)?;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let before = file.metadata()?;
    regular(&before)?;
    let text = read_bounded(&file, before.len(), limit)?;
    let after = file.metadata()?;
    let settled = after.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let stamp = Stamp::from(&after);
    let settled = settled.is_some_and(|age| age > TICK) && stamp == Stamp::from(&before);
    Ok((text, settled.then_some(stamp)))
}

/// Reads to the end of the file. That may be elsewhere than `size` says: the file may grow meanwhile,
/// and files of /proc have size 0.
fn read_bounded(file: &File, size: u64, limit: usize) -> io::Result<Text> {
    let mut text = Text::default();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size <= limit {
        // Reserved at once: a buffer that grows leaves copies of secrets in memory.
        text.try_reserve_exact(size + 1)?;
        file.take(limit as u64 + 1).read_to_end(&mut text)?;
    }
    if size > limit || text.len() > limit {
        return Err(io::Error::other(format!("is larger than {} MiB", limit >> 20)));
    }
    Ok(text)
}

fn regular(file: &Metadata) -> io::Result<()> {
    let kind = file.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "directory",
        () if kind.is_fifo() => "FIFO",
        () if kind.is_socket() => "socket",
        () => "device",
    };
    Err(io::Error::other(format!("is a {what}, not a regular file")))
}
