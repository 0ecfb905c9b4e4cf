//! What a token is identified by: all of its bytes.

use crate::base64url;
use crate::compact::Compact;
use crate::content::{Content, Form};

/// What identifies a token, together with its content. What the content gives again is not kept twice: it is most of
/// a token.
pub(super) enum Identity {
    /// A signed token, without padding. The content has its header as it came and the text of its payload, which
    /// base64url encodes in one way only. So what is missing is the third section: here it is, encoded.
    Signature(Box<[u8]>),
    /// Any token, as it is. What is in an encrypted one does not tell how it was encrypted.
    Bytes(Box<[u8]>),
}

impl Identity {
    /// That of a token whose content this is.
    pub(super) fn new(token: &[u8], content: &Content) -> Self {
        let signature = || {
            let compact = Compact::split(token).ok()?;
            let is_it = !compact.padded && matches!(content.form, Form::Signed(_));
            is_it.then_some(compact.signature)
        };
        match signature() {
            Some(signature) => Self::Signature(signature.into()),
            None => Self::Bytes(token.into()),
        }
    }

    /// All bytes of a token: they take more room, and are compared faster.
    pub(super) fn whole(token: &[u8]) -> Self {
        Self::Bytes(token.into())
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Bytes(_))
    }

    /// The same in the least room; `content` is the one that it was made with.
    pub(super) fn least(&self, content: &Content) -> Self {
        match self {
            Self::Signature(signature) => Self::Signature(signature.clone()),
            Self::Bytes(bytes) => Self::new(bytes, content),
        }
    }

    /// Whether it is that of this token; `content` is the one that it was made with.
    pub(super) fn is(&self, token: &[u8], content: &Content) -> bool {
        match self {
            Self::Signature(signature) => is_signed(token, content, signature),
            Self::Bytes(bytes) => **bytes == *token,
        }
    }

    /// How many bytes it keeps.
    pub(super) fn bytes(&self) -> usize {
        let (Self::Signature(bytes) | Self::Bytes(bytes)) = self;
        bytes.len()
    }
}

/// Whether a token is made of the content's header and payload and this signature, with dots between.
fn is_signed(token: &[u8], content: &Content, signature: &[u8]) -> bool {
    let rest = token.strip_prefix(content.header.encoded());
    let rest = rest.and_then(|rest| rest.strip_prefix(b"."));
    let rest = rest.and_then(|rest| rest.strip_suffix(signature));
    rest.and_then(|rest| rest.strip_suffix(b"."))
        .is_some_and(|payload| base64url::encodes(payload, content.payload.text().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alg::Algorithm;
    use crate::base64url::encode;
    use crate::claims::Claims;
    use crate::header::Header;
    use crate::json::Document;

    fn content(header: &str, payload: &str, form: Form, padded: bool) -> Content {
        let (header, _) = Header::parse(encode(header).as_bytes()).unwrap();
        let payload = Document::parse(payload.into()).unwrap();
        let claims = Claims::read(&payload).unwrap();
        Content { header, payload, form, claims, padded }
    }

    #[test]
    fn every_byte_of_a_token_counts() {
        let header = r#"{"alg":"HS256","typ":"JWT"}"#;
        let signed = Form::Signed(Algorithm::HS256);
        for payload in
            [&r#"{"sub":"a"}"#.to_owned(), &format!(r#"{{"sub":"{}"}}"#, "a".repeat(2000))]
        {
            for (form, is_whole) in [(signed, false), (Form::Encrypted, true)] {
                let content = content(header, payload, form, false);
                let token =
                    [encode(header), encode(payload), encode([7; 32])].join(".").into_bytes();
                let identity = Identity::new(&token, &content);
                assert_eq!(identity.bytes(), if is_whole { token.len() } else { 43 });
                assert!(identity.is(&token, &content));
                for at in 0..token.len() {
                    for byte in *b"A.=_\0" {
                        let mut other = token.clone();
                        other[at] = byte;
                        assert!(other == token || !identity.is(&other, &content));
                        other[at] = token[at];
                        other.insert(at, byte);
                        assert!(!identity.is(&other, &content));
                    }
                    let mut other = token.clone();
                    other.remove(at);
                    assert!(!identity.is(&other, &content));
                    assert!(!identity.is(&token[..at], &content));
                }
                assert!(!identity.is(&[&token[..], b"A"].concat(), &content));
            }
        }
    }

    #[test]
    fn a_padded_token_is_another_one() {
        let (header, payload) = (r#"{"alg":"HS256"}"#, r#"{"sub":"a"}"#);
        let token = |fill: &str| {
            format!("{}.{}{fill}.{}", encode(header), encode(payload), encode([7; 32]))
        };
        let (bare, padded) = (token(""), token("="));
        for (of, other, is_padded) in [(&bare, &padded, false), (&padded, &bare, true)] {
            let content = content(header, payload, Form::Signed(Algorithm::HS256), is_padded);
            let identity = Identity::new(of.as_bytes(), &content);
            assert!(identity.is(of.as_bytes(), &content));
            assert!(!identity.is(other.as_bytes(), &content));
        }
    }

    /// What is no token, or none of this content, is at least not taken for another one.
    #[test]
    fn what_does_not_belong_together_is_never_found() {
        let content =
            content(r#"{"alg":"HS256"}"#, r#"{"sub":"a"}"#, Form::Signed(Algorithm::HS256), false);
        for token in [&b"\x03"[..], b"", b"a", b"a.b.c", b"e30.e30.AAAA", b".."] {
            let identity = Identity::new(token, &content);
            for other in [&b"\x03"[..], b"", b"a", b"a.b.c", b"e30.e30.AAAA", b".."] {
                assert!(!identity.is(other, &content) || other == token);
            }
        }
    }
}
