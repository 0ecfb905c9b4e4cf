//! Why a token is refused, in sentences for the person who tests it.

use token::json::{Number, Value};
use token::jwe::KeyManagement;
use token::{Algorithm, AlgorithmSet, Key, KeySet, Policy, Reject, Requirements};

use crate::keyring::Keys;
use crate::secret::Encoding;
use crate::sections::{Section, Sections};
use crate::time;

/// Explains a refusal, a sentence for each line. For a wrong form see [`crate::form::hints`].
pub(crate) fn why(
    reason: Reject,
    token: &str,
    sections: &Sections,
    policy: &Policy,
    keys: &Keys,
    now: i64,
) -> Vec<String> {
    let (header, payload) = (&sections.header, &sections.payload);
    let moment = |name: &str| {
        let at = payload.number(name)?.saturating_i64();
        let instant = time::rfc3339(at).unwrap_or_else(|| at.to_string());
        Some(format!("{name} is {instant}, {}", time::relative(at, now)))
    };
    let leeway = match policy.leeway {
        0 => String::new(),
        seconds => format!("; the leeway is {}", time::span(seconds)),
    };
    let of = |tell: &dyn Fn(&Requirements) -> Vec<String>| {
        policy.requirements.iter().flat_map(tell).collect()
    };
    match reason {
        Reject::UnknownKey => unknown_key(header.text("kid").unwrap_or_default(), keys),
        Reject::BadAlgorithm => vec![bad_algorithm(header, policy, keys)],
        Reject::BadSignature => bad_signature(token, header, policy, keys, now),
        Reject::Expired => moment("exp").map(|at| format!("{at}{leeway}.")).into_iter().collect(),
        Reject::NotYetValid => {
            moment("nbf").map(|at| format!("{at}{leeway}.")).into_iter().collect()
        }
        Reject::BadIssuer => of(&|requirements| {
            let issuers: Vec<_> = requirements.issuers.into_iter().map(String::into).collect();
            other_value("iss", payload.get("iss"), &issuers)
        }),
        Reject::BadAudience => {
            of(&|requirements| other_value("aud", payload.get("aud"), &requirements.audiences))
        }
        Reject::BadType => {
            of(&|requirements| other_value("typ", header.get("typ"), &requirements.types))
        }
        Reject::BadLifetime => vec![bad_lifetime(payload, policy, now)],
        Reject::BadDecryption => vec![
            "It was not encrypted to a key given here, or changed after it was encrypted."
                .to_owned(),
        ],
        Reject::Missing
        | Reject::Malformed
        | Reject::Revoked
        | Reject::Denied
        | Reject::NoKeys
        | Reject::NoList
        | Reject::Suspended
        | Reject::BadStatus
        | Reject::BadAddress
        | Reject::NotCovered => Vec::new(),
    }
}

fn unknown_key(kid: &str, keys: &Keys) -> Vec<String> {
    let mut why = vec![match keys.known.len() {
        0 => "There is no key.".to_owned(),
        _ => format!("The token names kid {kid:?}; the keys are {}.", list(keys.kids())),
    }];
    let mut named = keys.known.iter().filter_map(|(known, _)| known.as_deref());
    if named.any(|known| known.trim().eq_ignore_ascii_case(kid.trim())) {
        why.push("A kid is compared byte for byte, with case and spaces.".to_owned());
    }
    why
}

fn bad_algorithm(header: &Section, policy: &Policy, keys: &Keys) -> String {
    let name = header.text("alg").unwrap_or_default();
    if let Some(management) = KeyManagement::from_name(name) {
        return format!("alg is {management}; no key given here decrypts with it.");
    }
    if header.get("enc").is_some() {
        let known: Vec<_> = KeyManagement::ALL.map(KeyManagement::name).into();
        return format!("alg {name:?} is not accepted here; {} are.", known.join(", "));
    }
    let Some(algorithm) = Algorithm::from_name(name) else {
        return match name {
            none if none.eq_ignore_ascii_case("none") => {
                format!("alg is {none:?}: an unsecured token is never accepted.")
            }
            _ => format!("alg {name:?} is not known here; {} are.", names(AlgorithmSet::ALL)),
        };
    };
    if let Some(accepted) = policy.algorithms.filter(|accepted| !accepted.contains(algorithm)) {
        return format!("alg is {algorithm}; accepted: {}.", names(accepted));
    }
    let kid = header.text("kid");
    let of_kid =
        |known: &Option<Box<str>>| kid.is_none() || known.is_none() || known.as_deref() == kid;
    let possible = keys.known.iter().filter(|(known, _)| of_kid(known));
    let verified = possible.fold(AlgorithmSet::default(), |all, (_, one)| all.union(*one));
    let verified = names(verified);
    match kid {
        Some(kid) => format!("alg is {algorithm}; the key {kid:?} is for {verified}."),
        None => format!("alg is {algorithm}; the keys are for {verified}."),
    }
}

fn bad_signature(
    token: &str,
    header: &Section,
    policy: &Policy,
    keys: &Keys,
    now: i64,
) -> Vec<String> {
    let mut why = vec![match header.text("kid") {
        Some(kid) if keys.known.iter().any(|(known, _)| known.as_deref() == Some(kid)) => {
            format!("It was not signed with key {kid:?}, or changed after it was signed.")
        }
        _ => "It was not signed with a key given here, or changed after it was signed.".to_owned(),
    }];
    let Some(secret) = &keys.secret else { return why };
    // The most common mistake: one side decodes the secret, the other uses its text.
    let holds = |bytes: &[u8]| {
        let key = Key::hmac(bytes, AlgorithmSet::ALL).ok();
        key.is_some_and(|key| {
            let keys = vec![std::sync::Arc::new(KeySet::new(vec![key]))];
            let policy = Policy { keys, algorithms: policy.algorithms, ..Policy::default() };
            policy.verify_jws(token.as_bytes(), now).is_ok()
        })
    };
    for (encoding, name) in
        [(Encoding::Base64, "base64"), (Encoding::Base64url, "base64url"), (Encoding::Hex, "hex")]
    {
        if encoding.decode(secret).is_ok_and(|bytes| holds(&bytes)) {
            why.push(format!(
                "The signature is right if the secret is decoded: --secret-encoding {name}, and \
                 encoding={name} in jwt_kids."
            ));
            return why;
        }
    }
    if holds(secret.trim_ascii()) {
        why.push("The signature is right without the white space around the secret.".to_owned());
    } else if holds(&[secret.as_slice(), b"\n"].concat()) {
        why.push("The signature is right with a line break at the end of the secret.".to_owned());
    }
    why
}

fn other_value(name: &str, value: Option<Value<'_>>, accepted: &[Box<str>]) -> Vec<String> {
    let wanted = list(accepted.iter().map(AsRef::as_ref));
    let Some(value) = value else {
        return vec![format!("It has no {name}; accepted: {wanted}.")];
    };
    let mut shown = String::new();
    value.write_json(&mut shown);
    let mut why = vec![format!("{name} is {shown}; accepted: {wanted}.")];
    let plain = |text: &str| text.trim().trim_end_matches('/').to_ascii_lowercase();
    if value.as_str().is_some_and(|text| accepted.iter().any(|one| plain(one) == plain(text))) {
        why.push("They are compared byte for byte, with case, spaces and slashes.".to_owned());
    }
    why
}

fn bad_lifetime(payload: &Section, policy: &Policy, now: i64) -> String {
    let seconds = |name| payload.number(name).map(Number::saturating_i64);
    let (Some(exp), Some(max)) =
        (seconds("exp"), policy.requirements.iter().find_map(|one| one.max_lifetime))
    else {
        return "It has no exp, so it would never expire.".to_owned();
    };
    let (from, since) = match seconds("iat") {
        Some(iat) => (iat, "iat"),
        None => (now, "now (it has no iat)"),
    };
    format!(
        "exp is {} after {since}; at most {} is accepted.",
        time::span(exp.saturating_sub(from)),
        time::span(max)
    )
}

fn names(algorithms: AlgorithmSet) -> String {
    let names: Vec<_> = algorithms.iter().map(Algorithm::name).collect();
    names.join(", ")
}

/// The values, quoted, and not more of them than a person reads.
fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let quoted: Vec<String> = values.into_iter().map(|value| format!("{value:?}")).collect();
    match quoted.get(..SHOWN) {
        Some(first) if quoted.len() > SHOWN => {
            format!("{} and {} more", first.join(", "), quoted.len() - SHOWN)
        }
        _ => quoted.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_an_end() {
        let many: Vec<String> = (0..25).map(|i| i.to_string()).collect();
        assert!(list(many.iter().map(String::as_str)).ends_with("\"19\" and 5 more"));
        assert_eq!(list(["a\n"]), "\"a\\n\"");
    }
}
