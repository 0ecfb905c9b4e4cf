//! The target `answer`: what an upstream answers to a fetch, and the request line of one.

use token::http::{Answer, AnswerReader, request_target};

/// No answer of a fuzzing run is larger.
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

/// An answer must read the same however it arrives; a URI must give a request line of one request,
/// whose path stays below where it begins.
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
    // What is encoded once is not encoded again, and is accepted still.
    assert_eq!(request_target(&target), Some(target));
}
