//! `secure_token_mint`: links that nginx makes.

use anyhow::{Context as _, Result};
use module_tests::{Nginx, SERVE};

/// The target of the `Location` header.
fn minted(nginx: &Nginx, target: &str) -> Result<String> {
    let answer = nginx.get(target)?;
    assert_eq!(answer.status, 302, "{}", nginx.error_log());
    let location = answer.header("Location").context("no Location")?;
    Ok(location.strip_prefix("http://localhost").unwrap_or(location).to_owned())
}

fn start(lines: &str, check: &str) -> Result<Nginx> {
    Nginx::builder()
        .http(format!("secure_token_mint $link {{ {lines} }}"))
        .server(format!(
            "location /make/ {{ return 302 $link; }}
            location /video/ {{ secure_token_secret mysecret; {check} {SERVE} }}"
        ))
        .start()
}

#[test]
fn what_is_made_passes() -> Result<()> {
    let nginx = start("secret mysecret; path /video/$single_arg_name; lifetime 10m;", "")?;
    for name in ["a.mp4", "a%20b", "%C3%A9"] {
        let link = minted(&nginx, &format!("/make/?name={name}"))?;
        // An argument is a text as it is there: its "%" is encoded.
        assert_eq!(link.contains("%25"), name.contains('%'), "{link}");
        assert_eq!(nginx.get(&link)?.link_verdict(), (200, "ok"), "{link}");
    }
    nginx.finish()
}

#[test]
fn the_path_is_encoded_once() -> Result<()> {
    let nginx = start("secret mysecret; path /video$uri; args a=1;", "")?;
    let link = minted(&nginx, "/make/a%20b%3f%2e%C3%A9")?;
    assert!(link.starts_with("/video/make/a%20b%3F.%C3%A9?a=1&st="), "{link}");
    assert_eq!(nginx.get(&link)?.link_verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_link_lives_as_long_as_it_says_and_both_reads_see_the_same() -> Result<()> {
    let nginx = start("secret mysecret; path /video/x; lifetime 10m;", "")?;
    let before = module_tests::now();
    let link = minted(&nginx, "/make/")?;
    let expires: i64 = link.rsplit_once("&e=").context("no expiry")?.1.parse()?;
    assert!((before + 600..=module_tests::now() + 600).contains(&expires), "{link}");
    assert_eq!(nginx.get(&link)?.link_verdict(), (200, "ok"));
    assert_eq!(nginx.get(link.replace("/x", "/y"))?.link_verdict(), (403, "bad_signature"));
    nginx.finish()
}

#[test]
fn what_cannot_be_made_is_empty_and_said() -> Result<()> {
    let nginx = start("secret mysecret; path $http_x_path; id $http_x_id;", "")?;
    let ask =
        |header: &str, value: &str| nginx.request().target("/make/").header(header, value).send();
    ask("X-Path", "video")?;
    nginx.wait_log(|log| {
        log.contains("secure_token_mint: $link is empty: its path does not begin with \"/\"")
    })?;
    // A browser would be sent to another host.
    ask("X-Path", "//example.org/x")?;
    nginx.wait_log(|log| log.contains("$link is empty: its path begins with \"//\""))?;
    nginx.request().target("/make/").header("X-Path", "/video/x").header("X-Id", "alice").send()?;
    nginx.wait_log(|log| log.contains("$link is empty: links of this format hold no id"))?;
    nginx.finish()
}

#[test]
fn a_link_that_depends_on_itself_is_empty() -> Result<()> {
    let nginx = start("secret mysecret; path /video/$link;", "")?;
    nginx.get("/make/")?;
    nginx.wait_log(|log| {
        log.contains("secure_token_mint: $link is empty: one of its values depends on it")
    })?;
    nginx.finish()
}

#[test]
fn what_a_client_chooses_does_not_widen_a_link() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "secure_token_mint $link {
                format akamai; secret 1234; path /f/$single_arg_film; covers /f/$single_arg_film*!/g/*;
            }
            secure_token_mint $other { secret k; path /f; args a=$film; }",
        )
        .server(
            "location /make/ { return 302 $link; }
            location ~ ^/args/(?<film>.*)$ { return 302 $other; }",
        )
        .start()?;
    let location = |target: &str| -> Result<String> {
        Ok(nginx.get(target)?.header("Location").unwrap_or_default().to_owned())
    };
    assert!(location("/make/?film=one")?.contains("acl=/f/one*!/g/*~hmac="));
    for film in ["*", "a*", "a!/*!b", "a?", "a%2a", "a,b"] {
        assert!(!location(&format!("/make/?film={film}"))?.contains("hmac="), "{film}");
    }
    assert!(location("/args/b&c=d")?.contains("/f?a=b&c=d&st="));
    for args in ["b%23c", "b%0d%0aX:%20y", "b%20c", "b%22", "b&st=1", "b&%73t=1", "%C3%A9"] {
        assert!(!location(&format!("/args/{args}"))?.contains("st="), "{args}");
    }
    nginx.finish()
}
