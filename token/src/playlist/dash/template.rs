//! Templates of URLs (ISO/IEC 23009-1 section 5.3.9.4.4).

use crate::playlist::site::{Reach, Site};

/// Where a template leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TemplateReach {
    pub(super) reach: Reach,
    /// Whether it holds values of a `Representation`, which must be [plain](is_plain).
    pub(super) by_representation: bool,
}

/// Where a template leads, whatever plain values it gets, and without them: a value may be missing.
pub(super) fn reach(template: &str, site: &Site<'_>) -> TemplateReach {
    let elsewhere = TemplateReach { reach: Reach::Elsewhere, by_representation: false };
    let (mut without, mut with) = (String::new(), String::new());
    let mut by_representation = false;
    // Every second part is an identifier.
    let mut parts = template.split('$');
    loop {
        let Some(text) = parts.next() else { return elsewhere };
        without.push_str(text);
        with.push_str(text);
        let Some(identifier) = parts.next() else { break };
        if identifier.is_empty() {
            without.push('$');
            with.push('$');
            continue;
        }
        match identifier.split('%').next() {
            Some("RepresentationID" | "Bandwidth") => by_representation = true,
            Some("Number" | "Time" | "SubNumber") => {}
            _ => return elsewhere,
        }
        if !has_plain_format(identifier) {
            return elsewhere;
        }
        with.push('1');
    }
    let (without, with) = (site.reach(without.as_bytes()), site.reach(with.as_bytes()));
    let reach = match (without, with) {
        // A template that is nothing but an identifier.
        (Reach::Itself, reach) => reach,
        (one, other) if one == other => one,
        _ => Reach::Elsewhere,
    };
    TemplateReach { reach, by_representation }
}

/// Whether an identifier has no format but `%0[width]d`.
fn has_plain_format(identifier: &str) -> bool {
    match identifier.split_once('%') {
        None => true,
        Some((_, format)) => format.strip_suffix('d').is_some_and(|width| {
            width.len() <= 3 && width.bytes().all(|byte| byte.is_ascii_digit())
        }),
    }
}

/// Whether a value that is put into templates cannot change where they lead.
pub(super) fn is_plain(value: &str) -> bool {
    let is_plain = |char: char| match char.is_ascii() {
        true => char.is_ascii_alphanumeric() || "-._~=,+!@/".contains(char),
        false => char.is_alphanumeric(),
    };
    !value.starts_with('/') && value.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::{Reach, is_plain, reach};
    use crate::playlist::site::Site;

    #[test]
    fn a_template_leads_where_all_its_values_do() {
        let site = Site::new(b"http", b"h");
        let of = |template| reach(template, &site);
        for (template, expected, by_representation) in [
            ("a/$Number$.m4s", Reach::Relative, false),
            ("$Number%05d$.m4s", Reach::Relative, false),
            ("$RepresentationID$/$Time$-$SubNumber%d$.m4s", Reach::Relative, true),
            ("/$Bandwidth$.m4s", Reach::Relative, true),
            ("$Number$", Reach::Relative, false),
            ("a$$b", Reach::Relative, false),
            ("http://h/$Number$", Reach::Own, false),
            ("//h/$RepresentationID$", Reach::Relative, true),
            ("a", Reach::Relative, false),
            ("", Reach::Itself, false),
        ] {
            let found = of(template);
            assert_eq!(found.reach, expected, "{template}");
            assert_eq!(found.by_representation, by_representation, "{template}");
        }
        for elsewhere in [
            "$",
            "a$Number",
            "$Number$$",
            "$Other$",
            "$number$",
            "$Number%s$",
            "$Number%05$",
            "$Number%0999d$",
            "$Number%d%d$",
            "/$Number$/x/a",
            "/$RepresentationID$/other/a",
            "$Number$//other/a",
            "$RepresentationID$:a",
            "http$Number$://h/",
            "http://h$Number$/",
            "http://$RepresentationID$h/",
            "http://h$$/",
            "http:$Number$//h/",
            "a b$Number$",
        ] {
            assert_eq!(of(elsewhere).reach, Reach::Elsewhere, "{elsewhere}");
        }
    }

    #[test]
    fn plain_values_begin_no_host() {
        for plain in ["", "1", "v1/720p", "video=1.5,a+b", "é", "a@b"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in ["/", "/a", "//a", "a:", ":", "\\", "a b", "a?b", "a#b", "a%2f", "$", "\u{ad}"]
        {
            assert!(!is_plain(other), "{other}");
        }
    }
}
