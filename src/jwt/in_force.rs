//! The keys and lists in force: the policy's own, and those that change at run time.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::cdni::Renewal;
use token::{
    KeySet, Known, LiveInputs, LivePolicy, Refusal, Reject, Revocation, Verified, Wanted, With,
};

use super::case::TokenCase;
use super::check::{JwtCheck, KeyFile, KeyRequest, KeySource, LocationLists, PolicySources};
use super::files::FileKeys;
use super::found::{InForce, Sought};
use super::lookup::Lookup;
use crate::check::NoVerdict;
use crate::live::{Awaited as _, FetchedKeys, Fetching, Source, SourceAt};
use crate::revoke::{CurrentList, ListSource};

/// Why no key was asked for where each kid has one of its own.
const NOT_ASKED_FOR: &str =
    "the token's kid is none that is asked for as it is (per=kid); per=kid-sha256 takes any";
const RATIONED: &str =
    "the key of the token's kid is not asked for now: too many kids that are new";

/// The result for one token.
pub(super) struct Tried {
    pub(super) token: Result<Verified, Box<Refusal>>,
    /// Whether the token was refused before anybody's keys were looked for: it is not one of those that
    /// are expected here.
    pub(super) is_foreign: bool,
    /// The number of the source that it was found in.
    pub(super) found_in: Option<u32>,
    /// How it is renewed, if it covers the request's URI and is to be renewed.
    pub(super) renewal: Option<Rc<Renewal>>,
    /// Whether the check has let it pass before, and says the same for as long as nothing else is asked.
    pub(super) stands: bool,
}

impl Tried {
    pub(super) fn new(token: Result<Verified, Refusal>, is_foreign: bool) -> Self {
        let token = token.map_err(Box::new);
        Self { token, is_foreign, found_in: None, renewal: None, stands: false }
    }

    /// A token that has passed, rules included.
    fn standing(token: Verified) -> Self {
        Self { stands: true, ..Self::new(Ok(token), false) }
    }
}

impl TokenCase<'_> {
    /// Verifies a token of one of the providers with the numbers `among`: form, signature, registered
    /// claims. [`NoVerdict::Pending`] if the result depends on keys that are being fetched.
    pub(super) fn verify(
        self,
        check: &Rc<JwtCheck>,
        token: &[u8],
        among: Option<&[usize]>,
    ) -> Result<Tried, NoVerdict> {
        let known = self.http.meter.cache().and_then(|cache| Some((cache, cache.find(token)?)));
        if let (Some((cache, known)), Some(by)) = (&known, check.steady)
            && let Some(token) = Verified::standing(cache, known, by, self.case.time())
        {
            return Ok(Tried::standing(token));
        }
        self.verify_known(check, token, known.map(|(_, known)| known), among)
    }

    /// As [`TokenCase::verify`], for a token of which the worker's cache knows this.
    fn verify_known(
        self,
        check: &Rc<JwtCheck>,
        token: &[u8],
        known: Option<Known>,
        among: Option<&[usize]>,
    ) -> Result<Tried, NoVerdict> {
        let lookup = Lookup::default();
        let mut decryption = check.decryption.current(self.case.request);
        if check.decryption.are_in_named_files {
            let sources = check.policies.iter().flat_map(|policy| &policy.live.keys);
            let files = sources.filter_map(|source| source.named());
            let files = files.filter_map(|file| self.named_file(file, &lookup));
            decryption.extend(files.map(|keys| Arc::clone(&keys.decrypting)));
        }
        let sought = Sought { token, among, decryption: &decryption };
        let judged = self.verify_now(check, sought, known, &lookup);
        let judged = self.for_want_of_keys(check, judged, &lookup);
        if lookup.failed.get() {
            return Err(NoVerdict::Value);
        }
        let token = judged?.and_then(|token| {
            self.check_status(check, &token, &lookup)?;
            Ok(token)
        });
        self.for_want_of_lists(&token, &lookup)?;
        let is_foreign = lookup.policy.get().is_none() && token.is_err();
        Ok(Tried::new(token, is_foreign))
    }

    /// What follows if a token was refused and its key may be missing.
    fn for_want_of_keys(
        self,
        check: &JwtCheck,
        mut judged: Result<Verified, Refusal>,
        lookup: &Lookup,
    ) -> Result<Result<Verified, Refusal>, NoVerdict> {
        let Err(refusal) = &mut judged else { return Ok(judged) };
        let another_key_may_tell = matches!(
            refusal.reason,
            Reject::NoKeys | Reject::UnknownKey | Reject::BadAlgorithm | Reject::BadSignature
        );
        if !another_key_may_tell {
            return Ok(judged);
        }
        let mut needed = lookup.under_way.take();
        // First wait for the sources that have no keys yet. If all of these have failed before, ask the
        // others for the new key.
        let all_down = needed.iter().all(|one| one.source.has_failed());
        if refusal.reason == Reject::UnknownKey && all_down {
            self.refresh_sources(check, lookup, &mut needed);
        }
        if self.kept.wait.needs(needed, self.case.request.clock()) {
            return Err(NoVerdict::Pending);
        }
        if refusal.reason == Reject::UnknownKey && lookup.lacking.get() {
            refusal.reason = Reject::NoKeys;
        } else if refusal.reason == Reject::UnknownKey
            && let Some(why) = lookup.withheld.get()
        {
            refusal.detail = why.into();
        }
        Ok(judged)
    }

    /// What follows if a list is not there: the request waits for it, if it may come; otherwise a token
    /// that passes without it is counted.
    fn for_want_of_lists(
        self,
        judged: &Result<Verified, Refusal>,
        lookup: &Lookup,
    ) -> Result<(), NoVerdict> {
        if matches!(judged, Err(refusal) if refusal.reason != Reject::NoList) {
            return Ok(());
        }
        if self.kept.wait.needs(lookup.wanted_lists(), self.case.request.clock()) {
            return Err(NoVerdict::Pending);
        }
        if judged.is_ok()
            && let Some(list) = lookup.passed_without()
            && self.http.meter.count_unchecked(self.case.request.now())
        {
            self.case.request.log_warning(format_args!(
                "token_auth: the list \"{list}\" is not there; tokens pass without it (missing=pass)"
            ));
        }
        Ok(())
    }

    /// Verifies a token with the keys that are there now, unless the request has this result already.
    fn verify_now(
        self,
        check: &Rc<JwtCheck>,
        sought: Sought<'_>,
        known: Option<Known>,
        lookup: &Lookup,
    ) -> Result<Verified, Refusal> {
        let Sought { token, among, decryption } = sought;
        let time = self.case.time();
        let in_force = |wanted: Wanted<'_>| self.in_force(check, wanted, lookup);
        if let Some(found) = self.kept.found.find(check, sought, time, in_force) {
            return found;
        }
        let used = RefCell::new(None);
        let in_force = |wanted: Wanted<'_>| {
            let inputs = in_force(wanted);
            let policy = wanted.policy;
            let by_kid = check.policies.get(policy).is_some_and(|policy| policy.live.are_by_kid());
            let kid = by_kid.then(|| wanted.kid().map(Into::into)).flatten();
            used.replace(Some(InForce { policy, kid, inputs: inputs.clone() }));
            inputs
        };
        let meter = &self.http.meter;
        let (cache, memo) = (meter.cache(), meter.memo());
        let (headers, signatures) = (Some(&meter.headers), Some(&meter.signatures));
        let stands = check.steady.is_some();
        let with = With { cache, headers, memo, among, stands, signatures, decryption };
        let mut found = check.trust.check_found(token, known, time, in_force, with);
        // The worker's cache has this result; the request need not keep it, too.
        if !found.as_ref().is_ok_and(Verified::is_cached) {
            self.kept.found.note(check, sought, time, used.into_inner(), &mut found);
        }
        found
    }

    /// Fetches again those sources of the policy that do not have the token's kid. Adds those that are
    /// worth waiting for to `needed`.
    fn refresh_sources(self, check: &JwtCheck, lookup: &Lookup, needed: &mut Vec<Fetching>) {
        let policy = lookup.policy.get().and_then(|number| check.policies.get(number));
        let Some(policy) = policy else { return };
        let request = self.case.request;
        for source in &policy.live.keys {
            if let KeySource::Request(key_request) = &**source
                && key_request.per.is_none()
                && let Some(source) = self.source(key_request, lookup)
                && !needed.iter().any(|one| one.is_of(&source))
                && source.refresh_for_unknown_key(
                    key_request.server(request),
                    &key_request.terms(policy),
                    request.clock(),
                )
            {
                needed.push(Fetching { source, timeout: key_request.timeout });
            }
        }
    }

    /// The keys and lists that change at run time: those of the policy that is wanted, and those of the
    /// location itself.
    pub(super) fn in_force(
        self,
        check: &JwtCheck,
        wanted: Wanted<'_>,
        lookup: &Lookup,
    ) -> LiveInputs {
        lookup.policy.set(Some(wanted.policy));
        let policy = check.policies.get(wanted.policy);
        LiveInputs {
            policy: policy.and_then(|policy| self.of_policy(policy, wanted, lookup)),
            revoked: self.of_location(&check.lists, lookup),
        }
    }

    /// Nothing new is allocated if all keys and lists are the same as last time.
    fn of_policy(
        self,
        policy: &PolicySources,
        wanted: Wanted<'_>,
        lookup: &Lookup,
    ) -> Option<Rc<LivePolicy>> {
        let live = &policy.live;
        if live.keys.is_empty() && live.revoked.is_empty() {
            return None;
        }
        let keys_of = |source: &Rc<KeySource>| self.keys_of(policy, source, wanted, lookup);
        let keys = || live.keys.iter().filter_map(keys_of);
        let revoked = || live.revoked.iter().filter_map(|list| self.list_of(list, lookup));
        let last = policy.last.borrow().clone();
        if let Some(last) = last
            && unchanged(&last.keys, keys())
            && unchanged(&last.revoked, revoked())
        {
            return Some(last);
        }
        let now = Rc::new(LivePolicy { keys: keys().collect(), revoked: revoked().collect() });
        policy.last.replace(Some(Rc::clone(&now)));
        Some(now)
    }

    /// As [`TokenCase::of_policy`].
    fn of_location(self, lists: &LocationLists, lookup: &Lookup) -> Option<Rc<[Arc<Revocation>]>> {
        if lists.revoked.is_empty() {
            return None;
        }
        let revoked = || lists.revoked.iter().filter_map(|list| self.list_of(list, lookup));
        let last = lists.last.borrow().clone();
        if let Some(last) = last
            && unchanged(&last, revoked())
        {
            return Some(last);
        }
        let now: Rc<[_]> = revoked().collect();
        lists.last.replace(Some(Rc::clone(&now)));
        Some(now)
    }

    /// The keys that a source has now; `None` if it has none.
    fn keys_of(
        self,
        policy: &PolicySources,
        source: &KeySource,
        wanted: Wanted<'_>,
        lookup: &Lookup,
    ) -> Option<Arc<KeySet>> {
        let request = self.case.request;
        match source {
            KeySource::Watched(file) => {
                let (keys, line) = file.get(request.clock());
                request.log_line("key file", line);
                Some(keys)
            }
            KeySource::Named(file) => {
                self.named_file(file, lookup).map(|keys| Arc::clone(&keys.verifying))
            }
            KeySource::Request(key_request) => {
                let source = match key_request.per {
                    None => self.source(key_request, lookup)?,
                    Some(per) => {
                        let Some(kid) = wanted.kid() else {
                            return Some(Arc::clone(&self.http.no_keys));
                        };
                        let Some(part) = per.part(kid) else {
                            lookup.withheld.set(Some(NOT_ASKED_FOR));
                            return Some(Arc::clone(&self.http.no_keys));
                        };
                        self.source_of_kid(key_request, &part, lookup)?
                    }
                };
                let terms = key_request.terms(policy);
                let current = source.get(key_request.server(request), &terms, request.clock());
                if current.value.is_none() {
                    let is_rationed = !current.under_way && !source.has_failed();
                    if key_request.per.is_some() && is_rationed {
                        lookup.withheld.set(Some(RATIONED));
                        return Some(Arc::clone(&self.http.no_keys));
                    }
                    lookup.lacking.set(true);
                    if current.under_way {
                        let timeout = key_request.timeout;
                        lookup.under_way.borrow_mut().push(Fetching { source, timeout });
                    }
                }
                current.value
            }
        }
    }

    fn source(self, key_request: &KeyRequest, lookup: &Lookup) -> Option<Rc<Source<FetchedKeys>>> {
        let request = self.case.request;
        let uri = self.uri(key_request, lookup)?;
        Some(self.http.keys_at(key_request.server(request), key_request, uri))
    }

    /// The source of one kid, which has this `part` of the URI.
    fn source_of_kid(
        self,
        key_request: &KeyRequest,
        part: &str,
        lookup: &Lookup,
    ) -> Option<Rc<Source<FetchedKeys>>> {
        let request = self.case.request;
        let uri = [self.uri(key_request, lookup)?, part.as_bytes()].concat();
        let KeyRequest { zone, health, .. } = key_request;
        let at = SourceAt::new(key_request.server(request), &uri);
        Some(self.http.kid_requests.get(at, *zone, health, FetchedKeys::of_a_kid))
    }

    /// The URI of a source for this request. A URI with a variable that depends on the check would lack
    /// that part, so nothing is fetched then.
    fn uri<'r>(self, key_request: &'r KeyRequest, lookup: &Lookup) -> Option<&'r [u8]>
    where
        Self: 'r,
    {
        let uri = lookup.evaluate(self.case.request, &key_request.uri)?;
        let is_sound = self.case.is_sound().is_ok() && !self.case.judging.has_failed();
        lookup.failed.set(lookup.failed.get() || !is_sound);
        is_sound.then_some(uri)
    }

    fn named_file(self, file: &KeyFile, lookup: &Lookup) -> Option<Arc<FileKeys>> {
        let request = self.case.request;
        let mut name = Cow::Borrowed(lookup.evaluate(request, &file.name)?);
        if !name.starts_with(b"/") {
            name = [&*file.folder, &*name].concat().into();
        }
        let (keys, line) = self.http.key_files.get(&name, &file.health);
        request.log_line("key file", line);
        keys
    }

    /// A list as it is now; `None` if it is not there, and tokens pass without it.
    fn list_of(self, list: &ListSource, lookup: &Lookup) -> Option<Arc<Revocation>> {
        let request = self.case.request;
        match list {
            ListSource::Watched(file) => {
                let (list, line) = file.get(request.clock());
                request.log_line("revocation list", line);
                Some(list)
            }
            ListSource::Requested(list) => {
                let CurrentList { list: current, fetching } =
                    self.http.lists.current(request, list);
                if let Some(fetching) = fetching {
                    lookup.wants_list(fetching);
                }
                if current.is_none() {
                    lookup.passes_without(list.at.shown_uri());
                }
                current
            }
        }
    }
}

/// Whether the keys or lists that were in force last are the same objects as now.
fn unchanged<T>(last: &[Arc<T>], now: impl Iterator<Item = Arc<T>>) -> bool {
    last.iter().map(Arc::as_ptr).eq(now.map(|one| Arc::as_ptr(&one)))
}
