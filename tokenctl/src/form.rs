//! Hints on the form of a token that go beyond the core's sentence: where to look, and what to change.

use token::base64url;

use crate::sections::{Section, Sections};

/// What is wrong with the encoding of `token`, which `sections` are taken from: each fault a sentence.
pub(crate) fn hints(token: &str, sections: &Sections) -> Vec<String> {
    let mut hints = compact_form(token);
    hints.extend(not_an_object(&sections.header, "header"));
    hints.extend(not_an_object(&sections.payload, "payload"));
    hints
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

/// What is wrong with the number of the sections and their base64url.
fn compact_form(token: &str) -> Vec<String> {
    if token.starts_with('{') {
        return vec!["It is JSON; the compact form is wanted: header.payload.signature.".into()];
    }
    let sections: Vec<&str> = token.split('.').collect();
    match sections.len() {
        3 => ["header", "payload", "signature"]
            .into_iter()
            .zip(sections)
            .filter_map(|(name, section)| Some(format!("The {name} {}.", not_base64url(section)?)))
            .collect(),
        5 => vec!["It is an encrypted token (JWE), which --decryption-key decrypts.".into()],
        _ => vec!["Header, payload and signature are separated by dots.".into()],
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
        () if has(&['=']) => "is padded with =; tokens have no padding (but see --padding)",
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

    fn hints(token: &str) -> Vec<String> {
        super::hints(token, &Sections::new(token))
    }

    fn of(header: &str, payload: &str) -> String {
        let token = format!("{}.{}.AAAA", base64url::encode(header), base64url::encode(payload));
        hints(&token).join(" ")
    }

    #[test]
    fn the_form_is_explained() {
        for (token, part) in [
            ("hello", "separated by dots"),
            ("a.b.c.d.e", "which --decryption-key decrypts"),
            ("{\"payload\":\"\"}", "compact form"),
            ("e30=.e30.AAAA", "header is padded"),
            ("e30.e3+0.AAAA", "payload is base64;"),
            ("e30.e30.AA\nAA", "signature holds white space"),
            ("e30.e30.AA*A", "signature holds a character"),
            ("e30.e30.AAA_B", "signature is cut off"),
        ] {
            let got = hints(token).join(" ");
            assert!(got.contains(part), "{token}: {got}");
        }
        assert!(hints("e30.e30.AAAA").is_empty());
    }

    #[test]
    fn what_is_no_json_object_is_explained() {
        let good = r#"{"alg":"HS256"}"#;
        assert_eq!(of(good, r#"{"aud":["a"],"exp":1}"#), "");
        for (header, payload, part) in [
            (r"[]", "{}", "header is JSON, but not an object"),
            (good, r#"{"a":1,"a":2}"#, "stands twice"),
            (good, r"{'a':1}", "payload is not strict JSON"),
            (good, r#""x""#, "payload is JSON, but not an object"),
        ] {
            let got = of(header, payload);
            assert!(got.contains(part), "{header} {payload}: {got}");
        }
    }
}
