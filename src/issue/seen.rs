//! Which keys a key file has had: shared by all workers and kept over reloads, so that all of them publish a
//! key as soon as one has seen it, and go on to publish one that no longer signs.

use std::rc::Rc;

use token::sign::SigningKey;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::live::{Row, Rows};
use crate::nginx::SharedMemory;

/// How many keys of one file are remembered.
const KEYS: usize = 32;

/// The longest JWK, in bytes: ML-DSA-87 needs 3600.
const JWK: usize = 4096;

/// The keys that one file has had. Zeros mean that there has been none.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct SeenKeys {
    /// The number of the newest key that has signed.
    signer: u64,
    keys: [SeenKey; KEYS],
}

impl Row for SeenKeys {
    const TABLE: &'static str = "signing_keys";
    const AT_ONCE: usize = 1;
}

/// A key of the file. Times are those of [`clock`](crate::nginx::clock), in milliseconds.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct SeenKey {
    identity: [u8; 32],
    /// A hash of its kid.
    kid: [u8; 32],
    /// Each new key of the file has the next number; 0 where there is no key.
    number: u64,
    /// When it was first seen; 0 for the first key that a file has had.
    first: u64,
    /// Until when it is published; [`NEWEST`] while it is the newest key.
    until: u64,
    jwk_len: u64,
    /// Its public half; empty for a secret.
    jwk: [u8; JWK],
}

const NEWEST: u64 = u64::MAX;

/// The table of all key files.
#[derive(Default)]
pub(super) struct SeenTable(Rc<Rows<SeenKeys>>);

impl SeenTable {
    /// The row of the file with this name.
    pub(super) fn add(&self, name: &[u8]) -> Seen {
        Seen { rows: Rc::clone(&self.0), number: self.0.add(name) }
    }

    /// [`Rows::declare`].
    pub(super) fn declare(&self, memory: &SharedMemory<'_>) -> Option<()> {
        self.0.declare(memory)
    }

    /// [`Rows::assign`].
    pub(super) fn assign(&self) {
        self.0.assign();
    }
}

/// The keys that one file has had.
pub(super) struct Seen {
    rows: Rc<Rows<SeenKeys>>,
    number: usize,
}

impl Seen {
    /// Notes that `key` is the newest key of the file. The ones before it are published for so many
    /// milliseconds from now on. Returns when the key was first seen; `now` if there is no shared memory.
    pub(super) fn note(&self, key: &SigningKey, now: u64, published_for: u64) -> u64 {
        self.rows.with(self.number, |row| row.note(key, now, published_for)).unwrap_or(now)
    }

    /// When `key` was first seen; `None` if it is not known (any more).
    pub(super) fn first(&self, key: &SigningKey) -> Option<u64> {
        self.rows.with(self.number, |row| row.find(key.identity()).map(|known| known.first))?
    }

    /// Notes that `key` signs from now on.
    pub(super) fn signs(&self, key: &SigningKey) {
        self.rows.with(self.number, |row| {
            let number = row.find(key.identity()).map_or(0, |known| known.number);
            row.signer = row.signer.max(number);
        });
    }

    /// Whether a newer key than `key` has signed already, so that nobody may know this one any more.
    pub(super) fn is_over(&self, key: &SigningKey) -> bool {
        let read = self.rows.with(self.number, |row| {
            row.find(key.identity()).map_or(0, |known| known.number) < row.signer
        });
        read.unwrap_or(true)
    }

    /// `key` has just signed last: it is published at least so long.
    pub(super) fn keep(&self, key: &SigningKey, until: u64) {
        self.rows.with(self.number, |row| {
            if let Some(known) = row.find(key.identity()) {
                known.until = known.until.max(until.min(NEWEST - 1));
            }
        });
    }

    /// No key but the newest is published any longer than that.
    pub(super) fn limit(&self, until: u64) {
        self.rows.with(self.number, |row| {
            for key in row.keys.iter_mut().filter(|key| key.until != NEWEST) {
                key.until = key.until.min(until);
            }
        });
    }

    /// The public halves that are published now: of each kid the newest.
    pub(super) fn published(&self, now: u64) -> Vec<String> {
        self.rows.with(self.number, |row| row.published(now)).unwrap_or_default()
    }
}

fn kid_of(key: &SigningKey) -> [u8; 32] {
    token::fingerprint(key.kid().unwrap_or_default().as_bytes())
}

impl SeenKeys {
    fn find(&mut self, identity: [u8; 32]) -> Option<&mut SeenKey> {
        self.keys.iter_mut().find(|one| one.number != 0 && one.identity == identity)
    }

    fn note(&mut self, key: &SigningKey, now: u64, published_for: u64) -> u64 {
        let (identity, jwk) = (key.identity(), key.published().unwrap_or_default());
        let newest = self.keys.iter().map(|one| one.number).max().unwrap_or(0);
        let first = match self.find(identity) {
            Some(known) if known.number == newest => return known.first,
            // It comes back, and is still known to those who verify.
            Some(known) if known.until > now => known.first,
            _ if newest == 0 => 0,
            _ => now,
        };
        let until = now.saturating_add(published_for).min(NEWEST - 1);
        for before in self.keys.iter_mut().filter(|one| one.until == NEWEST) {
            before.until = until;
        }
        // In the place of the one that is over, or will be first.
        let known = self.keys.iter().position(|one| one.number != 0 && one.identity == identity);
        let free = || self.keys.iter().enumerate().min_by_key(|(_, one)| one.until);
        let at = known.or_else(|| free().map(|(at, _)| at));
        if let Some(entry) = at.and_then(|at| self.keys.get_mut(at)) {
            let fits = if jwk.len() <= JWK { jwk.as_bytes() } else { &[] };
            (entry.identity, entry.kid, entry.number) = (identity, kid_of(key), newest + 1);
            (entry.first, entry.until) = (first, NEWEST);
            entry.jwk_len = fits.len() as u64;
            entry.jwk.iter_mut().zip(fits).for_each(|(to, from)| *to = *from);
        }
        if newest == 0 {
            self.signer = 1;
        }
        first
    }

    fn published(&self, now: u64) -> Vec<String> {
        let shown = |one: &&SeenKey| one.number != 0 && one.until > now;
        let of = |kid: [u8; 32]| self.keys.iter().filter(shown).filter(move |one| one.kid == kid);
        let is_newest = |one: &&SeenKey| of(one.kid).all(|other| other.number <= one.number);
        self.keys.iter().filter(shown).filter(is_newest).filter_map(SeenKey::jwk).collect()
    }
}

impl SeenKey {
    fn jwk(&self) -> Option<String> {
        let len = usize::try_from(self.jwk_len).ok().filter(|len| *len > 0)?;
        self.jwk.get(..len).map(|jwk| String::from_utf8_lossy(jwk).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use token::sign::Wanted;
    use zerocopy::FromZeros as _;

    use super::*;

    /// A key with a public half, which the number tells from others.
    fn key(number: u8, kid: &str) -> SigningKey {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", {
            let der = [
                &b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..],
                &[number; 32],
            ]
            .concat();
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der)
        });
        let wanted = Wanted { kid: Some(kid), ..Wanted::default() };
        SigningKey::load(pem.as_bytes(), wanted).unwrap().0
    }

    #[test]
    fn a_key_is_published_until_it_has_been_replaced_for_so_long() {
        let mut row = SeenKeys::new_zeroed();
        let (one, two) = (key(1, "one"), key(2, "two"));
        assert_eq!(row.note(&one, 1000, 50), 0, "the first one signs at once");
        assert_eq!(row.note(&one, 1010, 50), 0);
        assert_eq!(row.note(&two, 1020, 50), 1020);
        let until =
            |row: &mut SeenKeys, key: &SigningKey| row.find(key.identity()).map(|it| it.until);
        assert_eq!((until(&mut row, &one), until(&mut row, &two)), (Some(1070), Some(NEWEST)));
        // Another worker sees the same, later.
        assert_eq!(row.note(&two, 1030, 50), 1020);
        assert_eq!(until(&mut row, &one), Some(1070));
        assert_eq!((row.published(1069).len(), row.published(1070).len()), (2, 1));
        // The old one comes back in time, and after its time.
        assert_eq!(row.note(&one, 1040, 50), 0);
        assert_eq!(row.note(&two, 2000, 50), 2000);
    }

    #[test]
    fn of_each_kid_the_newest_is_published() {
        let mut row = SeenKeys::new_zeroed();
        for key in [key(1, "fix"), key(2, "other"), key(3, "fix")] {
            row.note(&key, 1000, 50_000);
        }
        let published = row.published(2000);
        assert_eq!(published.len(), 2);
        assert!(published.iter().any(|jwk| Some(jwk.as_str()) == key(3, "fix").published()));
    }

    #[test]
    fn many_keys_take_each_others_places_and_one_is_the_newest() {
        let mut row = SeenKeys::new_zeroed();
        for number in 1..100 {
            let key = key(number, "k");
            row.note(&key, 2000 + u64::from(number), 50);
            let newest: Vec<_> = row.keys.iter().filter(|one| one.until == NEWEST).collect();
            assert_eq!((newest.len(), newest[0].identity), (1, key.identity()));
        }
        assert_eq!(row.signer, 1);
    }
}
