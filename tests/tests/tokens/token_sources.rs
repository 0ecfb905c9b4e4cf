//! Where the module looks for a token, and what it accepts as one.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE};

fn good() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

fn bad() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)
}

/// One location for each source; `/bearer` has the default.
fn start() -> Result<Nginx> {
    Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location /bearer {{ {SERVE} }}
        location /named-bearer {{ jwt_token bearer; {SERVE} }}
        location /header {{ jwt_token header:X-Token; {SERVE} }}
        location /cookie {{ jwt_token cookie:tok; {SERVE} }}
        location /arg {{ jwt_token arg:tok; {SERVE} }}
        location /variable {{ jwt_token $http_x_any; {SERVE} }}
        location /mixed {{ jwt_token \"$http_x_head.$arg_rest\"; {SERVE} }}
        location /several {{ jwt_token cookie:tok header:X-Token bearer arg:tok; {SERVE} }}"
    ))
}

#[test]
fn each_source_is_read_and_no_other() -> Result<()> {
    let nginx = start()?;
    let good = good()?;
    let ways = [
        ("bearer", nginx.request().bearer(&good)),
        ("header", nginx.request().header("X-Token", &good)),
        ("cookie", nginx.request().header("Cookie", format!("a=1; tok={good}; b=2"))),
        ("arg", nginx.request()),
        ("variable", nginx.request().header("X-Any", &good)),
    ];
    for location in ["bearer", "named-bearer", "header", "cookie", "arg", "variable"] {
        for (way, request) in &ways {
            let query =
                if *way == "arg" { format!("a=1&tok={good}&b=2") } else { "a=1".to_owned() };
            let response = request.clone().target(format!("/{location}?{query}")).send()?;
            let expected = if location.ends_with(way) { (200, "ok") } else { (401, "missing") };
            assert_eq!(response.verdict(), expected, "/{location} by {way}");
        }
    }
    nginx.assert_no_secret(&[SECRET, &good])?;
    nginx.finish()
}

#[test]
fn a_value_may_be_put_together_of_variables() -> Result<()> {
    let nginx = start()?;
    let good = good()?;
    let (head, rest) = good.split_once('.').unwrap();
    let request = nginx.request().header("X-Head", head);
    assert_eq!(request.target(format!("/mixed?rest={rest}")).send()?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn the_first_source_that_holds_something_decides() -> Result<()> {
    let nginx = start()?;
    let (good, bad) = (good()?, bad()?);
    let ask = |cookie: &str, header: &str, bearer: &str, arg: &str| {
        let mut request = nginx.request();
        for (name, prefix, token) in [
            ("Cookie", "tok=", cookie),
            ("X-Token", "", header),
            ("Authorization", "Bearer ", bearer),
        ] {
            if !token.is_empty() {
                request = request.header(name, format!("{prefix}{token}"));
            }
        }
        let query = if arg.is_empty() { String::new() } else { format!("?tok={arg}") };
        request.target(format!("/several{query}")).send()
    };
    for (request, verdict) in [
        (ask(&good, "", "", "")?, (200, "ok")),
        (ask("", &good, "", "")?, (200, "ok")),
        (ask("", "", &good, "")?, (200, "ok")),
        (ask("", "", "", &good)?, (200, "ok")),
        (ask(&good, &bad, &bad, &bad)?, (200, "ok")),
        (ask(&bad, &good, &good, &good)?, (401, "bad_signature")),
        (ask("", &bad, &good, &good)?, (401, "bad_signature")),
        (ask("", "", &bad, &good)?, (401, "bad_signature")),
        (ask("", "", "", &bad)?, (401, "bad_signature")),
        (ask("", "", "", "")?, (401, "missing")),
    ] {
        assert_eq!(request.verdict(), verdict);
    }
    nginx.finish()
}

#[test]
fn the_authorization_header_is_read_strictly_but_for_the_schemes_case() -> Result<()> {
    let nginx = start()?;
    let t = good()?;
    let cases: Vec<(Vec<u8>, u16, &str)> = vec![
        (format!("Bearer {t}").into(), 200, "ok"),
        (format!("bearer {t}").into(), 200, "ok"),
        (format!("BEARER {t}").into(), 200, "ok"),
        (format!("bEaReR {t}").into(), 200, "ok"),
        (format!("xxBearer {t}").into(), 401, "missing"),
        (format!("Bearerx {t}").into(), 401, "missing"),
        (format!("Bearer{t}").into(), 401, "missing"),
        (format!("Bearer\t{t}").into(), 401, "malformed"),
        (format!("Bearer:{t}").into(), 401, "missing"),
        (format!("Basic {t}").into(), 401, "missing"),
        (format!("JWT {t}").into(), 401, "missing"),
        (format!("Basic YTpi, Bearer {t}").into(), 401, "missing"),
        (t.clone().into(), 401, "missing"),
        ("".into(), 401, "missing"),
        ("Bearer".into(), 401, "malformed"),
        ("bearer".into(), 401, "malformed"),
        ("Bearer ".into(), 401, "malformed"),
        ("Bearer    ".into(), 401, "malformed"),
        (format!("Bearer {t},{t}").into(), 401, "malformed"),
        (format!("Bearer {t} {t}").into(), 401, "malformed"),
        (format!("Bearer {t}, Basic YTpi").into(), 401, "malformed"),
        (format!("Bearer {t};").into(), 401, "malformed"),
        (format!("Bearer \"{t}\"").into(), 401, "malformed"),
        (format!("Bearer \t{t}").into(), 401, "malformed"),
        (format!("Bearer Bearer {t}").into(), 401, "malformed"),
        ([b"Bearer \xff", t.as_bytes()].concat(), 401, "malformed"),
        ([b"Bearer ", t.as_bytes(), b"\xc3\xa9"].concat(), 401, "malformed"),
        ([b"\xffBearer ", t.as_bytes()].concat(), 401, "malformed"),
    ];
    for (value, status, word) in cases {
        let response = nginx.request().target("/bearer").header("Authorization", &value).send()?;
        assert_eq!(response.verdict(), (status, word), "{}", String::from_utf8_lossy(&value));
    }
    nginx.finish()
}

#[test]
fn a_nul_in_a_header_is_refused_by_nginx_itself() -> Result<()> {
    let nginx = start()?;
    let value = [b"Bearer ", good()?.as_bytes(), b"\x00"].concat();
    assert_eq!(
        nginx.request().target("/bearer").header("Authorization", value).send()?.status,
        400
    );
    nginx.finish()
}

#[test]
fn another_header_may_hold_the_token_with_or_without_a_scheme() -> Result<()> {
    let nginx = start()?;
    let t = good()?;
    for (value, verdict) in [
        (t.clone(), (200, "ok")),
        (format!("Bearer {t}"), (200, "ok")),
        (format!("bearer {t}"), (200, "ok")),
        (format!("Basic {t}"), (401, "malformed")),
        (format!("{t} {t}"), (401, "malformed")),
        (format!("{t}, {t}"), (401, "malformed")),
        (String::new(), (401, "missing")),
    ] {
        let response = nginx.request().target("/header").header("x-token", &value).send()?;
        assert_eq!(response.verdict(), verdict, "{value}");
    }
    // A header whose name has an underscore instead is a different header.
    let response = nginx.request().target("/header").header("X_Token", &t).send()?;
    assert_eq!(response.verdict(), (401, "missing"));
    nginx.finish()
}

#[test]
fn a_source_that_occurs_twice_is_ambiguous_and_never_passes() -> Result<()> {
    let nginx = start()?;
    let (good, bad) = (good()?, bad()?);
    for (first, second) in [(&good, &good), (&good, &bad), (&bad, &good)] {
        let two_lines = |location: &str, name: &str, prefix: &str| {
            let request = nginx.request().target(format!("/{location}"));
            let request = request
                .header(name, format!("{prefix}{first}"))
                .header(name, format!("{prefix}{second}"));
            request.send()
        };
        // nginx itself refuses a second Authorization header before any module sees it.
        assert_eq!(two_lines("bearer", "Authorization", "Bearer ")?.status, 400);
        assert_eq!(two_lines("header", "X-Token", "")?.verdict(), (401, "malformed"));
        assert_eq!(two_lines("cookie", "Cookie", "tok=")?.verdict(), (401, "malformed"));
        for cookie in [
            format!("tok={first}; tok={second}"),
            format!("tok={first};tok={second}"),
            format!("a=1; tok={first}; b=2; tok={second}"),
        ] {
            let response = nginx.request().target("/cookie").header("Cookie", cookie).send()?;
            assert_eq!(response.verdict(), (401, "malformed"));
        }
        for query in [
            format!("tok={first}&tok={second}"),
            format!("tok={first}&a=1&tok={second}"),
            format!("tok={first}&tok="),
        ] {
            assert_eq!(nginx.get(format!("/arg?{query}"))?.verdict(), (401, "malformed"));
        }
    }
    nginx.finish()
}

#[test]
fn a_target_with_a_number_sign_has_no_query_that_all_read() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location /arg {{ jwt_token arg:tok; {SERVE} }}
        location /moved {{ rewrite ^ /arg last; }}
        location /bearer {{ {SERVE} }}"
    ))?;
    let (good, bad) = (good()?, bad()?);
    for location in ["arg", "moved"] {
        for (query, verdict) in [
            (format!("tok={good}"), (200, "ok")),
            (format!("tok={good}&x=%23"), (200, "ok")),
            (format!("tok={good}#&tok={bad}"), (401, "malformed")),
            (format!("tok={good}#"), (401, "malformed")),
            (format!("#tok={good}"), (401, "malformed")),
            (format!("?tok={bad}&tok={good}"), (401, "malformed")),
        ] {
            assert_eq!(nginx.get(format!("/{location}?{query}"))?.verdict(), verdict, "{query}");
        }
        let absolute = format!("http://localhost/{location}?tok={good}#&tok={bad}");
        assert_eq!(nginx.get(absolute)?.verdict(), (401, "malformed"));
    }
    // The number sign does not affect a token from another source.
    assert_eq!(nginx.bearer("/bearer?a=1#b", &good)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn white_space_and_quotes_do_not_hide_a_cookie() -> Result<()> {
    let nginx = start()?;
    let (a, b) = (good()?, bad()?);
    for (lines, verdict) in [
        (vec![format!("tok={a}; x=1 tok={b}")], (401, "malformed")),
        (vec![format!("tok={a}; x=1\ttok={b}")], (401, "malformed")),
        (vec![format!("tok={a}; x=\"1\" tok={b}")], (401, "malformed")),
        (vec![format!("tok={a}"), format!("x=1 tok={b}")], (401, "malformed")),
        (vec![format!("x=\"a; tok={a}; b\"")], (401, "malformed")),
        (vec!["x=\"a".to_owned(), format!("tok={a}"), "y=b\"".to_owned()], (401, "malformed")),
        (vec![format!("tok={a}; pref={{\"a\":\"b c\"}}; x=\"quoted value\"; g=1=2")], (200, "ok")),
        (vec![format!("pref={{\"a\":\"b c\"}}; x=\"quoted value\"; y=a b; tok={a}")], (200, "ok")),
    ] {
        let request = nginx.request().target("/cookie");
        let request = lines.iter().fold(request, |all, line| all.header("Cookie", line));
        assert_eq!(request.send()?.verdict(), verdict, "{lines:?}");
    }
    nginx.finish()
}

#[test]
fn a_header_in_another_spelling_is_malformed_also_by_itself() -> Result<()> {
    let nginx = Nginx::builder()
        .http("underscores_in_headers on;")
        .server(format!(
            "location / {{ jwt_token header:X-Token; jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"
        ))
        .start()?;
    let good = good()?;
    for (name, verdict) in
        [("X-Token", (200, "ok")), ("x-TOKEN", (200, "ok")), ("X_Token", (401, "malformed"))]
    {
        assert_eq!(nginx.request().header(name, &good).send()?.verdict(), verdict, "{name}");
    }
    nginx.finish()
}

#[test]
fn several_cookies_in_several_lines_hold_one_token() -> Result<()> {
    let nginx = start()?;
    let good = good()?;
    let request = nginx
        .request()
        .target("/cookie")
        .header("Cookie", "a=1")
        .header("Cookie", format!("tok={good}"));
    assert_eq!(request.send()?.verdict(), (200, "ok"));
    for (other, word) in
        [("xtok", "missing"), ("tokx", "missing"), ("TOK", "malformed"), ("tok[]", "malformed")]
    {
        let response =
            nginx.request().target("/cookie").header("Cookie", format!("{other}={good}")).send()?;
        assert_eq!(response.verdict(), (401, word), "{other}");
    }
    nginx.finish()
}

/// Tries every pair of pieces. A token that passes must be the one that nginx's own variable shows,
/// because nginx would send that one to an upstream.
#[test]
fn a_token_that_passes_is_the_one_that_nginx_shows() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location /cookie {{ jwt_token cookie:tok; add_header X-Shown $cookie_tok;
            add_header X-Sub $jwt_claim_sub; {SERVE} }}
        location /arg {{ jwt_token arg:tok; add_header X-Shown $arg_tok;
            add_header X-Sub $jwt_claim_sub; {SERVE} }}"
    ))?;
    let of = |sub: &str| {
        Jwt::live_with(&serde_json::json!({ "sub": sub })).kid("k1").hs("HS256", SECRET)
    };
    let tokens = [("alice", of("alice")?), ("bob", of("bob")?)];
    let filled = |text: &str| text.replace('@', &tokens[0].1).replace('#', &tokens[1].1);
    let cookies = [
        "tok=@",
        "tok=#",
        "tok =@",
        "TOK=@",
        "Tok =#",
        "tok= @",
        "tok=@ ",
        "tok",
        "tok ",
        "x=1",
        "x=\"",
        "y\"",
        "tok[]=@",
        "%74ok=#",
        "\ttok=#",
        "tok\t=@",
        "tok=\"@\"",
        "",
    ];
    let arguments = [
        "tok=@", "tok=#", "TOK=@", "tok", "tok=", "x=1", "tok[]=#", "%74ok=#", "+tok=@", "tok+=#",
        "tok%00=@", "tok;", "",
    ];
    let mut connection = nginx.connect()?;
    let (mut asked, mut passed) = (0, 0);
    let mut ask = |request: module_tests::Request, what: &str| -> Result<()> {
        asked += 1;
        // nginx closes a connection after a thousand requests.
        if asked % 500 == 0 {
            connection = nginx.connect()?;
        }
        let response = connection.send(&request.keep_alive())?;
        if response.status == 200 {
            let shown = response.header("X-Shown").unwrap_or_default();
            let sub = response.header("X-Sub").unwrap_or_default();
            assert!(tokens.iter().any(|(of, token)| *of == sub && token == shown), "{what}");
            passed += 1;
        } else {
            assert_eq!(response.status, 401, "{what}");
        }
        Ok(())
    };
    for first in cookies {
        for second in cookies {
            for between in ["; ", ";", ",", ", ", ";\t", " ", " ; "] {
                let line = format!("{first}{between}{second}");
                ask(nginx.request().target("/cookie").header("Cookie", filled(&line)), &line)?;
            }
        }
    }
    for first in arguments {
        for second in arguments {
            for between in ["&", ";", "&&", "&x&"] {
                let query = format!("{first}{between}{second}");
                ask(nginx.request().target(format!("/arg?{}", filled(&query))), &query)?;
            }
        }
    }
    assert!(passed > 20, "{passed}");
    nginx.finish()
}

#[test]
fn a_long_token_is_refused_and_a_rather_long_one_read() -> Result<()> {
    let nginx = Nginx::builder()
        .http("large_client_header_buffers 4 256k; client_header_buffer_size 256k;")
        .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))
        .start()?;
    let sized = |size: usize| {
        Jwt::live_with(&serde_json::json!({ "fill": "x".repeat(size) }))
            .kid("k1")
            .hs("HS256", SECRET)
    };
    assert_eq!(nginx.bearer("/", &sized(20_000)?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &sized(40_000)?)?.verdict(), (200, "ok"));
    for size in [60_000, 120_000] {
        assert_eq!(nginx.bearer("/", &sized(size)?)?.verdict(), (401, "malformed"), "{size}");
    }
    nginx.finish()
}

#[test]
fn a_token_in_a_query_never_reaches_the_error_log() -> Result<()> {
    let nginx = start()?;
    let (good, bad) = (good()?, bad()?);
    nginx.get(format!("/arg?tok={bad}"))?;
    nginx.get(format!("/arg?tok={good}&tok={good}"))?;
    assert_eq!(nginx.refusals().len(), 2, "{:?}", nginx.refusals());
    nginx.assert_no_secret(&[&good, &bad])?;
    nginx.finish()
}
