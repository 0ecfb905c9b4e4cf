//! Files: opened without waiting for anybody, read up to a limit, and read again when they change.

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

/// The largest list of what is revoked, in bytes.
pub(crate) const LARGEST_LIST: usize = 256 << 20;

/// How coarse the time that a file system gives a change may be: what was changed so shortly
/// before it was read may have changed once more within the same tick.
const TICK: Duration = Duration::from_secs(2);

/// The bytes of a file.
pub(crate) type Text = Zeroizing<Vec<u8>>;

/// Reads a file that a directive names.
pub(crate) fn read(path: &[u8], limit: usize) -> io::Result<Text> {
    read_with_stamp(path, limit).map(|(text, _)| text)
}

/// What a file was when it was last checked.
#[derive(Default)]
pub(super) struct FileState {
    /// `None` where the next check has to read it.
    stamp: Option<Stamp>,
    fingerprint: Option<[u8; 32]>,
    /// Why it could not be read, which is said once.
    fault: Option<String>,
}

/// What has become of a file since it was last checked.
pub(super) enum Change {
    /// It says what it said before.
    Nothing,
    New(Text),
    /// There is no such file, or nothing can be found out about it.
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

    /// `fault`, unless that was the last one too.
    pub(super) fn once(&mut self, fault: String) -> Option<String> {
        let again = self.fault.replace(fault.clone());
        (again.as_ref() != Some(&fault)).then_some(fault)
    }

    /// Has the next check take what it finds for a change.
    pub(super) fn forget(&mut self) {
        self.fingerprint = None;
    }
}

/// What changes when a file is written or replaced.
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

/// The bytes of a file, and its stamp unless it was changed so lately that the next change might
/// leave the same.
///
/// Opening a FIFO or a terminal waits for somebody, and some devices never end: nothing but a
/// regular file is read. Its kind is checked before it is opened, since opening alone can have
/// effects, and once more afterwards, since another file may have come in its place.
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

/// Reads to the end of the file, which may be another than its `size` says: it may grow meanwhile,
/// and those of /proc have none.
fn read_bounded(file: &File, size: u64, limit: usize) -> io::Result<Text> {
    let mut text = Text::default();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size <= limit {
        // In one piece, so that no copy of a secret stays behind where it has grown out of.
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
