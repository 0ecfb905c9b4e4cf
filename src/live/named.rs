//! Files whose names contain variables, so only a request gives the name: read when they are first
//! needed, and again when they change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::file::{Change, FileState, Text};
use super::health::{Health, Repeats};
use crate::nginx::LogLine;

/// How many files a worker keeps. There must be a limit, since clients may influence the names.
const KEPT: usize = 1024;

/// Parses the bytes of a file into a value, with warnings; or says what is wrong with them.
pub(crate) type Parse<T> = fn(&Text) -> Result<(T, Vec<String>), String>;

/// The files that a worker has read, by name.
///
/// The entries do not depend on requests: each holds the content of a file, and each use checks whether
/// the file is still the same.
pub(crate) struct NamedFiles<T> {
    parse: Parse<T>,
    /// The size limit of each file, in bytes.
    limit: usize,
    files: RefCell<HashMap<Box<[u8]>, Entry<T>>>,
}

struct Entry<T> {
    state: FileState,
    /// `None` if the file is gone, or was never good.
    value: Option<Arc<T>>,
    /// Whether its last content cannot be parsed, and whether the last check could not read it.
    is_faulty: bool,
    is_unreadable: bool,
}

impl<T> NamedFiles<T> {
    pub(crate) fn new(limit: usize, parse: Parse<T>) -> Self {
        Self { parse, limit, files: RefCell::default() }
    }

    /// The content of the file `name` now, and what to log. A file that cannot be read or parsed keeps
    /// its last good value; a file that is gone has none. Either is logged once for each change.
    /// `health` is told what has changed.
    pub(crate) fn get(&self, name: &[u8], health: &Health) -> (Option<Arc<T>>, Option<LogLine>) {
        let Ok(mut files) = self.files.try_borrow_mut() else { return (None, None) };
        if let Some(entry) = files.get_mut(name) {
            let line = entry.update(name, self, health);
            return (entry.value.clone(), line);
        }
        if files.len() >= KEPT
            && let Some(other) = files.keys().next().cloned()
        {
            files.remove(&other);
        }
        let new = || Entry {
            state: FileState::default(),
            value: None,
            is_faulty: false,
            is_unreadable: false,
        };
        let entry = files.entry(name.into()).or_insert_with(new);
        let line = entry.update(name, self, health);
        (entry.value.clone(), line)
    }
}

impl<T> Entry<T> {
    fn update(&mut self, name: &[u8], files: &NamedFiles<T>, health: &Health) -> Option<LogLine> {
        let shown = name.escape_ascii();
        let change = self.state.check(name, files.limit);
        let was_unreadable = self.is_unreadable;
        self.is_unreadable = matches!(change, Change::Gone(_) | Change::Unreadable(_));
        let why = match change {
            Change::Nothing => {
                if was_unreadable && !self.is_faulty {
                    health.good();
                }
                None
            }
            Change::New(text) => match (files.parse)(&text) {
                Ok((value, warnings)) => {
                    self.is_faulty = false;
                    self.value = Some(Arc::new(value));
                    health.good();
                    let line = || LogLine::Warning(format!("\"{shown}\": {}", warnings.join("; ")));
                    return (!warnings.is_empty()).then(line);
                }
                Err(why) => {
                    self.is_faulty = true;
                    Some(why)
                }
            },
            Change::Gone(error) => {
                self.value = None;
                self.state.forget();
                self.state.once(error.to_string())
            }
            Change::Unreadable(error) => self.state.once(error.to_string()),
        };
        why.map(|why| {
            let line = format!("\"{shown}\": {why}");
            health.failed(&line, Repeats::AreOne);
            LogLine::Error(line)
        })
    }
}
