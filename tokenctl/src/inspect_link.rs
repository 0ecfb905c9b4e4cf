//! `tokenctl inspect` for signed links: the verdict, and how it is shown.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value as Json, json};
use token::Reject;
use token::credential::Found;
use token::link::{
    Carrier, Denied, Encoding, FormatName, FormatSettings, Given, Granted, LinkAlgorithm,
    LinkFormat, LinkKeys, LinkRequest as _, Meaning, Part, Place, Refused, SecretText,
};

use crate::link::LinkText;
use crate::options::{LinkNames, link_algorithm};
use crate::output;
use crate::scheme::{Scheme, SchemeArgs};
use crate::time;

/// What a link is judged by, and the request that it comes with.
pub(crate) struct Demands<'a> {
    pub(crate) scheme: &'a SchemeArgs,
    /// The accepted algorithms; if empty, those of the format.
    pub(crate) alg: &'a [String],
    pub(crate) secret: Option<SecretText>,
    pub(crate) keys: Option<LinkKeys>,
    /// The client's address.
    pub(crate) client: Option<IpAddr>,
    /// `Cookie` lines.
    pub(crate) cookies: &'a [String],
    /// Header lines.
    pub(crate) headers: &'a [String],
    /// The text of the link, if it is in none of the format's places.
    pub(crate) token: Option<&'a str>,
}

/// A link that has been judged.
pub(crate) struct Judged {
    /// `None` if no secret or key was given, so that only the form could be judged.
    verdict: Option<Result<(), Refused>>,
    /// Whether the signature holds.
    signed: bool,
    /// Whether there was a secret or key to verify it with.
    known: bool,
    /// The name of what the link must cover, and that.
    value: (&'static str, String),
    /// The place where the text of the link was found.
    place: Option<String>,
    parts: Vec<Part>,
    fragment: String,
    why: Vec<String>,
    now: i64,
}

/// An argument that occurs several times, or in a spelling that only some programs understand.
const UNUSABLE: &str = "stands more than once, or in another spelling";

/// Browsers do not send the fragment. nginx accepts a `#` in a request, but ends `$args` there, while
/// upstreams may read on: so the module judges no link in such a request.
const IN_REQUEST: &str = "(a browser does not send it; a request with # in it is malformed)";

/// Whether this is a link rather than a token.
pub(crate) fn is_link(text: &str) -> bool {
    text.starts_with('/') || text.contains("://")
}

impl Judged {
    /// Judges a link at the time `now`.
    pub(crate) fn new(text: &str, demands: &Demands<'_>, now: i64) -> Result<Self> {
        let link = LinkText::parse(text)?;
        let scheme = demands.scheme.scheme()?;
        let accepted = demands.accepted()?;
        let has_keys = demands.keys.is_some();
        let known = demands.secret.is_some() || has_keys || !scheme.needs_secret();
        let stand_in = demands.secret.is_none().then(stand_in);
        let secrets = match (&demands.secret, known) {
            (Some(secret), _) => std::slice::from_ref(secret),
            (None, true) => &[],
            (None, false) => stand_in.as_slice(),
        };
        let settings = FormatSettings {
            secrets,
            accepted: &accepted,
            has_keys: has_keys || !known,
            ..Default::default()
        };
        let format = scheme.judge(&settings)?;
        let uri = link.uri()?;
        let value = demands.scheme.value(&link, format.value())?;
        let value = value.context(
            "this format signs whole URLs: give one, or --origin https://HOST beside the path",
        )?;
        let pieces = match &scheme {
            Scheme::Hash(_, text) => text.pieces(&uri),
            Scheme::Format(..) => Vec::new(),
        };
        let LinkNames { sig_arg, expires_arg } = &demands.scheme.names;
        let request = Given {
            query: link.query.unwrap_or_default().as_bytes(),
            cookies: demands.cookies.iter().map(|line| cookie_line(line)).collect(),
            headers: demands.headers.iter().map(|line| header(line)).collect::<Result<_>>()?,
            client: demands.client,
            keys: demands.keys.as_ref(),
            places: format.places(),
            source: demands.token.map(|text| (text.as_bytes(), Carrier::Other)),
            pair: [sig_arg, expires_arg],
            expression: &pieces,
            ..Given::new(&value)
        };
        let judged = match format.judge(&request, now) {
            Ok(granted) => Ok(granted),
            Err(Denied::Refused(refused)) => Err(*refused),
            Err(Denied::Unavailable) => bail!("the link cannot be judged without a request"),
        };
        let mut parts = format.parts(&request);
        if format.is_pair() {
            let names = [sig_arg, expires_arg];
            parts.iter_mut().zip(names).for_each(|(part, name)| part.name = name.as_str().into());
        }
        let mut why = match &judged {
            Err(refused) if known || is_of_form(refused) => {
                sentences(refused, &parts, &*format, &request, now)
            }
            _ => Vec::new(),
        };
        if let (Err(refused), true) = (&judged, known) {
            if refused.reject == Reject::Missing && !demands.scheme.is_given() {
                why.extend(other_formats(&request));
            }
            if refused.reject == Reject::BadSignature {
                why.extend(demands.other_encoding(&scheme, &settings, &request, now));
            }
        }
        let of_format = matches!(scheme, Scheme::Format(..));
        let name = if of_format { "must cover" } else { "$uri" };
        Ok(Self {
            signed: known && granted(&judged).is_some(),
            known,
            value: (name, String::from_utf8_lossy(if of_format { &value } else { &uri }).into()),
            place: found_in(&*format, &request),
            parts,
            fragment: link.fragment.to_owned(),
            why,
            verdict: match judged {
                Err(refused) if known || is_of_form(&refused) => Some(Err(refused)),
                Ok(_) if known => Some(Ok(())),
                _ => None,
            },
            now,
        })
    }

    /// Whether it was accepted, or only shown.
    pub(crate) fn accepted(&self) -> bool {
        !matches!(self.verdict, Some(Err(_)))
    }

    /// The text for a person.
    pub(crate) fn text(&self) -> String {
        let note = match (self.signed, self.known) {
            (true, _) => "the signature holds",
            (_, false) => "NOT VERIFIED: no secret or key was given",
            _ => "NOT VERIFIED",
        };
        let mut out = format!("Link ({note})\n");
        let mut line = |name: &str, text: &str| {
            out.push_str(&format!("  {}  {}\n", output::one_line(name), output::one_line(text)));
        };
        let (name, value) = &self.value;
        line(name, value);
        if let Some(place) = &self.place {
            line("found in", place);
        }
        for part in &self.parts {
            line(&part.name, &shown(part, self.now));
        }
        if !self.fragment.is_empty() {
            line("fragment", &format!("{}  {IN_REQUEST}", self.fragment));
        }
        out.push('\n');
        match &self.verdict {
            None => {
                out.push_str("Verdict: none, as no secret or key was given (--secret, --keys)\n");
            }
            Some(Ok(())) => out.push_str("Verdict: ok\n"),
            Some(Err(refused)) => {
                let sentence = refused.sentence(self.now);
                let reason = refused.reject;
                out.push_str(&format!("Verdict: {reason}\n  In nginx's log: {sentence}\n"));
                for why in &self.why {
                    out.push_str(&format!("  {}\n", output::one_line(why)));
                }
            }
        }
        out
    }

    /// The same as one line of JSON, for a program.
    pub(crate) fn json(&self) -> String {
        let (verdict, reason) = match &self.verdict {
            None => (Json::Null, Json::Null),
            Some(Ok(())) => (json!("ok"), Json::Null),
            Some(Err(refused)) => {
                (json!(refused.reject.status()), json!(refused.sentence(self.now).to_string()))
            }
        };
        let part = |part: &Part| {
            let text = String::from_utf8_lossy(&part.text);
            json!({ "name": part.name, "text": text, "meaning": meaning(&part.meaning, self.now) })
        };
        let json = json!({
            "verdict": verdict,
            "reason": reason,
            "signature_holds": self.signed,
            "value": self.value.1,
            "found_in": self.place,
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
            "why": self.why,
        });
        output::printable_json(&format!("{json}\n"))
    }
}

impl Demands<'_> {
    fn accepted(&self) -> Result<Vec<LinkAlgorithm>> {
        let accepted: Result<_, _> = self.alg.iter().map(|name| link_algorithm(name)).collect();
        accepted.map_err(|want| anyhow::anyhow!("--alg of a link: want {want}"))
    }

    /// The most common mistake: one side decodes the secret, the other uses its text.
    fn other_encoding(
        &self,
        scheme: &Scheme,
        settings: &FormatSettings<'_>,
        request: &Given<'_>,
        now: i64,
    ) -> Option<String> {
        let secret = self.secret.as_ref()?;
        let holds = |encoding: &Encoding| {
            let other = [SecretText { encoding: Some(*encoding), ..secret.clone() }];
            let format = scheme.judge(&FormatSettings { secrets: &other, ..*settings });
            format.is_ok_and(|format| match format.judge(request, now) {
                Ok(_) => true,
                Err(Denied::Refused(refused)) => refused.granted.is_some(),
                Err(Denied::Unavailable) => false,
            })
        };
        let name = Encoding::ALL.iter().find(|encoding| holds(encoding))?.name();
        Some(format!(
            "The signature is right if the secret is read as {name}: --secret-encoding {name}, and \
             encoding={name} in secure_token_secret."
        ))
    }
}

/// A secret with which formats can be asked about links that are only shown.
fn stand_in() -> SecretText {
    let text = Box::<[u8]>::from(b"00000000000000000000000000000000".as_slice()).into();
    SecretText { text, encoding: Some(Encoding::Hex), kid: None }
}

/// Whether a refusal needs no secret.
fn is_of_form(refused: &Refused) -> bool {
    matches!(refused.reject, Reject::Missing | Reject::Malformed) && refused.granted.is_none()
}

fn granted(judged: &Result<Granted, Refused>) -> Option<&Granted> {
    match judged {
        Ok(granted) => Some(granted),
        Err(refused) => refused.granted.as_ref(),
    }
}

/// The value of a `Cookie` line, which may have its name before it.
fn cookie_line(line: &str) -> &[u8] {
    let value = match line.split_once(':') {
        Some((name, value)) if name.eq_ignore_ascii_case("cookie") => value,
        _ => line,
    };
    value.trim().as_bytes()
}

fn header(line: &str) -> Result<(&[u8], &[u8])> {
    let (name, value) = line.split_once(':').context("--header: want NAME: VALUE")?;
    Ok((name.trim().as_bytes(), value.trim().as_bytes()))
}

/// A part's text and what it means.
fn shown(part: &Part, now: i64) -> String {
    let text = String::from_utf8_lossy(&part.text);
    let about = match &part.meaning {
        Meaning::Words(words) => format!("({words})"),
        other => meaning(other, now),
    };
    [&*text, &*about].into_iter().filter(|one| !one.is_empty()).collect::<Vec<_>>().join("  ")
}

fn meaning(meaning: &Meaning, now: i64) -> String {
    match meaning {
        Meaning::Nothing => String::new(),
        Meaning::Words(words) => words.clone().into_owned(),
        Meaning::Time(before, time) => format!("{before}{}", instant(*time, now)),
        Meaning::Missing => "is missing".to_owned(),
        Meaning::Unusable => UNUSABLE.to_owned(),
    }
}

fn instant(time: i64, now: i64) -> String {
    let instant = time::rfc3339(time).unwrap_or_default();
    format!("{instant}, {}", time::relative(time, now))
}

fn place_name(place: &Place) -> String {
    match place {
        Place::Argument(name) => format!("argument {name}"),
        Place::Cookie(name) => format!("cookie {name}"),
    }
}

fn holds(request: &Given<'_>, place: &Place) -> bool {
    let found = match place {
        Place::Argument(name) => request.argument(name.as_bytes()).or_absent(),
        Place::Cookie(name) => request.cookie(name.as_bytes()),
    };
    found != Found::Absent
}

/// The place that has the text of the link.
fn found_in(format: &dyn LinkFormat, request: &Given<'_>) -> Option<String> {
    let places = format.places().iter().filter(|_| request.source.is_none());
    let mut places = places.filter(|place| holds(request, place));
    places.next().map(place_name)
}

/// Why it is refused, in sentences for the person who tests it.
fn sentences(
    refused: &Refused,
    parts: &[Part],
    format: &dyn LinkFormat,
    request: &Given<'_>,
    now: i64,
) -> Vec<String> {
    let said = match refused.reject {
        Reject::Missing if format.is_pair() => {
            let [signature, time] = request.pair;
            format!("The arguments {signature} and {time} must both be there.")
        }
        Reject::Missing => {
            let arguments = format.arguments().iter().map(|name| format!("argument {name}"));
            let places = format.places().iter().map(place_name).chain(arguments);
            format!("It is looked for in {}.", places.collect::<Vec<_>>().join(", "))
        }
        Reject::Malformed if parts.iter().any(|part| part.meaning == Meaning::Unusable) => {
            "Two programs could read two different values, so the link is refused.".to_owned()
        }
        Reject::BadSignature => {
            "Another secret, another path, address or expiry was signed, or the \
                                 location signs another value (--value)."
                .to_owned()
        }
        Reject::Expired => {
            let Some(expires) = refused.granted.as_ref().and_then(|it| it.expires) else {
                return Vec::new();
            };
            format!("The signature holds; it has expired: {}.", instant(expires, now))
        }
        Reject::BadAddress if request.client.is_none() => {
            "It is for one client address or network: give the client's with --address.".to_owned()
        }
        _ => return Vec::new(),
    };
    vec![said]
}

/// Which other formats have a part of theirs in the request, which has no link of the default format.
fn other_formats(request: &Given<'_>) -> Vec<String> {
    let secrets = [stand_in()];
    let settings =
        FormatSettings { secrets: &secrets, has_keys: true, ..FormatSettings::default() };
    let about = |name: FormatName| {
        let format = name.make(&settings).ok()?;
        let places = format.places().iter().filter(|place| holds(request, place)).map(place_name);
        let arguments = format.arguments().iter();
        let arguments = arguments.filter(|name| request.argument(name.as_bytes()) != Found::Absent);
        let found = places.chain(arguments.map(|name| format!("argument {name}")));
        let found = found.collect::<Vec<_>>().join(", ");
        let name = name.name();
        (!found.is_empty())
            .then(|| format!("It has what links of {name} have ({found}): try --format {name}."))
    };
    FormatName::all().filter_map(about).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_from_tokens() {
        assert!(is_link("/a") && is_link("https://h/a?st=x"));
        assert!(!is_link("e30.e30.AAAA"));
    }

    #[test]
    fn header_lines_are_read_with_their_names() {
        assert_eq!(cookie_line("Cookie: a=b; c=d"), b"a=b; c=d");
        assert_eq!(cookie_line("a=b:c"), b"a=b:c");
        assert_eq!(header("X-A: b:c").unwrap(), (&b"X-A"[..], &b"b:c"[..]));
        assert!(header("X-A").is_err());
    }
}
