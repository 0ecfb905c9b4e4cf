//! The nodes that a document consists of, and how they are kept.

/// How many arrays and objects may be inside each other, including the outermost.
pub const MAX_DEPTH: usize = 32;

/// The longest text that is parsed, in bytes, excluding.
pub(super) const MAX_TEXT: usize = 1 << (WIDE - 1);

/// A value, or the name of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// A number, as a range of the text.
    Number(Span),
    /// A string without its quotes and escapes, as a range of the text. Strings that had escapes are
    /// after the text that was given.
    String(Span),
    /// The elements follow. `end` is the index of the first node after them.
    Array {
        end: u32,
    },
    /// The members follow, each a name and a value. `end` is the index of the first node after them.
    Object {
        end: u32,
    },
}

/// A range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// The part of `text` in this range; empty if the range is none of its own.
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Whether that part is `other`.
    pub(super) fn is(self, text: &str, other: &str) -> bool {
        // Bytes are compared faster: where characters begin is not looked at.
        let part = text.as_bytes().get(self.start as usize..self.end as usize);
        part == Some(other.as_bytes())
    }
}

/// The bits of an offset, and of a length, in a node of one word and in one of two words. One bit more
/// than the offsets in the given text have: strings that had escapes follow it, and they are shorter.
const NARROW: u32 = 14;
const WIDE: u32 = 30;
/// The bits of a node's kind.
const KIND: u32 = 3;

/// How the nodes of a text are packed into words. Most documents are payloads of tokens, which are kept
/// by the ten thousand: nodes of a short text take one word of 32 bits, others two.
#[derive(Clone, Copy)]
pub(super) struct Packing {
    is_wide: bool,
}

impl Packing {
    /// For a text of that many bytes.
    pub(super) fn of(text_len: usize) -> Self {
        Self { is_wide: text_len >= 1 << (NARROW - 1) }
    }

    /// How many words a node has.
    pub(super) fn words(self) -> usize {
        1 + usize::from(self.is_wide)
    }

    /// The node at `at`; null behind the last one.
    pub(super) fn get(self, words: &[u32], at: usize) -> Node {
        if !self.is_wide {
            return words.get(at).map_or(Node::Null, |word| unpack(NARROW, u64::from(*word)));
        }
        match words.get(2 * at..2 * at + 2) {
            Some([low, high]) => unpack(WIDE, u64::from(*high) << 32 | u64::from(*low)),
            _ => Node::Null,
        }
    }

    /// Adds a node.
    pub(super) fn push(self, words: &mut Vec<u32>, node: Node) {
        if !self.is_wide {
            words.push(pack(NARROW, node) as u32);
        } else {
            let word = pack(WIDE, node);
            words.extend([word as u32, (word >> 32) as u32]);
        }
    }

    /// Replaces the node at `at`.
    pub(super) fn set(self, words: &mut [u32], at: usize, node: Node) {
        let word = pack(if self.is_wide { WIDE } else { NARROW }, node);
        let places = words.iter_mut().skip(at * self.words()).take(self.words());
        for (place, word) in places.zip([word as u32, (word >> 32) as u32]) {
            *place = word;
        }
    }
}

/// Two numbers, of which the first has `bits` bits: an offset and a length, or an end. Below them is the
/// kind, in three bits.
fn pack(bits: u32, node: Node) -> u64 {
    let (kind, first, second) = match node {
        Node::Null => (0, 0, 0),
        Node::Bool(value) => (1, u32::from(value), 0),
        Node::Number(Span { start, end }) => (2, start, end.saturating_sub(start)),
        Node::String(Span { start, end }) => (3, start, end.saturating_sub(start)),
        Node::Array { end } => (4, end, 0),
        Node::Object { end } => (5, end, 0),
    };
    u64::from(second) << (KIND + bits) | u64::from(first) << KIND | kind
}

fn unpack(bits: u32, word: u64) -> Node {
    let first = (word >> KIND) as u32 & ((1 << bits) - 1);
    let span = Span { start: first, end: first + (word >> (KIND + bits)) as u32 };
    match word & ((1 << KIND) - 1) {
        1 => Node::Bool(first != 0),
        2 => Node::Number(span),
        3 => Node::String(span),
        4 => Node::Array { end: first },
        5 => Node::Object { end: first },
        _ => Node::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_kept_whole() {
        for len in [0, (1 << (NARROW - 1)) - 1, 1 << (NARROW - 1), MAX_TEXT - 1] {
            let packing = Packing::of(len);
            let far = u32::try_from(2 * len).unwrap();
            let spans = [(0, 0), (0, far / 2), (far / 2, far), (far, far)];
            let mut nodes = vec![Node::Null, Node::Bool(false), Node::Bool(true)];
            for (start, end) in spans {
                let span = Span { start, end };
                nodes.extend([Node::Number(span), Node::String(span)]);
            }
            // A text has no more nodes than bytes.
            nodes.extend([far / 2 + 1, 1].map(|end| Node::Array { end }));
            nodes.extend([far / 2 + 1, 1].map(|end| Node::Object { end }));
            let mut words = Vec::new();
            nodes.iter().for_each(|node| packing.push(&mut words, *node));
            assert_eq!(words.len(), nodes.len() * packing.words());
            for (at, node) in nodes.iter().enumerate() {
                assert_eq!(packing.get(&words, at), *node, "{len}");
                // Each in the place of another one.
                let other = nodes[nodes.len() - 1 - at];
                let mut words = words.clone();
                packing.set(&mut words, at, other);
                assert_eq!(packing.get(&words, at), other);
                if let Some(next) = nodes.get(at + 1) {
                    assert_eq!(packing.get(&words, at + 1), *next);
                }
            }
            assert_eq!(packing.get(&words, nodes.len()), Node::Null);
        }
    }
}
