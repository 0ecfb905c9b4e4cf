//! Which URLs get the arguments. The core's own tests have all of them; here they meet a real request.

use anyhow::{Result, ensure};
use module_tests::{Behaviour, Provider};

use super::{answer, arguments, proxied};

/// Asks for this playlist of this type, and compares with it where `@` are the arguments.
fn is_as_marked(kind: &str, marked: &str, host: &str) -> Result<()> {
    let body = marked.replace("?@", "").replace("&@", "").replace("&amp;@", "");
    let head = format!("Content-Type: {kind}\nContent-Length: {}", body.len());
    let provider = Provider::start(Behaviour::Raw(answer(&head, &body)))?;
    let nginx = proxied(&provider, "").start()?;
    let arguments = arguments("/vod/a/");
    let request = nginx.request().host(host).target(format!("/vod/a/x?{arguments}"));
    let found = request.send()?;
    let in_xml = arguments.replace('&', "&amp;");
    let written = if kind.contains("xml") { &in_xml } else { &arguments };
    let mark = |text: String, by: &str| text.replace(&format!("{by}@"), &format!("{by}{written}"));
    let expected = ["?", "&", "&amp;"].into_iter().fold(marked.to_owned(), mark);
    ensure!(*found.text() == *expected, "{kind}: {}\nand not\n{expected}", found.text());
    nginx.finish()
}

#[test]
fn every_type_of_playlist_is_one() -> Result<()> {
    for kind in [
        "application/vnd.apple.mpegurl",
        "application/x-mpegURL",
        "audio/mpegurl; charset=UTF-8",
        "Audio/X-MPEGURL",
    ] {
        is_as_marked(kind, "#EXTM3U\na?@\n", "h")?;
    }
    is_as_marked("application/dash+xml", "<MPD><BaseURL>a/?@</BaseURL></MPD>", "h")?;
    for other in ["text/plain", "application/octet-stream", "application/xml", "video/mp2t"] {
        is_as_marked(other, "#EXTM3U\na\n", "h")?;
    }
    Ok(())
}

#[test]
fn the_host_is_that_of_the_request() -> Result<()> {
    for (host, url) in [
        ("h", "http://h/a?@"),
        ("h", "//h/a?@"),
        ("h", "https://h/a?@"),
        ("H:80", "http://h/a?@"),
        ("h:8080", "http://h:8080/a?@"),
        ("[::1]:81", "http://[::1]:81/a?@"),
        ("h:8080", "http://h/a"),
        ("h", "http://x/a"),
        ("h", "//x/a"),
        ("h", "http://h@x/a"),
        ("h", "///x/a"),
        ("h", "/\\x/a"),
        ("h", "https:a"),
    ] {
        is_as_marked("audio/mpegurl", &format!("#EXTM3U\nb?@\n{url}\n"), host)?;
    }
    Ok(())
}

#[test]
fn all_other_bytes_stay() -> Result<()> {
    let long = "l".repeat(200_000);
    for playlist in [
        "\u{feff}#EXTM3U\r\n#EXT-X-KEY:METHOD=AES-128,URI=\"k?@\",X=\"a,URI=b\"\r\n\r\n#EXTINF:1,a \"b\"\r\n a?@ \r\nb?@#c",
        "#EXTM3U\n#EXT-X-MEDIA:NAME=\"a\",URI=\"b?@\"\n#EXT-X-STREAM-INF:A=\"\nc?d=e&@\n{$v}/f\na b\n#EXT-X-KEY:URI=\"g\"h\n",
        &format!("#EXTM3U\n#{long}\n{long}?@\n#EXT-X-MAP:X=\"{long}\",URI=\"{long}?@\"\n"),
        "#EXTM3U\na?st=1\nb?E=1\nc?@",
    ] {
        is_as_marked("audio/mpegurl", playlist, "h")?;
    }
    is_as_marked(
        "application/dash+xml",
        "\u{feff}<?xml version='1.0'?>\r\n<MPD  a = \"1\" >\r\n<!-- c --><BaseURL> v/?@\r\n</BaseURL><Period>\
         <AdaptationSet><SegmentTemplate media='$Number$.m4s?@#f'/></AdaptationSet>\
         <AdaptationSet><SegmentTemplate media='$Number$.m4s'/><Representation><BaseURL>//x/</BaseURL>\
         </Representation></AdaptationSet></Period></MPD>\n",
        "h",
    )
}

#[test]
fn a_playlist_that_another_host_steers_or_that_is_none_passes() -> Result<()> {
    for (kind, body, why) in [
        (
            "audio/mpegurl",
            "#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"https://x/\"\na\n",
            "another host may change where its URLs lead (content steering or patches)",
        ),
        ("audio/mpegurl", "a.mp3\n", "it cannot be read"),
        (
            "application/dash+xml",
            "<!DOCTYPE MPD><MPD><BaseURL>a</BaseURL></MPD>",
            "it cannot be read",
        ),
    ] {
        let head = format!("Content-Type: {kind}\nContent-Length: {}\nETag: \"a\"", body.len());
        let provider = Provider::start(Behaviour::Raw(answer(&head, body)))?;
        let nginx = proxied(&provider, "").start()?;
        let found = nginx.get(format!("/vod/a/x?{}", arguments("/vod/a/")))?;
        assert_eq!((found.status, &*found.text()), (200, body));
        assert_eq!((found.header("ETag"), found.header("Cache-Control")), (Some("\"a\""), None));
        let log = nginx.error_log();
        let line = format!("secure_token_forward: the playlist passes as it is: {why}, location");
        ensure!(log.contains(&line), "{line} is not in {log}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn no_argument_is_in_a_log() -> Result<()> {
    let provider = Provider::start(Behaviour::Raw(answer("Content-Type: audio/mpegurl", "a\n")))?;
    let nginx = proxied(&provider, "").start()?;
    let arguments = arguments("/vod/a/");
    nginx.get(format!("/vod/a/x?{arguments}"))?;
    let signature = arguments.split(['=', '&']).nth(1).unwrap_or_default();
    nginx.assert_no_secret(&[signature])?;
    nginx.finish()
}
