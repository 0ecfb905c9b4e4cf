//! The parser: writes the nodes of a text onto a tape, in the order in which serde_json reads them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::node::{MAX_DEPTH, Node, Packing, Span};
use crate::number::{MAX_EXPONENT_DIGITS, Number};

/// Up to this number of members, comparing every pair of names is faster than sorting them.
const FEW_MEMBERS: usize = 16;

/// The unescaped strings of a text, one after the other, and the words of all of its nodes, as
/// [`Packing::of`] the text's length packs them.
pub(super) fn write(
    text: &str,
    max_nodes: usize,
) -> Result<(String, Box<[u32]>), serde_json::Error> {
    let packing = Packing::of(text.len());
    let words = Vec::with_capacity(most_nodes(text.as_bytes()).min(max_nodes) * packing.words());
    let mut tape = Tape { text, unescaped: String::new(), packing, words, max_nodes, read: 0 };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Seed { tape: &mut tape, depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((tape.unescaped, tape.words.into()))
}

/// An upper limit for the number of nodes: each but the first follows one of these characters. It is
/// close unless strings contain many of them.
fn most_nodes(text: &[u8]) -> usize {
    // Counted in bytes, a part at a time, so that the compiler looks at many characters at once.
    let begins = |byte: &u8| u8::from(matches!(byte, b',' | b':' | b'[' | b'{'));
    let count = |part: &[u8]| usize::from(part.iter().map(begins).sum::<u8>());
    1 + text.chunks(u8::MAX.into()).map(count).sum::<usize>()
}

/// The tape while it is being written.
struct Tape<'t> {
    text: &'t str,
    unescaped: String,
    packing: Packing,
    words: Vec<u32>,
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
        if self.here() >= self.max_nodes {
            return Err(E::custom(format_args!("more than {} names and values", self.max_nodes)));
        }
        self.packing.push(&mut self.words, node);
        Ok(())
    }

    /// Adds a string without escapes.
    fn push_plain<E: serde::de::Error>(&mut self, part: &str) -> Result<(), E> {
        // The parser borrowed `part` from `text`, so the difference of the addresses is its offset. For
        // any other `part` the result would be an empty string, never an access out of bounds.
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.read = start + part.len() + 1;
        self.push(Node::String(span(start, part.len())))
    }

    /// Adds a string that had escapes.
    fn push_unescaped<E: serde::de::Error>(&mut self, part: &str) -> Result<(), E> {
        let start = self.text.len() + self.unescaped.len();
        self.unescaped.push_str(part);
        self.push(Node::String(span(start, part.len())))
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
    fn push_integer<E: serde::de::Error>(&mut self, value: u64) -> Result<(), E> {
        let (at, len) = (self.find_number(), value.checked_ilog10().unwrap_or(0) as usize + 1);
        self.read = at + len;
        self.push(Node::Number(span(at, len)))
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
        let Node::String(span) = self.packing.get(&self.words, at) else { return "" };
        let (start, end) = (span.start as usize, span.end as usize);
        let given = self.text.len();
        let name = match start.checked_sub(given) {
            None => self.text.get(start..end),
            Some(start) => self.unescaped.get(start..end - given),
        };
        name.unwrap_or_default()
    }

    /// The index of the next node.
    fn here(&self) -> usize {
        self.words.len() / self.packing.words()
    }

    /// Sets the end of the array or object at `at`.
    fn close(&mut self, at: usize, node: impl FnOnce(u32) -> Node) {
        // Each node takes at least one byte of the text, whose length fits into 32 bits.
        let end = u32::try_from(self.here()).unwrap_or(u32::MAX);
        self.packing.set(&mut self.words, at, node(end));
    }
}

/// The indices of an object's names; without an allocation if there are few.
#[derive(Default)]
struct Names {
    /// A tag and an index for each name. Equal names have equal tags, most other names do not.
    few: [(u32, usize); FEW_MEMBERS],
    count: usize,
    further: Vec<usize>,
    /// The bits of the tags so far. A tag whose bit is new is new.
    bits: u64,
    /// The first name among the few that had stood before.
    repeated: Option<usize>,
}

impl Names {
    /// Adds the name at node `at`.
    fn push(&mut self, tape: &Tape<'_>, at: usize) {
        let Some(place) = self.few.get_mut(self.count) else { return self.further.push(at) };
        let name = tape.name(at);
        let tag = tag(name.as_bytes());
        *place = (tag, at);
        // The upper bits of the product depend on all bits of the tag.
        let bit = 1 << (tag.wrapping_mul(0x9e37_79b1) >> 26);
        if self.bits & bit != 0 && self.repeated.is_none() {
            let before = self.few.iter().take(self.count).filter(|(other, _)| *other == tag);
            let is_same = before.map(|(_, at)| tape.name(*at)).any(|other| other == name);
            self.repeated = is_same.then_some(at);
        }
        self.bits |= bit;
        self.count += 1;
    }

    /// A name that stands twice.
    fn repeated<'n>(&self, tape: &'n Tape<'_>) -> Option<&'n str> {
        if self.further.is_empty() {
            return self.repeated.map(|at| tape.name(at));
        }
        let few = self.few.iter().map(|(_, at)| at);
        let mut sorted: Vec<&str> = few.chain(&self.further).map(|at| tape.name(*at)).collect();
        sorted.sort_unstable();
        sorted.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        })
    }
}

/// The length, the first and the last byte of a name.
fn tag(name: &[u8]) -> u32 {
    let byte = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or_default());
    let len = u32::try_from(name.len()).unwrap_or(u32::MAX);
    (len << 16) ^ (byte(name.first()) << 8) ^ byte(name.last())
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
        self.tape.push_integer(value)
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
        inner.tape.push(Node::Array { end: 0 })?;
        while seq.next_element_seed(Seed { tape: inner.tape, depth: inner.depth })?.is_some() {}
        inner.tape.close(at, |end| Node::Array { end });
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let at = inner.tape.here();
        inner.tape.push(Node::Object { end: 0 })?;
        let mut names = Names::default();
        loop {
            let name = inner.tape.here();
            if map.next_key_seed(Seed { tape: inner.tape, depth: inner.depth })?.is_none() {
                break;
            }
            names.push(inner.tape, name);
            map.next_value_seed(Seed { tape: inner.tape, depth: inner.depth })?;
        }
        inner.tape.close(at, |end| Node::Object { end });
        match names.repeated(inner.tape) {
            Some(name) => Err(A::Error::custom(format_args!("member {name:?} stands twice"))),
            None => Ok(()),
        }
    }
}
