//! Secrets that are none: whoever has seen a public key could sign with it.

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use crate::base64url;
use crate::json::Document;
use crate::loaded::without_byte_order_mark;
use crate::pem::{self, Spki};

/// What public thing a secret is, if it is one: PEM, a certificate or public key in DER, a JWK or a JWK
/// Set, or one of these in base64. It must be that wholly, not only begin like it; of PEM the first
/// line is enough.
pub fn public_form(secret: &[u8]) -> Option<&'static str> {
    plain_form(secret)
        .or_else(|| plain_form(&base64_of_any_alphabet(&base64url::without_white_space(secret))?))
}

fn plain_form(secret: &[u8]) -> Option<&'static str> {
    let text = trimmed(secret);
    if text.starts_with(b"-----BEGIN ") {
        return Some("PEM");
    }
    if text.first() == Some(&b'{') && is_jwk(text) {
        return Some("a JWK or a JWK Set");
    }
    if Certificate::from_der(secret).is_ok() {
        return Some("a certificate");
    }
    (Spki::from_der(secret).is_ok() || is_rsa_public_key(secret)).then_some("a public key")
}

/// Without what may stand before PEM and JSON: white space, a byte order mark, a quote, and line breaks
/// written as `\n`.
fn trimmed(secret: &[u8]) -> &[u8] {
    let mut text = without_byte_order_mark(secret);
    loop {
        text = match text {
            [b'\\', b'n' | b'r', rest @ ..] | [b'"' | b'\'', rest @ ..] => rest,
            [first, rest @ ..] if first.is_ascii_whitespace() => rest,
            _ => return text.trim_ascii_end(),
        };
    }
}

fn is_jwk(text: &[u8]) -> bool {
    Document::parse_secret(text).is_ok_and(|document| {
        ["kty", "keys"].into_iter().any(|member| document.root().get(member).is_some())
    })
}

/// Whether it is an RSAPublicKey. A few bytes may look like one by chance.
fn is_rsa_public_key(der: &[u8]) -> bool {
    const MIN_MODULUS: usize = 64;
    pem::rsa_numbers(der).is_some_and(|(n, _)| n.len() >= MIN_MODULUS)
}

fn base64_of_any_alphabet(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    [base64::alphabet::STANDARD, base64::alphabet::URL_SAFE].iter().find_map(|alphabet| {
        base64url::decode_secret(&GeneralPurpose::new(alphabet, LENIENT), text)
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn der(pem: &str) -> Vec<u8> {
        ::pem::parse(pem).unwrap().into_contents()
    }

    #[test]
    fn public_things_are_known_in_every_form() {
        let public = include_str!("../../tests/keys/rsa1024.pub.pem");
        let certificate = include_str!("../../tests/keys/rsa2048.crt.pem");
        let pkcs1 = include_str!("../../tests/keys/rsa2048.pkcs1.pem");
        let jwk = include_str!("../../tests/keys/p256.jwk.json");
        let ed25519 = include_str!("../../tests/keys/ed25519.pub.pem");
        for (text, form) in [
            (public.as_bytes().to_vec(), "PEM"),
            (format!(" \n{}", certificate.trim_end()).into_bytes(), "PEM"),
            (public.replace('\n', "\\n").into_bytes(), "PEM"),
            (format!("\\n{}", public.replace('\n', "\\n")).into_bytes(), "PEM"),
            (STANDARD.encode(public).into_bytes(), "PEM"),
            (jwk.as_bytes().to_vec(), "a JWK or a JWK Set"),
            (format!("{{\"keys\":[{jwk}]}}").into_bytes(), "a JWK or a JWK Set"),
            (der(certificate), "a certificate"),
            (STANDARD.encode(der(certificate)).into_bytes(), "a certificate"),
            (der(public), "a public key"),
            (der(pkcs1), "a public key"),
            (der(ed25519), "a public key"),
        ] {
            assert_eq!(public_form(&text), Some(form), "{}", String::from_utf8_lossy(&text));
        }
        let mut longer = der(public);
        longer.push(0);
        let cut = &der(certificate)[..200];
        for secret in [&longer[..], cut, b"{\"secret\":1}", b"-----", b"MIIBIjANBgkqhki", b"", b"{"]
        {
            assert_eq!(public_form(secret), None, "{secret:?}");
        }
        // A sequence of two small numbers may be chance.
        assert_eq!(public_form(&[0x30, 6, 2, 1, 5, 2, 1, 3]), None);
    }
}
