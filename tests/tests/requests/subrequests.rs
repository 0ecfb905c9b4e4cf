//! Pages with thousands of includes: their cost must not grow with the size of the token, only with
//! the work that nginx itself does for each include.

// A panic in a helper fails the test and names the line, so indexing is fine here.
#![allow(clippy::indexing_slicing)]

use std::fs;

use anyhow::{Context as _, Result};
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, Response, SECRET, base64url, nginx_leaves_out, resident_private,
};
use serde_json::{Value, json};

const MANY: usize = 2000;

/// A token of about 58 KB.
fn large(secret: &str) -> Result<String> {
    let roles: Vec<Value> = (0..3500).map(|i| json!(format!("role-{i:04}"))).collect();
    Jwt::live_with(&json!({ "roles": roles })).kid("k1").hs("HS256", secret)
}

/// A page with that many includes of `path`.
fn page(path: &str, includes: usize) -> String {
    (0..includes).map(|i| format!("<!--#include virtual=\"{path}?{i}\" -->\n")).collect()
}

fn start(cache: &str) -> Result<Nginx> {
    let mut builder = Nginx::builder()
        .http(format!("{cache} large_client_header_buffers 4 128k; ssi_types *;"))
        .server(format!(
            "location /page/ {{ ssi on; alias html/; }}
            location /plain {{ return 200 \"alice ok|\"; }}
            location /claim {{ jwt_kids {{ k1 {SECRET}; }} return 200 \"$jwt_claim_sub $jwt_status|\"; }}
            location /rule {{ jwt_kids {{ k1 {SECRET}; }} jwt_claim sub = alice;
                return 200 \"$jwt_claim_sub $jwt_status|\"; }}
            location /watched {{ jwks_file keys.json check=1s;
                return 200 \"$jwt_claim_sub $jwt_status|\"; }}
            location /permissive {{ jwt permissive; jwt_kids {{ k1 {SECRET}; }}
                return 200 \"$jwt_claim_sub $jwt_status|\"; }}"
        ))
        .file("keys.json", keys())
        .without_verdict();
    for path in ["plain", "claim", "rule", "watched", "permissive"] {
        builder = builder.html(&format!("{path}-many"), page(&format!("/{path}"), MANY));
        builder = builder.html(&format!("{path}-few"), page(&format!("/{path}"), 2));
    }
    builder.start()
}

fn keys() -> String {
    let secret = base64url(SECRET);
    json!({ "keys": [{ "kty": "oct", "kid": "k1", "k": secret }] }).to_string()
}

/// The CPU time that a process has used, in hundredths of a second.
fn cpu(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |at: usize| Ok::<u64, anyhow::Error>(fields.get(at).context("field")?.parse()?);
    Ok(field(11)? + field(12)?)
}

/// The cost of a page: hundredths of a second, and the KiB by which the worker has grown.
fn cost(nginx: &Nginx, page: &str, token: &str) -> Result<(u64, u64, Response)> {
    let worker = *nginx.workers().first().context("worker")?;
    let before = (cpu(worker)?, resident_private(worker)?);
    let response = nginx.bearer(format!("/page/{page}"), token)?;
    let after = (cpu(worker)?, resident_private(worker)?);
    Ok((after.0 - before.0, after.1.saturating_sub(before.1), response))
}

fn each_include_says(response: &Response, what: &str) {
    assert_eq!(response.status, 200);
    let text = response.text();
    assert_eq!(text.matches(&format!("{what}|")).count(), MANY, "{}", text.len());
}

/// Thousands of verifications take 0.5 s and 700 MB; the page must stay well below that.
fn is_bounded(told: &str, cost: (u64, u64), plain: (u64, u64)) {
    println!("{told}: {cost:?}, without a check {plain:?} (1/100 s, KiB)");
    assert!(cost.0 <= 2 * plain.0 + 25, "{told}: {cost:?} against {plain:?}");
    assert!(cost.1 <= plain.1 + 12 * 1024, "{told}: {cost:?} against {plain:?}");
}

#[test]
fn a_token_is_verified_once_for_all_includes_of_a_page() -> Result<()> {
    if nginx_leaves_out("ssi")? {
        println!("left out: this nginx has no ssi");
        return Ok(());
    }
    for cache in ["jwt_cache off;", ""] {
        for (path, secret, says) in [
            ("claim", SECRET, "alice ok"),
            ("rule", SECRET, "alice ok"),
            ("watched", SECRET, "alice ok"),
            ("permissive", SECRET, "alice ok"),
            ("permissive", OTHER_SECRET, " bad_signature"),
            ("claim", OTHER_SECRET, " bad_signature"),
        ] {
            let nginx = start(cache)?;
            let token = large(secret)?;
            assert!((50_000..64_000).contains(&token.len()), "{}", token.len());
            cost(&nginx, "plain-few", &token)?;
            let (time, memory, response) = cost(&nginx, "plain-many", &token)?;
            each_include_says(&response, "alice ok");
            let plain = (time, memory);
            let (time, memory, response) = cost(&nginx, &format!("{path}-many"), &token)?;
            each_include_says(&response, says);
            is_bounded(&format!("{path}, {says}, {cache}"), (time, memory), plain);
            nginx.finish()?;
        }
    }
    Ok(())
}

#[test]
fn a_large_claim_that_a_page_shows_again_and_again_is_kept_once() -> Result<()> {
    if nginx_leaves_out("ssi")? {
        println!("left out: this nginx has no ssi");
        return Ok(());
    }
    // nginx itself copies the value of any variable; a large header shows what that costs.
    let grown = |variable: &str| -> Result<u64> {
        let shown = format!("<!--#if expr=\"${variable} = x\" -->never<!--#endif -->|\n");
        let nginx = Nginx::builder()
            .http("large_client_header_buffers 4 128k; ssi_types *;")
            .server(format!("location / {{ ssi on; jwt_kids {{ k1 {SECRET}; }} }}"))
            .html("many", shown.repeat(MANY))
            .html("few", shown)
            .without_verdict()
            .start()?;
        let worker = *nginx.workers().first().context("worker")?;
        let request =
            nginx.request().bearer(&large(SECRET)?).header("X-Roles", "role-0000,".repeat(3500));
        request.clone().target("/few").send()?;
        let before = peak(worker)?;
        let page = request.target("/many").send()?;
        assert_eq!(page.text().matches('|').count(), MANY);
        let grown = peak(worker)? - before;
        nginx.finish()?;
        Ok(grown)
    };
    let (claim, header) = (grown("jwt_claim_roles")?, grown("http_x_roles")?);
    assert!(claim < header + 16 * 1024, "{claim} KiB, and {header} for a header");
    Ok(())
}

/// The peak resident memory of a process, in KiB.
fn peak(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn includes_of_many_locations_with_checks_of_their_own_share_what_was_found() -> Result<()> {
    if nginx_leaves_out("ssi")? {
        println!("left out: this nginx has no ssi");
        return Ok(());
    }
    const CHECKS: usize = 60;
    let locations: String = (0..CHECKS)
        .map(|i| {
            format!(
                "location /{i}/ {{ jwt_kids {{ k1 {SECRET}; }} jwt_claim sub = alice;
                    return 200 \"$jwt_claim_sub $jwt_status|\"; }}\n"
            )
        })
        .collect();
    let page: String =
        (0..MANY).map(|i| format!("<!--#include virtual=\"/{}/?{i}\" -->\n", i % CHECKS)).collect();
    let nginx = Nginx::builder()
        .http("jwt_cache off; large_client_header_buffers 4 128k; ssi_types *;")
        .server(format!("location = /page/many {{ ssi on; alias html/many; }} {locations}"))
        .html("many", page)
        .without_verdict()
        .start()?;
    let (time, memory, response) = cost(&nginx, "many", &large(SECRET)?)?;
    each_include_says(&response, "alice ok");
    is_bounded("sixty checks", (time, memory), (20, 40 * 1024));
    nginx.finish()
}

#[test]
fn what_was_found_by_one_check_or_key_is_nothing_to_another() -> Result<()> {
    if nginx_leaves_out("ssi")? {
        println!("left out: this nginx has no ssi");
        return Ok(());
    }
    let answer = "return 200 \"$uri $jwt_claim_sub $jwt_status|\";";
    let places = ["good", "other", "issuer", "named/red", "named/blue", "named/none", "provider"];
    let page: String = (0..10 * places.len())
        .map(|i| format!("<!--#include virtual=\"/{}/{i}\" -->", places[i % places.len()]))
        .collect();
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_cache off; ssi_types *;
            jwt_provider elsewhere {{ jwt_issuer elsewhere; jwt_kids {{ k1 {SECRET}; }} }}"
        ))
        .server(format!(
            "location = /page {{ ssi on; alias html/page; }}
            location /good/ {{ jwt_kids {{ k1 {SECRET}; }} {answer} }}
            location /other/ {{ jwt_kids {{ k1 {OTHER_SECRET}; }} {answer} }}
            location /issuer/ {{ jwt_kids {{ k1 {SECRET}; }} jwt_issuer nobody; {answer} }}
            location /provider/ {{ jwt on provider=elsewhere; {answer} }}
            location ~ ^/named/(\\w+)/ {{ jwt on; auth_jwt_key_file $1.json; {answer} }}"
        ))
        .file("red.json", keys())
        .file("blue.json", keys().replace(&base64url(SECRET), &base64url(OTHER_SECRET)))
        .expect_log("none.json")
        .html("page", page)
        .without_verdict()
        .start()?;
    let page = nginx.bearer("/page", &Jwt::live().kid("k1").hs("HS256", SECRET)?)?;
    for (i, part) in page.text().split_terminator('|').enumerate() {
        let place = places[i % places.len()];
        let says = match place {
            "good" | "named/red" => "alice ok",
            "other" | "named/blue" => " bad_signature",
            "named/none" => " no_keys",
            _ => " bad_issuer",
        };
        assert_eq!(part, format!("/{place}/{i} {says}"));
    }
    nginx.finish()
}

#[test]
fn what_a_place_said_last_is_what_nginx_reads_twice() -> Result<()> {
    if nginx_leaves_out("ssi")? {
        println!("left out: this nginx has no ssi");
        return Ok(());
    }
    // The page has more includes than the module remembers, each with its own link.
    let secret = "a-secret-for-links-a-secret-for-links";
    let expires = module_tests::now() + 300;
    let page: String = (0..100)
        .map(|i| {
            let path = format!("/part/{i}");
            let signed = module_tests::link(secret, if i % 2 == 0 { &path } else { "/" }, expires);
            let (_, query) = signed.split_once('?').unwrap_or_default();
            format!("<!--#include virtual=\"{path}?{query}\" -->")
        })
        .collect();
    let nginx = Nginx::builder()
        .http("ssi_types *;")
        .server(format!(
            "secure_token_secret {secret};
            location = /page {{ ssi on; secure_token off; alias html/page; }}
            location /part/ {{ set $both \"$secure_token_status-$secure_token_expires\";
                return 200 \"$uri $secure_token_status-$secure_token_expires $both|\"; }}"
        ))
        .html("page", page)
        .start()?;
    let text = nginx.get("/page")?.text().into_owned();
    for i in 0..100 {
        let says = if i % 2 == 0 { format!("ok-{expires}") } else { "bad_signature-".to_owned() };
        assert!(text.contains(&format!("/part/{i} {says} {says}|")), "{i}: {text}");
    }
    nginx.finish()
}
