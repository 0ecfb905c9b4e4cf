//! The nodes of a tape: what a document is made of.

/// How deep arrays and objects may nest, the outermost included.
pub const MAX_DEPTH: usize = 32;

#[derive(Clone, Copy)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// An integer, and where it begins: most numbers of a token are times, which need no more.
    Integer {
        start: u32,
        value: u32,
    },
    /// Any other number, by where it is written.
    Number(Span),
    /// A range of the text.
    Plain(Span),
    /// A range of `unescaped`.
    Unescaped(Span),
    /// `end` is the index of the first node after the last descendant.
    Array {
        end: u32,
    },
    Object {
        end: u32,
    },
}

#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// How many digits an integer has.
pub(super) fn digits(value: u32) -> u32 {
    value.checked_ilog10().unwrap_or(0) + 1
}
