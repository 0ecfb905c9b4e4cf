//! Decompresses ZLIB data (RFC 1950) in steps, each of which is short and takes little memory.

use std::{fmt, mem};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::fault::StatusListError;

/// The most that a list may inflate to, in bytes.
pub const MAX_INFLATED: usize = 16 * 1024 * 1024;

/// The most that one step inflates to, in bytes.
pub const INFLATE_OUTPUT: usize = 64 * 1024;

/// The most that one step reads, in bytes: data of empty blocks inflates to nothing, but takes half a
/// millisecond for so many bytes.
pub const INFLATE_INPUT: usize = 4 * 1024;

/// Data that is being decompressed. The output is kept in pieces, so that no step has to move it.
pub(super) struct Inflation {
    deflated: Vec<u8>,
    /// How much of it has been read.
    read: usize,
    state: State,
    /// All but the last have [`INFLATE_OUTPUT`] bytes.
    pieces: Vec<Vec<u8>>,
    len: usize,
}

enum State {
    Working(Box<InflateState>),
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
        let state = State::Working(InflateState::new_boxed(DataFormat::Zlib));
        Self { deflated, read: 0, state, pieces: Vec::new(), len: 0 }
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
                self.pieces = Vec::new();
                self.state = State::Failed(error.clone());
                return Err(error);
            }
        }
        Ok(matches!(self.state, State::Working(_)))
    }

    fn work(&mut self, mut state: Box<InflateState>) -> Result<State, StatusListError> {
        let (mut input, mut output) = (INFLATE_INPUT, INFLATE_OUTPUT);
        while input > 0 && output > 0 {
            let before = (self.read, self.len);
            let result = self.advance(&mut state, input, output);
            input -= self.read - before.0;
            output -= self.len - before.1;
            if self.len > MAX_INFLATED {
                return Err(StatusListError::TooLarge(MAX_INFLATED));
            }
            match result {
                Ok(MZStatus::StreamEnd) => return self.end().map(|()| State::Done),
                // All input was read, and no call goes on without any.
                Err(MZError::Buf) => return Err(StatusListError::Truncated),
                Err(_) if state.last_status() == TINFLStatus::Adler32Mismatch => {
                    return Err(StatusListError::Checksum);
                }
                Ok(MZStatus::NeedDict) | Err(_) => return Err(StatusListError::NoZlib),
                Ok(MZStatus::Ok) if before == (self.read, self.len) => {
                    return Err(StatusListError::Truncated);
                }
                Ok(MZStatus::Ok) => {}
            }
        }
        Ok(State::Working(state))
    }

    /// Decompresses into the last piece.
    fn advance(
        &mut self,
        state: &mut InflateState,
        input: usize,
        output: usize,
    ) -> Result<MZStatus, MZError> {
        let filled = self.len % INFLATE_OUTPUT;
        if filled == 0 && self.pieces.len() == self.len / INFLATE_OUTPUT {
            self.pieces.push(vec![0; INFLATE_OUTPUT]);
        }
        let piece = self.pieces.last_mut().map(Vec::as_mut_slice).unwrap_or_default();
        let room = piece.get_mut(filled..).unwrap_or_default();
        let room = room.get_mut(..output.min(INFLATE_OUTPUT - filled)).unwrap_or_default();
        let rest = self.deflated.get(self.read..).unwrap_or_default();
        let rest = rest.get(..input).unwrap_or(rest);
        let result = inflate(state, rest, room, MZFlush::None);
        self.read += result.bytes_consumed;
        self.len += result.bytes_written;
        result.status
    }

    /// The stream has ended: the data must end, too.
    fn end(&mut self) -> Result<(), StatusListError> {
        let after = self.deflated.len().saturating_sub(self.read);
        if after > 0 {
            return Err(StatusListError::Trailing(after));
        }
        self.deflated = Vec::new();
        let last = self.len % INFLATE_OUTPUT;
        self.pieces.truncate(self.len.div_ceil(INFLATE_OUTPUT));
        if let Some(piece) = self.pieces.last_mut().filter(|_| last > 0) {
            piece.truncate(last);
        }
        Ok(())
    }

    /// How many bytes there are; `None` until all are decompressed.
    pub(super) fn len(&self) -> Option<usize> {
        matches!(self.state, State::Done).then_some(self.len)
    }

    /// A piece of the output, by its number.
    pub(super) fn piece(&self, number: usize) -> Option<&[u8]> {
        self.pieces.get(number).map(Vec::as_slice)
    }
}
