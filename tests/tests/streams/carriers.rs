//! ffmpeg plays whole streams whose segments get the link without the playlists: by a cookie, or as a part of the
//! path.

use anyhow::{Result, ensure};
use module_tests::{Ffmpeg, Nginx, Stream, free_port, hex, hmac, now};

use super::TYPES;
use super::playing::is_all;

/// Akamai's token for everything below `/vod/a/`.
fn token() -> Result<String> {
    let fields = format!("exp={}~acl=%2Fvod%2Fa%2F%2A", now() + 300);
    let mac = hmac("HS256", b"\x12\x34", fields.as_bytes())?;
    Ok(format!("{fields}~hmac={}", hex(mac)))
}

/// Plays a stream from a location, with more options of ffmpeg, at a path before `/vod/a/`.
fn play(stream: Stream, location: &str, options: &[String], before: &str) -> Result<()> {
    let Some(ffmpeg) = Ffmpeg::find() else { return Ok(()) };
    let port = free_port()?;
    let nginx = Nginx::builder()
        .http(TYPES)
        .server(format!(
            "listen 127.0.0.1:{port};
            secure_token_format akamai;
            secure_token_secret 1234;
            {location}"
        ))
        .start()?;
    let names = ffmpeg.make(stream, &nginx.prefix().join("html/vod/a"))?;
    let url = format!("http://127.0.0.1:{port}{before}/vod/a/{}", stream.playlist());
    let played = ffmpeg.play_with(options, &url)?;
    ensure!(played.is_whole(), "{stream:?}: {played:?} {}", nginx.access_log());
    is_all(&nginx, &names, &format!("{stream:?}"))?;
    let refused = ffmpeg.play(&format!("http://127.0.0.1:{port}/vod/a/{}", stream.playlist()))?;
    ensure!(!refused.is_whole(), "{stream:?} without the token");
    nginx.finish()
}

const STREAMS: [Stream; 4] =
    [Stream::HlsTs, Stream::HlsEncrypted, Stream::HlsRenditions, Stream::DashTemplate];

#[test]
fn a_cookie_opens_a_whole_stream() -> Result<()> {
    for stream in STREAMS {
        let cookie = format!("Cookie: hdntl={}\r\n", token()?);
        play(stream, "location /vod/ { }", &["-headers".to_owned(), cookie], "")?;
    }
    Ok(())
}

#[test]
fn a_token_in_the_path_opens_a_whole_stream() -> Result<()> {
    let location = "location /vod/ { }
        location ~ ^/t/(?<token>[^/]+)(?<file>/vod/.*)$ {
            secure_token_source $token;
            secure_token_value  $file;
            rewrite ^ $file break;
        }";
    // The path is decoded before the location is found: so the escapes of the acl are written twice.
    let before = format!("/t/{}", token()?.replace('%', "%25"));
    for stream in STREAMS {
        play(stream, location, &[], &before)?;
    }
    Ok(())
}
