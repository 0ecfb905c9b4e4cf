//! Lists of `name=value`.

use super::found::Found;
use super::spelling::is_spelling;

/// The value of the only pair with that name, if the name is spelt exactly so. `further` is another
/// separator, which only some programs use.
pub(super) fn one_reading<'r>(
    pairs: impl Iterator<Item = &'r [u8]>,
    further: u8,
    name: &[u8],
) -> Found<'r> {
    let (mut count, mut has_value, mut plain) = (0, false, None);
    for pair in pairs {
        for (place, part) in pair.split(|byte| *byte == further).enumerate() {
            let (found, value) = split_pair(part);
            if !is_spelling(found, name) {
                continue;
            }
            count += 1;
            has_value |= value.is_some();
            if place == 0 && found == name && !pair.contains(&further) {
                plain = value;
            }
        }
    }
    match (count, plain) {
        (1, Some(value)) => Found::One(value),
        // A name without `=` has no value for any program.
        (0, _) | (1, None) if !has_value => Found::Absent,
        _ => Found::Unusable,
    }
}

/// The name and the value of a pair; no value without `=`.
fn split_pair(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = pair.iter().position(|byte| *byte == b'=');
    match at.and_then(|at| pair.split_at_checked(at)) {
        Some((name, value)) => (name, value.get(1..)),
        None => (pair, None),
    }
}
