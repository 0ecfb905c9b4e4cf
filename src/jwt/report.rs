//! The state of all sources of keys and lists, for the status page.

use std::collections::HashMap;

use super::http_level::HttpLevel;
use super::rules::TriedRule;
use crate::live::{Contents, SourceKind, SourceState};
use crate::nginx::Request;

impl HttpLevel {
    /// The state of all sources of keys and lists, as this worker knows it. Files that are watched are
    /// checked, if their last check was too long ago; nothing is fetched. `loaded` is when the
    /// configuration came into force, in seconds since the epoch.
    pub(crate) fn source_states(&self, request: Request<'_>, loaded: i64) -> Vec<SourceState> {
        let mut states = self.sources.states(request, loaded);
        self.fixed_requests(|key_request, server, uri, terms| {
            let (state, keys) =
                self.keys_at(server, key_request, uri).report(&key_request.place, terms);
            states.push(SourceState {
                kind: SourceKind::Keys,
                entries: Some(keys.as_ref().map_or(0, |keys| keys.len())),
                kids: keys.map(|keys| Contents::kids(&*keys)).unwrap_or_default(),
                ..state
            });
        });
        states.extend(self.lists.states());
        merged(states)
    }

    /// The rules that are only tried, by their numbers.
    pub(crate) fn trials(&self) -> Vec<TriedRule> {
        self.trials.rules()
    }
}

/// Sources that a report cannot tell apart are one in it: those of an included file, which brings them
/// once more for each time that it is included, and blocks of secrets in one line.
fn merged(states: Vec<SourceState>) -> Vec<SourceState> {
    let mut known: HashMap<(String, String, String), usize> = HashMap::new();
    let mut merged: Vec<SourceState> = Vec::new();
    for state in states {
        let key = (state.position.clone(), state.name.clone(), state.server.clone());
        let at = *known.entry(key).or_insert(merged.len());
        match merged.get_mut(at) {
            None => merged.push(state),
            Some(same) if same.kids == state.kids => {}
            Some(other) => {
                let entries = other.entries.zip(state.entries);
                other.entries = entries.map(|(one, more)| one + more);
                other.kids.extend(state.kids);
            }
        }
    }
    merged
}
