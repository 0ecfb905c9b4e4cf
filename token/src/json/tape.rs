//! The parser: writes the nodes of a text onto a tape, in the order in which serde_json reads them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::node::{MAX_DEPTH, Node, Span, digits};
use crate::number::{MAX_EXPONENT_DIGITS, Number};

/// Up to this number of members, comparing every pair of names is faster than sorting them.
const FEW_MEMBERS: usize = 16;

/// The unescaped strings of a text and all of its nodes.
pub(super) fn write(
    text: &str,
    max_nodes: usize,
) -> Result<(Box<str>, Vec<Node>), serde_json::Error> {
    let nodes = Vec::with_capacity(most_nodes(text.as_bytes()).min(max_nodes));
    let mut tape = Tape { text, unescaped: String::new(), nodes, max_nodes, read: 0 };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Seed { tape: &mut tape, depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((tape.unescaped.into_boxed_str(), tape.nodes))
}

/// An upper limit for the number of nodes: each but the first follows one of these characters. It is
/// close unless strings contain many of them.
fn most_nodes(text: &[u8]) -> usize {
    1 + text.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count()
}

/// The tape while it is being written.
struct Tape<'t> {
    text: &'t str,
    unescaped: String,
    nodes: Vec<Node>,
    max_nodes: usize,
    /// The offset after the last string or number whose position is known.
    read: usize,
}

/// The bytes that numbers are written with.
#[allow(clippy::indexing_slicing)] // checked when it is compiled
const IN_NUMBERS: [bool; 256] = {
    let (mut table, bytes, mut at) = ([false; 256], b"0123456789.-+eE", 0);
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

fn is_in_number(byte: u8) -> bool {
    IN_NUMBERS.get(usize::from(byte)).copied().unwrap_or(false)
}

impl Tape<'_> {
    fn push<E: serde::de::Error>(&mut self, node: Node) -> Result<(), E> {
        if self.nodes.len() >= self.max_nodes {
            return Err(E::custom(format_args!("more than {} names and values", self.max_nodes)));
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Adds a string without escapes.
    fn push_plain<E: serde::de::Error>(&mut self, part: &str) -> Result<(), E> {
        // The parser borrowed `part` from `text`, so the difference of the addresses is its offset. For
        // any other `part` the result would be an empty string, never an access out of bounds.
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.read = start + part.len() + 1;
        self.push(Node::Plain(span(start, part.len())))
    }

    fn push_unescaped<E: serde::de::Error>(&mut self, part: &str) -> Result<(), E> {
        let start = self.unescaped.len();
        self.unescaped.push_str(part);
        self.push(Node::Unescaped(span(start, part.len())))
    }

    /// The offset of the number that the parser has just read. The parser passes the value only, not
    /// how it is written. The number is the next one in the text, perhaps after strings with escapes.
    fn find_number(&self) -> usize {
        let mut at = self.read;
        let text = self.text.as_bytes();
        while let Some(byte) = text.get(at) {
            match byte {
                b'0'..=b'9' | b'-' => break,
                b'"' => at += 1 + quoted_len(text.get(at + 1..).unwrap_or_default()),
                _ => at += 1,
            }
        }
        at
    }

    /// Adds an integer that is not negative; JSON has exactly one way to write it.
    fn push_integer<E: serde::de::Error>(&mut self, value: u32) -> Result<(), E> {
        let at = self.find_number();
        self.read = at + digits(value) as usize;
        self.push(Node::Integer { start: u32::try_from(at).unwrap_or(u32::MAX), value })
    }

    /// Adds any other number.
    fn push_number<E: serde::de::Error>(&mut self) -> Result<(), E> {
        let at = self.find_number();
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let len = rest.iter().take_while(|byte| is_in_number(**byte)).count();
        self.read = at + len;
        // The exponent of a short number is short as well.
        if len > MAX_EXPONENT_DIGITS
            && let Some(literal) = self.text.get(at..at + len)
            && !Number::of_literal(literal).has_exponent_in_bounds()
        {
            return Err(E::custom("the exponent of a number is too long"));
        }
        self.push(Node::Number(span(at, len)))
    }

    /// The name at node `at`.
    fn name(&self, at: usize) -> &str {
        let (text, span) = match self.nodes.get(at) {
            Some(Node::Plain(span)) => (self.text, span),
            Some(Node::Unescaped(span)) => (self.unescaped.as_str(), span),
            _ => return "",
        };
        text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The index of the next node. It fits: the text is shorter than 4 GiB and each node takes at least
    /// one byte of it.
    fn here(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Sets the end of the array or object at `at`.
    fn close(&mut self, at: u32, node: impl FnOnce(u32) -> Node) {
        let end = self.here();
        if let Some(slot) = self.nodes.get_mut(at as usize) {
            *slot = node(end);
        }
    }

    /// A name that occurs twice in `names`.
    fn repeated(&self, names: &Names) -> Option<&str> {
        if names.further.is_empty() {
            let known = names.few.get(..names.count).unwrap_or_default();
            return known.iter().enumerate().find_map(|(i, (tag, at))| {
                let mut before = known.iter().take(i).filter(|(other, _)| other == tag);
                let name = self.name(*at as usize);
                before.any(|(_, other)| self.name(*other as usize) == name).then_some(name)
            });
        }
        let few = names.few.iter().map(|(_, at)| at);
        let all = few.chain(&names.further);
        let mut sorted: Vec<&str> = all.map(|&at| self.name(at as usize)).collect();
        sorted.sort_unstable();
        sorted.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        })
    }
}

/// The indices of an object's names; without an allocation if there are few.
#[derive(Default)]
struct Names {
    /// A tag and an index for each name. Equal names have equal tags, most other names do not.
    few: [(u32, u32); FEW_MEMBERS],
    count: usize,
    further: Vec<u32>,
}

impl Names {
    fn push(&mut self, at: u32, name: &str) {
        match self.few.get_mut(self.count) {
            Some(place) => {
                let byte = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or_default());
                let (first, last) = (byte(name.as_bytes().first()), byte(name.as_bytes().last()));
                let len = u32::try_from(name.len()).unwrap_or(u32::MAX);
                *place = ((len << 16) ^ (first << 8) ^ last, at);
                self.count += 1;
            }
            None => self.further.push(at),
        }
    }
}

/// The length of a string from after its first quote to after its last; `text` begins after the first.
fn quoted_len(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += match text.get(at) {
            Some(b'\\') => 2,
            Some(b'"') | None => return at + 1,
            Some(_) => 1,
        }
    }
}

fn span(start: usize, len: usize) -> Span {
    let at = |n| u32::try_from(n).unwrap_or(u32::MAX);
    Span { start: at(start), end: at(start + len) }
}

/// Writes one value onto the tape; `depth` arrays and objects are around it.
struct Seed<'a, 't> {
    tape: &'a mut Tape<'t>,
    depth: usize,
}

impl<'t> Seed<'_, 't> {
    fn inner<'b, E: serde::de::Error>(&'b mut self) -> Result<Seed<'b, 't>, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Seed { tape: self.tape, depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.tape.push(Node::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.tape.push(Node::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match u32::try_from(value) {
            Ok(value) => self.tape.push_integer(value),
            Err(_) => self.tape.push_number(),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.tape.push_number()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.tape.push_number()
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<(), E> {
        self.tape.push_plain(value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.tape.push_unescaped(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let at = inner.tape.here();
        inner.tape.push(Node::Array { end: at })?;
        while seq.next_element_seed(Seed { tape: inner.tape, depth: inner.depth })?.is_some() {}
        inner.tape.close(at, |end| Node::Array { end });
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let at = inner.tape.here();
        inner.tape.push(Node::Object { end: at })?;
        let mut names = Names::default();
        loop {
            let name = inner.tape.here();
            if map.next_key_seed(Seed { tape: inner.tape, depth: inner.depth })?.is_none() {
                break;
            }
            names.push(name, inner.tape.name(name as usize));
            map.next_value_seed(Seed { tape: inner.tape, depth: inner.depth })?;
        }
        inner.tape.close(at, |end| Node::Object { end });
        match inner.tape.repeated(&names) {
            Some(name) => Err(A::Error::custom(format_args!("member {name:?} stands twice"))),
            None => Ok(()),
        }
    }
}
