//! What `nginx -t` says of the directives that fetch lists.

use anyhow::Result;
use module_tests::{Nginx, SECRET, SERVE, mistake, refuse_all};

#[test]
fn a_mistake_is_found_by_nginx_t() -> Result<()> {
    let list = "jwt_revoked_request jti /_list";
    let status = "jwt_status_list https://login.example/lists/ /_lists/";
    refuse_all(&[
        mistake("no URI", "jwt_revoked_request jti;", &["number of arguments"]),
        mistake("no claim", "jwt_revoked_request \"\" /_list;", &["must name a claim"]),
        mistake("no slash", "jwt_revoked_request jti list;", &["beginning with a slash"]),
        mistake("a URL", "jwt_revoked_request jti http://x/;", &["beginning with a slash"]),
        mistake("dots", "jwt_revoked_request jti /a/../b;", &["without \"..\""]),
        mistake("a variable", "jwt_revoked_request jti /$host;", &["no variable is taken"]),
        mistake("no time", format!("{list} valid=soon;"), &["valid=soon", "must be a time"]),
        mistake("nothing", format!("{list} valid=0;"), &["more than nothing"]),
        mistake("no timeout", format!("{list} timeout=0;"), &["more than nothing"]),
        mistake("twice", format!("{list} stale=1h stale=2h;"), &["stale=2h", "duplicate"]),
        mistake("missing", format!("{list} missing=maybe;"), &["missing=refuse or missing=pass"]),
        mistake("unknown", format!("{list} check=5s;"), &["check=5s"]),
        mistake("no line", format!("{list} first=;"), &["first=", "must be a line"]),
        mistake("white space", format!("{list} \"first= x\";"), &["must be a line"]),
        mistake("a status list", format!("{status} first=x;"), &["first=x"]),
        mistake("required", format!("{list} required;"), &["required"]),
        mistake("no prefix", "jwt_status_list https://login.example/;", &["number of arguments"]),
        mistake("half a host", "jwt_status_list https://login.example /x;", &["all of its host"]),
        mistake("a variable", "jwt_status_list https://$host/ /x;", &["without variables"]),
        mistake("no host", "jwt_status_list https:///x/ /x;", &["all of its host"]),
        mistake("capitals", "jwt_status_list https://A.example/ /x;", &["lower case"]),
        mistake("no URL", "jwt_status_list login.example/ /x;", &["beginning of a URL"]),
        mistake("no slash", "jwt_status_list https://a/ x;", &["beginning with a slash"]),
        mistake("a word", format!("{status} perhaps;"), &["perhaps"]),
        mistake("required twice", format!("{status} required required;"), &["duplicate"]),
    ])
}

#[test]
fn a_list_without_keys_is_an_error() -> Result<()> {
    for directive in ["jwt_revoked_request jti /_list;", "jwt_status_list https://a/ /_lists/;"] {
        let conf = Nginx::builder().server(format!(
            "location = /_list {{ {SERVE} }} location / {{ {directive} {SERVE} }}"
        ));
        conf.check()?.refused_with(&["has no keys"])?;
    }
    Ok(())
}

#[test]
fn a_server_that_is_named_must_be_there() -> Result<()> {
    let conf = Nginx::builder().server(format!(
        "location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked_request jti /_list server=gone; {SERVE} }}"
    ));
    conf.check()?.refused_with(&["server=gone", "names no server_name", "nginx.conf:"])
}

#[test]
fn the_memory_for_lists_has_a_size() -> Result<()> {
    for (directive, error) in [
        ("jwt_revoked_zone 1k;", "must be at least 64k"),
        ("jwt_revoked_zone big;", "big"),
        ("jwt_revoked_zone 1m; jwt_revoked_zone 2m;", "is duplicate"),
    ] {
        Nginx::builder().http(directive).check()?.refused_with(&["jwt_revoked_zone", error])?;
    }
    Nginx::builder().http("jwt_revoked_zone 64k;").check()?.accepted()
}

#[test]
fn what_can_hardly_be_meant_is_warned_of() -> Result<()> {
    for (directive, warning) in [
        ("jwt_revoked_request $jwt_claim_jti /_list;", "no variable is taken here"),
        ("jwt_revoked_request jti,sub /_list;", "no list of names"),
        ("jwt_revoked $jwt_claim_jti list.txt;", "no variable is taken here"),
        ("jwt_revoked jti list.txt;", "line 2: \"#\" in it is a part of the value"),
        ("jwt_status_list https://a/lists /_list;", "does not end with a slash"),
    ] {
        let conf = Nginx::builder()
            .server(format!(
                "location /_list {{ internal; }}
                location / {{ jwt_kids {{ k1 {SECRET}; }}\n{directive}\n{SERVE} }}"
            ))
            .file("list.txt", "a\nb # stolen\n");
        conf.check()?.warned_with(&[warning, "nginx.conf:"])?;
    }
    let with_query = "location = /_list { internal; }
        jwt_status_list https://a/?id= /_list?id=; jwks_file keys.json; jwt off;";
    let conf = Nginx::builder().server(with_query).file("keys.json", module_tests::P256.jwks("e")?);
    conf.check()?.accepted()
}

#[test]
fn a_list_that_no_location_is_made_for_is_warned_of() -> Result<()> {
    for (directive, warning) in [
        ("jwt_revoked_request jti /_list;", "takes \"/_list\""),
        ("jwt_status_list https://a/ /_lists/;", "takes \"/_lists/\""),
    ] {
        let conf = |more: &str| {
            Nginx::builder().server(format!(
                "{more} location / {{ jwt_kids {{ k1 {SECRET}; }} {directive} {SERVE} }}"
            ))
        };
        conf("").check()?.warned_with(&[warning, "to the list"])?;
        let locations = "location = /_list { internal; } location /_lists/ { internal; }";
        conf(locations).check()?.accepted()?;
    }
    Ok(())
}
