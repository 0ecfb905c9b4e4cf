//! Files that are read again when they change (`check=`).
//!
//! Each worker looks at a file when a request needs it and the last look is older than `check`:
//! so nothing runs while nothing is asked, and no change is seen later than that.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

/// How coarse the time that a file system gives a change may be: what was changed so shortly
/// before it was read may have changed once more within the same tick.
const TICK: Duration = Duration::from_secs(2);

/// Makes what a file says from its bytes, or says what is wrong with them.
pub(crate) type Parse<T> = Box<dyn Fn(Zeroizing<Vec<u8>>) -> Result<T, String>>;

/// A file, and what it last said.
pub(crate) struct Watched<T> {
    path: Box<[u8]>,
    /// How long a look holds, in milliseconds.
    check: u64,
    parse: Parse<T>,
    good: RefCell<Arc<T>>,
    seen: RefCell<Seen>,
    looked: Cell<u64>,
}

/// What was last seen of a file.
struct Seen {
    /// `None` where the next look has to read it.
    stamp: Option<Stamp>,
    fingerprint: [u8; 32],
    /// Why it could not be read, which is said once.
    unreadable: Option<String>,
}

/// What changes when a file is written or replaced.
#[derive(PartialEq, Eq, Clone, Copy)]
pub(super) struct Stamp {
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

impl<T> Watched<T> {
    /// Reads the file for the first time; the message says what is wrong with it.
    pub(crate) fn open(path: &[u8], check: u64, parse: Parse<T>) -> Result<Self, String> {
        let (text, stamp) = read(path).map_err(|error| error.to_string())?;
        let fingerprint = token::fingerprint(&text);
        let good = RefCell::new(Arc::new(parse(text)?));
        let seen = RefCell::new(Seen { stamp, fingerprint, unreadable: None });
        Ok(Self { path: path.into(), check, parse, good, seen, looked: Cell::new(0) })
    }

    /// What the file says, at `now` in milliseconds, and what there is to say of it. A file that
    /// cannot be read or makes no sense leaves what it last said.
    pub(crate) fn get(&self, now: u64) -> (Arc<T>, Option<String>) {
        let mut complaint = None;
        if now.saturating_sub(self.looked.get()) >= self.check {
            self.looked.set(now);
            complaint = self.look().map(|why| {
                let path = self.path.escape_ascii();
                format!("\"{path}\": {why}; what it last said stays in force")
            });
        }
        (Arc::clone(&self.good.borrow()), complaint)
    }

    fn look(&self) -> Option<String> {
        let mut seen = self.seen.borrow_mut();
        let there = fs::metadata(path(&self.path)).ok().map(|file| Stamp::from(&file));
        if there.is_some() && there == seen.stamp {
            return None;
        }
        let (text, stamp) = match read(&self.path) {
            Ok(read) => read,
            Err(error) => {
                seen.stamp = None;
                let why = unreadable(&error);
                let again = seen.unreadable.replace(why.clone());
                return (again.as_ref() != Some(&why)).then_some(why);
            }
        };
        seen.stamp = stamp;
        seen.unreadable = None;
        let fingerprint = token::fingerprint(&text);
        if core::mem::replace(&mut seen.fingerprint, fingerprint) == fingerprint {
            return None;
        }
        match (self.parse)(text) {
            Ok(news) => {
                self.good.replace(Arc::new(news));
                None
            }
            Err(why) => Some(why),
        }
    }
}

pub(super) fn path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// The bytes of a file, and its stamp unless it was changed so lately that the next change might
/// leave the same.
fn read(name: &[u8]) -> io::Result<(Zeroizing<Vec<u8>>, Option<Stamp>)> {
    let mut file = File::open(path(name))?;
    let before = file.metadata()?;
    let mut text = Zeroizing::new(Vec::new());
    file.read_to_end(&mut text)?;
    let after = file.metadata()?;
    let settled = after.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let stamp = Stamp::from(&after);
    let settled = settled.is_some_and(|age| age > TICK) && stamp == Stamp::from(&before);
    Ok((text, settled.then_some(stamp)))
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "{error}: a file with check= is read by the workers, so the user that they run as \
             (directive \"user\") must be able to read it and to enter its folders"
        ),
        _ => error.to_string(),
    }
}
