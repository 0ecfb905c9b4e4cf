//! The directive and its mistakes.

use anyhow::Result;
use module_tests::{mistake, nginx_t, refuse_all};

#[test]
fn mistakes_are_refused() -> Result<()> {
    refuse_all(&[
        mistake("no word", "secure_token_forward;", &["invalid number of arguments"]),
        mistake("two words", "secure_token_forward query off;", &["invalid number of arguments"]),
        mistake(
            "another word",
            "secure_token_forward cookie;",
            &["invalid value \"cookie\": must be off or query"],
        ),
        mistake(
            "a variable",
            "secure_token_forward $a;",
            &["invalid value \"$a\": must be off or query"],
        ),
    ])?;
    nginx_t("secure_token_forward query; secure_token_forward off;")?
        .refused_with(&["\"secure_token_forward\" directive is duplicate"])?;
    nginx_t("location / { limit_except GET { secure_token_forward query; } }")?
        .refused_with(&["\"secure_token_forward\" directive is not allowed here"])
}

#[test]
fn a_location_without_a_check_is_told() -> Result<()> {
    let warning = &[
        "\"secure_token_forward\" has no effect in location \"/a\" of server \"localhost\", where no token \
         and no link is checked: add secure_token_secret, or jwt with keys, in",
        "nginx.conf:",
    ];
    let checked = "secure_token_secret s;";
    for warned in [
        "location /a { secure_token_forward query; }".to_owned(),
        format!("{checked} location /a {{ secure_token off; secure_token_forward query; }}"),
    ] {
        nginx_t(warned)?.warned_with(warning)?;
    }
    for accepted in [
        format!("location /a {{ {checked} secure_token_forward query; }}"),
        format!("{checked} location /a {{ secure_token_forward query; }}"),
        "location /a { jwt_kids { k 0123456789abcdef0123456789abcdef; } secure_token_forward query; }"
            .to_owned(),
        // Set for all, of which some have a check.
        format!("secure_token_forward query; location /a {{ }} location /b {{ {checked} }}"),
        "location /a { secure_token_forward off; }".to_owned(),
    ] {
        nginx_t(accepted)?.accepted()?;
    }
    Ok(())
}
