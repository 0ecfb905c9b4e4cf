//! Reads a list piece by piece, and keeps nothing of its text.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::hash::HashKey;
use super::line::{Line, ListError, doubtful};
use super::records::{Blocks, ListRecords};
use super::table::{DATED, PLAIN, dated_record, plain_record};

/// The longest line, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// Reads a list whose text comes in pieces, which may be cut anywhere.
///
/// The text is UTF-8 with one value on each line, without the white space around it. Empty lines and
/// lines that begin with `#` are ignored. A line that begins with a double quote is a JSON string, so
/// that every value can be written. The last words of a line may be options: with `before=TIME` only
/// tokens are revoked that were issued before, or do not say when; from `until=TIME` on the line counts
/// no more. A time is seconds since the epoch, or as RFC 3339 has it.
///
/// A reader that has failed, or is given up, should be [released](ListReader::release) piece by piece.
pub struct ListReader {
    key: HashKey,
    digest: Sha256,
    /// The beginning of a line whose end is in a later piece.
    begun: Vec<u8>,
    /// Lines that have ended, of whatever kind.
    ended: usize,
    /// Lines that have a value.
    lines: u64,
    plain: Blocks<PLAIN>,
    dated: Blocks<DATED>,
    /// What the person who writes the list should know: the first [`MAX_WARNINGS`].
    warnings: Vec<String>,
    /// Why the list is refused, once it is.
    failed: Option<ListError>,
}

/// How many warnings are kept of a list.
const MAX_WARNINGS: usize = 5;

impl Default for ListReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ListReader {
    /// A reader that has read nothing yet.
    pub fn new() -> Self {
        let key = HashKey::random();
        Self {
            failed: key.is_none().then_some(ListError::Random),
            key: key.unwrap_or(HashKey([0; 2])),
            digest: Sha256::new(),
            begun: Vec::new(),
            ended: 0,
            lines: 0,
            plain: Blocks::new(),
            dated: Blocks::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads the next piece of the text.
    ///
    /// # Errors
    /// The first fault of the text, and the same one at every later call.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), ListError> {
        if self.failed.is_none() {
            self.digest.update(piece);
            self.failed = self.read(piece).err();
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Ends the text. The reader is as new afterwards.
    ///
    /// # Errors
    /// The first fault of the text. Its reader is as it was.
    pub fn finish(&mut self) -> Result<ListRecords, ListError> {
        if self.failed.is_none() && !self.begun.is_empty() {
            let begun = std::mem::take(&mut self.begun);
            self.failed = self.read_lines(&begun).err();
        }
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let Self { key, digest, lines, plain, dated, warnings, .. } = std::mem::take(self);
        let digest = digest.finalize().into();
        Ok(ListRecords::new(key, lines, digest, plain, dated).with_warnings(warnings))
    }

    /// Frees a piece of what was read; nothing can be read afterwards. Returns whether more is left.
    pub fn release(&mut self) -> bool {
        self.failed.get_or_insert(ListError::GivenUp);
        self.plain.release() || self.dated.release()
    }

    fn read(&mut self, piece: &[u8]) -> Result<(), ListError> {
        let mut rest = piece;
        if !self.begun.is_empty() {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return self.begin(rest);
            };
            let (line, after) = rest.split_at_checked(end + 1).unwrap_or((rest, b""));
            self.begin(line)?;
            let mut begun = std::mem::take(&mut self.begun);
            self.read_lines(&begun)?;
            // It is used again for the next line.
            begun.clear();
            self.begun = begun;
            rest = after;
        }
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let (lines, begun) = rest.split_at_checked(whole).unwrap_or((rest, b""));
        self.read_lines(lines)?;
        self.begin(begun)
    }

    /// Adds to the line that has begun, which may end with this.
    fn begin(&mut self, more: &[u8]) -> Result<(), ListError> {
        // One byte too many is enough to know, and the line may end with its break.
        let room = (LONGEST_LINE + 2).saturating_sub(self.begun.len());
        self.begun.extend_from_slice(more.get(..room).unwrap_or(more));
        let line = self.begun.strip_suffix(b"\n").unwrap_or(&self.begun);
        if line.len() > LONGEST_LINE { Err(self.fault(line)) } else { Ok(()) }
    }

    /// Reads lines of which the last one has ended.
    fn read_lines(&mut self, lines: &[u8]) -> Result<(), ListError> {
        let (text, faulty) = match std::str::from_utf8(lines) {
            Ok(text) => (text, None),
            Err(error) => {
                let good = lines.get(..error.valid_up_to()).unwrap_or_default();
                let whole = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
                let (good, faulty) = lines.split_at_checked(whole).unwrap_or((good, b""));
                (std::str::from_utf8(good).unwrap_or_default(), Some(faulty))
            }
        };
        for line in text.split_terminator('\n') {
            if line.len() > LONGEST_LINE {
                return Err(self.fault(line.as_bytes()));
            }
            self.ended += 1;
            if let Some(line) = Line::read(line).map_err(|fault| fault.at(self.ended))? {
                self.add(&line);
            }
        }
        let Some(faulty) = faulty else { return Ok(()) };
        Err(self.fault(faulty.split(|byte| *byte == b'\n').next().unwrap_or_default()))
    }

    /// What is wrong with the next line, which is too long or not UTF-8.
    fn fault(&self, line: &[u8]) -> ListError {
        let number = self.ended + 1;
        match line {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if number == 1 => ListError::Utf16,
            _ if line.len() > LONGEST_LINE => ListError::TooLong(number),
            _ => ListError::Utf8(number),
        }
    }

    fn add(&mut self, line: &Line<'_>) {
        self.lines += 1;
        if let Some(word) = doubtful(line)
            && self.warnings.len() < MAX_WARNINGS
        {
            self.warnings.push(format!(
                "line {}: \"{word}\" in it is a part of the value: options are the last words, in lower \
                 case and without white space in them, and a comment has a line of its own",
                self.ended
            ));
        }
        let until = line.options.until();
        let (first, second) = self.key.of_line(line);
        for hash in [first].into_iter().chain(second) {
            match line.options.before {
                None => self.plain.push(plain_record(hash, until)),
                Some(before) => self.dated.push(dated_record(hash, until, before)),
            }
        }
    }
}

impl fmt::Debug for ListReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListReader").field("lines", &self.lines).finish_non_exhaustive()
    }
}
