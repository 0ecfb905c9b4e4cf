//! ffmpeg plays whole streams. Only the first URL has the arguments.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use module_tests::{Ffmpeg, Jwt, Nginx, Played, SECRET, Stream, free_port, until};

use super::{FORWARDED, TYPES, arguments};

/// The paths below `/vod/a/` that were asked for, and answered with one of these statuses.
fn asked(nginx: &Nginx, statuses: &[&str]) -> BTreeSet<String> {
    let log = nginx.access_log();
    let of_line = |line: &str| {
        let status = line.split(' ').next()?;
        let path = line.rsplit(' ').next()?.strip_prefix("/vod/a/")?.to_owned();
        statuses.contains(&status).then_some(path)
    };
    log.lines().filter_map(of_line).collect()
}

/// Plays the stream, with these arguments at the first URL, from a location with these directives. `change` is
/// made to its playlists before. The files of the stream, and what became of it.
fn play(
    ffmpeg: &Ffmpeg,
    stream: Stream,
    (directives, arguments): (&str, &str),
    change: impl Fn(&str, u16) -> String,
) -> Result<(Nginx, BTreeSet<String>, Played)> {
    let port = free_port()?;
    let nginx = Nginx::builder()
        .http(TYPES)
        .server(format!(
            "listen 127.0.0.1:{port}; location ~ ^(?<dir>/vod/[^/]+/) {{ {directives} }}"
        ))
        .start()?;
    let folder = nginx.prefix().join("html/vod/a");
    let names = ffmpeg.make(stream, &folder)?;
    for name in names.iter().filter(|name| name.ends_with("m3u8") || name.ends_with("mpd")) {
        let text = fs::read_to_string(folder.join(name))?;
        fs::write(folder.join(name), change(&text, port))?;
    }
    let url = format!("http://127.0.0.1:{port}/vod/a/{}?{arguments}", stream.playlist());
    let played = ffmpeg.play(&url)?;
    Ok((nginx, names, played))
}

/// Whether every file of the stream was asked for and answered, and nothing was refused.
pub(super) fn is_all(nginx: &Nginx, names: &BTreeSet<String>, what: &str) -> Result<()> {
    let all = until(what, || {
        let found = asked(nginx, &["200", "206"]);
        Ok(names.is_subset(&found).then_some(()))
    });
    all.with_context(|| format!("{what}: {}", nginx.access_log()))?;
    let refused = asked(nginx, &["401", "403", "404", "410", "500"]);
    ensure!(refused.is_empty(), "{what}: {refused:?}");
    Ok(())
}

/// Plays streams with a link, and fails to without the directive.
fn a_link_opens(streams: &[Stream]) -> Result<()> {
    let Some(ffmpeg) = Ffmpeg::find() else { return Ok(()) };
    for stream in streams.iter().copied() {
        let link = arguments("/vod/a/");
        let same = |text: &str, _| text.to_owned();
        let (nginx, names, played) = play(&ffmpeg, stream, (FORWARDED, &link), same)?;
        ensure!(played.is_whole(), "{stream:?}: {played:?} {}", nginx.access_log());
        is_all(&nginx, &names, &format!("{stream:?}"))?;
        nginx.finish()?;

        let without = FORWARDED.replace("query", "off");
        let (nginx, _, played) = play(&ffmpeg, stream, (&without, &link), same)?;
        ensure!(!played.is_whole(), "{stream:?} without secure_token_forward");
        until("a refusal", || Ok((!asked(&nginx, &["403"]).is_empty()).then_some(())))?;
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_link_opens_a_whole_stream_of_hls() -> Result<()> {
    a_link_opens(&[Stream::HlsTs, Stream::HlsFmp4, Stream::HlsEncrypted])
}

#[test]
fn a_link_opens_a_stream_of_several_renditions() -> Result<()> {
    a_link_opens(&[Stream::HlsRenditions])
}

// In a `BaseURL` with an ampersand ffmpeg loses the file's name, so such a stream is in the test of tokens.
#[test]
fn a_link_opens_a_whole_stream_of_dash() -> Result<()> {
    a_link_opens(&[Stream::DashTemplate, Stream::DashList])
}

#[test]
fn a_token_opens_a_whole_stream() -> Result<()> {
    let Some(ffmpeg) = Ffmpeg::find() else { return Ok(()) };
    let directives =
        format!("jwt_kids {{ k {SECRET}; }} jwt_token arg:tok; secure_token_forward query;");
    let query = format!("x=1&tok={}", Jwt::live().hs("HS256", SECRET)?);
    for stream in [Stream::HlsRenditions, Stream::DashTemplate, Stream::DashFiles] {
        let (nginx, names, played) =
            play(&ffmpeg, stream, (&directives, &query), |text, _| text.to_owned())?;
        ensure!(played.is_whole(), "{stream:?}: {played:?} {}", nginx.access_log());
        is_all(&nginx, &names, &format!("{stream:?}"))?;
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn urls_that_name_the_host_open_as_well() -> Result<()> {
    let Some(ffmpeg) = Ffmpeg::find() else { return Ok(()) };
    let hls = |text: &str, port| {
        text.replace("index.", "INDEX.")
            .replace("key.bin", &format!("//127.0.0.1:{port}/vod/a/key.bin"))
            .replace("index", &format!("http://127.0.0.1:{port}/vod/a/index"))
            .replace("INDEX.", "index.")
    };
    let dash = |text: &str, port| {
        let base = format!("<BaseURL>http://127.0.0.1:{port}/vod/</BaseURL>");
        text.replacen("<Period", &format!("{base}<Period"), 1).replacen(
            "<AdaptationSet",
            "<BaseURL>a/</BaseURL><AdaptationSet",
            1,
        )
    };
    let change = |stream: Stream| {
        move |text: &str, port| match stream.playlist() {
            "index.mpd" => dash(text, port),
            _ => hls(text, port),
        }
    };
    for stream in [Stream::HlsTs, Stream::HlsEncrypted, Stream::DashTemplate] {
        let link = arguments("/vod/a/");
        let (nginx, names, played) = play(&ffmpeg, stream, (FORWARDED, &link), change(stream))?;
        ensure!(played.is_whole(), "{stream:?}: {played:?} {}", nginx.access_log());
        is_all(&nginx, &names, &format!("{stream:?}"))?;
        nginx.finish()?;
    }
    Ok(())
}
