//! `jwt_cache`: which sizes are accepted. The cache changes no answer, saves work, and its memory
//! is bounded.

use std::fs;

use anyhow::{Context as _, Result};
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, P521, RSA, SECRET, SERVE, base64url, hmac, mistake, now, refuse_all,
    until,
};
use serde_json::json;

#[test]
fn mistakes() -> Result<()> {
    let size = "must be a size, such as 512k or 8m, or off in";
    for (directive, fragments) in [
        ("jwt_cache 8x;", ["invalid value \"8x\"", size]),
        ("jwt_cache 0;", ["invalid value \"0\"", size]),
        ("jwt_cache -1;", ["invalid value \"-1\"", size]),
        ("jwt_cache \"\";", ["invalid value \"\"", size]),
        ("jwt_cache;", ["invalid number of arguments", "\"jwt_cache\" directive"]),
        ("jwt_cache 8m 8m;", ["invalid parameter \"8m\"", "\"jwt_cache\" directive"]),
        ("jwt_cache 8m shared=1m x;", ["invalid number of arguments", "\"jwt_cache\" directive"]),
        ("jwt_cache 8m shared=soon;", ["invalid value \"shared=soon\"", "shared=512k"]),
        ("jwt_cache 8m shared=0;", ["invalid value \"shared=0\"", "or shared=off"]),
        ("jwt_cache 8m shared=262144m;", ["\"shared=262144m\"", "must be at most 16384m"]),
        ("jwt_cache off shared=1m;", ["\"shared=1m\"", "has no meaning with off"]),
        (
            "jwt_cache 8m; jwt_cache off;",
            ["\"jwt_cache\" directive is duplicate in", "nginx.conf:"],
        ),
    ] {
        let checked = Nginx::builder().http(directive).check()?;
        checked.refused_with(&fragments).with_context(|| directive.to_owned())?;
    }
    refuse_all(&[mistake("in a location", "jwt_cache 8m;", &["not allowed here"])])
}

#[test]
fn what_is_too_small_is_warned_of() -> Result<()> {
    for (directive, why) in [
        ("jwt_cache 1;", "\"jwt_cache\": the size is too small for any token"),
        ("jwt_cache 4095;", "\"jwt_cache\": the size is too small for any token"),
        ("jwt_cache 8m shared=1;", "\"jwt_cache\": shared=1: is too small for any signature"),
    ] {
        Nginx::builder().http(directive).check()?.warned_with(&[why, "nginx.conf:"])?;
    }
    Nginx::builder().http("jwt_cache 4k shared=128;").check()?.accepted()
}

#[test]
fn no_size_changes_an_answer() -> Result<()> {
    for cache in
        ["", "jwt_cache off;", "jwt_cache 1;", "jwt_cache 1k;", "jwt_cache 4k;", "jwt_cache 1m;"]
    {
        let nginx = Nginx::builder()
            .http(cache)
            .server(format!(
                "jwt_kids {{ k1 {SECRET}; }}
                location / {{ {SERVE} }}
                location /rule {{ jwt_claim role = admin; {SERVE} }}
                location /other {{ jwt_kids {{ k1 {OTHER_SECRET}; }} {SERVE} }}
                location /bound {{ jwt_claim tenant = $arg_tenant; {SERVE} }}"
            ))
            .start()?;
        let token = |claims| Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET);
        let admin = token(json!({ "role": "admin", "tenant": "t1" }))?;
        let user = token(json!({ "role": "user", "tenant": "t2" }))?;
        for round in 0..3 {
            for (path, token, want) in [
                ("/", &admin, (200, "ok")),
                ("/rule", &admin, (200, "ok")),
                ("/other", &admin, (401, "bad_signature")),
                ("/bound?tenant=t1", &admin, (200, "ok")),
                ("/bound?tenant=t2", &admin, (403, "denied")),
                ("/rule", &user, (403, "denied")),
                ("/bound?tenant=t2", &user, (200, "ok")),
                ("/bound", &user, (403, "denied")),
                ("/", &user, (200, "ok")),
            ] {
                let verdict = nginx.bearer(path, token)?;
                assert_eq!(verdict.verdict(), want, "{cache} round {round} {path}");
            }
        }
        nginx.finish()?;
    }
    Ok(())
}

/// The CPU time that a process has used so far, in nanoseconds.
fn cpu(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    Ok(stat.split(' ').next().context("no field")?.parse()?)
}

#[test]
fn a_token_that_comes_again_costs_no_signature() -> Result<()> {
    let spent = |cache: &str| -> Result<u64> {
        let nginx = Nginx::builder()
            .http(cache)
            .server(format!("location / {{ jwks_file p521.json; {SERVE} }}"))
            .file("p521.json", P521.jwks("k")?)
            .start()?;
        let token = Jwt::live().kid("k").sign("ES512", &P521)?;
        let request = nginx.request().bearer(&token).keep_alive();
        let mut connection = nginx.connect()?;
        connection.send(&request)?;
        let before = cpu(nginx.workers()[0])?;
        for _ in 0..200 {
            assert_eq!(connection.send(&request)?.verdict(), (200, "ok"));
        }
        let spent = cpu(nginx.workers()[0])? - before;
        drop(connection);
        nginx.finish()?;
        Ok(spent)
    };
    let (with, without) = (spent("")?, spent("jwt_cache off;")?);
    println!("200 requests: {with} ns with the cache, {without} ns without");
    assert!(with * 2 < without, "{with} ns with the cache, {without} ns without");
    Ok(())
}

/// The resident memory of a process, in kilobytes.
fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn many_tokens_take_no_more_than_it_says() -> Result<()> {
    let nginx = Nginx::builder()
        .http("jwt_cache 1m;")
        .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))
        .start()?;
    let mut connection = nginx.connect()?;
    let mut ask = |from: usize, to: usize| -> Result<u64> {
        for n in from..to {
            let claims = json!({ "n": n, "x": "x".repeat(n % 50 * 20), "exp": null });
            let token = Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET)?;
            let request = nginx.request().bearer(&token).keep_alive();
            // nginx closes a connection after a thousand requests.
            if n % 900 == 0 {
                connection = nginx.connect()?;
            }
            assert_eq!(connection.send(&request)?.verdict(), (200, "ok"), "{n}");
        }
        resident(nginx.workers()[0])
    };
    let few = ask(0, 50)?;
    let full = ask(50, 1_500)?;
    let churned = ask(1_500, 6_000)?;
    println!("{few} kB with few tokens, {full} kB with many, {churned} kB after more");
    // The limits allow for what the allocator adds: an eighth of what so many tokens would take.
    assert!(full < few + 1_024 + 768, "{few} kB, then {full} kB");
    assert!(churned < full + 384, "{full} kB, then {churned} kB");
    nginx.finish()
}

#[test]
fn a_size_that_cannot_be_had_is_refused() -> Result<()> {
    for size in ["262144m", "16385m", "9007199254740992m", "9223372036854775807"] {
        let checked = Nginx::builder().http(format!("jwt_cache {size};")).check()?;
        checked.refused_with(&["\"jwt_cache\"", size, "nginx.conf:"])?;
    }
    let checked = Nginx::builder().http("jwt_cache 262144m;").check()?;
    checked.refused_with(&["\"262144m\": must be at most 16384m"])
}

/// The smallest size has no room for even one token.
#[test]
fn any_size_that_is_accepted_works() -> Result<()> {
    for size in ["1", "511", "1k", "1024m"] {
        let nginx = Nginx::builder()
            .http(format!("jwt_cache {size};"))
            .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))
            .start()?;
        let token = Jwt::live().kid("k1").hs("HS256", SECRET)?;
        for _ in 0..3 {
            assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{size}");
        }
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn each_worker_has_its_own_and_a_reload_begins_anew() -> Result<()> {
    let configuration =
        |secret: &str| format!("location / {{ jwt_kids {{ k1 {secret}; }} {SERVE} }}");
    let nginx = Nginx::builder().workers(2).server(configuration(SECRET)).start()?;
    let token = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    for _ in 0..20 {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    }
    nginx.configure(|builder| builder.server(configuration(OTHER_SECRET)))?;
    nginx.reload()?;
    for _ in 0..20 {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_signature"));
    }
    nginx.finish()
}

#[test]
fn variables_show_a_remembered_token() -> Result<()> {
    let nginx = Nginx::builder()
        .server(
            "location / { jwks_file rsa.json;
                add_header X-Claims \"$jwt_claim_sub $jwt_header_kid $jwt_payload\" always;
                try_files /index.html =404; }",
        )
        .file("rsa.json", RSA.jwks("k")?)
        .html("index.html", "ok\n")
        .start()?;
    let payload = json!({ "exp": now() + 600, "sub": "alice" });
    let token = Jwt::new(payload.clone()).kid("k").sign("RS256", &RSA)?;
    let shown = format!("alice k {payload}");
    for _ in 0..3 {
        assert_eq!(nginx.bearer("/", &token)?.header("X-Claims"), Some(shown.as_str()));
    }
    nginx.finish()
}

/// Where a padded token is refused, it is nobody's token, whether the cache knows it or not.
#[test]
fn a_padded_token_leads_to_the_next_source_known_or_not() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt_token cookie:session bearer;
            location / {{ jwt_next on; {SERVE} }}
            location /padded {{ jwt_padding on; {SERVE} }}"
        ))
        .start()?;
    let pad = |text: Vec<u8>| {
        let bare = base64url(text);
        let fill = ["", "", "==", "="][bare.len() % 4];
        bare + fill
    };
    let header = pad(json!({ "alg": "HS256", "kid": "k1" }).to_string().into_bytes());
    let input = format!("{header}.{}", pad(br#"{"sub":"padded"}"#.to_vec()));
    let padded = format!("{input}.{}", pad(hmac("HS256", SECRET.as_bytes(), input.as_bytes())?));
    assert!(padded.ends_with('='));
    let good = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    for round in 0..3 {
        let request = nginx.request().bearer(&good).header("Cookie", format!("session={padded}"));
        assert_eq!(request.send()?.verdict(), (200, "ok"), "{round}");
        let request = nginx.request().target("/padded").bearer(&padded);
        assert_eq!(request.send()?.verdict(), (200, "ok"));
    }
    nginx.finish()
}

/// A verdict stands where a location can say nothing else, and is never that of another location.
#[test]
fn a_verdict_stands_only_for_its_own_location_and_in_time() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_provider one {{ jwt_issuer one; jwt_kids {{ k1 {SECRET}; }} jwt_claim role = user; }}
            jwt_provider two {{ jwt_issuer two; jwt_kids {{ k1 {SECRET}; }} }}"
        ))
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{ {SERVE} }}
            location /late {{ jwt_leeway 1h; {SERVE} }}
            location /any {{ jwt_any {{ jwt_claim role = admin; jwt_claim iss = one; }} {SERVE} }}
            location /admin {{ jwt_claim role = admin error=404; {SERVE} }}
            location /tried {{ jwt_claim role = admin error=none; {SERVE} }}
            location /bound {{ jwt_claim role = $arg_role; {SERVE} }}
            location /providers {{ jwt on provider=one provider=two; {SERVE} }}
            location /by {{ if ($arg_off) {{ set $switch off; }} jwt $switch; {SERVE} }}"
        ))
        .start()?;
    let exp = now() + 6;
    let of = |iss: &str, role: &str| {
        let claims = json!({ "iss": iss, "role": role, "exp": exp });
        Jwt::new(claims).kid("k1").hs("HS256", SECRET)
    };
    let (user, admin) = (of("one", "user")?, of("two", "admin")?);
    let ask = |late: bool| -> Result<()> {
        let expired = |verdict| if late { (401, "expired") } else { verdict };
        for (path, for_user, for_admin) in [
            ("/", (200, "ok"), (200, "ok")),
            ("/any", (200, "ok"), (200, "ok")),
            ("/admin", (404, "denied"), (200, "ok")),
            ("/tried", (200, "ok"), (200, "ok")),
            ("/bound?role=user", (200, "ok"), (403, "denied")),
            ("/bound?role=admin", (403, "denied"), (200, "ok")),
            ("/providers", (200, "ok"), (200, "ok")),
            ("/by", (200, "ok"), (200, "ok")),
        ] {
            for (token, verdict) in [(&user, for_user), (&admin, for_admin)] {
                assert_eq!(nginx.bearer(path, token)?.verdict(), expired(verdict), "{path}");
            }
        }
        assert_eq!(nginx.bearer("/late", &user)?.verdict(), (200, "ok"));
        Ok(())
    };
    for _ in 0..3 {
        ask(false)?;
    }
    let tried = "jwt let through (error=none): denied by the rule in";
    assert_eq!(nginx.error_log().matches(tried).count(), 3);
    until("the tokens have expired", || Ok((now() > exp).then_some(())))?;
    ask(true)?;
    nginx.finish()
}
