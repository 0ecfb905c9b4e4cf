//! Private keys from JWKs (RFC 7517, RFC 7518 section 6, RFC 8037 section 2, RFC 9964 section 3).

use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use zeroize::Zeroizing;

use super::fault::KeyFileError;
use super::private::{Material, PrivateKey, ecdsa, ml_dsa};
use crate::alg::{Algorithm, AlgorithmSet, Curve};
use crate::disclosed::public_form;
use crate::identity::without_leading_zeros;
use crate::json::{Document, Value};
use crate::jwk::members::{JwkMembers, Position, private_member};
use crate::key::Key;
use crate::loaded::{Fault, LoadError, shortened};

/// The key of a secret or private JWK, with the kid and the algorithm that it names.
pub(super) type Named = (PrivateKey, Option<String>, Option<Algorithm>);

/// Reads a secret or private JWK, or the one of a JWK Set that has this kid.
pub(super) fn from_jwk(text: &[u8], kid: Option<&str>) -> Result<Named, KeyFileError> {
    let document = Document::parse_secret(text)
        .map_err(|error| KeyFileError::Json(LoadError::json(text, &error).to_string()))?;
    let jwk = match document.root().get("keys").and_then(Value::items) {
        Some(keys) => of_set(keys, kid)?,
        None => document.root(),
    };
    from_members(JwkMembers { jwk, place: Position::Alone })
}

/// The JWK of a set that has this kid, or the only one.
fn of_set<'d>(
    keys: impl Iterator<Item = Value<'d>>,
    kid: Option<&str>,
) -> Result<Value<'d>, KeyFileError> {
    let has_kid = |jwk: &Value<'_>| {
        let members = JwkMembers { jwk: *jwk, place: Position::Alone };
        kid.is_none() || members.kid().ok().flatten() == kid
    };
    let found: Vec<_> = keys.filter(has_kid).collect();
    match (found.as_slice(), kid) {
        ([one], _) => Ok(*one),
        ([], Some(kid)) => Err(KeyFileError::NotInSet(shortened(kid))),
        ([], None) => Err(KeyFileError::EmptySet),
        (several, Some(kid)) => Err(KeyFileError::TwiceInSet(shortened(kid), several.len())),
        (_, None) => Err(KeyFileError::Set),
    }
}

fn from_members(members: JwkMembers<'_>) -> Result<Named, KeyFileError> {
    let kty = members.optional("kty").ok().flatten().ok_or(KeyFileError::NoType)?;
    let private = private_member(kty);
    if kty != "oct" && members.get(private).is_none() {
        return Err(KeyFileError::PublicJwk(private));
    }
    if let Some(purpose) = members.other_use()? {
        return Err(KeyFileError::Use(shortened(purpose)));
    }
    if !members.may("sign")? {
        return Err(KeyFileError::Operations);
    }
    let algorithm = members
        .optional("alg")?
        .map(|name| Algorithm::from_name(name).ok_or_else(|| unknown("alg", name)));
    let algorithm = algorithm.transpose()?;
    let key = match kty {
        "oct" => secret(members),
        "RSA" => rsa(members),
        "EC" => ec(members),
        "OKP" => ed25519(members),
        "AKP" => of_ml_dsa(members, algorithm),
        other => Err(unknown("kty", other)),
    }?;
    Ok((key, members.kid()?.map(str::to_owned), algorithm))
}

fn unknown(member: &'static str, value: &str) -> KeyFileError {
    KeyFileError::Member(member, Fault::Unknown(shortened(value)))
}

fn secret(members: JwkMembers<'_>) -> Result<PrivateKey, KeyFileError> {
    let secret = members.bytes("k")?;
    if let Some(form) = public_form(&secret) {
        return Err(KeyFileError::PublicSecret(form));
    }
    Ok(PrivateKey::from_secret(&secret)?)
}

/// The key of an RSA JWK (RFC 7518 section 6.3).
pub(crate) fn rsa(members: JwkMembers<'_>) -> Result<PrivateKey, KeyFileError> {
    let (n, e) = (members.bytes("n")?, members.bytes("e")?);
    // First, since what the library says of such a key is less clear.
    Key::rsa(&n, &e, AlgorithmSet::ALL)?;
    let of_public = |bytes| Zeroizing::new(without_leading_zeros(bytes).to_vec());
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: of_public(&n), e: of_public(&e) },
        d: members.bytes("d")?,
        p: members.bytes("p")?,
        q: members.bytes("q")?,
        dP: members.bytes("dp")?,
        dQ: members.bytes("dq")?,
        qInv: members.bytes("qi")?,
    };
    let key = RsaKeyPair::from_components(&components).map_err(KeyFileError::UnusableJwk)?;
    Ok(Material::Rsa(Box::new(key)).into())
}

/// The key of a JWK of type EC (RFC 7518 section 6.2).
pub(crate) fn ec(members: JwkMembers<'_>) -> Result<PrivateKey, KeyFileError> {
    let curve = members.text("crv")?.and_then(Curve::from_name).ok_or(KeyFileError::Curve)?;
    let (x, y) = (members.coordinate("x", curve)?, members.coordinate("y", curve)?);
    let point = [&[4], &x[..], &y].concat();
    let d = members.bytes("d")?;
    let key = EcdsaKeyPair::from_private_key_and_public_key(ecdsa(curve), &d, &point);
    Ok(Material::Ec(curve, key.map_err(KeyFileError::UnusableJwk)?).into())
}

fn ed25519(members: JwkMembers<'_>) -> Result<PrivateKey, KeyFileError> {
    if members.text("crv")? != Some("Ed25519") {
        return Err(KeyFileError::NotEd25519);
    }
    let (d, x) = (members.bytes("d")?, members.bytes("x")?);
    let key = Ed25519KeyPair::from_seed_and_public_key(&d, &x);
    Ok(Material::Ed25519(key.map_err(KeyFileError::UnusableJwk)?).into())
}

fn of_ml_dsa(
    members: JwkMembers<'_>,
    algorithm: Option<Algorithm>,
) -> Result<PrivateKey, KeyFileError> {
    let algorithm = algorithm.ok_or(KeyFileError::Absent("alg"))?;
    let signing = ml_dsa(algorithm).ok_or_else(|| unknown("alg", algorithm.name()))?;
    let key = PqdsaKeyPair::from_seed(signing, &members.bytes("priv")?)
        .map_err(KeyFileError::UnusableJwk)?;
    if key.public_key().as_ref() != members.bytes("pub")?.as_slice() {
        return Err(KeyFileError::OtherHalf);
    }
    Ok(Material::MlDsa(algorithm, Box::new(key)).into())
}
