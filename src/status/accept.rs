//! Which format the client wants (RFC 9110 section 12.5.1).

use super::report::Format;

/// The formats, and the media types by which they are asked for. Of those that a client wants equally
/// the first one is sent: so programs that accept anything get the text for Prometheus.
const OFFERS: [(Format, &[&str]); 3] = [
    (Format::Prometheus, &["text/plain", "application/openmetrics-text"]),
    (Format::Html, &["text/html"]),
    (Format::Json, &["application/json"]),
];

/// The format that `format=` in the query names; the error is for a name that there is not.
pub(super) fn named(query: &[u8]) -> Result<Option<Format>, ()> {
    let mut arguments = query.split(|byte| *byte == b'&');
    match arguments.find_map(|argument| argument.strip_prefix(b"format=")) {
        None => Ok(None),
        Some(name) => Format::from_name(name).map(Some).ok_or(()),
    }
}

/// The format that the values of `Accept` prefer; the first one if they accept none.
pub(super) fn preferred<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Format {
    let ranges: Vec<Range<'_>> = accept
        .filter_map(|value| core::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::read)
        .collect();
    let mut best = (Format::Prometheus, 0);
    for (format, types) in OFFERS {
        let quality = types.iter().map(|name| quality(&ranges, name)).max().unwrap_or(0);
        if quality > best.1 {
            best = (format, quality);
        }
    }
    best.0
}

/// A media range, and its quality in thousandths.
struct Range<'a> {
    name: &'a str,
    quality: u32,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next()?;
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map(|value| {
            let value = value.parse().unwrap_or(0.0_f32).clamp(0.0, 1.0);
            // Between 0 and 1000.
            (value * 1000.0) as u32
        });
        Some(Self { name, quality: quality.unwrap_or(1000) })
    }
}

/// The quality that `ranges` give a media type: that of the most specific one that has it.
fn quality(ranges: &[Range<'_>], name: &str) -> u32 {
    let kind = name.split('/').next().unwrap_or_default();
    let of = |wanted: &dyn Fn(&str) -> bool| {
        ranges.iter().find(|range| wanted(range.name)).map(|range| range.quality)
    };
    of(&|range| range.eq_ignore_ascii_case(name))
        .or_else(|| of(&|range| range.strip_suffix("/*") == Some(kind)))
        .or_else(|| of(&|range| range == "*/*"))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_programs_and_scrapers_get_what_they_read() {
        for (accept, format) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Html),
            ("*/*", Format::Prometheus),
            ("", Format::Prometheus),
            ("application/json", Format::Json),
            ("application/json, text/plain, */*", Format::Prometheus),
            ("application/json, text/html;q=0.9", Format::Json),
            ("text/*;q=0.5, application/json;q=0.6", Format::Json),
            ("TEXT/HTML", Format::Html),
            ("image/png", Format::Prometheus),
            ("text/html;q=x", Format::Prometheus),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1",
                Format::Prometheus,
            ),
            ("text/plain;q=0.3, text/html;q=0.3, application/json;q=0.2", Format::Prometheus),
        ] {
            let found = preferred(std::iter::once(accept.as_bytes()));
            assert_eq!(found, format, "{accept}");
        }
        assert_eq!(preferred(std::iter::empty()), Format::Prometheus);
    }

    #[test]
    fn the_query_names_a_format() {
        assert_eq!(named(b"format=json"), Ok(Some(Format::Json)));
        assert_eq!(named(b"a=b&format=html&format=json"), Ok(Some(Format::Html)));
        assert_eq!(named(b"a=b"), Ok(None));
        assert_eq!(named(b"format=xml"), Err(()));
        assert_eq!(named(b"format="), Err(()));
    }
}
