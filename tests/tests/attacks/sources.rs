//! Where a request may carry a token, and what counts as a token there. A token in one source never
//! helps a token in another.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, Request, SECRET, SERVE};

use crate::{Case, Want, withstand};

fn start(http: &str) -> Result<Nginx> {
    Nginx::builder()
        .http(http)
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{ {SERVE} }}
            location /header {{ jwt_token header:X-Token; {SERVE} }}
            location /auth {{ jwt_token header:Authorization; {SERVE} }}
            location /cookie {{ jwt_token cookie:tok; {SERVE} }}
            location /arg {{ jwt_token arg:tok; {SERVE} }}
            location /all {{ jwt_token bearer header:X-Token cookie:tok arg:tok; {SERVE} }}"
        ))
        .start()
}

fn tokens() -> Result<(String, String)> {
    let jwt = Jwt::live().kid("k1");
    Ok((jwt.hs("HS256", SECRET)?, jwt.hs("HS256", OTHER_SECRET)?))
}

#[test]
fn the_scheme_is_bearer_and_the_rest_is_one_token() -> Result<()> {
    let nginx = start("")?;
    let t = tokens()?.0;
    let t = t.as_str();
    let mut cases = Vec::new();
    let mut add = |value: &[u8], word| {
        let shown = String::from_utf8_lossy(value).replace(t, "TOKEN");
        let request = nginx.request().header("Authorization", value);
        cases.push(Case::token(format!("{shown:?}"), request, word));
    };
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        add(format!("{scheme} {t}").as_bytes(), "ok");
        add(format!("{scheme}   {t}").as_bytes(), "ok");
        // nginx removes spaces at the end of a header line before the module sees it.
        add(format!("{scheme} {t}  ").as_bytes(), "ok");
        for empty in [scheme.to_owned(), format!("{scheme} "), format!("{scheme}    ")] {
            add(empty.as_bytes(), "malformed");
        }
        for between in [
            "\t", " \t", "\t ", "\u{b}", "\u{c}", "\u{a0}", "+", "%20", ":", ": ", "=", ", ", "/",
            "\u{3000}",
        ] {
            // Some upstream may read any kind of blank as a separator, so a token may be there.
            let is_blank = between.starts_with(|first: char| !first.is_ascii_graphic());
            let word = if is_blank { "malformed" } else { "missing" };
            add(format!("{scheme}{between}{t}").as_bytes(), word);
        }
    }
    for value in [
        "xxBearer @",
        "xBearer @",
        "Bearerx @",
        "Bearers @",
        "Beare @",
        "B @",
        "Bearer@",
        "@",
        " @ ",
        "JWT @",
        "Token @",
        "Basic @",
        "Digest @",
        "Basic YTpi, Bearer @",
        "Basic YTpi Bearer @",
        ", Bearer @",
        ",Bearer @",
        "\"Bearer\" @",
        "Bearer,Bearer @",
        "B\u{435}arer @",
        "\u{ff22}earer @",
        "realm=\"x\" Bearer @",
        "Authorization: Bearer @",
        "B\\u0065arer @",
        "Bearer\\ @",
        "",
        "-",
        "null",
    ] {
        add(value.replace('@', t).as_bytes(), "missing");
    }
    for value in [
        "\tBearer @",
        "\t Bearer @",
        "\u{a0}bearer @",
        "\u{feff}Bearer @",
        "Bearer\u{200b} @",
        "Bearer @,@",
        "Bearer @, @",
        "Bearer @ @",
        "Bearer @ x",
        "Bearer x @",
        "Bearer @;",
        "Bearer @,",
        "Bearer ,@",
        "Bearer @, Basic YTpi",
        "Bearer @, Bearer @",
        "Bearer Bearer @",
        "Bearer bearer @",
        "Bearer \"@\"",
        "Bearer '@'",
        "Bearer <@>",
        "Bearer [@]",
        "Bearer token=@",
        "Bearer token=\"@\"",
        "Bearer JWT @",
        "Bearer =@",
        "Bearer @=",
        "Bearer @#x",
        "Bearer @?x=1",
        "Bearer @\u{a0}",
        "Bearer \u{feff}@",
        "Bearer @\u{e9}",
        "Bearer null",
        "Bearer undefined",
        "Bearer -",
        "Bearer .",
        "Bearer ..",
        "Bearer %20@",
        "Bearer @%00",
    ] {
        add(value.replace('@', t).as_bytes(), "malformed");
    }
    for byte in (0x01..=0x08).chain(0x0e..=0x1f).chain(0x7f..=0xff) {
        add(&[b"Bearer ", &[byte][..], t.as_bytes()].concat(), "malformed");
        add(&[b"Bearer", &[byte][..], b" ", t.as_bytes()].concat(), "malformed");
        add(&[b"Bearer ", t.as_bytes(), &[byte]].concat(), "malformed");
    }
    for value in [
        [b"Bearer \0", t.as_bytes()].concat(),
        [b"Bearer ", t.as_bytes(), b"\0"].concat(),
        [b"Bearer\0 ", t.as_bytes()].concat(),
        [b"\0Bearer ", t.as_bytes()].concat(),
    ] {
        let request = nginx.request().header("Authorization", value);
        cases.push(Case::new("NUL", request, Want::Nginx(400)));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn one_source_given_twice_is_ambiguous() -> Result<()> {
    let nginx = start("underscores_in_headers on;")?;
    let (good, bad) = tokens()?;
    let mut cases = Vec::new();
    for (first, second) in [(&good, &good), (&good, &bad), (&bad, &good)] {
        let pair = if first == second { "twice" } else { "two" };
        let mut add = |name: &str, request: Request, want| {
            cases.push(Case::new(format!("{pair}: {name}"), request, want));
        };
        let lines = |path: &str, name: &str, before: &str| {
            let request = nginx.request().target(path);
            let request = request.header(name, format!("{before}{first}"));
            request.header(name.to_uppercase(), format!("{before}{second}"))
        };
        let malformed = Want::Jwt(401, "malformed");
        // nginx itself refuses a request with a second Authorization.
        for path in ["/", "/auth", "/all"] {
            add("Authorization", lines(path, "Authorization", "Bearer "), Want::Nginx(400));
        }
        add("X-Token", lines("/header", "X-Token", ""), malformed);
        add("X-Token with scheme", lines("/header", "X-Token", "Bearer "), malformed);
        let spelt = nginx.request().target("/header").header("X-Token", first.as_str());
        add("X-Token and X_Token", spelt.header("X_Token", second.as_str()), malformed);
        add("X-Token, several sources", lines("/all", "X-Token", ""), malformed);
        add("Cookie", lines("/cookie", "Cookie", "tok="), malformed);
        add("Cookie, several sources", lines("/all", "Cookie", "tok="), malformed);
        for cookie in [
            format!("tok={first}; tok={second}"),
            format!("tok={first};tok={second}"),
            format!("tok={first}; a=1; tok={second}"),
            format!("tok={first}; tok="),
            format!("tok=; tok={first}"),
            format!("tok ={first}; tok={second}"),
            format!("TOK={first}; tok={second}"),
            format!("tok={first}; Tok={second}"),
            format!("x=1, tok={first}; tok={second}"),
            format!("tok={first}; x=1, tok={second}"),
            format!("x=\"; tok={first}; y=\"; tok={second}"),
            format!("tok={first}; tok[]={second}"),
            format!("%74ok={first}; tok={second}"),
            format!("tok; tok={second}"),
        ] {
            let request = nginx.request().target("/cookie").header("Cookie", cookie);
            add("cookies", request, malformed);
        }
        for query in [
            format!("tok={first}&tok={second}"),
            format!("a&tok={first}&&b=1&tok={second}&c"),
            format!("tok={first}&tok="),
            format!("tok=&tok={first}"),
            format!("TOK={first}&tok={second}"),
            format!("tok={first}&Tok={second}"),
            format!("tok={first};tok={second}"),
            format!("a=1;tok={first}&tok={second}"),
            format!("to%6b={first}&tok={second}"),
            format!("tok={first}&tok[]={second}"),
            format!("tok={first}&tok%5b0%5d={second}"),
            format!("tok={first}&+tok={second}"),
            format!("tok={first}&tok%00={second}"),
        ] {
            add("arguments", nginx.request().target(format!("/arg?{query}")), malformed);
            add("arguments", nginx.request().target(format!("/all?{query}")), malformed);
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn the_first_source_that_holds_something_decides() -> Result<()> {
    let nginx = start("")?;
    let (good, bad) = tokens()?;
    let mut cases = Vec::new();
    // All combinations of the four sources, each of them absent, good, bad, or unusable.
    let kinds = ["", "good", "bad", "unusable"];
    for way in 0..4_usize.pow(4) {
        let shown = [way / 64, way / 16 % 4, way / 4 % 4, way % 4].map(|kind| kinds[kind]);
        let token = |kind: &str| match kind {
            "good" => good.clone(),
            "bad" => bad.clone(),
            _ => String::new(),
        };
        let [bearer, header, cookie, arg] = shown;
        let mut request = nginx.request();
        if !bearer.is_empty() {
            request = request.header("Authorization", format!("Bearer {}", token(bearer)));
        }
        if header == "unusable" {
            request = request.header("X-Token", &good).header("X-Token", &good);
        } else if !header.is_empty() {
            request = request.header("X-Token", token(header));
        }
        if cookie == "unusable" {
            request = request.header("Cookie", format!("tok={good}; tok={good}"));
        } else if !cookie.is_empty() {
            request = request.header("Cookie", format!("tok={}", token(cookie)));
        }
        let query = match arg {
            "" => String::new(),
            "unusable" => format!("?tok={good}&tok={good}"),
            kind => format!("?tok={}", token(kind)),
        };
        let word = match shown.into_iter().find(|kind| !kind.is_empty()) {
            None => "missing",
            Some("good") => "ok",
            Some("bad") => "bad_signature",
            Some(_) => "malformed",
        };
        let request = request.target(format!("/all{query}"));
        cases.push(Case::token(format!("{shown:?}"), request, word));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_token_in_another_place_is_none() -> Result<()> {
    let t = tokens()?.0;
    for underscores in ["off", "on"] {
        let nginx = start(&format!("underscores_in_headers {underscores};"))?;
        let mut cases = Vec::new();
        let mut add_as = |word, path: &str, name: &str, value: String| {
            let request = nginx.request().target(path).header(name, value);
            cases.push(Case::token(format!("{path} {name}"), request, word));
        };
        // CGI, WSGI and $http_x_token read this as the same header, but other programs do not.
        let other_spelling = if underscores == "on" { "malformed" } else { "missing" };
        add_as(other_spelling, "/header", "X_Token", t.clone());
        // Some programs read these cookies as `tok`, so the module must refuse them.
        for cookie in ["TOK=", "tok[]=", "tok[0]=", "tok =", "x=1, tok=", "t%6fk=", " tok\t="] {
            add_as("malformed", "/cookie", "Cookie", format!("{cookie}{t}"));
        }
        let mut add = |path: &str, name: &str, value: String| {
            add_as("missing", path, name, value);
        };
        let bearer = format!("Bearer {t}");
        for name in [
            "Proxy-Authorization",
            "X-Authorization",
            "Authorisation",
            "Authorization_",
            "_Authorization",
        ] {
            add("/", name, bearer.clone());
        }
        for name in ["XToken", "X-Token-", "X-Tokens", "Token", "HTTP_X_TOKEN", "X.Token"] {
            add("/header", name, t.clone());
        }
        for cookie in ["xtok=", "tokx=", "$tok=", "a=tok=", "tok ", "tok;", "tok%3D"] {
            add("/cookie", "Cookie", format!("{cookie}{t}"));
        }
        add("/cookie", "Cookie2", format!("tok={t}"));
        add("/cookie", "Authorization", bearer.clone());
        add("/", "Cookie", format!("tok={t}"));
        for (query, word) in [
            ("xtok=", "missing"),
            ("tokx=", "missing"),
            ("tok%3D", "missing"),
            ("tok;", "missing"),
            ("tok", "missing"),
            ("TOK=", "malformed"),
            ("tok[]=", "malformed"),
            ("t%6fk=", "malformed"),
            ("a=1;tok=", "malformed"),
            ("+tok=", "malformed"),
        ] {
            let request = nginx.request().target(format!("/arg?{query}{t}"));
            cases.push(Case::token(format!("/arg?{query}"), request, word));
        }
        for target in [format!("/arg/tok={t}"), format!("/arg;tok={t}"), format!("/arg%3Ftok={t}")]
        {
            cases.push(Case::token("in the path", nginx.request().target(&target), "missing"));
        }
        // A form in the body is not part of the query.
        let form = nginx
            .request()
            .method("POST")
            .target("/arg")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("tok={t}&access_token={t}"));
        cases.push(Case::token("in a form", form, "missing"));
        withstand(&nginx, cases)?;
        nginx.finish()?;
    }
    Ok(())
}

/// The module must not treat a token as missing where an upstream would read one.
#[test]
fn a_bearer_token_that_only_upstreams_find_does_not_pass_as_none() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location /optional {{ jwt optional; {SERVE} }}
        location /both {{ jwt_token bearer cookie:tok; {SERVE} }}
        location /arg {{ jwt optional; jwt_token arg:access_token; {SERVE} }}
        location /cookie {{ jwt optional; jwt_token cookie:access_token; {SERVE} }}"
    ))?;
    let (good, forged) = tokens()?;
    for line in [format!("\tBearer {forged}"), format!("Bearer\t{forged}")] {
        let request = || nginx.request().header("Authorization", &line);
        let optional = request().target("/optional").send()?;
        assert_eq!(optional.verdict(), (401, "malformed"), "{line:?}");
        let both = request().target("/both").header("Cookie", format!("tok={good}")).send()?;
        assert_eq!(both.verdict(), (401, "malformed"), "{line:?}");
    }
    // PHP reads a bracket that is not closed as an underscore.
    for name in ["access[token", "access%5btoken"] {
        for query in [format!("{name}={forged}"), format!("access_token={good}&{name}={forged}")] {
            let answer = nginx.get(format!("/arg?{query}"))?;
            assert_eq!(answer.verdict(), (401, "malformed"), "{query}");
        }
        let cookies = format!("{name}={forged}; access_token={good}");
        let answer = nginx.request().target("/cookie").header("Cookie", cookies).send()?;
        assert_eq!(answer.verdict(), (401, "malformed"), "{name}");
    }
    nginx.finish()
}
