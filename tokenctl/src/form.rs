//! What is wrong with the form of a token: each fault a sentence.

use token::json::Value;
use token::{MAX_TOKEN_LEN, base64url};

use crate::sections::{Section, Sections};

/// The longest header that the core reads.
const MAX_HEADER_LEN: usize = 8 * 1024;

/// What is wrong with the form of `token`, which `sections` are taken from.
pub(crate) fn faults(token: &str, sections: &Sections) -> Vec<String> {
    let mut faults = Vec::new();
    if token.len() > MAX_TOKEN_LEN {
        faults.push(format!("It is longer than {MAX_TOKEN_LEN} bytes."));
    }
    faults.extend(compact_form(token));
    faults.extend(not_an_object(&sections.header, "header"));
    if sections.header.json.is_ok() {
        faults.extend(header_faults(&sections.header));
    }
    faults.extend(not_an_object(&sections.payload, "payload"));
    faults.extend(claim_faults(&sections.payload));
    faults
}

fn header_faults(header: &Section) -> Vec<String> {
    let mut faults = wrong_types(header, &["alg", "kid", "typ"], "a string", is_string);
    if header.get("alg").is_none() {
        faults.push("The header has no alg.".to_owned());
    }
    if header.get("crit").is_some() {
        faults.push("crit asks for extensions, and none is supported here.".to_owned());
    }
    if header.get("b64").is_some_and(|value| value.as_bool() != Some(true)) {
        faults.push("b64 must be true: payloads that are not encoded are refused.".to_owned());
    }
    faults
}

fn claim_faults(claims: &Section) -> Vec<String> {
    let is_audience = |value: Value<'_>| {
        is_string(value) || value.items().is_some_and(|mut items| items.all(is_string))
    };
    let is_number = |value: Value<'_>| value.as_number().is_some();
    [
        wrong_types(claims, &["iss", "sub", "jti"], "a string", is_string),
        wrong_types(claims, &["aud"], "a string or an array of strings", is_audience),
        wrong_types(claims, &["exp", "nbf", "iat"], "a number, in seconds", is_number),
    ]
    .concat()
}

fn is_string(value: Value<'_>) -> bool {
    value.as_str().is_some()
}

/// Why a section is not a JSON object. Faults of its base64url are found elsewhere.
fn not_an_object(section: &Section, name: &str) -> Option<String> {
    match &section.json {
        Ok(document) if document.root().is_object() => None,
        Ok(_) => Some(format!("The {name} is JSON, but not an object.")),
        Err(why) if why.is_empty() => None,
        Err(why) => Some(format!("The {name} is not strict JSON: {why}.")),
    }
}

/// A sentence for each of the members `names` that has another type than `wanted`.
fn wrong_types(
    section: &Section,
    names: &[&str],
    wanted: &str,
    is_right: impl Fn(Value<'_>) -> bool,
) -> Vec<String> {
    let wrong = names.iter().filter(|name| section.get(name).is_some_and(|value| !is_right(value)));
    wrong.map(|name| format!("{name} must be {wanted}.")).collect()
}

/// What is wrong with the number of the sections and their base64url.
fn compact_form(token: &str) -> Vec<String> {
    if token.starts_with('{') {
        return vec!["It is JSON; the compact form is wanted: header.payload.signature.".into()];
    }
    if token.find('.').is_some_and(|header| header > MAX_HEADER_LEN) {
        return vec![format!("The header is longer than {MAX_HEADER_LEN} characters.")];
    }
    let sections: Vec<&str> = token.split('.').collect();
    let names = ["header", "payload", "signature"];
    match sections.len() {
        3 => names
            .into_iter()
            .zip(sections)
            .filter_map(|(name, section)| {
                let fault = match (name, section) {
                    ("signature", "") => "is empty: an unsecured token is never accepted",
                    (_, "") => "is empty",
                    _ => not_base64url(section)?,
                };
                Some(format!("The {name} {fault}."))
            })
            .collect(),
        5 => vec![
            "It has five sections: an encrypted token (JWE); only signed ones are read.".into(),
        ],
        1 => vec!["It is no token: header, payload and signature are separated by dots.".into()],
        many => vec![format!(
            "It has {many} sections; a token has three: header, payload and signature."
        )],
    }
}

fn not_base64url(section: &str) -> Option<&'static str> {
    if base64url::decode(section.as_bytes()).is_some() {
        return None;
    }
    let has = |characters: &[char]| section.contains(characters);
    Some(match () {
        () if section.contains(char::is_whitespace) => "holds white space or a line break",
        () if has(&['+', '/']) => "is base64; base64url has - and _ where that has + and /",
        () if has(&['=']) => "is padded with =; tokens have no padding",
        () if !section
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) =>
        {
            "holds a character that is not base64url"
        }
        () => "is cut off or changed: its last character cannot be the last one in base64url",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(token: &str) -> Vec<String> {
        super::faults(token, &Sections::new(token))
    }

    fn of(header: &str, payload: &str) -> String {
        let token = format!("{}.{}.AAAA", base64url::encode(header), base64url::encode(payload));
        faults(&token).join(" ")
    }

    #[test]
    fn the_form_is_explained() {
        for (token, part) in [
            ("hello", "is no token"),
            ("a.b", "has 2 sections"),
            ("a.b.c.d.e", "JWE"),
            ("{\"payload\":\"\"}", "compact form"),
            ("e30.e30.", "signature is empty"),
            (".e30.AAAA", "header is empty"),
            ("e30=.e30.AAAA", "header is padded"),
            ("e30.e3+0.AAAA", "payload is base64;"),
            ("e30.e30.AA\nAA", "signature holds white space"),
            ("e30.e30.AA*A", "signature holds a character"),
            ("e30.e30.AAA_B", "signature is cut off"),
        ] {
            let got = faults(token).join(" ");
            assert!(got.contains(part), "{token}: {got}");
        }
    }

    #[test]
    fn members_are_explained() {
        let good = r#"{"alg":"HS256"}"#;
        assert_eq!(of(good, r#"{"aud":["a"],"exp":1}"#), "");
        for (header, payload, part) in [
            (r"{}", "{}", "header has no alg"),
            (r"[]", "{}", "header is JSON, but not an object"),
            (r#"{"alg":1}"#, "{}", "alg must be a string"),
            (r#"{"alg":"HS256","crit":["exp"]}"#, "{}", "crit asks"),
            (r#"{"alg":"HS256","b64":false}"#, "{}", "b64 must be true"),
            (good, r#"{"a":1,"a":2}"#, "stands twice"),
            (good, r"{'a':1}", "payload is not strict JSON"),
            (good, r#"{"exp":"1"}"#, "exp must be a number"),
            (good, r#"{"aud":["a",1]}"#, "aud must be a string or an array of strings"),
            (good, r#"{"sub":1}"#, "sub must be a string"),
            (good, r#""x""#, "payload is JSON, but not an object"),
        ] {
            let got = of(header, payload);
            assert!(got.contains(part), "{header} {payload}: {got}");
        }
    }
}
