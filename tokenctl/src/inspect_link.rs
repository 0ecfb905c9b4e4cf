//! `tokenctl inspect` for signed links.

use anyhow::{Context as _, Result};
use token::credential::{Found, argument};
use token::link::{Link, LinkSecret, Plain};
use token::{Reject, base64url};

use crate::link::LinkText;
use crate::options::{LinkNames, link_algorithm};
use crate::output;
use crate::time;

/// The options for links.
#[derive(Clone, Copy)]
pub(crate) struct LinkOptions<'a> {
    /// The accepted algorithms; if empty, all are.
    pub(crate) alg: &'a [String],
    pub(crate) names: &'a LinkNames,
    /// What is signed, if it is not the path.
    pub(crate) value: Option<&'a str>,
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

/// The text to print for a link, and whether it was accepted or only shown.
pub(crate) fn report(
    options: LinkOptions<'_>,
    text: &str,
    secret: Option<Vec<u8>>,
    now: i64,
) -> Result<(String, bool)> {
    let link = LinkText::parse(text)?;
    let value = match options.value {
        Some(value) => value.as_bytes().to_vec(),
        None => link.uri()?,
    };
    let accepted =
        options.alg.iter().map(|name| link_algorithm(name)).collect::<Result<Vec<_>, _>>();
    let accepted = accepted.map_err(|want| anyhow::anyhow!("--alg of a link: want {want}"))?;
    let secrets = secret
        .map(|secret| LinkSecret::new(&secret).context("the secret is empty"))
        .transpose()?
        .into_iter()
        .collect::<Vec<_>>();

    let query = link.query.unwrap_or_default().as_bytes();
    let names = options.names;
    let signature = argument(query, names.sig_arg.as_bytes());
    let expires = argument(query, names.expires_arg.as_bytes());
    let parsed = match (signature, expires) {
        (Found::One(signature), Found::One(expires)) => Link::new(signature, expires),
        (Found::Unusable, _) | (_, Found::Unusable) => Err(Reject::Malformed),
        _ => Err(Reject::Missing),
    };
    let known = !secrets.is_empty();
    let policy = Plain::new(secrets, &accepted);
    let judged = match parsed {
        Ok(link) if known => Some(policy.check(link, &value, now)),
        Ok(_) => None,
        Err(reason) => Some(Err(reason)),
    };

    let note = match (&judged, known) {
        (Some(Ok(()) | Err(Reject::Expired)), _) => "the signature holds",
        (_, false) => "NOT VERIFIED: no secret was given",
        _ => "NOT VERIFIED",
    };
    let mut out = format!("Link ({note})\n");
    let mut line = |name: &str, text: &str| {
        out.push_str(&format!("  {}  {}\n", output::one_line(name), output::one_line(text)));
    };
    line("signed value", &String::from_utf8_lossy(&value));
    line(&names.sig_arg, &shown(signature, |text| form(text).to_owned()));
    line(&names.expires_arg, &shown(expires, |text| instant(text, now)));
    if !link.fragment.is_empty() {
        line("fragment", &format!("{}  {IN_REQUEST}", link.fragment));
    }
    out.push('\n');
    match judged {
        None => out.push_str("Verdict: none, as no secret was given (--secret)\n"),
        Some(Ok(())) => out.push_str("Verdict: ok\n"),
        Some(Err(reason)) => {
            out.push_str(&format!("Verdict: {reason}\n"));
            for why in why(reason, options, signature, expires, now) {
                out.push_str(&format!("  {}\n", output::one_line(&why)));
            }
            return Ok((out, false));
        }
    }
    Ok((out, true))
}

/// An argument and a remark about it.
fn shown(found: Found<'_>, about: impl Fn(&[u8]) -> String) -> String {
    match found {
        Found::Absent => "is missing".to_owned(),
        Found::Unusable => UNUSABLE.to_owned(),
        Found::One(text) => format!("{}  {}", String::from_utf8_lossy(text), about(text)),
    }
}

/// The algorithm, known by the length of the signature.
fn form(signature: &[u8]) -> &'static str {
    match base64url::decode(signature).map(|bytes| bytes.len()) {
        Some(16) => "(md5)",
        Some(32) => "(hmac-sha256)",
        _ => "(neither md5 nor hmac-sha256)",
    }
}

fn instant(text: &[u8], now: i64) -> String {
    let time = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    let Some(time) = time else { return "(not Unix time)".to_owned() };
    let instant = time::rfc3339(time).unwrap_or_default();
    format!("{instant}, {}", time::relative(time, now))
}

fn why(
    reason: Reject,
    options: LinkOptions<'_>,
    signature: Found<'_>,
    expires: Found<'_>,
    now: i64,
) -> Vec<String> {
    let (sig_arg, expires_arg) = (&options.names.sig_arg, &options.names.expires_arg);
    let mut why = Vec::new();
    match reason {
        Reject::Missing => {
            why.push(format!("The arguments {sig_arg} and {expires_arg} must both be there."));
        }
        Reject::Malformed => {
            if [signature, expires].contains(&Found::Unusable) {
                why.push(
                    "Two programs could read two different values, so the link is refused."
                        .to_owned(),
                );
            }
            if let Found::One(text) = expires
                && Link::new(b"", text).is_err()
            {
                why.push(format!("{expires_arg} must be ten digits, the first of them not 0."));
            }
            if let Found::One(text) = signature {
                match base64url::decode(text).map(|bytes| bytes.len()) {
                    Some(16 | 32) if options.alg.is_empty() || !why.is_empty() => {}
                    Some(16 | 32) => why.push(format!(
                        "{sig_arg} is not of an accepted form; accepted: {}.",
                        options.alg.join(", ")
                    )),
                    _ => why.push(format!(
                        "{sig_arg} must be base64url without padding: 22 characters (md5) or 43 \
                         (hmac-sha256)."
                    )),
                }
            }
        }
        Reject::BadSignature => {
            why.push(
                "Another secret, another path or another expiry was signed, or the location signs \
                 another value (--value)."
                    .to_owned(),
            );
        }
        Reject::Expired => {
            if let Found::One(text) = expires {
                why.push(format!("The signature holds; {expires_arg} is {}.", instant(text, now)));
            }
        }
        _ => {}
    }
    why
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
    fn the_form_is_known_by_its_length() {
        assert_eq!(form(b"m6WCATfRgS_5lcyChCPgrw"), "(md5)");
        assert_eq!(form(b"md5"), "(neither md5 nor hmac-sha256)");
    }
}
