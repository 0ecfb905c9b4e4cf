//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use zeroize::Zeroizing;

use crate::alg::{Algorithm, AlgorithmSet, Curve};
use crate::base64url;
use crate::json::{Document, Value};
use crate::key::Key;
use crate::loaded::{Fault, LoadError, Loaded, warn_short_secret};

/// What to do with a key of a set that is at fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faulty {
    /// It is an error: whoever wrote the file is there to mend it.
    Refuse,
    /// It is left out with a warning, as RFC 7517 section 5 wants of a set that others publish.
    LeaveOut,
}

/// Reads a JWK Set, or a single JWK. `kid` names a single JWK that has none.
pub(crate) fn load(text: &[u8], kid: Option<&str>, faulty: Faulty) -> Result<Loaded, LoadError> {
    let document = Document::parse(text.to_vec()).map_err(|e| LoadError::json(text, &e))?;
    let document = Zeroizing::new(document);
    let root = document.root();
    let mut loaded = Loaded::default();
    if let Some(keys) = root.get("keys") {
        let items = keys.items().ok_or_else(|| LoadError::new("keys", Fault::Want("an array")))?;
        if kid.is_some() {
            return Err(LoadError::new("keys", Fault::KidOfSet));
        }
        for (i, item) in items.enumerate() {
            match one(item, &format!("keys[{i}]"), None, &mut loaded) {
                Err(error) if faulty == Faulty::LeaveOut => {
                    loaded.warnings.push(format!("{error}; the key is not used"));
                }
                read => read?,
            }
        }
    } else if root.get("kty").is_some() {
        one(root, "", kid, &mut loaded)?;
    } else {
        return Err(LoadError::new("", Fault::NeitherSetNorKey));
    }
    Ok(loaded)
}

/// Reads one JWK into `loaded`, as a key or as the warning why it is not used.
fn one(
    jwk: Value<'_>,
    place: &str,
    given_kid: Option<&str>,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let members = Members { jwk, place };
    let kid = members.optional("kid")?.or(given_kid);
    let label = kid.map_or_else(|| place.to_owned(), |kid| format!("{place} (kid {kid:?})"));
    if let Some(reason) = not_for_verifying(&members)? {
        loaded.warnings.push(format!("{label}: {reason}; the key is not used"));
        return Ok(());
    }
    let algorithms = match members.optional("alg")? {
        None => AlgorithmSet::ALL,
        Some(name) => match Algorithm::from_name(name) {
            Some(algorithm) => [algorithm].into_iter().collect(),
            None => {
                let reason = format!("alg {name:?} is no signature algorithm known here");
                loaded.warnings.push(format!("{label}: {reason}; the key is not used"));
                return Ok(());
            }
        },
    };
    let key = material(&members, algorithms, &label, loaded)?.with_kid(kid);
    loaded.push(key, place)
}

fn material(
    members: &Members<'_>,
    algorithms: AlgorithmSet,
    label: &str,
    loaded: &mut Loaded,
) -> Result<Key, LoadError> {
    let kty = members.required("kty")?;
    if kty != "oct" && members.jwk.get("d").is_some() {
        let warning = format!(
            "{label}: holds a private key (member d), which has no place here: keep its public members only"
        );
        loaded.warnings.push(warning);
    }
    let key = match kty {
        "oct" => {
            let secret = members.bytes("k")?;
            warn_short_secret(label, &secret, algorithms, &mut loaded.warnings);
            Key::hmac(&secret, algorithms).map_err(|e| members.fault("k", Fault::Key(e)))
        }
        "RSA" => Key::rsa(&members.bytes("n")?, &members.bytes("e")?, algorithms)
            .map_err(|e| members.fault("n", Fault::Key(e))),
        "EC" => {
            let curve = match members.required("crv")? {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                "P-521" => Curve::P521,
                other => return Err(members.fault("crv", Fault::Unknown(other.to_owned()))),
            };
            Key::ec(curve, &members.bytes("x")?, &members.bytes("y")?, algorithms)
                .map_err(|e| members.fault("x", Fault::Key(e)))
        }
        "OKP" => match members.required("crv")? {
            "Ed25519" => Key::ed25519(&members.bytes("x")?, algorithms)
                .map_err(|e| members.fault("x", Fault::Key(e))),
            other => Err(members.fault("crv", Fault::Unknown(other.to_owned()))),
        },
        other => Err(members.fault("kty", Fault::Unknown(other.to_owned()))),
    };
    // An algorithm at odds with the key is a fault of `alg`, whichever member was read last.
    key.map_err(|error| match error.fault {
        Fault::Key(crate::key::KeyError::Mismatch { .. }) => members.fault("alg", error.fault),
        _ => error,
    })
}

/// Why a key must not verify signatures, by `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3).
fn not_for_verifying(members: &Members<'_>) -> Result<Option<String>, LoadError> {
    if let Some(purpose) = members.optional("use")?
        && purpose != "sig"
    {
        return Ok(Some(format!("use is {purpose:?}, not \"sig\"")));
    }
    let Some(ops) = members.jwk.get("key_ops") else { return Ok(None) };
    let mut ops =
        ops.items().ok_or_else(|| members.fault("key_ops", Fault::Want("an array of strings")))?;
    let verifies = ops.any(|op| op.as_str() == Some("verify"));
    Ok((!verifies).then(|| "key_ops holds no \"verify\"".to_owned()))
}

/// The members of a JWK, with the place that errors are to name.
struct Members<'d> {
    jwk: Value<'d>,
    place: &'d str,
}

impl<'d> Members<'d> {
    fn fault(&self, member: &str, fault: Fault) -> LoadError {
        let dot = if self.place.is_empty() { "" } else { "." };
        LoadError::new(format!("{}{dot}{member}", self.place), fault)
    }

    fn optional(&self, member: &str) -> Result<Option<&'d str>, LoadError> {
        self.jwk
            .get(member)
            .map(|value| value.as_str().ok_or_else(|| self.fault(member, Fault::Want("a string"))))
            .transpose()
    }

    fn required(&self, member: &str) -> Result<&'d str, LoadError> {
        self.optional(member)?.ok_or_else(|| self.fault(member, Fault::Absent))
    }

    fn bytes(&self, member: &str) -> Result<Zeroizing<Vec<u8>>, LoadError> {
        base64url::decode(self.required(member)?.as_bytes())
            .map(Zeroizing::new)
            .ok_or_else(|| self.fault(member, Fault::Want("base64url without padding")))
    }
}
