//! The registered claims (RFC 7519 section 4.1), judged after the signature has been verified.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::json::{Document, NodeIndex, Value};
use crate::number::Rounded;
use crate::reject::Reject;

/// The registered claims of a payload, with their types checked. Numbers are kept as far as comparing
/// them with the time needs, the rest as indices into the document, so that both can be kept together.
///
/// A claim of the wrong type is always refused, even if no rule uses it: a token that does not follow
/// RFC 7519 does not come from a correct issuer.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    issuer: Option<NodeIndex>,
    audience: Option<NodeIndex>,
    expires: Option<Rounded>,
    not_before: Option<Rounded>,
    issued_at: Option<Rounded>,
}

impl Claims {
    /// Reads the registered claims in one pass over the payload's members.
    pub(crate) fn read(payload: &Document) -> Result<Self, Reject> {
        let mut claims = Self::default();
        for (name, value) in payload.root().members().ok_or(Reject::Malformed)? {
            let text = || value.as_str().ok_or(Reject::Malformed);
            let number = || value.as_rounded().ok_or(Reject::Malformed);
            match name {
                "iss" => claims.issuer = text().map(|_| Some(value.index()))?,
                "sub" | "jti" => drop(text()?),
                "aud" => claims.audience = Some(audience(value)?.index()),
                "exp" => claims.expires = Some(number()?),
                "nbf" => claims.not_before = Some(number()?),
                "iat" => claims.issued_at = Some(number()?),
                _ => {}
            }
        }
        Ok(claims)
    }

    /// The claim `exp` without its fraction, limited to what an `i64` holds.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.expires.map(Rounded::saturating_i64)
    }

    /// Refuses a token before `nbf` or from `exp` on, with `leeway` seconds of tolerance. The error
    /// has the seconds since `exp` or until `nbf`.
    pub(crate) fn check_time(&self, now: i64, leeway: i64) -> Result<(), (Reject, i64)> {
        if let Some(expires) = self.expires
            && expires.cmp_int(now.saturating_sub(leeway)) != Ordering::Greater
        {
            return Err((Reject::Expired, now.saturating_sub(expires.saturating_i64())));
        }
        if let Some(not_before) = self.not_before
            && not_before.cmp_int(now.saturating_add(leeway)) == Ordering::Greater
        {
            return Err((Reject::NotYetValid, not_before.saturating_i64().saturating_sub(now)));
        }
        Ok(())
    }

    /// Refuses a token without `exp` if one is required, and a token whose `exp` is more than `max`
    /// seconds after its `iat`, or after `now` if it has no `iat`.
    pub(crate) fn check_lifetime(
        &self,
        now: i64,
        require_exp: bool,
        max: Option<i64>,
    ) -> Result<(), Reject> {
        match (self.expires, max) {
            (None, None) if !require_exp => Ok(()),
            // A token that never expires exceeds every maximum.
            (None, _) => Err(Reject::BadLifetime),
            (Some(_), None) => Ok(()),
            (Some(expires), Some(max)) => {
                let from = self.issued_at.map_or(now, Rounded::saturating_i64);
                match expires.cmp_int(from.saturating_add(max)) {
                    Ordering::Greater => Err(Reject::BadLifetime),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The claim `iss`; `payload` must be the document that this was read from.
    pub(crate) fn issuer<'d>(&self, payload: &'d Document) -> Option<&'d str> {
        self.issuer.and_then(|at| payload.at(at).as_str())
    }

    /// Whether the issuer is one of `accepted`; `payload` as for [`Claims::issuer`].
    pub(crate) fn is_from(&self, payload: &Document, accepted: &[Box<str>]) -> bool {
        self.issuer(payload).is_some_and(|issuer| accepted.iter().any(|one| **one == *issuer))
    }

    /// Whether the audience contains one of `accepted`; `payload` as for [`Claims::issuer`].
    pub(crate) fn is_for(&self, payload: &Document, accepted: &[Box<str>]) -> bool {
        let is_accepted = |value: Value<'_>| {
            value.as_str().is_some_and(|name| accepted.iter().any(|one| **one == *name))
        };
        self.audience.map(|at| payload.at(at)).is_some_and(|audience| {
            is_accepted(audience)
                || audience.items().is_some_and(|mut items| items.any(is_accepted))
        })
    }
}

/// An audience: a string, or an array of strings only (RFC 7519 section 4.1.3).
fn audience(value: Value<'_>) -> Result<Value<'_>, Reject> {
    let valid = value.as_str().is_some()
        || value.items().is_some_and(|mut items| items.all(|item| item.as_str().is_some()));
    if valid { Ok(value) } else { Err(Reject::Malformed) }
}

/// Whether `typ` is one of `accepted`. Case does not matter, and neither does a leading
/// `application/` on either side (RFC 7515 section 4.1.9).
pub(crate) fn is_typ(typ: Option<&str>, accepted: &[Box<str>]) -> bool {
    fn short(typ: &str) -> &str {
        match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        }
    }
    typ.is_some_and(|typ| accepted.iter().any(|one| short(one).eq_ignore_ascii_case(short(typ))))
}

/// The issuer of a payload that is not verified yet, to select whose keys to try. Nothing after it is
/// parsed.
pub(crate) fn issuer_of(payload: &[u8]) -> Result<Option<Cow<'_, str>>, Reject> {
    let mut issuer = None;
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    let read = deserializer.deserialize_map(FindIssuer(&mut issuer));
    match (issuer, read) {
        // Stopping in the middle of an object is an error for serde_json, but the issuer is known.
        (Some(issuer), _) => Ok(Some(issuer)),
        (None, Ok(())) => Ok(None),
        (None, Err(_)) => Err(Reject::Malformed),
    }
}

/// The issuer must be among so many first members if it is read before the signature is verified: this
/// limits the work for an unverified token.
const MAX_BEFORE_ISSUER: usize = 256;

struct FindIssuer<'a, 'de>(&'a mut Option<Cow<'de, str>>);

impl<'de> Visitor<'de> for FindIssuer<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        for _ in 0..MAX_BEFORE_ISSUER {
            let Some(Text(name)) = members.next_key()? else { return Ok(()) };
            if name == "iss" {
                *self.0 = Some(members.next_value::<Text<'de>>()?.0);
                return Ok(());
            }
            members.next_value::<IgnoredAny>()?;
        }
        Err(A::Error::custom("no issuer among the first members"))
    }
}

/// A string, borrowed from the text unless it contains escapes.
struct Text<'t>(Cow<'t, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(json: &str) -> Document {
        Document::parse(json.as_bytes().to_vec()).unwrap()
    }

    fn time(json: &str, now: i64, leeway: i64) -> Result<(), (Reject, i64)> {
        Claims::read(&payload(json)).ok().unwrap().check_time(now, leeway)
    }

    #[test]
    fn exp_is_the_first_second_refused_and_nbf_the_first_accepted() {
        assert_eq!(time(r#"{"exp":100}"#, 99, 0), Ok(()));
        assert_eq!(time(r#"{"exp":100}"#, 100, 0), Err((Reject::Expired, 0)));
        assert_eq!(time(r#"{"exp":100.5}"#, 100, 0), Ok(()));
        assert_eq!(time(r#"{"exp":100.00000000000000000001}"#, 100, 0), Ok(()));
        assert_eq!(time(r#"{"exp":100}"#, 109, 10), Ok(()));
        assert_eq!(time(r#"{"exp":100}"#, 110, 10), Err((Reject::Expired, 10)));
        assert_eq!(time(r#"{"nbf":100}"#, 100, 0), Ok(()));
        assert_eq!(time(r#"{"nbf":100}"#, 99, 0), Err((Reject::NotYetValid, 1)));
        assert_eq!(time(r#"{"nbf":100}"#, 90, 10), Ok(()));
        assert_eq!(time(r#"{"nbf":100.5}"#, 100, 0), Err((Reject::NotYetValid, 0)));
    }

    #[test]
    fn extreme_times_neither_wrap_nor_pass() {
        let now = 1_800_000_000;
        for past in ["0", "-1", "-9223372036854775808", "-1e300", "0.5"] {
            let json = format!(r#"{{"exp":{past}}}"#);
            assert_eq!(time(&json, now, 0).unwrap_err().0, Reject::Expired, "{past}");
            assert_eq!(
                time(&json, now, i64::MAX).is_ok(),
                past.parse::<f64>().unwrap() > -9.2e18 && past != "-1e300"
            );
        }
        for future in
            ["9223372036854775807", "18446744073709551615", "18446744073709551616", "1e300"]
        {
            assert_eq!(time(&format!(r#"{{"exp":{future}}}"#), now, 0), Ok(()), "{future}");
            let early = time(&format!(r#"{{"nbf":{future}}}"#), now, 0);
            assert_eq!(early.unwrap_err().0, Reject::NotYetValid, "{future}");
        }
    }

    #[test]
    fn a_wrong_type_is_malformed() {
        for claim in ["exp", "nbf", "iat"] {
            for value in ["\"1\"", "true", "null", "[1]", "{}"] {
                let read = payload(&format!(r#"{{"{claim}":{value}}}"#));
                assert_eq!(Claims::read(&read).err(), Some(Reject::Malformed));
            }
        }
        for json in [
            r#"{"iss":1}"#,
            r#"{"iss":["a"]}"#,
            r#"{"sub":{}}"#,
            r#"{"jti":1}"#,
            r#"{"aud":1}"#,
            r#"{"aud":["a",1]}"#,
            r#"{"aud":{"a":"b"}}"#,
            r"[]",
            r"1",
        ] {
            assert_eq!(Claims::read(&payload(json)).err(), Some(Reject::Malformed), "{json}");
        }
    }

    #[test]
    fn audience_and_type() {
        let accepted: [Box<str>; 2] = ["api".into(), "web".into()];
        let is_for = |json| {
            let payload = payload(json);
            Claims::read(&payload).ok().unwrap().is_for(&payload, &accepted)
        };
        assert!(is_for(r#"{"aud":"api"}"#));
        assert!(is_for(r#"{"aud":["x","web"]}"#));
        assert!(!is_for(r#"{"aud":["x"]}"#));
        assert!(!is_for(r#"{"aud":[]}"#));
        assert!(!is_for(r#"{"aud":"API"}"#));
        assert!(!is_for(r"{}"));
        let accepted: [Box<str>; 2] = ["at+jwt".into(), "application/JWT".into()];
        for good in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/jwt", "JWT"] {
            assert!(is_typ(Some(good), &accepted), "{good}");
        }
        assert!(!is_typ(Some("application/"), &accepted));
        assert!(!is_typ(None, &accepted));
    }

    #[test]
    fn lifetime() {
        let check = |json, require, max| {
            Claims::read(&payload(json)).ok().unwrap().check_lifetime(1000, require, max)
        };
        assert_eq!(check("{}", false, None), Ok(()));
        assert_eq!(check("{}", true, None), Err(Reject::BadLifetime));
        assert_eq!(check("{}", false, Some(60)), Err(Reject::BadLifetime));
        assert_eq!(check(r#"{"exp":1060}"#, true, Some(60)), Ok(()));
        assert_eq!(check(r#"{"exp":1061}"#, true, Some(60)), Err(Reject::BadLifetime));
        assert_eq!(check(r#"{"exp":1061,"iat":1001}"#, true, Some(60)), Ok(()));
        assert_eq!(check(r#"{"exp":1061,"iat":-1e300}"#, true, Some(60)), Err(Reject::BadLifetime));
        assert_eq!(check(r#"{"exp":1e300,"iat":1e300}"#, true, Some(60)), Err(Reject::BadLifetime));
    }
}
