//! The value of an attribute, or the text of an element, as a URL.

use std::borrow::Cow;

use quick_xml::escape::unescape;

/// A URL, and where its fragment begins.
pub(super) struct Value<'t> {
    whole: Cow<'t, str>,
    /// The length of the URL without its fragment.
    len: usize,
    /// Where that ends in the written value.
    end: usize,
}

impl<'t> Value<'t> {
    /// Reads a value as it is written, without the blanks around it; `None` if it has an entity that XML does
    /// not define.
    pub(super) fn read(written: &'t str) -> Option<Self> {
        let is_blank = |char: char| matches!(char, ' ' | '\t' | '\r' | '\n');
        let text = written.trim_start_matches(is_blank);
        let start = written.len() - text.len();
        let text = text.trim_end_matches(is_blank);
        if !text.contains('&') {
            let len = text.find('#').unwrap_or(text.len());
            return Some(Self { whole: Cow::Borrowed(text), len, end: start + len });
        }
        let (mut whole, mut fragment, mut rest) = (String::new(), None, text);
        while !rest.is_empty() {
            let (piece, after) = first_piece(rest)?;
            let decoded = unescape(piece).ok()?;
            if let Some(at) = decoded.find('#').filter(|_| fragment.is_none()) {
                // Of a reference this is 0, which is where it begins.
                fragment = Some((whole.len() + at, text.len() - rest.len() + at));
            }
            whole.push_str(&decoded);
            rest = after;
        }
        let (len, end) = fragment.unwrap_or((whole.len(), text.len()));
        Some(Self { whole: Cow::Owned(whole), len, end: start + end })
    }

    /// The URL with its fragment.
    pub(super) fn whole(&self) -> &str {
        &self.whole
    }

    /// The URL without its fragment.
    pub(super) fn url(&self) -> &str {
        self.whole.get(..self.len).unwrap_or_default()
    }

    /// Where the URL without its fragment ends in the written value.
    pub(super) fn end(&self) -> usize {
        self.end
    }
}

/// The first reference of a text, or the text up to it.
fn first_piece(text: &str) -> Option<(&str, &str)> {
    let len = match text.starts_with('&') {
        true => text.find(';')? + 1,
        false => text.find('&').unwrap_or(text.len()),
    };
    text.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn a_value_is_decoded_and_its_end_is_where_it_is_written() {
        for (written, whole, before) in [
            ("a", "a", "a"),
            (" \na?b \t", "a?b", " \na?b"),
            ("a#b", "a#b", "a"),
            ("a?b&amp;c#d&amp;e", "a?b&c#d&e", "a?b&amp;c"),
            ("a&#38;b&#x23;c#d", "a&b#c#d", "a&#38;b"),
            ("&#35;", "#", ""),
            (
                "&#x2f;&#x2f;h/&quot;&apos;&lt;&gt;",
                "//h/\"'<>",
                "&#x2f;&#x2f;h/&quot;&apos;&lt;&gt;",
            ),
            ("", "", ""),
        ] {
            let value = Value::read(written).unwrap();
            assert_eq!(value.whole(), whole);
            assert_eq!(&written[..value.end()], before);
            assert!(whole.starts_with(value.url()) && !value.url().contains('#'));
        }
        for bad in ["&", "a&b", "&x;", "&#x110000;", "&#0;", "&amp", "&#+9;"] {
            assert!(Value::read(bad).is_none(), "{bad}");
        }
    }
}
