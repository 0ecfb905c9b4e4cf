//! Writing the nodes of a text onto a tape, as serde_json reads them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::node::{MAX_DEPTH, Node, Span, digits};
use crate::number::{MAX_EXPONENT_DIGITS, Number};

/// Up to so many, comparing every pair of names is faster than sorting them.
const FEW_MEMBERS: usize = 16;

/// The strings of a text that held escapes, unescaped, and all of its nodes.
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

/// A bound of how many nodes a text has, close to it where strings hold little punctuation: each but
/// the first follows one of these.
fn most_nodes(text: &[u8]) -> usize {
    1 + text.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count()
}

/// The tape while it is being written.
struct Tape<'t> {
    text: &'t str,
    unescaped: String,
    nodes: Vec<Node>,
    max_nodes: usize,
    /// Where in the text the last string or number ended whose place is known.
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

    /// A string that stands in the text without an escape.
    fn push_plain<E: serde::de::Error>(&mut self, part: &str) -> Result<(), E> {
        // `part` was lent by the parser from `text`, so the difference of the addresses is its
        // offset; a part from elsewhere would read as an empty string, never out of bounds.
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.read = start + part.len() + 1;
        self.push(Node::Plain(span(start, part.len())))
    }

    fn push_unescaped<E: serde::de::Error>(&mut self, part: &str) -> Result<(), E> {
        let start = self.unescaped.len();
        self.unescaped.push_str(part);
        self.push(Node::Unescaped(span(start, part.len())))
    }

    /// Where the number is written that the parser has just read. It gives the value only, which is
    /// not all that is written: the number is what comes next in the text, perhaps behind strings
    /// that held escapes.
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

    /// An integer that is not negative, of which JSON has one spelling.
    fn push_integer<E: serde::de::Error>(&mut self, value: u32) -> Result<(), E> {
        let at = self.find_number();
        self.read = at + digits(value) as usize;
        self.push(Node::Integer { start: u32::try_from(at).unwrap_or(u32::MAX), value })
    }

    /// A number that may be written in any way.
    fn push_number<E: serde::de::Error>(&mut self) -> Result<(), E> {
        let at = self.find_number();
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let len = rest.iter().take_while(|byte| is_in_number(**byte)).count();
        self.read = at + len;
        // Of a short one so is the exponent.
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

    /// Where the next node will stand. The text is shorter than 4 GiB and a node takes a byte of
    /// it at least, so this fits.
    fn here(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Closes the container that was opened at `at`.
    fn close(&mut self, at: u32, node: impl FnOnce(u32) -> Node) {
        let end = self.here();
        if let Some(slot) = self.nodes.get_mut(at as usize) {
            *slot = node(end);
        }
    }

    /// The first name that stands twice among `names`.
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

/// The places of an object's names; of few members without an allocation.
#[derive(Default)]
struct Names {
    /// Each with what two that are equal have in common, and most others have not.
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

/// How long a string is, from behind its first quote to behind its last.
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

/// Writes one value, `depth` containers down, onto the tape.
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
