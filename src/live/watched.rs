//! Files that are read again when they change (`check=`).
//!
//! A worker checks a file when a request needs it and the last check was longer ago than `check=` says.
//! So nothing runs without requests, and no request gets content that was checked longer ago.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::file::{Change, FileState, Text};
use super::health::{Health, HealthReport, Repeats};
use crate::nginx::LogLine;

/// Parses the bytes of a file into a value, with warnings; or says what is wrong with them. The second
/// argument is the last good value, if there is one.
pub(crate) type Parse<T> = Box<dyn Fn(Text, Option<&T>) -> Result<(T, Vec<String>), String>>;

/// A file, and its last good content.
pub(crate) struct Watched<T> {
    path: Box<[u8]>,
    /// The size limit, in bytes.
    limit: usize,
    /// How long a check is valid, in milliseconds.
    check: u64,
    parse: Parse<T>,
    good: RefCell<Arc<T>>,
    state: RefCell<FileState>,
    checked: Cell<u64>,
    /// Whether the content that was read last cannot be parsed.
    is_faulty: Cell<bool>,
    /// Whether the last check has found good content.
    is_good: Cell<bool>,
    health: Health,
}

impl<T> Watched<T> {
    /// Reads the file for the first time, and returns the warnings about it, too. The error says what is
    /// wrong with it.
    pub(crate) fn open(
        path: &[u8],
        limit: usize,
        check: u64,
        parse: Parse<T>,
        health: Health,
    ) -> Result<(Self, Vec<String>), String> {
        let mut state = FileState::default();
        let text = match state.check(path, limit) {
            Change::New(text) => text,
            Change::Nothing => Text::default(), // nothing was read before
            Change::Gone(error) | Change::Unreadable(error) => return Err(error.to_string()),
        };
        let (good, warnings) = parse(text, None)?;
        let good = RefCell::new(Arc::new(good));
        let (path, state, checked) = (path.into(), RefCell::new(state), Cell::new(0));
        let (is_faulty, is_good) = (Cell::new(false), Cell::new(true));
        let watched =
            Self { path, limit, check, parse, good, state, checked, is_faulty, is_good, health };
        Ok((watched, warnings))
    }

    /// The content of the file at `now` (in milliseconds), and what to log. If the file cannot be read
    /// or parsed, its last good content stays.
    pub(crate) fn get(&self, now: u64) -> (Arc<T>, Option<LogLine>) {
        let mut line = None;
        if now.saturating_sub(self.checked.get()) >= self.check {
            self.checked.set(now);
            let path = self.path.escape_ascii();
            let updated = self.update();
            self.is_good.set(updated.is_ok());
            match &updated {
                Ok(_) => self.health.good(),
                Err(Some(why)) => self.health.failed(why, Repeats::AreOne),
                Err(None) => {}
            }
            line = match updated {
                Ok(warnings) if warnings.is_empty() => None,
                Ok(warnings) => {
                    Some(LogLine::Warning(format!("\"{path}\": {}", warnings.join("; "))))
                }
                Err(why) => why.map(|why| {
                    LogLine::Error(format!(
                        "\"{path}\": {why}; its last good content stays in force"
                    ))
                }),
            };
        }
        (Arc::clone(&self.good.borrow()), line)
    }

    /// The last good content, without looking at the file.
    pub(crate) fn held(&self) -> Arc<T> {
        Arc::clone(&self.good.borrow())
    }

    /// Whether the last check has found good content.
    pub(crate) fn is_good(&self) -> bool {
        self.is_good.get()
    }

    /// How the file is doing, and how long the last check counts from `now` on, in milliseconds.
    pub(crate) fn report(&self, now: u64) -> (HealthReport, u64) {
        let left = self.check.saturating_sub(now.saturating_sub(self.checked.get()));
        (self.health.report(), left)
    }

    /// Reads the file if it has changed, and returns the warnings about its new content. The error is why
    /// its content cannot be used; `None` if that was said before.
    fn update(&self) -> Result<Vec<String>, Option<String>> {
        let mut state = self.state.borrow_mut();
        let text = match state.check(&self.path, self.limit) {
            Change::Nothing if self.is_faulty.get() => return Err(None),
            Change::Nothing => return Ok(Vec::new()),
            Change::New(text) => text,
            Change::Gone(error) | Change::Unreadable(error) => {
                return Err(state.once(unreadable(&error)));
            }
        };
        let parsed = (self.parse)(text, Some(&self.good.borrow()));
        self.is_faulty.set(parsed.is_err());
        let (news, warnings) = parsed.map_err(Some)?;
        self.good.replace(Arc::new(news));
        Ok(warnings)
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
