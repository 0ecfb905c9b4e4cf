//! `satisfy any` and `satisfy all` with a token, a signed link, addresses and a password.

use anyhow::Result;
use module_tests::{Jwt, Nginx, Request, Response, SECRET, SERVE, link, now};

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";
const TOKEN: &str =
    "jwt_kids { k1 correct-horse-battery-staple-correct-horse-battery-staple-0123456789; }";
const LINK: &str = "secure_token_secret a-secret-for-links-a-secret-for-links;";
const PASSWORD: &str = "auth_basic site; auth_basic_user_file users;";

/// One location `/` with these directives, and a user `bob` with the password `pw`.
fn start(satisfy: &str, checks: &[&str]) -> Result<Nginx> {
    Nginx::builder()
        .server(format!("location / {{ satisfy {satisfy}; {} {SERVE} }}", checks.join(" ")))
        .file("users", "bob:{PLAIN}pw\n")
        .start()
}

/// What a client sends.
#[derive(Clone, Copy, Debug)]
enum Shows {
    Nothing,
    Token,
    BadToken,
    Password,
    BadPassword,
    Link,
    ExpiredLink,
    BadLink,
}

use Shows::*;

fn ask(nginx: &Nginx, shows: &[Shows]) -> Result<Response> {
    let mut request: Request = nginx.request();
    for one in shows {
        request = match one {
            Nothing => request,
            // A password needs Authorization, too: the last test sends both, and uses X-Token.
            Token => request.bearer(&Jwt::live().kid("k1").hs("HS256", SECRET)?),
            BadToken => request.bearer("a.b.c"),
            Password => request.header("Authorization", "Basic Ym9iOnB3"),
            BadPassword => request.header("Authorization", "Basic Ym9iOnh5"),
            Link => request.target(link(LINK_SECRET, "/", now() + 300)),
            ExpiredLink => request.target(link(LINK_SECRET, "/", now() - 300)),
            BadLink => request.target(link("wrong", "/", now() + 300)),
        };
    }
    request.send()
}

fn expect(satisfy: &str, checks: &[&str], cases: &[(&[Shows], u16)]) -> Result<()> {
    let nginx = start(satisfy, checks)?;
    for (shows, status) in cases {
        let response = ask(&nginx, shows)?;
        assert_eq!(response.status, *status, "satisfy {satisfy} of {checks:?}, shown {shows:?}");
    }
    nginx.finish()
}

#[test]
fn any_of_token_and_link_is_enough() -> Result<()> {
    expect(
        "any",
        &[TOKEN, LINK],
        &[
            (&[Token], 200),
            (&[Link], 200),
            (&[Token, Link], 200),
            (&[Token, BadLink], 200),
            (&[Token, ExpiredLink], 200),
            (&[BadToken, Link], 200),
            (&[ExpiredLink], 410),
            (&[BadToken, ExpiredLink], 410),
        ],
    )?;
    let nginx = start("any", &[TOKEN, LINK])?;
    for shows in [&[Nothing][..], &[BadToken], &[BadLink], &[BadToken, BadLink]] {
        let status = ask(&nginx, shows)?.status;
        assert!([401, 403].contains(&status), "{shows:?}: {status}");
    }
    nginx.finish()
}

#[test]
fn all_of_token_and_link_are_needed() -> Result<()> {
    expect(
        "all",
        &[TOKEN, LINK],
        &[
            (&[Token, Link], 200),
            (&[Token], 403),
            (&[Token, BadLink], 403),
            (&[Token, ExpiredLink], 410),
            (&[Link], 401),
            (&[BadToken, Link], 401),
        ],
    )
}

#[test]
fn a_token_or_an_address() -> Result<()> {
    expect(
        "any",
        &[TOKEN, "allow all;"],
        &[(&[Token], 200), (&[Nothing], 200), (&[BadToken], 200)],
    )?;
    expect(
        "any",
        &[TOKEN, "deny all;"],
        &[(&[Token], 200), (&[Nothing], 401), (&[BadToken], 401)],
    )?;
    expect("all", &[TOKEN, "allow all;"], &[(&[Token], 200), (&[Nothing], 401)])?;
    expect("all", &[TOKEN, "deny all;"], &[(&[Token], 403)])
}

#[test]
fn a_link_or_an_address() -> Result<()> {
    // An expired link must not end the request before the other checks have run.
    expect(
        "any",
        &[LINK, "allow all;"],
        &[(&[Link], 200), (&[ExpiredLink], 200), (&[BadLink], 200), (&[Nothing], 200)],
    )?;
    expect("any", &[LINK, "deny all;"], &[(&[Link], 200), (&[BadLink], 403), (&[Nothing], 403)])?;
    expect("all", &[LINK, "deny all;"], &[(&[Link], 403)])?;
    expect(
        "all",
        &[LINK, "allow all;"],
        &[(&[Link], 200), (&[ExpiredLink], 410), (&[Nothing], 403)],
    )
}

#[test]
fn an_expired_link_where_nothing_else_passes_is_gone() -> Result<()> {
    expect("any", &[LINK], &[(&[ExpiredLink], 410), (&[Link], 200), (&[Nothing], 403)])?;
    // nginx answers with the status of the last check, and its own checks run after the module's.
    expect("any", &[LINK, "deny all;"], &[(&[ExpiredLink], 403)])
}

#[test]
fn a_token_or_a_password() -> Result<()> {
    expect(
        "any",
        &[TOKEN, PASSWORD],
        &[
            (&[Token], 200),
            (&[Password], 200),
            (&[Nothing], 401),
            (&[BadToken], 401),
            (&[BadPassword], 401),
        ],
    )?;
    let nginx = start("any", &[TOKEN, PASSWORD])?;
    // A request that passes one check must not get the challenge of the other.
    assert_eq!(ask(&nginx, &[Password])?.all("WWW-Authenticate"), Vec::<&str>::new());
    assert_eq!(ask(&nginx, &[Token])?.all("WWW-Authenticate"), Vec::<&str>::new());
    let refused = ask(&nginx, &[Nothing])?;
    assert!(!refused.all("WWW-Authenticate").is_empty());
    nginx.finish()
}

#[test]
fn a_link_or_a_password() -> Result<()> {
    expect(
        "any",
        &[LINK, PASSWORD],
        &[
            (&[Link], 200),
            (&[Password], 200),
            (&[Password, ExpiredLink], 200),
            (&[Password, BadLink], 200),
            (&[Nothing], 401),
            (&[BadLink], 401),
        ],
    )?;
    expect(
        "all",
        &[LINK, PASSWORD],
        &[
            (&[Link, Password], 200),
            (&[Link], 401),
            (&[Password], 403),
            (&[Password, ExpiredLink], 410),
        ],
    )
}

#[test]
fn a_token_in_a_header_of_its_own_and_a_password_together() -> Result<()> {
    let nginx = start("all", &[TOKEN, PASSWORD, "jwt_token header:X-Token;"])?;
    let token = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    let with = |password: bool, token: Option<&str>| {
        let mut request = nginx.request();
        if password {
            request = request.header("Authorization", "Basic Ym9iOnB3");
        }
        if let Some(token) = token {
            request = request.header("X-Token", token);
        }
        request.send()
    };
    assert_eq!(with(true, Some(&token))?.status, 200);
    assert_eq!(with(true, None)?.status, 401);
    assert_eq!(with(false, Some(&token))?.status, 401);
    nginx.finish()
}
