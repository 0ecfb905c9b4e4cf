//! An answer that is read piece by piece as it arrives.

use zeroize::Zeroizing;

/// How large the head of an answer may be, interim answers included, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// How many header lines an answer may have.
const MAX_LINES: usize = 256;

/// How long the line in front of a chunk may be: 16 digits and an extension.
const MAX_CHUNK_LINE: usize = 256;

/// What a fetch has brought.
#[derive(Debug)]
pub struct Answer {
    /// The body, whole.
    pub body: Zeroizing<Vec<u8>>,
    /// How long it may be kept by its `Cache-Control` and `Age`, in milliseconds.
    pub max_age: Option<u64>,
}

/// Why an answer is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[allow(missing_docs)] // the messages are the documentation
pub enum AnswerError {
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the answer is not complete")]
    Incomplete,
    #[error("the answer has Content-Encoding {0}, which was not asked for")]
    Encoded(String),
    #[error(
        "the head of the answer is larger than {MAX_HEAD} bytes or has more than {MAX_LINES} lines"
    )]
    Head,
    #[error("the answer is not HTTP: {0}")]
    Malformed(&'static str),
    #[error(
        "nothing marks the end of the answer, so it may be cut off: does the location say \
         chunked_transfer_encoding off?"
    )]
    Unmarked,
}

/// Reads one answer with status 200 as it arrives.
pub struct AnswerReader {
    limit: usize,
    /// What has not been understood yet: the head, or the line in front of a chunk.
    pending: Vec<u8>,
    /// How much of the head has been looked at in vain.
    head: usize,
    part: Part,
    body: Zeroizing<Vec<u8>>,
    max_age: Option<u64>,
}

/// Which part of the answer comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    /// A body of so many more bytes.
    Sized(usize),
    /// The line in front of a chunk.
    ChunkLine,
    /// So many more bytes of a chunk.
    Chunk(usize),
    /// The line end behind a chunk.
    ChunkEnd,
    /// What follows the last chunk.
    Trailer,
    Done,
}

impl AnswerReader {
    /// A reader for an answer whose body is at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            pending: Vec::new(),
            head: 0,
            part: Part::Head,
            body: Zeroizing::default(),
            max_age: None,
        }
    }

    /// Takes what has arrived; true once the answer is whole. What comes after it is ignored.
    ///
    /// # Errors
    /// As soon as the answer cannot be taken any more, whatever follows.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, AnswerError> {
        let mut bytes = bytes;
        while self.part != Part::Done {
            let before = (bytes.len(), self.part);
            bytes = match self.part {
                Part::Head => self.head(bytes)?,
                Part::Sized(left) => {
                    let rest = self.take(bytes, left)?;
                    let left = left - (bytes.len() - rest.len());
                    self.part = if left == 0 { Part::Done } else { Part::Sized(left) };
                    rest
                }
                Part::Chunk(left) => {
                    let rest = self.take(bytes, left)?;
                    let left = left - (bytes.len() - rest.len());
                    self.part = if left == 0 { Part::ChunkEnd } else { Part::Chunk(left) };
                    rest
                }
                Part::ChunkLine | Part::ChunkEnd | Part::Trailer => self.line(bytes)?,
                Part::Done => bytes,
            };
            if (bytes.len(), self.part) == before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The answer, after [`AnswerReader::push`] has said that it is whole or the connection is at
    /// its end.
    ///
    /// # Errors
    /// [`AnswerError::Incomplete`].
    pub fn finish(self) -> Result<Answer, AnswerError> {
        match self.part {
            Part::Done => Ok(Answer { body: self.body, max_age: self.max_age }),
            _ => Err(AnswerError::Incomplete),
        }
    }

    /// Moves at most `left` bytes to the body and gives what is behind them.
    fn take<'b>(&mut self, bytes: &'b [u8], left: usize) -> Result<&'b [u8], AnswerError> {
        let (part, rest) = bytes.split_at(left.min(bytes.len()));
        if self.body.len() + part.len() > self.limit {
            return Err(AnswerError::TooLarge(self.limit));
        }
        self.body.extend_from_slice(part);
        Ok(rest)
    }

    /// Collects the head until it is whole.
    fn head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], AnswerError> {
        let room = MAX_HEAD.saturating_sub(self.pending.len());
        let (part, rest) = bytes.split_at(room.min(bytes.len()));
        self.pending.extend_from_slice(part);
        // A head is parsed once its end is there, not once for each piece.
        let Some(end) = end_of_head(&self.pending, self.head) else {
            self.head = self.pending.len().saturating_sub(3);
            return if rest.is_empty() { Ok(rest) } else { Err(AnswerError::Head) };
        };
        let pending = std::mem::take(&mut self.pending);
        self.head = 0;
        let (head, behind) = pending.split_at_checked(end).ok_or(AnswerError::Incomplete)?;
        self.part = self.read_head(head)?;
        // What was collected beyond the head belongs to what comes next.
        let behind = behind.len();
        bytes.get(part.len() - behind..).ok_or(AnswerError::Incomplete)
    }

    /// Reads a whole head, and tells what comes next.
    fn read_head(&mut self, head: &[u8]) -> Result<Part, AnswerError> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
        let mut answer = httparse::Response::new(&mut lines);
        match answer.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(AnswerError::Incomplete),
            Err(httparse::Error::TooManyHeaders) => return Err(AnswerError::Head),
            Err(_) => return Err(AnswerError::Malformed("its head cannot be read")),
        }
        let status = answer.code.unwrap_or_default();
        // Interim answers, such as 103, come before the one that counts (RFC 9110 section 15.2).
        if (100..200).contains(&status) && status != 101 {
            return Ok(Part::Head);
        }
        if status != 200 {
            return Err(AnswerError::Status(status));
        }
        let header = |name: &str| {
            let mut lines = answer.headers.iter();
            lines.find(|line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value)
        };
        if let Some(encoding) = header("content-encoding")
            && !encoding.eq_ignore_ascii_case(b"identity")
        {
            return Err(AnswerError::Encoded(encoding.escape_ascii().to_string()));
        }
        let control = header("cache-control").unwrap_or_default();
        self.max_age = max_age(control, header("age").unwrap_or_default());
        if let Some(coding) = header("transfer-encoding") {
            return match coding.eq_ignore_ascii_case(b"chunked") {
                true => Ok(Part::ChunkLine),
                false => Err(AnswerError::Malformed("its Transfer-Encoding is not chunked")),
            };
        }
        let Some(length) = header("content-length") else { return Err(AnswerError::Unmarked) };
        match core::str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok()) {
            Some(0) => Ok(Part::Done),
            Some(length) if length <= self.limit => Ok(Part::Sized(length)),
            Some(_) => Err(AnswerError::TooLarge(self.limit)),
            None => Err(AnswerError::Malformed("its Content-Length is no number")),
        }
    }

    /// Collects a line of the chunked coding until it is whole (RFC 9112 section 7.1).
    fn line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], AnswerError> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let (part, rest) = bytes.split_at(end);
        self.pending.extend_from_slice(part);
        let limit = if self.part == Part::Trailer { MAX_HEAD } else { MAX_CHUNK_LINE };
        if self.pending.len() > limit {
            return Err(AnswerError::Malformed("a line of its chunked coding is too long"));
        }
        if !self.pending.ends_with(b"\n") {
            return Ok(rest);
        }
        let line = std::mem::take(&mut self.pending);
        let empty = line == b"\r\n";
        self.part = match self.part {
            Part::ChunkEnd if empty => Part::ChunkLine,
            Part::ChunkLine => match httparse::parse_chunk_size(&line) {
                Ok(httparse::Status::Complete((_, 0))) => Part::Trailer,
                Ok(httparse::Status::Complete((_, size))) => {
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    if size > self.limit.saturating_sub(self.body.len()) {
                        return Err(AnswerError::TooLarge(self.limit));
                    }
                    Part::Chunk(size)
                }
                _ => return Err(AnswerError::Malformed("a chunk has no size")),
            },
            Part::Trailer if empty => Part::Done,
            Part::Trailer => Part::Trailer,
            _ => return Err(AnswerError::Malformed("a chunk is longer than it says")),
        };
        Ok(rest)
    }
}

/// Where the head ends that begins the text: behind its first empty line. The first `seen` bytes
/// hold no end.
fn end_of_head(text: &[u8], seen: usize) -> Option<usize> {
    let rest = text.get(seen..)?;
    rest.windows(4).position(|window| window == b"\r\n\r\n").map(|at| seen + at + 4)
}

/// How long an answer may be kept by its `Cache-Control` and `Age` headers (RFC 9111 sections
/// 5.2.2.1 and 5.1), in milliseconds; `None` where it names no `max-age`.
fn max_age(cache_control: &[u8], age: &[u8]) -> Option<u64> {
    let seconds = |text: &str| text.trim().trim_matches('"').parse::<u64>().ok();
    let directives = core::str::from_utf8(cache_control).ok()?.split(',');
    let max_age = directives
        .filter_map(|directive| directive.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))
        .and_then(|(_, value)| seconds(value))?;
    let age = core::str::from_utf8(age).ok().and_then(seconds).unwrap_or(0);
    Some(max_age.saturating_sub(age).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100;

    /// Reads an answer that arrives in pieces of `size` bytes.
    fn read_in(text: &[u8], size: usize) -> Result<Answer, AnswerError> {
        let mut reader = AnswerReader::new(LIMIT);
        for piece in text.chunks(size) {
            if reader.push(piece)? {
                break;
            }
        }
        reader.finish()
    }

    /// The answer, which must be the same whatever the pieces that it arrives in.
    fn read(text: &str) -> Result<Answer, AnswerError> {
        let whole = read_in(text.as_bytes(), text.len().max(1));
        for size in 1..=text.len().min(80) {
            let pieces = read_in(text.as_bytes(), size);
            match (&whole, &pieces) {
                (Ok(one), Ok(other)) => assert_eq!(one.body, other.body, "{size}: {text:?}"),
                (one, other) => assert_eq!(one.as_ref().err(), other.as_ref().err(), "{size}"),
            }
        }
        whole
    }

    fn body(text: &str) -> Vec<u8> {
        read(text).unwrap().body.to_vec()
    }

    #[test]
    fn a_sized_and_a_chunked_body_arrive_whole() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"), b"abc");
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), b"");
        let chunks = "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\nmore";
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(body(&format!("{head}{chunks}")), b"abc0123456789");
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(body(&format!("{interim}{head}0\r\n\r\n")), b"");
    }

    #[test]
    fn what_may_be_cut_off_is_not_taken() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        ] {
            assert_eq!(read(text).unwrap_err(), AnswerError::Incomplete, "{text:?}");
        }
        let unmarked = read("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
        assert_eq!(unmarked.unwrap_err(), AnswerError::Unmarked);
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_has_arrived() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff0\r\n".to_owned(),
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{}\r\n1\r\n",
                "x".repeat(100)
            ),
        ] {
            assert_eq!(read(&text).unwrap_err(), AnswerError::TooLarge(LIMIT), "{text:?}");
        }
        let mut reader = AnswerReader::new(LIMIT);
        let endless = || std::iter::repeat_n(&b"X: y\r\n"[..], MAX_HEAD);
        let read = endless().try_for_each(|line| reader.push(line).map(drop));
        assert_eq!(read.unwrap_err(), AnswerError::Head);
        assert!(reader.pending.len() <= MAX_HEAD);
        let head = "X: y\r\n".repeat(MAX_LINES + 1);
        let mut reader = AnswerReader::new(LIMIT);
        let read = reader.push(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes());
        assert_eq!(read.unwrap_err(), AnswerError::Head);
        let mut reader = AnswerReader::new(LIMIT);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(reader.push(chunked.as_bytes()), Ok(false));
        assert!(reader.push(&[b'0'; MAX_CHUNK_LINE + 1]).is_err());
    }

    #[test]
    fn another_status_or_coding_is_told() {
        for status in [101, 204, 206, 301, 304, 404, 503] {
            let read = read(&format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nabc"));
            assert_eq!(read.unwrap_err(), AnswerError::Status(status));
        }
        let gzip = read("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(gzip.unwrap_err(), AnswerError::Encoded("gzip".to_owned()));
        for text in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(matches!(read(text), Err(AnswerError::Malformed(_))), "{text:?}");
        }
    }

    #[test]
    fn the_time_that_an_answer_may_be_kept_comes_with_it() {
        let text =
            "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nAge: 10\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(text).unwrap().max_age, Some(50_000));
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(text).unwrap().max_age, None);
    }

    #[test]
    fn cache_control_is_read_as_rfc_9111_writes_it() {
        for (header, age, want) in [
            ("max-age=300", "", Some(300_000)),
            ("public, Max-Age=300, must-revalidate", "100", Some(200_000)),
            ("max-age=\"300\"", "", Some(300_000)),
            ("max-age=10", "20", Some(0)),
            ("s-maxage=10", "", None),
            ("no-cache, no-store", "", None),
            ("max-age=ten", "", None),
            ("", "", None),
        ] {
            assert_eq!(max_age(header.as_bytes(), age.as_bytes()), want, "{header}");
        }
    }
}
