//! Values that may hold variables, such as `"$uri?$1"`, taken apart as nginx does it.

/// A part of a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<T, V> {
    Text(T),
    Variable(V),
    /// What a group of the pattern that matched last has captured: `$1` to `$9`.
    Capture(usize),
}

/// The parts of a value in which nginx has found no mistake, with the names of its variables.
pub(crate) fn split(mut value: &[u8]) -> Vec<Part<&[u8], &[u8]>> {
    let mut parts = Vec::new();
    while !value.is_empty() {
        let (part, rest) = match value {
            [b'$', digit @ b'1'..=b'9', rest @ ..] => {
                (Part::Capture(usize::from(digit - b'0')), rest)
            }
            [b'$', b'{', rest @ ..] => {
                let (name, rest) = split_where(rest, |byte| byte == b'}');
                (Part::Variable(name), rest.get(1..).unwrap_or_default())
            }
            [b'$', rest @ ..] => {
                let (name, rest) =
                    split_where(rest, |byte| !byte.is_ascii_alphanumeric() && byte != b'_');
                (Part::Variable(name), rest)
            }
            _ => {
                let (text, rest) = split_where(value, |byte| byte == b'$');
                (Part::Text(text), rest)
            }
        };
        parts.push(part);
        value = rest;
    }
    parts
}

/// Splits before the first byte that `ends` the first half.
fn split_where(bytes: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| ends(*byte)).unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use super::Part::{Capture, Text, Variable};
    use super::split;

    #[test]
    fn a_value_is_taken_apart_as_nginx_does_it() {
        for (value, parts) in [
            ("", vec![]),
            ("text", vec![Text("text")]),
            ("$uri", vec![Variable("uri")]),
            ("${uri}x", vec![Variable("uri"), Text("x")]),
            ("$uri?$1$12", vec![Variable("uri"), Text("?"), Capture(1), Capture(1), Text("2")]),
            ("$0$a_1-$", vec![Variable("0"), Variable("a_1"), Text("-"), Variable("")]),
        ] {
            let expected: Vec<_> = parts
                .into_iter()
                .map(|part| match part {
                    Text(text) => Text(text.as_bytes()),
                    Variable(name) => Variable(name.as_bytes()),
                    Capture(group) => Capture(group),
                })
                .collect();
            assert_eq!(split(value.as_bytes()), expected, "{value}");
        }
    }
}
