//! Values that may contain variables, such as `"$uri?$1"`, split into parts as nginx does it.

use core::ptr;

use ngx::ffi::{ngx_conf_t, ngx_http_get_variable_index, ngx_uint_t};
use zeroize::Zeroizing;

use super::pool::allocate;
use super::string::string;

/// A value with variables, parsed when the configuration is read.
///
/// nginx's own (`ngx_http_complex_value_t`) evaluates each variable twice, for its length and for its
/// bytes, and a `map` in the value can change the `$1` next to it. Here each variable is evaluated
/// once, by [`Request::evaluate`](super::Request::evaluate).
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComplexValue(ptr::NonNull<[ValuePart]>);

/// A part of a value: text, which may be a secret (`secure_token_md5`), the index of a variable, or a
/// capture.
pub(super) type ValuePart = Part<Zeroizing<Box<[u8]>>, ngx_uint_t>;

impl ComplexValue {
    /// A value that nginx has checked. `None` if nginx is out of memory.
    ///
    /// # Safety
    /// `cf` must be what nginx passes to a directive. The value must not be used after the
    /// configuration is gone.
    pub(super) unsafe fn new(cf: *mut ngx_conf_t, value: &[u8]) -> Option<Self> {
        let index = |name| {
            let mut name = string(name);
            // SAFETY: by the contract of this function; nginx copies the name.
            let index = unsafe { ngx_http_get_variable_index(cf, &raw mut name) };
            ngx_uint_t::try_from(index).ok()
        };
        let parts = split(value).into_iter().map(|part| {
            Some(match part {
                Part::Text(text) => Part::Text(Zeroizing::new(text.into())),
                Part::Variable(name) => Part::Variable(index(name)?),
                Part::Capture(group) => Part::Capture(group),
            })
        });
        let parts: Box<[ValuePart]> = parts.collect::<Option<_>>()?;
        // SAFETY: the pool is valid, and lives as long as the configuration.
        let parts = unsafe { allocate((*cf).pool, parts).as_mut() }?;
        Some(Self(ptr::NonNull::from(&mut **parts)))
    }

    /// The parts; none for the empty value.
    pub(super) fn parts<'c>(self) -> &'c [ValuePart] {
        // SAFETY: `new` allocated them and nothing writes to them. By the contract of `new` nobody uses
        // the value after the configuration is gone.
        unsafe { self.0.as_ref() }
    }

    /// Whether it must be evaluated for each request.
    pub(crate) fn has_variables(&self) -> bool {
        self.parts().iter().any(|part| !matches!(part, Part::Text(_)))
    }
}

/// Two values are the same if they consist of the same parts.
impl PartialEq for ComplexValue {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

/// The names of the variables in a value, written as `$name` or `${name}`.
pub(crate) fn variables(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(value).into_iter().filter_map(|part| match part {
        Part::Variable(name) => Some(name),
        Part::Text(_) | Part::Capture(_) => None,
    })
}

/// A part of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<T, V> {
    Text(T),
    Variable(V),
    /// A capture of the last pattern that matched: `$1` to `$9`.
    Capture(usize),
}

/// The parts of a value that nginx has checked, with the names of its variables.
fn split(mut value: &[u8]) -> Vec<Part<&[u8], &[u8]>> {
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

/// Splits before the first byte for which `ends` is true.
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
