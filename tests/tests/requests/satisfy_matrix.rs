//! `satisfy any` and `satisfy all` with every check at once: a token, a link, an address, a
//! password, and `auth_request`.

use anyhow::Result;
use module_tests::{Jwt, Nginx, Request, Response, SECRET, SERVE, link, nginx_has, now};

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";
const TOKEN: &str = "jwt_token header:X-Token;
    jwt_kids { k1 correct-horse-battery-staple-correct-horse-battery-staple-0123456789; }";
const LINK: &str = "secure_token_secret a-secret-for-links-a-secret-for-links;";
const PASSWORD: &str = "auth_basic site; auth_basic_user_file users;";
const ASKED: &str = "auth_request /ask;";

/// Locations `/0`, `/1`, … with these directives; the header `X-Ask` decides what `/ask` answers.
fn start<'d>(directives: impl IntoIterator<Item = &'d [&'d str]>) -> Result<Nginx> {
    let location =
        |(i, all): (usize, &[&str])| format!("location = /{i} {{ {} {SERVE} }}\n", all.join(" "));
    let locations: String = directives.into_iter().enumerate().map(location).collect();
    Nginx::builder()
        .server(format!(
            "{locations}
            location = /ask {{ internal; if ($http_x_ask = yes) {{ return 204; }}
                if ($http_x_ask = who) {{ return 401; }} if ($http_x_ask = broken) {{ return 500; }}
                return 403; }}"
        ))
        .file("users", "bob:{PLAIN}pw\n")
        .start()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Good,
    Expired,
    Bad,
    None,
}

use Shown::*;

const EACH: [Shown; 4] = [Good, Expired, Bad, None];

fn with_token(request: Request, shown: Shown) -> Result<Request> {
    let expires = if shown == Expired { now() - 9 } else { now() + 300 };
    let jwt = Jwt::new(serde_json::json!({ "exp": expires })).kid("k1");
    Ok(match shown {
        None => request,
        Bad => request.header("X-Token", "x"),
        _ => request.header("X-Token", jwt.hs("HS256", SECRET)?),
    })
}

fn with_link(request: Request, path: &str, shown: Shown) -> Request {
    let target = match shown {
        Good => link(LINK_SECRET, path, now() + 300),
        Expired => link(LINK_SECRET, path, now() - 9),
        Bad => link("another secret", path, now() + 300),
        None => path.to_owned(),
    };
    request.target(target)
}

fn with_password(request: Request, right: bool) -> Request {
    request.header("Authorization", if right { "Basic Ym9iOnB3" } else { "Basic Ym9iOnh5" })
}

#[test]
fn any_one_of_five_is_enough_and_all_five_are_needed() -> Result<()> {
    if !nginx_has("auth_request")? {
        println!("left out: this nginx has no auth_request");
        return Ok(());
    }
    let rows =
        [("any", "allow all;"), ("any", "deny all;"), ("all", "allow all;"), ("all", "deny all;")];
    let satisfy = ["satisfy any;", "satisfy all;"];
    let directives: Vec<[&str; 6]> = rows
        .iter()
        .map(|(mode, address)| {
            let satisfy = satisfy[usize::from(*mode == "all")];
            [satisfy, TOKEN, LINK, address, PASSWORD, ASKED]
        })
        .collect();
    let nginx = start(directives.iter().map(<[&str; 6]>::as_slice))?;
    for (i, (mode, address)) in rows.iter().enumerate() {
        let path = format!("/{i}");
        for (token, link) in EACH.iter().flat_map(|token| EACH.map(|link| (*token, link))) {
            for (password, asked) in [(true, true), (true, false), (false, true), (false, false)] {
                let request = with_link(with_token(nginx.request(), token)?, &path, link);
                let request = with_password(request, password);
                let request = request.header("X-Ask", if asked { "yes" } else { "no" });
                let response = request.send()?;
                let all = [token == Good, link == Good, *address == "allow all;", password, asked];
                let passes = match *mode {
                    "any" => all.contains(&true),
                    _ => !all.contains(&false),
                };
                let told = format!("{mode} {all:?} {token:?} {link:?}: {response:?}");
                assert_eq!(response.status == 200, passes, "{told}");
                assert!(passes || [401, 403, 410].contains(&response.status), "{told}");
                // A request that passes must get no challenge. (nginx removes only the last
                // challenge: if two checks set one and a third check passes, one stays.)
                let left = !password && token != Good && link != Good;
                assert!(!passes || left || response.challenge().is_empty(), "{told}");
            }
        }
    }
    nginx.finish()
}

#[test]
fn an_expired_link_lets_the_others_speak_and_is_410_only_after_them() -> Result<()> {
    if !nginx_has("auth_request")? {
        println!("left out: this nginx has no auth_request");
        return Ok(());
    }
    let nginx = start([
        &["satisfy any;", LINK, ASKED][..],
        &["satisfy all;", LINK, ASKED],
        &["satisfy any;", LINK, TOKEN, ASKED],
        &["satisfy any;", LINK, TOKEN],
        &["satisfy any;", LINK, "jwt optional;", TOKEN],
        &["satisfy any;", LINK, PASSWORD],
        &["satisfy any;", LINK, "allow 192.0.2.1;"],
    ])?;
    let ask = |path: &str, link: Shown, token: Shown, said: &str| -> Result<Response> {
        let request = with_link(with_token(nginx.request(), token)?, path, link);
        request.header("X-Ask", said).send()
    };
    for (path, link, token, said, status) in [
        ("/0", Expired, None, "yes", 200),
        ("/0", Expired, None, "no", 403),
        ("/0", Expired, None, "who", 401),
        ("/0", Expired, None, "broken", 500),
        ("/0", Bad, None, "yes", 200),
        ("/0", Good, None, "broken", 200),
        ("/1", Expired, None, "yes", 410),
        ("/1", Good, None, "yes", 200),
        ("/1", Good, None, "no", 403),
        ("/1", Bad, None, "yes", 403),
        ("/2", Expired, Good, "no", 200),
        ("/2", Expired, Bad, "yes", 200),
        ("/2", Expired, Bad, "no", 403),
        ("/3", Expired, None, "", 410),
        ("/3", Expired, Bad, "", 410),
        ("/3", Expired, Expired, "", 410),
        ("/3", Bad, Expired, "", 401),
        ("/3", None, None, "", 401),
        ("/3", Expired, Good, "", 200),
        ("/4", Expired, None, "", 410),
        ("/4", Expired, Bad, "", 410),
        ("/4", Bad, None, "", 403),
        ("/4", Good, Bad, "", 200),
        ("/5", Expired, None, "", 401),
        ("/6", Expired, None, "", 410),
    ] {
        let response = ask(path, link, token, said)?;
        assert_eq!(response.status, status, "{path} {link:?} {token:?} {said}");
    }
    nginx.finish()
}

#[test]
fn a_rules_403_and_missing_keys_let_the_others_speak_too() -> Result<()> {
    if !nginx_has("auth_request")? {
        println!("left out: this nginx has no auth_request");
        return Ok(());
    }
    let nginx = start([
        &["satisfy any;", TOKEN, "jwt_claim role exists;", ASKED][..],
        &["satisfy any;", TOKEN, "jwt_claim role exists;"],
        &["satisfy any;", "auth_jwt x token=$http_x_token; auth_jwt_key_file $arg_f;", ASKED],
        &["satisfy any;", "auth_jwt x token=$http_x_token; auth_jwt_key_file $arg_f;", PASSWORD],
        &["satisfy any;", "auth_jwt x token=$http_x_token; auth_jwt_key_file $arg_f;"],
        &["satisfy any;", "auth_jwt x token=$http_x_token; auth_jwt_key_file $arg_f;", LINK],
    ])?;
    for (path, said, password, status) in [
        ("/0", "yes", false, 200),
        ("/0", "no", false, 403),
        ("/0", "who", false, 401),
        ("/1", "", false, 403),
        ("/2", "yes", false, 200),
        ("/2", "no", false, 403),
        ("/3", "", true, 200),
        ("/3", "", false, 401),
        ("/4", "", false, 503),
    ] {
        let request = with_token(nginx.request(), Good)?.target(format!("{path}?f=gone"));
        let request = with_password(request, password).header("X-Ask", said);
        assert_eq!(request.send()?.status, status, "{path} {said} {password}");
    }
    let by_link = with_link(with_token(nginx.request(), Good)?, "/5", Good);
    assert_eq!(by_link.send()?.status, 200);
    nginx.finish()
}
