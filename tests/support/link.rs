//! Signed links, as Azion's generators and the HMAC form make them.

use std::fmt::Display;

use anyhow::Result;
use md5::{Digest as _, Md5};

use crate::jwt::{base64url, hmac};

/// The MD5 of `bytes`.
#[must_use]
pub fn md5(bytes: impl AsRef<[u8]>) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// Bytes in hexadecimal digits, in lower case.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Azion's form: `base64url_nopad(md5(secret + value + expires))`.
pub fn link_md5(secret: &str, value: &str, expires: impl Display) -> String {
    base64url(md5(format!("{secret}{value}{expires}")))
}

/// The HMAC form: `base64url_nopad(HMAC-SHA256(secret, value + "\n" + expires))`.
///
/// # Errors
/// Never: HMAC takes a key of any length.
pub fn link_hmac(secret: &str, value: &str, expires: impl Display) -> Result<String> {
    Ok(base64url(hmac("HS256", secret.as_bytes(), format!("{value}\n{expires}").as_bytes())?))
}

/// `uri?st=…&e=…` in Azion's form.
pub fn link(secret: &str, uri: &str, expires: impl Display) -> String {
    format!("{uri}?st={}&e={expires}", link_md5(secret, uri, &expires))
}

#[cfg(test)]
mod tests {
    use super::link_md5;

    #[test]
    fn azions_own_example_comes_out() {
        assert_eq!(link_md5("mysecret", "/my/uri", 1_470_055_000), "m6WCATfRgS_5lcyChCPgrw");
    }
}
