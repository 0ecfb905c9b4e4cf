//! The forms of tokens that a level accepts (`jwt_type`), and the keys that decrypt.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use token::jwe::{ContentEncryption, DecryptionKeys, KeyManagement};
use token::{Forms, MAX_NAMELESS};

use super::files::DecryptionKeysOf;
use crate::check::MergeError;
use crate::live::Watched;
use crate::nginx::{ConfError, Level, Request, Result};

/// `jwt_type` of a level.
#[derive(Clone)]
pub(super) struct TokenTypes {
    pub(super) signed: bool,
    pub(super) encrypted: bool,
    pub(super) nested: bool,
    /// The directive, and its file and line.
    pub(super) directive: Box<str>,
    pub(super) position: Rc<str>,
    /// Whether a warning was logged.
    pub(super) warned: Rc<Cell<bool>>,
}

impl TokenTypes {
    /// Whether no token that is accepted is signed.
    pub(super) fn are_only_encrypted(&self) -> bool {
        !self.signed && !self.nested
    }

    fn mistake(&self, what: &str) -> MergeError {
        let Self { directive, position, .. } = self;
        MergeError { what: format!("\"{directive}\" {what},"), position: Rc::clone(position) }
    }
}

/// The keys that decrypt, of one level: each `jwt_decryption_key` adds to them.
#[derive(Default, Clone)]
pub(super) struct Decryption {
    sets: Vec<Arc<DecryptionKeys>>,
    watched: Vec<Rc<Watched<DecryptionKeys>>>,
}

/// The keys in force that decrypt and change at run time.
#[derive(Default)]
pub(super) struct DecryptionInForce {
    watched: Box<[Rc<Watched<DecryptionKeys>>]>,
    /// Whether the files of NGINX Plus's `auth_jwt_key_file` with variables in their names decrypt, too.
    pub(super) are_in_named_files: bool,
    /// What says that claims are accepted which anybody can have encrypted.
    public: Option<TokenTypes>,
}

impl Decryption {
    /// The keys that are known while the configuration is read.
    fn known(&self) -> impl Iterator<Item = Arc<DecryptionKeys>> {
        self.sets.iter().cloned().chain(self.watched.iter().map(|file| file.held()))
    }

    /// Adds the keys of a directive.
    pub(super) fn add(&mut self, keys: DecryptionKeysOf) -> Result {
        let new = match &keys {
            DecryptionKeysOf::Fixed(set) => Arc::clone(set),
            DecryptionKeysOf::Watched(file) => file.held(),
        };
        let conflict = self.known().find_map(|known| {
            let kid = new.conflict(&known)?.kid().unwrap_or_default().to_owned();
            Some(format!("has duplicate kid {kid:?}, which another key of this level has, too"))
        });
        if let Some(what) = conflict {
            return Err(ConfError::mistake(what));
        }
        match keys {
            DecryptionKeysOf::Fixed(set) => self.sets.push(set),
            DecryptionKeysOf::Watched(file) => self.watched.push(file),
        }
        self.refuse_too_many_nameless()
    }

    /// Of the keys without a kid a limited number is tried, so more of them would decrypt nothing.
    fn refuse_too_many_nameless(&self) -> Result {
        for management in KeyManagement::ALL {
            for encryption in ContentEncryption::ALL {
                let count = |keys: Arc<DecryptionKeys>| keys.count_nameless(management, encryption);
                if self.known().map(count).sum::<usize>() > MAX_NAMELESS {
                    return Err(ConfError::mistake(format!(
                        "brings more than {MAX_NAMELESS} keys without a kid for {management} to this \
                         level, and no more are tried for a token: give them kids (kid=NAME, or a JWK Set)"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// What the directives in force say of encrypted tokens.
pub(super) struct Asked<'c> {
    pub(super) types: Option<&'c TokenTypes>,
    /// The keys of `jwt_decryption_key`.
    pub(super) named: Option<&'c Decryption>,
    /// Those of NGINX Plus's `auth_jwt_key_file`, if there are no others.
    pub(super) of_plus: &'c [Arc<DecryptionKeys>],
    /// Whether it names files by variables, so that what is in them is not known yet.
    pub(super) has_named_files: bool,
    pub(super) has_providers: bool,
    /// Whether tokens are renewed (`jwt_uri_signing`).
    pub(super) renews: bool,
}

impl Asked<'_> {
    /// The forms of tokens that are accepted with their keys, and the keys that change at run time.
    pub(super) fn forms(self) -> Result<(Forms, DecryptionInForce), MergeError> {
        let none = DecryptionInForce::default();
        let Some(types) = self.types else { return Ok((Forms::default(), none)) };
        let TokenTypes { signed, encrypted, nested, .. } = *types;
        if !encrypted && !nested {
            return Ok((Forms::default(), none));
        }
        let found = match self.named {
            Some(named) => named.clone(),
            None => Decryption { sets: self.of_plus.to_vec(), watched: Vec::new() },
        };
        let are_in_named_files = self.named.is_none() && self.has_named_files;
        if found.known().next().is_none() && !are_in_named_files {
            return Err(
                types.mistake("has no key that decrypts: name a jwt_decryption_key beside it")
            );
        }
        if encrypted && self.has_providers {
            return Err(types.mistake(
                "accepts tokens that are encrypted and not signed, which no provider vouches for: remove \
                 \"encrypted\", or name keys in the place of providers",
            ));
        }
        if self.renews {
            return Err(types.mistake(
                "is not for jwt_uri_signing, whose tokens are renewed and would leave unencrypted",
            ));
        }
        let is_public = encrypted && found.known().any(|keys| keys.has_private());
        let public = is_public.then(|| types.clone());
        let watched = found.watched.into();
        let in_force = DecryptionInForce { watched, are_in_named_files, public };
        Ok((Forms { signed, encrypted, nested, keys: found.sets }, in_force))
    }
}

impl DecryptionInForce {
    /// Whether no key that decrypts changes at run time.
    pub(super) fn is_fixed(&self) -> bool {
        self.watched.is_empty() && !self.are_in_named_files
    }

    /// The keys now. Files are checked, if their last check was too long ago.
    pub(super) fn current(&self, request: Request<'_>) -> Vec<Arc<DecryptionKeys>> {
        let current = |file: &Rc<Watched<DecryptionKeys>>| {
            let (keys, line) = file.get(request.clock());
            request.log_line("decryption key", line);
            keys
        };
        self.watched.iter().map(current).collect()
    }

    /// Warns where claims are accepted that anybody can have encrypted.
    pub(super) fn warn(&self, level: &Level<'_>) {
        let Some(TokenTypes { directive, position, warned, .. }) = &self.public else { return };
        if warned.replace(true) {
            return;
        }
        level.warn(&format!(
            "\"{directive}\" accepts tokens that are encrypted and not signed in {}, and a key that decrypts \
             them is a private one: whoever has its public half can make such tokens. Let them be signed too \
             (\"nested\"), or share a secret with the issuer, in {position}",
            level.shown(),
        ));
    }
}
