//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use std::fmt;

use zeroize::Zeroizing;

use crate::alg::{Algorithm, AlgorithmSet, Curve};
use crate::base64url;
use crate::json::{Document, Value};
use crate::key::{Key, KeyError};
use crate::loaded::{Fault, LoadError, Loaded, Quoted, shortened};
use crate::published::{FaultyKeys, MAX_PUBLISHED_KEYS, RSA_COST};

/// How many names and values a published set may have: 32 for each key that is read.
const MAX_PUBLISHED_NODES: usize = 32 * MAX_PUBLISHED_KEYS;

/// Reads a JWK Set or a single JWK. `kid` is used for a single JWK that has none.
pub(crate) fn load(
    text: &[u8],
    kid: Option<&str>,
    faulty: FaultyKeys,
) -> Result<Loaded, LoadError> {
    let max_nodes = match faulty {
        FaultyKeys::Refuse => usize::MAX,
        FaultyKeys::Skip => MAX_PUBLISHED_NODES,
    };
    let document = Document::parse_bounded(text.to_vec(), max_nodes);
    let document = Zeroizing::new(document.map_err(|e| LoadError::json(text, &e))?);
    let root = document.root();
    let mut loaded = Loaded::default();
    if let Some(keys) = root.get("keys") {
        let items = keys.items().ok_or_else(|| LoadError::new("keys", Fault::Want("an array")))?;
        if kid.is_some() {
            return Err(LoadError::new("keys", Fault::KidOfSet));
        }
        // Only keys that are parsed count, as they take time: not those that are skipped before.
        let mut budget = match faulty {
            FaultyKeys::Refuse => usize::MAX,
            FaultyKeys::Skip => MAX_PUBLISHED_KEYS,
        };
        for (i, item) in items.enumerate() {
            let members = Members { jwk: item, place: Position::InSet(i) };
            match one(members, None, &mut budget, &mut loaded) {
                Err(error) if faulty == FaultyKeys::Skip => {
                    loaded.warn(|| format!("{}; the key is not used", members.error(error)));
                }
                read => read.map_err(|error| members.error(error))?,
            }
        }
    } else if root.get("kty").is_some() {
        let members = Members { jwk: root, place: Position::Alone };
        let read = one(members, kid, &mut { RSA_COST }, &mut loaded);
        read.map_err(|error| members.error(error))?;
    } else {
        return Err(LoadError::new("", Fault::NeitherSetNorKey));
    }
    Ok(loaded)
}

/// A member's name and what is wrong with it; an empty name stands for the whole key. The message is
/// made only if it is needed.
type MemberFault = (&'static str, Fault);

/// Reads one JWK and adds it to `loaded`: as a key, or as a warning why it is not used.
fn one(
    members: Members<'_>,
    given_kid: Option<&str>,
    budget: &mut usize,
    loaded: &mut Loaded,
) -> Result<(), MemberFault> {
    let kid = members.optional("kid")?.or(given_kid);
    let label = Label { place: members.place, kid };
    let unused = |why: &str| format!("{label}: {why}; the key is not used");
    if let Some(purpose) = members.optional("use")?
        && purpose != "sig"
    {
        loaded.warn(|| unused(&format!("use is {}, not \"sig\"", Quoted(purpose))));
        return Ok(());
    }
    if !may_verify(members)? {
        loaded.warn(|| unused("key_ops holds no \"verify\""));
        return Ok(());
    }
    let algorithms = match members.optional("alg")? {
        None => AlgorithmSet::ALL,
        Some(name) => match Algorithm::from_name(name) {
            Some(algorithm) => [algorithm].into_iter().collect(),
            None => {
                let name = Quoted(name);
                loaded.warn(|| unused(&format!("alg {name} is no signature algorithm known here")));
                return Ok(());
            }
        },
    };
    // A key is parsed once for each of its algorithms, and RSA has six.
    let cost = if members.required("kty")? == "RSA" { RSA_COST } else { 1 };
    let Some(left) = budget.checked_sub(cost) else {
        loaded.warn(|| unused(&format!("it comes after the first {MAX_PUBLISHED_KEYS}")));
        return Ok(());
    };
    *budget = left;
    let key = material(members, algorithms, label, loaded)?.with_kid(kid);
    loaded.push(key, members.place).map_err(|fault| ("", fault))
}

fn material(
    members: Members<'_>,
    algorithms: AlgorithmSet,
    label: Label<'_>,
    loaded: &mut Loaded,
) -> Result<Key, MemberFault> {
    let kty = members.required("kty")?;
    if kty != "oct" && members.jwk.get("d").is_some() {
        loaded.warn(|| {
            format!(
                "{label}: holds a private key (member d), which should not be in this file: keep \
                 only its public members"
            )
        });
    }
    let of = |member| move |error| (member, Fault::Key(error));
    let unknown = |member, value| Err((member, Fault::Unknown(shortened(value))));
    let key = match kty {
        "oct" => {
            let secret = members.bytes("k")?;
            loaded.warn_short_secret(label, &secret, algorithms);
            Key::hmac(&secret, algorithms).map_err(of("k"))
        }
        "RSA" => Key::rsa(&members.bytes("n")?, &members.bytes("e")?, algorithms).map_err(of("n")),
        "EC" => {
            let curve = match members.required("crv")? {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                "P-521" => Curve::P521,
                other => return unknown("crv", other),
            };
            Key::ec(curve, &members.bytes("x")?, &members.bytes("y")?, algorithms).map_err(of("x"))
        }
        "OKP" => match members.required("crv")? {
            "Ed25519" => Key::ed25519(&members.bytes("x")?, algorithms).map_err(of("x")),
            other => return unknown("crv", other),
        },
        other => return unknown("kty", other),
    };
    // If the algorithm does not fit the key, `alg` is at fault, whichever member was read last.
    key.map_err(|(member, fault)| match fault {
        Fault::Key(KeyError::Mismatch { .. }) => ("alg", fault),
        _ => (member, fault),
    })
}

/// Whether the key may verify signatures: it has no `key_ops`, or one that contains `verify`
/// (RFC 7517 section 4.3).
fn may_verify(members: Members<'_>) -> Result<bool, MemberFault> {
    let Some(ops) = members.jwk.get("key_ops") else { return Ok(true) };
    let mut ops = ops.items().ok_or(("key_ops", Fault::Want("an array of strings")))?;
    Ok(ops.any(|op| op.as_str() == Some("verify")))
}

/// The position of a JWK in its file.
#[derive(Clone, Copy)]
enum Position {
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

/// How a warning names a key.
#[derive(Clone, Copy)]
struct Label<'d> {
    place: Position,
    kid: Option<&'d str>,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        match self.kid {
            Some(kid) => write!(f, " (kid {})", Quoted(kid)),
            None => Ok(()),
        }
    }
}

/// The members of a JWK.
#[derive(Clone, Copy)]
struct Members<'d> {
    jwk: Value<'d>,
    place: Position,
}

impl<'d> Members<'d> {
    fn error(self, (member, fault): MemberFault) -> LoadError {
        let place = self.place.to_string();
        let dot = if place.is_empty() || member.is_empty() { "" } else { "." };
        LoadError::new(format!("{place}{dot}{member}"), fault)
    }

    fn optional(self, member: &'static str) -> Result<Option<&'d str>, MemberFault> {
        let value = self.jwk.get(member);
        value.map(|value| value.as_str().ok_or((member, Fault::Want("a string")))).transpose()
    }

    fn required(self, member: &'static str) -> Result<&'d str, MemberFault> {
        self.optional(member)?.ok_or((member, Fault::Absent))
    }

    fn bytes(self, member: &'static str) -> Result<Zeroizing<Vec<u8>>, MemberFault> {
        base64url::decode(self.required(member)?.as_bytes())
            .map(Zeroizing::new)
            .ok_or((member, Fault::Want("base64url without padding")))
    }
}
