//! The registered claims (RFC 7519 section 4.1), judged after the signature has been verified.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::issuers::Issuers;
use crate::json::{Document, NodeIndex, Value};
use crate::number::Rounded;
use crate::refusal::Why;
use crate::reject::Reject;

/// The registered claims of a payload. Numbers are kept as far as comparing them with the time needs,
/// the rest as indices into the document, so that both can be kept together.
///
/// Times that are no numbers are refused, even if no rule uses them. All other claims matter only where
/// they are asked for: many issuers write `sub` as a number. A claim that is null is absent, except for
/// `exp`, and so is an empty `iss` or `aud`.
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
    pub(crate) fn read(payload: &Document) -> Result<Self, Why> {
        let mut claims = Self::default();
        let members = payload.root().members();
        for (name, value) in members.ok_or(Why::malformed("the payload is no JSON object"))? {
            let number = || value.as_rounded().ok_or_else(|| Why::wrong_type(name, value));
            match name {
                "iss" => claims.issuer = unless_empty(value),
                "aud" => claims.audience = unless_empty(value),
                "exp" => claims.expires = Some(number()?),
                "nbf" if !value.is_null() => claims.not_before = Some(number()?),
                "iat" if !value.is_null() => claims.issued_at = Some(number()?),
                _ => {}
            }
        }
        Ok(claims)
    }

    /// The claim `exp` without its fraction, limited to what an `i64` holds.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.expires.map(Rounded::saturating_i64)
    }

    /// The claim `iat`.
    pub(crate) fn issued_at(&self) -> Option<Rounded> {
        self.issued_at
    }

    /// Refuses a token before `nbf` or from `exp` on, with `leeway` seconds of tolerance. The error
    /// has the seconds since `exp` or until `nbf`.
    pub(crate) fn check_time(&self, now: i64, leeway: i64) -> Result<(), Why> {
        if let Some(expires) = self.expires
            && expires.cmp_int(now.saturating_sub(leeway)) != Ordering::Greater
        {
            return Err(Why::time(Reject::Expired, now.saturating_sub(expires.saturating_i64())));
        }
        if let Some(not_before) = self.not_before
            && not_before.cmp_int(now.saturating_add(leeway)) == Ordering::Greater
        {
            let left = not_before.saturating_i64().saturating_sub(now);
            return Err(Why::time(Reject::NotYetValid, left));
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
    ) -> Result<(), Why> {
        match (self.expires, max) {
            (None, None) if !require_exp => Ok(()),
            // A token that never expires exceeds every maximum.
            (None, _) => Err(Why::new(Reject::BadLifetime, "exp is missing")),
            (Some(_), None) => Ok(()),
            (Some(expires), Some(max)) => {
                let from = self.issued_at.map_or(now, Rounded::saturating_i64);
                if expires.cmp_int(from.saturating_add(max)) != Ordering::Greater {
                    return Ok(());
                }
                let since = if self.issued_at.is_some() { "iat" } else { "now" };
                let lifetime = expires.saturating_i64().saturating_sub(from);
                let detail = format!("exp is {lifetime}s after {since}; {max}s are accepted");
                Err(Why::new(Reject::BadLifetime, detail))
            }
        }
    }

    /// The claim `iss`; `payload` must be the document that this was read from. `Err` if it is not a
    /// string.
    pub(crate) fn issuer<'d>(&self, payload: &'d Document) -> Result<Option<&'d str>, Why> {
        let Some(value) = self.issuer.map(|at| payload.at(at)) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(wrong_issuer)
    }

    /// Refuses a token whose issuer is not `accepted`; `payload` as for [`Claims::issuer`].
    pub(crate) fn check_issuer(&self, payload: &Document, accepted: &Issuers) -> Result<(), Why> {
        let Some(value) = self.issuer.map(|at| payload.at(at)) else {
            return Err(Why::new(Reject::BadIssuer, "iss is missing"));
        };
        let issuer = value.as_str().ok_or_else(wrong_issuer)?;
        match accepted.accepts(issuer) {
            true => Ok(()),
            false => Err(Why::not_accepted(Reject::BadIssuer, value)),
        }
    }

    /// Refuses a token whose audience contains none of `accepted`; `payload` as for [`Claims::issuer`].
    /// An audience is a string, or an array of strings only (RFC 7519 section 4.1.3).
    pub(crate) fn check_audience(
        &self,
        payload: &Document,
        accepted: &[Box<str>],
    ) -> Result<(), Why> {
        let Some(audience) = self.audience.map(|at| payload.at(at)) else {
            return Err(Why::new(Reject::BadAudience, "aud is missing"));
        };
        let is_accepted = |name: &str| accepted.iter().any(|one| **one == *name);
        let mut found = false;
        if let Some(name) = audience.as_str() {
            found = is_accepted(name);
        } else {
            for item in audience.items().ok_or_else(|| Why::wrong_type("aud", audience))? {
                let name = item.as_str().ok_or_else(|| Why::wrong_type("a value in aud", item))?;
                found |= is_accepted(name);
            }
        }
        if found { Ok(()) } else { Err(Why::not_accepted(Reject::BadAudience, audience)) }
    }
}

/// The issuer has the wrong type. The words are the same before and after the payload is parsed.
fn wrong_issuer() -> Why {
    Why::malformed("iss is no string")
}

/// The index of a claim; `None` if it is null or an empty string.
fn unless_empty(value: Value<'_>) -> Option<NodeIndex> {
    let is_empty = value.is_null() || value.as_str() == Some("");
    (!is_empty).then(|| value.index())
}

/// The `typ` of a Status List Token (draft-ietf-oauth-status-list section 5.1).
pub(crate) const STATUS_LIST_TYP: &str = "statuslist+jwt";

/// Whether `typ` is one of `accepted`. Case does not matter, and neither does a leading
/// `application/` on either side (RFC 7515 section 4.1.9).
pub(crate) fn is_typ(typ: &str, accepted: &[impl AsRef<str>]) -> bool {
    fn short(typ: &str) -> &str {
        match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        }
    }
    accepted.iter().any(|one| short(one.as_ref()).eq_ignore_ascii_case(short(typ)))
}

/// The issuer of a payload that is not verified yet, to select whose keys to try. Nothing after it is
/// parsed. As in [`Claims`], null and empty is no issuer.
pub(crate) fn issuer_of(payload: &[u8]) -> Result<Option<Cow<'_, str>>, Why> {
    let mut found = FindIssuer::default();
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    let read = deserializer.deserialize_map(&mut found);
    match (found.issuer, read) {
        // Stopping in the middle of an object is an error for serde_json, but the issuer is known.
        (Some(issuer), _) => Ok(issuer.filter(|issuer| !issuer.is_empty())),
        (None, Ok(())) => Ok(None),
        (None, Err(_)) if found.reached => Err(wrong_issuer()),
        (None, Err(_)) => {
            Err(Why::malformed("the payload is no JSON object with iss at its start"))
        }
    }
}

/// The issuer must be among so many first members if it is read before the signature is verified: this
/// limits the work for an unverified token.
const MAX_BEFORE_ISSUER: usize = 256;

#[derive(Default)]
struct FindIssuer<'de> {
    /// The value of `iss`; null is `Some(None)`.
    issuer: Option<Option<Cow<'de, str>>>,
    /// Whether there is an `iss`.
    reached: bool,
}

impl<'de> Visitor<'de> for &mut FindIssuer<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        for _ in 0..MAX_BEFORE_ISSUER {
            let Some(Text(name)) = members.next_key()? else { return Ok(()) };
            if name == "iss" {
                self.reached = true;
                let issuer = members.next_value::<Option<Text<'de>>>()?;
                self.issuer = Some(issuer.map(|Text(issuer)| issuer));
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
        let judged = Claims::read(&payload(json)).unwrap().check_time(now, leeway);
        judged.map_err(|why| (why.reason, why.age.unwrap()))
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
    fn times_are_numbers_and_null_is_absent_except_for_exp() {
        for claim in ["exp", "nbf", "iat"] {
            for (value, kind) in [
                ("\"1\"", "a string"),
                ("\"\"", "an empty string"),
                ("true", "a boolean"),
                ("[1]", "an array"),
                ("{}", "an object"),
            ] {
                let read = payload(&format!(r#"{{"{claim}":{value}}}"#));
                let why = Why::malformed(format!("{claim} is {kind}"));
                assert_eq!(Claims::read(&read).err(), Some(why));
            }
        }
        let read = |json| Claims::read(&payload(json)).map(|claims| claims.check_time(0, 0));
        assert_eq!(read(r#"{"nbf":null,"iat":null}"#), Ok(Ok(())));
        assert_eq!(read(r#"{"exp":null}"#), Err(Why::malformed("exp is null")));
        for json in ["[]", "1"] {
            assert!(Claims::read(&payload(json)).is_err(), "{json}");
        }
    }

    #[test]
    fn other_claims_matter_only_where_they_are_asked_for() {
        let issuers = Issuers::new(["me"]).unwrap();
        let audiences = [Box::from("api")];
        let judge = |json| {
            let payload = payload(json);
            let claims = Claims::read(&payload).unwrap();
            let told = |judged: Result<(), Why>| match judged {
                Ok(()) => "ok".to_owned(),
                Err(why) => crate::Refusal::from(why).to_string(),
            };
            (
                told(claims.check_issuer(&payload, &issuers)),
                told(claims.check_audience(&payload, &audiences)),
            )
        };
        for (json, issuer, audience) in [
            (r#"{"sub":2,"jti":[],"iss":"me","aud":"api"}"#, "ok", "ok"),
            (r"{}", "bad_issuer: iss is missing", "bad_audience: aud is missing"),
            (
                r#"{"iss":null,"aud":null}"#,
                "bad_issuer: iss is missing",
                "bad_audience: aud is missing",
            ),
            (
                r#"{"iss":"","aud":""}"#,
                "bad_issuer: iss is missing",
                "bad_audience: aud is missing",
            ),
            (
                r#"{"iss":"you","aud":["x"]}"#,
                "bad_issuer: \"you\" is not accepted",
                "bad_audience: [\"x\"] is not accepted",
            ),
            (r#"{"iss":1,"aud":1}"#, "malformed: iss is no string", "malformed: aud is a number"),
            (
                r#"{"iss":["me"],"aud":["api",1]}"#,
                "malformed: iss is no string",
                "malformed: a value in aud is a number",
            ),
            (
                r#"{"iss":{},"aud":{"api":"api"}}"#,
                "malformed: iss is no string",
                "malformed: aud is an object",
            ),
        ] {
            assert_eq!(judge(json), (issuer.to_owned(), audience.to_owned()), "{json}");
        }
    }

    #[test]
    fn the_issuer_is_found_before_the_payload_is_verified() {
        let of = |json: &'static str| issuer_of(json.as_bytes());
        assert_eq!(of(r#"{"a":[{}],"iss":"me","#), Ok(Some("me".into())));
        for none in [r"{}", r#"{"iss":null}"#, r#"{"iss":""}"#, r#"{"a":{"iss":"me"}}"#] {
            assert_eq!(of(none), Ok(None), "{none}");
        }
        for bad in [r#"{"iss":1}"#, r#"{"iss":["me"]}"#, r#"{"iss":{}}"#] {
            assert_eq!(of(bad), Err(Why::malformed("iss is no string")), "{bad}");
        }
        for bad in ["", "[]", r#"{"a":}"#, r#"{"a":1"#] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn audience_and_type() {
        let accepted: [Box<str>; 2] = ["api".into(), "web".into()];
        let is_for = |json| {
            let payload = payload(json);
            Claims::read(&payload).unwrap().check_audience(&payload, &accepted).is_ok()
        };
        assert!(is_for(r#"{"aud":"api"}"#));
        assert!(is_for(r#"{"aud":["x","web"]}"#));
        assert!(!is_for(r#"{"aud":["x"]}"#));
        assert!(!is_for(r#"{"aud":[]}"#));
        assert!(!is_for(r#"{"aud":"API"}"#));
        assert!(!is_for(r"{}"));
        let accepted: [Box<str>; 2] = ["at+jwt".into(), "application/JWT".into()];
        for good in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/jwt", "JWT"] {
            assert!(is_typ(good, &accepted), "{good}");
        }
        assert!(!is_typ("application/", &accepted));
    }

    #[test]
    fn lifetime() {
        let check = |json, require, max| {
            let claims = Claims::read(&payload(json)).unwrap();
            claims.check_lifetime(1000, require, max).map_err(|why| why.detail.into_owned())
        };
        let none = || Err("exp is missing".to_owned());
        let long = |seconds: i64, since: &str| {
            Err(format!("exp is {seconds}s after {since}; 60s are accepted"))
        };
        assert_eq!(check("{}", false, None), Ok(()));
        assert_eq!(check("{}", true, None), none());
        assert_eq!(check("{}", false, Some(60)), none());
        assert_eq!(check(r#"{"exp":1060}"#, true, Some(60)), Ok(()));
        assert_eq!(check(r#"{"exp":1061}"#, true, Some(60)), long(61, "now"));
        assert_eq!(check(r#"{"exp":1061,"iat":1001}"#, true, Some(60)), Ok(()));
        for endless in [r#"{"exp":1061,"iat":-1e300}"#, r#"{"exp":1e300,"iat":1e300}"#] {
            assert!(check(endless, true, Some(60)).is_err(), "{endless}");
        }
    }
}
