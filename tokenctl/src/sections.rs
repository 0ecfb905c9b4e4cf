//! A token taken apart, with nothing verified.

use token::base64url;
use token::json::{Document, Number, Value};

use crate::time;

/// A larger time in seconds is most likely one in milliseconds (this is the year 5138).
const MILLISECONDS: i64 = 100_000_000_000;

/// The sections of a token, decoded as far as possible.
pub(crate) struct Sections {
    pub(crate) header: Section,
    pub(crate) payload: Section,
}

/// A decoded section.
pub(crate) struct Section {
    /// The decoded text, if it is base64url and UTF-8.
    text: Option<String>,
    /// The parsed JSON, or why it is not strict JSON: an empty text if it is not base64url.
    pub(crate) json: Result<Document, String>,
}

impl Section {
    fn new(encoded: Option<&str>) -> Self {
        let encoded = encoded.filter(|encoded| !encoded.is_empty());
        // Padding is not accepted by default, but what is padded is shown all the same.
        let bare = encoded.map(|encoded| encoded.trim_end_matches('='));
        match bare.and_then(|encoded| base64url::decode(encoded.as_bytes())) {
            Some(bytes) => Self::of(bytes),
            None => Self { text: None, json: Err(String::new()) },
        }
    }

    /// A section whose text is known.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let json = Document::parse(bytes.clone()).map_err(|error| error.to_string());
        Self { text: String::from_utf8(bytes).ok(), json }
    }

    /// The text to print: indented if it is JSON, otherwise unchanged.
    pub(crate) fn shown(&self) -> Option<String> {
        let Ok(document) = &self.json else { return self.text.clone() };
        let mut out = String::new();
        write_indented(document.root(), 0, &mut out);
        Some(out)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value<'_>> {
        self.json.as_ref().ok()?.root().get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn number(&self, name: &str) -> Option<Number<'_>> {
        self.get(name)?.as_number()
    }
}

impl Sections {
    /// Takes a token apart. A section that is missing is empty.
    pub(crate) fn new(token: &str) -> Self {
        let sections: Vec<&str> = token.split('.').collect();
        // The second of an encrypted token is a key.
        let payload = sections.get(1).copied().filter(|_| sections.len() != 5);
        Self { header: Section::new(sections.first().copied()), payload: Section::new(payload) }
    }

    /// A line for each time in the payload.
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
}

/// Appends the value with a line for each member and element. Numbers keep their digits.
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

/// How long ago a token expired; in the second of `exp` it has expired already.
fn ago(at: i64, now: i64) -> String {
    if at == now { "just now".to_owned() } else { time::relative(at, now) }
}
