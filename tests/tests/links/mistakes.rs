//! Mistakes in the directives of links.

use anyhow::Result;
use module_tests::{mistake, nginx_t, refuse_all};

#[test]
fn each_mistake_is_found_with_its_line() -> Result<()> {
    const TEXT: &str = "\"$uri$secure_token_expires\"";
    refuse_all(&[
        mistake("an unknown format", "secure_token_format kaltura;", &["kaltura", "plain"]),
        mistake("no option", "secure_token_format plain salt;", &["salt"]),
        mistake(
            "another's option",
            "secure_token_format plain salt=x; secure_token_secret x;",
            &["salt"],
        ),
        mistake("a format alone", "secure_token_format plain;", &["secure_token_secret"]),
        mistake("a source alone", "secure_token_source arg:x;", &["secure_token_secret"]),
        mistake("an unknown source", "secure_token_source bearer;", &["bearer", "arg:NAME"]),
        mistake(
            "no source for two values",
            "secure_token_source arg:x; secure_token_secret x;",
            &["secure_token_args"],
        ),
        mistake(
            "an unknown encoding",
            "secure_token_secret x encoding=utf8;",
            &["encoding=utf8", "hex"],
        ),
        mistake("not hex", "secure_token_secret x1 encoding=hex;", &["number 1", "hex"]),
        mistake("nothing but options", "secure_token_secret encoding=hex;", &["no secret"]),
        mistake("an empty name", "secure_token_secret x kid=;", &["kid="]),
        mistake(
            "two encodings",
            "secure_token_secret x encoding=hex encoding=hex;",
            &["duplicate"],
        ),
        mistake(
            "an unknown hash",
            "secure_token_hash md4 \"$uri\";",
            &["unknown algorithm", "hmac-sha512"],
        ),
        mistake("no time", "secure_token_hash md5 \"$uri\";", &["$secure_token_expires"]),
        mistake("no lifetime", "secure_token_hash md5 \"$uri$secure_token_time\";", &["valid="]),
        mistake(
            "an expiry with valid=",
            format!("secure_token_hash md5 {TEXT} valid=1m;"),
            &["$secure_token_time"],
        ),
        mistake(
            "no time with valid=",
            "secure_token_hash md5 \"$uri\" valid=1m;",
            &["$secure_token_time"],
        ),
        mistake(
            "an unknown time",
            format!("secure_token_hash md5 {TEXT} time=iso;"),
            &["time=iso", "hex"],
        ),
        mistake("no text", "secure_token_hash md5;", &[]),
        mistake(
            "no key",
            format!("secure_token_hash hmac-sha256 {TEXT};"),
            &["secure_token_secret"],
        ),
        mistake(
            "a key twice",
            "secure_token_hash hmac-md5 \"$secure_token_expires$secure_token_key\";",
            &["$secure_token_key"],
        ),
        mistake(
            "a hash and a format",
            format!("secure_token_hash md5 {TEXT}; secure_token_format plain;"),
            &["second"],
        ),
    ])
}

#[test]
fn a_secret_that_nothing_uses_is_a_mistake() -> Result<()> {
    let both =
        "location / { secure_token_secret x; secure_token_md5 \"$secure_token_expires x\"; }";
    nginx_t(both)?.refused_with(&["secure_token_secret", "secure_token_md5"])?;
    let two = "location / { secure_token_secret x kid=a; secure_token_secret y kid=b; }";
    nginx_t(two)?.accepted()?;
    nginx_t("location / { secure_token_secret x; secure_token_secret y kid=b; }")?
        .refused_with(&["duplicate"])?;
    Ok(())
}

#[test]
fn mistakes_in_a_block_of_links() -> Result<()> {
    for (lines, fragments) in [
        ("", &["no path"][..]),
        ("path /x;", &["secret"]),
        ("secret x; path /x; lifetime 0;", &["at least a second"]),
        ("secret x; path /x; lifetime soon;", &["soon"]),
        ("secret x; path /x; path /y;", &["second \"path\""]),
        ("secret x; path /x; acl /y;", &["acl", "covers"]),
        ("secret x; path /x; format other;", &["other"]),
        ("secret x encoding=hex; path /x;", &["hex"]),
        ("secret x; path /x; key none.pem;", &["none.pem"]),
        ("secret x; path /x y;", &["path"]),
    ] {
        let checked = module_tests::Nginx::builder()
            .http(format!("secure_token_mint $link {{ {lines} }}"))
            .check()?;
        checked.refused_with(&[fragments, &["secure_token_mint"]].concat())?;
    }
    Ok(())
}

#[test]
fn a_hash_that_uses_no_secret_is_refused_where_there_is_one() -> Result<()> {
    let text = "\"$uri$secure_token_expires\"";
    for above in ["secure_token_secret x;", "secure_token_keys rsa.pem;"] {
        let server = format!("{above} location / {{ secure_token_hash sha256 {text}; }}");
        module_tests::Nginx::builder()
            .file("rsa.pem", module_tests::RSA.public)
            .server(server)
            .check()?
            .refused_with(&["secure_token_hash", "uses no secret", "$secure_token_key"])?;
    }
    Ok(())
}
