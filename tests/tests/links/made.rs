//! Links of other formats, made by another implementation than the one under test.

use std::fmt::Write as _;

use anyhow::Result;
use module_tests::{base64url, hmac};

/// Akamai's key in its documentation, and its bytes.
pub(super) const AKAMAI: (&str, &[u8]) = ("77704f5541417a7a73666236", b"wpOUAAzzsfb6");

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

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
