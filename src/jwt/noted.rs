//! The sources of keys and lists that directives bring, for reports.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::jwe::DecryptionKeys;
use token::{KeySet, Revocation};

use super::check::KeySource;
use crate::live::{Contents, SourceKind, SourceState, Watched};
use crate::nginx::{Request, Setting};
use crate::revoke::StatusListRequest;

/// The sources, in the order of the configuration. Those with a fixed URI are not among them
/// (`HttpLevel::fixed_requests`).
#[derive(Default)]
pub(super) struct NotedSources(RefCell<Vec<Noted>>);

struct Noted {
    directive: String,
    position: String,
    name: String,
    holder: Holder,
}

/// What holds the keys or the list.
pub(super) enum Holder {
    Keys(Arc<KeySet>),
    WatchedKeys(Rc<Watched<KeySet>>),
    DecryptionKeys(Arc<DecryptionKeys>),
    WatchedDecryptionKeys(Rc<Watched<DecryptionKeys>>),
    List(Arc<Revocation>),
    WatchedList(Rc<Watched<Revocation>>),
    /// Status lists that tokens name.
    StatusLists(Rc<StatusListRequest>),
    /// A file or URI with variables in its name, or one for each kid: many sources in one.
    Varying(Rc<KeySource>),
}

impl NotedSources {
    /// The state of each source. Files that are watched are checked, if their last check was too long ago.
    /// `loaded` is when the configuration came into force, in seconds since the epoch.
    pub(super) fn states(&self, request: Request<'_>, loaded: i64) -> Vec<SourceState> {
        self.0.borrow().iter().map(|noted| noted.state(request, loaded)).collect()
    }

    /// Notes what the directive brings; `name` is that of a file or a URI.
    pub(super) fn note(&self, setting: &Setting<'_>, name: &[u8], holder: Holder) {
        self.0.borrow_mut().push(Noted {
            directive: setting.name(),
            position: setting.position(),
            name: String::from_utf8_lossy(name).into_owned(),
            holder,
        });
    }
}

impl Noted {
    fn state(&self, request: Request<'_>, loaded: i64) -> SourceState {
        let mut state = SourceState {
            directive: self.directive.clone(),
            position: self.position.clone(),
            name: self.name.clone(),
            ..SourceState::default()
        };
        state.health.good = Some(loaded);
        match &self.holder {
            Holder::Keys(keys) => hold(&mut state, SourceKind::Keys, &**keys),
            Holder::DecryptionKeys(keys) => hold(&mut state, SourceKind::Keys, &**keys),
            Holder::WatchedDecryptionKeys(file) => {
                watched(&mut state, SourceKind::Keys, file, request);
            }
            Holder::List(list) => hold(&mut state, SourceKind::List, &**list),
            Holder::WatchedKeys(file) => watched(&mut state, SourceKind::Keys, file, request),
            Holder::WatchedList(file) => watched(&mut state, SourceKind::List, file, request),
            Holder::StatusLists(lists) => {
                state.kind = SourceKind::List;
                state.health = lists.at.health();
            }
            Holder::Varying(source) => {
                state.health = match &**source {
                    KeySource::Named(file) => file.health.report(),
                    KeySource::Request(key_request) => key_request.health.report(),
                    KeySource::Watched(_) => state.health,
                };
            }
        }
        state
    }
}

fn hold(state: &mut SourceState, kind: SourceKind, held: &impl Contents) {
    state.kind = kind;
    state.entries = Some(held.entries());
    state.kids = held.kids();
}

fn watched<T: Contents>(
    state: &mut SourceState,
    kind: SourceKind,
    file: &Watched<T>,
    request: Request<'_>,
) {
    let clock = request.clock();
    let (held, line) = file.get(clock);
    let of = match kind {
        SourceKind::Keys => "key file",
        SourceKind::List => "revocation list",
    };
    request.log_line(of, line);
    hold(state, kind, &*held);
    state.watched(file.report(clock));
}
