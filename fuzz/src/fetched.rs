//! The target `answer`: an upstream's answer to a fetch, and the request line of a fetch.

use token::http::{Answer, AnswerReader, request_target};

/// The largest answer in a fuzzing run.
const LIMIT: usize = 4096;

/// Reads an answer that arrives in pieces of `size` bytes.
fn read(answer: &[u8], size: usize) -> Result<Answer, String> {
    let mut reader = AnswerReader::new(LIMIT);
    for piece in answer.chunks(size) {
        if reader.push(piece).map_err(|error| error.to_string())? {
            break;
        }
    }
    reader.finish().map_err(|error| error.to_string())
}

/// An answer must give the same result however it is split into pieces. A URI must give the request
/// line of exactly one request, whose path has no `..`.
pub fn answer(input: &[u8]) {
    let whole = read(input, input.len().max(1));
    for size in [1, 2, 7, 1000] {
        match (&whole, read(input, size)) {
            (Ok(one), Ok(other)) => {
                assert_eq!(*one.body, *other.body);
                assert_eq!(one.max_age, other.max_age);
                assert!(one.body.len() <= LIMIT);
            }
            (Err(one), Err(other)) => assert_eq!(*one, other),
            (one, other) => panic!("{:?} whole, {:?} in {size}", one.is_ok(), other.is_ok()),
        }
    }
    let Some(target) = request_target(input) else { return };
    assert!(target.starts_with(b"/"));
    assert!(target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#'));
    // An encoded target is accepted and not encoded again.
    assert_eq!(request_target(&target), Some(target));
}
