//! `nginx -t` finds rules for a token or a link where no keys or secrets are in force, because this
//! mistake would leave the location open.

use anyhow::Result;
use module_tests::{Checked, Jwt, Nginx, P256, RSA, SECRET, SERVE, mistake, nginx_t, refuse_all};

/// Keys that verify what is signed with [`SECRET`].
const KIDS: &str = "jwt_kids { k1 \
    correct-horse-battery-staple-correct-horse-battery-staple-0123456789; }";

/// Every directive that sets a rule for a token.
const RULES: [&str; 11] = [
    "jwt_issuer me;",
    "jwt_audience us;",
    "jwt_typ at+jwt;",
    "jwt_algorithms RS256;",
    "jwt_max_lifetime 1h;",
    "jwt_require_exp on;",
    "jwt_claim role = admin;",
    "jwt_claim role = $host;",
    "jwt_require $jwt_claim_role;",
    "jwt_revoked jti list.txt;",
    "jwt_revoked jti list.txt check=1s;",
];

/// Every directive that says how links are signed, except those that contain a secret.
const LINK_SETTINGS: [&str; 3] = [
    "secure_token_value $uri$remote_addr;",
    "secure_token_args md5 expires;",
    "secure_token_algorithm hmac-sha256;",
];

/// `nginx -t` of a configuration, with the list that the directives above name.
fn check(http: &str, server: &str) -> Result<Checked> {
    Nginx::builder().http(http).server(server).file("list.txt", "").check()
}

#[test]
fn a_rule_in_a_location_whose_keys_were_forgotten() -> Result<()> {
    let keys =
        ["jwks_file", "jwt_kids", "jwks_request", "provider=", "\"jwt off\"", "location \"/\""];
    let link =
        ["secure_token_secret", "secure_token_md5", "\"secure_token off\"", "location \"/\""];
    let rules = RULES.map(|rule| mistake(rule, rule, &keys).file("list.txt", ""));
    let settings = LINK_SETTINGS.map(|setting| mistake(setting, setting, &link));
    refuse_all(&rules)?;
    refuse_all(&settings)
}

#[test]
fn off_says_that_it_is_meant() -> Result<()> {
    for rule in RULES {
        for switch in ["jwt off;", "auth_jwt off;"] {
            check("", &format!("location / {{ {switch} {rule} }}"))?.accepted()?;
            check("", &format!("{rule} location / {{ {switch} }}"))?.accepted()?;
        }
        // Each switch only affects its own rules: `secure_token off` does not switch off `jwt`.
        let checked = check("", &format!("location / {{ secure_token off; {rule} }}"))?;
        checked.refused_with(&["\"jwt off\""])?;
    }
    for setting in LINK_SETTINGS {
        check("", &format!("location / {{ secure_token off; {setting} }}"))?.accepted()?;
        let checked = check("", &format!("location / {{ jwt off; {setting} }}"))?;
        checked.refused_with(&["\"secure_token off\""])?;
    }
    Ok(())
}

#[test]
fn keys_on_any_level_above_or_a_provider_will_do() -> Result<()> {
    for rule in RULES {
        check(&format!("{KIDS} {rule}"), "location / { location /a { } }")?.accepted()?;
        check(KIDS, &format!("location /a {{ {rule} }} location /b {{ }}"))?.accepted()?;
        check(rule, KIDS)?.accepted()?;
        let provider = format!("jwt_provider p {{ jwt_issuer me; {KIDS} }}");
        check(&provider, &format!("location / {{ jwt on provider=p; {rule} }}"))?.accepted()?;
        // A switch with a variable counts as on.
        check("", &format!("location / {{ {KIDS} jwt $arg_x; {rule} }}"))?.accepted()?;
    }
    for setting in LINK_SETTINGS {
        check("secure_token_secret mysecretkey;", &format!("location / {{ {setting} }}"))?
            .accepted()?;
        check(setting, "location / { secure_token_secret mysecretkey; }")?.accepted()?;
    }
    Ok(())
}

#[test]
fn what_asks_nothing_of_a_token_needs_no_keys() -> Result<()> {
    let harmless = "jwt_leeway 30s; jwt_realm x; jwt_token cookie:a; auth_jwt_key_cache 5m;
        auth_jwt_type signed; jwt_require_exp off;";
    check(&format!("jwt_cache 1m; {harmless}"), "location / { }")?.accepted()?;
    check("jwt_require_exp on;", &format!("jwt_require_exp off; location / {{ {KIDS} }}"))?
        .accepted()
}

/// Rules may stand above the keys, as long as every location has keys or `off`.
#[test]
fn a_location_that_was_left_out_is_named() -> Result<()> {
    let keys = format!("location /a {{ {KIDS} }} location / {{ {KIDS} }}");
    for (http, server) in [("jwt_issuer me;", ""), ("", "jwt_issuer me;")] {
        check(http, &format!("{server}\n{keys}"))?.accepted()?;
        let left_out = check(http, &format!("{server}\n{keys} location /static {{ }}"))?;
        left_out.refused_with(&[
            "\"jwt_issuer\" has no keys",
            "location \"/static\"",
            "server \"localhost\"",
            "nginx.conf:",
        ])?;
        let open = check(http, &format!("{server}\n{keys} location /static {{ jwt off; }}"))?;
        open.accepted()?;
    }
    // The keys of the server also count for a rule in a location.
    let checked = nginx_t(format!("\n{KIDS}\nlocation /a {{ jwt_claim a exists; }}"))?;
    checked.accepted()?;
    Ok(())
}

/// If no location matches, the server level itself handles the request.
#[test]
fn a_server_is_a_level_of_its_own_unless_a_location_takes_everything() -> Result<()> {
    let inner = format!("{{ {KIDS} }}");
    for all in ["/", "^~ /"] {
        check("", &format!("jwt_issuer me; location {all} {inner}"))?.accepted()?;
    }
    for some in ["/a", "= /", "~ /", "~* ^/", "@named"] {
        let checked = check("", &format!("jwt_issuer me; location {some} {inner}"))?;
        checked.refused_with(&["\"jwt_issuer\" has no keys", "where no location matches"])?;
        let closed = format!("jwt_issuer me; location {some} {inner} location / {{ jwt off; }}");
        check("", &closed)?.accepted()?;
    }
    check("jwt_issuer me;", "")?.refused_with(&["where no location matches"])?;
    check("secure_token_args a b;", "")?.refused_with(&["where no location matches"])?;
    // An `if` in a server only sets variables or answers, so it does not count as a level.
    let conditions = format!("jwt_issuer me; if ($arg_a) {{ set $x 1; }} location / {inner}");
    check("", &conditions)?.accepted()
}

#[test]
fn every_kind_of_level_counts() -> Result<()> {
    for (level, shown) in [
        ("if ($arg_a) { jwt_issuer me; }", "location \"/\""),
        ("limit_except GET { jwt_issuer me; }", "location \"/\""),
        ("location /x/ { jwt_issuer me; }", "location \"/x/\""),
        ("location = /x { internal; jwt_issuer me; }", "location \"/x\""),
        ("location ~ ^/x { jwt_issuer me; }", "location \"^/x\""),
    ] {
        let checked = check("", &format!("location / {{ {level} }}"))?;
        checked.refused_with(&["\"jwt_issuer\" has no keys", shown])?;
        check(KIDS, &format!("location / {{ {level} }}"))?.accepted()?;
    }
    let checked = check("", "location @x { jwt_issuer me; }")?;
    checked.refused_with(&["\"jwt_issuer\" has no keys", "location \"@x\""])
}

/// With the names of NGINX Plus, such locations have always been open, so they only get a warning.
#[test]
fn nginx_plus_s_own_names_are_warned_about() -> Result<()> {
    let files = |server: &str| {
        let builder = Nginx::builder().server(server).file("keys.json", P256.jwks("k")?);
        builder.check()
    };
    let below = "auth_jwt x; auth_jwt_key_file keys.json;";
    let both = format!(
        "\nauth_jwt_require $arg_a;\nlocation / {{ {below} }} location /b {{ }} location /c {{ }}"
    );
    let checked = files(&both)?;
    checked.warned_with(&["\"auth_jwt_require\"", "location \"/b\"", "open", "nginx.conf:"])?;
    // There is one warning for each line, not one for each location.
    let warnings = checked.stderr.matches("[warn]").count();
    assert_eq!(warnings, 1, "{}", checked.stderr);
    files(&format!("auth_jwt_leeway 30s; location / {{ {below} }} location /b {{ }}"))?
        .accepted()?;
    files(&format!("auth_jwt_require $arg_a; location / {{ {below} }}"))?.accepted()?;
    files("location / { auth_jwt off; auth_jwt_require $arg_a; }")?.accepted()?;
    // Keys have no effect if nothing switches the check on.
    let no_switch = files("location / { auth_jwt_key_file keys.json; jwt_claim a exists; }")?;
    no_switch.refused_with(&["\"jwt_claim\"", "auth_jwt", "location \"/\""])?;
    let no_switch = files("location / { auth_jwt_key_file keys.json; auth_jwt_require $arg_a; }")?;
    no_switch.warned_with(&["\"auth_jwt_require\"", "auth_jwt", "location \"/\""])
}

/// Keys do not end a `jwt off` of a level above, which may surprise the operator who adds them.
#[test]
fn keys_below_off_are_warned_about() -> Result<()> {
    let off = format!("jwt off; location / {{ {KIDS} }}");
    nginx_t(off)?.warned_with(&[
        "\"jwt\"",
        "off",
        "location \"/\"",
        "\"jwt on\"",
        "nginx.conf:",
    ])?;
    nginx_t(format!("jwt off; location / {{ jwt on; {KIDS} }}"))?.accepted()?;
    nginx_t(format!("location / {{ jwt off; {KIDS} }}"))?.accepted()
}

/// The keys of `auth_jwt_key_file` do not switch a check on, but neither do they switch one off.
#[test]
fn other_keys_below_a_check_leave_it_on() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "{KIDS}
            location /file {{ auth_jwt_key_file keys.json; {SERVE} }}
            location /if {{ if ($arg_t) {{ auth_jwt_key_file keys.json; }} {SERVE} }}
            location /limit {{ limit_except POST {{ auth_jwt_key_file keys.json; }} {SERVE} }}
            location /off {{ jwt off; auth_jwt_key_file keys.json; {SERVE} }}"
        ))
        .file("keys.json", RSA.jwks("rsa")?)
        .start()?;
    let good = Jwt::live().kid("rsa").sign("RS256", &RSA)?;
    for target in ["/file", "/if?t=1", "/if", "/limit"] {
        assert_eq!(nginx.get(target)?.status, 401, "{target}");
    }
    assert_eq!(nginx.bearer("/file", &good)?.status, 200);
    assert_eq!(nginx.get("/off")?.status, 200);
    nginx.finish()?;
    // Where nothing is on above, they only lie ready.
    let nginx = Nginx::builder()
        .server(format!("location / {{ auth_jwt_key_file keys.json; {SERVE} }}"))
        .file("keys.json", RSA.jwks("rsa")?)
        .start()?;
    assert_eq!(nginx.get("/")?.status, 200);
    nginx.finish()
}

/// Rules, secrets and link settings below `off` have no effect, so they get a warning too.
#[test]
fn rules_and_secrets_below_off_are_warned_about() -> Result<()> {
    const SECRETS: [&str; 2] =
        ["secure_token_secret mysecretkey;", "secure_token_md5 \"a$uri$secure_token_expires\";"];
    let plus = ["auth_jwt_require $arg_a;"];
    let jwt = ["jwt off;", "auth_jwt off;"].map(|off| (off, "jwt on"));
    let link = [("secure_token off;", "secure_token on")];
    let rules = RULES.into_iter().chain(plus).flat_map(|rule| jwt.map(|(off, on)| (rule, off, on)));
    let settings = SECRETS.into_iter().chain(LINK_SETTINGS);
    let settings = settings.flat_map(|one| link.map(|(off, on)| (one, off, on)));
    for (named, off, on) in rules.chain(settings) {
        let name = format!("\"{}\"", named.split(' ').next().unwrap_or_default());
        let off_name = format!("\"{}\" is off", off.trim_end_matches(" off;"));
        let told = [&name, &off_name, "location \"/a\"", &format!("\"{on}\""), "nginx.conf:"];
        check("", &format!("{off} location /a {{ {named} }}"))?.warned_with(&told)?;
        check("", &format!("location / {{ {off} location /a {{ {named} }} }}"))?
            .warned_with(&told)?;
        // On a level between, the directive has no effect either, and one warning is enough.
        let between = format!("{named} location /a {{ }} location / {{ }}");
        let checked = check(off, &between)?;
        checked.warned_with(&[&name, &off_name, "nginx.conf:"])?;
        assert_eq!(checked.stderr.matches("[warn]").count(), 1, "{}", checked.stderr);
        // There is no warning if the directive is on the level of the `off` or above it, or if
        // `off` is repeated on its own level or below: the operator means it then.
        check("", &format!("{off} {named} location /a {{ }}"))?.accepted()?;
        check(named, &format!("{off} location /a {{ }}"))?.accepted()?;
        check(off, &format!("location / {{ {off} {named} }}"))?.accepted()?;
        check(off, &format!("{named} location / {{ {off} }}"))?.accepted()?;
    }
    let all = format!("jwt off; location / {{ {} {KIDS} }}", RULES.join(" "));
    let all = all.replacen(RULES[7], "", 1).replacen(RULES[10], "", 1);
    let checked = check("", &all)?;
    assert_eq!(checked.stderr.matches("[warn]").count(), 1, "{}", checked.stderr);
    // A directive that sets no rule gets no warning, nor does a rule that a lower level ends.
    check("jwt off;", "location / { jwt_leeway 5s; jwt_realm x; jwt_require_exp off; }")?
        .accepted()?;
    check("jwt off;", "jwt_require_exp on; location / { jwt_require_exp off; }")?.accepted()?;
    let files = Nginx::builder().file("keys.json", P256.jwks("k")?);
    files.server("jwt off; location / { auth_jwt_key_file keys.json; }").check()?.accepted()?;
    // A rule is in force again where a lower level switches the check on.
    let on = format!("jwt_issuer me; location / {{ jwt on; {KIDS} }}");
    check("jwt off;", &on)?.accepted()?;
    let variable = format!("jwt_issuer me; location / {{ jwt $arg_x; {KIDS} }}");
    check("jwt off;", &variable)?.accepted()
}

/// Messages name a server without a name by its listen address, and quote the switch as written.
#[test]
fn messages_name_what_the_operator_wrote() -> Result<()> {
    let server = |listen: &str, name: &str| {
        let block = format!("server {{ {listen} {name} location /a {{ jwt_issuer me; }} }}");
        check(&block, "")
    };
    for name in ["", "server_name \"\";"] {
        server("listen 127.0.0.1:8765;", name)?
            .refused_with(&["location \"/a\" of the server without a name at 127.0.0.1:8765"])?;
        server("listen unix:x.sock;", name)?.refused_with(&["without a name at unix:"])?;
        server("", name)?.refused_with(&["without a name at 0.0.0.0:8"])?;
    }
    server("listen 127.0.0.1:8765;", "server_name x y;")?.refused_with(&["of server \"x\""])?;
    for switch in ["jwt on", "jwt $arg_x", "auth_jwt a"] {
        let name = switch.split(' ').next().unwrap_or_default();
        let message = format!("\"{name}\" has no keys: ");
        check("", &format!("location / {{ {switch}; }}"))?.refused_with(&[
            &message,
            "provider=",
            "nginx.conf:",
        ])?;
    }
    check("", "location / { secure_token on; }")?.refused_with(&["\"secure_token\" has no secret"])
}

#[test]
fn a_server_that_only_redirects_says_off() -> Result<()> {
    let nginx = Nginx::builder()
        .http("jwt_issuer me; server { listen unix:r.sock; jwt off; return 301 https://x$uri; }")
        .server(format!("location / {{ {KIDS} {SERVE} }}"))
        .start()?;
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    let token = Jwt::live_with(&serde_json::json!({ "iss": "me" })).kid("k1");
    assert_eq!(nginx.bearer("/", &token.hs("HS256", SECRET)?)?.status, 200);
    nginx.finish()
}
