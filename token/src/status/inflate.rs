//! Decompresses ZLIB data (RFC 1950) in steps, each of which is short and takes little memory.

use std::{fmt, mem};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags as flags};

use super::fault::StatusListError;

/// The most that a list may inflate to, in bytes.
pub const MAX_INFLATED: usize = 16 * 1024 * 1024;

/// The most that one step inflates to, in bytes.
pub const INFLATE_OUTPUT: usize = 64 * 1024;

/// The most that one step reads, in bytes: data of empty blocks inflates to nothing, but takes half a
/// millisecond for so many bytes.
pub const INFLATE_INPUT: usize = 4 * 1024;

/// Data that is being decompressed.
pub(super) struct Inflation {
    deflated: Vec<u8>,
    /// How much of it has been read.
    read: usize,
    state: State,
    output: Vec<u8>,
    /// How much of it is filled.
    len: usize,
}

enum State {
    Working(Box<DecompressorOxide>),
    Done,
    Failed(StatusListError),
}

impl fmt::Debug for Inflation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, len, .. } = self;
        f.debug_struct("Inflation").field("read", read).field("len", len).finish_non_exhaustive()
    }
}

impl Inflation {
    pub(super) fn new(deflated: Vec<u8>) -> Self {
        let state = State::Working(Box::default());
        Self { deflated, read: 0, state, output: Vec::new(), len: 0 }
    }

    /// Decompresses at most [`INFLATE_OUTPUT`] bytes from at most [`INFLATE_INPUT`]. True if there is
    /// more to do.
    pub(super) fn step(&mut self) -> Result<bool, StatusListError> {
        let stepped = match mem::replace(&mut self.state, State::Done) {
            State::Done => return Ok(false),
            State::Failed(error) => Err(error),
            State::Working(state) => self.work(state),
        };
        match stepped {
            Ok(state) => self.state = state,
            Err(error) => {
                self.output = Vec::new();
                self.state = State::Failed(error.clone());
                return Err(error);
            }
        }
        Ok(matches!(self.state, State::Working(_)))
    }

    fn work(&mut self, mut state: Box<DecompressorOxide>) -> Result<State, StatusListError> {
        self.make_room();
        let rest = self.deflated.get(self.read..).unwrap_or_default();
        let input = rest.get(..INFLATE_INPUT).unwrap_or(rest);
        // The output is one piece, not a window that begins anew: so a reference to before its beginning
        // is an error, as it is for zlib.
        let mut how = flags::TINFL_FLAG_PARSE_ZLIB_HEADER
            | flags::TINFL_FLAG_COMPUTE_ADLER32
            | flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        if input.len() < rest.len() {
            how |= flags::TINFL_FLAG_HAS_MORE_INPUT;
        }
        let (status, read, written) =
            decompress(&mut state, input, &mut self.output, self.len, how);
        self.read += read;
        self.len += written;
        if self.len > MAX_INFLATED {
            return Err(StatusListError::TooLarge(MAX_INFLATED));
        }
        match status {
            TINFLStatus::Done => self.end(),
            TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => Ok(State::Working(state)),
            TINFLStatus::FailedCannotMakeProgress => Err(StatusListError::Truncated),
            TINFLStatus::Adler32Mismatch => Err(StatusListError::Checksum),
            _ => Err(StatusListError::NoZlib),
        }
    }

    /// Makes room for one step; one byte more than a list may have shows that it is too large.
    fn make_room(&mut self) {
        let end = (self.len + INFLATE_OUTPUT).min(MAX_INFLATED + 1);
        if end > self.output.capacity() {
            // Twice as much, so that it is seldom moved.
            let capacity = (2 * self.len).clamp(end, MAX_INFLATED + 1);
            self.output.reserve_exact(capacity.saturating_sub(self.output.len()));
        }
        self.output.resize(end, 0);
    }

    /// The stream has ended: the data must end, too.
    fn end(&mut self) -> Result<State, StatusListError> {
        let after = self.deflated.len().saturating_sub(self.read);
        if after > 0 {
            return Err(StatusListError::Trailing(after));
        }
        self.deflated = Vec::new();
        self.output.truncate(self.len);
        Ok(State::Done)
    }

    /// The output, once all is decompressed.
    pub(super) fn output(&self) -> Option<&[u8]> {
        matches!(self.state, State::Done).then_some(&*self.output)
    }
}
