//! Files that are read again when they change (`check=`).
//!
//! Each worker looks at a file when a request needs it and the last look is older than `check`:
//! so nothing runs while nothing is asked, and no change is seen later than that.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::file::{Look, Seen, Text};

/// Makes what a file says from its bytes, or says what is wrong with them.
pub(crate) type Parse<T> = Box<dyn Fn(Text) -> Result<T, String>>;

/// A file, and what it last said.
pub(crate) struct Watched<T> {
    path: Box<[u8]>,
    /// The size that it may have, in bytes.
    limit: usize,
    /// How long a look holds, in milliseconds.
    check: u64,
    parse: Parse<T>,
    good: RefCell<Arc<T>>,
    seen: RefCell<Seen>,
    looked: Cell<u64>,
}

impl<T> Watched<T> {
    /// Reads the file for the first time; the message says what is wrong with it.
    pub(crate) fn open(
        path: &[u8],
        limit: usize,
        check: u64,
        parse: Parse<T>,
    ) -> Result<Self, String> {
        let mut seen = Seen::default();
        let text = match seen.look(path, limit) {
            Look::Changed(text) => text,
            Look::Same => Text::default(), // nothing was seen before
            Look::Gone(error) | Look::Unreadable(error) => return Err(error.to_string()),
        };
        let good = RefCell::new(Arc::new(parse(text)?));
        let (path, seen, looked) = (path.into(), RefCell::new(seen), Cell::new(0));
        Ok(Self { path, limit, check, parse, good, seen, looked })
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
        let text = match seen.look(&self.path, self.limit) {
            Look::Same => return None,
            Look::Changed(text) => text,
            Look::Gone(error) | Look::Unreadable(error) => return seen.once(unreadable(&error)),
        };
        match (self.parse)(text) {
            Ok(news) => {
                self.good.replace(Arc::new(news));
                None
            }
            Err(why) => Some(why),
        }
    }
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
