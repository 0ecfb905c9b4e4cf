//! Streams: playlists that carry a token or link on to what they list (`secure_token_forward`).
//!
//! | module | what |
//! | --- | --- |
//! | `carried` | which arguments go on, and when none do |
//! | `urls` | which URLs of a playlist get them |
//! | `delivery` | pieces, HEAD, ranges, caches, compression, answers that pass as they are |
//! | `configuration` | the directive and its mistakes |
//! | `playing` | ffmpeg plays whole streams |
//! | `carriers` | and those whose segments get the link by a cookie or in the path |

mod carried;
mod carriers;
mod configuration;
mod delivery;
mod playing;
mod urls;

use anyhow::{Result, ensure};
use module_tests::{Builder, Nginx, Provider, Response, link_md5, now};

const LINK_SECRET: &str = "a secret for links";

/// The types of files, with those that nginx's own list has not.
const TYPES: &str =
    "types { application/vnd.apple.mpegurl m3u8; application/dash+xml mpd; video/mp2t ts;
    video/mp4 mp4 m4s; text/html html; }";

/// The directives by which a link covers the folder `/vod/NAME/`, and goes on.
const FORWARDED: &str = "secure_token_secret 'a secret for links'; secure_token_value $dir; secure_token_forward query;";

const HLS: &str = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4,\na.m4s?b=c\n#EXT-X-ENDLIST\n";

/// The arguments of a link to what is in `folder`.
fn arguments(folder: &str) -> String {
    let expires = now() + 600;
    format!("st={}&e={expires}", link_md5(LINK_SECRET, folder, expires))
}

/// A playlist of [`HLS`] with arguments.
fn forwarded(arguments: &str) -> String {
    HLS.replace("init.mp4", &format!("init.mp4?{arguments}"))
        .replace("?b=c", &format!("?b=c&{arguments}"))
}

/// The head of an answer with these lines, and the body.
fn answer(lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", lines.replace('\n', "\r\n"));
    [head.as_bytes(), body.as_ref()].concat()
}

/// The line that says that an answer is a playlist of HLS.
const IS_HLS: &str = "Content-Type: application/vnd.apple.mpegurl";

/// A whole answer with [`HLS`], and these lines.
fn hls(lines: &str) -> Vec<u8> {
    answer(&format!("{IS_HLS}\nContent-Length: {}{lines}", HLS.len()), HLS)
}

/// An nginx that asks `provider`, with these directives in the location.
fn proxied(provider: &Provider, more: &str) -> Builder {
    let forwarded = FORWARDED.replace("$dir", "/vod/a/");
    let pass = provider.pass();
    Nginx::builder().server(format!("location /vod/a/ {{ {forwarded} {more} {pass} }}"))
}

/// The answer to `GET /vod/a/x`, with a good link, and the arguments of that.
fn get(nginx: &Nginx) -> Result<(Response, String)> {
    let arguments = arguments("/vod/a/");
    Ok((nginx.get(format!("/vod/a/x?{arguments}"))?, arguments))
}

/// Asserts that [`HLS`] comes with the arguments.
fn is_forwarded(nginx: &Nginx, what: &str) -> Result<()> {
    let (answer, arguments) = get(nginx)?;
    ensure!(answer.status == 200, "{what}: {}", answer.status);
    ensure!(*answer.text() == *forwarded(&arguments), "{what}: {}", answer.text());
    let length = answer.body.len().to_string();
    ensure!(answer.header("Content-Length") == Some(&*length), "{what}: the length");
    ensure!(answer.header("Cache-Control") == Some("private"), "{what}: not private");
    Ok(())
}

/// Asserts that [`HLS`] comes as it is.
fn passes(nginx: &Nginx, what: &str) -> Result<Response> {
    let (answer, _) = get(nginx)?;
    ensure!(answer.status == 200, "{what}: {}", answer.status);
    ensure!(*answer.text() == *HLS, "{what}: {}", answer.text());
    ensure!(answer.header("Cache-Control") != Some("private"), "{what}: private");
    Ok(answer)
}
