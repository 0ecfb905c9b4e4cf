//! `$single_arg_NAME`: the value of an argument that occurs exactly once. A claim or a link can
//! safely be bound to it.

use anyhow::Result;
use module_tests::{Jwt, Nginx, SECRET, SERVE, link_md5, nginx_t, now};
use serde_json::json;

#[test]
fn it_is_empty_unless_the_argument_is_there_exactly_once_in_whatever_spelling() -> Result<()> {
    let nginx = Nginx::start(
        "location / { return 200 \"<$single_arg_tenant><${single_arg_TENANT}><$single_arg_a_b>\"; }",
    )?;
    for (query, tenant) in [
        ("tenant=mine", "mine"),
        ("x=1&tenant=mine&y=2", "mine"),
        ("tenant=my%20own+x", "my%20own+x"),
        ("TENANT=mine", ""),
        ("Tenant=mine", ""),
        ("?tenant=mine", ""),
        ("?tenant=other&tenant=mine", ""),
        ("tenant=mine#&tenant=other", ""),
        ("tenant=mine#", ""),
        ("tenant=my%23own", "my%23own"),
        ("tenant=", ""),
        ("tenant", ""),
        ("", ""),
        ("other=1", ""),
        ("tenant=mine&tenant=other", ""),
        ("tenant=mine&tenant=mine", ""),
        ("TENANT=mine&tenant=other", ""),
        ("tenant=mine&%74enant=other", ""),
        ("%74enant=other", ""),
        ("tenant=mine;tenant=other", ""),
        ("x=1;tenant=other", ""),
        ("tenant=mine&x=1;tenant=other", ""),
        ("tenant=mine&tenant[]=other", ""),
        ("tenant=mine&tenant", ""),
    ] {
        let shown = nginx.get(format!("/?{query}"))?.text().into_owned();
        assert_eq!(shown, format!("<{tenant}><{tenant}><>"), "{query}");
    }
    assert_eq!(nginx.get("/?a_b=1")?.text(), "<><><1>");
    nginx.finish()
}

#[test]
fn a_claim_or_a_link_that_is_bound_to_it_holds_for_no_second_reading() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location /claim {{ jwt_kids {{ k1 {SECRET}; }} jwt_claim tenant = $single_arg_tenant; {SERVE} }}
        location /link {{ secure_token_secret mysecretkey; {SERVE}
            secure_token_value \"$uri?quality=$single_arg_quality\"; }}"
    ))?;
    let token = Jwt::live_with(&json!({ "tenant": "mine" })).kid("k1").hs("HS256", SECRET)?;
    for (query, status) in [
        ("tenant=mine", 200),
        ("tenant=other", 403),
        ("tenant=mine&tenant=other", 403),
        ("tenant=other&tenant=mine", 403),
        ("TENANT=mine&tenant=other", 403),
        ("tenant=mine&%54enant=other", 403),
        ("tenant=mine;tenant=other", 403),
        ("TENANT=mine", 403),
        ("?tenant=other&tenant=mine", 403),
        ("tenant=mine#&tenant=other", 403),
        ("tenant=mine#", 403),
    ] {
        let response = nginx.bearer(format!("/claim?{query}"), &token)?;
        assert_eq!(response.status, status, "{query}");
    }
    let expires = now() + 300;
    let signature = link_md5("mysecretkey", "/link?quality=low", expires);
    for (query, status) in [
        ("quality=low", 200),
        ("quality=high", 403),
        ("quality=low&quality=high", 403),
        ("QUALITY=low&quality=high", 403),
    ] {
        let response = nginx.get(format!("/link?{query}&st={signature}&e={expires}"))?;
        assert_eq!(response.status, status, "{query}");
    }
    // The text after `#` is not part of `$args`, but nginx sends it to an upstream.
    let good = format!("quality=low&st={signature}&e={expires}");
    for query in [format!("{good}#&quality=high"), format!("{good}#"), format!("#{good}")] {
        assert_eq!(nginx.get(format!("/link?{query}"))?.status, 403, "{query}");
    }
    nginx.finish()
}

#[test]
fn nginx_t_points_to_it() -> Result<()> {
    let kids = format!("jwt_kids {{ k1 {SECRET}; }}");
    for (keys, directive, name) in [
        (&*kids, "jwt_claim tenant = $arg_tenant;", "tenant"),
        (&*kids, "jwt_claim tenant = x ${arg_tenant}y;", "tenant"),
        (&*kids, "jwt_claim a = $host-$arg_a_1;", "a_1"),
        (
            "secure_token_secret mysecretkey;",
            "secure_token_value \"$uri?quality=$arg_quality\";",
            "quality",
        ),
        ("", "secure_token_md5 \"$secure_token_expires$uri$arg_user secret\";", "user"),
    ] {
        let checked = nginx_t(format!("location / {{ {keys}\n{directive} }}"))?;
        let word = directive.split(' ').next().unwrap_or_default();
        checked.warned_with(&[
            &format!("\"{word}\""),
            &format!("$arg_{name}"),
            &format!("$single_arg_{name}"),
            "nginx.conf:",
        ])?;
        let mended = directive.replace("arg_", "single_arg_");
        nginx_t(format!("location / {{ {keys}\n{mended} }}"))?.accepted()?;
    }
    // `$args` and `$is_args` are other variables, so nginx must not warn about them.
    let others = format!("{kids} jwt_claim a = $args $is_args;");
    nginx_t(format!("location / {{ {others} }}"))?.accepted()
}
