//! Variables read before there are keys, `satisfy`, the modes of the switch, redirects.

use anyhow::{Result, ensure};
use module_tests::{Behaviour, Nginx, Provider, SERVE, until_verdict};

use crate::{NEW, OLD, all_get, all_wait, ask_all, at_once, framed, keys, server, settled, stray};

fn header(response: &module_tests::Response, name: &str) -> String {
    response.header(name).unwrap_or("none").to_owned()
}

/// The server has keys, and reads a variable in its rewrite phase, before nginx chooses a location.
fn early(provider: &Provider) -> String {
    format!(
        "set $early \"<$jwt_claim_sub>\"; jwks_request /_jwks;
        location = /_jwks {{ internal; {} }}
        location /open {{ jwt off; {SERVE} }} location / {{ {SERVE} }}",
        provider.pass()
    )
}

#[test]
fn a_variable_read_before_there_are_keys_is_empty_then() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = Nginx::builder()
        .http(
            "map $jwt_claim_sub $who { '' nobody; default $jwt_claim_sub; }
            add_header X-Early $early always; add_header X-Sub $jwt_claim_sub always;
            add_header X-Who $who always;",
        )
        // With a variable in it no worker fetches at its start.
        .server(early(&provider).replace("jwks_request /_jwks", "jwks_request /_jwks$http_none"))
        .start()?;
    let token = OLD.token()?;
    let first = nginx.bearer("/", &token)?;
    assert_eq!(first.verdict(), (200, "ok"));
    // The variable is empty in the rewrite phase and has its value after the access phase.
    assert_eq!([header(&first, "X-Early"), header(&first, "X-Sub")], ["<>", "alice"]);
    assert_eq!(header(&first, "X-Who"), "alice");
    // When the worker has keys, reading the variable early verifies the token.
    let second = nginx.bearer("/", &token)?;
    assert_eq!([header(&second, "X-Early"), header(&second, "X-Sub")], ["<alice>", "alice"]);
    // The variable never has a value from a token that no key verifies.
    let forged = nginx.bearer("/", &NEW.sign(&OLD.jwt())?)?;
    assert_eq!(
        (forged.verdict(), header(&forged, "X-Early")),
        ((401, "bad_signature"), "<>".into())
    );
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

#[test]
fn an_early_variable_of_an_unknown_kid_is_empty_and_access_looks_for_the_key() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = Nginx::builder()
        .http("add_header X-Early $early always; add_header X-Sub $jwt_claim_sub always;")
        .server(early(&provider))
        .start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    provider.set(keys(&[OLD, NEW])?);
    let response = nginx.bearer("/", &NEW.token()?)?;
    assert_eq!(response.verdict(), (200, "ok"));
    assert_eq!([header(&response, "X-Early"), header(&response, "X-Sub")], ["<>", "alice"]);
    assert_eq!(settled(&nginx, &provider)?, 2);
    nginx.finish()
}

#[test]
fn a_variable_where_nothing_waits_is_empty_without_keys() -> Result<()> {
    // `return` answers before the access phase, so the request cannot wait for keys.
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = framed(format!(
        // With a variable in it no worker fetches at its start.
        "{} location /said {{ jwks_request /_jwks$http_none; return 200 \"<$jwt_claim_sub>\"; }}",
        server(&provider, "").replace("jwks_request /_jwks", "jwks_request /_jwks$http_none")
    ))
    .start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/said", &token)?.text(), "<>");
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/said", &token)?.text(), "<alice>");
    assert_eq!(nginx.bearer("/said", &NEW.sign(&OLD.jwt())?)?.text(), "<>");
    nginx.finish()
}

/// `/` checks a password and a token; the token is in the header `X-Token`.
fn with_password(provider: &Provider, satisfy: &str) -> Result<Nginx> {
    framed(format!(
        "location = /_jwks {{ internal; {} }} location /open {{ {SERVE} }}
        location / {{ satisfy {satisfy}; auth_basic site; auth_basic_user_file users;
            jwt_token header:X-Token; jwks_request /_jwks; {SERVE} }}",
        provider.pass()
    ))
    .file("users", "bob:{PLAIN}pw\n")
    .start()
}

#[derive(Clone, Copy, Debug)]
enum Password {
    None,
    Right,
    Wrong,
}

fn show(nginx: &Nginx, token: Option<&str>, password: Password) -> module_tests::Request {
    let mut request = nginx.request();
    if let Some(token) = token {
        request = request.header("X-Token", token);
    }
    match password {
        Password::None => request,
        Password::Right => request.header("Authorization", "Basic Ym9iOnB3"),
        Password::Wrong => request.header("Authorization", "Basic Ym9iOnh5"),
    }
}

#[test]
fn satisfy_judges_keys_that_are_fetched_as_any_others() -> Result<()> {
    use Password::*;
    let (good, forged) = (OLD.token()?, NEW.sign(&OLD.jwt())?);
    let stray = stray("x")?;
    for (satisfy, cases) in [
        (
            "any",
            vec![
                (Some(&good), None, 200),
                (Option::None, Right, 200),
                (Some(&good), Wrong, 200),
                (Some(&forged), Right, 200),
                (Some(&stray), Right, 200),
                (Some(&forged), None, 401),
                (Some(&stray), Wrong, 401),
                (Option::None, None, 401),
            ],
        ),
        (
            "all",
            vec![
                (Some(&good), Right, 200),
                (Some(&good), None, 401),
                (Some(&good), Wrong, 401),
                (Option::None, Right, 401),
                (Some(&forged), Right, 401),
                (Some(&stray), Right, 401),
            ],
        ),
    ] {
        // Each case runs twice: first without keys, then with keys from the first run.
        for (token, password, status) in &cases {
            let provider = Provider::start(keys(&[OLD])?)?;
            let nginx = with_password(&provider, satisfy)?;
            for _ in 0..2 {
                let response = show(&nginx, token.map(String::as_str), *password).send()?;
                let shown = token.map(|token| &token[..20]);
                assert_eq!(response.status, *status, "{satisfy}: {shown:?} {password:?}");
            }
            nginx.finish()?;
        }
    }
    Ok(())
}

#[test]
fn whoever_is_let_in_otherwise_does_not_wait() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let nginx = with_password(&provider, "any")?;
    for _ in 0..3 {
        assert_eq!(show(&nginx, None, Password::Right).send()?.status, 200);
        assert_eq!(show(&nginx, None, Password::Wrong).send()?.status, 401);
    }
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

#[test]
fn satisfy_waits_once() -> Result<()> {
    for satisfy in ["any", "all"] {
        let provider = Provider::start(keys(&[OLD])?)?;
        provider.hold();
        let nginx = with_password(&provider, satisfy)?;
        let request = show(&nginx, Some(&OLD.token()?), Password::Right);
        let mut waiting = Vec::new();
        for _ in 0..10 {
            let mut connection = nginx.connect()?;
            connection.write(&request.bytes())?;
            waiting.push(connection);
        }
        if satisfy == "all" {
            provider.wait_count(1)?;
            all_wait(&nginx, &mut waiting)?;
        }
        provider.release();
        for mut connection in waiting {
            assert_eq!(connection.read_response(false)?.status, 200, "{satisfy}");
        }
        assert!(settled(&nginx, &provider)? <= 1);
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn modes_with_keys_that_never_came() -> Result<()> {
    let (token, stray) = (OLD.token()?, stray("x")?);
    // Where the check may be on, the worker asks when it starts.
    let cases = [
        ("on", None, (401, "missing"), 1),
        ("on", Some("rubbish"), (401, "malformed"), 1),
        ("on", Some(token.as_str()), (503, "no_keys"), 1),
        ("on", Some(&stray), (503, "no_keys"), 1),
        ("off", Some(&token), (200, "off"), 0),
        ("optional", None, (200, "missing"), 1),
        ("optional", Some("rubbish"), (401, "malformed"), 1),
        ("optional", Some(&token), (503, "no_keys"), 1),
        ("permissive", None, (200, "missing"), 1),
        ("permissive", Some("rubbish"), (200, "malformed"), 1),
        ("permissive", Some(&token), (200, "no_keys"), 1),
        ("permissive", Some(&stray), (200, "no_keys"), 1),
    ];
    at_once(&cases, |(mode, token, verdict, fetches)| {
        let provider = Provider::start(Behaviour::Status(500, String::new()))?;
        let nginx = framed(server(&provider, &format!("; jwt {mode}"))).start()?;
        let request = match token {
            Some(token) => nginx.request().bearer(token),
            None => nginx.request(),
        };
        let response = request.send()?;
        ensure!(response.verdict() == *verdict, "{:?}", response.verdict());
        let count = settled(&nginx, &provider)?;
        ensure!(count == *fetches, "{count} fetches");
        nginx.finish()
    })
}

#[test]
fn modes_wait_for_keys_that_are_on_their_way() -> Result<()> {
    let (token, forged, stray) = (OLD.token()?, NEW.sign(&OLD.jwt())?, stray("x")?);
    let cases = [
        ("optional", &token, (200, "ok")),
        ("optional", &forged, (401, "bad_signature")),
        ("optional", &stray, (401, "unknown_key")),
        ("permissive", &token, (200, "ok")),
        ("permissive", &forged, (200, "bad_signature")),
        ("permissive", &stray, (200, "unknown_key")),
        ("$arg_mode", &token, (200, "ok")),
        ("\"off$arg_mode\"", &token, (200, "off")),
    ];
    at_once(&cases, |(mode, token, verdict)| {
        let provider = Provider::start(keys(&[OLD])?)?;
        provider.hold();
        let nginx = Nginx::start(format!(
            "location = /_jwks {{ internal; {} }} location /open {{ {SERVE} }}
            location / {{ jwt {mode}; jwks_request /_jwks; {SERVE} }}",
            provider.pass()
        ))?;
        let mut waiting = ask_all(&nginx, &[token; 5])?;
        if verdict.1 != "off" {
            provider.wait_count(1)?;
            all_wait(&nginx, &mut waiting)?;
        }
        provider.release();
        all_get(waiting, *verdict)?;
        nginx.finish()
    })
}

#[test]
fn an_error_page_tells_that_there_were_no_keys() -> Result<()> {
    let provider = Provider::start(Behaviour::Html)?;
    let nginx = framed(format!(
        "error_page 503 = @down; {}
        location @down {{ jwt off; return 503 \"status $jwt_status\"; }}",
        server(&provider, "")
    ))
    .start()?;
    let response = nginx.bearer("/", &OLD.token()?)?;
    assert_eq!((response.status, response.text().as_ref()), (503, "status no_keys"));
    provider.set(keys(&[OLD])?);
    until_verdict(&nginx, &OLD.token()?, (200, "ok"))?;
    nginx.finish()
}

#[test]
fn each_location_on_the_way_waits_for_its_own_keys() -> Result<()> {
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[OLD])?)?);
    let locations = |way: &str| {
        format!(
            "location = /_jwks/1 {{ internal; {} }} location = /_jwks/2 {{ internal; {} }}
            location /open {{ {SERVE} }}
            location /first {{ jwks_request /_jwks/1; {way} }}
            location /second {{ jwks_request /_jwks/2; {SERVE} }}",
            one.pass(),
            two.pass()
        )
    };
    for way in [
        "try_files /nothing /second;",
        "error_page 404 = /second; root nowhere;",
        "error_page 401 = /second; jwt_issuer nobody; try_files /ok.txt =404;",
    ] {
        let before = (one.count(), two.count());
        let nginx = framed(locations(way)).start()?;
        for _ in 0..2 {
            assert_eq!(nginx.bearer("/first", &OLD.token()?)?.verdict(), (200, "ok"), "{way}");
            let forged = NEW.sign(&OLD.jwt())?;
            assert_eq!(nginx.bearer("/first", &forged)?.status, 401, "{way}");
        }
        let fetched = (settled(&nginx, &one)? - before.0, two.settle()? - before.1);
        assert_eq!(fetched, (1, 1), "{way}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn rules_on_claims_hold_for_keys_that_were_waited_for() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = framed(server(&provider, "; jwt_claim role = admin")).start()?;
    let with = |role: &str| OLD.sign(&OLD.jwt().with(&serde_json::json!({ "role": role })));
    assert_eq!(nginx.bearer("/", &with("guest")?)?.verdict(), (403, "denied"));
    assert_eq!(nginx.bearer("/", &with("admin")?)?.verdict(), (200, "ok"));
    nginx.finish()
}
