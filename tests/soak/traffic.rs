//! The configuration, the requests, and the status that each request must get.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use module_tests::{
    Connection, ED25519, Jwt, Nginx, OTHER_SECRET, P256, RSA, RSA_OTHER, Request, SECRET, SERVE,
    jwk_set, link, link_hmac, now, raw_token,
};
use serde_json::{Map, Value, json};

/// The key file that changes with every reload.
pub(crate) const KIDS: &str = "kids.json";
/// What nginx logs about a broken key file.
pub(crate) const REFUSED: &str = "\"jwt_kids_file\" failed";

/// No answer may take longer than this.
const LIMIT: Duration = Duration::from_secs(15);

/// Starts an nginx whose configuration uses everything for which the module allocates memory.
pub(crate) fn start(workers: u32) -> Result<Nginx> {
    let keys = [("rsa", &RSA), ("p256", &P256), ("ed", &ED25519)]
        .into_iter()
        .map(|(kid, key)| key.jwk(&json!({ "kid": kid })))
        .collect::<Result<Vec<_>>>()?;
    Nginx::builder()
        .workers(workers)
        .quiet_log()
        .expect_log(REFUSED)
        .http(
            "client_header_buffer_size 4k; large_client_header_buffers 4 160k; server_tokens off;
            jwt_provider one { jwt_issuer one; jwks_file keys.json; jwt_claim role ~ ^adm; }
            jwt_provider two { jwt_issuer two; jwks_file other.json; }
            jwt_claim_set $deep user id; jwt_header_set $kid kid;
            map $jwt_claim_role $area { admin staff; default public; }
            server { listen unix:up.sock; access_log off;
                location / { return 200 \"user=$http_x_user\\n\"; }
                location /accel/ { add_header X-Accel-Redirect /hs/x; return 200; } }",
        )
        .server(format!(
            "access_log off; keepalive_requests 200; jwt_kids_file {KIDS}; jwks_file keys.json;
            location / {{ {SERVE} }}
            location /hs {{ {SERVE} }}
            location /all {{ jwt_token bearer header:X-Token cookie:tok arg:tok; {SERVE} }}
            location /optional {{ jwt optional; {SERVE} }}
            location /permissive {{ jwt permissive; add_header X-Deep $deep; {SERVE} }}
            location /mode {{ error_log logs/error.log crit; jwt $arg_mode; {SERVE} }}
            location /rule {{ jwt_claim role = admin; jwt_claim n >= 3; {SERVE} }}
            location /bound {{ jwt_claim role = $arg_role error=401; jwt_require $area; {SERVE} }}
            location /regex {{ jwt_claim role ~* '^(admin|root)$'; {SERVE} }}
            location /revoked {{ jwt_revoked jti revoked.txt; jwt_revoked sub revoked.txt; {SERVE} }}
            location /strict {{ jwt_issuer me; jwt_audience you; jwt_typ at+jwt; jwt_require_exp on;
                jwt_realm \"the $host\"; {SERVE} }}
            location /providers {{ jwt on provider=one provider=two; {SERVE} }}
            location /named {{ error_log logs/error.log crit; auth_jwt site; auth_jwt_key_file $arg_keys.json; {SERVE} }}
            location /link {{ jwt off; secure_token_secret {OTHER_SECRET} {SECRET}; {SERVE} }}
            location /both {{ secure_token_secret {SECRET}; {SERVE} }}
            location /either {{ satisfy any; secure_token_secret {SECRET}; {SERVE} }}
            location /login {{ error_page 401 = @login; {SERVE} }}
            location @login {{ jwt off; return 302 /login?why=$jwt_status; }}
            location /page {{ error_page 401 403 /denied.txt; {SERVE} }}
            location = /denied.txt {{ internal; jwt off; }}
            location /fall {{ jwt off; try_files /nope /hs/x; }}
            location /up {{ proxy_set_header X-User $jwt_claim_sub; proxy_pass http://unix:up.sock:/; }}
            location /accel/ {{ jwt off; proxy_pass http://unix:up.sock; }}
            location /off {{ jwt off; {SERVE} }}"
        ))
        .file(KIDS, kids(0))
        .file("keys.json", jwk_set(&keys))
        .file("other.json", RSA_OTHER.jwks("rsa")?)
        .file("revoked.txt", "stolen\nlost\n")
        .html("denied.txt", "denied\n")
        .start()
}

/// A key file with the two secrets that are used, among others that change with each round.
fn kids(round: usize) -> String {
    let mut pairs = Map::from_iter([("k1".to_owned(), json!(SECRET))]);
    for i in 0..50 + round * 37 % 300 {
        let secret = format!("{round}-{i}-{OTHER_SECRET}");
        pairs.insert(format!("filler-{round}-{i}"), json!(secret));
    }
    Value::Object(pairs).to_string()
}

/// Writes key files of another size; the keys that the requests use stay the same.
pub(crate) fn write_keys(nginx: &Nginx, round: usize) -> Result<()> {
    nginx.put(KIDS, kids(round))?;
    let list: String = (0..round * 53 % 500).map(|i| format!("other-{round}-{i}\n")).collect();
    nginx.put("revoked.txt", format!("stolen\n{list}lost\n"))
}

/// A request and the status that it must get.
struct Shot {
    name: String,
    request: Request,
    status: u16,
}

/// The requests to send, good and bad.
fn shots() -> Result<Vec<Shot>> {
    let mut shots = Vec::new();
    let ask = |target: &str| Request::new(PathBuf::new()).target(target);
    let mut add = |name: &str, request: Request, status| {
        shots.push(Shot { name: name.to_owned(), request: request.clone(), status });
        // Half of all requests use connections that stay open.
        let name = format!("{name}, kept alive");
        shots.push(Shot { name, request: request.keep_alive(), status });
    };
    let until = now() + 1_000_000;
    let claims = |more: Value| {
        let mut all = json!({ "sub": "alice", "exp": until, "role": "admin", "n": 3 });
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        Jwt::new(all)
    };
    let hs = |more: Value| claims(more).kid("k1").hs("HS256", SECRET);
    let plain = || json!({});
    let good = hs(plain())?;

    for (alg, kid, key) in [
        ("RS256", "rsa", &RSA),
        ("PS512", "rsa", &RSA),
        ("ES256", "p256", &P256),
        ("EdDSA", "ed", &ED25519),
    ] {
        let token = claims(plain()).kid(kid).sign(alg, key)?;
        add(alg, ask("/").bearer(&token), 200);
        add(&format!("{alg} without kid"), ask("/").bearer(&claims(plain()).sign(alg, key)?), 200);
        let input = token.rsplit_once('.').context("a token")?.0;
        add(&format!("{alg}, forged"), ask("/").bearer(&format!("{input}.AAAA")), 401);
    }
    for alg in ["HS256", "HS384", "HS512"] {
        add(alg, ask("/hs").bearer(&claims(plain()).kid("k1").hs(alg, SECRET)?), 200);
        add(
            &format!("{alg}, forged"),
            ask("/hs").bearer(&claims(plain()).kid("k1").hs(alg, OTHER_SECRET)?),
            401,
        );
    }
    for (name, request) in [
        ("a header", ask("/all").header("X-Token", &good)),
        ("a cookie", ask("/all").header("Cookie", format!("a=1; tok={good}"))),
        ("an argument", ask(&format!("/all?tok={good}"))),
        ("HEAD", ask("/hs").bearer(&good).method("HEAD")),
        ("an upstream", ask("/up").bearer(&good)),
        ("X-Accel-Redirect", ask("/accel/").bearer(&good)),
        ("try_files", ask("/fall").bearer(&good)),
        ("a rule", ask("/rule").bearer(&good)),
        ("a bound rule", ask("/bound?role=admin").bearer(&good)),
        ("a regular expression", ask("/regex").bearer(&good)),
        ("a list", ask("/revoked").bearer(&good)),
        ("optional", ask("/optional")),
        ("optional, good", ask("/optional").bearer(&good)),
        ("permissive", ask("/permissive").bearer("a.b.c")),
        ("off", ask("/off").bearer("a.b.c")),
        ("a mode", ask("/mode?mode=off")),
        (
            "a named file",
            ask("/named?keys=kids").bearer(&claims(plain()).kid("rsa").sign("RS256", &RSA)?),
        ),
        ("either", ask("/either").bearer(&good)),
    ] {
        let named = name == "a named file";
        let request = if named { request.target("/named?keys=keys") } else { request };
        add(name, request, 200);
    }
    add("a range", ask("/hs").header("Range", "bytes=0-0").bearer(&good), 206);
    add("an error page", ask("/page"), 401);
    add("a login", ask("/login"), 302);
    add("a senseless mode", ask("/mode?mode=maybe").bearer(&good), 500);
    add("no such named file", ask("/named?keys=gone").bearer(&good), 503);
    for target in
        ["/", "/hs", "/up", "/fall", "/accel/", "/strict", "/providers", "/either", "/mode?mode=on"]
    {
        add(&format!("no token for {target}"), ask(target), 401);
        add(&format!("a forged one for {target}"), ask(target).bearer(&format!("{good}AA")), 401);
        add(
            &format!("a body for {target}"),
            ask(target).method("POST").body(vec![b'x'; 3000]),
            401,
        );
    }
    for (name, path, more, status) in [
        ("a rule", "/rule", json!({ "role": "guest" }), 403),
        ("a number", "/rule", json!({ "n": 2 }), 403),
        ("a bound rule", "/bound?role=guest", plain(), 401),
        ("a regular expression", "/regex", json!({ "role": "guest" }), 403),
        ("a denied page", "/page", json!({ "exp": 1 }), 401),
        ("a listed id", "/revoked", json!({ "jti": "lost" }), 401),
        ("a listed name", "/revoked", json!({ "sub": "stolen" }), 401),
        ("expired", "/hs", json!({ "exp": 1 }), 401),
        ("not yet valid", "/hs", json!({ "nbf": until }), 401),
        ("a senseless exp", "/hs", json!({ "exp": "never" }), 401),
        ("no issuer", "/strict", plain(), 401),
        ("no provider", "/providers", json!({ "iss": "three" }), 401),
        ("another's key", "/providers", json!({ "iss": "one" }), 401),
        ("8 KiB", "/hs", json!({ "fill": "x".repeat(6000) }), 200),
        ("60 KiB", "/hs", json!({ "fill": "x".repeat(44_000) }), 200),
        ("60 KiB to an upstream", "/up", json!({ "fill": "x".repeat(44_000) }), 200),
        ("130 KiB", "/hs", json!({ "fill": "x".repeat(96_000) }), 401),
        ("many members", "/hs", json!({ "fill": vec![json!({ "a": [1, "\n"] }); 1500] }), 200),
    ] {
        add(name, ask(path).bearer(&hs(more)?), status);
    }
    let strict =
        claims(json!({ "iss": "me", "aud": ["you"] })).kid("k1").header("typ", json!("at+JWT"));
    add("strict", ask("/strict").bearer(&strict.hs("HS256", SECRET)?), 200);
    for (issuer, key, status) in
        [("one", &RSA, 200), ("two", &RSA_OTHER, 200), ("one", &RSA_OTHER, 401)]
    {
        let token = claims(json!({ "iss": issuer })).kid("rsa").sign("RS256", key)?;
        add(&format!("provider {issuer}"), ask("/providers").bearer(&token), status);
    }
    let guest = claims(json!({ "iss": "one", "role": "guest" })).kid("rsa").sign("RS256", &RSA)?;
    add("a provider's rule", ask("/providers").bearer(&guest), 403);

    let sign = |header: &str, payload: &[u8]| {
        raw_token(header, payload, |input| module_tests::hmac("HS256", SECRET.as_bytes(), input))
    };
    let header = r#"{"alg":"HS256","kid":"k1"}"#;
    let deep = |count: usize| format!("{{\"a\":{}{}}}", "[".repeat(count), "]".repeat(count));
    for (name, token) in [
        ("a deep payload", sign(header, deep(20_000).as_bytes())?),
        ("a repeated member", sign(header, br#"{"a":1,"a":2}"#)?),
        ("no UTF-8", sign(header, b"{\"a\":\"\xff\"}")?),
        ("no object", sign(header, b"[1,2,3]")?),
        ("no JSON", sign(header, b"{\"a\":")?),
        ("no algorithm", sign(r#"{"alg":"none","kid":"k1"}"#, b"{}")?),
        ("a critical extension", sign(r#"{"alg":"HS256","kid":"k1","crit":["x"]}"#, b"{}")?),
        ("another kid", sign(r#"{"alg":"HS256","kid":"../../etc/passwd\n\u0000"}"#, b"{}")?),
        ("five sections", format!("{good}.AAAA.AAAA")),
        ("one section", "A".repeat(5000)),
        ("dots", ".".repeat(100_000)),
        ("a large header", format!("{}.e30.AAAA", "A".repeat(50_000))),
        ("nothing", String::new()),
        ("another alphabet", good.replace(['A', 'e'], "+")),
    ] {
        add(name, ask("/hs").bearer(&token), 401);
    }
    let over = ask("/hs").bearer(&"A".repeat(200_000));
    add("more than nginx takes", over, 400);
    add("a target too long", ask(&format!("/hs?{}", "a".repeat(200_000))), 414);
    add("a NUL", ask("/hs").header("Authorization", b"Bearer a\0b"), 400);
    add("two tokens", ask("/hs").bearer(&good).bearer(&good), 400);

    let e = now() + 1_000_000;
    let past = now() - 1000;
    for (name, target, status) in [
        ("a link", link(SECRET, "/link/a", e), 200),
        ("a link by the newer secret", link(OTHER_SECRET, "/link/a", e), 200),
        ("an HMAC link", format!("/link/a?st={}&e={e}", link_hmac(SECRET, "/link/a", e)?), 200),
        ("an expired link", link(SECRET, "/link/a", past), 410),
        ("another's link", link("wrong", "/link/a", e), 403),
        ("a link for another path", link(SECRET, "/link/a", e).replace("/a?", "/b?"), 403),
        ("no link", "/link/a".to_owned(), 403),
        ("half a link", format!("/link/a?e={e}"), 403),
        ("a link twice", format!("{}&e={e}", link(SECRET, "/link/a", e)), 403),
        ("a link without token", link(SECRET, "/both", e), 401),
        ("either, a link", link(SECRET, "/either", e), 200),
        ("either, an expired link", link(SECRET, "/either", past), 410),
    ] {
        add(name, ask(&target), status);
    }
    add("both", ask(&link(SECRET, "/both", e)).bearer(&good), 200);
    add("both, an expired link", ask(&link(SECRET, "/both", past)).bearer(&good), 410);
    add("both, no link", ask("/both").bearer(&good), 403);
    Ok(shots)
}

/// The results of the requests.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    /// The first failures, in words.
    pub(crate) examples: Vec<String>,
    pub(crate) abandoned: u64,
    pub(crate) reopened: u64,
    statuses: BTreeMap<u16, u64>,
}

impl Tally {
    pub(crate) fn fail(&mut self, what: String) {
        self.failures += 1;
        if self.examples.len() < 20 {
            self.examples.push(what);
        }
    }

    pub(crate) fn predicted(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.examples.extend(other.examples);
        self.abandoned += other.abandoned;
        self.reopened += other.reopened;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }

    pub(crate) fn statuses(&self) -> String {
        let one = |(status, count): (&u16, &u64)| format!("{status}: {count}");
        self.statuses.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// Sends one request after the other until `stop` is set.
pub(crate) fn ask_until(stop: &AtomicBool, socket: &Path, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let shots = match shots() {
        Ok(shots) => shots,
        Err(error) => {
            tally.fail(format!("no requests: {error:#}"));
            return tally;
        }
    };
    let mut client = Client { socket, kept: None, random: Random(seed + 0x9e37_79b9_7f4a_7c15) };
    while !stop.load(Ordering::Relaxed) {
        let Some(shot) = shots.get(client.random.below(shots.len())) else { break };
        match client.random.below(12) {
            0 => client.abandon(&shot.request, &mut tally),
            1 | 2 => client.garble(&shots, &mut tally),
            _ => client.ask(&shot.name, &shot.request, shot.status, &mut tally),
        }
    }
    tally
}

struct Client<'s> {
    socket: &'s Path,
    /// The connection that stays open, until nginx closes it.
    kept: Option<Connection>,
    random: Random,
}

impl Client<'_> {
    fn ask(&mut self, name: &str, request: &Request, status: u16, tally: &mut Tally) {
        tally.requests += 1;
        let began = Instant::now();
        match self.answer(request, tally).with_context(|| name.to_owned()) {
            Ok(got) if got == status => tally.predicted(status),
            Ok(got) => tally.fail(format!("{name}: {got} instead of {status}")),
            Err(error) => tally.fail(format!("{error:#}")),
        }
        if began.elapsed() > LIMIT {
            tally.fail(format!("{name}: an answer after {:?}", began.elapsed()));
        }
    }

    fn answer(&mut self, request: &Request, tally: &mut Tally) -> Result<u16> {
        let keeps = request.keeps_alive();
        if let (true, Some(mut connection)) = (keeps, self.kept.take()) {
            match connection.send(request) {
                Ok(response) => {
                    self.keep(connection, response.header("Connection"));
                    return Ok(response.status);
                }
                // A worker that leaves closes its idle connections.
                Err(error) if error.to_string().starts_with(CLOSED) => tally.reopened += 1,
                Err(error) => return Err(error),
            }
        }
        let mut connection = Connection::open(self.socket)?;
        let response = connection.send(request)?;
        if keeps {
            self.keep(connection, response.header("Connection"));
        }
        Ok(response.status)
    }

    fn keep(&mut self, connection: Connection, answered: Option<&str>) {
        if answered != Some("close") {
            self.kept = Some(connection);
        }
    }

    /// Sends a part of a request, or all of it, and leaves without waiting.
    fn abandon(&mut self, request: &Request, tally: &mut Tally) {
        let bytes = request.bytes();
        let part = bytes.get(..self.random.below(bytes.len() + 1)).unwrap_or_default();
        let sent = Connection::open(self.socket).and_then(|mut connection| connection.write(part));
        match sent {
            Ok(()) => tally.abandoned += 1,
            // nginx may have answered and closed already.
            Err(error) if format!("{error:#}").contains("reset") => tally.abandoned += 1,
            Err(error) => tally.fail(format!("abandoning: {error:#}")),
        }
    }

    /// Changes one character anywhere in a good token, which makes the token invalid.
    fn garble(&mut self, shots: &[Shot], tally: &mut Tally) {
        let Some(shot) = shots.get(self.random.below(shots.len())) else { return };
        let text = String::from_utf8_lossy(&shot.request.bytes()).into_owned();
        let Some(token) = text
            .split("Bearer ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next())
            .filter(|token| shot.status == 200 && token.len() > 10 && token.len() < 8000)
        else {
            return;
        };
        let at = self.random.below(token.len());
        let with = *b"AZaz09-_.=+ \x7f\xff".get(self.random.below(15)).unwrap_or(&b'A');
        let mut changed = token.as_bytes().to_vec();
        match changed.get_mut(at) {
            Some(byte) if *byte != with => *byte = with,
            _ => return,
        }
        if changed.trim_ascii().len() != changed.len() {
            return; // White space at the ends is taken off, and what is left may not be garbled.
        }
        let request = Request::new(PathBuf::new())
            .target("/")
            .header("Authorization", [&b"Bearer "[..], &changed].concat());
        self.ask("a garbled token", &request, 401, tally);
    }
}

/// The harness's error for a connection that ended before any part of an answer came.
pub(crate) const CLOSED: &str = "the connection closed before an answer: \"\"";

/// xorshift64: the order of requests does not matter, but a run must be repeatable.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % limit.max(1)
    }
}
