//! The arguments that are put into URLs.

use crate::credential::without_arguments;

/// Arguments, written for each place where a URL stands.
pub(super) struct Arguments<'r> {
    plain: &'r [u8],
    names: Vec<&'r [u8]>,
    in_xml: Vec<u8>,
    in_template: Vec<u8>,
}

/// Where a URL stands, which decides how its characters are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    /// As it is.
    Plain,
    /// In a text or an attribute of XML: `&` is `&amp;`.
    Xml,
    /// In a template of DASH, within XML: `$` is `$$` as well.
    Template,
}

/// What stands between a URL and the arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Separator {
    /// The URL has no query.
    Question,
    /// It has one.
    Ampersand,
    /// Its query is empty, or ends with an ampersand.
    Nothing,
}

impl<'r> Arguments<'r> {
    /// `None` unless these are `name=value` between ampersands, of characters that stand in a query as they
    /// are (RFC 3986 section 3.4). `'` is left out, which ends an attribute of XML.
    pub(super) fn new(plain: &'r [u8]) -> Option<Self> {
        let has_name = |pair: &[u8]| pair.iter().position(|byte| *byte == b'=') > Some(0);
        if !is_query(plain) || !plain.split(|byte| *byte == b'&').all(has_name) {
            return None;
        }
        let name = |pair: &'r [u8]| pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let names = plain.split(|byte| *byte == b'&').map(name).collect();
        let replaced = |text: &[u8], one: u8, by: &[u8]| -> Vec<u8> {
            text.split(|byte| *byte == one).collect::<Vec<_>>().join(by)
        };
        let in_xml = replaced(plain, b'&', b"&amp;");
        let in_template = replaced(&in_xml, b'$', b"$$");
        Some(Self { plain, names, in_xml, in_template })
    }

    /// What separates them from a URL; `None` if the URL has one of them. The URL is without its fragment.
    pub(super) fn separator(&self, url: &[u8]) -> Option<Separator> {
        let Some(at) = url.iter().position(|byte| *byte == b'?') else {
            return Some(Separator::Question);
        };
        let query = url.get(at + 1..).unwrap_or_default();
        // Without arguments there is none, whatever a name may be taken for.
        if query.is_empty() {
            return Some(Separator::Nothing);
        }
        if without_arguments(query, self.names.iter().copied()).is_some() {
            return None;
        }
        Some(match query.last() {
            Some(b'&') => Separator::Nothing,
            _ => Separator::Ampersand,
        })
    }

    /// The bytes that are inserted.
    pub(super) fn written(&self, written: Written, separator: Separator) -> [&[u8]; 2] {
        let before: &[u8] = match (separator, written) {
            (Separator::Nothing, _) => b"",
            (Separator::Question, _) => b"?",
            (Separator::Ampersand, Written::Plain) => b"&",
            (Separator::Ampersand, Written::Xml | Written::Template) => b"&amp;",
        };
        let arguments = match written {
            Written::Plain => self.plain,
            Written::Xml => &self.in_xml,
            Written::Template => &self.in_template,
        };
        [before, arguments]
    }
}

fn is_query(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..]
                if byte.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@/?".contains(byte) =>
            {
                rest
            }
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Separator, Written};

    #[test]
    fn a_url_that_has_such_an_argument_gets_none() {
        let arguments = Arguments::new(b"st=x&e=1").unwrap();
        let of = |url: &str| arguments.separator(url.as_bytes());
        for url in ["a", "", "/a/b;e=1"] {
            assert_eq!(of(url), Some(Separator::Question), "{url}");
        }
        for url in ["a?b", "?x=e", "a?te=1", "a?b=?", "a?b=/e"] {
            assert_eq!(of(url), Some(Separator::Ampersand), "{url}");
        }
        for url in ["a?", "a?b&", "a?&"] {
            assert_eq!(of(url), Some(Separator::Nothing), "{url}");
        }
        for url in ["a?e=1", "a?e", "a?b&E=", "a?%73t=1", "a?b;e=1", "a?e[]=1", "a??e=1", "?st=1&b"]
        {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn arguments_are_written_for_their_place() {
        let arguments = Arguments::new(b"a=$&b=1").unwrap();
        let of = |written, separator| arguments.written(written, separator).concat();
        assert_eq!(of(Written::Plain, Separator::Question), b"?a=$&b=1");
        assert_eq!(of(Written::Xml, Separator::Ampersand), b"&amp;a=$&amp;b=1");
        assert_eq!(of(Written::Template, Separator::Nothing), b"a=$$&amp;b=1");
    }
}
