//! The module's variables in other modules' directives: nginx evaluates them when a directive reads
//! them, and they never show unverified content.

use anyhow::Result;
use module_tests::{Connection, Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, nginx_has, now};
use serde_json::{Value, json};

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

fn of(subject: &str) -> Result<String> {
    token(&json!({ "sub": subject }))
}

/// Tokens that claim to be `admin` but must be refused, each with its `$jwt_status`.
fn not_good() -> Result<Vec<(&'static str, String)>> {
    let jwt = Jwt::live_with(&json!({ "sub": "admin", "role": "admin", "iss": "me" })).kid("k1");
    let with = |claims: Value| jwt.clone().with(&claims).hs("HS256", SECRET);
    Ok(vec![
        ("bad_signature", jwt.hs("HS256", OTHER_SECRET)?),
        ("unknown_key", jwt.clone().kid("k9").hs("HS256", SECRET)?),
        ("expired", with(json!({ "exp": now() - 9 }))?),
        ("not_yet_valid", with(json!({ "nbf": now() + 99 }))?),
        ("bad_issuer", with(json!({ "iss": "him" }))?),
        ("malformed", format!("{}.", jwt.hs("HS256", SECRET)?)),
    ])
}

#[test]
fn requests_are_limited_by_subject() -> Result<()> {
    let nginx = Nginx::builder()
        .http("limit_req_zone $jwt_claim_sub zone=by_subject:64k rate=1r/m; limit_req_status 429;")
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{ limit_req zone=by_subject burst=1 nodelay; {SERVE} }}"
        ))
        .start()?;
    for subject in ["alice", "bob"] {
        let token = of(subject)?;
        for status in [200, 200, 429, 429] {
            assert_eq!(nginx.bearer("/", &token)?.status, status, "{subject}");
        }
    }
    // An unverified token has no subject: it uses up nobody's rate and is not limited itself.
    let forged = Jwt::live_with(&json!({ "sub": "carol" })).kid("k1").hs("HS256", OTHER_SECRET)?;
    for _ in 0..5 {
        assert_eq!(nginx.bearer("/", &forged)?.verdict(), (401, "bad_signature"));
        assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    }
    assert_eq!(nginx.bearer("/", &of("carol")?)?.status, 200);
    nginx.finish()
}

#[test]
fn connections_are_limited_by_subject() -> Result<()> {
    let nginx = Nginx::builder()
        .http("limit_conn_zone $jwt_claim_sub zone=by_subject:64k;")
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{ limit_conn by_subject 1; limit_rate 100k; }}"
        ))
        .html("big", vec![b'x'; 4 << 20])
        .start()?;
    let big = |name: &str| -> Result<Connection> {
        let mut connection = nginx.connect()?;
        connection.write(&nginx.request().target("/big").bearer(&of(name)?).bytes())?;
        Ok(connection)
    };
    let _first = big("alice")?;
    // There is only one worker, and it reads requests in the order of arrival.
    assert_eq!(nginx.bearer("/ok.txt", &of("alice")?)?.status, 503);
    assert_eq!(nginx.bearer("/ok.txt", &of("bob")?)?.status, 200);
    drop(_first);
    nginx.finish()
}

#[test]
fn nothing_unverified_reaches_a_map_a_set_an_if_or_a_rewrite() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "map $jwt_claim_role $area { admin staff; default public; }
            jwt_claim_set $named role;",
        )
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt permissive; jwt_issuer me;
            set $at_server \"<$jwt_claim_sub$jwt_payload$jwt_header_kid$named>\";
            location / {{
                set $role \"<$jwt_claim_role>\"; set $yes no;
                if ($jwt_claim_role = admin) {{ set $yes yes; }}
                if ($jwt_claim_role) {{ set $yes \"${{yes}}!\"; }}
                if ($jwt_claim_sub ~ ^adm) {{ rewrite ^ /admin last; }}
                return 200 \"$area $role $yes $at_server $jwt_status\"; }}
            location /admin {{ return 200 \"admin $jwt_status $jwt_claim_sub\"; }}"
        ))
        .start()?;
    for (word, token) in not_good()? {
        let response = nginx.bearer("/", &token)?;
        assert_eq!(response.text(), format!("public <> no <> {word}"));
    }
    let admin = token(&json!({ "sub": "admin", "iss": "me" }))?;
    assert_eq!(nginx.bearer("/", &admin)?.text(), "admin ok admin");
    let editor = token(&json!({ "sub": "eve", "role": "admin", "iss": "me" }))?;
    let text = nginx.bearer("/", &editor)?.text().into_owned();
    assert!(text.starts_with("staff <admin> yes! <eve{"), "{text}");
    assert!(text.ends_with("}k1admin> ok"), "{text}");
    nginx.finish()
}

#[test]
fn nothing_unverified_reaches_an_upstream_or_a_log() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "log_format who '$jwt_claim_sub|$jwt_claim_role|$jwt_header_kid|$jwt_payload|$named';
            jwt_claim_set $named role;
            server { listen unix:up.sock; add_header X-From upstream;
                return 200 \"<$http_x_user><$http_x_role><$http_x_kid><$http_x_named>\"; }",
        )
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt permissive; jwt_issuer me;
            access_log logs/who.log who;
            location / {{ proxy_set_header X-User $jwt_claim_sub; proxy_set_header X-Named $named;
                proxy_set_header X-Role $jwt_claim_role; proxy_set_header X-Kid $jwt_header_kid;
                proxy_pass http://unix:up.sock; }}"
        ))
        .start()?;
    for (word, token) in not_good()? {
        // nginx must replace or drop these headers of the client.
        let request = nginx
            .request()
            .bearer(&token)
            .header("X-User", "root")
            .header("x-role", "admin")
            .header("X-KID", "k1")
            .header("X_Named", "admin")
            .header("X-Named", "admin");
        assert_eq!(request.send()?.text(), "<><><><>", "{word}");
    }
    let good = token(&json!({ "sub": "alice", "role": "reader", "iss": "me" }))?;
    let response = nginx.request().bearer(&good).header("X-Role", "admin").send()?;
    assert_eq!(response.text(), "<alice><reader><k1><reader>");
    nginx.stop()?;
    let log = nginx.read("logs/who.log");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), not_good()?.len() + 1);
    assert!(lines.iter().rev().skip(1).all(|line| *line == "-|-|-|-|-"), "{log}");
    assert!(lines.last().is_some_and(|line| line.starts_with("alice|reader|k1|{")), "{log}");
    nginx.finish()
}

#[test]
fn a_subrequest_that_asks_somebody_else_gets_verified_claims_too() -> Result<()> {
    if !nginx_has("auth_request")? {
        println!("left out: this nginx has no auth_request");
        return Ok(());
    }
    let nginx = Nginx::builder()
        .http(
            "server { listen unix:up.sock; add_header X-From upstream;
                if ($http_x_user = alice) { return 204; } return 403; }",
        )
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} auth_request /ask; {SERVE} }}
            location = /ask {{ internal; proxy_set_header X-User $jwt_claim_sub;
                proxy_pass_request_body off; proxy_set_header Content-Length \"\";
                proxy_pass http://unix:up.sock; }}"
        ))
        .start()?;
    let ask = |token: &str| -> Result<u16> {
        Ok(nginx.request().bearer(token).header("X-User", "alice").send()?.status)
    };
    assert_eq!(ask(&of("alice")?)?, 200);
    assert_eq!(ask(&of("bob")?)?, 403);
    assert_eq!(ask(&Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?)?, 401);
    nginx.finish()
}

#[test]
fn an_upstream_or_a_file_may_be_chosen_by_a_claim() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "map $jwt_claim_tenant $backend { red unix:red.sock; blue unix:blue.sock; default unix:no.sock; }
            server { listen unix:red.sock; return 200 red; }
            server { listen unix:blue.sock; return 200 blue; }
            server { listen unix:no.sock; return 404; }",
        )
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location /proxy {{ proxy_pass http://$backend; }}
            location /file {{ try_files /$jwt_claim_tenant.txt =404; }}
            location /root/ {{ alias html/$jwt_claim_tenant/; }}"
        ))
        .html("red.txt", "red")
        .html("blue.txt", "blue")
        .html("red/a", "red")
        .html("blue/a", "blue")
        .start()?;
    for tenant in ["red", "blue"] {
        let token = token(&json!({ "tenant": tenant }))?;
        for path in ["/proxy", "/file", "/root/a"] {
            assert_eq!(nginx.bearer(path, &token)?.text(), tenant, "{path}");
        }
    }
    for path in ["/proxy", "/file", "/root/a"] {
        assert_eq!(nginx.bearer(path, &of("alice")?)?.status, 404, "{path}");
        assert_eq!(nginx.get(path)?.status, 401, "{path}");
    }
    nginx.finish()
}

#[test]
fn a_cache_may_be_kept_for_each_subject() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "proxy_cache_path tmp/cache keys_zone=c:64k;
            server { listen unix:up.sock; add_header X-From upstream; return 200 \"$http_x_user\"; }",
        )
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} proxy_cache c; proxy_cache_valid 1h;
                proxy_cache_key \"$uri|$jwt_claim_sub\"; proxy_set_header X-User $jwt_claim_sub;
                proxy_pass http://unix:up.sock; add_header X-Cache $upstream_cache_status; }}"
        ))
        .start()?;
    for (subject, cached) in [("alice", "MISS"), ("bob", "MISS"), ("alice", "HIT"), ("bob", "HIT")]
    {
        let response = nginx.bearer("/", &of(subject)?)?;
        assert_eq!((response.text().as_ref(), response.header("X-Cache")), (subject, Some(cached)));
    }
    // The check protects cached pages, too.
    let forged = Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?;
    assert_eq!((nginx.bearer("/", &forged)?.status, nginx.get("/")?.status), (401, 401));
    nginx.finish()
}

#[test]
fn a_location_that_is_off_shows_nothing_and_logs_nothing() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} set $early \"$jwt_claim_sub\";
        location /off {{ jwt off; return 200 \"<$jwt_claim_sub><$jwt_status>\"; }}
        location /map {{ jwt $arg_m; return 200 \"<$jwt_claim_sub><$jwt_status>\"; }}
        location /optional {{ jwt optional; {SERVE} }}"
    ))?;
    for path in ["/off", "/map?m=0", "/map?m=off"] {
        for token in [of("alice")?, "rubbish".to_owned()] {
            assert_eq!(nginx.bearer(path, &token)?.text(), "<><off>", "{path}");
        }
    }
    assert_eq!(nginx.get("/optional")?.verdict(), (200, "missing"));
    assert_eq!(nginx.refusals(), Vec::<String>::new());
    nginx.finish()
}
