//! A parsed text and its values.

use std::fmt::{self, Write as _};
use std::num::NonZeroU32;

use zeroize::{Zeroize, Zeroizing};

use super::node::{MAX_TEXT, Node, Packing};
use super::tape;
use crate::number::{Number, Rounded};

/// A parsed JSON text.
#[derive(Clone)]
pub struct Document {
    /// The text as it was given, and after it the strings that had escapes, unescaped.
    text: Box<str>,
    /// All values in the order of the text, depth first. In an object each name precedes its value.
    nodes: Box<[u32]>,
    /// The length of the text as it was given, which decides how the nodes are packed.
    given: u32,
}

/// Why a text is not strict JSON, with line and column.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Bytes that are not UTF-8 (RFC 8259 section 8.1).
    #[error("not UTF-8 after byte {0}")]
    Utf8(usize),
    /// Longer than the offsets that are kept can address.
    #[error("text is larger than 512 MiB")]
    TooLarge,
    /// Not JSON, a repeated member name, or nested too deeply.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
}

impl Document {
    /// Parses one JSON text.
    pub fn parse(text: Vec<u8>) -> Result<Self, JsonError> {
        Self::parse_bounded(text, usize::MAX)
    }

    /// As [`Document::parse`], but more than `max_nodes` names and values are an error.
    pub(crate) fn parse_bounded(text: Vec<u8>, max_nodes: usize) -> Result<Self, JsonError> {
        let mut text =
            String::from_utf8(text).map_err(|e| JsonError::Utf8(e.utf8_error().valid_up_to()))?;
        let given = text_len(&text)?;
        let (unescaped, nodes) = tape::write(&text, max_nodes)?;
        text.push_str(&unescaped);
        Ok(Self { text: text.into(), nodes, given })
    }

    /// As [`Document::parse`], for a text that holds secrets: it is wiped, also if it is not JSON.
    /// What the parser unescapes is wiped only where it is kept, so a secret with escapes may leave
    /// copies; base64url needs none.
    pub(crate) fn parse_secret(text: &[u8]) -> Result<Zeroizing<Self>, JsonError> {
        let text = std::str::from_utf8(text).map_err(|e| JsonError::Utf8(e.valid_up_to()))?;
        let given = text_len(text)?;
        let (unescaped, nodes) = tape::write(text, usize::MAX)?;
        let unescaped = Zeroizing::new(unescaped);
        let text = [text, &unescaped].concat().into();
        Ok(Zeroizing::new(Self { text, nodes, given }))
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { document: self, at: 0 }
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        self.text.get(..self.given as usize).unwrap_or_default()
    }

    /// The value at an index from [`Value::index`].
    pub(crate) fn at(&self, index: NodeIndex) -> Value<'_> {
        Value { document: self, at: index.0.get() as usize }
    }

    /// The memory that it owns, in bytes; the allocator needs another `overhead` for each block.
    pub(crate) fn heap_bytes(&self, overhead: usize) -> usize {
        self.text.len() + size_of_val(&*self.nodes) + 2 * overhead
    }

    fn node(&self, at: usize) -> Node {
        Packing::of(self.given as usize).get(&self.nodes, at)
    }

    /// The index of the first node after the value at `at`.
    fn after(&self, at: usize) -> usize {
        match self.node(at) {
            Node::Array { end } | Node::Object { end } => end as usize,
            _ => at + 1,
        }
    }

    fn string(&self, at: usize) -> Option<&str> {
        match self.node(at) {
            Node::String(span) => Some(span.of(&self.text)),
            _ => None,
        }
    }
}

impl Zeroize for Document {
    /// Overwrites the text, which may contain secrets, and leaves the document empty.
    fn zeroize(&mut self) {
        self.text.zeroize();
        self.nodes = Box::default();
    }
}

impl fmt::Debug for Document {
    // Claims are personal data and key files have secrets: the content is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// The length of a text that is to be parsed.
fn text_len(text: &str) -> Result<u32, JsonError> {
    let len = u32::try_from(text.len()).ok();
    len.filter(|_| text.len() < MAX_TEXT).ok_or(JsonError::TooLarge)
}

/// One value of a [`Document`].
#[derive(Clone, Copy)]
pub struct Value<'d> {
    document: &'d Document,
    at: usize,
}

/// The index of a member's value in its [`Document`], which can be kept without borrowing the document.
/// Before it are the object and the name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeIndex(NonZeroU32);

impl<'d> Value<'d> {
    /// The index of a member's value for [`Document::at`].
    pub(crate) fn index(self) -> NodeIndex {
        // There are no more nodes than bytes of text, whose number fits into 32 bits.
        let at = u32::try_from(self.at).ok().and_then(NonZeroU32::new);
        NodeIndex(at.unwrap_or(NonZeroU32::MAX))
    }

    /// The string, if it is one.
    pub fn as_str(self) -> Option<&'d str> {
        self.document.string(self.at)
    }

    /// The number, if it is one.
    pub fn as_number(self) -> Option<Number<'d>> {
        match self.document.node(self.at) {
            Node::Number(span) => Some(Number::of_literal(span.of(&self.document.text))),
            _ => None,
        }
    }

    /// The number in the form in which it is compared with integers, if it is one.
    pub(crate) fn as_rounded(self) -> Option<Rounded> {
        self.as_number().map(Number::rounded)
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.document.node(self.at) {
            Node::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(self) -> bool {
        matches!(self.document.node(self.at), Node::Null)
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        matches!(self.document.node(self.at), Node::Object { .. })
    }

    /// The elements, if it is an array.
    pub fn items(self) -> Option<impl Iterator<Item = Value<'d>>> {
        let Node::Array { end } = self.document.node(self.at) else { return None };
        let (document, mut at) = (self.document, self.at + 1);
        Some(std::iter::from_fn(move || {
            let value = (at < end as usize).then_some(Value { document, at })?;
            at = document.after(at);
            Some(value)
        }))
    }

    /// The names and values in the order of the text, if it is an object.
    pub fn members(self) -> Option<impl Iterator<Item = (&'d str, Value<'d>)>> {
        let Node::Object { end } = self.document.node(self.at) else { return None };
        let (document, mut at) = (self.document, self.at + 1);
        Some(std::iter::from_fn(move || {
            let name = (at < end as usize).then(|| document.string(at))??;
            let value = Value { document, at: at + 1 };
            at = document.after(at + 1);
            Some((name, value))
        }))
    }

    /// The value of the member `name`, if it is an object that has one.
    pub fn get(self, name: &str) -> Option<Value<'d>> {
        let Node::Object { end } = self.document.node(self.at) else { return None };
        let (document, mut at) = (self.document, self.at + 1);
        while at < end as usize {
            if matches!(document.node(at), Node::String(member) if member.is(&document.text, name))
            {
                return Some(Value { document, at: at + 1 });
            }
            at = document.after(at + 1);
        }
        None
    }

    /// The value as text for variables and headers: a string without quotes, an array joined by commas,
    /// an object as compact JSON, a number as it is written.
    pub fn to_text(self) -> String {
        let mut out = String::new();
        self.write_text(&mut out);
        out
    }

    fn write_text(self, out: &mut String) {
        if let Some(text) = self.as_str() {
            out.push_str(text);
        } else if let Some(items) = self.items() {
            for (i, item) in items.enumerate() {
                if i > 0 {
                    out.push(',');
                }
                item.write_text(out);
            }
        } else {
            self.write_json(out);
        }
    }

    /// Appends the value as compact JSON with every control character escaped.
    pub fn write_json(self, out: &mut String) {
        match self.document.node(self.at) {
            Node::Null => out.push_str("null"),
            Node::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Node::Number(span) => out.push_str(span.of(&self.document.text)),
            Node::String(span) => write_text(span.of(&self.document.text), out),
            Node::Array { .. } => {
                out.push('[');
                for (i, item) in self.items().into_iter().flatten().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Node::Object { .. } => {
                out.push('{');
                for (i, (name, value)) in self.members().into_iter().flatten().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends a text as a JSON string, with every control character escaped.
pub(crate) fn write_text(text: &str, out: &mut String) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    // Without an early end the compiler looks at many bytes at once.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    let quoted = serde_json::Value::from(text).to_string();
    for char in quoted.chars() {
        // JSON allows DEL and the control characters beyond ASCII unescaped.
        if char.is_control() {
            let _ = write!(out, "\\u{:04x}", u32::from(char)); // writing to a String cannot fail
        } else {
            out.push(char);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::MAX_DEPTH;
    use super::*;

    fn parse(text: &str) -> Result<Document, JsonError> {
        Document::parse(text.as_bytes().to_vec())
    }

    #[test]
    fn reads_every_kind_and_writes_it_back() {
        let text = r#"{"a":[1,-2,2.50,true,null,"x\ny"],"b":{"c\u0022":"é"},"d":[]}"#;
        let document = parse(text).unwrap();
        let root = document.root();
        let mut out = String::new();
        root.write_json(&mut out);
        assert_eq!(out, r#"{"a":[1,-2,2.50,true,null,"x\ny"],"b":{"c\"":"é"},"d":[]}"#);
        assert_eq!(root.get("a").unwrap().to_text(), "1,-2,2.50,true,null,x\ny");
        assert_eq!(root.get("b").unwrap().get("c\"").unwrap().as_str(), Some("é"));
        assert_eq!(root.get("d").unwrap().items().unwrap().count(), 0);
        assert!(root.get("e").is_none());
    }

    #[test]
    fn numbers_keep_the_letters_they_are_written_in() {
        // With strings between them that have escapes: their offsets are not known.
        let text = r#" [ 1 , "\"2", -0,"\\", 3.10 ,"4",{"\n5\"" : 6E+2, "7":"\\\"8,"} , 9e-400,
            true,18446744073709551616,"",12345678901234567890123.0 ] "#;
        let document = parse(text).unwrap();
        let mut numbers = Vec::new();
        for item in document.root().items().unwrap() {
            numbers.extend(item.as_number());
            numbers.extend(item.members().into_iter().flatten().filter_map(|m| m.1.as_number()));
        }
        let numbers: Vec<_> = numbers.into_iter().map(Number::as_str).collect();
        let want = [
            "1",
            "-0",
            "3.10",
            "6E+2",
            "9e-400",
            "18446744073709551616",
            "12345678901234567890123.0",
        ];
        assert_eq!(numbers, want);
        assert_eq!(parse("7").unwrap().root().to_text(), "7");
    }

    #[test]
    fn json_that_is_written_holds_no_control_character() {
        let document = parse("[\"\\u0000\\t\u{7f}\u{85}\u{2028}\",{\"\u{9b}\":1}]").unwrap();
        let mut out = String::new();
        document.root().write_json(&mut out);
        assert_eq!(out, "[\"\\u0000\\t\\u007f\\u0085\u{2028}\",{\"\\u009b\":1}]");
        let again = parse(&out).unwrap();
        assert_eq!(again.root().to_text(), document.root().to_text());
    }

    #[test]
    fn a_name_may_stand_once_only_at_every_level_and_after_unescaping() {
        for bad in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"x":{"b":1,"c":1,"b":1}}]"#] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("stands twice at line 1 column"), "{error}");
        }
        let many = |last: &str| {
            let names: String = (0..40).map(|i| format!("\"n{i}\":{i},")).collect();
            format!("{{{names}\"{last}\":0}}")
        };
        assert!(parse(&many("n7")).is_err());
        assert!(parse(&many("n40")).is_ok());
        assert!(parse(r#"[{"a":1},{"a":1}]"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded_without_stack_growth() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
        assert!(parse(&nested(100_000)).is_err());
        assert!(parse(&"{\"a\":".repeat(100_000)).is_err());
    }

    #[test]
    fn what_is_not_rfc_8259_is_refused() {
        for bad in [
            "",
            " ",
            "{} {}",
            "{}x",
            "\u{feff}{}",
            "{'a':1}",
            "{\"a\":1,}",
            "[1,]",
            "NaN",
            "Infinity",
            "01",
            "+1",
            "1.",
            ".5",
            "1e400",
            "1e-1000000000000000000",
            "0e-1000000000000000000",
            "// c\n{}",
            "/**/{}",
            "{\"a\":\"\n\"}",
            r#""\ud800""#,
            r#""\x""#,
            "{a:1}",
            "nul",
            "\"a",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(Document::parse(b"\"\xff\"".to_vec()).is_err());
    }
}
