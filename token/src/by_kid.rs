//! PEM by kid, as Firebase and other endpoints named "x509" publish their keys:
//! `{"KID": "-----BEGIN CERTIFICATE-----\n..."}`.

use crate::json::Value;
use crate::loaded::{Fault, LoadError, Loaded, Quoted};
use crate::pem;
use crate::published::{MAX_PUBLISHED_PEM, Origin};

/// Whether some member of an object is PEM.
pub(crate) fn is_by_kid(root: Value<'_>) -> bool {
    root.members().is_some_and(|mut members| members.any(|(_, value)| pem_text(value).is_some()))
}

fn pem_text(value: Value<'_>) -> Option<&[u8]> {
    let text = value.as_str()?.trim_ascii_start().as_bytes();
    text.starts_with(b"-----BEGIN ").then_some(text)
}

/// Reads the keys. One that cannot be used is left out with a warning, as in a JWK Set.
pub(crate) fn load(root: Value<'_>, origin: Origin) -> Result<Loaded, LoadError> {
    let mut budget = match origin {
        Origin::File => usize::MAX,
        Origin::Published => MAX_PUBLISHED_PEM,
    };
    let mut loaded = Loaded::default();
    for (kid, value) in root.members().into_iter().flatten() {
        let unused = |why: &str| format!("kid {}: {why}; the key is not used", Quoted(kid));
        let Some(text) = pem_text(value) else {
            loaded.warn(|| unused("is no certificate or public key in PEM"));
            continue;
        };
        let Some(left) = budget.checked_sub(1) else {
            loaded.warn(|| unused(&format!("it comes after the first {MAX_PUBLISHED_PEM}")));
            continue;
        };
        budget = left;
        match only_key(text) {
            Err(fault) => loaded.warn(|| unused(&fault.to_string())),
            Ok((key, identity)) => loaded
                .push(
                    (key.with_kid(Some(kid)), identity),
                    format_args!("kid {}", Quoted(kid)),
                    origin,
                )
                .map_err(|fault| LoadError::new("", fault))?,
        }
    }
    Ok(loaded)
}

fn only_key(text: &[u8]) -> Result<(crate::key::Key, crate::identity::Identity), Fault> {
    // Of a chain it would be unclear which certificate is meant, and reading it takes time.
    if pem::begun(text).nth(1).is_some() {
        return Err(Fault::Pem("holds several PEM blocks".to_owned()));
    }
    match pem::blocks(text)?.as_slice() {
        [block] => pem::key(block),
        _ => Err(Fault::Pem("holds no PEM block".to_owned())),
    }
}
