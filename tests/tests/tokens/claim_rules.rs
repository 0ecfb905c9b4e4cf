//! `jwt_claim`: rules on the claims of a verified token.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, Response, SECRET, SERVE};
use serde_json::{Value, json};

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

/// A server with the locations `/0`, `/1`, …, one for each of these directives.
fn start<'r>(rules: impl IntoIterator<Item = &'r str>) -> Result<Nginx> {
    let location = |(i, rule): (usize, &str)| format!("location = /{i} {{ {rule} {SERVE} }}\n");
    let locations: String = rules.into_iter().enumerate().map(location).collect();
    Nginx::start(format!("jwt_kids {{ k1 {SECRET}; }}\n{locations}"))
}

/// Requires each rule to accept the first list of claims and to refuse the second.
fn expect(rows: &[(&str, Value, Value)]) -> Result<()> {
    let rules: Vec<String> = rows.iter().map(|row| format!("jwt_claim {};", row.0)).collect();
    let nginx = start(rules.iter().map(String::as_str))?;
    for (i, (rule, accepted, refused)) in rows.iter().enumerate() {
        for (claims, verdict) in
            accepted.as_array().into_iter().flatten().map(|claims| (claims, (200, "ok"))).chain(
                refused.as_array().into_iter().flatten().map(|claims| (claims, (403, "denied"))),
            )
        {
            let response = nginx.bearer(format!("/{i}"), &token(claims)?)?;
            assert_eq!(response.verdict(), verdict, "{rule}: {claims}");
        }
    }
    nginx.finish()
}

#[test]
fn equality_is_of_strings_numbers_names_and_members_of_arrays() -> Result<()> {
    expect(&[
        (
            "r = admin",
            json!([{ "r": "admin" }, { "r": ["user", "admin"] }]),
            json!([{}, { "r": "Admin" }, { "r": "admin " }, { "r": "adm" }, { "r": ["user"] }, { "r": [] },
                { "r": { "admin": 1 } }, { "r": [["admin"]] }, { "r": true }, { "r": null }, { "r": "user admin" }]),
        ),
        (
            "r = a b c",
            json!([{ "r": "b" }, { "r": ["x", "c"] }]),
            json!([{ "r": "d" }, { "r": "a b c" }]),
        ),
        (
            "n = 7",
            json!([{ "n": 7 }, { "n": 7.0 }, { "n": "7" }, { "n": [1, 7] }]),
            json!([{ "n": 8 }, { "n": "7.0" }, { "n": -7 }, { "n": "07" }, { "n": true }]),
        ),
        ("n = 7.50", json!([{ "n": 7.5 }, { "n": "7.50" }]), json!([{ "n": "7.5" }, { "n": 75 }])),
        ("n = -0", json!([{ "n": 0 }, { "n": 0.0 }]), json!([{ "n": "0" }, { "n": 1 }])),
        (
            "n = 18446744073709551615",
            json!([{ "n": u64::MAX }]),
            json!([{ "n": u64::MAX - 1 }, { "n": -1 }]),
        ),
        (
            "b = true",
            json!([{ "b": true }, { "b": "true" }]),
            json!([{ "b": false }, { "b": 1 }, { "b": "True" }]),
        ),
        ("b = false", json!([{ "b": false }]), json!([{ "b": 0 }, { "b": null }, { "b": "" }, {}])),
        (
            "x = null",
            json!([{ "x": "null" }, { "x": [null] }]),
            json!([{ "x": 0 }, { "x": "" }, {}]),
        ),
        (
            "x = \"\"",
            json!([{ "x": "" }, { "x": ["a", ""] }]),
            json!([{ "x": [] }, { "x": " " }, {}]),
        ),
        (
            "x = \"two words\"",
            json!([{ "x": "two words" }]),
            json!([{ "x": "two" }, { "x": ["two", "words"] }]),
        ),
        (
            "x = gr\u{fc}n",
            json!([{ "x": "gr\u{fc}n" }]),
            json!([{ "x": "gru\u{308}n" }, { "x": "GR\u{dc}N" }]),
        ),
        (
            "r != admin",
            json!([{ "r": "user" }, { "r": ["user"] }, { "r": [] }, { "r": 1 }, { "r": "" }]),
            json!([{ "r": "admin" }, { "r": ["user", "admin"] }, {}, { "r": { "a": 1 } }]),
        ),
        (
            "r != a b",
            json!([{ "r": "c" }]),
            json!([{ "r": "a" }, { "r": "b" }, { "r": ["c", "b"] }, {}]),
        ),
    ])?;
    // `live_with` removes null claims, so `Jwt::new` makes this token.
    let nginx = start(["jwt_claim x = null;", "jwt_claim x != null;", "jwt_claim x exists;"])?;
    let null = Jwt::new(json!({ "x": null })).kid("k1").hs("HS256", SECRET)?;
    assert_eq!(["/0", "/1", "/2"].map(|path| status(nginx.bearer(path, &null))), [200, 403, 200]);
    nginx.finish()
}

fn status(response: Result<Response>) -> u16 {
    response.map(|response| response.status).unwrap_or_default()
}

#[test]
fn prefixes_and_patterns_are_of_strings_alone() -> Result<()> {
    expect(&[
        (
            "s ^~ ed",
            json!([{ "s": "editor" }, { "s": "ed" }]),
            json!([{ "s": "Editor" }, { "s": "med" }, { "s": "e" }, { "s": ["editor"] }, { "s": 1 }, {}]),
        ),
        ("s ^~ a b", json!([{ "s": "ax" }, { "s": "bx" }]), json!([{ "s": "xa" }, { "s": "" }])),
        (
            "s !^~ ed",
            json!([{ "s": "user" }, { "s": "" }, { "s": "Ed" }]),
            json!([{ "s": "editor" }, { "s": ["user"] }, { "s": 1 }, {}]),
        ),
        ("s !^~ a b", json!([{ "s": "c" }]), json!([{ "s": "ax" }, { "s": "bx" }])),
        (
            "s ~ ^a.c$",
            json!([{ "s": "abc" }, { "s": "a.c" }]),
            json!([{ "s": "ABC" }, { "s": "abcd" }, { "s": "ac" }, { "s": ["abc"] }, { "s": 1 }, {}]),
        ),
        ("s ~ b", json!([{ "s": "abc" }]), json!([{ "s": "aBc" }])),
        ("s ~ ^a ^b", json!([{ "s": "ax" }, { "s": "bx" }]), json!([{ "s": "xab" }])),
        ("s ~ \"^(a|b){2,3}$\"", json!([{ "s": "aba" }]), json!([{ "s": "a" }, { "s": "abab" }])),
        ("s ~* ^ab", json!([{ "s": "ABC" }, { "s": "abc" }]), json!([{ "s": "cab" }])),
        ("s ~* ^\u{fc}", json!([{ "s": "\u{dc}ber" }]), json!([{ "s": "uber" }])),
        (
            "s !~ ^a",
            json!([{ "s": "b" }, { "s": "A" }, { "s": "" }]),
            json!([{ "s": "a" }, { "s": ["b"] }, { "s": false }, {}]),
        ),
        ("s !~ ^a ^b", json!([{ "s": "c" }]), json!([{ "s": "ax" }, { "s": "bx" }])),
        ("s !~* ^a", json!([{ "s": "b" }]), json!([{ "s": "A" }, { "s": "a" }, {}])),
        (
            "s ~ ^\\d+$",
            json!([{ "s": "12" }]),
            json!([{ "s": 12 }, { "s": "12\n" }, { "s": "1\n2" }]),
        ),
        ("s ~ ^$host$", json!([]), json!([{ "s": "localhost" }, { "s": "$host" }])),
    ])
}

#[test]
fn sets_are_arrays_or_words() -> Result<()> {
    expect(&[
        (
            "scope any read admin",
            json!([{ "scope": "write read" }, { "scope": ["x", "admin"] }]),
            json!([{ "scope": "write" }, { "scope": "reader" }, { "scope": "Read" }, { "scope": [] }, { "scope": "" }, { "scope": 1 }, { "scope": { "read": true } }, {}]),
        ),
        (
            "scope all read write",
            json!([{ "scope": "write x read" }, { "scope": ["write", "read"] }]),
            json!([{ "scope": "read" }, { "scope": ["write"] }, { "scope": "readwrite" }, {}]),
        ),
        (
            "scope none admin root",
            json!([{ "scope": "read" }, { "scope": [] }, { "scope": "" }, { "scope": ["administrator"] }]),
            json!([{ "scope": "read root" }, { "scope": ["admin"] }, { "scope": 1 }, { "scope": { "a": 1 } }, {}]),
        ),
        (
            "ids any 7 true",
            json!([{ "ids": [1, 7] }, { "ids": [true] }, { "ids": ["7"] }, { "ids": "1 7" }]),
            json!([{ "ids": 7 }, { "ids": [77, false] }, { "ids": true }]),
        ),
        (
            "scope any \"read write\"",
            json!([{ "scope": ["read write"] }]),
            json!([{ "scope": "read write" }]),
        ),
        (
            "scope any a",
            json!([{ "scope": "  b   a " }]),
            json!([{ "scope": "b,a" }, { "scope": "b\ta" }, { "scope": "b\na" }]),
        ),
        (
            "scope any \"\"",
            json!([{ "scope": [""] }]),
            json!([{ "scope": "" }, { "scope": "a  b" }, { "scope": [] }]),
        ),
    ])
}

#[test]
fn numbers_are_compared_as_numbers() -> Result<()> {
    expect(&[
        (
            "n < 10",
            json!([{ "n": 9 }, { "n": -11 }, { "n": 9.99 }]),
            json!([{ "n": 10 }, { "n": 11 }, { "n": "9" }, { "n": [9] }, { "n": true }, {}]),
        ),
        (
            "n <= 10",
            json!([{ "n": 10 }, { "n": 10.0 }, { "n": 9 }]),
            json!([{ "n": 10.01 }, { "n": "10" }]),
        ),
        (
            "n > 10",
            json!([{ "n": 11 }, { "n": 100 }, { "n": 1e300 }]),
            json!([{ "n": 10 }, { "n": 9 }, { "n": "11" }, { "n": {} }]),
        ),
        ("n >= -1.5", json!([{ "n": -1.5 }, { "n": 0 }]), json!([{ "n": -2 }])),
        (
            "n > 9007199254740992",
            json!([{ "n": 9_007_199_254_740_993_u64 }]),
            json!([{ "n": 9_007_199_254_740_992_u64 }]),
        ),
        ("n >= 1e3", json!([{ "n": 1000 }]), json!([{ "n": 999 }])),
    ])
}

#[test]
fn numbers_are_compared_exactly_whatever_their_size() -> Result<()> {
    for (rule, holding, others) in [
        (
            "n = 18446744073709551616",
            &["18446744073709551616", "18446744073709551616.0", "1844674407370955161600e-2"][..],
            &["18446744073709551615", "18446744073709551617", "1.8446744073709552e19"][..],
        ),
        (
            "n = 9007199254740992.0",
            &["9007199254740992", "9007199254740992.0"],
            &["9007199254740993", "9007199254740992.1"],
        ),
        ("n = 1e2", &["100", "1e2", "100.0", "1E+2"], &["1e1", "100.00000000000000000001"]),
        ("n = 0.1", &["1e-1", "0.10"], &["0.1000000000000000055511151231257827"]),
        ("n = 0", &["-0", "0.0", "-0e5"], &["1e-400"]),
        (
            "n > 12345678901234567890122.9",
            &["12345678901234567890123", "1e23"],
            &["12345678901234567890122", "-1e300"],
        ),
        ("n any 7", &["[6,7.0]"], &["[6,7.0000000000000000001]"]),
    ] {
        let nginx = Nginx::start(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_claim {rule}; {SERVE} }}"
        ))?;
        let ask = |n: &str| {
            let payload = format!("{{\"n\":{n},\"exp\":{}}}", module_tests::now() + 300);
            let token =
                module_tests::raw_token(r#"{"alg":"HS256","kid":"k1"}"#, payload, |input| {
                    module_tests::hmac("HS256", SECRET.as_bytes(), input)
                })?;
            nginx.bearer("/", &token)
        };
        for n in holding {
            assert_eq!(ask(n)?.verdict(), (200, "ok"), "{rule}: {n}");
        }
        for n in others {
            assert_eq!(ask(n)?.verdict(), (403, "denied"), "{rule}: {n}");
        }
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn presence_is_of_the_member_whatever_it_holds() -> Result<()> {
    expect(&[
        (
            "a exists",
            json!([{ "a": "" }, { "a": 0 }, { "a": false }, { "a": [] }, { "a": {} }]),
            json!([{}, { "A": 1 }]),
        ),
        (
            "a !exists",
            json!([{}, { "A": 1 }, { "aa": 1 }]),
            json!([{ "a": 0 }, { "a": "" }, { "a": {} }]),
        ),
        (
            "a.b exists",
            json!([{ "a": { "b": 0 } }, { "a.b": 1 }]),
            json!([{ "a": 1 }, { "a": { "c": 1 } }, { "a": [{ "b": 1 }] }]),
        ),
        (
            "a.b !exists",
            json!([{}, { "a": 1 }, { "a": [{ "b": 1 }] }]),
            json!([{ "a": { "b": 0 } }]),
        ),
    ])
}

#[test]
fn a_path_takes_an_exact_name_before_it_descends() -> Result<()> {
    expect(&[
        (
            "realm_access.roles = admin",
            json!([{ "realm_access": { "roles": ["admin"] } }]),
            json!([{ "roles": ["admin"] }, { "realm_access": ["roles"] }]),
        ),
        (
            "https://x.example/roles = admin",
            json!([{ "https://x.example/roles": ["admin"] }]),
            json!([{ "https://x": { "example/roles": ["user"] } }]),
        ),
        (
            "https://x.example/app.role = admin",
            json!([{ "https://x.example/app": { "role": "admin" } }]),
            json!([{ "https://x.example/app": "admin" }]),
        ),
        (
            "a.b.c = 1",
            json!([{ "a": { "b": { "c": 1 } } }, { "a.b": { "c": 1 } }, { "a": { "b.c": 1 } }, { "a.b.c": 1 }]),
            json!([{ "a.b.c": 2, "a": { "b": { "c": 1 } } }, { "a.b": { "c": 2 }, "a": { "b": { "c": 1 } } }]),
        ),
        // "x.y" does not lead to "z", so the search goes on with "x".
        ("x.y.z = 1", json!([{ "x.y": 5, "x": { "y": { "z": 1 } } }]), json!([{ "x.y": 1 }])),
        ("\"a name\" = 1", json!([{ "a name": 1 }]), json!([{ "a": { "name": 1 } }])),
        ("list.0 = a", json!([{ "list": { "0": "a" } }]), json!([{ "list": ["a"] }])),
        ("a..b = 1", json!([{ "a": { "": { "b": 1 } } }]), json!([{ "a": { "b": 1 } }])),
        (".a = 1", json!([{ "": { "a": 1 } }, { ".a": 1 }]), json!([{ "a": 1 }])),
        ("Sub = alice", json!([{ "Sub": "alice" }]), json!([{}])),
    ])
}

#[test]
fn a_claim_may_be_bound_to_the_request() -> Result<()> {
    let nginx = start([
        "jwt_claim tenant = $arg_tenant;",
        "jwt_claim host = $host;",
        "jwt_claim path ^~ $arg_path;",
        "jwt_claim tenants any $arg_tenant $http_x_tenant;",
        "jwt_claim max >= $arg_n;",
        "jwt_claim blocked none $arg_tenant;",
        "jwt_claim tenant = t-$arg_n ${arg_tenant}!;",
        "jwt_claim azp = $jwt_claim_client;",
        "jwt_claim tenant != $arg_tenant;",
    ])?;
    let claims = json!({ "tenant": "red", "host": "shop.example", "path": "/red/", "tenants": "red blue",
        "max": 10, "blocked": ["green"], "azp": "app", "client": "app" });
    let good = token(&claims)?;
    for (target, status) in [
        ("/0?tenant=red", 200),
        ("/0?tenant=blue", 403),
        ("/0?tenant=", 403),
        ("/0", 403),
        ("/0?tenant=red&tenant=blue", 200),
        ("/0?tenant=%72ed", 403),
        ("/1", 200),
        ("/2?path=/re", 200),
        ("/2?path=/blue", 403),
        // An empty prefix matches no claim.
        ("/2?path=", 403),
        ("/2", 403),
        ("/3?tenant=blue", 200),
        ("/3?tenant=green", 403),
        ("/3", 403),
        ("/4?n=10", 200),
        ("/4?n=11", 403),
        ("/4?n=x", 403),
        ("/4?n=", 403),
        ("/4", 403),
        ("/5?tenant=red", 200),
        ("/5?tenant=green", 403),
        ("/6?n=1&tenant=red", 403),
        ("/7", 200),
        ("/8?tenant=red", 403),
        ("/8?tenant=blue", 200),
    ] {
        let request = nginx.request().host("shop.example").target(target).bearer(&good);
        assert_eq!(request.send()?.status, status, "{target}");
    }
    let request = |i: &str| nginx.request().target(i).bearer(&good);
    assert_eq!(request("/1").host("other.example").send()?.status, 403);
    assert_eq!(request("/3?tenant=green").header("X-Tenant", "red").send()?.status, 200);
    let other = token(&json!({ "azp": "app", "client": "other", "tenant": "t-5" }))?;
    assert_eq!(nginx.bearer("/7", &other)?.status, 403);
    assert_eq!(nginx.bearer("/6?n=5", &other)?.status, 200);
    nginx.finish()
}

#[test]
fn every_rule_must_hold_and_the_first_that_does_not_answers() -> Result<()> {
    let nginx = start([
        "jwt_claim a = 1; jwt_claim b = 2 error=401; jwt_claim a exists;",
        "jwt_claim a = 1 error=401; jwt_claim b = 2 error=403; jwt_realm x;",
    ])?;
    for (claims, statuses) in [
        (json!({ "a": 1, "b": 2 }), [200, 200]),
        (json!({ "a": 1 }), [401, 403]),
        (json!({ "b": 2 }), [403, 401]),
        (json!({}), [403, 401]),
    ] {
        let token = token(&claims)?;
        let paths = ["/0", "/1"].map(|path| status(nginx.bearer(path, &token)));
        assert_eq!(paths, statuses, "{claims}");
    }
    let description = "error_description=\"The token does not grant access\"";
    let (by_a, by_b) = (token(&json!({ "b": 2 }))?, token(&json!({ "a": 1 }))?);
    for (path, token, challenge) in [
        ("/0", &by_a, format!("Bearer error=\"insufficient_scope\", {description}")),
        ("/0", &by_b, format!("Bearer error=\"invalid_token\", {description}")),
        ("/1", &by_a, format!("Bearer realm=\"x\", error=\"invalid_token\", {description}")),
        ("/1", &by_b, format!("Bearer realm=\"x\", error=\"insufficient_scope\", {description}")),
    ] {
        let response = nginx.bearer(path, token)?;
        assert_eq!(response.all("WWW-Authenticate"), [challenge], "{path}");
        assert_eq!(response.verdict().1, "denied", "{path}");
    }
    nginx.finish()
}

#[test]
fn a_token_that_is_not_good_is_never_asked_for_its_claims() -> Result<()> {
    let nginx = start(["jwt_claim sub != alice; jwt_claim nobody !exists;"])?;
    let forged = Jwt::live_with(&json!({ "sub": "bob" })).kid("k1").hs("HS256", OTHER_SECRET)?;
    assert_eq!(nginx.bearer("/0", &forged)?.verdict(), (401, "bad_signature"));
    assert_eq!(nginx.get("/0")?.verdict(), (401, "missing"));
    let expired = token(&json!({ "sub": "bob", "exp": 1_000_000_000 }))?;
    assert_eq!(nginx.bearer("/0", &expired)?.verdict(), (401, "expired"));
    nginx.finish()
}

#[test]
fn a_denial_is_logged_by_the_rules_place_and_never_by_the_token() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!("jwt_kids {{ k1 {SECRET}; }} location / {{ include rules.conf; {SERVE} }}"))
        .file("rules.conf", "jwt_claim a exists;\n\njwt_claim role = admin;\njwt_require $arg_x;\n")
        .start()?;
    for (target, claims, line) in [
        ("/", json!({}), "rules.conf:1"),
        ("/", json!({ "a": 1, "role": "wanted-secretly" }), "rules.conf:3"),
        ("/?y=1", json!({ "a": 1, "role": "admin" }), "rules.conf:4"),
    ] {
        let token = token(&claims)?;
        let before = nginx.refusals().len();
        assert_eq!(nginx.bearer(target, &token)?.verdict(), (403, "denied"), "{line}");
        let lines = nginx.refusals();
        assert_eq!(lines.len(), before + 1, "{lines:?}");
        let told = lines.last().map(String::as_str).unwrap_or_default();
        assert!(told.contains("denied") && told.contains(line), "{line}: {told}");
        nginx.assert_no_secret(&[&token, SECRET, "wanted-secretly"])?;
    }
    nginx.finish()
}
