//! Why a token is refused, in sentences for the person who made it.

use token::json::{Document, Number, Value};
use token::{
    Algorithm, AlgorithmSet, Key, KeySet, MAX_TOKEN_LEN, Policy, Reject, Requirements, base64url,
};

use crate::keyring::Keys;
use crate::secret::Encoding;
use crate::time;

/// No time of today, but a usual one in milliseconds.
const MILLISECONDS: i64 = 100_000_000_000;

/// The longest header that the core reads.
const MAX_HEADER_LEN: usize = 8 * 1024;

/// A token taken apart as far as it goes.
pub(crate) struct Opened {
    pub(crate) header: Section,
    pub(crate) payload: Section,
}

/// A decoded section.
pub(crate) struct Section {
    /// Its text, where it is base64url and UTF-8.
    text: Option<String>,
    /// The strict JSON that it is, or why it is none.
    json: Result<Document, String>,
}

/// Appends the value, a line for each member and element. Numbers keep their digits.
fn write_indented(value: Value<'_>, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    let mut entries: Vec<(Option<&str>, Value<'_>)> = Vec::new();
    entries.extend(value.items().into_iter().flatten().map(|item| (None, item)));
    entries.extend(value.members().into_iter().flatten().map(|(name, value)| (Some(name), value)));
    if entries.is_empty() {
        return value.write_json(out);
    }
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    for (at, (name, inner)) in entries.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        line(depth + 1, out);
        if let Some(name) = name {
            out.push_str(&serde_json::Value::from(name).to_string());
            out.push_str(": ");
        }
        write_indented(inner, depth + 1, out);
    }
    line(depth, out);
    out.push(close);
}

impl Section {
    fn new(encoded: Option<&str>) -> Self {
        let encoded = encoded.filter(|encoded| !encoded.is_empty());
        let bytes = encoded.and_then(|encoded| base64url::decode(encoded.as_bytes()));
        let json = match &bytes {
            Some(bytes) => Document::parse(bytes.clone()).map_err(|error| error.to_string()),
            None => Err(String::new()),
        };
        Self { text: bytes.and_then(|bytes| String::from_utf8(bytes).ok()), json }
    }

    /// For the person: indented where it is JSON, otherwise as it is.
    pub(crate) fn shown(&self) -> Option<String> {
        let Ok(document) = &self.json else { return self.text.clone() };
        let mut out = String::new();
        write_indented(document.root(), 0, &mut out);
        Some(out)
    }

    fn get(&self, name: &str) -> Option<Value<'_>> {
        self.json.as_ref().ok()?.root().get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<Number<'_>> {
        self.get(name)?.as_number()
    }

    /// Why it is not a JSON object.
    fn fault(&self, name: &str) -> Option<String> {
        match &self.json {
            Ok(document) if document.root().is_object() => None,
            Ok(_) => Some(format!("The {name} is JSON, but no object.")),
            Err(why) if why.is_empty() => None,
            Err(why) => Some(format!("The {name} is not strict JSON: {why}.")),
        }
    }

    /// The members of these names that are not of the type that `fits` wants.
    fn misfits(&self, names: &[&str], want: &str, fits: impl Fn(Value<'_>) -> bool) -> Vec<String> {
        let misfits = names.iter().filter(|name| self.get(name).is_some_and(|value| !fits(value)));
        misfits.map(|name| format!("{name} must be {want}.")).collect()
    }
}

impl Opened {
    /// Takes a token apart.
    pub(crate) fn new(token: &str) -> Self {
        let mut sections = token.split('.');
        let mut next = || Section::new(sections.next());
        Self { header: next(), payload: next() }
    }

    /// A line for each of the token's times.
    pub(crate) fn times(&self, now: i64) -> String {
        let line = |name: &str| {
            let number = self.payload.number(name)?;
            let at = number.saturating_i64();
            let relative = match (name, at > now) {
                ("exp", false) => format!("expired {}", ago(at, now)),
                ("exp", true) => format!("expires {}", time::relative(at, now)),
                ("nbf", true) => format!("not valid yet, {}", time::relative(at, now)),
                _ => time::relative(at, now),
            };
            let instant = time::rfc3339(at).unwrap_or_else(|| number.to_string());
            let hint = if at > MILLISECONDS { ", milliseconds where seconds belong?" } else { "" };
            Some(format!("  {name}  {instant}  {relative}{hint}\n"))
        };
        ["iat", "nbf", "exp"].into_iter().filter_map(line).collect()
    }

    /// What is wrong with the token's form; each a sentence.
    pub(crate) fn faults(&self, token: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if token.len() > MAX_TOKEN_LEN {
            faults.push(format!("It is longer than {MAX_TOKEN_LEN} bytes."));
        }
        faults.extend(sections(token));
        faults.extend(self.header.fault("header"));
        if self.header.json.is_ok() {
            faults.extend(self.header_faults());
        }
        faults.extend(self.payload.fault("payload"));
        let claims = &self.payload;
        faults.extend(
            claims.misfits(&["iss", "sub", "jti"], "a string", |value| value.as_str().is_some()),
        );
        faults.extend(claims.misfits(&["aud"], "a string or an array of strings", |value| {
            let mut items = value.items().into_iter().flatten();
            value.as_str().is_some()
                || (value.items().is_some() && items.all(|item| item.as_str().is_some()))
        }));
        faults.extend(claims.misfits(&["exp", "nbf", "iat"], "a number, in seconds", |value| {
            value.as_number().is_some()
        }));
        faults
    }

    fn header_faults(&self) -> Vec<String> {
        let header = &self.header;
        let mut faults =
            header.misfits(&["alg", "kid", "typ"], "a string", |value| value.as_str().is_some());
        if header.get("alg").is_none() {
            faults.push("The header has no alg.".to_owned());
        }
        if header.get("crit").is_some() {
            faults.push("crit asks for extensions, and none is understood here.".to_owned());
        }
        if header.get("b64").is_some_and(|value| value.as_bool() != Some(true)) {
            faults.push("b64 must be true: payloads that are not encoded are refused.".to_owned());
        }
        faults
    }
}

/// What is wrong with the three sections and their base64url.
fn sections(token: &str) -> Vec<String> {
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
        5 => vec!["It has five sections: an encrypted token (JWE); signed ones are read.".into()],
        1 => vec!["It is no token: header, payload and signature are parted by dots.".into()],
        many => vec![format!("It has {many} sections; header, payload and signature are three.")],
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

/// The reason for a refusal; of a wrong form [`Opened::faults`] tells. Each line a sentence.
pub(crate) fn why(
    reason: Reject,
    token: &str,
    opened: &Opened,
    policy: &Policy,
    keys: &Keys,
    now: i64,
) -> Vec<String> {
    let (header, payload) = (&opened.header, &opened.payload);
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
        Reject::BadIssuer => {
            of(&|requirements| other_value("iss", payload.get("iss"), &requirements.issuers))
        }
        Reject::BadAudience => {
            of(&|requirements| other_value("aud", payload.get("aud"), &requirements.audiences))
        }
        Reject::BadType => {
            of(&|requirements| other_value("typ", header.get("typ"), &requirements.types))
        }
        Reject::BadLifetime => vec![bad_lifetime(payload, policy, now)],
        Reject::Missing | Reject::Malformed | Reject::Revoked | Reject::Denied | Reject::NoKeys => {
            Vec::new()
        }
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
    // The most usual mistake: one side decodes the secret, the other takes its text.
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
                "It does hold when the secret is decoded: --secret-encoding {name}, and \
                 encoding={name} in jwt_kids."
            ));
            return why;
        }
    }
    if holds(secret.trim_ascii()) {
        why.push("It does hold without the white space around the secret.".to_owned());
    } else if holds(&[secret.as_slice(), b"\n"].concat()) {
        why.push("It does hold with a line break at the end of the secret.".to_owned());
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

/// How long ago; `now` itself has expired too.
fn ago(at: i64, now: i64) -> String {
    if at == now { "just now".to_owned() } else { time::relative(at, now) }
}

fn names(algorithms: AlgorithmSet) -> String {
    let names: Vec<_> = algorithms.iter().map(Algorithm::name).collect();
    names.join(", ")
}

/// The values, quoted, and not more of them than a person would read.
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

    fn faults(token: &str) -> Vec<String> {
        Opened::new(token).faults(token)
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
            (r"[]", "{}", "header is JSON, but no object"),
            (r#"{"alg":1}"#, "{}", "alg must be a string"),
            (r#"{"alg":"HS256","crit":["exp"]}"#, "{}", "crit asks"),
            (r#"{"alg":"HS256","b64":false}"#, "{}", "b64 must be true"),
            (good, r#"{"a":1,"a":2}"#, "stands twice"),
            (good, r"{'a':1}", "payload is not strict JSON"),
            (good, r#"{"exp":"1"}"#, "exp must be a number"),
            (good, r#"{"aud":["a",1]}"#, "aud must be a string or an array of strings"),
            (good, r#"{"sub":1}"#, "sub must be a string"),
            (good, r#""x""#, "payload is JSON, but no object"),
        ] {
            let got = of(header, payload);
            assert!(got.contains(part), "{header} {payload}: {got}");
        }
    }

    #[test]
    fn lists_have_an_end() {
        let many: Vec<String> = (0..25).map(|i| i.to_string()).collect();
        assert!(list(many.iter().map(String::as_str)).ends_with("\"19\" and 5 more"));
        assert_eq!(list(["a\n"]), "\"a\\n\"");
    }
}
