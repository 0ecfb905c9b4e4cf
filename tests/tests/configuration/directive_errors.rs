//! `nginx -t` refuses a wrong directive and reports its name, file and line. The tests of key files
//! are in `key_file_errors`.

use anyhow::Result;
use module_tests::{Nginx, P256, RSA, SECRET, mistake, nginx_t, refuse_all};
use serde_json::json;

#[test]
fn a_kids_block_that_is_wrong() -> Result<()> {
    let block = |entry: &str| format!("jwt_kids {{ {entry} }}");
    refuse_all(&[
        mistake("empty", block(""), &[]),
        mistake("no secret", block("k1;"), &[]),
        mistake("an empty secret", block("k1 \"\";"), &["k1", "empty"]),
        mistake("an empty secret in hex", block("k1 \"\" encoding=hex;"), &["k1", "empty"]),
        mistake(
            "a kid twice",
            block(&format!("k1 {SECRET}; k2 {SECRET}; k1 {SECRET};")),
            &["k1", "duplicate"],
        ),
        mistake("a secret with a space, unquoted", block(&format!("k1 my {SECRET};")), &["k1"]),
        mistake("an unknown option", block(&format!("k1 {SECRET} colour=blue;")), &["k1"]),
        mistake(
            "an unknown encoding",
            block(&format!("k1 {SECRET} encoding=rot13;")),
            &["k1", "rot13"],
        ),
        mistake(
            "an empty encoding",
            block(&format!("k1 {SECRET} encoding=;")),
            &["k1", "encoding"],
        ),
        mistake("no base64", block("k1 !!!! encoding=base64;"), &["k1", "base64"]),
        mistake("no base64url", block("k1 ab+/ encoding=base64url;"), &["k1", "base64url"]),
        mistake("no hex", block("k1 0g encoding=hex;"), &["k1", "hex"]),
        mistake("half a byte of hex", block("k1 abc encoding=hex;"), &["k1", "hex"]),
        mistake("alg of RSA", block(&format!("k1 {SECRET} alg=RS256;")), &["k1", "RS256"]),
        mistake("alg none", block(&format!("k1 {SECRET} alg=none;")), &["k1", "none"]),
        mistake("an unknown alg", block(&format!("k1 {SECRET} alg=HS1;")), &["k1", "HS1"]),
        mistake("no time", block(&format!("k1 {SECRET} expires=tomorrow;")), &["k1", "tomorrow"]),
        mistake(
            "a time without a zone",
            block(&format!("k1 {SECRET} expires=2027-01-31T00:00:00;")),
            &["k1", "2027-01-31"],
        ),
        mistake(
            "no such day",
            block(&format!("k1 {SECRET} expires=2027-02-30T00:00:00Z;")),
            &["k1", "2027-02-30"],
        ),
        mistake("parameters before the block", format!("jwt_kids x {{ k1 {SECRET}; }}"), &[]),
    ])
}

#[test]
fn a_directive_with_a_wrong_value() -> Result<()> {
    refuse_all(&[
        mistake("an unknown switch", "jwt maybe;", &["maybe"]),
        mistake("no switch", "jwt;", &[]),
        mistake("on without keys", "jwt on;", &["key"]),
        mistake("none", "jwt_algorithms none;", &["none"]),
        mistake("None", "jwt_algorithms RS256 None;", &["None"]),
        mistake("unknown", "jwt_algorithms RS256 ROT13;", &["ROT13"]),
        mistake("lower case", "jwt_algorithms rs256;", &["rs256"]),
        mistake("ES521", "jwt_algorithms ES521;", &["ES521"]),
        mistake("no algorithm", "jwt_algorithms;", &[]),
        mistake("an unknown source", "jwt_token body;", &["body"]),
        mistake("an unknown kind of source", "jwt_token query:tok;", &["query:tok"]),
        mistake("a header without a name", "jwt_token header:;", &["header:"]),
        mistake("a cookie without a name", "jwt_token cookie:;", &["cookie:"]),
        mistake("an argument without a name", "jwt_token arg:;", &["arg:"]),
        mistake("no source", "jwt_token;", &[]),
        mistake("a prefix without a source", "jwt_token prefix=Token;", &["prefix="]),
        mistake("a prefix of a cookie", "jwt_token cookie:a prefix=Token;", &["prefix="]),
        mistake("a prefix of basic", "jwt_token basic prefix=Token;", &["prefix="]),
        mistake("two prefixes", "jwt_token header:a prefix=A prefix=B;", &["prefix="]),
        mistake("a prefix with a space", "jwt_token bearer \"prefix=a b\";", &["a b"]),
        mistake("an empty prefix", "jwt_token bearer prefix=;", &["prefix="]),
        mistake("no flag", "jwt_next maybe;", &["maybe"]),
        mistake("no parameter", "jwt_challenge scope;", &["scope", "NAME=VALUE"]),
        mistake("a parameter without a name", "jwt_challenge =a;", &["name"]),
        mistake("a parameter twice", "jwt_challenge scope=a Scope=b;", &["Scope", "twice"]),
        mistake("the realm as a parameter", "jwt_challenge Realm=a;", &["Realm", "jwt_realm"]),
        mistake("the error as a parameter", "jwt_challenge error=a;", &["error"]),
        mistake("a name that is no token", "jwt_challenge \"a b=c\";", &["a b"]),
        mistake(
            "quotes inside",
            "jwt_challenge scope=\"read\";",
            &["scope=", "quotes around the whole"],
        ),
        mistake("off and more", "jwt_challenge off scope=a;", &["scope=a"]),
        mistake("an empty source", "jwt_token \"\";", &[]),
        mistake("an empty time", "jwt_leeway \"\";", &[]),
        mistake("an empty algorithm", "jwt_algorithms \"\";", &[]),
        mistake("an empty switch", "jwt \"\";", &[]),
        mistake("no issuer", "jwt_issuer;", &[]),
        mistake("no audience", "jwt_audience;", &[]),
        mistake("no typ", "jwt_typ;", &[]),
        mistake("no time", "jwt_leeway soon;", &["soon"]),
        mistake("a negative time", "jwt_leeway -5s;", &["-5s"]),
        mistake("no time", "jwt_max_lifetime soon;", &["soon"]),
        mistake("no flag", "jwt_require_exp maybe;", &["maybe"]),
        mistake("two realms", "jwt_realm a b;", &[]),
        mistake("an unknown switch", "secure_token maybe;", &["maybe"]),
        mistake("on without a secret", "secure_token on;", &["secure_token_secret"]),
        mistake("no secret", "secure_token_secret;", &[]),
        mistake("an empty secret", "secure_token_secret good-enough-for-this \"\";", &["empty"]),
        mistake("an unknown hash", "secure_token_algorithm sha1;", &["sha1"]),
        mistake("upper case", "secure_token_algorithm MD5;", &["MD5"]),
        mistake("no hash", "secure_token_algorithm;", &[]),
        mistake("one name", "secure_token_args st;", &[]),
        mistake("three names", "secure_token_args a b c;", &[]),
        mistake("the same name twice", "secure_token_args x x;", &["x"]),
        mistake("names but for case", "secure_token_args st ST;", &["ST", "case"]),
        mistake("another spelling", "secure_token_args s_t s.t;", &["s.t"]),
        mistake("an encoded name", "secure_token_args st s%74;", &["s%74"]),
        mistake("an empty name", "secure_token_args \"\" e;", &[]),
        mistake("no value", "secure_token_value;", &[]),
    ])
}

#[test]
fn a_directive_given_twice_on_a_level() -> Result<()> {
    for directive in [
        "jwt off;",
        "jwt_algorithms RS256;",
        "jwt_token bearer;",
        "jwt_next on;",
        "jwt_realm x;",
        "jwt_challenge scope=x;",
        "jwt_issuer x;",
        "jwt_audience x;",
        "jwt_typ x;",
        "jwt_leeway 1s;",
        "jwt_require_exp on;",
        "jwt_max_lifetime 1h;",
        "secure_token off;",
        "secure_token_secret 0123456789abcdef;",
        "secure_token_algorithm md5;",
        "secure_token_value $uri;",
        "secure_token_args a b;",
    ] {
        let name = directive.split(' ').next().unwrap_or_default();
        let checked = module_tests::nginx_t(format!("location / {{ {directive} {directive} }}"))?;
        checked.refused_with(&[name, "duplicate", "nginx.conf:"])?;
        let keys = format!("jwt_kids {{ k1 {SECRET}; }} secure_token_secret mysecretkey;");
        Nginx::builder()
            .http(keys)
            .server(format!("{directive} location / {{ {directive} }}"))
            .check()?
            .accepted()?;
    }
    Ok(())
}

#[test]
fn a_kid_in_two_sources_of_one_level_is_a_duplicate() -> Result<()> {
    for other in [format!("jwt_kids {{ k1 {SECRET}; }}"), "jwt_kids_file kids.json;".to_owned()] {
        let checked = Nginx::builder()
            .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {other} }}"))
            .file("kids.json", json!({ "k1": SECRET }).to_string())
            .check()?;
        checked.refused_with(&["k1", "duplicate", "nginx.conf:"])?;
    }
    Ok(())
}

#[test]
fn directives_are_refused_where_they_do_not_belong() -> Result<()> {
    for directive in [
        format!("jwt_kids {{ k1 {SECRET}; }}"),
        "jwt on;".to_owned(),
        format!("secure_token_secret {SECRET};"),
    ] {
        let checked = Nginx::builder().main(directive.as_str()).check()?;
        checked.refused_with(&["is not allowed here", "nginx.conf:"])?;
    }
    let checked = module_tests::nginx_t(format!("location / {{ k1 {SECRET}; }}"))?;
    checked.refused_with(&["unknown directive \"k1\""])
}

#[test]
fn every_directive_is_accepted_in_every_context_of_the_contract() -> Result<()> {
    let directives = format!(
        "jwt on; jwt_kids {{ k1 {SECRET} encoding=base64url alg=HS512 expires=2099-01-31T00:00:00Z; }}
        jwt_kids_file kids.json; jwks_file keys.json; jwks_file key.pem kid=pem;
        jwt_algorithms HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA;
        jwt_token bearer header:X-Token cookie:tok arg:tok $http_x_other basic header:X-Own prefix=JWT; jwt_next on;
        jwt_uri_signing on uri=https://$host$request_uri;
        jwt_challenge scope=a resource_metadata=https://$host/; jwt_realm \"a $host\";
        jwt_issuer a b; jwt_audience a b; jwt_typ at+jwt jwt; jwt_leeway 30s; jwt_require_exp on;
        jwt_max_lifetime 24h; secure_token on; secure_token_algorithm md5 hmac-sha256;
        secure_token_secret {SECRET} another-secret-another-secret-1;
        secure_token_value \"$uri$remote_addr\"; secure_token_args st e;"
    );
    let contexts = [
        ("http", directives.clone(), String::new()),
        ("server", String::new(), directives.clone()),
        ("location", String::new(), format!("location / {{ {directives} }}")),
        ("if", String::new(), format!("location / {{ if ($arg_a) {{ {directives} }} }}")),
        (
            "limit_except",
            String::new(),
            format!("location / {{ limit_except GET {{ {directives} }} }}"),
        ),
    ];
    for (name, http, server) in contexts {
        let checked = Nginx::builder()
            .http(http)
            .server(server)
            .file("kids.json", json!({ "file": SECRET }).to_string())
            .file("keys.json", RSA.jwks("rsa")?)
            .file("key.pem", P256.public)
            .check()?;
        assert!(checked.ok, "{name}: {}", checked.stderr);
    }
    Ok(())
}

#[test]
fn a_variable_where_there_are_none_is_warned_about() -> Result<()> {
    for directive in ["jwt_issuer https://$host/;", "jwt_audience api ${host};", "jwt_typ $arg_t;"]
    {
        let checked = nginx_t(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {directive} }}"))?;
        checked.warned_with(&["variables have no meaning here", "nginx.conf:"])?;
    }
    for directive in
        ["secure_token_args st $arg_e;", "secure_token_secret good-enough-secret $host;"]
    {
        let secret =
            if directive.contains("args") { "secure_token_secret good-enough-secret;" } else { "" };
        let checked = nginx_t(format!("location / {{ {secret} {directive} }}"))?;
        checked.warned_with(&["variables have no meaning here", "nginx.conf:"])?;
        assert!(!checked.stderr.contains("$host"), "{}", checked.stderr);
    }
    nginx_t("location / { secure_token_secret good$enough$secret; }")?.accepted()?;
    let checked = nginx_t(format!(
        "location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_issuer https://example.com/$ costs$5; }}"
    ))?;
    checked.accepted()
}

#[test]
fn what_can_never_be_found_or_has_no_effect_is_warned_about() -> Result<()> {
    for (directive, fragments) in [
        ("jwt_token \"header:X Token\";", &["never", "X Token"][..]),
        ("jwt_token cookie:a=b;", &["never", "no name has a \"=\""]),
        ("jwt_token bearer arg:a&b;", &["never", "arg:a&b"]),
        ("jwt_token header:$http_x;", &["variables have no meaning here", "header:$http_x"]),
        ("jwt_token arg:$arg_t;", &["variables have no meaning here", "arg:$arg_t"]),
    ] {
        let checked = nginx_t(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {directive} }}"))?;
        checked.warned_with(&[fragments, &["jwt_token", "nginx.conf:"]].concat())?;
    }
    let ours = "jwt_token header:X_Token cookie:__Host-a.b arg:a[b] bearer basic;";
    nginx_t(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {ours} }}"))?.accepted()?;
    let provider = format!("jwt_provider p {{ jwt_issuer a; jwt_kids {{ k1 {SECRET}; }} }}");
    let off = "location / { jwt off provider=p; }";
    let checked = Nginx::builder().http(provider).server(off).check()?;
    checked.warned_with(&["provider=", "no effect", "nginx.conf:"])
}

#[test]
fn a_block_of_rules_that_is_wrong() -> Result<()> {
    let keys = format!("jwt_kids {{ k1 {SECRET}; }}");
    let deep = |depth: usize| {
        let (open, close) = ("jwt_not { ".repeat(depth), "} ".repeat(depth));
        format!("{open} jwt_claim a exists; {close}")
    };
    nginx_t(format!("{keys} {}", deep(16)))?.accepted()?;
    for (block, fragments) in [
        ("jwt_any { }", ["jwt_any", "no rules"]),
        ("jwt_any { jwt_not { } }", ["jwt_not", "no rules"]),
        ("jwt_any { jwt_issuer x; }", ["jwt_issuer", "not allowed here"]),
        ("jwt_any { return 200; }", ["return", "not allowed here"]),
        ("jwt_any;", ["jwt_any", "{"]),
        ("jwt_any all { jwt_claim a exists; }", ["jwt_any", "all"]),
        ("jwt_any error=200 { jwt_claim a exists; }", ["jwt_any", "error=400"]),
        ("jwt_any { jwt_claim a exists error=401; }", ["error=401", "outermost block"]),
        ("jwt_any { jwt_not error=404 { jwt_claim a exists; } }", ["jwt_not", "outermost block"]),
        (&deep(17), ["jwt_not", "16 other blocks"]),
    ] {
        nginx_t(format!("{keys} {block}"))?.refused_with(&fragments)?;
    }
    nginx_t("location / { jwt_any { jwt_claim a exists; } }")?.refused_with(&["jwt_any", "open"])
}

#[test]
fn an_element_that_no_variable_can_be() -> Result<()> {
    for directive in ["jwt_claim_set", "jwt_claim_json", "jwt_header_set"] {
        let checked = Nginx::builder().http(format!("{directive} $v a[*].b;")).check()?;
        checked.refused_with(&[directive, "a[*].b", "jwt_claim_json"])?;
    }
    Ok(())
}

#[test]
fn keys_from_a_uri_that_cannot_be_requested_are_refused() -> Result<()> {
    for uri in ["/_j/../x", "/_j/%2e%2E/x", "/_j%00", "/.."] {
        nginx_t(format!("jwks_request {uri};"))?.refused_with(&[uri, "without \"..\" and NUL"])?;
    }
    Ok(())
}

/// The answer of `/` is hardly a key set.
#[test]
fn keys_from_a_uri_that_no_location_is_made_for_are_warned_about() -> Result<()> {
    let all = "location / { }";
    for (servers, uri) in [
        (format!("jwks_request /_jwks; {all}"), "/_jwks"),
        (format!("jwks_request /_jwks?a=1; {all} location /_jwks/ {{ jwt off; }}"), "/_jwks"),
        (format!("jwks_request /keys/ per=kid; {all} location = /keys/ {{ jwt off; }}"), "/keys/"),
        (format!("auth_jwt x; auth_jwt_key_request /_jwks; {all} location @_jwks {{ }}"), "/_jwks"),
        ("location /a { jwks_request /_jwks; } location = / { }".to_owned(), "/_jwks"),
    ] {
        let checked = nginx_t(servers)?;
        checked.warned_with(&[&format!("takes \"{uri}\" in server"), "nginx.conf:"])?;
        assert_eq!(checked.stderr.matches("[warn]").count(), 1, "{}", checked.stderr);
    }
    for servers in [
        format!("jwks_request /_jwks; {all} location = /_jwks {{ jwt off; }}"),
        format!("jwks_request /_jwks?a=1; {all} location /_ {{ jwt off; }}"),
        format!("jwks_request /_jwks; {all} location ~ ^/_jw {{ jwt off; }}"),
        format!("jwks_request /keys/ per=kid; {all} location /keys/ {{ jwt off; }}"),
        format!("jwks_request /%5Fjwks; {all}"),
        format!("jwks_request /$host; {all}"),
        "jwks_request /_jwks; return 301 https://localhost/;".to_owned(),
    ] {
        nginx_t(&servers)?.accepted().map_err(|error| error.context(servers))?;
    }
    let own = "server { listen unix:x.sock; server_name keys; location / { } }";
    let checked = Nginx::builder()
        .http(format!("jwt_provider p {{ jwt_issuer a; jwks_request /_jwks server=keys; }} {own}"))
        .server("location /a { jwt on provider=p; }")
        .check()?;
    checked.accepted()?;
    // Each server needs the location.
    let http = "jwks_request /_jwks; server { listen unix:y.sock; server_name b; location / { } }";
    let server = "location / { } location = /_jwks { jwt off; }";
    let checked = Nginx::builder().http(http).server(server).check()?;
    checked.warned_with(&["takes \"/_jwks\" in server \"b\"", "nginx.conf:"])
}

#[test]
fn a_word_that_does_not_mean_what_it_looks_like_is_warned_about() -> Result<()> {
    for (rule, fragment) in [
        ("jwt_claim $jwt_claim_sub = a;", "name holds no variables"),
        ("jwt_not { jwt_claim ${jwt_claim_sub} = a; }", "name holds no variables"),
        ("jwt_claim a = b error=401 c;", "only as the last word"),
        ("jwt_require $arg_x error=401 $arg_y;", "only as the last word"),
        ("jwt_issuer '~^a|b$';", "not tied to both ends"),
        ("jwt_issuer '~^a$|b$';", "not tied to both ends"),
    ] {
        let checked = nginx_t(format!("jwt_kids {{ k1 {SECRET}; }} {rule}"))?;
        checked.warned_with(&[fragment, "nginx.conf:"])?;
    }
    for rule in ["jwt_claim $.roles any a;", "jwt_issuer '~(^a$)';", "jwt_issuer '~\\Aa\\z';"] {
        nginx_t(format!("jwt_kids {{ k1 {SECRET}; }} {rule}"))?.accepted()?;
    }
    Ok(())
}

#[test]
fn a_value_that_looks_like_several_is_warned_about() -> Result<()> {
    for (rule, fragment) in [
        ("jwt_claim roles any admin,editor;", "with its comma"),
        ("jwt_not { jwt_claim roles all a,b; }", "with its comma"),
        ("jwt_claim scope any \"read write\";", "holds a space"),
    ] {
        let checked = nginx_t(format!("jwt_kids {{ k1 {SECRET}; }} {rule}"))?;
        checked.warned_with(&[fragment])?;
    }
    Ok(())
}
