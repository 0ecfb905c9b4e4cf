//! Thousands of requests at once, in locations with different keys: each request must get the
//! verdict for its own location and its own token.

use std::ops::Range;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use module_tests::{Connection, Jwt, Nginx, OTHER_SECRET, Request, SECRET, SERVE};
use serde_json::json;

const THREADS: usize = 4;
const REQUESTS: usize = 1200;

/// One request: its path, its token and the expected answer.
struct Case {
    path: String,
    token: Option<String>,
    /// Status, `$jwt_status`, `$jwt_claim_sub`, and the location that served or refused.
    answer: (u16, String, String, String),
}

/// `/one/` and `/two/` have a secret each, `/rule/` has the first secret and a rule, and `/open/`
/// has no check. Each has nested locations that lead to the next one.
fn start() -> Result<Nginx> {
    let headers = |name: &str| {
        format!(
            "add_header X-Jwt-Status $jwt_status always; add_header X-Sub $jwt_claim_sub always;
            add_header X-Served {name} always;"
        )
    };
    let (one, two) =
        (format!("jwt_kids {{ k {SECRET}; }}"), format!("jwt_kids {{ k {OTHER_SECRET}; }}"));
    let location = |name: &str, check: &str, to: &str| {
        let headers = headers(name);
        format!(
            "location /{name}/ {{ {check} {headers} {SERVE}
                location /{name}/try/ {{ {headers} try_files /nothing /{to}/x; }}
                location /{name}/error/ {{ {headers} root nowhere; error_page 404 = /{to}/x; }}
                location /{name}/refused/ {{ {headers} error_page 401 403 = /{to}/x; {SERVE} }}
                location /{name}/rewrite/ {{ rewrite ^ /{to}/x last; }}
                location /{name}/named/ {{ {headers} try_files /nothing @{to}; }} }}
            location @{name} {{ {check} {headers} {SERVE} }}\n"
        )
    };
    Nginx::builder()
        .workers(2)
        .server(
            [
                location("one", &format!("{one} set $early $jwt_claim_sub;"), "two"),
                location("two", &two, "rule"),
                location("rule", &format!("{one} jwt_claim role = admin;"), "open"),
                location("open", "", "one"),
            ]
            .concat(),
        )
        .start()
}

/// The status and the `$jwt_status` of `location` for a token that `signer` has signed.
fn judged(location: &str, signer: Option<&str>, admin: bool) -> (u16, &'static str) {
    match (location, signer) {
        ("open", _) => (200, "off"),
        (_, None) => (401, "missing"),
        ("rule", Some("one")) if !admin => (403, "denied"),
        ("one" | "rule", Some("one")) | ("two", Some("two")) => (200, "ok"),
        _ => (401, "bad_signature"),
    }
}

fn next(location: &'static str) -> &'static str {
    match location {
        "one" => "two",
        "two" => "rule",
        "rule" => "open",
        _ => "one",
    }
}

/// The expected answer to a request that starts in `location` and leaves it by `way`.
fn expected(
    location: &'static str,
    way: &str,
    signer: Option<&str>,
    admin: bool,
) -> (u16, &'static str, &'static str) {
    let (status, word) = judged(location, signer, admin);
    let goes_on = match way {
        "rewrite" => true,
        "refused" => status != 200,
        "" => false,
        _ => status == 200,
    };
    if !goes_on {
        return (status, word, location);
    }
    let to = next(location);
    match to {
        // A location without a check shows the verdict of the last location with a check.
        "open" if way != "rewrite" => (200, word, to),
        _ => {
            let (status, word) = judged(to, signer, admin);
            (status, word, to)
        }
    }
}

/// The first location of a request, the way on from there, the signer of its token, and whether
/// the token names an administrator.
type Kind = (&'static str, &'static str, Option<&'static str>, bool);

/// Every kind of request, in an order that alternates between the locations.
fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for admin in [false, true] {
        for signer in [None, Some("one"), Some("two")] {
            for way in ["", "try", "error", "refused", "rewrite", "named"] {
                let locations = ["one", "two", "rule", "open"];
                kinds.extend(locations.map(|location| (location, way, signer, admin)));
            }
        }
    }
    kinds
}

fn case(number: usize, (location, way, signer, admin): Kind) -> Result<Case> {
    let sub = format!("user-{number}");
    let secret = if signer == Some("one") { SECRET } else { OTHER_SECRET };
    let role = if admin { "admin" } else { "guest" };
    let token = Jwt::live_with(&json!({ "sub": sub, "role": role })).kid("k");
    let token = signer.map(|_| token.hs("HS256", secret)).transpose()?;
    let (status, word, served) = expected(location, way, signer, admin);
    let sub = if matches!(word, "ok" | "denied") { sub } else { String::new() };
    let way = if way.is_empty() { String::new() } else { format!("/{way}") };
    Ok(Case {
        path: format!("/{location}{way}/x"),
        token,
        answer: (status, word.to_owned(), sub, served.to_owned()),
    })
}

/// Sends every request of `numbers`, over as few connections as nginx allows.
fn drive(request: &Request, socket: &Path, numbers: Range<usize>) -> Result<()> {
    let mut connection = Connection::open(socket)?;
    for (kind, number) in kinds().into_iter().cycle().skip(numbers.start).zip(numbers) {
        let case = case(number, kind)?;
        let mut request = request.clone().target(&case.path).keep_alive();
        if let Some(token) = &case.token {
            request = request.bearer(token);
        }
        let response = connection.send(&request).with_context(|| case.path.clone())?;
        let header = |name: &str| response.header(name).unwrap_or_default().to_owned();
        let (status, word) = response.verdict();
        let answer = (status, word.to_owned(), header("X-Sub"), header("X-Served"));
        ensure!(
            answer == case.answer,
            "{answer:?} instead of {:?} for {} with {:?}",
            case.answer,
            case.path,
            case.token
        );
        if response.header("Connection") == Some("close") {
            connection = Connection::open(socket)?;
        }
    }
    Ok(())
}

#[test]
fn no_request_sees_the_verdict_of_another() -> Result<()> {
    let nginx = start()?;
    let (request, socket) = (nginx.request(), nginx.socket("s.sock"));
    thread::scope(|scope| {
        let drive = |thread| {
            let (request, socket) = (&request, &socket);
            let numbers = thread * REQUESTS..(thread + 1) * REQUESTS;
            scope.spawn(move || drive(request, socket, numbers))
        };
        let threads: Vec<_> = (0..THREADS).map(drive).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    nginx.finish()
}
