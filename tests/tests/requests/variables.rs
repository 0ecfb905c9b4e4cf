//! The module's variables: they are lazy and verified, and they survive an internal redirect.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, hmac, link, now, raw_token};
use serde_json::{Value, json};

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

#[test]
fn claims_reach_headers_maps_ifs_sets_and_the_access_log() -> Result<()> {
    let nginx = Nginx::builder()
        .without_verdict()
        .http(
            "map $jwt_claim_role $area { admin staff; default public; }
            log_format claims '$jwt_status $jwt_claim_sub $jwt_claim_role '
                              '$jwt_header_kid $jwt_header_alg';
            access_log logs/claims.log claims;",
        )
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{
                set $who \"<$jwt_claim_sub>\";
                set $seen no;
                if ($jwt_claim_role = admin) {{ set $seen yes; }}
                add_header X-Who $who;
                add_header X-Seen $seen;
                add_header X-Area $area;
                add_header X-Status $jwt_status always;
            }}"
        ))
        .start()?;
    let response = nginx.bearer("/ok.txt", &token(&json!({ "role": "admin" }))?)?;
    assert_eq!((response.status, response.header("X-Status")), (200, Some("ok")));
    for (name, value) in [("X-Who", "<alice>"), ("X-Seen", "yes"), ("X-Area", "staff")] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let response = nginx.bearer("/ok.txt", &token(&json!({ "role": "guest" }))?)?;
    assert_eq!(
        (response.header("X-Seen"), response.header("X-Area")),
        (Some("no"), Some("public"))
    );
    assert_eq!(nginx.get("/ok.txt")?.header("X-Status"), Some("missing"));
    nginx.stop()?; // The last line is written after the answer.
    let log = nginx.read("logs/claims.log");
    assert_eq!(log, "ok alice admin k1 HS256\nok alice guest k1 HS256\nmissing - - - -\n");
    nginx.finish()
}

#[test]
fn a_first_use_in_an_early_phase_decides_nothing_by_itself() -> Result<()> {
    // `set` reads the verdict in the rewrite phase; the access phase still refuses.
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ set $early $jwt_status; add_header X-Early $early always;
            add_header X-Jwt-Status $jwt_status always; }}"
    ))?;
    let bad = Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?;
    for (token, status, word) in [(token(&json!({}))?, 200, "ok"), (bad, 401, "bad_signature")] {
        let response = nginx.bearer("/ok.txt", &token)?;
        assert_eq!(response.verdict(), (status, word));
        assert_eq!(response.header("X-Early"), Some(word));
    }
    assert_eq!(nginx.refusals().len(), 1, "{:?}", nginx.refusals());
    nginx.finish()
}

#[test]
fn a_server_level_variable_is_judged_by_the_location_that_serves() -> Result<()> {
    // `set` in the server runs before nginx chooses a location, with the server's keys or none.
    let nginx = Nginx::start(format!(
        "set $early $jwt_status;
        location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"
    ))?;
    assert_eq!(nginx.bearer("/", &token(&json!({}))?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    nginx.finish()
}

#[test]
fn nothing_unverified_is_ever_shown() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "add_header X-Sub $jwt_claim_sub always; add_header X-Payload $jwt_payload always;
            add_header X-Kid $jwt_header_kid always; add_header X-Alg $jwt_header_alg always;",
        )
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_issuer me; {SERVE} }}
            location /off {{ jwt off; {SERVE} }}
            location /none {{ {SERVE} }}"
        ))
        .start()?;
    let shown = |path: &str, token: &str| -> Result<Vec<String>> {
        let response = nginx.bearer(path, token)?;
        let names = ["X-Sub", "X-Payload", "X-Kid", "X-Alg"];
        Ok(names.iter().filter_map(|name| response.header(name)).map(str::to_owned).collect())
    };
    let good = json!({ "iss": "me" });
    let none: Vec<String> = Vec::new();
    assert_eq!(shown("/", &token(&good)?)?.len(), 4);
    assert_eq!(shown("/", &Jwt::live_with(&good).kid("k1").hs("HS256", OTHER_SECRET)?)?, none);
    assert_eq!(shown("/", &Jwt::live_with(&good).kid("nobody").hs("HS256", SECRET)?)?, none);
    assert_eq!(
        shown("/", &Jwt::live_with(&good).kid("k1").signed("none", |_| Ok(Vec::new()))?)?,
        none
    );
    // The signature is right, but the token is refused, so its claims are not shown either.
    assert_eq!(shown("/", &token(&json!({ "iss": "him" }))?)?, none);
    assert_eq!(shown("/", &token(&json!({ "iss": "me", "exp": 1_000_000_000 }))?)?, none);
    assert_eq!(shown("/off", &token(&good)?)?, none);
    assert_eq!(shown("/none", &token(&good)?)?, none);
    nginx.finish()
}

#[test]
fn values_of_every_type_become_text() -> Result<()> {
    let names = [
        "s",
        "n",
        "neg",
        "f",
        "t",
        "no",
        "nil",
        "list",
        "mixed",
        "nested",
        "obj",
        "empty",
        "uni",
        "missing",
        "with_underscore",
    ];
    let headers: String =
        names.iter().map(|name| format!("add_header X-{name} \"<$jwt_claim_{name}>\"; ")).collect();
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {headers} {SERVE} }}"))
        .start()?;
    let claims = json!({
        "s": "text", "n": 42, "neg": -7, "f": 1.5, "t": true, "no": false, "nil": null, "list": ["a", "b"],
        "mixed": ["a", 1, true], "nested": [["a"], { "b": 1 }], "obj": { "b": [1, 2], "a": "x" }, "empty": "",
        "uni": "gr\u{fc}n", "with_underscore": "w",
    });
    let response = nginx.bearer("/", &token(&claims)?)?;
    for (name, value) in [
        ("s", "text"),
        ("n", "42"),
        ("neg", "-7"),
        ("f", "1.5"),
        ("t", "true"),
        ("no", "false"),
        ("list", "a,b"),
        ("mixed", "a,1,true"),
        ("obj", r#"{"b":[1,2],"a":"x"}"#),
        ("empty", ""),
        ("uni", "gr\u{fc}n"),
        ("missing", ""),
        ("with_underscore", "w"),
    ] {
        assert_eq!(
            response.header(&format!("X-{name}")),
            Some(format!("<{value}>").as_str()),
            "{name}"
        );
    }
    nginx.finish()
}

#[test]
fn the_payload_and_header_members_are_whole() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE}
            add_header X-Payload $jwt_payload; add_header X-Typ $jwt_header_typ;
            add_header X-Cty $jwt_header_cty; add_header X-Section $jwt_payload_base64url; }}"
    ))?;
    let claims = json!({ "sub": "bob", "list": [1, { "a": null }], "exp": now() + 60 });
    let token =
        Jwt::new(claims.clone()).kid("k1").header("cty", json!("x/y")).hs("HS256", SECRET)?;
    let response = nginx.bearer("/", &token)?;
    let payload: Value = serde_json::from_str(response.header("X-Payload").unwrap())?;
    assert_eq!(payload, claims);
    assert_eq!(response.header("X-Section"), token.split('.').nth(1));
    assert_eq!((response.header("X-Typ"), response.header("X-Cty")), (Some("JWT"), Some("x/y")));
    nginx.finish()
}

#[test]
fn control_characters_of_a_claim_never_reach_a_header() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} add_header X-Sub $jwt_claim_sub;
                add_header X-List $jwt_claim_list; add_header X-Obj $jwt_claim_obj;
                add_header X-Payload $jwt_payload; add_header X-Kid $jwt_header_cty;
                proxy_set_header X-Sub $jwt_claim_sub; proxy_pass http://unix:up.sock; }}"
        ))
        .http("server { listen unix:up.sock; return 200 \"sub=$http_x_sub evil=$http_x_evil\"; }")
        .start()?;
    let evil = "a\r\nX-Evil: 1\r\n\r\nb\u{0}\u{1}\u{7f}\u{1b}[0m";
    let claims = json!({ "sub": evil, "list": [evil, "c"], "obj": { evil: evil } });
    let token = Jwt::live_with(&claims).kid("k1").header("cty", json!(evil)).hs("HS256", SECRET)?;
    let response = nginx.bearer("/", &token)?;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("X-Evil"), None);
    for (name, value) in &response.headers {
        assert!(!value.bytes().any(|byte| byte < b' ' || byte == 0x7f), "{name}: {value:?}");
    }
    // A value with control characters is shown as empty; an object is JSON, which escapes them.
    for name in ["X-Sub", "X-List", "X-Kid"] {
        assert_eq!(response.header(name).unwrap_or_default(), "", "{name}");
    }
    let obj: Value = serde_json::from_str(response.header("X-Obj").unwrap())?;
    assert_eq!(obj, claims["obj"]);
    assert_eq!(response.text(), "sub= evil=");
    // A payload with raw line breaks is shown as compact JSON, without control characters.
    let raw = raw_token(r#"{"alg":"HS256","kid":"k1"}"#, "{\n\t\"sub\" : \"x\"\r\n}", |input| {
        hmac("HS256", SECRET.as_bytes(), input)
    })?;
    let response = nginx.bearer("/", &raw)?;
    assert_eq!(response.header("X-Payload"), Some(r#"{"sub":"x"}"#));
    nginx.finish()
}

/// If the control characters were left out, several subjects would become the same.
#[test]
fn a_value_with_a_control_character_is_shown_as_nothing_and_told_once() -> Result<()> {
    let nginx = Nginx::builder()
        .http("jwt_claim_set $named sub;")
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{ add_header X-Sub \"<$jwt_claim_sub>\"; add_header X-Named \"<$named>\";
                add_header X-Payload $jwt_payload; {SERVE} }}
            location /rule {{ jwt_claim sub = \"admin\u{1}\"; {SERVE} }}
            location /require {{ jwt_require $jwt_claim_sub; {SERVE} }}"
        ))
        .start()?;
    let ask = |path: &str, sub: &str| nginx.bearer(path, &token(&json!({ "sub": sub }))?);
    for (count, sub) in
        ["admin\u{1}", "ad\0min", "\nadmin", "admin\t", "\u{7f}admin", "ad\u{85}min", "\u{9b}"]
            .into_iter()
            .enumerate()
    {
        let response = ask("/", sub)?;
        assert_eq!(response.status, 200, "{sub:?}");
        assert_eq!(response.header("X-Sub"), Some("<>"), "{sub:?}");
        assert_eq!(response.header("X-Named"), Some("<>"), "{sub:?}");
        let payload: Value = serde_json::from_str(response.header("X-Payload").unwrap())?;
        assert_eq!(payload["sub"], sub);
        // The module logs this before nginx sends the answer.
        let log = nginx.error_log();
        assert_eq!(log.matches("is shown as nothing").count(), count + 1, "{log}");
        assert!(!log.contains("admin"), "{log}");
        // Rules compare the real claim, and an empty variable grants nothing.
        let status = if sub == "admin\u{1}" { 200 } else { 403 };
        assert_eq!(ask("/rule", sub)?.status, status, "{sub:?}");
    }
    assert_eq!(ask("/", "admin")?.header("X-Sub"), Some("<admin>"));
    // These characters are invisible, but they are not control characters.
    assert_eq!(ask("/", "a\u{2028}\u{200b}")?.header("X-Sub"), Some("<a\u{2028}\u{200b}>"));
    assert_eq!(ask("/require", "admin\u{1}")?.status, 403);
    nginx.finish()
}

#[test]
fn a_number_is_shown_as_the_token_writes_it() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{ k1 {SECRET}; }} add_header X-Id $jwt_claim_id; {SERVE} }}"
    ))?;
    for id in [
        "12345678901234567890123",
        "12345678901234567890124",
        "18446744073709551616",
        "9007199254740993.0",
        "1E2",
        "-0",
        "0.10",
        "1e-400",
    ] {
        let token =
            raw_token(r#"{"alg":"HS256","kid":"k1"}"#, format!("{{ \"id\" : {id} }}"), |input| {
                hmac("HS256", SECRET.as_bytes(), input)
            })?;
        assert_eq!(nginx.bearer("/", &token)?.header("X-Id"), Some(id));
    }
    nginx.finish()
}

#[test]
fn an_upstream_sees_what_the_token_says_and_not_what_the_client_says() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} proxy_set_header X-User $jwt_claim_sub;
                proxy_set_header X-Tenant $jwt_claim_tenant; proxy_pass http://unix:up.sock; }}"
        ))
        .http("server { listen unix:up.sock; return 200 \"<$http_x_user><$http_x_tenant>\"; }")
        .start()?;
    let request = nginx
        .request()
        .bearer(&token(&json!({}))?)
        .header("X-User", "root")
        .header("X-Tenant", "all")
        .header("X_User", "root");
    assert_eq!(request.send()?.text(), "<alice><>");
    nginx.finish()
}

#[test]
fn a_login_page_knows_why_the_token_was_refused() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} error_page 401 = @login;
        location / {{ {SERVE} }}
        location @login {{ jwt off; return 302 \"/login?why=$jwt_status&sub=$jwt_claim_sub\"; }}"
    ))?;
    let expired = token(&json!({ "exp": now() - 5 }))?;
    for (request, word) in [
        (nginx.request(), "missing"),
        (nginx.request().bearer("x"), "malformed"),
        (nginx.request().bearer(&expired), "expired"),
        (nginx.request().bearer(&Jwt::live().kid("k2").hs("HS256", SECRET)?), "unknown_key"),
    ] {
        let response = request.send()?;
        let location = response.header("Location").unwrap_or_default();
        assert_eq!(response.status, 302, "{word}");
        assert!(location.ends_with(&format!("/login?why={word}&sub=")), "{location}");
    }
    assert_eq!(nginx.bearer("/", &token(&json!({}))?)?.status, 200);
    assert_eq!(nginx.refusals().len(), 4, "{:?}", nginx.refusals());
    nginx.finish()
}

#[test]
fn an_error_body_knows_why_a_link_was_refused() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location /video/ {{ secure_token_secret a-secret-for-links-a-secret-for-links; {SERVE}
            error_page 403 /denied.json; error_page 410 /gone.json; }}
        location = /denied.json {{ internal;
            return 403 '{{\"reason\":\"$secure_token_status\"}}'; }}
        location = /gone.json {{ internal;
            return 410 '{{\"reason\":\"$secure_token_status\",\"jwt\":\"$jwt_status\"}}'; }}"
    ))?;
    let response = nginx.get("/video/a")?;
    assert_eq!((response.status, response.text().as_ref()), (403, r#"{"reason":"missing"}"#));
    let response = nginx.get("/video/a?st=m6WCATfRgS_5lcyChCPgrw&e=4102444800")?;
    assert_eq!(response.text(), r#"{"reason":"bad_signature"}"#);
    let response =
        nginx.get(link("a-secret-for-links-a-secret-for-links", "/video/a", now() - 9))?;
    assert_eq!(
        (response.status, response.text().as_ref()),
        (410, r#"{"reason":"expired","jwt":"off"}"#)
    );
    nginx.finish()
}

#[test]
fn a_page_that_is_served_as_an_error_document_is_served_with_the_status() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} error_page 401 /denied.html; }}
            location = /denied.html {{ internal; }}"
        ))
        .html("denied.html", "please log in\n")
        .start()?;
    let response = nginx.get("/")?;
    assert_eq!(
        (response.verdict(), response.text().as_ref()),
        ((401, "missing"), "please log in\n")
    );
    assert_eq!(response.challenge(), "Bearer");
    nginx.finish()
}

#[test]
fn claims_of_a_token_that_passed_survive_an_internal_redirect() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{ k1 {SECRET}; }} try_files /nothing @next; }}
        location @next {{ return 200 \"$jwt_status $jwt_claim_sub\"; }}"
    ))?;
    assert_eq!(nginx.bearer("/", &token(&json!({}))?)?.text(), "ok alice");
    assert_eq!(nginx.get("/")?.status, 401);
    nginx.finish()
}

#[test]
fn a_location_with_its_own_check_never_goes_by_anothers_memory() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location /one/ {{ jwt_kids {{ k1 {SECRET}; }} try_files /nothing /two/ok.txt;
            error_page 401 = /two/ok.txt; }}
        location /two/ {{ jwt_kids {{ k2 {OTHER_SECRET}; }} {SERVE} }}
        location /first/ {{ jwt_kids {{ k1 {SECRET}; }} try_files /nothing /second/ok.txt; }}
        location /second/ {{ jwt_kids {{ k1 {SECRET}; }} jwt_audience two; {SERVE} }}"
    ))?;
    let one = token(&json!({}))?;
    let two = Jwt::live().kid("k2").hs("HS256", OTHER_SECRET)?;
    // The first location accepts the token; the second does not know its key.
    assert_eq!(nginx.bearer("/one/", &one)?.verdict(), (401, "unknown_key"));
    // The first location refuses the token; its error page leads to the second, which accepts it.
    assert_eq!(nginx.bearer("/one/", &two)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/first/", &one)?.verdict(), (401, "bad_audience"));
    assert_eq!(nginx.bearer("/first/", &token(&json!({ "aud": "two" }))?)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_subrequest_sees_the_verdict_of_no_other_location() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ auth_request /check; {SERVE} }}
        location = /check {{ internal; jwt_kids {{ k1 {SECRET}; }}
            proxy_pass http://unix:s.sock:/inner; }}
        location = /inner {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"
    ));
    // auth_request is not in every build.
    let Ok(nginx) = nginx else { return Ok(()) };
    assert_eq!(nginx.get("/")?.status, 401);
    assert_eq!(nginx.bearer("/", &token(&json!({}))?)?.status, 200);
    nginx.finish()
}

#[test]
fn variables_of_a_location_without_the_module_are_off_and_empty() -> Result<()> {
    let nginx = Nginx::start(
        "location / { return 200 \"$jwt_status|$jwt_claim_sub|$jwt_payload|$jwt_header_kid|\
         $secure_token_status|$secure_token_expires\"; }",
    )?;
    assert_eq!(nginx.bearer("/", &token(&json!({}))?)?.text(), "off||||off|");
    nginx.finish()
}

#[test]
fn many_requests_on_one_connection_have_a_verdict_each() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{ k1 {SECRET}; }} add_header X-Sub $jwt_claim_sub always;
            add_header X-Jwt-Status $jwt_status always; {SERVE} }}"
    ))?;
    let mut connection = nginx.connect()?;
    for i in 0..50 {
        let name = format!("user-{i}");
        let good = nginx.request().keep_alive().bearer(&token(&json!({ "sub": name }))?);
        let response = connection.send(&good)?;
        assert_eq!(
            (response.verdict(), response.header("X-Sub")),
            ((200, "ok"), Some(name.as_str()))
        );
        let response = connection.send(&nginx.request().keep_alive())?;
        assert_eq!((response.verdict(), response.header("X-Sub")), ((401, "missing"), None));
    }
    drop(connection);
    nginx.finish()
}
