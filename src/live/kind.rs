//! Kinds of fetched sources: how their answers are read, stored for all workers, and used.

use core::sync::atomic::AtomicU64;

use crate::nginx::{Block, Zone};

/// A kind of fetched source. Each source has a value of this type.
pub(crate) trait Kind: Sized + 'static {
    /// What a worker uses of an answer.
    type Value: 'static;
    /// An answer that is arriving.
    type Arriving: Burden;
    /// An answer that has arrived as a whole.
    type Arrived: Burden;

    /// The words of messages.
    const WORDS: Wording;
    /// The largest answer, in bytes.
    const LIMIT: usize;
    /// The value of `Accept` in the request.
    const ACCEPT: Option<&'static str> = None;
    /// Whether the request asks for an answer only if it has changed.
    const IS_CONDITIONAL: bool;
    /// Whether an answer of which a part is missing may look like a whole one.
    const NEEDS_END: bool = false;
    /// Whether an answer must be read again although it is the same: what is made of it depends on the time.
    const DEPENDS_ON_TIME: bool = false;
    /// Whether answers are used in shared memory, and so must be there. Otherwise each worker has a value
    /// of its own.
    const IN_ZONE: bool;

    /// An answer begins to arrive.
    fn begin(&self) -> Self::Arriving;

    /// The next bytes have arrived. The error says why the answer cannot be used.
    fn receive(&self, arriving: &mut Self::Arriving, piece: &[u8]) -> Result<(), String>;

    /// All of the answer has arrived.
    fn arrived(&self, arriving: &mut Self::Arriving) -> Result<Self::Arrived, String>;

    /// A hash of the answer, by which the same one is known.
    fn digest(&self, arrived: &Self::Arrived) -> [u8; 32];

    /// How long the answer itself allows to use it, in milliseconds, once it was read.
    fn max_age(&self, _: &Self::Arrived) -> Option<u64> {
        None
    }

    /// Does a step of reading the answer, until its size in shared memory is known. The error says why it
    /// cannot be used.
    fn read(&self, arrived: &mut Self::Arrived) -> Result<Step, String>;

    /// How many bytes of shared memory the answer needs.
    fn len(&self, arrived: &Self::Arrived) -> usize;

    /// Does a step of writing the answer. The memory may hold anything before.
    fn write(&self, arrived: &mut Self::Arrived, words: &[AtomicU64]) -> Step;

    /// How many values the answer has, once it was read, if that tells something.
    fn entries(&self, _: &Self::Arrived) -> Option<u64> {
        None
    }

    /// Warnings about the answer, once it was read.
    fn warnings(&self, _: &mut Self::Arrived) -> Vec<String> {
        Vec::new()
    }

    /// The value of an answer that was written; `None` if [`Kind::open`] makes it of the
    /// shared memory.
    fn value(&self, arrived: Self::Arrived) -> Option<Self::Value>;

    /// The value of an answer that is in shared memory; `None` if it cannot be used, or is no longer there.
    fn open(&self, shared: Shared<'_>) -> Option<Self::Value>;
}

/// An answer in shared memory, and where it will be looked for when it is replaced.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'s> {
    pub(crate) block: Block,
    pub(crate) zone: Zone,
    pub(crate) name: &'s [u8],
}

/// Whether a work has another step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    More,
    Last,
}

impl Step {
    pub(crate) fn of(is_more: bool) -> Self {
        if is_more { Self::More } else { Self::Last }
    }
}

/// What may need so much memory that giving it back at once would hold up the worker.
pub(crate) trait Burden: 'static {
    /// Gives some of the memory back.
    fn release(&mut self) -> Step {
        Step::Last
    }
}

/// How messages call what a kind of source brings.
pub(crate) struct Wording {
    /// `keys`, as in `keys from "/_jwks"`.
    pub(crate) what: &'static str,
    /// What happens after a failure, if the last answer is still used, and otherwise.
    pub(crate) stays: &'static str,
    pub(crate) lacks: &'static str,
}
