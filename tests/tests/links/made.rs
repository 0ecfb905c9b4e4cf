//! Links of other formats, made by another implementation than the one under test.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, KeyInit as _, Mac as _};
use module_tests::{RSA, base64url, hex, hmac, signature};
use sha1::Sha1;

/// Akamai's key in its documentation, and its bytes.
pub(super) const AKAMAI: (&str, &[u8]) = ("77704f5541417a7a73666236", b"wpOUAAzzsfb6");

/// Akamai's token with these fields; `unseen` is signed, too, but does not travel.
pub(super) fn akamai(fields: &str, unseen: &str) -> Result<String> {
    let mac = hmac("HS256", AKAMAI.1, format!("{fields}{unseen}").as_bytes())?;
    Ok(format!("{fields}~hmac={}", hex(mac)))
}

/// The arguments of Bunny's link, with this key.
pub(super) fn bunny(key: &str, path: &str, expires: i64, params: &str) -> Result<String> {
    let mac = hmac("HS256", key.as_bytes(), format!("{path}{expires}{params}").as_bytes())?;
    Ok(format!("token=HS256-{}&expires={expires}", base64url(mac)))
}

/// HMAC-SHA1.
pub(super) fn hmac_sha1(key: &[u8], text: &str) -> Result<Vec<u8>> {
    let mac = Hmac::<Sha1>::new_from_slice(key)?.chain_update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// The base64 of CloudFront's URLs.
fn cloudfront_base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~")
}

/// The arguments of CloudFront's link with a custom policy, or a canned one with an expiry, by SHA-256.
pub(super) fn cloudfront(policy: &str, expires: Option<i64>) -> Result<String> {
    let signature = cloudfront_base64(signature("RS256", &RSA, policy.as_bytes())?);
    let terms = match expires {
        Some(expires) => format!("Expires={expires}"),
        None => format!("Policy={}", cloudfront_base64(policy)),
    };
    Ok(format!("{terms}&Signature={signature}&Key-Pair-Id=K1&Hash-Algorithm=SHA256"))
}

/// A policy of CloudFront for a resource, with more conditions.
pub(super) fn policy(resource: &str, expires: i64, more: &str) -> String {
    format!(
        "{{\"Statement\":[{{\"Resource\":\"{resource}\",\"Condition\":{{\"DateLessThan\":{{\"AWS:EpochTime\":\
         {expires}}}{more}}}}}]}}"
    )
}

/// Google's secret in its samples, and its bytes.
pub(super) const GOOGLE: (&str, [u8; 16]) = (
    "nZtRohdNF9m3cKM24IcK4w==",
    [
        0x9d, 0x9b, 0x51, 0xa2, 0x17, 0x4d, 0x17, 0xd9, 0xb7, 0x70, 0xa3, 0x36, 0xe0, 0x87, 0x0a,
        0xe3,
    ],
);

/// A text of Google's with its signature.
pub(super) fn google(text: &str) -> Result<String> {
    let signature = URL_SAFE.encode(hmac_sha1(&GOOGLE.1, text)?);
    Ok(format!("{text}&Signature={signature}"))
}

/// The arguments of Google's link to all URLs with a prefix.
pub(super) fn google_prefix(prefix: &str, expires: i64) -> Result<String> {
    google(&format!("URLPrefix={}&Expires={expires}&KeyName=my-key", URL_SAFE.encode(prefix)))
}
