//! Internal redirects: which verdict a request keeps, and when the module checks it again.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, link, now};
use serde_json::json;

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";

fn k1() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

fn k2() -> Result<String> {
    Jwt::live_with(&json!({ "sub": "bob" })).kid("k2").hs("HS256", OTHER_SECRET)
}

#[test]
fn a_login_redirect_says_why() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ error_page 401 403 = @login; jwt_claim role = admin; {SERVE} }}
        location @login {{ jwt off; return 302 \"/login?why=$jwt_status&who=$jwt_claim_sub\"; }}
        location /uri/ {{ error_page 401 = /login; {SERVE} }}
        location = /login {{ internal; jwt off; return 302 \"/l?why=$jwt_status\"; }}"
    ))?;
    let forged = Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?;
    for (token, why) in [
        (None, "/login?why=missing&who="),
        (Some(forged), "/login?why=bad_signature&who="),
        (Some(k1()?), "/login?why=denied&who=alice"),
    ] {
        let request = nginx.request();
        let request = match &token {
            Some(token) => request.bearer(token),
            None => request,
        };
        let response = request.send()?;
        let location = response.header("Location").unwrap_or_default();
        assert!(response.status == 302 && location.ends_with(why), "{why}: {location}");
    }
    let response = nginx.get("/uri/")?;
    assert!(response.header("Location").is_some_and(|l| l.ends_with("/l?why=missing")));
    nginx.finish()
}

#[test]
fn a_login_page_that_a_variable_opens_knows_why_as_well() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt $asked; error_page 401 403 = /login;
            location / {{ {SERVE} }} location /rule {{ jwt_claim role = admin; {SERVE} }}
            location = /login {{ proxy_set_header X-Why \"$jwt_status $jwt_claim_sub\";
                proxy_pass http://unix:up.sock; }}"
        ))
        .http(
            "map $uri $asked { volatile; /login off; default on; }
            server { listen unix:up.sock; add_header X-From upstream; return 200 \"<$http_x_why>\"; }",
        )
        .start()?;
    assert_eq!(nginx.get("/")?.text(), "<missing>");
    assert_eq!(nginx.bearer("/", "rubbish")?.text(), "<malformed>");
    assert_eq!(nginx.bearer("/rule", &k1()?)?.text(), "<denied alice>");
    assert_eq!(nginx.get("/login")?.text(), "<off>");
    nginx.finish()
}

#[test]
fn a_json_body_says_why_and_who() -> Result<()> {
    let nginx = Nginx::start(format!(
        "error_page 401 403 410 /denied.json;
        location = /denied.json {{ internal; default_type application/json;
            return 200 '{{\"status\":$status,\"why\":\"$jwt_status\",\"who\":\"$jwt_claim_sub\",\"link\":\"$secure_token_status\"}}'; }}
        location /api/ {{ jwt_kids {{ k1 {SECRET}; }} jwt_claim role = admin; {SERVE} }}
        location /link/ {{ secure_token_secret {LINK_SECRET}; {SERVE} }}"
    ))?;
    let body = |response: &module_tests::Response| -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&response.text())?)
    };
    let response = nginx.bearer("/api/", &k1()?)?;
    let told = json!({ "status": 403, "why": "denied", "who": "alice", "link": "off" });
    assert_eq!((response.status, body(&response)?), (403, told));
    assert!(response.challenge().contains("insufficient_scope"), "{}", response.challenge());
    let response = nginx.bearer("/api/", &k2()?)?;
    let told = json!({ "status": 401, "why": "unknown_key", "who": "", "link": "off" });
    assert_eq!((response.status, body(&response)?), (401, told));
    let response = nginx.get(link(LINK_SECRET, "/link/", now() - 9))?;
    let told = json!({ "status": 410, "why": "off", "who": "", "link": "expired" });
    assert_eq!((response.status, body(&response)?), (410, told));
    nginx.finish()
}

/// Every way in which nginx goes from one location, `/from/WAY/`, to another, `/to/ok.txt`.
const WAYS: [(&str, &str); 8] = [
    ("try_files", "try_files /nothing /to/ok.txt;"),
    ("try_named", "try_files /nothing @to;"),
    ("error_page", "error_page 404 = /to/ok.txt; root nowhere;"),
    ("error_named", "error_page 404 = @to; root nowhere;"),
    ("rewrite", "rewrite ^ /to/ok.txt last;"),
    ("index", "index /to/ok.txt; alias html/dir/;"),
    ("accel", "proxy_pass http://unix:up.sock:/file;"),
    ("accel_named", "proxy_pass http://unix:up.sock:/named;"),
];

fn ways(outer: &str, to: &str) -> Result<Nginx> {
    let ways: String = WAYS
        .iter()
        .map(|(way, how)| format!("location /from/{way}/ {{ {outer} {how} }}\n"))
        .collect();
    Nginx::builder()
        .http(
            "server { listen unix:up.sock; add_header X-From upstream;
            location /file { add_header X-Accel-Redirect /to/ok.txt; return 200; }
            location /named { add_header X-Accel-Redirect @to; return 200; } }",
        )
        .server(format!("{ways} location /to/ {{ {to} {SERVE} }} location @to {{ {to} {SERVE} }}"))
        .html("dir/x", "")
        .start()
}

#[test]
fn a_redirect_out_of_an_open_location_is_judged_by_the_closed_one() -> Result<()> {
    let nginx = ways("", &format!("jwt_kids {{ k1 {SECRET}; }}"))?;
    for (way, _) in WAYS {
        let path = format!("/from/{way}/");
        assert_eq!(nginx.get(&path)?.verdict(), (401, "missing"), "{way}");
        assert_eq!(nginx.bearer(&path, &k2()?)?.verdict(), (401, "unknown_key"), "{way}");
        assert_eq!(nginx.bearer(&path, &k1()?)?.verdict(), (200, "ok"), "{way}");
    }
    nginx.finish()
}

#[test]
fn a_redirect_between_closed_locations_is_judged_by_both() -> Result<()> {
    // The first location reads its token from X-One, so a request can send one to each.
    let nginx = ways(
        &format!("jwt_kids {{ k1 {SECRET}; }} jwt_token header:X-One;"),
        &format!("jwt_kids {{ k2 {OTHER_SECRET}; }}"),
    )?;
    let (k1, k2) = (k1()?, k2()?);
    for (way, _) in WAYS {
        let ask = |one: &str, two: &str| -> Result<u16> {
            let request = nginx.request().target(format!("/from/{way}/")).bearer(two);
            Ok(request.header("X-One", one).send()?.status)
        };
        // `rewrite` leaves its location before the access phase.
        let first = if way == "rewrite" { 200 } else { 401 };
        assert_eq!(ask(&k1, &k2)?, 200, "{way}");
        assert_eq!(ask(&k1, &k1)?, 401, "{way}");
        assert_eq!(ask(&k2, &k2)?, first, "{way}");
        assert_eq!(ask("x", &k2)?, first, "{way}");
    }
    nginx.finish()
}

#[test]
fn a_check_that_was_off_for_one_path_is_on_again_for_the_next() -> Result<()> {
    // The whole server has one check, and the path decides its switch.
    let ways: String = WAYS
        .iter()
        .map(|(way, how)| {
            format!("location /public/{way}/ {{ {} }}\n", how.replace("/from/", "/public/"))
        })
        .collect();
    for early in ["", "set $early \"$jwt_status$jwt_claim_sub\";"] {
        let nginx = Nginx::builder()
            .http(
                "map $uri $asked { volatile; ~^/public/ off; default on; }
                server { listen unix:up.sock; add_header X-From upstream;
                location /file { add_header X-Accel-Redirect /to/ok.txt; return 200; }
                location /named { add_header X-Accel-Redirect @to; return 200; } }",
            )
            .server(format!(
                "jwt_kids {{ k1 {SECRET}; }} jwt $asked; {early}
                location /public/ {{ {SERVE} }} {ways}
                location /to/ {{ {SERVE} }} location @to {{ {SERVE} }}"
            ))
            .html("dir/x", "")
            .start()?;
        assert_eq!(nginx.get("/to/")?.verdict(), (401, "missing"));
        for (way, _) in WAYS {
            let path = format!("/public/{way}/");
            // A named location keeps the path, so the map gives the same value again.
            let status = if way.ends_with("named") { 200 } else { 401 };
            assert_eq!(nginx.get(&path)?.status, status, "{early} {way}");
            assert_eq!(nginx.bearer(&path, &k1()?)?.status, 200, "{early} {way}");
            assert_eq!(nginx.bearer(&path, "x")?.status, status, "{early} {way}");
        }
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn what_was_decided_is_shown_though_the_path_has_changed_since() -> Result<()> {
    // `try_files` changes the path after the access phase, and that changes the map's value.
    let nginx = Nginx::builder()
        .http("map $uri $asked { volatile; ~^/public off; ~^/maybe optional; default on; }")
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt $asked; location / {{ {SERVE} }}
            location /public/named {{ try_files /nothing @to; }} location @to {{ {SERVE} }}"
        ))
        .start()?;
    for (path, none, good) in [
        ("/public", (200, "off"), (200, "off")),
        ("/public/named", (200, "off"), (200, "off")),
        ("/maybe", (200, "missing"), (200, "ok")),
        ("/closed", (401, "missing"), (200, "ok")),
    ] {
        assert_eq!(nginx.get(path)?.verdict(), none, "{path}");
        assert_eq!(nginx.bearer(path, &k1()?)?.verdict(), good, "{path}");
    }
    nginx.finish()
}

#[test]
fn a_link_is_judged_anew_for_the_path_that_it_leads_to() -> Result<()> {
    let nginx = Nginx::start(format!(
        "secure_token_secret {LINK_SECRET}; set $early $secure_token_status;
        location /a/ {{ rewrite ^ /b/ok.txt last; }}
        location /try/ {{ try_files /nothing /b/ok.txt?$args; }}
        location /error/ {{ root nowhere; error_page 404 = /b/ok.txt; }}
        location /b/ {{ {SERVE} }}"
    ))?;
    // `error_page` drops the query, and so the link is missing.
    for (path, word) in
        [("/a/", "bad_signature"), ("/try/", "bad_signature"), ("/error/", "missing")]
    {
        let signed = link(LINK_SECRET, path, now() + 300);
        assert_eq!(nginx.get(&signed)?.link_verdict(), (403, word), "{path}");
    }
    let signed = link(LINK_SECRET, "/b/ok.txt", now() + 300);
    let query = signed.split_once('?').map(|(_, query)| query).unwrap_or_default();
    assert_eq!(nginx.get(format!("/a/?{query}"))?.link_verdict(), (200, "ok"));
    assert_eq!(nginx.get(format!("/try/?{query}"))?.link_verdict(), (403, "bad_signature"));
    nginx.finish()
}

#[test]
fn an_error_page_that_is_itself_closed_opens_nothing() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} error_page 401 @error; error_page 403 /error.html;
        location / {{ {SERVE} }}
        location /rule {{ jwt_claim role = admin; {SERVE} }}
        location @error {{ {SERVE} }}
        location = /error.html {{ {SERVE} }}"
    ))?;
    // The error location has the same check, which refuses the request again.
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    assert_ne!(nginx.get("/")?.text(), "ok\n");
    assert_eq!(nginx.bearer("/rule", "rubbish")?.verdict(), (401, "malformed"));
    // Here the page's own check passes, so nginx serves it with the status of the refusal.
    let response = nginx.bearer("/rule", &k1()?)?;
    assert_eq!((response.status, response.text().as_ref()), (403, "ok\n"));
    nginx.finish()
}

#[test]
fn redirects_without_end_are_nginxs_own_affair() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ error_page 404 = /again; recursive_error_pages on; root nowhere;
            set $early $jwt_status; }}
        location /loop {{ rewrite ^ /loop last; set $never $jwt_status; }}"
    ))?;
    assert_eq!(nginx.bearer("/", &k1()?)?.status, 500);
    assert_eq!(nginx.bearer("/loop", &k1()?)?.status, 500);
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    nginx.finish()
}
