//! The files that a configuration names. One that is named in many places is read, parsed and held
//! once for all of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;

use token::{KeySet, Revocation};

use crate::live::Watched;
use crate::nginx::Result;

/// What has been read so far.
///
/// Only directives ask for it, and it goes with the configuration, as do the levels that use what
/// is in it: so it keeps nothing for longer than they do.
#[derive(Default)]
pub(super) struct Files {
    pub(super) keys: ReadFiles<KeyFormat, KeysOf>,
    pub(super) revoked: ReadFiles<Box<str>, RevokedOf>,
}

/// What a key file is read as.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum KeyFormat {
    /// Kids and secrets.
    Kids,
    /// Keys, and the `kid=` of those that do not say theirs.
    Keys(Option<Box<str>>),
}

/// The keys of a file: those that it had when it was read, or whatever it says.
#[derive(Clone)]
pub(super) enum KeysOf {
    Fixed(Arc<KeySet>),
    Watched(Rc<Watched<KeySet>>),
}

/// A list of what is revoked, likewise.
#[derive(Clone)]
pub(super) enum RevokedOf {
    Fixed(Arc<Revocation>),
    Watched(Rc<Watched<Revocation>>),
}

/// What was made of files, by their full paths, what they were read as, and their `check=`.
pub(super) struct ReadFiles<F, T>(RefCell<HashMap<FileKey<F>, T>>);

type FileKey<F> = (Box<[u8]>, F, Option<u64>);

impl<F, T> Default for ReadFiles<F, T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<F: Eq + Hash, T: Clone> ReadFiles<F, T> {
    /// What `read` makes of the file, or has made of it for another place. So what there is to say
    /// of a file is said where it is first named.
    pub(super) fn get_or_read(
        &self,
        path: &[u8],
        format: F,
        check: Option<u64>,
        read: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let key = (path.into(), format, check);
        if let Some(known) = self.0.borrow().get(&key) {
            return Ok(known.clone());
        }
        let fresh = read()?;
        self.0.borrow_mut().insert(key, fresh.clone());
        Ok(fresh)
    }
}
