//! nginx reads the variables of a value twice, once for their lengths and once for their bytes.
//! Both reads must give the same, even if keys change, tokens expire or nginx reloads in between:
//! a value of several variables must not mix two verdicts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use module_tests::{Jwt, Nginx, OTHER_SECRET, Request, SECRET, SERVE, base64url, link, now};
use serde_json::json;

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";
/// How long the test keeps changing the keys and reloading nginx.
const STORM: Duration = Duration::from_secs(5);
const SHOWN: &str = "$jwt_status,$jwt_claim_sub,$jwt_header_kid,$jwt_status,$jwt_claim_sub,$secure_token_status,\
     $secure_token_expires,$secure_token_status";
const PLACES: [&str; 4] = ["watched", "named", "fetched", "rules"];
const WAYS: [&str; 4] = ["return", "rewrite", "set", "served"];

fn keys(secret: &str) -> String {
    json!({ "keys": [{ "kty": "oct", "kid": "k1", "k": base64url(secret) }] }).to_string()
}

fn configuration() -> String {
    let link = format!(
        "secure_token_md5 \"$secure_token_expires$uri$arg_x {LINK_SECRET}\"; secure_token $on;"
    );
    let mut locations = String::new();
    for place in PLACES {
        let check = match place {
            "watched" => "jwks_file keys.json check=1ms;",
            "named" => "auth_jwt_key_file $folder/keys.json; jwt $on;",
            "fetched" => "jwks_request /_keys valid=1s stale=0;",
            _ => "jwks_file keys.json check=1ms; jwt $on; jwt_claim sub = $alice; jwt_require $on;",
        };
        for way in WAYS {
            let answer = match way {
                "return" => format!("return 200 \"{SHOWN}\";"),
                "rewrite" => format!("rewrite ^ \"/shown/{SHOWN}\" last;"),
                "set" => format!("set $shown \"{SHOWN}\"; return 200 $shown;"),
                // The access phase waits for fetched keys; another test covers that.
                _ => format!(
                    "satisfy any; allow all; add_header X-Shown \"{SHOWN}\" always; {SERVE}"
                ),
            };
            locations
                .push_str(&format!("location = /{place}/{way} {{ {check} {link} {answer} }}\n"));
        }
    }
    locations
        + "location /shown/ { return 200 $uri; }
        location = /_keys { alias keys.json; }"
}

fn start() -> Result<Nginx> {
    Nginx::builder()
        .workers(2)
        .http(
            "jwt_cache 64k;
            map $uri $on { volatile; default on; \"~^/(.)(.*)$\" on; }
            map $uri $alice { volatile; default alice; \"~(.)$\" alice; }
            map $uri $folder { volatile; default .; \"~^/(.)(.*)$\" .; }",
        )
        .server(configuration())
        .file("keys.json", keys(SECRET))
        .without_verdict()
        .start()
}

/// A request must show the same status everywhere, and claims only if the status is good.
fn of_one_piece(shown: &str) -> Result<()> {
    let fields: Vec<&str> = shown.split(',').collect();
    let [status, sub, kid, again, sub_again, link, expires, link_again] = *fields else {
        return Err(anyhow!("{shown:?}"));
    };
    let good = status == "ok";
    ensure!(status == again && sub == sub_again && link == link_again, "{shown:?}");
    ensure!(sub == if good { "alice" } else { "" }, "{shown:?}");
    ensure!(kid == if good { "k1" } else { "" }, "{shown:?}");
    ensure!(expires.is_empty() != ["ok", "expired"].contains(&link), "{shown:?}");
    Ok(())
}

fn ask(request: &Request, place: &str, way: &str, token: &str) -> Result<()> {
    let path = format!("/{place}/{way}");
    let target = link(LINK_SECRET, &path, now() + 1);
    let response = request.clone().target(target).bearer(token).send()?;
    let shown = match way {
        "served" => response.header("X-Shown").unwrap_or_default().to_owned(),
        _ => response.text().into_owned(),
    };
    let shown = shown.strip_prefix("/shown/").unwrap_or(&shown);
    of_one_piece(shown).with_context(|| format!("{path}: {}", response.status))
}

#[test]
fn a_value_is_of_one_piece_whatever_changes_meanwhile() -> Result<()> {
    let nginx = start()?;
    let (request, over) = (nginx.request(), AtomicBool::new(false));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|number| {
                let (request, over) = (&request, &over);
                scope.spawn(move || {
                    for round in 0.. {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let claims = json!({ "sub": "alice", "exp": now() + (round + number) % 3 });
                        let token = Jwt::new(claims).kid("k1").hs("HS256", SECRET)?;
                        for (place, way) in
                            PLACES.iter().flat_map(|place| WAYS.map(|way| (*place, way)))
                        {
                            ask(request, place, way, &token)?;
                        }
                    }
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        let changes = || {
            let start = Instant::now();
            for secret in [OTHER_SECRET, SECRET].into_iter().cycle() {
                if start.elapsed() > STORM
                    || clients.iter().any(thread::ScopedJoinHandle::is_finished)
                {
                    break;
                }
                nginx.put("keys.json", keys(secret))?;
                nginx.reload()?;
            }
            Ok(())
        };
        let changed: Result<()> = changes();
        over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("panicked"))??;
        }
        changed
    })?;
    nginx.finish()
}

#[test]
fn a_rule_that_fails_is_as_empty_in_the_second_read() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} secure_token_secret {LINK_SECRET}; secure_token $arg_sw;
            jwt_claim sub = \"$secure_token_status\";
            location / {{ return 200 \"<$jwt_status|$jwt_claim_sub|$jwt_status>\"; }}
            location /uri {{ rewrite ^ \"/shown/<$jwt_status|$jwt_claim_sub|$jwt_status>\" last; }}
            location /shown {{ jwt off; secure_token off; return 200 $uri; }}"
        ))
        .start()?;
    let token = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    for (query, shown) in [("sw=bogus", "<|alice|>"), ("sw=on", "<denied|alice|denied>")] {
        assert_eq!(nginx.bearer(format!("/?{query}"), &token)?.text(), shown);
        let shown = format!("/shown/{shown}");
        assert_eq!(nginx.bearer(format!("/uri?{query}"), &token)?.text(), shown);
    }
    nginx.finish()
}
