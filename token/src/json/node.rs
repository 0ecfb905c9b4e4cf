//! The nodes that a document consists of.

/// How many arrays and objects may be inside each other, including the outermost.
pub const MAX_DEPTH: usize = 32;

/// A value, or the name of a member.
#[derive(Clone, Copy)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// An integer from 0 to 2^32 - 1, and its offset in the text. Most numbers of a token are times,
    /// which are such integers.
    Integer {
        start: u32,
        value: u32,
    },
    /// Any other number, as a range of the text.
    Number(Span),
    /// A string without escapes, as a range of the text.
    Plain(Span),
    /// A string that had escapes, as a range of the document's unescaped strings.
    Unescaped(Span),
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
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The number of decimal digits of `value`.
pub(super) fn digits(value: u32) -> u32 {
    value.checked_ilog10().unwrap_or(0) + 1
}
