//! What a token is judged by beside what the configuration fixes: keys and lists that change while
//! requests flow.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use token::{KeySet, LiveInputs, LivePolicy, Refusal, Reject, Revocation, Verified};

use crate::conf::{JwtCheck, KeyFile, KeyRequest, KeySource, Part, PartBeside};
use crate::ffi::ComplexValue;
use crate::keys::{Source, Watched};
use crate::request::Request;
use crate::state::{Awaited, Failed, OnTheWay, State};

/// What shows of the key sources while a token is judged.
#[derive(Default)]
struct Lookup {
    /// The policy that the keys are of.
    policy: Cell<Option<usize>>,
    /// Whether a source has none, though it should.
    lacking: Cell<bool>,
    /// Those of them whose keys are on their way.
    under_way: RefCell<Vec<OnTheWay>>,
    /// Whether the name of one could not be evaluated.
    failed: Cell<bool>,
}

impl Lookup {
    /// The value that names a source.
    fn evaluate<'r>(&self, request: Request<'r>, value: &ComplexValue) -> Option<&'r [u8]> {
        let name = request.evaluate(value);
        self.failed.set(self.failed.get() || name.is_none());
        name
    }
}

/// Judges a token. Where only keys that are on their way can tell, that is [`Failed::Pending`].
pub(crate) fn judge(
    request: Request<'_>,
    state: &State,
    check: &Rc<JwtCheck>,
    token: &[u8],
) -> Result<Result<Verified, Refusal>, Failed> {
    let lookup = Lookup::default();
    let judged = find_out(request, state, check, token, &lookup);
    let judged = for_want_of_keys(request, state, check, judged, &lookup);
    if lookup.failed.get() { Err(Failed::Value) } else { judged }
}

/// What to make of a token that was refused because its key is not there.
fn for_want_of_keys(
    request: Request<'_>,
    state: &State,
    check: &JwtCheck,
    mut judged: Result<Verified, Refusal>,
    lookup: &Lookup,
) -> Result<Result<Verified, Refusal>, Failed> {
    let Err(refusal) = &mut judged else { return Ok(judged) };
    let another_key_may_tell = matches!(
        refusal.reason,
        Reject::NoKeys | Reject::UnknownKey | Reject::BadAlgorithm | Reject::BadSignature
    );
    if !another_key_may_tell {
        return Ok(judged);
    }
    let mut needed = lookup.under_way.take();
    // What is fetched for the first time is waited for. A source that is down does not keep another from
    // being asked for a new key.
    let all_down = needed.iter().all(|one| one.source.has_failed());
    if refusal.reason == Reject::UnknownKey && all_down {
        look_again(request, check, lookup, &mut needed);
    }
    if let Some(pending) = state.awaited.is_needed(needed, request.clock()) {
        return Err(pending);
    }
    if refusal.reason == Reject::UnknownKey && lookup.lacking.get() {
        refusal.reason = Reject::NoKeys;
    }
    Ok(judged)
}

/// Judges a token by the keys that are there, unless that was done for this request before.
fn find_out(
    request: Request<'_>,
    state: &State,
    check: &Rc<JwtCheck>,
    token: &[u8],
    lookup: &Lookup,
) -> Result<Verified, Refusal> {
    let time = state.time(request.now());
    let lend = |policy| lend(request, check, policy, lookup);
    if let Some(found) = state.tokens.find(check, token, time, lend) {
        return found;
    }
    let lent = RefCell::new(None);
    let lend = |policy| {
        let loan = lend(policy);
        lent.replace(Some((policy, loan.clone())));
        loan
    };
    let mut found = check.trust.check_cached(token, time, lend, request.main_conf().cache());
    // The memory of the worker is as good.
    if !found.as_ref().is_ok_and(|verified| verified.cached) {
        state.tokens.note(check, token, time, lent.into_inner(), &mut found);
    }
    found
}

/// Has the keys of the policy fetched again that a token's kid is not among; adds those that are worth
/// waiting for to what is `needed`.
fn look_again(request: Request<'_>, check: &JwtCheck, lookup: &Lookup, needed: &mut Vec<OnTheWay>) {
    let Some(part) = lookup.policy.get().and_then(|policy| check.parts.get(policy)) else { return };
    for source in &part.sources.keys {
        if let KeySource::Request(key_request) = &**source
            && let Some(source) = find(request, key_request, lookup)
            && !needed.iter().any(|one| Rc::ptr_eq(&one.source, &source))
            && source.look_for_unknown_kid(
                request.server(),
                &key_request.terms(part),
                request.clock(),
            )
        {
            needed.push(OnTheWay { source, timeout: key_request.timeout });
        }
    }
}

/// What the policy, and the location beside it, go by now.
fn lend(request: Request<'_>, check: &JwtCheck, policy: usize, lookup: &Lookup) -> LiveInputs {
    lookup.policy.set(Some(policy));
    let part = check.parts.get(policy);
    LiveInputs {
        policy: part.and_then(|part| lend_to_policy(request, part, lookup)),
        revoked: lend_beside(request, &check.beside),
    }
}

/// The same as last time is not put together again.
fn lend_to_policy(request: Request<'_>, part: &Part, lookup: &Lookup) -> Option<Rc<LivePolicy>> {
    let sources = &part.sources;
    if sources.keys.is_empty() && sources.revoked.is_empty() {
        return None;
    }
    let keys = || sources.keys.iter().filter_map(|source| keys_of(request, part, source, lookup));
    let revoked = || sources.revoked.iter().map(|file| list_of(request, file));
    let last = part.lent.borrow().clone();
    if let Some(last) = last
        && unchanged(&last.keys, keys())
        && unchanged(&last.revoked, revoked())
    {
        return Some(last);
    }
    let lent = Rc::new(LivePolicy { keys: keys().collect(), revoked: revoked().collect() });
    part.lent.replace(Some(Rc::clone(&lent)));
    Some(lent)
}

/// As [`lend_to_policy`].
fn lend_beside(request: Request<'_>, part: &PartBeside) -> Option<Rc<[Arc<Revocation>]>> {
    if part.revoked.is_empty() {
        return None;
    }
    let revoked = || part.revoked.iter().map(|file| list_of(request, file));
    let last = part.lent.borrow().clone();
    if let Some(last) = last
        && unchanged(&last, revoked())
    {
        return Some(last);
    }
    let lent: Rc<[_]> = revoked().collect();
    part.lent.replace(Some(Rc::clone(&lent)));
    Some(lent)
}

/// Whether what was lent last is the very same that is there now.
fn unchanged<T>(last: &[Arc<T>], now: impl Iterator<Item = Arc<T>>) -> bool {
    last.iter().map(Arc::as_ptr).eq(now.map(|one| Arc::as_ptr(&one)))
}

/// The keys of a source now; none while there are none.
fn keys_of(
    request: Request<'_>,
    part: &Part,
    source: &KeySource,
    lookup: &Lookup,
) -> Option<Arc<KeySet>> {
    match source {
        KeySource::Watched(file) => {
            let (keys, complaint) = file.get(request.clock());
            complain(request, "key file", complaint);
            Some(keys)
        }
        KeySource::Named(file) => named_file(request, file, lookup),
        KeySource::Request(key_request) => {
            let source = find(request, key_request, lookup)?;
            let found = source.keys(request.server(), &key_request.terms(part), request.clock());
            if found.keys.is_none() {
                lookup.lacking.set(true);
                if found.under_way {
                    let timeout = key_request.timeout;
                    lookup.under_way.borrow_mut().push(OnTheWay { source, timeout });
                }
            }
            found.keys
        }
    }
}

fn find(request: Request<'_>, key_request: &KeyRequest, lookup: &Lookup) -> Option<Rc<Source>> {
    let uri = lookup.evaluate(request, &key_request.uri)?;
    Some(request.main_conf().key_requests.get(request.server(), key_request.zone, uri))
}

fn named_file(request: Request<'_>, file: &KeyFile, lookup: &Lookup) -> Option<Arc<KeySet>> {
    let mut name = Cow::Borrowed(lookup.evaluate(request, &file.name)?);
    if !name.starts_with(b"/") {
        name = [&*file.folder, &*name].concat().into();
    }
    let (keys, complaint) = request.main_conf().key_files.get(&name);
    let name = name.escape_ascii();
    complain(request, "key file", complaint.map(|complaint| format!("\"{name}\": {complaint}")));
    keys
}

fn list_of(request: Request<'_>, file: &Watched<Revocation>) -> Arc<Revocation> {
    let (list, complaint) = file.get(request.clock());
    complain(request, "list of what is revoked", complaint);
    list
}

fn complain(request: Request<'_>, of: &str, complaint: Option<impl fmt::Display>) {
    if let Some(complaint) = complaint {
        request.log_error(format_args!("{of} {complaint}"));
    }
}

/// After a judgement: holds the request if it is `pending`, and lets it go on if it was held. `None`
/// when nginx cannot do so.
pub(crate) fn settle(request: Request<'_>, awaited: &Awaited, pending: bool) -> Option<()> {
    if !awaited.waiting.take().is_empty() {
        request.resume()?;
    }
    if !pending {
        awaited.is_over();
        return Some(());
    }
    let needed = awaited.needed.take();
    let left = awaited.begin(&needed, request.clock());
    let sources = &request.main_conf().key_requests;
    let wait = |one: &OnTheWay| sources.wait(&one.source, request.waker(), request.server());
    awaited.waiting.replace(needed.iter().map(wait).collect());
    request.hold(usize::try_from(left).unwrap_or(usize::MAX))
}
