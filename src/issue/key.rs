//! The key of a `jwt_sign_key`: a file, the key in it, and which of its keys signs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use token::Algorithm;
use token::sign::SigningKey;

use super::rotation::Rotation;
use super::seen::Seen;
use crate::live::file::Text;
use crate::live::{SourceKind, SourceState, Watched};
use crate::nginx::{Request, clock};

/// What a `jwt_sign_key` says. Directives that say the same share one key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct KeyOptions {
    /// The full path.
    pub(super) path: Box<[u8]>,
    pub(super) kid: Option<Box<str>>,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) typ: Option<Box<str>>,
    /// Times in milliseconds.
    pub(super) check: Option<u64>,
    pub(super) lead: u64,
    pub(super) keep: u64,
}

impl KeyOptions {
    /// Reads the file's text.
    pub(super) fn load(&self, text: &[u8]) -> Result<(SigningKey, Vec<String>), String> {
        let Self { kid, algorithm, typ, .. } = self;
        let wanted =
            token::sign::Wanted { kid: kid.as_deref(), algorithm: *algorithm, typ: typ.as_deref() };
        SigningKey::load(text, wanted).map_err(|error| error.to_string())
    }

    /// What names the same key in the next configuration.
    pub(super) fn name(&self) -> Vec<u8> {
        let Self { path, kid, algorithm, .. } = self;
        let kid = kid.as_deref().unwrap_or_default();
        let algorithm = algorithm.map_or("", Algorithm::name);
        [&**path, b"\0", kid.as_bytes(), b"\0", algorithm.as_bytes()].concat()
    }
}

/// A key that signs.
pub(crate) struct LiveKey {
    pub(super) options: KeyOptions,
    /// The directive's file and line.
    pub(super) position: Box<str>,
    source: Source,
    rotation: Rotation,
    seen: Seen,
}

/// Where the newest key of the file is.
pub(super) enum Source {
    /// As it was when the configuration was read.
    Fixed(Arc<SigningKey>),
    Watched(Box<Watched<SigningKey>>),
}

impl Source {
    /// The newest key of the file, as far as is known.
    pub(super) fn held(&self) -> Arc<SigningKey> {
        match self {
            Self::Fixed(key) => Arc::clone(key),
            Self::Watched(file) => file.held(),
        }
    }
}

/// The keys of a configuration.
pub(super) type LiveKeys = RefCell<HashMap<KeyOptions, Rc<LiveKey>>>;

impl LiveKey {
    /// `before` is the key that signed in the configuration before, if the file had one.
    pub(super) fn new(
        options: KeyOptions,
        position: String,
        source: Source,
        before: Option<Arc<SigningKey>>,
        seen: Seen,
    ) -> Self {
        let newest = source.held();
        // The same key again is not a new one.
        let is_other = |before: &Arc<SigningKey>| before.identity() != newest.identity();
        let signs = before.filter(is_other).unwrap_or(newest);
        let rotation = Rotation::new(signs, options.lead, options.keep);
        Self { options, position: position.into(), source, rotation, seen }
    }

    /// The newest key of the file, and whether the file is good. A file that is watched is checked, if its
    /// last check was too long ago.
    fn newest(&self, request: Request<'_>) -> (Arc<SigningKey>, bool) {
        match &self.source {
            Source::Fixed(key) => (Arc::clone(key), true),
            Source::Watched(file) => {
                let (key, line) = file.get(request.clock());
                request.log_line("signing key", line);
                (key, file.is_good())
            }
        }
    }

    /// The key that signs now; `None` if none is known that others know, and the log says so.
    pub(super) fn signing(&self, request: Request<'_>) -> Option<Arc<SigningKey>> {
        let before = self.rotation.last();
        let (newest, is_good) = self.newest(request);
        let signs = self.rotation.signing(&newest, is_good, &self.seen, request.clock());
        let path = self.options.path.escape_ascii();
        match &signs {
            None => request.log_error(format_args!(
                "signing key \"{path}\": the file has no good key, and the one of the last reload was \
                 replaced since: nothing is signed"
            )),
            Some(signs) if !Arc::ptr_eq(&before, signs) => request.log_notice(format_args!(
                "signing key \"{path}\": kid \"{}\" signs now",
                signs.kid().unwrap_or_default().escape_debug(),
            )),
            Some(_) => {}
        }
        signs
    }

    /// The key that would sign now in the process that reads configurations.
    pub(super) fn at_reload(&self) -> Arc<SigningKey> {
        self.rotation.settle(&self.source.held(), &self.seen, clock());
        self.rotation.last()
    }

    /// The key that signed last.
    pub(super) fn last(&self) -> Arc<SigningKey> {
        self.rotation.last()
    }

    /// Whether it has a public half, as far as is known when the configuration is read.
    pub(super) fn is_public(&self) -> bool {
        self.rotation.last().published().is_some()
    }

    /// The public halves that are to be published now: that of the key that signs, and those that the file
    /// has now or had not long ago.
    pub(super) fn published(&self, request: Request<'_>) -> Vec<String> {
        let signs = self.signing(request);
        let newest = signs.as_ref().map(|_| self.source.held());
        let own = [&signs, &newest].into_iter().flatten().filter_map(|key| key.published());
        let seen = self.seen.published(request.clock());
        own.map(str::to_owned).chain(seen).collect()
    }

    /// Notes the key of a configuration that comes into force.
    pub(super) fn in_force(&self) {
        let KeyOptions { lead, keep, .. } = self.options;
        let (newest, now) = (self.source.held(), clock());
        self.seen.note(&newest, now, lead.saturating_add(keep));
        self.seen.limit(now.saturating_add(lead).saturating_add(keep));
        // Drops the key before, unless it signs for some time yet.
        self.rotation.settle(&newest, &self.seen, now);
    }

    /// How the key is doing, for the status page. `loaded` is when the configuration came into force, in
    /// seconds since the epoch.
    pub(super) fn state(&self, request: Request<'_>, loaded: i64) -> SourceState {
        let signs = self.signing(request);
        let newest = Some(self.source.held());
        let mut kids: Vec<String> = Vec::new();
        for key in [&signs, &newest].into_iter().flatten() {
            let kid = key.kid().unwrap_or_default().to_owned();
            if !kids.contains(&kid) {
                kids.push(kid);
            }
        }
        let mut state = SourceState {
            kind: SourceKind::Keys,
            directive: "jwt_sign_key".to_owned(),
            position: self.position.to_string(),
            name: String::from_utf8_lossy(&self.options.path).into_owned(),
            entries: Some(kids.len()),
            kids,
            ..SourceState::default()
        };
        state.health.good = Some(loaded);
        if let Source::Watched(file) = &self.source {
            state.watched(file.report(request.clock()));
        }
        state
    }
}

/// Reads a watched file's text: a new key must have another kid than the one before, by which those who
/// verify tell them apart.
pub(super) fn parse_new(
    options: &KeyOptions,
    before: Option<&SigningKey>,
    text: &Text,
) -> Result<(SigningKey, Vec<String>), String> {
    let (key, warnings) = options.load(text)?;
    if let Some(before) = before
        && before.kid() == key.kid()
        && !before.is_same(&key)
    {
        let kid = key.kid().unwrap_or_default();
        return Err(format!(
            "it has another key under the same kid {kid:?}: give each key a kid of its own"
        ));
    }
    Ok((key, warnings))
}
