//! The headers of the last accepted tokens: those of one issuer are the very same text, until it changes
//! its key.
//!
//! What is found here is what parsing the same bytes would give, and decides no more than that. Only the
//! headers of accepted tokens are kept, so that no client can push out those of the issuers.

use std::cell::RefCell;

use crate::alg::Algorithm;
use crate::header::Header;

/// How many headers are kept. Each is as long as a header may be at most.
const KEPT: usize = 8;

/// The headers of the last accepted tokens, for one worker and its cache.
#[derive(Debug, Default)]
pub struct Headers {
    signed: RefCell<Recent<Algorithm>>,
    encrypted: RefCell<Recent<()>>,
}

#[derive(Debug)]
struct Recent<A> {
    /// Each header with what was read of it besides.
    headers: Vec<(Header, A)>,
    /// The place of the oldest one.
    oldest: usize,
}

impl<A> Default for Recent<A> {
    fn default() -> Self {
        Self { headers: Vec::new(), oldest: 0 }
    }
}

impl<A: Copy> Recent<A> {
    fn find(&self, encoded: &[u8]) -> Option<(Header, A)> {
        self.headers.iter().find(|(header, _)| header.encoded() == encoded).cloned()
    }

    fn note(&mut self, header: &Header, of_it: A) {
        let (new, oldest) = ((header.clone(), of_it), self.oldest);
        match self.headers.get_mut(oldest) {
            Some(place) => *place = new,
            None => self.headers.push(new),
        }
        self.oldest = (oldest + 1) % KEPT;
    }
}

impl Headers {
    /// The header of a signed token with this encoded form, and its algorithm, if it is known.
    pub(crate) fn find(&self, encoded: &[u8]) -> Option<(Header, Algorithm)> {
        self.signed.try_borrow().ok()?.find(encoded)
    }

    /// Notes the header of an accepted token.
    pub(crate) fn note(&self, header: &Header, algorithm: Algorithm) {
        if let Ok(mut signed) = self.signed.try_borrow_mut() {
            signed.note(header, algorithm);
        }
    }

    /// The header of an encrypted token with this encoded form, if it is known.
    pub(crate) fn find_encrypted(&self, encoded: &[u8]) -> Option<Header> {
        self.encrypted.try_borrow().ok()?.find(encoded).map(|(header, ())| header)
    }

    /// Notes the header of an accepted token that is encrypted, unless it is known.
    pub(crate) fn note_encrypted(&self, header: &Header) {
        if let Ok(mut encrypted) = self.encrypted.try_borrow_mut()
            && encrypted.find(header.encoded()).is_none()
        {
            encrypted.note(header, ());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url::encode;

    #[test]
    fn the_last_ones_are_found() {
        let headers = Headers::default();
        let text = |kid: usize| encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
        let found = |kid: usize| headers.find(text(kid).as_bytes());
        for new in 0..3 * KEPT {
            assert!(found(new).is_none());
            let (header, algorithm) = Header::parse(text(new).as_bytes()).unwrap();
            headers.note(&header, algorithm);
            for kid in 0..=new {
                let kept = found(kid);
                assert_eq!(kept.is_some(), new - kid < KEPT, "{kid} after {new}");
                assert!(kept.is_none_or(|(header, _)| header.kid() == Some(&*kid.to_string())));
            }
        }
        // A part of a known one, and more than it, are others.
        let last = text(3 * KEPT - 1);
        assert!(headers.find(&last.as_bytes()[1..]).is_none());
        assert!(headers.find(format!("{last}A").as_bytes()).is_none());
    }

    #[test]
    fn those_of_encrypted_tokens_are_kept_apart_and_once() {
        let headers = Headers::default();
        let text = |kid: usize| encode(format!(r#"{{"alg":"dir","enc":"A256GCM","kid":"{kid}"}}"#));
        let (first, _) = Header::parse(encode(r#"{"alg":"HS256"}"#).as_bytes()).unwrap();
        headers.note(&first, Algorithm::HS256);
        for new in [0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7] {
            headers.note_encrypted(&Header::parse_encrypted(text(new).as_bytes()).unwrap());
        }
        for kid in 0..KEPT {
            let found = headers.find_encrypted(text(kid).as_bytes());
            assert_eq!(found.unwrap().kid(), Some(&*kid.to_string()));
            assert!(headers.find(text(kid).as_bytes()).is_none());
        }
        assert!(headers.find(first.encoded()).is_some());
        assert!(headers.find_encrypted(first.encoded()).is_none());
    }
}
