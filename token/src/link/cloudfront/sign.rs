//! Making signed URLs.

use std::borrow::Cow;

use super::super::address;
use super::super::algorithm::LinkAlgorithm;
use super::super::cover;
use super::super::fields::unix_time;
use super::super::format::{FormatSettings, Mistake};
use super::super::order::{LinkSigner, Order, OrderError};
use super::policy::{Policy, Url};
use super::text::{ARGUMENTS, COOKIES, LONGEST, canned, encode};
use crate::alg::Algorithm;
use crate::credential::without_arguments;
use crate::json::write_text;
use crate::sign::{KeyFile, PrivateKey};

/// Makes CloudFront's signed URLs, with SHA-256: the library signs nothing with SHA-1. CloudFront, and this module,
/// know by `Hash-Algorithm=SHA256` in the link that it is so.
///
/// A link is canned unless the order has a start, an address, or something that it covers, which is the Resource of
/// a custom policy.
#[derive(Debug)]
pub struct CloudFrontSigner {
    key: PrivateKey,
    name: Box<str>,
}

impl CloudFrontSigner {
    /// Takes what the directives say.
    ///
    /// # Errors
    /// There is no private RSA key, it has no name, or SHA-256 is not accepted.
    pub(in super::super) fn configured(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        let mistake = |text: String| Mistake::new("secure_token_mint", text);
        settings.only_options(&[])?;
        let (text, name) = settings.private_key.ok_or_else(|| {
            mistake("has no private key: links of this format are signed with an RSA key".into())
        })?;
        let accepted = settings.accepted;
        if !accepted.is_empty() && !accepted.contains(&LinkAlgorithm::RsaSha256) {
            let text = "links are made with rsa-sha256, which is not accepted here";
            return Err(Mistake::new("secure_token_algorithm", text));
        }
        let file = KeyFile::read_of(text, name);
        let file = file.map_err(|error| mistake(format!("the private key {error}")))?;
        if !file.key.goes_with(Algorithm::RS256)
            || file.algorithm.is_some_and(|of| of != Algorithm::RS256)
        {
            let kind = file.key.kind();
            return Err(mistake(format!("the private key is {kind}, not an RSA key for RS256")));
        }
        let name = name.map(str::to_owned).or(file.kid).filter(|name| is_name(name));
        let name = name.ok_or_else(|| {
            mistake(
                "the private key has no name for Key-Pair-Id (kid=) of letters and digits".into(),
            )
        })?;
        Ok(Self { key: file.key, name: name.into() })
    }
}

/// Whether a query holds it as it is.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(is_plain)
}

impl LinkSigner for CloudFrontSigner {
    fn sign(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        order.has_only(&["starts", "covers", "address"])?;
        let names = ARGUMENTS.iter().map(|name| name.as_bytes());
        if without_arguments(order.query.as_bytes(), names).is_some() {
            return Err(invalid("the query has an argument of a link already"));
        }
        let is_canned = (order.starts, order.covers, order.address) == (None, None, None);
        let (terms, policy) = if is_canned {
            // What is named DateLessThan is the first second in which the link is not valid any more.
            let ends = written(order.expires.saturating_add(1))?;
            let policy = canned_of(order, ends.as_bytes())?;
            (("Expires", ends), policy)
        } else {
            let policy = custom(order)?.into_bytes();
            // Without a host the URL is not known: as in a cookie, for any URL that it covers.
            if let Ok(address) = address_of(order) {
                let read = Policy::read(policy.clone()).map_err(invalid)?;
                if !read.covers(Url {
                    address: &address,
                    sent: None,
                    query: order.query.as_bytes(),
                }) {
                    return Err(invalid("what it is to cover is not where it is for"));
                }
            }
            let encoded = encode(&policy);
            if encoded.len() > LONGEST {
                return Err(invalid("the policy is too long"));
            }
            (("Policy", encoded), policy)
        };
        let signature = self.key.sign(Algorithm::RS256, &policy);
        let signature = signature.map_err(|error| OrderError::Invalid(error.to_string()))?;
        Ok(vec![
            terms,
            ("Signature", encode(&signature)),
            ("Key-Pair-Id", self.name.clone().into()),
            ("Hash-Algorithm", "SHA256".to_owned()),
        ])
    }

    /// The same values, each in a cookie.
    fn cookies(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        let cookie = |(argument, value)| {
            let mut names = ARGUMENTS.iter().zip(COOKIES).filter(|(one, _)| **one == argument);
            names.next().map(|(_, name)| (name, value))
        };
        Ok(self.sign(order)?.into_iter().filter_map(cookie).collect())
    }
}

fn invalid(text: &str) -> OrderError {
    OrderError::Invalid(text.to_owned())
}

fn written(time: i64) -> Result<String, OrderError> {
    let text = time.to_string();
    let is_time = unix_time(text.as_bytes()).is_some();
    is_time.then_some(text).ok_or_else(|| invalid("a time has not one to ten digits"))
}

/// The URL that the order is for, decoded.
fn address_of<'o>(order: &Order<'o>) -> Result<Cow<'o, [u8]>, OrderError> {
    match order.value {
        Some(value) => Ok(Cow::Borrowed(value)),
        None if order.origin.is_empty() => Err(OrderError::Missing("the host")),
        None => {
            let path = address::decode(order.path.as_bytes());
            Ok([order.origin.as_bytes(), &path].concat().into())
        }
    }
}

/// The same, as a Resource that is for this URL alone.
fn sole_address_of<'o>(order: &Order<'o>) -> Result<Cow<'o, [u8]>, OrderError> {
    let address = address_of(order)?;
    match address.contains(&b'*') || order.query.contains('*') {
        true => Err(invalid("the URL has a *, which whoever has the link could use as a wildcard")),
        false => Ok(address),
    }
}

fn canned_of(order: &Order<'_>, ends: &[u8]) -> Result<Vec<u8>, OrderError> {
    let policies = canned(&sole_address_of(order)?, None, order.query.as_bytes(), ends);
    let policy = policies.into_iter().next();
    policy.ok_or_else(|| invalid("the URL holds what a policy cannot"))
}

fn custom(order: &Order<'_>) -> Result<String, OrderError> {
    let of_url = || {
        let url = address::encode_address(&sole_address_of(order)?).into_owned();
        let mut url = String::from_utf8(url).map_err(|_| invalid("the host is not UTF-8"))?;
        if !order.query.is_empty() {
            url.push('?');
            url.push_str(order.query);
        }
        Ok(url)
    };
    let resource = order.covers.map_or_else(of_url, |covers| Ok(covers.to_owned()))?;
    if resource.is_empty() {
        return Err(invalid("what it covers is empty"));
    }
    let mut policy = "{\"Statement\":[{\"Resource\":".to_owned();
    write_text(&resource, &mut policy);
    policy.push_str(",\"Condition\":{\"DateLessThan\":{\"AWS:EpochTime\":");
    policy.push_str(&written(order.expires.saturating_add(1))?);
    policy.push('}');
    if let Some(starts) = order.starts {
        policy.push_str(",\"DateGreaterThan\":{\"AWS:EpochTime\":");
        policy.push_str(&written(starts)?);
        policy.push('}');
    }
    if let Some(network) = order.address {
        let network = cover::network(network.as_bytes())
            .ok_or_else(|| invalid("the address is neither an address nor a network"))?;
        policy.push_str(",\"IpAddress\":{\"AWS:SourceIp\":\"");
        policy.push_str(&network.to_string());
        policy.push_str("\"}");
    }
    policy.push_str("}}]}");
    Ok(policy)
}
