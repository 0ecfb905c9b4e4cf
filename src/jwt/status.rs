//! The status of a token: what the Token Status List says that it names.

use std::rc::Rc;

use token::status::{StatusList, StatusRef, StatusTable};
use token::{Refusal, Verified, Wanted};

use super::case::TokenCase;
use super::check::JwtCheck;
use super::lookup::Lookup;
use crate::live::{Awaited as _, Fetching};
use crate::nginx::now;
use crate::revoke::{Missing, StatusListRequest, Verify};

impl TokenCase<'_> {
    /// Looks up a token that was verified in the list that it names. What to wait for is noted in `lookup`.
    pub(super) fn check_status(
        self,
        check: &Rc<JwtCheck>,
        token: &Verified,
        lookup: &Lookup,
    ) -> Result<(), Refusal> {
        let policy = check.policies.get(token.provider);
        let of_policy = policy.map(|policy| &*policy.status_lists).unwrap_or_default();
        let all = || of_policy.iter().chain(&*check.status_lists);
        if all().next().is_none() {
            return Ok(());
        }
        let Some(reference) = StatusRef::of(token)? else {
            return match all().any(|one| one.required) {
                true => Err(StatusRef::required(token)),
                false => Ok(()),
            };
        };
        // The longest prefix is the one that is meant.
        let covering = all().filter_map(|one| Some((one.covers(reference.uri)?, one)));
        match covering.max_by_key(|(len, _)| *len) {
            None => Err(reference.uncovered(token)),
            Some((_, lists)) => self.look_up(check, token, lists, reference, lookup),
        }
    }

    fn look_up(
        self,
        check: &Rc<JwtCheck>,
        token: &Verified,
        lists: &StatusListRequest,
        reference: StatusRef<'_>,
        lookup: &Lookup,
    ) -> Result<(), Refusal> {
        let (request, terms) = (self.case.request, &lists.at.terms);
        let policy = check.policies.get(token.provider);
        let identity = policy.map(|policy| &*policy.identity).unwrap_or_default();
        let source = self.http.lists.status(request, lists, reference.uri, identity);
        let current = source.get(lists.server(request), terms, request.clock());
        if source.is_fetched_here() {
            source.kind().verify_by(|| self.verify_list(check, token, reference.uri, lookup));
        }
        let found = current.value.as_ref().and_then(|words| {
            words.read(|words| {
                let table = StatusTable::read(words)?;
                let is_over = table.expires().is_some_and(|expires| expires <= self.case.time());
                (!is_over).then(|| reference.check(token, &table))
            })?
        });
        // A list that nobody has asked for in a long time may have changed since.
        let is_old = current.overdue > terms.valid;
        if (found.is_none() || is_old) && current.under_way && !source.has_failed() {
            lookup.wants_list(Fetching { source, timeout: terms.timeout });
        }
        match (found, lists.at.missing) {
            (Some(found), _) => found,
            (None, Missing::Refuse) => Err(reference.without_list(token)),
            (None, Missing::Pass) => {
                lookup.passes_without(reference.uri.to_owned());
                Ok(())
            }
        }
    }

    /// How the list is verified that is being fetched: by the keys that have just verified the token.
    fn verify_list(
        self,
        check: &Rc<JwtCheck>,
        token: &Verified,
        uri: &str,
        lookup: &Lookup,
    ) -> Verify {
        let (check, number, uri) = (Rc::clone(check), token.provider, uri.to_owned());
        let live = self.in_force(&check, Wanted::new(number, token.kid()), lookup);
        Box::new(move |text| {
            let (policy, location) = check.trust.policy(number).ok_or("the policy is gone")?;
            StatusList::open(text, &uri, policy, location, &live, now())
                .map_err(|error| error.to_string())
        })
    }
}
