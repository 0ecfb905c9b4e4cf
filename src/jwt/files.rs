//! The files that a configuration names. A file that is named in many places is read, parsed and stored
//! only once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;

use token::jwe::{DecryptionKeys, load_decryption_keys};
use token::{Fault, KeySet, LoadError, Loaded, Revocation};

use crate::live::Watched;
use crate::live::file::Text;
use crate::nginx::Result;

/// The files that have been read.
///
/// Only directives use it. It is dropped with the configuration, as are the levels that share its
/// values, so it keeps nothing longer than they do.
#[derive(Default)]
pub(super) struct Files {
    pub(super) keys: ReadFiles<KeyFormat, KeysOf>,
    pub(super) revoked: ReadFiles<Box<str>, RevokedOf>,
    /// The keys that decrypt, of NGINX Plus's `auth_jwt_key_file`.
    pub(super) of_plus: ReadFiles<(), Option<Arc<DecryptionKeys>>>,
    /// By the `kid=` for a key that has none of its own.
    pub(super) decryption: ReadFiles<Option<Box<str>>, DecryptionKeysOf>,
}

/// The format of a key file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum KeyFormat {
    /// Lines of kids and secrets.
    Kids,
    /// Keys, with the `kid=` for keys that have none of their own.
    Keys(Option<Box<str>>),
    /// Keys, beside others that decrypt.
    WithDecryption,
}

/// All keys of NGINX Plus's `auth_jwt_key_file`.
pub(super) struct FileKeys {
    pub(super) verifying: Arc<KeySet>,
    pub(super) decrypting: Arc<DecryptionKeys>,
}

/// The keys of a file: as first read, or watched for changes.
#[derive(Clone)]
pub(super) enum KeysOf {
    Fixed(Arc<KeySet>),
    Watched(Rc<Watched<KeySet>>),
}

/// The keys of a file that decrypt: as first read, or watched for changes.
#[derive(Clone)]
pub(super) enum DecryptionKeysOf {
    Fixed(Arc<DecryptionKeys>),
    Watched(Rc<Watched<DecryptionKeys>>),
}

/// A revocation list: as first read, or watched for changes.
#[derive(Clone)]
pub(super) enum RevokedOf {
    Fixed(Arc<Revocation>),
    Watched(Rc<Watched<Revocation>>),
}

/// The values parsed from files, by the full path, the format, and the `check=`.
pub(super) struct ReadFiles<F, T>(RefCell<HashMap<FileKey<F>, T>>);

type FileKey<F> = (Box<[u8]>, F, Option<u64>);

impl<F, T> Default for ReadFiles<F, T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<F: Eq + Hash, T: Clone> ReadFiles<F, T> {
    /// The value from `read`, or from an earlier call for the same file. Warnings about a file are
    /// therefore logged only where it is first named.
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

impl KeyFormat {
    /// That of NGINX Plus's `auth_jwt_key_file`, which may have keys that decrypt.
    pub(super) fn beside(decrypting: Option<&DecryptionKeys>) -> Self {
        match decrypting {
            None => Self::Keys(None),
            Some(_) => Self::WithDecryption,
        }
    }

    pub(super) fn load(&self, text: &[u8]) -> Result<Loaded, String> {
        match self {
            Self::Kids => token::load_kids(text),
            Self::Keys(kid) => token::load_keys(text, kid.as_deref()),
            Self::WithDecryption => with_decryption(token::load_keys_beside_private(text)),
        }
        .map_err(|error| error.to_string())
    }
}

/// The keys that verify of a file that has others, which decrypt: none is no mistake, and those that decrypt need no
/// warning.
fn with_decryption(
    loaded: core::result::Result<Loaded, LoadError>,
) -> core::result::Result<Loaded, LoadError> {
    match loaded {
        Err(LoadError { fault: Fault::NoKey(_), .. }) => Ok(Loaded::default()),
        Err(error) => Err(error),
        Ok(mut loaded) => {
            let are_private = ["use is \"enc\"", "holds a private key"];
            loaded.warnings.retain(|warning| !are_private.iter().any(|one| warning.contains(one)));
            Ok(loaded)
        }
    }
}

/// The keys that decrypt of a file that may have none: NGINX Plus has them beside those that verify.
pub(super) fn decryption_keys(text: &[u8]) -> Option<Arc<DecryptionKeys>> {
    let loaded = load_decryption_keys(text, None).ok()?;
    Some(Arc::new(DecryptionKeys::new(loaded.keys)))
}

/// All keys of a file: those that verify, and those that decrypt.
pub(super) fn all_of_file(text: &Text) -> Result<(FileKeys, Vec<String>), String> {
    let decrypting = decryption_keys(text);
    let Loaded { keys, warnings, .. } = KeyFormat::beside(decrypting.as_deref()).load(text)?;
    let decrypting = decrypting.unwrap_or_else(|| Arc::new(DecryptionKeys::new(Vec::new())));
    Ok((FileKeys { verifying: Arc::new(KeySet::new(keys)), decrypting }, warnings))
}
