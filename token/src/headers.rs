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
    recent: RefCell<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Each header with its algorithm.
    headers: Vec<(Header, Algorithm)>,
    /// The place of the oldest one.
    oldest: usize,
}

impl Headers {
    /// The header with this encoded form, and its algorithm, if it is known.
    pub(crate) fn find(&self, encoded: &[u8]) -> Option<(Header, Algorithm)> {
        let recent = self.recent.try_borrow().ok()?;
        recent.headers.iter().find(|(header, _)| header.encoded() == encoded).cloned()
    }

    /// Notes the header of an accepted token.
    pub(crate) fn note(&self, header: &Header, algorithm: Algorithm) {
        let Ok(mut recent) = self.recent.try_borrow_mut() else { return };
        let (new, oldest) = ((header.clone(), algorithm), recent.oldest);
        match recent.headers.get_mut(oldest) {
            Some(place) => *place = new,
            None => recent.headers.push(new),
        }
        recent.oldest = (oldest + 1) % KEPT;
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
}
