//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037 section 2, RFC 9964
//! section 3).

pub(crate) mod members;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::alg::{Algorithm, AlgorithmSet, Curve};
use crate::by_kid;
use crate::disclosed::public_form;
use crate::identity::Identity;
use crate::json::{Document, Value};
use crate::key::{Key, KeyError, Thumbprint};
use crate::loaded::{Fault, LoadError, Loaded, Quoted, shortened};
use crate::pem;
use crate::published::{CERTIFICATE_COST, MAX_PUBLISHED_KEYS, Origin, RSA_COST};
use members::{JwkMembers, MemberFault, Position, member_bytes, private_member};

/// How many names and values a published set may have: 32 for each key that is read.
const MAX_PUBLISHED_NODES: usize = 32 * MAX_PUBLISHED_KEYS;

/// Reads a JWK Set, a single JWK, or PEM by kid. `kid` is used for a single JWK that has none.
pub(crate) fn load(text: &[u8], kid: Option<&str>, origin: Origin) -> Result<Loaded, LoadError> {
    let max_nodes = match origin {
        Origin::File => usize::MAX,
        Origin::Published => MAX_PUBLISHED_NODES,
    };
    let document = Document::parse_bounded(text.to_vec(), max_nodes);
    let document = Zeroizing::new(document.map_err(|e| LoadError::json(text, &e))?);
    let root = document.root();
    let mut loaded = Loaded::default();
    let is_jwk = root.get("keys").or_else(|| root.get("kty")).is_some();
    if !is_jwk && by_kid::is_by_kid(root) {
        match kid {
            None => return by_kid::load(root, origin),
            Some(_) => return Err(LoadError::new("", Fault::KidOfSet)),
        }
    }
    if let Some(keys) = root.get("keys") {
        let items = keys.items().ok_or_else(|| LoadError::new("keys", Fault::Want("an array")))?;
        if kid.is_some() {
            return Err(LoadError::new("keys", Fault::KidOfSet));
        }
        // Only keys that are parsed count, as they take time: not those that are skipped before.
        let mut budget = match origin {
            Origin::File => usize::MAX,
            Origin::Published => MAX_PUBLISHED_KEYS,
        };
        for (i, item) in items.enumerate() {
            let members = JwkMembers { jwk: item, place: Position::InSet(i) };
            match one(members, None, origin, &mut budget, &mut loaded) {
                Err(error) if origin == Origin::Published || !is_mistake(&error) => {
                    loaded.warn(|| format!("{}; the key is not used", members.error(error)));
                }
                read => read.map_err(|error| members.error(error))?,
            }
        }
    } else if root.get("kty").is_some() {
        let members = JwkMembers { jwk: root, place: Position::Alone };
        let read = one(members, kid, origin, &mut { RSA_COST + CERTIFICATE_COST }, &mut loaded);
        read.map_err(|error| members.error(error))?;
    } else {
        return Err(LoadError::new("", Fault::NeitherSetNorKey));
    }
    Ok(loaded)
}

/// Whether a fault of one key makes a whole file refused: with it, the file does not mean what it says.
fn is_mistake((_, fault): &MemberFault) -> bool {
    matches!(fault, Fault::DuplicateKid(_) | Fault::PublicSecret(_))
}

/// Reads one JWK and adds it to `loaded`: as a key, or as a warning why it is not used.
fn one(
    members: JwkMembers<'_>,
    given_kid: Option<&str>,
    origin: Origin,
    budget: &mut usize,
    loaded: &mut Loaded,
) -> Result<(), MemberFault> {
    let kid = members.kid()?.or(given_kid);
    let label = Label { place: members.place, kid };
    let unused = |why: &str| format!("{label}: {why}; the key is not used");
    if let Some(purpose) = members.other_use()? {
        loaded.warn(|| unused(&format!("use is {}, not \"sig\" or \"jwt-svid\"", Quoted(purpose))));
        return Ok(());
    }
    if !members.may("verify")? {
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
    let of_key = if members.required("kty")? == "RSA" { RSA_COST } else { 1 };
    let cost = of_key + if members.get("x5c").is_some() { CERTIFICATE_COST } else { 0 };
    let Some(left) = budget.checked_sub(cost) else {
        loaded.warn(|| unused(&format!("it comes after the first {MAX_PUBLISHED_KEYS}")));
        return Ok(());
    };
    *budget = left;
    let (key, identity) = material(members, algorithms, label, loaded)?;
    let thumbprints = thumbprints(members, identity, label, loaded);
    let key = key.with_kid(kid).with_thumbprints(thumbprints);
    loaded.push((key, identity), members.place, origin).map_err(|fault| ("", fault))
}

fn material(
    members: JwkMembers<'_>,
    algorithms: AlgorithmSet,
    label: Label<'_>,
    loaded: &mut Loaded,
) -> Result<(Key, Identity), MemberFault> {
    let kty = members.required("kty")?;
    let private = private_member(kty);
    if kty != "oct" && members.get(private).is_some() {
        loaded.warn(|| {
            format!(
                "{label}: holds a private key (member {private}), which should not be in this file: \
                 keep only its public members"
            )
        });
    }
    let of = |member| move |error| (member, Fault::Key(error));
    let unknown = |member, value| Err((member, Fault::Unknown(shortened(value))));
    let read = match kty {
        "oct" => {
            let secret = members.bytes("k")?;
            if let Some(form) = public_form(&secret) {
                return Err(("k", Fault::PublicSecret(form)));
            }
            loaded.warn_short_secret(label, &secret, algorithms);
            let key = Key::hmac(&secret, algorithms).map_err(of("k"));
            key.map(|key| (key, Identity::of("oct", &[&secret])))
        }
        "RSA" => {
            let (n, e) = (members.bytes("n")?, members.bytes("e")?);
            let key = Key::rsa(&n, &e, algorithms).map_err(|error| {
                let member = if error == KeyError::RsaExponent { "e" } else { "n" };
                (member, Fault::Key(error))
            });
            key.map(|key| (key, Identity::rsa(&n, &e)))
        }
        "EC" => {
            let name = members.required("crv")?;
            let Some(curve) = Curve::from_name(name) else { return unknown("crv", name) };
            let (x, y) = (members.coordinate("x", curve)?, members.coordinate("y", curve)?);
            let key = Key::ec(curve, &x, &y, algorithms).map_err(of("x"));
            key.map(|key| (key, Identity::of(curve.name(), &[&[&[4], &x[..], &y].concat()])))
        }
        "OKP" => match members.required("crv")? {
            "Ed25519" => {
                let x = members.bytes("x")?;
                let key = Key::ed25519(&x, algorithms).map_err(of("x"));
                key.map(|key| (key, Identity::of("Ed25519", &[&x])))
            }
            other => return unknown("crv", other),
        },
        "AKP" => {
            // `alg` alone says which algorithm the key is for; an unknown one does not come here.
            let algorithm = members.optional("alg")?.and_then(Algorithm::from_name);
            let algorithm = algorithm.ok_or(("alg", Fault::Absent))?;
            let public = members.bytes("pub")?;
            let key = Key::ml_dsa(&public, algorithm).map_err(of("pub"));
            key.map(|key| (key, Identity::of(algorithm.name(), &[&public])))
        }
        other => return unknown("kty", other),
    };
    // If the algorithm does not fit the key, `alg` is at fault, whichever member was read last.
    read.map_err(|(member, fault)| match fault {
        Fault::Key(KeyError::Mismatch { .. }) => ("alg", fault),
        _ => (member, fault),
    })
}

/// The thumbprints of the key's certificate (RFC 7517 sections 4.8 and 4.9): its own members, else
/// computed from the first certificate of `x5c`. No verdict rests on these members, so a fault in them
/// is only told.
fn thumbprints(
    members: JwkMembers<'_>,
    identity: Identity,
    label: Label<'_>,
    loaded: &mut Loaded,
) -> Vec<Thumbprint> {
    let mut own = |name, size| {
        let told = members.get(name).filter(|told| told.as_str() != Some(""))?;
        let read = told.as_str().and_then(|text| member_bytes(text.as_bytes()));
        let read = read.filter(|bytes| bytes.len() == size);
        if read.is_none() {
            loaded.warn(|| {
                format!("{label}: {name} is not base64url of {size} bytes; it is ignored")
            });
        }
        read
    };
    let sha256 =
        own("x5t#S256", 32).and_then(|it| Some(Thumbprint::Sha256(it.as_slice().try_into().ok()?)));
    let sha1 = own("x5t", 20).and_then(|it| Some(Thumbprint::Sha1(it.as_slice().try_into().ok()?)));
    let mut known: Vec<_> = sha256.into_iter().chain(sha1).collect();
    let Some(chain) = members.get("x5c").filter(|_| known.len() < 2) else { return known };
    let first = chain.items().map(|mut chain| chain.next());
    if let Some(None) = first {
        return known;
    }
    let first = first.flatten().and_then(Value::as_str);
    let der = first.and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let certified = pem::identity_in(&der);
    if certified != Some(identity) {
        let not = if certified.is_some() { "that of this key" } else { "a certificate known here" };
        loaded
            .warn(|| format!("{label}: the first certificate of x5c is not {not}; x5c is ignored"));
        return known;
    }
    let has = |like: &Thumbprint, known: &[Thumbprint]| {
        let kind = std::mem::discriminant(like);
        known.iter().any(|one| std::mem::discriminant(one) == kind)
    };
    for computed in Thumbprint::of_certificate(&der) {
        if !has(&computed, &known) {
            known.push(computed);
        }
    }
    known
}

/// How a warning names a key.
#[derive(Clone, Copy)]
struct Label<'d> {
    place: Position,
    kid: Option<&'d str>,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place, self.kid) {
            (Position::Alone, None) => f.write_str("the key"),
            (place, None) => place.fmt(f),
            (Position::Alone, Some(kid)) => write!(f, "kid {}", Quoted(kid)),
            (place, Some(kid)) => write!(f, "{place} (kid {})", Quoted(kid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{base64url, load_keys};

    const RSA: &str = include_str!("../../tests/keys/rsa2048.jwk.json");
    const RSA_CERTIFICATE: &str = include_str!("../../tests/keys/rsa2048.crt.pem");
    const P256_CERTIFICATE: &str = include_str!("../../tests/keys/p256.crt.pem");

    // By openssl, of RSA_CERTIFICATE.
    const SHA1: &str = "oDfa5RopQjeqSgS9tla1AqGl-AY";
    const SHA256: &str = "UmEoOSNEJWh5emfaLnT3gosnGpIgl1LC0XHNuxZnFjs";

    #[test]
    fn pem_beside_the_members_of_a_jwk_or_a_set_makes_no_keys_by_kid_of_it() {
        let mut jwk: Json = serde_json::from_str(RSA).unwrap();
        jwk["kid"] = json!("own");
        jwk["pem"] = json!(RSA_CERTIFICATE);
        let set = json!({ "keys": [jwk], "note": RSA_CERTIFICATE });
        for text in [jwk.to_string(), set.to_string()] {
            let loaded = load_keys(text.as_bytes(), None).unwrap();
            let kids: Vec<_> = loaded.keys.iter().map(Key::kid).collect();
            assert_eq!(kids, [Some("own")], "{text}");
        }
    }

    fn x5c(pem: &str) -> String {
        pem.lines().filter(|line| !line.starts_with('-')).collect()
    }

    /// The thumbprints of the RSA key with these members too, as base64url, and the warnings.
    fn read(more: &Json) -> (Vec<String>, Vec<String>) {
        let mut jwk: Json = serde_json::from_str(RSA).unwrap();
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let loaded = load_keys(jwk.to_string().as_bytes(), None).unwrap();
        (told(&loaded), loaded.warnings)
    }

    fn told(loaded: &Loaded) -> Vec<String> {
        let [key] = loaded.keys.as_slice() else { panic!("{loaded:?}") };
        let texts = key.thumbprints().iter().map(|it| match it {
            Thumbprint::Sha1(hash) => base64url::encode(hash),
            Thumbprint::Sha256(hash) => base64url::encode(hash),
        });
        texts.collect()
    }

    #[test]
    fn thumbprints_are_the_own_members_or_those_of_the_certificate() {
        let chain = json!([x5c(RSA_CERTIFICATE), x5c(P256_CERTIFICATE)]);
        let padded = format!("{}=", SHA1.replace('-', "+").replace('_', "/"));
        let other = base64url::encode([7; 20]);
        for (more, want) in [
            (json!({}), &[][..]),
            (json!({ "x5t": null, "x5t#S256": "", "x5c": null }), &[]),
            (json!({ "x5c": [] }), &[]),
            (json!({ "x5t": SHA1 }), &[SHA1]),
            (json!({ "x5t": padded }), &[SHA1]),
            (json!({ "x5t#S256": SHA256 }), &[SHA256]),
            (json!({ "x5t#S256": format!("{SHA256}=") }), &[SHA256]),
            (json!({ "x5t": SHA1, "x5t#S256": SHA256 }), &[SHA256, SHA1]),
            (json!({ "x5c": chain }), &[SHA256, SHA1]),
            (json!({ "x5c": chain, "x5t": SHA1 }), &[SHA1, SHA256]),
            // What the set says of itself counts more than what is computed.
            (json!({ "x5c": chain, "x5t": other }), &[&other, SHA256]),
        ] {
            let (thumbprints, warnings) = read(&more);
            assert_eq!(thumbprints, want, "{more}");
            assert!(warnings.is_empty(), "{more}: {warnings:?}");
        }
    }

    #[test]
    fn a_thumbprint_that_cannot_be_right_is_ignored_and_told() {
        let (other, none) = ("x5c is not that of this key", "x5c is not a certificate known here");
        let url = |text: &str| text.replace('+', "-").replace('/', "_");
        for (more, warning) in [
            (json!({ "x5c": [x5c(P256_CERTIFICATE)] }), other),
            (json!({ "x5c": [url(&x5c(RSA_CERTIFICATE))] }), none),
            (json!({ "x5c": [RSA_CERTIFICATE] }), none),
            (json!({ "x5c": x5c(RSA_CERTIFICATE) }), none),
            (json!({ "x5c": [7] }), none),
            (json!({ "x5t": SHA256 }), "x5t is not base64url of 20 bytes"),
            (json!({ "x5t": 7 }), "x5t is not base64url"),
            (json!({ "x5t": format!("{SHA1} ") }), "x5t is not base64url"),
            (json!({ "x5t#S256": SHA1 }), "x5t#S256 is not base64url of 32 bytes"),
            (json!({ "x5t#S256": hex::encode([7; 32]) }), "x5t#S256 is not base64url"),
        ] {
            let (thumbprints, warnings) = read(&more);
            assert_eq!(thumbprints, [""; 0], "{more}");
            assert!(warnings.len() == 1 && warnings[0].contains(warning), "{more}: {warnings:?}");
        }
        // The own members stay if the certificate is another key's.
        let (thumbprints, _) = read(&json!({ "x5c": [x5c(P256_CERTIFICATE)], "x5t": SHA1 }));
        assert_eq!(thumbprints, [SHA1]);
    }

    #[test]
    fn a_certificate_gives_its_thumbprints_in_every_form() {
        let by_kid = json!({ "a": RSA_CERTIFICATE }).to_string();
        for text in [RSA_CERTIFICATE, &by_kid] {
            let loaded = load_keys(text.as_bytes(), None).unwrap();
            assert_eq!(told(&loaded), [SHA256, SHA1]);
        }
        let public = include_str!("../../tests/keys/rsa2048.pub.pem");
        assert_eq!(told(&load_keys(public.as_bytes(), None).unwrap()), [""; 0]);
    }
}
