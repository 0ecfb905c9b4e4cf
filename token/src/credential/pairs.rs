//! Lists of `name=value`.

use super::found::Found;
use super::spelling::may_be_called;

/// The value of the one pair called `name`, if that is how it is spelt. `further` is a separator that
/// some readers know and some do not.
pub(super) fn one_reading<'r>(
    pairs: impl Iterator<Item = &'r [u8]>,
    further: u8,
    name: &[u8],
) -> Found<'r> {
    let (mut count, mut has_value, mut plain) = (0, false, None);
    for pair in pairs {
        for (place, part) in pair.split(|byte| *byte == further).enumerate() {
            let (found, value) = split_pair(part);
            if !may_be_called(found, name) {
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
        // The name alone gives nobody a value.
        (0, _) | (1, None) if !has_value => Found::Absent,
        _ => Found::Unusable,
    }
}

/// Name and value; no value where there is no `=`.
fn split_pair(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = pair.iter().position(|byte| *byte == b'=');
    match at.and_then(|at| pair.split_at_checked(at)) {
        Some((name, value)) => (name, value.get(1..)),
        None => (pair, None),
    }
}
