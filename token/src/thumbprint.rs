//! The thumbprint of a certificate (RFC 8705 section 3.1).

use aws_lc_rs::digest;

use crate::base64url;

/// base64url of the SHA-256 of a certificate in DER: what a token bound to it has as its claim
/// `cnf.x5t#S256`. `pem` must be one certificate in PEM; `None` if it is something else.
pub fn certificate_thumbprint(pem: &[u8]) -> Option<String> {
    let block = pem::parse(pem).ok().filter(|block| block.tag() == "CERTIFICATE")?;
    Some(base64url::encode(digest::digest(&digest::SHA256, block.contents())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_certificate_has_one() {
        let block = |tag: &str| format!("-----BEGIN {tag}-----\nYWJj\n-----END {tag}-----\n");
        assert_eq!(
            certificate_thumbprint(block("CERTIFICATE").as_bytes()).as_deref(),
            Some("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
        );
        assert_eq!(certificate_thumbprint(block("PUBLIC KEY").as_bytes()), None);
        assert_eq!(certificate_thumbprint(b""), None);
    }
}
