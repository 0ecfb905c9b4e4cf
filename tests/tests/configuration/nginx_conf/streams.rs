//! The tests of the configurations for streams that come from elsewhere with their links or tokens.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use module_tests::{Builder, Jwt, Nginx, Response, base64url, hex, hmac, now};
use serde_json::json;

use super::guides::web;
use super::{ask, expect, folder, ready, to_port_80};

/// What a stream has: a playlist that names another one, and that a segment.
pub(super) const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow/index.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXTINF:4,\n1.ts\n#EXT-X-ENDLIST\n";

/// A folder with such a stream.
fn stream(builder: Builder, folder: &str) -> Builder {
    builder
        .html(&format!("{folder}/master.m3u8"), MASTER)
        .html(&format!("{folder}/low/index.m3u8"), MEDIA)
        .html(&format!("{folder}/low/1.ts"), "segment\n")
}

/// A configuration with the streams `FOLDER/one` and `FOLDER/two`.
pub(super) fn streams(name: &str, folder: &str) -> Result<Builder> {
    let builder = stream(ready(name, &[])?, &format!("{folder}/one"));
    Ok(stream(builder, &format!("{folder}/two")))
}

/// What becomes of a name in a playlist that came from `base`: names that begin with a slash are not here.
fn resolved(base: &str, name: &str) -> String {
    let path = base.split('?').next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{name}")
}

/// Plays a stream as a player does: its playlists, and the segment that the last one names. Returns its URL.
pub(super) fn play(nginx: &Nginx, link: &str, cookie: &str) -> Result<String> {
    let mut target = link.to_owned();
    for _ in 0..2 {
        let answer = with_cookie(nginx, &target, cookie)?;
        ensure!(answer.status == 200, "{target}: {} {}", answer.status, nginx.error_log());
        ensure!(is_private(&answer), "{target}: shared caches may keep it");
        let text = answer.text().into_owned();
        let name = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
        target = resolved(&target, name.context("a playlist without a name")?);
    }
    let answer = with_cookie(nginx, &target, cookie)?;
    ensure!(*answer.text() == *"segment\n", "{target}: {} {}", answer.status, answer.text());
    ensure!(is_private(&answer), "{target}: shared caches may keep it");
    Ok(target)
}

/// Whether an answer is for its client only. Both the configuration and the module may say so.
fn is_private(answer: &Response) -> bool {
    let lines = answer.all("Cache-Control");
    !lines.is_empty() && lines.iter().all(|line| *line == "private")
}

pub(super) fn with_cookie(nginx: &Nginx, target: &str, cookie: &str) -> Result<Response> {
    let request = to_port_80(nginx, target);
    match cookie {
        "" => request.send(),
        _ => request.header("Cookie", cookie).send(),
    }
}

/// Where a user is sent, and the cookies that come with it.
fn sent_to(nginx: &Nginx, target: &str, token: &str) -> Result<(String, String)> {
    let answer = ask(nginx, target, Some(token))?;
    ensure!(answer.status == 302, "{target}: {} {}", answer.status, nginx.error_log());
    ensure!(answer.all("Cache-Control") == ["no-store"], "{target}: caches may keep it");
    let to = answer.header("Location").context("no Location")?;
    let cookies = answer.all("Set-Cookie");
    ensure!(cookies.iter().all(|cookie| cookie.contains("; Secure; HttpOnly")), "{cookies:?}");
    let pairs: Vec<&str> = cookies.iter().filter_map(|cookie| cookie.split(';').next()).collect();
    Ok((to.strip_prefix("http://localhost").unwrap_or(to).to_owned(), pairs.join("; ")))
}

/// The bytes of the key 77704f5541417a7a73666236.
const AKAMAI: &[u8] = b"wpOUAAzzsfb6";

/// Akamai's token with these fields.
fn akamai_token(fields: &str) -> Result<String> {
    Ok(format!("{fields}~hmac={}", hex(hmac("HS256", AKAMAI, fields.as_bytes())?)))
}

/// Sends the user who may see film `one` to it in each way, plays it there, and tries to get at film `two`.
pub(super) fn every_way(nginx: &Nginx, ways: &[&str]) -> Result<()> {
    let alice = web(&json!({ "films": ["one"] }))?;
    for way in ways {
        let entry = format!("/play/{way}/one");
        expect(
            nginx,
            &[
                (&entry, None, 401),
                (&entry.replace("one", "two"), Some(&alice), 403),
                (&entry.replace("one", "..%2fone"), Some(&alice), 404),
            ],
        )?;
        let (link, cookie) = sent_to(nginx, &entry, &alice)?;
        assert_eq!(cookie.is_empty(), *way != "cookie", "{way}: {cookie}");
        let last = play(nginx, &link, &cookie)?;
        assert!(last.contains("/hls/one/low/1.ts"), "{last}");
        let at_two = |link: &str| match link.rsplit_once("/hls/one/") {
            Some((before, after)) => format!("{before}/hls/two/{after}"),
            None => link.to_owned(),
        };
        for other in [
            at_two(&link),
            at_two(&last),
            last.replace("low/1.ts", "../two/low/1.ts"),
            last.replace("low/1.ts", "%2e%2e/two/low/1.ts"),
            last.replace("low/1.ts", "..%2ftwo/low/1.ts"),
        ] {
            let refused = with_cookie(nginx, &other, &cookie)?.status;
            assert_eq!(refused, 403, "{other}");
        }
        // Without its token there is nothing.
        let bare = with_cookie(nginx, last.split('?').next().unwrap_or_default(), "")?;
        assert_eq!(bare.status, if *way == "path" { 200 } else { 403 }, "{last}");
    }
    Ok(())
}

pub(crate) fn akamai() -> Result<()> {
    let nginx = streams("from-akamai.conf", "hls")?.start()?;
    every_way(&nginx, &["query", "cookie", "path"])?;
    let master = "/hls/one/master.m3u8";
    // What others make, with their names.
    let e = now() + 300;
    let good = akamai_token(&format!("st={}~exp={e}~acl=/hls/one/*~data=x", now() - 5))?;
    for carrier in ["hdnts", "hdnea", "__token__"] {
        play(&nginx, &format!("{master}?{carrier}={good}"), "")?;
    }
    play(&nginx, master, &format!("__hdnea__={good}"))?;
    for (token, status) in [
        (akamai_token(&format!("exp={}~acl=/hls/one/*", now() - 5))?, 410),
        (akamai_token(&format!("exp={e}~acl=/hls/two/*"))?, 403),
        (akamai_token(&format!("st={}~exp={e}~acl=/hls/one/*", now() + 60))?, 403),
        (akamai_token("acl=/hls/one/*")?, 403),
        (good.replace("one", "*"), 403),
    ] {
        expect(
            &nginx,
            &[
                (&format!("{master}?hdnts={token}"), None, status),
                (&format!("/t/{token}{master}"), None, status),
            ],
        )?;
        let by_cookie = with_cookie(&nginx, master, &format!("hdntl={token}"))?;
        assert_eq!(by_cookie.status, status, "{token}");
    }
    // The path that is served is the one that was checked.
    for target in [
        format!("/t/{good}/hls/one/../two/master.m3u8"),
        format!("/t/{good}/hls/two/~hmac=00{master}"),
        format!("/t/{good}{master}/~hmac=00/hls/two/master.m3u8"),
    ] {
        assert_eq!(ask(&nginx, &target, None)?.status, 403, "{target}");
    }
    nginx.assert_no_secret(&["77704f5541417a7a73666236", "wpOUAAzzsfb6"])?;
    nginx.finish()
}

const BUNNY: &str = "a81c5f57-4f5b-4ad3-a7f2";

/// The argument `token` of Bunny's links.
fn bunny_token(path: &str, expires: i64, params: &str) -> Result<String> {
    let signed = format!("{path}{expires}{params}");
    Ok(format!("HS256-{}", base64url(hmac("HS256", BUNNY.as_bytes(), signed.as_bytes())?)))
}

pub(crate) fn bunny() -> Result<()> {
    let nginx = streams("from-bunny.conf", "hls")?
        .html("images/a.jpg", "image\n")
        .html("hls/one/hls/two/master.m3u8", MASTER)
        .start()?;
    every_way(&nginx, &["query", "cookie", "path"])?;
    let (e, past) = (now() + 300, now() - 300);
    let image = |e: i64| bunny_token("/images/a.jpg", e, "width=200");
    let folder = |e: i64| bunny_token("/hls/one/", e, "token_path=/hls/one/");
    let before = |e: i64, file: &str| -> Result<String> {
        Ok(format!("/bcdn_token={}&expires={e}&token_path=%2Fhls%2Fone%2F{file}", folder(e)?))
    };
    expect(
        &nginx,
        &[
            (&format!("/images/a.jpg?width=200&token={}&expires={e}", image(e)?), None, 200),
            (&format!("/images/a.jpg?width=900&token={}&expires={e}", image(e)?), None, 403),
            (&format!("/images/a.jpg?width=200&token={}&expires={past}", image(past)?), None, 410),
            ("/images/a.jpg", None, 403),
            (&before(past, "/hls/one/master.m3u8")?, None, 410),
            (&before(e, "/hls/two/master.m3u8")?, None, 403),
            // What is checked is what is served.
            (&before(e, "/hls/one/hls/two/master.m3u8")?, None, 200),
            (&before(e, "/hls/one/../two/master.m3u8")?, None, 403),
            (&before(e, "/hls/one/hls/one/../../../two/master.m3u8")?, None, 403),
        ],
    )?;
    play(&nginx, &before(e, "/hls/one/master.m3u8")?, "")?;
    nginx.assert_no_secret(&[BUNNY])?;
    nginx.finish()
}

pub(crate) fn kaltura() -> Result<()> {
    let name = "from-kaltura.conf";
    let text = fs::read_to_string(folder().join(name))?.replace("/var/cache/", "");
    let builder = stream(ready(name, &[])?, "secure-live/one");
    let builder = stream(builder, "secure-live/two")
        .html("vod/a/index.m3u8", MEDIA)
        .html("vod/a/encryption.key", "key\n")
        .html("vod/a/seg-1.ts", "segment\n");
    let nginx = builder.whole(text).start()?;
    let (link, _) = sent_to(&nginx, "/live/one", &web(&json!({}))?)?;
    assert_eq!(ask(&nginx, "/live/one", None)?.status, 401);
    let last = play(&nginx, &link, "")?;
    assert!(last.starts_with("/secure-live/one/low/1.ts?hdnts="), "{last}");

    // Tokens of Kaltura's module, in its argument and its cookie; the origin sees neither.
    let of = |st: i64, e: i64, acl: &str| akamai_token(&format!("st={st}~exp={e}~acl={acl}"));
    let (st, e) = (now() - 5, now() + 300);
    let master = "/secure-live/one/master.m3u8";
    let good = of(st, e, "/secure-live/one/*")?;
    play(&nginx, &format!("{master}?__hdnea__={good}"), "")?;
    play(&nginx, master, &format!("__hdnea__={good}"))?;
    let answer = ask(&nginx, &format!("{master}?a=1&__hdnea__={good}&b=2"), None)?;
    assert_eq!(answer.header("X-Query"), Some("[a=1&b=2]"));
    assert!(answer.text().contains(&format!("low/index.m3u8?__hdnea__={good}\n")));
    let vod = of(st, e, "/vod/a/*")?;
    for (target, status) in [
        (master.to_owned(), 403),
        (format!("/secure-live/two/master.m3u8?__hdnea__={good}"), 403),
        (format!("/secure-live/one/..%2ftwo/master.m3u8?__hdnea__={good}"), 403),
        (format!("/secure-live/one/%7e?__hdnea__={good}"), 404),
        (format!("{master}?__hdnea__={}", of(st, now() - 5, "/secure-live/one/*")?), 410),
        ("/vod/a/seg-1.ts".to_owned(), 200),
        ("/vod/a/index.m3u8".to_owned(), 403),
        ("/vod/a/encryption.key".to_owned(), 403),
        (format!("/vod/a/index.m3u8?__hdnea__={vod}"), 200),
        (format!("/vod/a/encryption.key?__hdnea__={vod}"), 200),
        (format!("/vod/b/encryption.key?__hdnea__={vod}"), 403),
    ] {
        assert_eq!(ask(&nginx, &target, None)?.status, status, "{target}");
    }
    nginx.assert_no_secret(&["77704f5541417a7a73666236"])?;
    nginx.finish()
}

pub(crate) fn ant_media() -> Result<()> {
    let name = "ant-media-streams.conf";
    // This server stands in for Ant Media Server.
    let upstream = "http {
        server {
            listen 5080;
            root   html;
            types { application/vnd.apple.mpegurl m3u8; application/dash+xml mpd; video/mp2t ts; }
            add_header X-Query \"[$args]\";
            error_page 405 =201 /ok.txt;
            location ~ ^/LiveApp/whip/ { return 201 published; }
        }\n";
    let text = fs::read_to_string(folder().join(name))?.replacen("http {", upstream, 1);
    let mpd = "<MPD><Period><AdaptationSet><Representation><SegmentTemplate media=\"s1_$Number$.m4s\"/>\
               </Representation></AdaptationSet></Period></MPD>";
    let mut builder = ready(name, &[])?.whole(text);
    for (file, body) in [
        ("s1.m3u8", "#EXTM3U\n#EXTINF:2,\ns1000000007.ts\n"),
        ("s1_adaptive.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ns1_480p500kbps.m3u8\n"),
        ("s1_480p500kbps.m3u8", "#EXTM3U\n#EXTINF:2,\ns1_480p500kbps000000007.ts\n"),
        ("s1000000007.ts", "segment\n"),
        ("s1_480p500kbps000000007.ts", "segment\n"),
        ("s10000000007.ts", "segment\n"),
        ("s1/s1.mpd", mpd),
        ("s1/s1_7.m4s", "segment\n"),
    ] {
        builder = builder.html(&format!("LiveApp/streams/{file}"), body);
    }
    let nginx = builder.html("LiveApp/index.html", "panel\n").start()?;
    let secret = "zautXStXM9iW3aD3FuyPH0TdK4GHPmHq";
    let of = |stream: &str, kind: &str, more: i64| {
        Jwt::new(json!({ "streamId": stream, "type": kind, "exp": now() + more }))
            .hs("HS256", secret)
    };
    let good = of("s1", "play", 300)?;
    let at = |file: &str| format!("/LiveApp/streams/{file}");

    // Each way leads to the segment.
    let (watch, cookie) = {
        let answer = ask(&nginx, &format!("/watch/s1?token={good}"), None)?;
        assert_eq!(answer.status, 302);
        let to = answer.header("Location").unwrap_or_default();
        let cookie = answer.header("Set-Cookie").unwrap_or_default();
        (
            to.strip_prefix("http://localhost").unwrap_or(to).to_owned(),
            cookie.split(';').next().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(cookie, format!("token={good}"));
    for (start, cookie, playlists, last) in [
        (format!("{}?token={good}", at("s1.m3u8")), "", 1, "s1000000007.ts"),
        (format!("{}?token={good}", at("s1_adaptive.m3u8")), "", 2, "s1_480p500kbps000000007.ts"),
        (format!("/t/{good}{}", at("s1_adaptive.m3u8")), "", 2, "s1_480p500kbps000000007.ts"),
        (watch, &*cookie, 1, "s1000000007.ts"),
    ] {
        let mut target = start;
        for _ in 0..playlists {
            let answer = with_cookie(&nginx, &target, cookie)?;
            assert_eq!(answer.status, 200, "{target}: {}", nginx.error_log());
            assert_eq!(answer.header("X-Query"), Some("[]"), "{target}");
            assert!(is_private(&answer), "{target}: shared caches may keep it");
            let text = answer.text().into_owned();
            let name = text.lines().last().context("an empty playlist")?;
            target = resolved(&target, name);
        }
        assert!(target.contains(last), "{target}");
        assert_eq!(*with_cookie(&nginx, &target, cookie)?.text(), *"segment\n", "{target}");
    }
    let dash = ask(&nginx, &format!("{}?token={good}", at("s1/s1.mpd")), None)?;
    assert!(dash.text().contains(&format!("s1_$Number$.m4s?token={good}")), "{}", dash.text());

    let query = |file: &str, token: &str| format!("{}?token={token}", at(file));
    for (target, status) in [
        (query("s1/s1_7.m4s", &good), 200),
        (at("s1.m3u8"), 401),
        (query("s1.m3u8", &of("s1", "publish", 300)?), 403),
        (query("s1.m3u8", &of("s2", "play", 300)?), 403),
        (query("s1.m3u8", &of("s1", "play", -5)?), 401),
        (
            query(
                "s1.m3u8",
                &Jwt::new(json!({ "streamId": "s1", "type": "play" })).hs("HS256", secret)?,
            ),
            401,
        ),
        (query("s1.m3u8", &Jwt::live_with(&json!({ "streamId": "s1" })).hs("HS256", secret)?), 403),
        // s1 is not s10, whose segments begin in the same way.
        (query("s10000000007.ts", &good), 403),
        (query("s10000000007.ts", &of("s10", "play", 300)?), 200),
        (query("s1/../s10.m3u8", &good), 403),
        (query("s2/s1.mpd", &good), 403),
        (query("s1_other.m3u8", &good), 404),
        (query("s1", &good), 404),
        (query("a/b/s1.m3u8", &good), 404),
        (at("s1.m3u8;x=1"), 400),
        (format!("/t/{good}/LiveApp/streams/s10000000007.ts"), 403),
        ("/watch/s1".to_owned(), 401),
        (format!("/watch/s2?token={good}"), 403),
        ("/LiveApp/".to_owned(), 404),
        ("/LiveApp/rest/v2/broadcasts/list/0/10".to_owned(), 404),
        ("/LiveApp/websocket".to_owned(), 404),
    ] {
        assert_eq!(ask(&nginx, &target, None)?.status, status, "{target}");
    }

    let whip = |stream: &str, method: &str, token: &str| {
        let request =
            to_port_80(&nginx, format!("/LiveApp/whip/{stream}")).method(method).body("v=0");
        anyhow::Ok(request.header("Authorization", token).send()?.status)
    };
    let publish = of("s1", "publish", 300)?;
    assert_eq!(whip("s1", "POST", &format!("Bearer {publish}"))?, 201);
    assert_eq!(whip("s1", "POST", &publish)?, 201);
    assert_eq!(whip("s1/x", "DELETE", &publish)?, 201);
    assert_eq!(whip("s2", "POST", &publish)?, 403);
    assert_eq!(whip("s1", "POST", &good)?, 403);
    // nginx's own log has the path without a token before it.
    assert!(!nginx.access_log().contains("/t/"), "{}", nginx.access_log());
    nginx.assert_no_secret(&[secret, &publish])?;
    nginx.finish()
}
