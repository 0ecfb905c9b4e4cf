//! An HTTP/1.1 answer, read piece by piece as it arrives.

use zeroize::Zeroizing;

use super::validators::Validators;

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// The largest number of header lines.
const MAX_LINES: usize = 256;

/// The longest line before a chunk, in bytes: 16 digits and an extension.
const MAX_CHUNK_LINE: usize = 256;

/// The answer to a fetch.
#[derive(Debug)]
pub struct Answer {
    /// The body, without what [`AnswerReader::take_body`] has taken.
    pub body: Zeroizing<Vec<u8>>,
    /// How long it may be kept according to its `Cache-Control` and `Age`, in milliseconds; `None` if it
    /// does not say.
    pub max_age: Option<u64>,
    /// What a later request may ask with, whether the answer has changed.
    pub validators: Validators,
    /// Whether the status is 304: what was fetched with the [`Validators`] of the request is still good.
    pub is_not_modified: bool,
}

/// Why an answer is refused.
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

/// Reads one answer as it arrives. Only status 200 is accepted, and 304 if the request was conditional.
pub struct AnswerReader {
    limit: usize,
    conditional: bool,
    /// An incomplete head, or an incomplete line of the chunked coding.
    pending: Vec<u8>,
    /// How many bytes of `pending` were searched for the end of the head without success.
    searched: usize,
    part: Part,
    body: Zeroizing<Vec<u8>>,
    /// How many bytes of the body have arrived.
    arrived: usize,
    max_age: Option<u64>,
    validators: Validators,
    is_not_modified: bool,
}

/// Which part of the answer comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    /// The body, with so many bytes left.
    Sized(usize),
    /// The line with the size of a chunk.
    ChunkLine,
    /// A chunk, with so many bytes left.
    Chunk(usize),
    /// The line end after a chunk.
    ChunkEnd,
    /// The trailer section after the last chunk.
    Trailer,
    Done,
}

impl AnswerReader {
    /// A reader for an answer whose body is at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            conditional: false,
            pending: Vec::new(),
            searched: 0,
            part: Part::Head,
            body: Zeroizing::default(),
            arrived: 0,
            max_age: None,
            validators: Validators::default(),
            is_not_modified: false,
        }
    }

    /// The request had [`Validators::conditions`]: 304 is an answer, too.
    #[must_use]
    pub fn conditional(mut self) -> Self {
        self.conditional = true;
        self
    }

    /// The bytes of the body that have arrived since the last call, for a caller that does not want to
    /// hold the whole of it.
    pub fn take_body(&mut self) -> Zeroizing<Vec<u8>> {
        std::mem::take(&mut self.body)
    }

    /// Takes the next bytes; returns true when the answer is complete. Bytes after it are ignored.
    ///
    /// # Errors
    /// As soon as it is certain that the answer must be refused.
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

    /// The answer, once [`AnswerReader::push`] has returned true or the connection has ended.
    ///
    /// # Errors
    /// [`AnswerError::Incomplete`].
    pub fn finish(self) -> Result<Answer, AnswerError> {
        match self.part {
            Part::Done => Ok(Answer {
                body: self.body,
                max_age: self.max_age,
                validators: self.validators,
                is_not_modified: self.is_not_modified,
            }),
            _ => Err(AnswerError::Incomplete),
        }
    }

    /// Moves at most `left` bytes to the body and returns the rest.
    fn take<'b>(&mut self, bytes: &'b [u8], left: usize) -> Result<&'b [u8], AnswerError> {
        let (part, rest) = bytes.split_at(left.min(bytes.len()));
        if self.arrived + part.len() > self.limit {
            return Err(AnswerError::TooLarge(self.limit));
        }
        self.arrived += part.len();
        self.body.extend_from_slice(part);
        Ok(rest)
    }

    /// Collects the head until it is complete; returns the bytes after it.
    fn head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], AnswerError> {
        let room = MAX_HEAD.saturating_sub(self.pending.len());
        let (part, rest) = bytes.split_at(room.min(bytes.len()));
        self.pending.extend_from_slice(part);
        // The head is parsed only when it is complete, not again for each piece.
        let Some(end) = end_of_head(&self.pending, self.searched) else {
            self.searched = self.pending.len().saturating_sub(3);
            return if rest.is_empty() { Ok(rest) } else { Err(AnswerError::Head) };
        };
        let pending = std::mem::take(&mut self.pending);
        self.searched = 0;
        let (head, behind) = pending.split_at_checked(end).ok_or(AnswerError::Incomplete)?;
        self.part = self.read_head(head)?;
        // Bytes that were collected after the head belong to the next part.
        let behind = behind.len();
        bytes.get(part.len() - behind..).ok_or(AnswerError::Incomplete)
    }

    /// Parses a complete head and returns the part that follows.
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
        // Interim answers, such as 103, come before the final one (RFC 9110 section 15.2).
        if (100..200).contains(&status) && status != 101 {
            return Ok(Part::Head);
        }
        self.is_not_modified = status == 304 && self.conditional;
        if status != 200 && !self.is_not_modified {
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
        self.validators = Validators::new(header("etag"), header("last-modified"));
        if self.is_not_modified {
            return Ok(Part::Done); // such an answer has no body, whatever its head says of one
        }
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

    /// Collects a line of the chunked coding until it is complete (RFC 9112 section 7.1); returns the
    /// bytes after it.
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
                    if size > self.limit.saturating_sub(self.arrived) {
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

/// The length of the head at the beginning of `text`, including the empty line that ends it. The first
/// `searched` bytes do not contain its end.
fn end_of_head(text: &[u8], searched: usize) -> Option<usize> {
    let rest = text.get(searched..)?;
    rest.windows(4).position(|window| window == b"\r\n\r\n").map(|at| searched + at + 4)
}

/// How long an answer may be kept according to its `Cache-Control` and `Age` headers (RFC 9111 sections
/// 5.2.2.1 and 5.1), in milliseconds; `None` without `max-age`.
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

    /// Reads an answer in pieces of `size` bytes.
    fn read_in(text: &[u8], size: usize) -> Result<Answer, AnswerError> {
        let mut reader = AnswerReader::new(LIMIT);
        for piece in text.chunks(size) {
            if reader.push(piece)? {
                break;
            }
        }
        reader.finish()
    }

    /// Reads an answer in pieces of every size: the result must always be the same.
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
    fn a_conditional_request_may_be_answered_without_a_body() {
        let text = "HTTP/1.1 304 Not Modified\r\nETag: \"b\"\r\nCache-Control: max-age=9\r\n\
                    Content-Length: 77\r\n\r\n";
        assert_eq!(read(text).unwrap_err(), AnswerError::Status(304));
        let mut reader = AnswerReader::new(LIMIT).conditional();
        assert_eq!(reader.push(text.as_bytes()), Ok(true));
        let answer = reader.finish().unwrap();
        assert!(answer.is_not_modified && answer.body.is_empty());
        assert_eq!(answer.max_age, Some(9_000));
        assert_eq!(answer.validators.conditions(), b"If-None-Match: \"b\"\r\n");
        let mut reader = AnswerReader::new(LIMIT).conditional();
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nLast-Modified: then\r\n\r\nx";
        assert_eq!(reader.push(text.as_bytes()), Ok(true));
        let answer = reader.finish().unwrap();
        assert!(!answer.is_not_modified);
        assert_eq!(answer.validators.conditions(), b"If-Modified-Since: then\r\n");
        let long = "x".repeat(1_000);
        let long = format!("HTTP/1.1 200 OK\r\nETag: {long}\r\nContent-Length: 0\r\n\r\n");
        let validators = read_in(long.as_bytes(), long.len()).unwrap().validators;
        assert!(validators.is_empty() && validators.conditions().is_empty());
    }

    #[test]
    fn a_body_that_is_taken_in_pieces_counts_as_a_whole() {
        let mut reader = AnswerReader::new(LIMIT);
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        reader.push(head.as_bytes()).unwrap();
        for _ in 0..10 {
            assert_eq!(reader.push(b"a\r\n0123456789\r\n"), Ok(false));
            assert_eq!(*reader.take_body(), b"0123456789");
        }
        assert_eq!(reader.push(b"1\r\nx\r\n"), Err(AnswerError::TooLarge(LIMIT)));
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
