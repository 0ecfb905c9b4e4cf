//! Which arguments go on: those that have let the request pass, and no others.

use anyhow::{Result, ensure};
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, nginx_leaves_out};
use serde_json::json;

use super::{FORWARDED, HLS, LINK_SECRET, TYPES, arguments, forwarded};

/// An nginx with [`HLS`] as a file, and this server.
fn nginx(server: &str) -> Result<Nginx> {
    Nginx::builder().http(TYPES).html("vod/a/x.m3u8", HLS).server(server).start()
}

fn token() -> Result<String> {
    Jwt::live().hs("HS256", SECRET)
}

#[test]
fn the_arguments_of_a_link_go_on_as_they_came() -> Result<()> {
    let nginx = nginx(&format!("location ~ ^(?<dir>/vod/[^/]+/) {{ {FORWARDED} }}"))?;
    let link = arguments("/vod/a/");
    let (st, e) = link.split_once('&').unwrap_or_default();
    for (query, on) in [
        (link.clone(), link.clone()),
        (format!("{e}&{st}"), format!("{e}&{st}")),
        (format!("x=1&{st}&y&{e}&z=%20"), link.clone()),
    ] {
        let answer = nginx.get(format!("/vod/a/x.m3u8?{query}"))?;
        assert_eq!((answer.status, &*answer.text()), (200, &*forwarded(&on)), "{query}");
        // What the playlist names is let through by the same arguments.
        assert_eq!(nginx.get(format!("/vod/a/init.mp4?{on}"))?.status, 404);
    }
    for query in [String::new(), st.to_owned(), format!("{link}&e=1"), format!("st=x&{e}")] {
        let answer = nginx.get(format!("/vod/a/x.m3u8?{query}"))?;
        assert_eq!(answer.status, 403, "{query}");
        assert!(!answer.text().contains("EXTM3U") && !answer.text().contains("st="), "{query}");
    }
    nginx.finish()
}

#[test]
fn an_argument_with_a_token_goes_on_and_no_token_from_elsewhere() -> Result<()> {
    let nginx = nginx(&format!(
        "location /vod/ {{ secure_token_forward query;
            jwt_kids {{ k {SECRET}; }} jwt_token cookie:tok arg:tok arg:other bearer; }}"
    ))?;
    let token = token()?;
    let get = |query: &str| nginx.request().target(format!("/vod/a/x.m3u8?{query}"));
    for argument in ["tok", "other"] {
        let query = format!("a=1&{argument}={token}&b=2");
        let answer = get(&query).send()?;
        let on = format!("{argument}={token}");
        assert_eq!((answer.status, &*answer.text()), (200, &*forwarded(&on)));
    }
    // The first source that has a token counts, whatever else there is.
    let bad = Jwt::live().hs("HS256", OTHER_SECRET)?;
    for request in [
        get("").header("Cookie", format!("tok={token}")),
        get("").bearer(&token),
        get(&format!("tok={token}")).header("Cookie", format!("tok={token}")),
        get(&format!("tok={bad}")).header("Cookie", format!("tok={token}")),
    ] {
        let answer = request.send()?;
        assert_eq!((answer.status, &*answer.text()), (200, HLS));
        assert_eq!(answer.header("Cache-Control"), None);
    }
    assert_eq!(get(&format!("tok={bad}")).send()?.status, 401);
    nginx.finish()
}

#[test]
fn a_provider_s_own_source_counts_and_so_do_rules() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "{TYPES} jwt_provider p {{ jwt_issuer i; jwt_kids {{ k {SECRET}; }} jwt_token arg:own; }}"
        ))
        .html("vod/a/x.m3u8", HLS)
        .server(
            "secure_token_forward query;
            location /vod/ { jwt on provider=p; jwt_claim role = a; }
            location /permissive/ { alias html/vod/; jwt permissive provider=p; jwt_claim role = a; }",
        )
        .start()?;
    let token =
        |role: &str| Jwt::live_with(&json!({ "iss": "i", "role": role })).hs("HS256", SECRET);
    let (good, bad) = (token("a")?, token("b")?);
    let get = |folder: &str, token: &str| {
        nginx
            .get(format!("/{folder}/a/x.m3u8?own={token}"))
            .map(|it| (it.status, it.text().into_owned()))
    };
    assert_eq!(get("vod", &good)?, (200, forwarded(&format!("own={good}"))));
    assert_eq!(get("vod", &bad)?.0, 403);
    assert_eq!(get("permissive", &good)?, (200, forwarded(&format!("own={good}"))));
    for refused in [&*bad, "x", ""] {
        assert_eq!(get("permissive", refused)?, (200, HLS.to_owned()));
    }
    nginx.finish()
}

#[test]
fn of_two_checks_those_go_on_that_passed() -> Result<()> {
    let checks = format!(
        "secure_token_secret '{LINK_SECRET}'; secure_token_value /vod/a/; secure_token_forward query;
        jwt_kids {{ k {SECRET}; }} jwt_token arg:tok;"
    );
    let nginx = nginx(&format!(
        "location /any/ {{ alias html/vod/; satisfy any; {checks} }}
        location /all/ {{ alias html/vod/; {checks} }}
        location /open/ {{ alias html/vod/; satisfy any; allow all; {checks} }}
        location /off/ {{ alias html/vod/; {checks} secure_token off; }}"
    ))?;
    let (link, token) = (arguments("/vod/a/"), format!("tok={}", token()?));
    let bad = "st=aaaaaaaaaaaaaaaaaaaaaa&e=2000000000";
    for (folder, query, on) in [
        ("all", format!("{link}&{token}"), format!("{link}&{token}")),
        ("all", format!("{token}&{link}"), format!("{token}&{link}")),
        // The token is asked first, and is enough.
        ("any", format!("{link}&{token}"), token.clone()),
        ("any", link.clone(), link.clone()),
        ("any", format!("{link}&tok=x"), link.clone()),
        ("any", format!("{bad}&{token}"), token.clone()),
        ("off", format!("{link}&{token}"), token.clone()),
        ("open", link.clone(), link.clone()),
    ] {
        let answer = nginx.get(format!("/{folder}/a/x.m3u8?{query}"))?;
        assert_eq!((answer.status, &*answer.text()), (200, &*forwarded(&on)), "{folder} {query}");
    }
    // What nginx lets pass by another check has nothing that could go on.
    for query in ["", "tok=x", bad] {
        let answer = nginx.get(format!("/open/a/x.m3u8?{query}"))?;
        assert_eq!((answer.status, &*answer.text()), (200, HLS), "{query}");
    }
    nginx.finish()
}

#[test]
fn off_is_off_and_inherited_is_on() -> Result<()> {
    let checks = format!("secure_token_secret '{LINK_SECRET}'; secure_token_value /vod/a/;");
    let nginx = nginx(&format!(
        "{checks} secure_token_forward query;
        location /vod/ {{ }}
        location /none/ {{ alias html/vod/; secure_token_forward off; }}
        location /unchecked/ {{ alias html/vod/; secure_token off; }}
        location /if/ {{ alias html/vod/; if ($arg_x) {{ secure_token_forward off; }} }}"
    ))?;
    let link = arguments("/vod/a/");
    for (target, is_on) in [
        ("/vod/a/x.m3u8?", true),
        ("/none/a/x.m3u8?", false),
        ("/unchecked/a/x.m3u8?", false),
        ("/if/a/x.m3u8?", true),
        ("/if/a/x.m3u8?x=1&", false),
    ] {
        let answer = nginx.get(format!("{target}{link}"))?;
        let expected = if is_on { forwarded(&link) } else { HLS.to_owned() };
        assert_eq!((answer.status, &*answer.text()), (200, &*expected), "{target}");
    }
    nginx.finish()
}

#[test]
fn an_error_page_and_a_redirect_are_judged_where_they_lead() -> Result<()> {
    let checks = format!("secure_token_secret '{LINK_SECRET}'; secure_token_value /vod/a/;");
    let nginx = nginx(&format!(
        "secure_token_forward query;
        location = /refused {{ {checks} error_page 403 =200 /open/a/x.m3u8; try_files /none =404; }}
        location = /missing {{ {checks} error_page 404 =200 /open/a/x.m3u8; try_files /none =404; }}
        location = /again {{ {checks} error_page 404 =200 /vod/a/x.m3u8$is_args$args; try_files /none =404; }}
        location = /same {{ {checks} error_page 404 /vod/a/x.m3u8$is_args$args; try_files /none =404; }}
        location /vod/ {{ {checks} }}
        location /open/ {{ alias html/vod/; }}"
    ))?;
    let link = arguments("/vod/a/");
    let get =
        |target: &str| nginx.get(target).map(|answer| (answer.status, answer.text().into_owned()));
    assert_eq!(get("/refused")?, (200, HLS.to_owned()));
    // Where no check is in force, nothing has let the request pass.
    assert_eq!(get(&format!("/missing?{link}"))?, (200, HLS.to_owned()));
    assert_eq!(get(&format!("/again?{link}"))?, (200, forwarded(&link)));
    assert_eq!(get(&format!("/same?{link}"))?, (404, HLS.to_owned()));
    nginx.finish()
}

#[test]
fn a_part_of_a_page_gets_what_let_the_page_pass() -> Result<()> {
    if nginx_leaves_out("ssi")? {
        return Ok(());
    }
    let page = "[<!--# include virtual=\"/vod/a/x.m3u8?st=x\" -->|<!--# include virtual=\"/open/a/x.m3u8\" -->]";
    let nginx = Nginx::builder()
        .http(TYPES)
        .html("vod/a/x.m3u8", HLS)
        .html("vod/page.html", page)
        .html("page.html", page)
        .server(format!(
            "secure_token_forward query; ssi on;
            location /vod/ {{ secure_token_secret '{LINK_SECRET}'; secure_token_value /vod/a/; }}
            location /open/ {{ alias html/vod/; }}
            location /page.html {{ }}"
        ))
        .start()?;
    let link = arguments("/vod/a/");
    let answer = nginx.get(format!("/vod/page.html?{link}"))?;
    assert_eq!(*answer.text(), format!("[{}|{HLS}]", forwarded(&link)));
    let answer = nginx.get(format!("/page.html?{link}"))?;
    assert_eq!(*answer.text(), format!("[{HLS}|{HLS}]"));
    nginx.finish()
}

#[test]
fn arguments_that_a_url_must_encode_stay_behind() -> Result<()> {
    let nginx = nginx(&format!(
        "location /vod/ {{ secure_token_forward query; jwt_kids {{ k {SECRET}; }} jwt_padding on;
            jwt_token 'arg:to\"k' arg:tok; }}"
    ))?;
    let token = token()?;
    let odd = nginx.get(format!("/vod/a/x.m3u8?to\"k={token}"))?;
    assert_eq!((odd.status, &*odd.text()), (200, HLS));
    let log = nginx.error_log();
    ensure!(
        log.contains("secure_token_forward: the playlist passes as it is: the arguments have"),
        "{log}"
    );
    let good = nginx.get(format!("/vod/a/x.m3u8?tok={token}"))?;
    assert_eq!(*good.text(), forwarded(&format!("tok={token}")));
    nginx.finish()
}

#[test]
fn a_link_outside_the_query_leaves_playlists_as_they_are() -> Result<()> {
    let bunny = "format bunny; secret mysecret; path /vod/a/x.m3u8; covers /vod/a/;";
    let nginx = Nginx::builder()
        .http(format!("{TYPES} secure_token_mint $link {{ {bunny} }}"))
        .html("vod/a/x.m3u8", HLS)
        .server(
            "location = /make { return 302 $link; }
            location /vod/ { secure_token_format bunny; secure_token_secret mysecret;
                secure_token_source cookie:link; secure_token_forward query; }",
        )
        .start()?;
    let made = nginx.get("/make")?;
    let link = made.header("Location").and_then(|to| to.split_once('?')).unwrap_or_default().1;
    for method in ["GET", "HEAD"] {
        let request = nginx.request().method(method).target("/vod/a/x.m3u8?a=1");
        let answer = request.header("Cookie", format!("link={link}")).send()?;
        assert_eq!((answer.status, answer.header("Cache-Control")), (200, None), "{method}");
        assert!(answer.header("ETag").is_some(), "{method}");
    }
    ensure!(!nginx.error_log().contains("secure_token_forward"), "{}", nginx.error_log());
    nginx.finish()
}
