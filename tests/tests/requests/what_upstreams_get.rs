//! The upstream must get the path that was checked, and a cache must not mix users. The
//! configurations are those that docs/directives.md shows.

use anyhow::Result;
use module_tests::{Jwt, Nginx, SECRET, link_md5, now};
use serde_json::json;

/// Answers with the path and the user that it gets.
const UPSTREAM: &str =
    "server { listen unix:up.sock; location / { return 200 \"$request_uri $http_x_user\"; } }";

fn of(user: &str) -> Result<String> {
    Jwt::live_with(&json!({ "sub": user })).kid("k1").hs("HS256", SECRET)
}

/// Paths of alice that begin as if they were bob's.
const DISGUISED: [&str; 4] =
    ["bob/files/..%2f..%2falice/x", "bob/%2e%2e/alice/x", "bob/../alice/x", "bob//../alice/./x"];

#[test]
fn a_path_that_was_judged_reaches_the_upstream_as_it_was_judged() -> Result<()> {
    let nginx = Nginx::builder()
        .http(UPSTREAM)
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location ~ ^/raw/(?<user>[^/]+)/ {{
                jwt_claim  sub = $user;
                proxy_pass http://unix:up.sock;
            }}
            location ~ ^/users/(?<user>[^/]+)/ {{
                jwt_claim  sub = $user;
                rewrite    ^ $uri break;
                proxy_pass http://unix:up.sock;
            }}
            location /files/ {{
                jwt_claim  sub = alice;
                proxy_pass http://unix:up.sock:/files/;
            }}"
        ))
        .start()?;
    let (alice, bob) = (of("alice")?, of("bob")?);
    for path in DISGUISED {
        // The check saw alice in the normalised path, but the raw path still says bob.
        let raw = nginx.bearer(format!("/raw/{path}"), &alice)?;
        assert_eq!((raw.status, raw.text().trim_end()), (200, &*format!("/raw/{path}")));
        let sent = nginx.bearer(format!("/users/{path}?a=%2f"), &alice)?;
        assert_eq!((sent.status, sent.text().trim_end()), (200, "/users/alice/x?a=%2f"), "{path}");
        assert_eq!(nginx.bearer(format!("/users/{path}"), &bob)?.status, 403, "{path}");
        let sent = nginx.bearer(format!("/files/{path}"), &alice)?;
        assert_eq!((sent.status, sent.text().trim_end()), (200, "/files/alice/x"), "{path}");
    }
    // Special characters stay escaped, so that no path becomes a query or a header.
    for (sent, got) in [
        ("alice/a%3fb?c=1", "alice/a%3Fb?c=1"),
        ("alice/a%20b%25c%23", "alice/a%20b%25c%23"),
        ("alice/%0d%0aX-User:%20root", "alice/%0D%0AX-User:%20root"),
        ("alice/%252f..%252fbob", "alice/%252f..%252fbob"),
    ] {
        for place in ["users", "files"] {
            let response = nginx.bearer(format!("/{place}/{sent}"), &alice)?;
            assert_eq!(response.text().trim_end(), format!("/{place}/{got}"), "{sent}");
        }
    }
    nginx.finish()
}

#[test]
fn a_link_opens_at_the_upstream_what_was_signed() -> Result<()> {
    let nginx = Nginx::builder()
        .http(UPSTREAM)
        .server(
            "location / { secure_token_secret mysecretkey;
                rewrite ^ $uri break; proxy_pass http://unix:up.sock; }",
        )
        .start()?;
    let e = now() + 300;
    let st = link_md5("mysecretkey", "/alice/x", e);
    for path in DISGUISED {
        let response = nginx.get(format!("/{path}?st={st}&e={e}"))?;
        let got = format!("/alice/x?st={st}&e={e}");
        assert_eq!((response.status, response.text().trim_end()), (200, got.as_str()), "{path}");
    }
    nginx.finish()
}

#[test]
fn what_is_cached_of_one_person_is_not_given_to_another() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!("{UPSTREAM} proxy_cache_path cache keys_zone=pages:1m;"))
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} proxy_cache pages; proxy_cache_valid 1h;
            proxy_set_header X-User $jwt_claim_sub; add_header X-Cache $upstream_cache_status;
            location /shared/ {{ proxy_pass http://unix:up.sock; }}
            location /own/ {{
                jwt_require     $jwt_claim_sub;
                proxy_cache_key \"$proxy_host $jwt_claim_iss $jwt_claim_sub $request_uri\";
                proxy_pass      http://unix:up.sock;
            }}
            location /never/ {{ proxy_cache off; proxy_pass http://unix:up.sock; }}"
        ))
        .start()?;
    let ask = |path: &str, user: &str| -> Result<(String, String)> {
        let response = nginx.bearer(path, &of(user)?)?;
        let cached = response.header("X-Cache").unwrap_or("none").to_owned();
        Ok((response.text().trim_end().to_owned(), cached))
    };
    let answer =
        |path: &str, user: &str, cached: &str| (format!("{path} {user}"), cached.to_owned());
    // Without the identity in the cache key, bob gets alice's page.
    assert_eq!(ask("/shared/a", "alice")?, answer("/shared/a", "alice", "MISS"));
    assert_eq!(ask("/shared/a", "bob")?, answer("/shared/a", "alice", "HIT"));
    for (user, cached) in [("alice", "MISS"), ("bob", "MISS"), ("alice", "HIT"), ("bob", "HIT")] {
        assert_eq!(ask("/own/a", user)?, answer("/own/a", user, cached));
    }
    for user in ["alice", "bob", "alice"] {
        assert_eq!(ask("/never/a", user)?, answer("/never/a", user, "none"));
    }
    // The check protects cached pages, too.
    assert_eq!(nginx.get("/own/a")?.status, 401);
    nginx.finish()
}
