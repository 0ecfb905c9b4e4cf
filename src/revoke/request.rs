//! The directives `jwt_revoked_request` and `jwt_status_list`, as in force.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::schedule::Terms;
use token::{ClaimPath, Revocation, RevokedList};

use super::list::{FetchedList, ListWords};
use crate::live::{
    Health, HealthReport, NamedServer, SharedWords, Source, Watched, warn_without_location,
};
use crate::nginx::{Level, Request, Server};

/// A list of revoked values that changes at run time.
#[derive(Clone)]
pub(crate) enum ListSource {
    /// A file that is checked from time to time (`check=`).
    Watched(Rc<Watched<Revocation>>),
    /// A list that is fetched.
    Requested(Rc<RevokedRequest>),
}

/// What becomes of a token while its list is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Refuse,
    Pass,
}

/// Where a list is fetched from, and how.
pub(crate) struct ListPlace {
    /// The name of the directive, and its file and line.
    pub(crate) place: (Box<str>, Box<str>),
    pub(super) uri: Box<[u8]>,
    /// `server=`: the server that has the location; `None` for the one that serves the request.
    pub(super) server: Option<Rc<NamedServer>>,
    pub(crate) terms: Terms,
    pub(crate) missing: Missing,
    pub(super) health: Health,
}

impl ListPlace {
    /// The server that has the location, where `serving` serves the request.
    pub(super) fn server<'s>(&'s self, serving: Server<'s>) -> Server<'s> {
        self.server.as_ref().and_then(|named| named.get()).unwrap_or(serving)
    }

    /// The URI, for messages.
    pub(crate) fn shown_uri(&self) -> String {
        self.uri.escape_ascii().to_string()
    }

    /// How its fetches are doing.
    pub(crate) fn health(&self) -> HealthReport {
        self.health.report()
    }

    pub(super) fn warn_without_location(&self, behind: &[u8], level: &Level<'_>) {
        if self.server.is_none() {
            warn_without_location(&self.place, &self.uri, behind, "list", level);
        }
    }
}

/// `jwt_revoked_request`: a list that is fetched.
pub(crate) struct RevokedRequest {
    pub(crate) at: ListPlace,
    /// `first=`: the line that the list must begin with.
    pub(super) first: Option<Box<[u8]>>,
    claim: ClaimPath,
    /// In place of the list while it is not there.
    absent: Arc<Revocation>,
    /// The source that was used last, and the number of its server.
    pub(super) source: RefCell<Option<(usize, Rc<Source<FetchedList>>)>>,
    /// The last list, reused as long as it is the same.
    last: RefCell<Option<(Arc<SharedWords>, Arc<Revocation>)>>,
}

impl RevokedRequest {
    pub(super) fn new(at: ListPlace, first: Option<Box<[u8]>>, claim: ClaimPath) -> Self {
        let absent = Revocation::missing(claim.clone(), at.shown_uri());
        let (source, last) = (RefCell::default(), RefCell::default());
        Self { at, first, claim, absent: Arc::new(absent), source, last }
    }

    /// The revocation by the list in these words.
    pub(super) fn revocation(&self, words: &Arc<SharedWords>) -> Arc<Revocation> {
        let mut last = self.last.borrow_mut();
        if let Some((of, revocation)) = &*last
            && Arc::ptr_eq(of, words)
        {
            return Arc::clone(revocation);
        }
        let list = RevokedList::shared(Box::new(ListWords(Arc::clone(words))));
        let revocation = Revocation::new(self.claim.clone(), list).named(self.at.shown_uri());
        let revocation = Arc::new(revocation);
        *last = Some((Arc::clone(words), Arc::clone(&revocation)));
        revocation
    }

    /// What stands in the place of the list while it is not there; `None` if tokens then pass.
    pub(super) fn absent(&self) -> Option<Arc<Revocation>> {
        (self.at.missing == Missing::Refuse).then(|| Arc::clone(&self.absent))
    }
}

/// `jwt_status_list`: where the status lists are fetched from that tokens name.
pub(crate) struct StatusListRequest {
    pub(crate) at: ListPlace,
    /// What the names of these lists begin with.
    pub(super) prefix: Box<str>,
    /// Whether tokens must name one.
    pub(crate) required: bool,
}

impl StatusListRequest {
    /// How much of a list's name the prefix is; `None` if the list is not among these.
    pub(crate) fn covers(&self, uri: &str) -> Option<usize> {
        uri.starts_with(&*self.prefix).then_some(self.prefix.len())
    }

    /// The URI at which that list is fetched.
    pub(super) fn uri_of(&self, uri: &str) -> Vec<u8> {
        let rest = uri.strip_prefix(&*self.prefix).unwrap_or_default();
        [&self.at.uri, rest.as_bytes()].concat()
    }

    /// The server that has the location, for this request.
    pub(crate) fn server<'s>(&'s self, request: Request<'s>) -> Server<'s> {
        self.at.server(request.server())
    }
}
