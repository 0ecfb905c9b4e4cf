//! Random configurations: locations with captures, maps with captures, and every directive that
//! takes values. A model that ignores these maps gives the expected answers: `$1` to `$3` must
//! always be the location's, whatever the maps match.

use std::fmt;

use anyhow::{Result, ensure};
use module_tests::{Jwt, Nginx, Request, SERVE, base64url, link, now};
use serde_json::json;

use super::LINK_SECRET;

const CONFIGURATIONS: u64 = 12;
const LOCATIONS: usize = 10;
const REQUESTS: usize = 60;

/// Random numbers that are the same in every run (xorshift64*).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or_default() % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

const TENANTS: [&str; 4] = ["red", "blue", "ed", "r"];
const SECONDS: [&str; 4] = ["", "a", "bb", "blue"];
const SOURCES: [&str; 6] =
    ["$uri", "$http_x_mode", "\"$http_x_mode$uri\"", "$args", "$request_uri", "$http_x_auth"];
const PATTERNS: [&str; 9] = [
    "~^(.)(.*)$",
    "~^strict(.*)$",
    "~^k-(.+)$",
    "~(b)(l)(u)(e)",
    "~/(\\d+)/(\\w+)/(\\w*)",
    "~^((((((((((.*))))))))))$",
    "~ed",
    "~^(x)?(.*)$",
    "~never(.)",
];

/// Maps that, except for the last two, give the same value whether their pattern matches or not.
fn maps(chance: &mut Chance) -> String {
    let mut maps = String::new();
    let names = [("on", "on"), ("empty", "\"\""), ("yes", "yes")];
    for (name, value) in names {
        for number in 0..3 {
            let volatile = if chance.coin() { "volatile;" } else { "" };
            let (source, pattern) = (chance.one(&SOURCES), chance.one(&PATTERNS));
            maps.push_str(&format!(
                "map {source} ${name}{number} {{ {volatile} default {value}; \"{pattern}\" {value}; }}\n"
            ));
        }
    }
    maps + "map $http_x_auth $by_map { volatile; \"~^Token (.+)$\" $1; }\n\
        map $http_x_mode $given { volatile; default none; \"~^k-(.+)$\" $1; }\n"
}

/// Who has signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    Everybody,
    Red,
    Blue,
}

impl Signer {
    fn secret(self) -> String {
        format!("{self:?}-").repeat(12)
    }

    fn of_tenant(tenant: &str) -> Option<Self> {
        match tenant {
            "red" => Some(Self::Red),
            "blue" => Some(Self::Blue),
            _ => None,
        }
    }
}

/// What a rule demands of the token or the request.
#[derive(Clone, Copy, Debug)]
enum Rule {
    TenantIsFirst,
    SecondIsSecond,
    TenantIsGiven,
    TenantIsGivenOrFirst,
    FirstIsThere,
    ThirdIsThere,
    Nothing,
}

const RULES: [Rule; 7] = [
    Rule::TenantIsFirst,
    Rule::SecondIsSecond,
    Rule::TenantIsGiven,
    Rule::TenantIsGivenOrFirst,
    Rule::FirstIsThere,
    Rule::ThirdIsThere,
    Rule::Nothing,
];

/// A location, as a model and as text.
struct Location {
    key_of_tenant: bool,
    token_by_map: bool,
    rules: Vec<Rule>,
    link: bool,
    /// Whether the location answers before the access phase.
    returns: bool,
    text: String,
}

impl Location {
    fn new(number: usize, chance: &mut Chance) -> Self {
        let mut location = Self {
            key_of_tenant: chance.coin(),
            token_by_map: chance.below(4) == 0,
            rules: (0..chance.below(4)).map(|_| chance.one(&RULES)).collect(),
            link: chance.coin(),
            returns: chance.below(4) == 0,
            text: String::new(),
        };
        location.text = location.render(number, chance);
        location
    }

    fn render(&self, number: usize, chance: &mut Chance) -> String {
        let mut text = Vec::new();
        let empty = |chance: &mut Chance| match chance.below(3) {
            0 => String::new(),
            _ => format!("${{empty{}}}", chance.below(3)),
        };
        let value = |chance: &mut Chance, value: &str| {
            format!("\"{}{value}{}\"", empty(chance), empty(chance))
        };
        text.push(match self.key_of_tenant {
            true => format!(
                "auth_jwt_key_file \"keys/{}$1{}.json\"; jwt on;",
                empty(chance),
                empty(chance)
            ),
            false => format!("jwt_kids {{ k {}; }}", Signer::Everybody.secret()),
        });
        if chance.coin() && !self.key_of_tenant {
            text.push(format!("jwt $on{};", chance.below(3)));
        }
        match (self.token_by_map, chance.below(3)) {
            (true, _) => text.push("jwt_token $by_map;".to_owned()),
            (_, 0) => text.push(format!("jwt_token $empty{} bearer;", chance.below(3))),
            _ => {}
        }
        for rule in &self.rules {
            let yes = chance.below(3);
            text.push(match rule {
                Rule::TenantIsFirst => format!("jwt_claim tenant = {};", value(chance, "$1")),
                Rule::SecondIsSecond => format!("jwt_claim second = {};", value(chance, "$2")),
                Rule::TenantIsGiven => format!("jwt_claim tenant = {};", value(chance, "$given")),
                Rule::TenantIsGivenOrFirst => {
                    format!("jwt_claim tenant any $given {};", value(chance, "$1"))
                }
                Rule::FirstIsThere => format!("jwt_require $yes{yes} {};", value(chance, "$1")),
                Rule::ThirdIsThere => format!("jwt_require {} $yes{yes};", value(chance, "$3")),
                Rule::Nothing => format!("jwt_require \"$yes{yes}$1\" $yes{yes};"),
            });
        }
        if chance.coin() {
            text.push(format!("jwt_realm {};", value(chance, "realm $1")));
        }
        if self.link {
            text.push(format!("secure_token_secret {LINK_SECRET};"));
            text.push(format!("secure_token_value {};", value(chance, "$1/$2/")));
            if chance.coin() {
                text.push(format!("secure_token $on{};", chance.below(3)));
            }
        }
        if self.returns {
            text.push("return 200 \"$1|$jwt_status|$2|$secure_token_status|$3\";".to_owned());
        }
        format!(
            "location ~ ^/{number}/(\\w+)/((\\w)\\w*)? {{
                set $early \"$1|$jwt_status|$2|$secure_token_status|$3\"; {}
                add_header X-Early $early always;
                add_header X-Echo \"$1|$2|$3\" always; add_header X-Jwt-Status $jwt_status always;
                {SERVE} }}\n",
            text.join(" ")
        )
    }
}

/// What a client sends.
#[derive(Debug)]
struct Asked {
    tenant: &'static str,
    second: &'static str,
    mode: &'static str,
    signer: Option<Signer>,
    claims: (&'static str, &'static str),
    in_map: bool,
    signed: Option<(&'static str, &'static str)>,
}

impl Asked {
    fn new(chance: &mut Chance) -> Self {
        let (tenant, second) = (chance.one(&TENANTS), chance.one(&SECONDS));
        let often = |chance: &mut Chance, right, of: &[&'static str]| {
            if chance.coin() { right } else { chance.one(of) }
        };
        let signers = [Signer::Everybody, Signer::Red, Signer::Blue];
        let signer = match chance.below(3) {
            0 => Signer::of_tenant(tenant),
            _ => Some(chance.one(&signers)),
        };
        Self {
            tenant,
            second,
            mode: chance.one(&["", "strictred", "strictblue", "k-red", "k-blue", "x", "kept"]),
            signer,
            claims: (often(chance, tenant, &TENANTS), often(chance, second, &SECONDS)),
            in_map: chance.coin(),
            signed: (chance.below(4) > 0)
                .then(|| (often(chance, tenant, &TENANTS), often(chance, second, &SECONDS))),
        }
    }

    fn request(&self, number: usize, request: Request) -> Result<Request> {
        let path = format!("/{number}/{}/{}", self.tenant, self.second);
        let target = match self.signed {
            None => path,
            Some((tenant, second)) => {
                let signed = link(LINK_SECRET, &format!("{tenant}/{second}/"), now() + 300);
                let (_, query) = signed.split_once('?').unwrap_or_default();
                format!("{path}?{query}")
            }
        };
        let mut request = request.target(target);
        if !self.mode.is_empty() {
            request = request.header("X-Mode", self.mode);
        }
        let Some(signer) = self.signer else { return Ok(request) };
        let claims = json!({ "tenant": self.claims.0, "second": self.claims.1 });
        let token = Jwt::live_with(&claims).kid("k").hs("HS256", signer.secret())?;
        Ok(match self.in_map {
            true => request.header("X-Auth", format!("Token {token}")),
            false => request.bearer(&token),
        })
    }

    fn holds(&self, rule: Rule) -> bool {
        let given = self.mode.strip_prefix("k-").unwrap_or("none");
        match rule {
            Rule::TenantIsFirst => self.claims.0 == self.tenant,
            // An empty value never matches a claim.
            Rule::SecondIsSecond => !self.second.is_empty() && self.claims.1 == self.second,
            Rule::TenantIsGiven => self.claims.0 == given,
            Rule::TenantIsGivenOrFirst => [given, self.tenant].contains(&self.claims.0),
            Rule::ThirdIsThere => !self.second.is_empty(),
            Rule::FirstIsThere | Rule::Nothing => true,
        }
    }

    /// Status and word of the token check.
    fn token(&self, location: &Location) -> (u16, &'static str) {
        let Some(signer) = self.signer.filter(|_| location.token_by_map == self.in_map) else {
            return (401, "missing");
        };
        let key = match location.key_of_tenant {
            true => Signer::of_tenant(self.tenant),
            false => Some(Signer::Everybody),
        };
        match key {
            None => (503, "no_keys"),
            Some(key) if key != signer => (401, "bad_signature"),
            _ if location.rules.iter().all(|rule| self.holds(*rule)) => (200, "ok"),
            _ => (403, "denied"),
        }
    }

    /// Status and word of the link check.
    fn link(&self, location: &Location) -> (u16, &'static str) {
        match self.signed {
            _ if !location.link => (200, "off"),
            None => (403, "missing"),
            Some(signed) if signed == (self.tenant, self.second) => (200, "ok"),
            Some(_) => (403, "bad_signature"),
        }
    }
}

/// `$1|WORD|$2|WORD|$3`.
fn early(asked: &Asked, location: &Location) -> String {
    let third = asked.second.get(..1).unwrap_or_default();
    let words = (asked.token(location).1, asked.link(location).1);
    format!("{}|{}|{}|{}|{third}", asked.tenant, words.0, asked.second, words.1)
}

fn expect<T: PartialEq + fmt::Debug>(what: &str, is: T, expected: T) -> Result<()> {
    ensure!(is == expected, "{what} is {is:?} instead of {expected:?}");
    Ok(())
}

fn ask(nginx: &Nginx, number: usize, location: &Location, asked: &Asked) -> Result<()> {
    let response = asked.request(number, nginx.request())?.send()?;
    if location.returns {
        return expect("the text", response.text().as_ref(), &early(asked, location));
    }
    let status = match asked.token(location) {
        (200, _) => asked.link(location).0,
        (status, _) => status,
    };
    expect("the status", response.status, status)?;
    expect("the word", response.verdict().1, asked.token(location).1)?;
    let third = asked.second.get(..1).unwrap_or_default();
    let echo = format!("{}|{}|{third}", asked.tenant, asked.second);
    expect("the echo", response.header("X-Echo"), Some(echo.as_str()))?;
    expect("before", response.header("X-Early"), Some(early(asked, location).as_str()))
}

fn key_file(signer: Signer) -> String {
    json!({ "keys": [{ "kty": "oct", "kid": "k", "k": base64url(signer.secret()) }] }).to_string()
}

#[test]
fn captures_are_the_locations_whatever_is_evaluated() -> Result<()> {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..CONFIGURATIONS {
        let mut chance = Chance::new(seed);
        let maps = maps(&mut chance);
        let locations: Vec<_> = (0..LOCATIONS).map(|n| Location::new(n, &mut chance)).collect();
        let nginx = Nginx::builder()
            .http(&maps)
            .server(locations.iter().map(|one| one.text.as_str()).collect::<String>())
            .file("keys/red.json", key_file(Signer::Red))
            .file("keys/blue.json", key_file(Signer::Blue))
            .expect_log("keys/")
            .start()?;
        for (number, location) in locations.iter().enumerate() {
            for _ in 0..REQUESTS {
                let asked = Asked::new(&mut chance);
                let outcome = ask(&nginx, number, location, &asked);
                outcome.map_err(|error| {
                    error.context(format!(
                        "configuration {seed}: {asked:?} at\n{}in\n{maps}",
                        location.text
                    ))
                })?;
                let words = (asked.token(location).1, asked.link(location).1);
                *seen.entry(words).or_insert(0) += 1;
            }
        }
        nginx.finish()?;
    }
    // The random requests must include passes and refusals of every kind.
    println!("{seen:?}");
    for token in ["ok", "denied", "bad_signature", "missing", "no_keys"] {
        for link in ["off", "ok", "missing", "bad_signature"] {
            assert!(seen.get(&(token, link)).is_some_and(|count| *count > 10), "{token}, {link}");
        }
    }
    Ok(())
}
