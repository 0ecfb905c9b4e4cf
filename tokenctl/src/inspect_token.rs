//! `tokenctl inspect` for tokens: the verdict, and how it is shown.

use std::sync::Arc;

use token::cdni::{self, Asked, PACKAGE, Patterns};
use token::sign::{Json, Members};
use token::status::StatusRef;
use token::{Carrier, Policy, Refusal, Reject, Revocation};

use crate::decrypted::{Decrypted, is_encrypted};
use crate::explain;
use crate::form;
use crate::keyring::Keys;
use crate::output;
use crate::rules::Rule;
use crate::sections::{Section, Sections};

/// What a token is judged by.
pub(crate) struct Demands<'a> {
    pub(crate) policy: Policy,
    pub(crate) rules: Vec<Rule>,
    /// The policy's lists of revoked tokens, as they were given.
    pub(crate) lists: &'a [String],
    /// The URI that the token must cover.
    pub(crate) uri: Option<&'a str>,
    pub(crate) keys: Keys,
}

/// A token that has been judged.
pub(crate) struct Judged {
    /// The header of the encryption, of a token that was decrypted.
    encryption: Option<Section>,
    sections: Sections,
    /// `None` if no key was given, so that only the form could be judged.
    verdict: Option<Result<(), Refusal>>,
    /// Whether it is encrypted, and no key was given that decrypts.
    closed: bool,
    /// Whether the signature holds.
    signed: bool,
    /// Whether it is not signed, and was decrypted.
    vouched: bool,
    /// Whether there was a key to verify it with.
    keyed: bool,
    /// Sentences for the person who tests.
    why: Vec<String>,
    times: String,
    /// What the token says of its status; empty if nothing.
    status: String,
    /// Whether it covers the URI; empty if none was given.
    covers: String,
}

impl Judged {
    /// Judges `token` at the time `now`.
    pub(crate) fn new(token: &str, demands: &Demands<'_>, now: i64) -> Self {
        let Demands { policy, rules, lists, uri, keys } = demands;
        let decrypting = policy.forms.keys.first().filter(|_| is_encrypted(token));
        let (decrypted, fault) = match decrypting.map(|keys| Decrypted::new(token, keys)) {
            Some(Ok(decrypted)) => (Some(decrypted), None),
            Some(Err(refusal)) => (None, Some(refusal)),
            None => (None, None),
        };
        // Claims that are not signed are vouched for by the key that decrypts them.
        let vouched = decrypted.as_ref().is_some_and(|it| it.signed.is_none());
        let (encryption, signed, sections) = match decrypted {
            Some(Decrypted { header, signed, sections }) => (Some(header), signed, sections),
            None => (None, None, Sections::new(token)),
        };
        let closed =
            is_encrypted(token) && decrypting.is_none() && sections.header.get("enc").is_some();
        let inner = signed.as_deref().unwrap_or(token);
        let keyed = !policy.keys.is_empty() || vouched;
        let mut why = Vec::new();
        let verdict = match () {
            () if token.is_empty() => Some(Err(Refusal::from(Reject::Missing))),
            () if keyed => Some(policy.check(token.as_bytes(), now).and_then(|verified| {
                if let Some(uri) = uri {
                    let carriers = carriers(token);
                    let asked = Asked { uri: uri.as_bytes(), carriers: &carriers, renews: true };
                    cdni::check(&verified, asked, &Patterns::default(), now)?;
                }
                let denied = rules.iter().find_map(|rule| rule.denies(&verified.payload));
                why.extend(denied);
                if why.is_empty() { Ok(()) } else { Err(Refusal::from(Reject::Denied)) }
            })),
            // Without a key only its form can be judged.
            () if fault.is_some() => fault.map(Err),
            () if closed => None,
            () => policy.check_form(inner.as_bytes()).err().map(Err),
        };
        if let Some(Err(refusal)) = &verdict {
            if refusal.reason == Reject::Revoked {
                why.extend(revoked_by(token, policy, lists, now));
            }
            why.extend(explain::why(refusal.reason, inner, &sections, policy, keys, now));
            let by_form = matches!(refusal.reason, Reject::Malformed | Reject::BadSignature);
            if by_form && !vouched {
                why.extend(form::hints(inner, &sections));
            }
        }
        let signed = policy.verify_jws(inner.as_bytes(), now).is_ok();
        let times = sections.times(now);
        let status = status(&sections);
        let covers = uri.map(|uri| covers(&sections, token, uri)).unwrap_or_default();
        Self {
            encryption,
            sections,
            verdict,
            closed,
            signed,
            vouched,
            keyed,
            why,
            times,
            status,
            covers,
        }
    }

    /// Whether it was accepted, or only shown.
    pub(crate) fn accepted(&self) -> bool {
        !matches!(self.verdict, Some(Err(_)))
    }

    /// The text for a person.
    pub(crate) fn text(&self) -> String {
        let note = match (self.signed, self.keyed) {
            (true, _) => "the signature holds",
            _ if self.vouched => "decrypted, not signed",
            (_, false) => "NOT VERIFIED: no key was given",
            _ => "NOT VERIFIED",
        };
        let mut text = String::new();
        if let Some(header) = self.encryption.as_ref().and_then(Section::shown) {
            text.push_str(&format!("Encryption (decrypted)\n{header}\n\n"));
        }
        if let Some(header) = self.sections.header.shown() {
            text.push_str(&format!("Header\n{header}\n\n"));
        }
        if let Some(payload) = self.sections.payload.shown() {
            text.push_str(&format!("Payload ({note})\n{payload}\n\n"));
        }
        if !self.times.is_empty() {
            text.push_str(&format!("Times\n{}\n", self.times));
        }
        if !self.status.is_empty() {
            text.push_str(&format!("Status\n  {}\n\n", self.status));
        }
        if !self.covers.is_empty() {
            text.push_str(&format!("URI\n  {}\n\n", self.covers));
        }
        match &self.verdict {
            None => {
                let options =
                    if self.closed { "--decryption-key" } else { "--keys, --kids, --secret" };
                text.push_str(&format!("Verdict: none, as no key was given ({options})\n"));
            }
            Some(Ok(())) => text.push_str("Verdict: ok\n"),
            Some(Err(refusal)) => {
                let reason = refusal.reason;
                text.push_str(&format!(
                    "Verdict: {reason}\n  {}.\n  In nginx's log: {refusal}\n",
                    reason.description()
                ));
                self.why.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
            }
        }
        text
    }

    /// The same as one line of JSON, for a program. Numbers of the token keep their digits.
    pub(crate) fn json(&self) -> String {
        let mut members = Members::default();
        let (verdict, reason) = match &self.verdict {
            None => (Json::null(), Json::null()),
            Some(Ok(())) => (Json::string("ok"), Json::null()),
            Some(Err(refusal)) => (
                Json::string(&refusal.reason.to_string()),
                Json::string(&refusal.sentence().to_string()),
            ),
        };
        let section = |section: &Section| {
            let read = section.json.as_ref().map(|document| Json::of(document.root()));
            read.unwrap_or(Json::null())
        };
        members.set("verdict", verdict);
        members.set("reason", reason);
        members.set("signature_holds", Json::bool(self.signed));
        if let Some(encryption) = &self.encryption {
            members.set("encryption", section(encryption));
        }
        members.set("header", section(&self.sections.header));
        members.set("payload", section(&self.sections.payload));
        let why: Vec<_> = self.why.iter().map(|line| output::one_line(line)).collect();
        members.set("why", Json::strings(&why));
        output::printable_json(&format!("{members}\n"))
    }
}

/// What the token says of its status. No list is fetched here.
fn status(sections: &Sections) -> String {
    let Ok(claims) = &sections.payload.json else { return String::new() };
    match StatusRef::of_claims(claims) {
        Ok(None) => String::new(),
        Ok(Some(StatusRef { uri, index })) => {
            format!("index {index} in the status list {uri}, which is not looked up here")
        }
        Err(refusal) => refusal.to_string(),
    }
}

/// Where a URI may have the token.
fn carriers(token: &str) -> [Carrier<'_>; 2] {
    [Carrier::Argument(PACKAGE.as_bytes()), Carrier::Token(token.as_bytes())]
}

/// Whether the token covers a URI, whatever else is wrong with it.
fn covers(sections: &Sections, token: &str, uri: &str) -> String {
    let Ok(claims) = &sections.payload.json else { return String::new() };
    match cdni::covers(claims, uri.as_bytes(), &carriers(token)) {
        Ok((uri, true)) => format!("covered, as {}", uri.as_str()),
        Ok((uri, false)) => format!("not covered: it is compared as {}", uri.as_str()),
        Err(why) => format!("not covered: {why}"),
    }
}

/// Which of the lists have a value of the token.
fn revoked_by(token: &str, policy: &Policy, lists: &[String], now: i64) -> Vec<String> {
    let has = |list: &Arc<Revocation>| {
        let alone = Policy {
            keys: policy.keys.clone(),
            leeway: policy.leeway,
            padding: policy.padding,
            revoked: vec![Arc::clone(list)],
            ..Policy::default()
        };
        alone.check(token.as_bytes(), now).is_err_and(|bad| bad.reason == Reject::Revoked)
    };
    let named = lists.iter().zip(&policy.revoked).filter(|(_, list)| has(list));
    named.map(|(name, _)| format!("A value of it is in the list {name}.")).collect()
}
