//! `nginx -t` refuses a wrong `jwt_provider` and reports file and line.

use anyhow::Result;
use module_tests::{Checked, Nginx, RSA, SECRET, SERVE};

/// `nginx -t` with the lines of `http` in a file of their own, where the first one is line 1.
fn check(http: &str, server: &str) -> Result<Checked> {
    Nginx::builder()
        .http("include providers.conf;")
        .server(server)
        .file("providers.conf", http)
        .file("keys.json", RSA.jwks("k1")?)
        .check()
}

fn provider(name: &str, inner: &str) -> String {
    format!("jwt_provider {name} {{ {inner} }}\n")
}

/// At the http level, too, which no level inherits from.
#[test]
fn keys_and_a_provider_on_the_same_level_are_an_error() -> Result<()> {
    let provider = format!("jwt_provider p {{ jwt_issuer P; jwt_kids {{ a {SECRET}; }} }}");
    let both = format!("jwt on provider=p; jwt_kids {{ b {SECRET}; }}");
    let wanted = ["names a provider, so the keys of this level would not be used", "nginx.conf:"];
    let http = Nginx::builder().http(format!("{provider} {both}")).server("jwt on;");
    http.check()?.refused_with(&wanted)?;
    Nginx::builder().http(provider.clone()).server(both.clone()).check()?.refused_with(&wanted)?;
    let location = format!("location / {{ {both} }}");
    Nginx::builder().http(provider).server(location).check()?.refused_with(&wanted)
}

#[test]
fn a_provider_without_what_makes_it_one() -> Result<()> {
    let keys = "jwks_file keys.json;";
    for (http, fragments) in [
        (provider("p", keys), &["jwt_provider", "has no jwt_issuer"][..]),
        (provider("p", "jwt_issuer a;"), &["jwt_provider", "has no keys"]),
        (provider("p", ""), &["jwt_provider"]),
        (provider("p", "jwt_issuer; jwks_file keys.json;"), &["jwt_issuer", "arguments"]),
        (
            provider("p", "jwt_issuer a; jwt_issuer b; jwks_file keys.json;"),
            &["jwt_issuer", "duplicate"],
        ),
        (provider("p", "jwt_issuer a; jwks_file gone.json;"), &["jwks_file", "gone.json"]),
        (provider("p", "jwt_issuer a; jwt_kids { k1 \"\"; }"), &["jwt_kids", "k1", "empty"]),
        (provider("p", "jwt_issuer a; jwks_file keys.json; jwt_claim a;"), &["jwt_claim"]),
        (provider("p", "jwt_issuer a; jwks_file keys.json; jwt_claim a ! b;"), &["jwt_claim", "!"]),
        (provider("", &format!("jwt_issuer a; {keys}")), &["jwt_provider", "arguments"]),
        (provider("a b", &format!("jwt_issuer a; {keys}")), &["jwt_provider", "arguments"]),
        (format!("jwt_provider p; {keys}"), &["jwt_provider", "no opening"]),
        (
            provider("p", &format!("jwt_issuer a; {keys}"))
                + &provider("p", &format!("jwt_issuer b; {keys}")),
            &["jwt_provider", "duplicate", "providers.conf:2"],
        ),
    ] {
        let checked = check(&http, "location / { }")?;
        checked.refused_with(&[fragments, &["providers.conf:"]].concat())?;
    }
    Ok(())
}

#[test]
fn only_what_makes_a_provider_may_stand_in_its_block() -> Result<()> {
    for directive in [
        "listen 80;",
        "jwt on;",
        "jwt_next on;",
        "jwt_uri_signing on;",
        "jwt_challenge scope=a;",
        "jwt_realm x;",
        "proxy_pass http://localhost;",
        "root html;",
        "location / { }",
        "server { }",
        "jwt_provider q { }",
        "jwt_claim_set $a b;",
        "auth_jwt x;",
        "auth_jwt_key_file keys.json;",
        "secure_token_secret 0123456789abcdef;",
        "set $a b;",
        "if ($arg_a) { }",
        "add_header A b;",
        "satisfy any;",
        "worker_processes 1;",
        "load_module x.so;",
        "nonsense x;",
    ] {
        let inner = format!("jwt_issuer a; jwks_file keys.json;\n{directive}");
        let checked = check(&provider("p", &inner), "location / { }")?;
        let name = directive.split(' ').next().unwrap_or_default();
        checked.refused_with(&[&format!("\"{name}\""), "providers.conf:2"])?;
    }
    Ok(())
}

#[test]
fn everything_that_makes_a_provider_is_accepted_in_its_block() -> Result<()> {
    let inner = format!(
        "jwt_issuer a b; jwt_kids {{ k2 {SECRET} alg=HS256; include more.conf; }}
        jwks_file keys.json; jwt_kids_file kids.json; jwt_algorithms RS256 HS256; jwt_audience x y;
        jwt_typ JWT; jwt_leeway 10s; jwt_require_exp on; jwt_max_lifetime 1h;
        jwt_claim a.b = $host; jwt_claim c exists error=401; jwt_require $arg_a; jwt_revoked jti list.txt;"
    );
    let checked = Nginx::builder()
        .http(provider("p", &inner))
        .server(format!("location / {{ jwt on provider=p; {SERVE} }} jwt_leeway 5s;"))
        .file("more.conf", format!("k3 {SECRET} alg=HS256;"))
        .file("kids.json", format!(r#"{{"k4":"{SECRET}"}}"#))
        .file("keys.json", RSA.jwks("k1")?)
        .file("list.txt", "a\n")
        .check()?;
    checked.accepted()?;
    // The block may include all its directives from a file; errors then name that file's lines.
    for (text, fragments) in [
        ("jwt_issuer a;\njwks_file keys.json;\n", None),
        ("jwt_issuer a;\njwks_file keys.json;\nlisten 80;\n", Some(["\"listen\"", "inner.conf:3"])),
    ] {
        let checked = Nginx::builder()
            .http("jwt_provider p { include inner.conf; }")
            .server("location / { jwt on provider=p; }")
            .file("inner.conf", text)
            .file("keys.json", RSA.jwks("k1")?)
            .check()?;
        match fragments {
            None => checked.accepted()?,
            Some(fragments) => checked.refused_with(&fragments)?,
        }
    }
    // nginx reads the directives after the block as usual.
    let after =
        provider("p", "jwt_issuer a; jwks_file keys.json;") + "jwt_realm x; map $uri $a { }";
    check(&after, "location / { jwt on provider=p; root html; }")?.accepted()?;
    let after = provider("p", "jwt_issuer a; jwks_file keys.json;") + "root html; listen 80;";
    check(&after, "location / { }")?.refused_with(&["\"listen\"", "providers.conf:2"])
}

#[test]
fn a_provider_may_only_stand_in_http() -> Result<()> {
    let text = provider("p", "jwt_issuer a; jwks_file keys.json;");
    for server in [text.clone(), format!("location / {{ {text} }}")] {
        check("", &server)?.refused_with(&[
            "\"jwt_provider\"",
            "not allowed here",
            "nginx.conf:",
        ])?;
    }
    Ok(())
}

#[test]
fn a_switch_that_names_providers_wrongly() -> Result<()> {
    let keys = "jwks_file keys.json;";
    let http = provider("one", &format!("jwt_issuer a b; {keys}"))
        + &provider("two", &format!("jwt_issuer c; {keys}"))
        + &provider("three", &format!("jwt_issuer d b; {keys}"));
    for (switch, fragments) in [
        ("jwt on provider=four;", &["four", "no such jwt_provider"][..]),
        ("jwt on provider=One;", &["One", "no such jwt_provider"]),
        ("jwt on provider=one provider=four;", &["four"]),
        ("jwt on provider=one provider=three;", &["two providers of issuer \"b\""]),
        ("jwt on provider=one provider=one;", &["names provider \"one\" twice"]),
        ("jwt on provider=;", &["provider="]),
        ("jwt on one;", &["one"]),
        ("jwt on providers=one;", &["providers=one"]),
        ("jwt provider=one;", &["provider=one"]),
    ] {
        check(&http, &format!("location / {{ {switch} }}"))?
            .refused_with(&[fragments, &["nginx.conf:", "jwt"]].concat())?;
    }
    check(&http, "location / { jwt on provider=one provider=two; }")?.accepted()?;
    // A provider may stand after the server that names it.
    let server = "server { listen unix:t.sock; location / { jwt on provider=one; } }\n";
    check(&format!("{server}{http}"), "location / { }")?.accepted()
}

#[test]
fn a_provider_and_keys_on_one_level_contradict_each_other() -> Result<()> {
    let http = provider("one", "jwt_issuer a; jwks_file keys.json;");
    let server = format!("location / {{ jwt on provider=one; jwt_kids {{ k1 {SECRET}; }} }}");
    check(&http, &server)?.refused_with(&["jwt", "provider", "nginx.conf:"])
}
