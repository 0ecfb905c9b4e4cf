//! The signing directives of a level, and how it inherits from the level above.

use std::rc::Rc;

use super::claims::ClaimSetting;
use super::http_level::IssueMain;
use super::key::LiveKey;
use super::publish::{self, Publish};
use crate::check::{MergeError, inherit};
use crate::nginx::{ANSWERED, Content, Level, Reply, Request};

/// How long a token lives where nobody says it, in seconds.
const LIFETIME: i64 = 900;

/// How many bytes of an answer are held by default.
const BUFFER: usize = 64 << 10;

/// The members that a `jwt_sign` names; none for `off`.
pub(super) struct Members {
    pub(super) names: Box<[Box<str>]>,
    /// `full`: tokens in the flattened JSON serialization.
    pub(super) full: bool,
    /// The file and line.
    pub(super) position: String,
}

/// The signing directives of one level; `None` if the level does not have one.
#[derive(Default)]
pub(crate) struct IssueConf {
    pub(super) members: Option<Rc<Members>>,
    pub(super) keys: Option<Vec<Rc<LiveKey>>>,
    pub(super) claims: Option<Rc<Vec<ClaimSetting>>>,
    /// In seconds.
    pub(super) lifetime: Option<i64>,
    /// In bytes.
    pub(super) buffer: Option<usize>,
    /// `jwks_publish`; not inherited.
    pub(super) publish: Option<Publish>,
    signing: Option<Rc<Signing>>,
}

/// How the answers of a location are signed.
pub(super) struct Signing {
    pub(super) members: Rc<Members>,
    pub(super) key: Rc<LiveKey>,
    pub(super) claims: Rc<Vec<ClaimSetting>>,
    pub(super) lifetime: i64,
    pub(super) buffer: usize,
}

impl IssueConf {
    /// How answers are signed here, if they are.
    pub(super) fn signing(&self) -> Option<&Signing> {
        self.signing.as_deref()
    }

    /// The answer of a location that publishes keys.
    pub(crate) fn published(&self, request: Request<'_>, main: &IssueMain) -> Reply {
        match &self.publish {
            Some(publish) => publish::answer(request, publish, main),
            None => Reply::failed(),
        }
    }

    /// Inherits from the level above what this one does not set. `C` answers the requests of a location with
    /// `jwks_publish`.
    pub(crate) fn merge<C: Content>(
        &mut self,
        parent: &Self,
        main: &IssueMain,
        level: &Level<'_>,
    ) -> Result<(), MergeError> {
        // No `..`, so the compiler demands each field.
        let Self { members, keys, claims, lifetime, buffer, publish, signing } = self;
        if let Some(publish) = publish {
            if !level.is_served_by::<C>() {
                let what = format!("\"jwks_publish\" directive {ANSWERED}");
                return Err(MergeError { what, position: publish.position.as_str().into() });
            }
            let own = keys.as_deref().unwrap_or_default();
            publish.set(main.note_publisher(level, own, &publish.position));
        }
        let mut named = inherit(members, &parent.members);
        named |= inherit(keys, &parent.keys);
        named |= inherit(claims, &parent.claims);
        named |= inherit(lifetime, &parent.lifetime);
        named |= inherit(buffer, &parent.buffer);
        main.note_keys(level, keys.as_deref().unwrap_or_default());
        if publish.is_some() {
            // A key set is no answer with claims.
            return Ok(());
        }
        if !named && parent.signing.is_some() {
            signing.clone_from(&parent.signing);
            return Ok(());
        }
        let Some(members) = members.as_ref().filter(|members| !members.names.is_empty()) else {
            return Ok(());
        };
        let Some(key) = keys.as_ref().and_then(|keys| keys.first()) else {
            let what = "\"jwt_sign\" has no key: name a jwt_sign_key, here or on a level above,";
            let position = members.position.as_str().into();
            return Err(MergeError { what: what.to_owned(), position });
        };
        *signing = Some(Rc::new(Signing {
            members: Rc::clone(members),
            key: Rc::clone(key),
            claims: claims.clone().unwrap_or_default(),
            lifetime: lifetime.unwrap_or(LIFETIME),
            buffer: buffer.unwrap_or(BUFFER),
        }));
        Ok(())
    }
}
