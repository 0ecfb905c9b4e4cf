//! Large configurations, each with very many of one thing, and the requests to send to it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::tokens::{SECRET, Signer, bearer, claims};

/// At most this many different requests take turns.
const TURNS: usize = 20_000;
/// How many providers or kids a scene has if it mainly varies the number of locations.
const PROVIDERS: usize = 100;
const KIDS: usize = 1_000;

/// A kind of thing that a configuration can have many of.
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// The largest number to measure; a hundredth and a tenth of it are measured as well.
    pub(super) full: usize,
    pub(super) of_locations: bool,
    pub(super) make: fn(usize, &Path) -> Result<Made>,
}

/// A configuration, and the requests to send to it.
#[derive(Default)]
pub(super) struct Made {
    pub(super) http: String,
    pub(super) server: String,
    /// Requests to send in turns; `last` is sent alone and is expected to be the most expensive.
    pub(super) turns: Vec<(String, String)>,
    pub(super) last: (String, String),
}

pub(super) const SCENES: [Scene; 9] = [
    Scene { name: "kids in a jwt_kids_file", full: 100_000, of_locations: false, make: kids },
    Scene {
        name: "providers that one location names",
        full: 1_000,
        of_locations: false,
        make: providers,
    },
    Scene {
        name: "identifiers in a jwt_revoked list",
        full: 1_000_000,
        of_locations: false,
        make: revoked,
    },
    Scene {
        name: "locations without a check",
        full: 10_000,
        of_locations: true,
        make: |size, _| unchecked(size),
    },
    Scene {
        name: "locations that inherit the check",
        full: 10_000,
        of_locations: true,
        make: inheriting,
    },
    Scene {
        name: "locations with a rule of their own",
        full: 10_000,
        of_locations: true,
        make: with_rule,
    },
    Scene {
        name: "locations that name the same key file",
        full: 10_000,
        of_locations: true,
        make: with_file,
    },
    Scene {
        name: "locations with a rule, below 100 providers",
        full: 10_000,
        of_locations: true,
        make: beneath_providers,
    },
    Scene {
        name: "locations that name the same file of 1 000 kids",
        full: 1_000,
        of_locations: true,
        make: with_large_file,
    },
];

const DEMANDS: &str =
    "jwt_issuer https://issuer.example; jwt_audience api; jwt_claim scope any read;";

/// Numbers below `size`, evenly spread, including the last one.
fn spread(size: usize) -> impl Iterator<Item = usize> {
    let count = size.min(TURNS);
    (1..=count).map(move |n| n * size / count - 1)
}

fn secret(number: usize) -> String {
    format!("{number:08}{SECRET}")
}

fn write_kids(size: usize, folder: &Path) -> Result<()> {
    let kids: Map<String, Value> =
        (0..size).map(|n| (format!("kid-{n:07}"), Value::from(secret(n)))).collect();
    Ok(fs::write(folder.join("kids.json"), Value::from(kids).to_string())?)
}

fn header(signer: &Signer, user: usize) -> Result<String> {
    Ok(bearer(&signer.token(&claims(user))?))
}

fn kids(size: usize, folder: &Path) -> Result<Made> {
    write_kids(size, folder)?;
    let turns = spread(size)
        .map(|n| {
            Ok((
                "/check".to_owned(),
                header(&Signer::secret(&format!("kid-{n:07}"), &secret(n)), n)?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let server = format!("location = /check {{ jwt_kids_file kids.json; {DEMANDS} empty_gif; }}");
    made(String::new(), server, turns)
}

fn made(http: String, server: String, turns: Vec<(String, String)>) -> Result<Made> {
    let last = turns.last().context("no requests")?.clone();
    Ok(Made { http, server, turns, last })
}

/// The blocks of `size` providers, and the parameters that name all of them.
fn provider_blocks(size: usize, folder: &Path) -> Result<(String, String)> {
    let (mut http, mut names) = (String::new(), String::new());
    for n in 0..size {
        let key = json!({ "kty": "oct", "kid": "k", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(secret(n)) });
        fs::write(folder.join(format!("provider-{n}.json")), key.to_string())?;
        writeln!(
            http,
            "jwt_provider p{n} {{ jwt_issuer https://issuer-{n:05}.example; jwks_file provider-{n}.json; }}",
        )?;
        write!(names, " provider=p{n}")?;
    }
    Ok((http, names))
}

fn header_of_provider(n: usize) -> Result<String> {
    let mut claims = claims(n);
    if let Some(issuer) = claims.get_mut("iss") {
        *issuer = Value::from(format!("https://issuer-{n:05}.example"));
    }
    Ok(bearer(&Signer::secret("k", &secret(n)).token(&claims)?))
}

fn providers(size: usize, folder: &Path) -> Result<Made> {
    let (http, names) = provider_blocks(size, folder)?;
    let server = format!(
        "location = /check {{ jwt on{names}; jwt_audience api; jwt_claim scope any read; empty_gif; }}"
    );
    let turns = spread(size)
        .map(|n| Ok(("/check".to_owned(), header_of_provider(n)?)))
        .collect::<Result<Vec<_>>>()?;
    made(http, server, turns)
}

fn revoked(size: usize, folder: &Path) -> Result<Made> {
    let mut list = String::new();
    for n in 0..size {
        // The list is not sorted, because real identifiers have no order.
        writeln!(list, "{:016x}-{n:08}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))?;
    }
    fs::write(folder.join("revoked"), list)?;
    let signer = Signer::secret("k", SECRET);
    let turns = (0..size.min(TURNS))
        .map(|n| Ok(("/check".to_owned(), header(&signer, n)?)))
        .collect::<Result<Vec<_>>>()?;
    let server = format!(
        "location = /check {{ jwt_kids {{ k {SECRET}; }} jwt_revoked jti revoked; {DEMANDS} empty_gif; }}"
    );
    made(String::new(), server, turns)
}

/// `size` locations, each with the directives that `inner` returns.
fn locations(size: usize, inner: impl Fn(usize) -> String) -> Result<String> {
    let mut text = String::new();
    for n in 0..size {
        writeln!(text, "location = /at-{n:07} {{ {} empty_gif; }}", inner(n))?;
    }
    Ok(text)
}

fn targets(size: usize, header: &str) -> Vec<(String, String)> {
    spread(size).map(|n| (format!("/at-{n:07}"), header.to_owned())).collect()
}

/// Locations without a check: they show what nginx itself needs.
pub(super) fn unchecked(size: usize) -> Result<Made> {
    let header = header(&Signer::secret("k", SECRET), 0)?;
    made(String::new(), locations(size, |_| String::new())?, targets(size, &header))
}

fn inheriting(size: usize, _: &Path) -> Result<Made> {
    let server =
        format!("jwt_kids {{ k {SECRET}; }} {DEMANDS} {}", locations(size, |_| String::new())?);
    let header = header(&Signer::secret("k", SECRET), 0)?;
    made(String::new(), server, targets(size, &header))
}

fn with_rule(size: usize, _: &Path) -> Result<Made> {
    let rules = locations(size, |n| format!("jwt_claim sub != user-{n};"))?;
    let server = format!("jwt_kids {{ k {SECRET}; }} {DEMANDS} {rules}");
    let header = header(&Signer::secret("k", SECRET), 0)?;
    made(String::new(), server, targets(size, &header))
}

fn with_file(size: usize, folder: &Path) -> Result<Made> {
    write_kids(1, folder)?;
    let files = locations(size, |_| "jwt_kids_file kids.json;".to_owned())?;
    let header = header(&Signer::secret("kid-0000000", &secret(0)), 0)?;
    made(
        String::new(),
        format!("{DEMANDS} location / {{ jwt off; }} {files}"),
        targets(size, &header),
    )
}

fn beneath_providers(size: usize, folder: &Path) -> Result<Made> {
    let (http, names) = provider_blocks(PROVIDERS, folder)?;
    let rules = locations(size, |n| format!("jwt_claim sub != user-{n};"))?;
    let header = header_of_provider(PROVIDERS - 1)?;
    made(http, format!("jwt on{names}; jwt_audience api; {rules}"), targets(size, &header))
}

fn with_large_file(size: usize, folder: &Path) -> Result<Made> {
    write_kids(KIDS, folder)?;
    let files = locations(size, |_| "jwt_kids_file kids.json;".to_owned())?;
    let header = header(&Signer::secret("kid-0000000", &secret(0)), 0)?;
    made(
        String::new(),
        format!("{DEMANDS} location / {{ jwt off; }} {files}"),
        targets(size, &header),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_to_the_last() {
        assert_eq!(spread(3).collect::<Vec<_>>(), [0, 1, 2]);
        let many: Vec<_> = spread(10 * TURNS).collect();
        assert_eq!((many.len(), many.last()), (TURNS, Some(&(10 * TURNS - 1))));
    }
}
