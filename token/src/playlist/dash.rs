//! DASH: URLs in an MPD (ISO/IEC 23009-1 section 5).
//!
//! A URL of an MPD is relative to the `BaseURL`s of the levels around it, and a template or segment list of a
//! level is used by all levels within. So the whole document is read before it is known which URLs lead to
//! the request's host: a relative one does if no `BaseURL` that it may be combined with leads elsewhere.

mod reading;
mod scopes;
mod template;
mod value;

use super::arguments::Written;
use super::output::Output;
use super::site::Site;
use super::unforwarded::Unforwarded;
use reading::Reading;

/// Inserts the arguments into the URLs of an MPD.
pub(super) fn forward(
    body: &[u8],
    site: &Site<'_>,
    output: &mut Output<'_>,
) -> Result<(), Unforwarded> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let start = body.len() - text.len();
    let text = core::str::from_utf8(text).map_err(|_| Unforwarded::NotRead)?;
    let document = Reading::of(text, site)?.document();
    if document.is_steered() {
        return Err(Unforwarded::Steered);
    }
    for url in document.urls() {
        let range = url.value.clone();
        let Some(value) = text.get(range.clone()).and_then(value::Value::read) else { continue };
        let Some(separator) = output.separator(value.url().as_bytes()) else { continue };
        let written = if url.is_template { Written::Template } else { Written::Xml };
        output.insert(start + range.start + value.end(), written, separator)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::playlist::{Carried, PlaylistKind, Unforwarded, forward};

    const ARGUMENTS: &str = "t=$&u=2";

    fn forwarded(body: &str) -> Result<String, Unforwarded> {
        let carried = Carried { arguments: ARGUMENTS.as_bytes(), scheme: b"https", host: b"h" };
        let found = forward(PlaylistKind::Dash, body.as_bytes(), &carried)?;
        Ok(String::from_utf8(found).unwrap())
    }

    /// An MPD with marks where it gets the arguments: `@` in texts and attributes, `~` in templates.
    #[track_caller]
    fn gets(inner: &str) {
        for (before, after) in [
            ("<MPD>", "</MPD>"),
            (
                "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<!-- a --><MPD\n a='b' >\r\n",
                "</MPD >\n",
            ),
            ("<m:MPD xmlns:m='urn:mpeg:dash:schema:mpd:2011'>", "<a b='&lt;'>&amp;</a></m:MPD>"),
        ] {
            let whole = [before, inner, after].concat();
            let found = forwarded(&whole.replace(['@', '~'], ""));
            if !inner.contains(['@', '~']) {
                assert_eq!(found, Err(Unforwarded::NoUrl), "{whole}");
                continue;
            }
            let mut found = found.unwrap_or_else(|why| panic!("{why}: {whole}"));
            for (written, mark) in [("t=$$&amp;u=2", "~"), ("t=$&amp;u=2", "@")] {
                for before in ["?", "&amp;"] {
                    found = found.replace(&[before, written].concat(), mark);
                }
            }
            assert_eq!(found, whole);
        }
    }

    /// Levels around what is in them.
    fn levels(inner: &str) -> String {
        format!("<Period><AdaptationSet>{inner}</AdaptationSet></Period>")
    }

    #[test]
    fn every_url_gets_the_arguments() {
        for inner in [
            "<BaseURL>a/@</BaseURL>",
            "<BaseURL serviceLocation='x'> \n https://h/a?b=c&amp;d@#e\n</BaseURL>",
            "<Location>https://h/a.mpd@</Location><PatchLocation ttl='1'>p@</PatchLocation>",
            "<ContentSteering defaultServiceLocation='a'>/s@</ContentSteering>",
            "<Period xlink:href='p.xml@' xlink:actuate=\"onLoad\"/>",
            "<Period l:href='//h/p@'></Period>",
            &levels(
                "<SegmentTemplate media='a-$Number%05d$.m4s~' initialization = \"i~\" index='x~' bitstreamSwitching='b~' timescale='1'/>",
            ),
            &levels(
                "<Representation id='v1'><SegmentTemplate media='$RepresentationID$/$Time$?a=$$~#x'/></Representation>",
            ),
            &levels(
                "<SegmentList><Initialization sourceURL='i@' range='0-1'/><SegmentURL media='a&#x2e;b@' index='b@' mediaRange='0-1'/></SegmentList>",
            ),
            &levels(
                "<SegmentBase><RepresentationIndex sourceURL='i@'/><BitstreamSwitching sourceURL='b@'/></SegmentBase>",
            ),
            &levels("<Representation><BaseURL>v.mp4@</BaseURL></Representation>"),
            "<x:BaseURL>a@</x:BaseURL>",
            "<baseurl>a@</baseurl>",
            "<BaseURL>a?@</BaseURL>".replace("?@", "?b@").as_str(),
        ] {
            gets(inner);
        }
        let of = |url: &str| forwarded(&format!("<MPD><BaseURL>{url}</BaseURL></MPD>")).unwrap();
        assert_eq!(of("a?"), "<MPD><BaseURL>a?t=$&amp;u=2</BaseURL></MPD>");
        assert_eq!(of("a?b"), "<MPD><BaseURL>a?b&amp;t=$&amp;u=2</BaseURL></MPD>");
    }

    #[test]
    fn what_is_no_url_of_this_host_stays() {
        for inner in [
            "",
            "a.mp4",
            "<BaseURL/>",
            "<BaseURL> </BaseURL>",
            "<BaseURL>//x/</BaseURL>",
            "<BaseURL>&#x2f;&#47;x/</BaseURL>",
            "<BaseURL>/&#9;/x/</BaseURL>",
            "<BaseURL>&amp;#47;/x y/</BaseURL>",
            "<BaseURL>a<!-- b -->c</BaseURL>",
            "<BaseURL><![CDATA[a]]></BaseURL>",
            "<BaseURL>a<b/></BaseURL>",
            "<BaseURL>a?u</BaseURL>",
            "<BaseURL>a?x&amp;u=2</BaseURL>",
            "<BaseURLs>a</BaseURLs>",
            "<Period xlink:href='urn:mpeg:dash:resolve-to-zero:2013'/>",
            "<Period xlink:href='#a'/>",
            &levels("<SegmentTemplate x:media='a' startNumber='1'/>"),
            &levels("<SegmentTemplate media='$Other$'/>"),
            &levels("<SegmentTemplate media='a$Number'/>"),
            &levels("<SegmentTemplate media='https://x/$Number$'/>"),
            &levels("<SegmentURL sourceURL='a'/><Initialization media='a'/><Event media='a'/>"),
        ] {
            gets(inner);
        }
    }

    #[test]
    fn relative_urls_lead_where_their_bases_do() {
        const FOREIGN: &str = "<BaseURL>https://x/</BaseURL>";
        const OWN: &str = "<BaseURL>https://h/o/@</BaseURL>";
        let template = |mark: &str| format!("<SegmentTemplate media='$Number${mark}'/>");
        let (yes, no) = (&*template("~"), &*template(""));
        let set = |inner: &[&str]| format!("<AdaptationSet>{}</AdaptationSet>", inner.concat());
        let period = |inner: &[&str]| format!("<Period>{}</Period>", inner.concat());
        let item = |inner: &[&str]| format!("<Representation>{}</Representation>", inner.concat());
        for inner in [
            // Above, before and behind.
            [FOREIGN, &period(&[&set(&[no, &item(&[no, "<BaseURL>a</BaseURL>"])])])].concat(),
            [&*period(&[&set(&[no])]), FOREIGN].concat(),
            period(&[FOREIGN, &set(&[&item(&[no])])]) + &period(&[&set(&[yes])]),
            period(&[&set(&[no, FOREIGN])]) + &period(&[&set(&[&item(&[yes])])]),
            // One of several.
            [OWN, FOREIGN, &period(&[&set(&[no])])].concat(),
            [FOREIGN, "<BaseURL>a@</BaseURL>", &period(&[&set(&[no])])].concat(),
            // A level uses the templates of the levels around it.
            period(&[&set(&[no, &item(&[FOREIGN]), &item(&[yes])])]),
            period(&[no, &set(&[no, &item(&[FOREIGN])]), &set(&[yes])]),
            period(&["<SegmentList><SegmentURL media='a'/></SegmentList>", &set(&[FOREIGN])]),
            period(&["<x><SegmentTemplate media='a'/></x>", &set(&[FOREIGN])]),
            period(&[&set(&[
                "<SegmentBase><Initialization sourceURL='a'/></SegmentBase>",
                &item(&[FOREIGN]),
            ])]),
            // Back to this host.
            [FOREIGN, &period(&[OWN, &set(&[yes])])].concat(),
            [FOREIGN, &period(&[no, &set(&[OWN, &item(&[yes, "<BaseURL>a@</BaseURL>"])])])]
                .concat(),
            // Absolute ones lead where they say.
            [FOREIGN, &period(&[&set(&["<SegmentTemplate media='https://h/$Number$~'/>"])])]
                .concat(),
            [FOREIGN, "<Period><BaseURL>//h/</BaseURL></Period>"].concat(),
            // What is no base of one reading.
            ["<BaseURL>a<!-- b --></BaseURL>", &period(&[&set(&[no])])].concat(),
            ["<BASEURL>//x/</BASEURL>", &period(&[&set(&[no])])].concat(),
            // What is replaced by another document.
            period(&[
                no,
                &format!("<AdaptationSet xlink:href='a@'>{no}</AdaptationSet>"),
                &set(&[yes]),
            ]),
            period(&[no, &format!("<AdaptationSet xlink:href='//x/a'>{no}</AdaptationSet>")]),
            // Some players take it for the document's URL.
            ["<Location>https://x/</Location>", &period(&[&set(&[no])]), "<BaseURL>a</BaseURL>"]
                .concat(),
            [
                "<Location>https://x/</Location>",
                OWN,
                "<Location>a</Location>",
                &period(&[&set(&[yes])]),
            ]
            .concat(),
            [FOREIGN, "<Location>a</Location>"].concat(),
        ] {
            gets(&inner);
        }
    }

    #[test]
    fn values_of_a_representation_begin_no_host() {
        for (attributes, mark) in [
            ("id='v1' bandwidth='1'", "~"),
            ("", "~"),
            ("id='a/b'", "~"),
            ("id='https://x/'", ""),
            ("id='//x'", ""),
            ("id='/x'", ""),
            ("id='&#47;x'", ""),
            ("id='a:b'", ""),
            ("id='&x;'", ""),
            ("bandwidth='//x'", ""),
        ] {
            for template in ["$RepresentationID$/$Number$", "a$Bandwidth$"] {
                let template = format!("<SegmentTemplate media='{template}{mark}'/>");
                let other = "<SegmentTemplate media='$Number$~'/>";
                gets(&levels(&format!("{template}{other}<Representation {attributes}/>")));
                gets(&levels(&format!(
                    "<Representation {attributes}>{other}{template}</Representation>"
                )));
            }
        }
    }

    #[test]
    fn another_host_that_steers_gets_nothing() {
        for inner in [
            "<ContentSteering>https://x/</ContentSteering>",
            "<ContentSteering/>",
            "<ContentSteering><![CDATA[a]]></ContentSteering>",
            "<PatchLocation>https://x/</PatchLocation>",
            "<PatchLocation>a</PatchLocation><BaseURL>https://x/</BaseURL>",
            "<ContentSteering>a</ContentSteering><Location>https://x/</Location>",
        ] {
            let body = format!("<MPD>{inner}<Period><BaseURL>https://h/a</BaseURL></Period></MPD>");
            assert_eq!(forwarded(&body), Err(Unforwarded::Steered), "{inner}");
        }
    }

    #[test]
    fn what_is_no_mpd_stays() {
        let base = "<BaseURL>a</BaseURL>";
        for body in [
            "",
            "a",
            base,
            "<MPD/>",
            &format!("<Period>{base}</Period>"),
            &format!("<MPD>{base}"),
            &format!("<MPD>{base}</MPD><MPD></MPD>"),
            &format!("<MPD>{base}</mpd>"),
            &format!("<MPD a='1' a='2'>{base}</MPD>"),
            &format!("<MPD a=1>{base}</MPD>"),
            &format!("<MPD>{base}<!-- a -- b --></MPD>"),
            &format!("<!DOCTYPE MPD><MPD>{base}</MPD>"),
            &format!("<!DOCTYPE MPD [<!ENTITY a 'b'>]><MPD>{base}</MPD>"),
            &format!("<?xml version='1.0' encoding='utf-16'?><MPD>{base}</MPD>"),
            &format!("<?xml version='1.0' encoding='iso-8859-1'?><MPD>{base}</MPD>"),
            &format!("<MPD>{base}<a>&</a></MPD>"),
            &format!("<MPD>{base}{}{}</MPD>", "<a>".repeat(64), "</a>".repeat(64)),
            &format!("<MPD>{}", "<a>".repeat(1_000_000)),
        ] {
            let shown: String = body.chars().take(80).collect();
            assert_eq!(forwarded(body), Err(Unforwarded::NotRead), "{shown}");
        }
        let deep = format!("<MPD>{base}{}{}</MPD>", "<a>".repeat(63), "</a>".repeat(63));
        assert!(forwarded(&deep).is_ok());
        let carried = Carried { arguments: b"t=1", scheme: b"https", host: b"h" };
        let latin = [b"<MPD><BaseURL>a</BaseURL>", &b"\xe9</MPD>"[..]].concat();
        assert_eq!(forward(PlaylistKind::Dash, &latin, &carried), Err(Unforwarded::NotRead));
    }

    #[test]
    fn what_simple_readers_see_in_another_way_is_not_read() {
        let template = "<Period><SegmentTemplate media=\"$Number$\"/></Period>";
        let evil = "<BaseURL>https://evil/</BaseURL>";
        assert!(forwarded(&format!("<MPD><!-- a --><?b c?>{template}</MPD>")).is_ok());
        for inner in [
            format!("<!-->{evil}<y a=\"-->\"/>{template}"),
            format!("<!-- {evil} -->{template}"),
            format!("<?x></?x>{evil}<y a=\"?>\"/>{template}"),
            format!("<![CDATA[{evil}]]>{template}"),
            format!("{template}<MPDz _=\"/>\">{evil}</MPDz>"),
            format!("{template}<z _=\"a\"/>"),
            format!("<z _=\"/>{evil}<w a=\"/><v b=\"\"/>{template}"),
            format!("{template}<z a=\"&gt;>\"/>"),
            template.replace("<Period", "<Period xml:base=\"https://evil/\""),
        ] {
            let found = forwarded(&format!("<MPD>{inner}</MPD>"));
            assert_eq!(found, Err(Unforwarded::NotRead), "{inner}");
        }
        // What nobody knows here may count for the level around it.
        let unknown = forwarded(&format!("<MPD><z>{evil}</z>{template}</MPD>"));
        assert_eq!(unknown, Err(Unforwarded::NoUrl));
        let proxied = |host: &str| {
            let steering =
                format!("<ContentSteering proxyServerURL=\"{host}/p\">/s</ContentSteering>");
            forwarded(&format!("<MPD>{steering}{template}</MPD>"))
        };
        assert_eq!(proxied("https://evil"), Err(Unforwarded::Steered));
        assert!(proxied("https://h").is_ok());
    }
}
