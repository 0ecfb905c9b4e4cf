//! How CloudFront writes policies and bytes.

use std::borrow::Cow;
use std::ops::Range;

use super::super::address;
use crate::base64url;

/// The names of a link's arguments.
pub(super) const ARGUMENTS: [&str; 5] =
    ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

/// The names of its cookies, in the same order.
pub(super) const COOKIES: [&str; 5] = [
    "CloudFront-Expires",
    "CloudFront-Policy",
    "CloudFront-Signature",
    "CloudFront-Key-Pair-Id",
    "CloudFront-Hash-Algorithm",
];

/// The longest policy, and the longest text of a link, in bytes as they travel.
pub(super) const LONGEST: usize = 4096;

/// The canned policies of a URL, one for each way in which a signer may have written it, also as it was `sent`. None
/// if the URL holds what JSON has to escape: written as it is, the policy could be that of another URL.
pub(super) fn canned(
    address: &[u8],
    sent: Option<&[u8]>,
    query: &[u8],
    expires: &[u8],
) -> Vec<Vec<u8>> {
    let question_mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    let urls = address::spellings(address).chain(sent.map(Cow::Borrowed));
    let urls = urls.map(|url| [&url, question_mark, query].concat());
    urls.filter(|url| is_plain_in_json(url))
        .map(|url| [CANNED_BEFORE, &url, CANNED_BETWEEN, expires, CANNED_AFTER].concat())
        .collect()
}

// "Create a canned policy": exactly so, without white space.
const CANNED_BEFORE: &[u8] = br#"{"Statement":[{"Resource":""#;
const CANNED_BETWEEN: &[u8] = br#"","Condition":{"DateLessThan":{"AWS:EpochTime":"#;
const CANNED_AFTER: &[u8] = b"}}}]}";

/// Where the URL is in a policy that is written as a canned one, and its expiry. `None` for any other policy.
pub(super) fn uncanned(policy: &[u8]) -> Option<(Range<usize>, &[u8])> {
    let text = policy.strip_prefix(CANNED_BEFORE)?.strip_suffix(CANNED_AFTER)?;
    let (url, rest) = text.split_at_checked(memchr::memchr(b'"', text)?)?;
    let place = CANNED_BEFORE.len()..CANNED_BEFORE.len() + url.len();
    Some((place, rest.strip_prefix(CANNED_BETWEEN)?)).filter(|_| is_plain_in_json(url))
}

/// Whether a text stands in JSON as it is.
fn is_plain_in_json(text: &[u8]) -> bool {
    !text.iter().any(|byte| matches!(byte, b'"' | b'\\' | 0x7f) || *byte < b' ')
}

/// `text` without its padding, of which nothing or all must be there.
fn without_padding(text: &[u8]) -> &[u8] {
    let bare = text.strip_suffix(b"__").or(text.strip_suffix(b"_")).unwrap_or(text);
    if text.len().is_multiple_of(4) { bare } else { text }
}

/// base64url for a character of CloudFront's base64, where `+`, `=` and `/` are written `-`, `_` and `~`; `=` for what is
/// none.
fn to_base64url(character: u8) -> u8 {
    match character {
        b'~' => b'_',
        b'_' => b'=',
        same => same,
    }
}

pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut text: Vec<u8> = without_padding(text).iter().copied().map(to_base64url).collect();
    let len = base64url::decode_in_place(&mut text)?.len();
    text.truncate(len);
    Some(text)
}

/// As [`decode`], into a buffer that is as long as the text.
pub(super) fn decode_to<'b>(text: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let text = without_padding(text);
    let buffer = buffer.get_mut(..text.len())?;
    buffer.iter_mut().zip(text).for_each(|(to, from)| *to = to_base64url(*from));
    base64url::decode_in_place(buffer)
}

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = base64url::encode(bytes).replace('_', "~");
    while !text.len().is_multiple_of(4) {
        text.push('_');
    }
    text
}
