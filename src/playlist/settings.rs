//! The directive of a level, and how it inherits from the level above.

use std::rc::Rc;

use crate::check::inherit;
use crate::nginx::{ComplexValue, Level};

/// `secure_token_forward` of one level.
#[derive(Default)]
pub(crate) struct PlaylistConf {
    pub(super) forward: Option<Forward>,
}

/// How the token or link of a request goes on.
#[derive(Clone)]
pub(super) enum Forward {
    Off,
    Query(Rc<Query>),
}

/// `query`: in the queries of the URLs.
pub(super) struct Query {
    /// The scheme and the host that the playlist was asked for with.
    pub(super) scheme: ComplexValue,
    pub(super) host: ComplexValue,
    /// The file and line.
    pub(super) position: String,
}

impl PlaylistConf {
    /// Whether arguments go on from here.
    pub(crate) fn forwards(&self) -> bool {
        self.query().is_some()
    }

    pub(super) fn query(&self) -> Option<&Query> {
        match &self.forward {
            Some(Forward::Query(query)) => Some(query),
            Some(Forward::Off) | None => None,
        }
    }

    /// Inherits from the level above. Warns if a location has the directive itself, and no check whose
    /// arguments could go on.
    pub(crate) fn merge(&mut self, parent: &Self, level: &Level<'_>, is_checked: bool) {
        let own = inherit(&mut self.forward, &parent.forward);
        let is_location = !level.location_label().is_empty();
        if let Some(query) = self.query().filter(|_| own && !is_checked && is_location) {
            level.warn(&format!(
                "\"secure_token_forward\" has no effect in {}, where no token and no link is checked: add \
                 secure_token_secret, or jwt with keys, in {}",
                level.shown(),
                query.position,
            ));
        }
    }
}
