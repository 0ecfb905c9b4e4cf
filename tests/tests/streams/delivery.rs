//! How playlists come and go: pieces, HEAD, ranges, caches, compression; and answers that pass as they are.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use module_tests::{
    Behaviour, End, Http2, Nginx, Provider, http2_request, nginx_leaves_out, patience, until,
};

use super::{
    FORWARDED, HLS, IS_HLS, TYPES, answer, arguments, forwarded, get, hls, is_forwarded, passes,
    proxied,
};

/// A body in chunks.
fn chunked<'b>(chunks: impl IntoIterator<Item = &'b [u8]>) -> Vec<u8> {
    let chunk =
        |chunk: &[u8]| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
    let mut body: Vec<u8> =
        chunks.into_iter().filter(|it| !it.is_empty()).flat_map(chunk).collect();
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

const CHUNKED: &str = "Content-Type: audio/mpegurl\nTransfer-Encoding: chunked";

#[test]
fn a_playlist_may_be_split_at_every_byte() -> Result<()> {
    let provider = Provider::start(Behaviour::Close)?;
    for more in ["proxy_buffering off;", "proxy_buffers 4 1k; proxy_buffer_size 1k;"] {
        let nginx = proxied(&provider, &format!("proxy_http_version 1.1; {more}")).start()?;
        for at in 0..=HLS.len() {
            let (before, after) = HLS.as_bytes().split_at(at);
            provider.set(Behaviour::Raw(answer(CHUNKED, chunked([before, after]))));
            is_forwarded(&nginx, &format!("{more} split at {at}"))?;
        }
        provider.set(Behaviour::Raw(answer(CHUNKED, chunked(HLS.as_bytes().chunks(1)))));
        is_forwarded(&nginx, "one byte a chunk")?;
        let pieces = hls("").chunks(1).map(<[u8]>::to_vec).collect();
        provider.set(Behaviour::RawSlow(pieces, Duration::from_micros(300)));
        is_forwarded(&nginx, "one byte a time")?;
        provider.set(Behaviour::Raw(answer(IS_HLS, HLS)));
        is_forwarded(&nginx, "no length")?;
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn files_are_forwarded() -> Result<()> {
    let nginx = Nginx::builder()
        .http(TYPES)
        .html("vod/a/x", HLS)
        .html("vod/a/big.m3u8", format!("{HLS}{}", "#\n".repeat(100_000)))
        .server(format!(
            "default_type audio/mpegurl;
            location ~ ^(?<dir>/vod/[^/]+/) {{ {FORWARDED} }}
            location ~ ^/direct(?<dir>/vod/[^/]+/)(?<rest>.*) {{
                alias html$dir$rest; directio 1; directio_alignment 512; {FORWARDED} }}"
        ))
        .start()?;
    is_forwarded(&nginx, "a file")?;
    let link = arguments("/vod/a/");
    for target in ["/vod/a/big.m3u8", "/direct/vod/a/big.m3u8"] {
        for header in [("Range", "bytes=0-9"), ("If-Range", "x"), ("If-None-Match", "\"x\"")] {
            let request = nginx.request().target(format!("{target}?{link}"));
            let answer = request.header(header.0, header.1).send()?;
            assert_eq!(answer.status, 200, "{target}");
            assert!(answer.text().starts_with(&forwarded(&link)), "{target}");
            assert_eq!(answer.body.len(), forwarded(&link).len() + 200_000);
            for name in ["ETag", "Last-Modified", "Accept-Ranges", "Content-Range"] {
                assert_eq!(answer.header(name), None, "{name} of {target}");
            }
        }
    }
    // Other files of the location are as ever.
    nginx.put("html/vod/a/s.ts", "segment")?;
    let segment = nginx.get(format!("/vod/a/s.ts?{link}"))?;
    assert!(segment.header("ETag").is_some() && segment.header("Cache-Control").is_none());
    let part = nginx.request().target(format!("/vod/a/s.ts?{link}")).header("Range", "bytes=0-2");
    assert_eq!((part.clone().send()?.status, &*part.send()?.text()), (206, "seg"));
    nginx.finish()
}

#[test]
fn head_has_neither_length_nor_tag() -> Result<()> {
    let provider =
        Provider::start(Behaviour::Raw(hls("\nETag: \"a\"\nAccept-Ranges: bytes\nExpires: x")))?;
    let nginx = proxied(&provider, "").start()?;
    let target = format!("/vod/a/x?{}", arguments("/vod/a/"));
    let head = nginx.request().target(&target).method("HEAD").send()?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["Content-Length", "ETag", "Accept-Ranges", "Expires"] {
        assert_eq!(head.header(name), None, "{name}");
    }
    assert_eq!(head.header("Cache-Control"), Some("private"));
    nginx.finish()
}

#[test]
fn an_answer_with_a_token_is_private() -> Result<()> {
    let provider = Provider::start(Behaviour::Close)?;
    let nginx = proxied(&provider, "proxy_pass_header X-Accel-Expires;").start()?;
    for (lines, expected) in [
        ("", "private"),
        (
            "\nCache-Control: public, max-age=60, s-maxage=600, immutable\nExpires: Thu, 01 Dec 2099 16:00:00 GMT",
            "private, max-age=60",
        ),
        ("\nCache-Control: no-store", "private, no-store"),
        (
            "\nCache-Control: No-Cache\ncache-control: must-revalidate,public",
            "private, No-Cache, must-revalidate",
        ),
        ("\nCache-Control: max-age=public, private=\"set-cookie\"", "private"),
        // What some caches follow in place of it.
        (
            "\nCDN-Cache-Control: max-age=600\nX-Cdn-cache-control: public\nSurrogate-Control: max-age=600\n\
             Edge-Control: cache-maxage=1d\nCache-Control: max-age=5\nX-Accel-Expires: 77\n\
             Content-MD5: x\nDigest: md5=x\nContent-Digest: x\nRepr-Digest: x",
            "private, max-age=5",
        ),
    ] {
        provider.set(Behaviour::Raw(hls(lines)));
        let (answer, arguments) = get(&nginx)?;
        assert_eq!(*answer.text(), forwarded(&arguments));
        assert_eq!(answer.all("Cache-Control"), [expected], "{lines}");
        for gone in [
            "X-Accel-Expires",
            "Content-MD5",
            "Digest",
            "Content-Digest",
            "Repr-Digest",
            "Expires",
            "CDN-Cache-Control",
            "X-Cdn-Cache-Control",
            "Surrogate-Control",
            "Edge-Control",
        ] {
            assert_eq!(answer.header(gone), None, "{lines}");
        }
    }
    // Without URLs of its own it is what it was.
    let body = "#EXTM3U\nhttps://x/a\n";
    let head =
        format!("{IS_HLS}\nContent-Length: {}\nCache-Control: public\nETag: \"a\"", body.len());
    provider.set(Behaviour::Raw(answer(&head, body)));
    let (answer, _) = get(&nginx)?;
    assert_eq!((&*answer.text(), answer.all("Cache-Control")), (body, vec!["public"]));
    assert_eq!(answer.header("ETag"), Some("\"a\""));
    nginx.finish()?;
    // nginx's own directives add to it.
    let nginx = proxied(&provider, "expires 10; add_header Cache-Control no-transform;").start()?;
    provider.set(Behaviour::Raw(hls("\nCache-Control: public")));
    let (answer, _) = get(&nginx)?;
    assert_eq!(answer.all("Cache-Control"), ["private", "max-age=10", "no-transform"]);
    nginx.finish()
}

#[test]
fn a_cached_playlist_is_forwarded_anew() -> Result<()> {
    let provider =
        Provider::start(Behaviour::Raw(hls("\nETag: \"a\"\nCache-Control: max-age=600")))?;
    let nginx = proxied(
        &provider,
        "proxy_cache c; proxy_cache_key $uri; proxy_cache_revalidate on; add_header X-Cache $upstream_cache_status;",
    )
    .http("proxy_cache_path cache keys_zone=c:1m;")
    .start()?;
    let mut seen = Vec::new();
    for (at, cache) in ["MISS", "HIT", "HIT"].into_iter().enumerate() {
        let arguments = {
            let expires = module_tests::now() + 600 + i64::try_from(at)?;
            let signature = module_tests::link_md5(super::LINK_SECRET, "/vod/a/", expires);
            format!("st={signature}&e={expires}")
        };
        let answer = nginx.get(format!("/vod/a/x?{arguments}"))?;
        assert_eq!((answer.status, answer.header("X-Cache")), (200, Some(cache)));
        assert_eq!(*answer.text(), forwarded(&arguments));
        assert_eq!(answer.header("Cache-Control"), Some("private, max-age=600"));
        seen.push(arguments);
    }
    let request = || nginx.request().target(format!("/vod/a/x?{}", arguments("/vod/a/")));
    let part = request().header("Range", "bytes=0-9").send()?;
    assert_eq!((part.status, part.header("X-Cache")), (200, Some("HIT")));
    let refused = nginx.get("/vod/a/x")?;
    assert_eq!(refused.status, 403);
    seen.dedup();
    assert_eq!((seen.len(), provider.count()), (3, 1));
    nginx.finish()
}

fn unzipped(bytes: &[u8], how: &str) -> Result<Vec<u8>> {
    let mut child =
        Command::new("gzip").arg(how).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("stdin")?.write_all(bytes)?;
    Ok(child.wait_with_output()?.stdout)
}

#[test]
fn a_compressed_playlist_passes_and_nginx_compresses_what_is_forwarded() -> Result<()> {
    let packed = unzipped(HLS.as_bytes(), "-c")?;
    let head =
        format!("{IS_HLS}\nContent-Length: {}\nContent-Encoding: gzip\nETag: \"a\"", packed.len());
    let provider = Provider::start(Behaviour::Raw(answer(&head, &packed)))?;
    let gzip = match nginx_leaves_out("gzip")? {
        true => "",
        false => "gzip on; gzip_types *; gzip_min_length 1;",
    };
    let nginx = proxied(&provider, gzip).start()?;
    let request = || {
        let target = format!("/vod/a/x?{}", arguments("/vod/a/"));
        nginx.request().target(target).header("Accept-Encoding", "gzip")
    };
    let answer = request().send()?;
    assert_eq!((answer.status, &answer.body), (200, &packed));
    assert_eq!((answer.header("ETag"), answer.header("Cache-Control")), (Some("\"a\""), None));
    let log = nginx.error_log();
    ensure!(
        log.contains(
            "secure_token_forward: the playlist is compressed (Content-Encoding: gzip); add \
        proxy_set_header Accept-Encoding \"\", or gzip_static off; it passes as it is"
        ),
        "{log}"
    );
    provider.set(Behaviour::Raw(hls("")));
    let answer = request().send()?;
    if !gzip.is_empty() {
        assert_eq!(answer.header("Content-Encoding"), Some("gzip"));
        let plain = String::from_utf8(unzipped(&answer.body, "-dc")?)?;
        assert_eq!(plain, forwarded(&arguments("/vod/a/")));
    }
    nginx.finish()
}

#[test]
fn only_a_whole_answer_with_200_is_forwarded() -> Result<()> {
    let provider = Provider::start(Behaviour::Close)?;
    let nginx = proxied(&provider, "").start()?;
    for status in ["201 Created", "203 Other", "404 Not Found", "500 Error"] {
        let whole = String::from_utf8(hls("\nETag: \"a\""))?.replace("200 OK", status);
        provider.set(Behaviour::Raw(whole.into_bytes()));
        let (answer, _) = get(&nginx)?;
        assert_eq!((answer.status.to_string(), &*answer.text()), (status[..3].to_owned(), HLS));
        assert_eq!((answer.header("Cache-Control"), answer.header("ETag")), (None, Some("\"a\"")));
    }
    let part =
        String::from_utf8(hls("\nContent-Range: bytes 0-99/200"))?.replace("200 OK", "206 Part");
    provider.set(Behaviour::Raw(part.into_bytes()));
    let (answer, _) = get(&nginx)?;
    assert_eq!((answer.status, &*answer.text()), (206, HLS));
    let log = nginx.error_log();
    ensure!(
        log.contains("the playlist is a part of one (status 206); add proxy_set_header Range \"\""),
        "{log}"
    );
    let head = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
    provider.set(Behaviour::Raw(head.into()));
    let (answer, _) = get(&nginx)?;
    assert_eq!((answer.status, answer.header("ETag")), (304, Some("\"a\"")));
    nginx.finish()
}

/// A playlist with so many bytes.
fn large(len: usize) -> Vec<u8> {
    let mut body = HLS.as_bytes().to_vec();
    while body.len() < len {
        body.extend_from_slice(b"#padding ".get(..9.min(len - body.len())).unwrap_or_default());
    }
    body
}

#[test]
fn a_playlist_of_more_than_4_mib_passes() -> Result<()> {
    const LIMIT: usize = 4 << 20;
    let provider = Provider::start(Behaviour::Close)?;
    for buffering in ["", "proxy_buffering off;"] {
        let nginx = proxied(&provider, &format!("proxy_http_version 1.1; {buffering}")).start()?;
        for len in [LIMIT, LIMIT + 1, LIMIT + 3_000_000] {
            let body = large(len);
            for (head, body) in [
                (format!("{IS_HLS}\nContent-Length: {len}\nETag: \"a\""), body.clone()),
                (format!("{IS_HLS}\nETag: \"a\""), body.clone()),
                (format!("{CHUNKED}\nETag: \"a\""), chunked(body.chunks(30_011))),
            ] {
                provider.set(Behaviour::Raw(answer(&head, body)));
                let (found, arguments) = get(&nginx)?;
                let what = format!("{buffering} {len} {head}");
                assert_eq!(found.status, 200, "{what}");
                if len == LIMIT {
                    assert!(found.text().starts_with(&forwarded(&arguments)), "{what}");
                    assert!(found.header("ETag").is_none(), "{what}");
                } else {
                    assert!(found.body == large(len), "{what}: {} bytes", found.body.len());
                    assert_eq!(found.header("ETag"), Some("\"a\""), "{what}");
                    assert_eq!(found.header("Cache-Control"), None, "{what}");
                }
            }
        }
        let log = nginx.error_log();
        let told = log.matches("the playlist has more than 4 MiB; it passes as it is").count();
        assert_eq!(told, 6, "{log}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_playlist_that_ends_early_ends_early() -> Result<()> {
    let provider = Provider::start(Behaviour::Close)?;
    let half = &HLS[..HLS.len() / 2];
    let whole = HLS.len();
    let first = chunked([half.as_bytes()]);
    let first = first.strip_suffix(b"0\r\n\r\n").context("chunks")?;
    for more in ["", "proxy_buffering off;"] {
        let nginx = proxied(&provider, &format!("proxy_http_version 1.1; {more}"))
            .expect_log("upstream")
            .start()?;
        for (head, body) in [
            (format!("{IS_HLS}\nContent-Length: {whole}"), half.as_bytes()),
            (CHUNKED.to_owned(), first),
            (format!("{IS_HLS}\nContent-Length: {whole}"), b""),
        ] {
            provider.set(Behaviour::Raw(answer(&head, body)));
            let target = format!("/vod/a/x?{}", arguments("/vod/a/"));
            let mut connection = UnixStream::connect(nginx.socket("s.sock"))?;
            connection.set_read_timeout(Some(patience(Duration::from_secs(10))))?;
            connection.write_all(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())?;
            // What has come goes on, and then the connection ends, so that the client sees that it is not all.
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            let (found, rest) = answer.split_once("\r\n\r\n").context("a head")?;
            ensure!(found.starts_with("HTTP/1.1 200 OK\r\n"), "{found}");
            let (is_sized, is_chunked) = (head.contains("Length"), found.contains("chunked"));
            ensure!(is_sized == found.contains(&format!("Content-Length: {whole}")), "{found}");
            ensure!(is_sized != is_chunked && !rest.ends_with("0\r\n\r\n"), "{answer}");
            let came = if body.is_empty() { "" } else { half };
            let chunk = format!("{:x}\r\n{came}\r\n", came.len());
            ensure!(rest == if is_chunked { &*chunk } else { came }, "{answer}");
        }
        let log = nginx.error_log();
        ensure!(
            log.contains(
                "secure_token_forward: the playlist ended before its end; it passes as it is"
            ),
            "{log}"
        );
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn connections_stay_usable() -> Result<()> {
    let provider = Provider::start(Behaviour::Raw(hls("")))?;
    let nginx = proxied(&provider, "").start()?;
    let link = arguments("/vod/a/");
    let request = nginx.request().target(format!("/vod/a/x?{link}")).keep_alive();
    let mut connection = nginx.connect()?;
    for body in [HLS.to_owned(), "#EXTM3U\n".to_owned(), String::new(), HLS.to_owned()] {
        let head = format!("{IS_HLS}\nContent-Length: {}", body.len());
        provider.set(Behaviour::Raw(answer(&head, &body)));
        let answer = connection.send(&request)?;
        let expected = if body == HLS { forwarded(&link) } else { body };
        assert_eq!((answer.status, &*answer.text()), (200, &*expected));
    }
    nginx.finish()
}

#[test]
fn a_client_that_leaves_while_a_playlist_comes_harms_nobody() -> Result<()> {
    let pieces = vec![hls(""), Vec::new()];
    let provider = Provider::start(Behaviour::RawSlow(pieces, Duration::from_millis(100)))?;
    let nginx = proxied(&provider, "").start()?;
    let link = arguments("/vod/a/");
    for _ in 0..3 {
        let mut connection = nginx.connect()?;
        connection.write(format!("GET /vod/a/x?{link} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())?;
    }
    provider.wait_count(3)?;
    until("the clients are gone", || {
        let log = nginx.access_log();
        Ok((log.lines().count() >= 3).then_some(()))
    })?;
    is_forwarded(&nginx, "after them")?;
    nginx.finish()
}

#[test]
fn http2_gets_the_same() -> Result<()> {
    let Some(listen) = Http2::listen()? else { return Ok(()) };
    let provider = Provider::start(Behaviour::Close)?;
    let own = "#EXTM3U\nhttp://localhost/a\nb\n";
    let head = format!("{IS_HLS}\nContent-Length: {}", own.len());
    provider.set(Behaviour::Raw(answer(&head, own)));
    let (pass, forwarded) = (provider.pass(), FORWARDED.replace("$dir", "/vod/a/"));
    let nginx = Nginx::builder()
        .server(format!("{listen} location /vod/a/ {{ {forwarded} {pass} }}"))
        .start()?;
    let link = arguments("/vod/a/");
    let mut connection = Http2::connect(&nginx)?;
    let stream = connection.begin(&http2_request("GET", &format!("/vod/a/x?{link}")))?;
    match connection.ends(&[stream])?.pop() {
        Some(End::Status(200, body)) => {
            let body = String::from_utf8(body)?;
            assert_eq!(body, format!("#EXTM3U\nhttp://localhost/a?{link}\nb?{link}\n"));
        }
        other => bail!("{other:?}"),
    }
    nginx.finish()
}

#[test]
fn what_is_signed_is_no_playlist() -> Result<()> {
    let provider = Provider::start(Behaviour::Raw(hls("")))?;
    let nginx = proxied(&provider, "jwt_sign_key k.pem; jwt_sign a;")
        .file("k.pem", module_tests::P256.private)
        .start()?;
    assert_eq!(get(&nginx)?.0.status, 502);
    nginx.finish()?;
    let nginx = proxied(&provider, "").start()?;
    let passed = nginx.get("/vod/a/x")?;
    assert_eq!(passed.status, 403);
    provider.set(Behaviour::Raw(answer("Content-Type: text/plain", HLS)));
    passes(&nginx, "another type")?;
    nginx.finish()
}
