//! The Status List Token (section 5.1 of the draft).

use std::sync::atomic::AtomicU64;

use super::fault::StatusListError;
use super::inflate::Inflation;
use super::table::{self, Facts};
use crate::base64url;
use crate::claims::{Claims, STATUS_LIST_TYP, is_typ};
use crate::compact::Compact;
use crate::effective::{EffectivePolicy, payload_document, payload_text};
use crate::header::Header;
use crate::json::{Document, Value};
use crate::policy::{LiveInputs, LocationPolicy, Policy};
use crate::refusal::{Refusal, Why, kind, shown, shown_text};
use crate::reject::Reject;

/// The largest Status List Token that is read, in bytes.
pub const MAX_LIST_LEN: usize = 8 * 1024 * 1024;

/// The most that one step writes, in bytes.
const WRITE: usize = 64 * 1024;

/// A Status List Token that was accepted. Its list is still compressed at first: it is decompressed and
/// written in steps, so that a server can do something else in between.
#[derive(Debug)]
pub struct StatusList {
    bits: u8,
    issued_at: i64,
    expires: Option<i64>,
    ttl: Option<i64>,
    inflation: Inflation,
    /// How many bytes of the output were written.
    written: usize,
}

impl StatusList {
    /// Judges a Status List Token at `now` that was found at `uri`, which the referenced token names.
    /// White space around it does not matter.
    ///
    /// Keys, algorithms, padding and leeway are those of `policy`, `location` and `live`, as for other
    /// tokens. Issuer, audience, type, lifetime and revocation lists are not asked: the type must be
    /// `statuslist+jwt`, and `sub` the uri, so that no other token passes for a list, and no list for
    /// another one.
    ///
    /// # Errors
    /// The first reason for which it is refused.
    pub fn open(
        token: &[u8],
        uri: &str,
        policy: &Policy,
        location: Option<&LocationPolicy>,
        live: &LiveInputs,
        now: i64,
    ) -> Result<Self, StatusListError> {
        let effective = EffectivePolicy { policy, location, live, memo: None, signatures: None };
        let payload = verified(token.trim_ascii(), effective, now)?;
        let claims = Claims::read(&payload).map_err(|why| claim(why.detail))?;
        let root = payload.root();
        check_subject(root, uri)?;
        let leeway = effective.leeway();
        let issued_at = claims.issued_at().ok_or_else(|| claim("iat is missing"))?;
        if issued_at.cmp_int(now.saturating_add(leeway)).is_gt() {
            let ahead = issued_at.saturating_i64().saturating_sub(now);
            return Err(StatusListError::Future(ahead));
        }
        claims.check_time(now, leeway).map_err(|why| out_of_time(&why))?;
        let ttl = root.get("ttl").map(ttl).transpose()?;
        let (bits, deflated) = compressed(root)?;
        Ok(Self {
            bits,
            issued_at: issued_at.saturating_i64(),
            expires: claims.expires(),
            ttl,
            inflation: Inflation::new(deflated),
            written: 0,
        })
    }

    /// Decompresses a piece of the list. True if there is more: then it is to be called again.
    ///
    /// # Errors
    /// What is wrong with the compressed data, or that the list is too large. Such a list is of no use.
    pub fn inflate(&mut self) -> Result<bool, StatusListError> {
        self.inflation.step()
    }

    /// How many words of memory the list takes; 0 until all of it is decompressed.
    pub fn words(&self) -> usize {
        self.inflation.output().map_or(0, |bytes| table::words(bytes.len()))
    }

    /// Writes a piece of the list to memory, which may hold anything before. True if there is more: then
    /// it is to be called again, with the same memory. [`StatusTable`](super::StatusTable) reads nothing
    /// there before all is written, and nothing at all if the memory has too few words, or the list is
    /// not decompressed.
    pub fn write(&mut self, table: &[AtomicU64]) -> bool {
        if self.written == 0 {
            table::begin(table);
        }
        let facts = self.facts().filter(|_| table.len() >= self.words());
        let Some((facts, bytes)) = facts.zip(self.inflation.output()) else { return false };
        let rest = bytes.get(self.written..).unwrap_or_default();
        let piece = rest.get(..WRITE).unwrap_or(rest);
        table::write_bytes(table, self.written, piece);
        if piece.len() < rest.len() {
            self.written += piece.len();
            return true;
        }
        table::end(table, facts);
        self.written = 0;
        false
    }

    /// `None` until all of the list is decompressed.
    fn facts(&self) -> Option<Facts> {
        let Self { bits, issued_at, expires, ttl, .. } = *self;
        let entries = self.entries()?;
        Some(Facts { bits, entries, expires, ttl, issued_at })
    }

    /// How many entries the list has; `None` until all of it is decompressed. Bits that fill up the last
    /// byte count as entries.
    pub fn entries(&self) -> Option<u64> {
        let bytes = u64::try_from(self.inflation.output()?.len()).ok()?;
        Some(bytes * 8 / u64::from(self.bits))
    }

    /// When the list expires (`exp`), in seconds since the epoch.
    pub fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// For how many seconds the list may be kept before it is fetched again (`ttl`), at least 1.
    pub fn ttl(&self) -> Option<i64> {
        self.ttl
    }

    /// When the list was issued (`iat`), in seconds since the epoch.
    pub fn issued_at(&self) -> i64 {
        self.issued_at
    }
}

/// The payload of a token whose signature holds and whose type is that of a list.
fn verified(
    token: &[u8],
    effective: EffectivePolicy<'_>,
    now: i64,
) -> Result<Document, StatusListError> {
    let form = |why: Why| StatusListError::Form(why.into());
    let compact = Compact::split_within(token, MAX_LIST_LEN).map_err(form)?;
    effective.check_padding(compact.padded).map_err(form)?;
    let (header, algorithm) =
        Header::parse(compact.header).map_err(|refusal| match refusal.reason {
            Reject::BadAlgorithm => StatusListError::Signature(refusal),
            _ => StatusListError::Form(refusal),
        })?;
    let signature = |why| StatusListError::Signature(Refusal::of(&header, why));
    effective.verify(&compact, &header, algorithm, now).map_err(signature)?;
    match header.typ() {
        None => return Err(StatusListError::Type("missing".to_owned())),
        Some(typ) if !is_typ(typ.as_str().unwrap_or_default(), &[STATUS_LIST_TYP]) => {
            return Err(StatusListError::Type(shown(typ)));
        }
        Some(_) => {}
    }
    payload_document(payload_text(&compact).map_err(form)?).map_err(form)
}

fn check_subject(root: Value<'_>, uri: &str) -> Result<(), StatusListError> {
    let sub = root.get("sub").ok_or_else(|| claim("sub is missing"))?;
    match sub.as_str() {
        Some(same) if same == uri => Ok(()),
        Some(_) => Err(StatusListError::Subject { sub: shown(sub), uri: shown_text(uri) }),
        None => Err(wrong("sub", sub)),
    }
}

fn out_of_time(why: &Why) -> StatusListError {
    let seconds = why.age.unwrap_or_default();
    match why.reason {
        Reject::NotYetValid => StatusListError::NotYetValid(seconds),
        _ => StatusListError::Expired(seconds),
    }
}

/// The claim `ttl`: a positive number, of which whole seconds count.
fn ttl(value: Value<'_>) -> Result<i64, StatusListError> {
    let number = value.as_number().ok_or_else(|| wrong("ttl", value))?;
    if number.cmp_int(0).is_le() {
        return Err(claim("ttl is not positive"));
    }
    Ok(number.saturating_i64().max(1))
}

/// The bits of each status, and the compressed statuses (section 4.2 of the draft).
fn compressed(root: Value<'_>) -> Result<(u8, Vec<u8>), StatusListError> {
    let list = root.get("status_list").ok_or_else(|| claim("status_list is missing"))?;
    if !list.is_object() {
        return Err(wrong("status_list", list));
    }
    let member =
        |name| list.get(name).ok_or_else(|| claim(format!("status_list.{name} is missing")));
    let bits = member("bits")?;
    let number = bits.as_number().ok_or_else(|| wrong("status_list.bits", bits))?;
    let known = number.as_u64().filter(|bits| matches!(bits, 1 | 2 | 4 | 8));
    let known = known.and_then(|bits| u8::try_from(bits).ok());
    let known = known.ok_or_else(|| {
        claim(format!("status_list.bits is {}, none of 1, 2, 4 and 8", shown(bits)))
    })?;
    let lst = member("lst")?;
    let text = lst.as_str().ok_or_else(|| wrong("status_list.lst", lst))?;
    let deflated = base64url::decode(text.as_bytes());
    let deflated = deflated.ok_or_else(|| claim("status_list.lst is not base64url"))?;
    Ok((known, deflated))
}

fn claim(text: impl Into<String>) -> StatusListError {
    StatusListError::Claim(text.into())
}

fn wrong(member: &str, value: Value<'_>) -> StatusListError {
    claim(format!("{member} is {}", kind(value)))
}
