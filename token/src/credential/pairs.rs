//! Lists of `name=value`.

use super::found::Found;
use super::spelling::Name;

/// The value of the only pair with each of the names, if the name is spelt exactly so. `further` is another
/// separator, which only some programs use; `None` if there is none of it. The pairs are read once.
pub(super) fn one_reading_of_each<'r, const COUNT: usize>(
    pairs: impl Iterator<Item = &'r [u8]>,
    further: Option<u8>,
    names: [&[u8]; COUNT],
) -> [Found<'r>; COUNT] {
    let names = names.map(Name::new);
    let mut readings = [Reading::default(); COUNT];
    let mut note = |part, is_whole_pair| {
        let (found, value) = split_pair(part);
        let found = Name::new(found);
        for (reading, name) in readings.iter_mut().zip(&names) {
            if found.is_spelling_of(name) {
                reading.count += 1;
                reading.has_value |= value.is_some();
                if is_whole_pair && found.text == name.text {
                    reading.plain = value;
                }
            }
        }
    };
    for pair in pairs {
        match further.filter(|further| memchr::memchr(*further, pair).is_some()) {
            None => note(pair, true),
            Some(further) => pieces(pair, further).for_each(|part| note(part, false)),
        }
    }
    readings.map(Reading::found)
}

/// What is between the separators: as `slice::split`, but quick over what is long.
pub(crate) fn pieces(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let at = memchr::memchr(separator, text);
        rest = at.and_then(|at| text.get(at + 1..));
        at.map_or(Some(text), |at| text.get(..at))
    })
}

/// What the pairs so far have of a name.
#[derive(Clone, Copy, Default)]
struct Reading<'r> {
    /// How many have some spelling of it.
    count: usize,
    has_value: bool,
    /// The value of the last one that is spelt exactly so.
    plain: Option<&'r [u8]>,
}

impl<'r> Reading<'r> {
    fn found(self) -> Found<'r> {
        match (self.count, self.plain) {
            (1, Some(value)) => Found::One(value),
            // A name without `=` has no value for any program.
            (0, _) | (1, None) if !self.has_value => Found::Absent,
            _ => Found::Unusable,
        }
    }
}

/// The name and the value of a pair; no value without `=`.
pub(crate) fn split_pair(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = memchr::memchr(b'=', pair);
    match at.and_then(|at| pair.split_at_checked(at)) {
        Some((name, value)) => (name, value.get(1..)),
        None => (pair, None),
    }
}
