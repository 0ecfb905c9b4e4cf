//! The members of a JWK (RFC 7517 section 4, RFC 7518 section 6), as keys that verify and keys that sign
//! are read from them.

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::alg::Curve;
use crate::base64url;
use crate::identity::without_leading_zeros;
use crate::json::Value;
use crate::key::KeyError;
use crate::loaded::{Fault, LoadError};

/// A member's name and what is wrong with it; an empty name stands for the whole key. The message is
/// made only if it is needed.
pub(crate) type MemberFault = (&'static str, Fault);

/// The `use` of keys for JWTs in SPIFFE's bundles (SPIFFE Trust Domain and Bundle, section 4.2.2).
const SPIFFE_USE: &str = "jwt-svid";

/// The member that holds the private half of a key of type `kty` (RFC 7518 section 6, RFC 8037 section 2,
/// RFC 9964 section 3). A secret (`oct`) has no halves.
pub(crate) fn private_member(kty: &str) -> &'static str {
    match kty {
        "AKP" => "priv",
        _ => "d",
    }
}

/// The position of a JWK in its file.
#[derive(Clone, Copy)]
pub(crate) enum Position {
    Alone,
    InSet(usize),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone => Ok(()),
            Self::InSet(i) => write!(f, "keys[{i}]"),
        }
    }
}

/// The members of a JWK.
#[derive(Clone, Copy)]
pub(crate) struct JwkMembers<'d> {
    pub(crate) jwk: Value<'d>,
    pub(crate) place: Position,
}

impl<'d> JwkMembers<'d> {
    pub(crate) fn error(self, (member, fault): MemberFault) -> LoadError {
        let place = self.place.to_string();
        let dot = if place.is_empty() || member.is_empty() { "" } else { "." };
        LoadError::new(format!("{place}{dot}{member}"), fault)
    }

    /// A member that is there; libraries write `null` for one that is not.
    pub(crate) fn get(self, member: &str) -> Option<Value<'d>> {
        self.jwk.get(member).filter(|value| !value.is_null())
    }

    /// A member that need not be there: an empty text says nothing either.
    pub(crate) fn optional(self, member: &'static str) -> Result<Option<&'d str>, MemberFault> {
        Ok(self.text(member)?.filter(|text| !text.is_empty()))
    }

    pub(crate) fn required(self, member: &'static str) -> Result<&'d str, MemberFault> {
        self.text(member)?.ok_or((member, Fault::Absent))
    }

    pub(crate) fn text(self, member: &'static str) -> Result<Option<&'d str>, MemberFault> {
        let value = self.get(member);
        value.map(|value| value.as_str().ok_or((member, Fault::Want("a string")))).transpose()
    }

    /// The `kid`. A number counts as it is written.
    pub(crate) fn kid(self) -> Result<Option<&'d str>, MemberFault> {
        match self.get("kid").and_then(Value::as_number) {
            Some(number) => Ok(Some(number.as_str())),
            None => match self.optional("kid") {
                Err((member, _)) => Err((member, Fault::Want("a string or a number"))),
                kid => kid,
            },
        }
    }

    pub(crate) fn bytes(self, member: &'static str) -> Result<Zeroizing<Vec<u8>>, MemberFault> {
        let bytes = member_bytes(self.required(member)?.as_bytes());
        bytes.ok_or((member, Fault::Want("base64url")))
    }

    /// A coordinate, in the curve's length. Some libraries drop leading zeros, others write more.
    pub(crate) fn coordinate(
        self,
        member: &'static str,
        curve: Curve,
    ) -> Result<Vec<u8>, MemberFault> {
        let bytes = self.bytes(member)?;
        let (digits, want) = (without_leading_zeros(&bytes), curve.coordinate_len());
        if bytes.is_empty() || digits.len() > want {
            let error = KeyError::Coordinate { curve: curve.name(), got: bytes.len(), want };
            return Err((member, error.into()));
        }
        Ok([&vec![0; want - digits.len()], digits].concat())
    }

    /// The `use` of a key that is for something else than signatures (RFC 7517 section 4.2).
    pub(crate) fn other_use(self) -> Result<Option<&'d str>, MemberFault> {
        let purpose = self.optional("use")?;
        Ok(purpose.filter(|purpose| !["sig", SPIFFE_USE].contains(purpose)))
    }

    /// Whether the key may be used for `operation`: it has no `key_ops`, or one that contains it
    /// (RFC 7517 section 4.3). Some write a single operation as a string.
    pub(crate) fn may(self, operation: &str) -> Result<bool, MemberFault> {
        let Some(ops) = self.get("key_ops") else { return Ok(true) };
        if let Some(op) = ops.as_str() {
            return Ok(op == operation);
        }
        let mut ops = ops.items().ok_or(("key_ops", Fault::Want("an array of strings")))?;
        Ok(ops.any(|op| op.as_str() == Some(operation)))
    }
}

/// Decodes a member's base64url. Padding and the letters of standard base64 are tolerated, as Cognito and
/// WSO2 write them: they do not change which key it is. The member may be a private one, so all that is
/// made of it is wiped.
pub(crate) fn member_bytes(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = base64url::without_padding(text);
    if !text.iter().any(|byte| matches!(byte, b'+' | b'/')) {
        return base64url::decode_secret(&URL_SAFE_NO_PAD, text);
    }
    let mut text = Zeroizing::new(text.to_vec());
    for byte in text.iter_mut() {
        *byte = match *byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        };
    }
    base64url::decode_secret(&URL_SAFE_NO_PAD, &text)
}
