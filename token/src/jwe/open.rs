//! A token is decrypted (RFC 7516 section 5.2).

use std::fmt;

use zeroize::Zeroizing;

use super::compact::{Compact, Decoded};
use super::content::Sealed;
use super::header::Header;
use super::key::DecryptionKey;
use super::keyset::DecryptionKeys;
use super::manage;
use crate::header;
use crate::headers::Headers;
use crate::keyset::{KeyIndex, MAX_CANDIDATES, MAX_NAMELESS};
use crate::refusal::{Refusal, Why};
use crate::reject::Reject;

/// A token that was decrypted.
pub struct Opened {
    /// The JOSE header.
    pub header: header::Header,
    /// What was encrypted: claims, a signed token, or anything else.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The key that has decrypted it.
    pub(crate) key: KeyIndex,
}

impl fmt::Debug for Opened {
    // Nothing of what was encrypted is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// Decrypts a token in the compact form (RFC 7516 section 7.1), whatever its content is.
///
/// # Errors
/// Its form, its algorithms, that no key has its kid, and else [`Reject::BadDecryption`], whatever was wrong.
pub fn decrypt(token: &[u8], keys: &DecryptionKeys) -> Result<Opened, Refusal> {
    open(token, std::iter::once(keys), None)
}

/// Decrypts a token in the compact form with one of these keys. It is cheaper if `headers` has the token's header.
///
/// # Errors
/// Its form, its algorithms, that no key has its kid, and else [`Reject::BadDecryption`], whatever was wrong.
pub(crate) fn open<'k>(
    token: &[u8],
    keys: impl Iterator<Item = &'k DecryptionKeys> + Clone,
    headers: Option<&Headers>,
) -> Result<Opened, Refusal> {
    let compact = Compact::split(token)?;
    let known = headers.and_then(|headers| headers.find_encrypted(compact.header));
    let header = known.map_or_else(|| header::Header::parse_encrypted(compact.header), Ok)?;
    let opened = Header::read(&header)
        .and_then(|header| Search { compact: &compact, header: &header, tried: 0 }.run(keys));
    match opened {
        Ok((plaintext, key)) => Ok(Opened { header, plaintext, key }),
        Err(why) => Err(Refusal::of(&header, why)),
    }
}

/// The search for the key that decrypts a token.
struct Search<'t> {
    compact: &'t Compact<'t>,
    header: &'t Header<'t>,
    /// How many keys were tried.
    tried: usize,
}

type Found = (Zeroizing<Vec<u8>>, KeyIndex);

impl Search<'_> {
    /// Tries the keys with the token's kid, then those without one, and the first others only if the token
    /// has no kid.
    fn run<'k>(
        mut self,
        sets: impl Iterator<Item = &'k DecryptionKeys> + Clone,
    ) -> Result<Found, Why> {
        let kid = self.header.kid();
        let all = || {
            sets.clone().enumerate().flat_map(|(set, keys)| {
                keys.keys().iter().enumerate().map(move |(key, it)| (KeyIndex { set, key }, it))
            })
        };
        if sets.clone().next().is_none() {
            return Err(Why::new(Reject::NoKeys, "no key decrypts tokens"));
        }
        let named = all().filter(|(_, key)| key.kid().is_some() && key.kid() == kid);
        let nameless = all().filter(|(_, key)| key.kid().is_none());
        let others = all().filter(|(_, key)| kid.is_none() && key.kid().is_some());
        let known = kid.is_none() || named.clone().chain(nameless.clone()).next().is_some();
        let found = self.first(named, MAX_NAMELESS).or_else(|| {
            self.first(nameless, MAX_NAMELESS)
                .or_else(|| self.first(others, self.tried + MAX_CANDIDATES))
        });
        found.ok_or_else(|| match () {
            () if !known => {
                Why::new(Reject::UnknownKey, "no key that decrypts has the token's kid")
            }
            () if self.tried == 0 => {
                let Header { management, encryption, .. } = self.header;
                let whose = if kid.is_some() { "the token's key is not" } else { "no key is" };
                Why::new(
                    Reject::BadAlgorithm,
                    format!("{whose} for {management} with {encryption}"),
                )
            }
            () => Reject::BadDecryption.into(),
        })
    }

    /// The first of `keys` that decrypts the token. Tries no more when `limit` keys were tried in the whole
    /// search.
    fn first<'k>(
        &mut self,
        keys: impl Iterator<Item = (KeyIndex, &'k DecryptionKey)>,
        limit: usize,
    ) -> Option<Found> {
        let Header { management, encryption, .. } = *self.header;
        for (index, key) in keys.filter(|(_, key)| key.is_for(management, encryption)) {
            if self.tried == limit {
                return None;
            }
            self.tried += 1;
            if let Some(plaintext) = self.decrypt(key) {
                return Some((plaintext, index));
            }
        }
        None
    }

    fn decrypt(&self, key: &DecryptionKey) -> Option<Zeroizing<Vec<u8>>> {
        let aad = self.compact.header;
        let Decoded { encrypted_key, iv, ciphertext, tag } = self.compact.decoded();
        manage::decrypt(key, self.header, encrypted_key, Sealed { aad, iv, ciphertext, tag })
    }
}
