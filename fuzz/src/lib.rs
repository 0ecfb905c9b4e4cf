//! The functions of the fuzz targets. Each checks that the core does not panic and that its answer
//! is right, mostly by computing the answer again in a naive way.

// A target reports a finding by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asked;
mod cdni;
mod cloudfront;
mod fetched;
mod google;
mod jwe;
mod link;
mod links;
mod lists;
mod playlist;
mod signing;
mod status_list;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::credential::{self, Found};
use token::json::{Document, Number, Value};
use token::{
    AlgorithmSet, Cache, ClaimPath, ClaimRule, Headers, Issuers, Key, KeySet, LiveInputs, Loaded,
    LocationPolicy, MAX_PUBLISHED_KEYS, MAX_TOKEN_LEN, Operator, Policy, Providers, Refusal,
    Reject, Requirements, Revocation, RevokedList, Trust, Verified, With, load_keys, load_kids,
    load_published_keys,
};

pub use cdni::cdni;
pub use cloudfront::cloudfront;
pub use fetched::answer;
pub use google::google;
pub use jwe::jwe;
pub use link::link;
pub use links::{akamai, bunny};
pub use lists::{revoked, table};
pub use playlist::playlist;
pub use signing::{private, signing};
pub use status_list::status_list;

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret that fuzzing knows, long enough for HS256";

/// The parts of an input, separated by bytes that never occur in valid input.
fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut parts = [&b""[..]; N];
    for (part, text) in parts.iter_mut().zip(input.splitn(N, |byte| *byte == 0xfe)) {
        *part = text;
    }
    parts
}

// --- tokens -----------------------------------------------------------------------------------

fn key_set(files: &[&str]) -> Vec<Arc<KeySet>> {
    let keys = files.iter().map(|text| {
        let loaded = load_keys(text.as_bytes(), Some("file")).expect("a good key file");
        Arc::new(KeySet::new(loaded.keys))
    });
    let secret = |kid| Key::hmac(SECRET, AlgorithmSet::ALL).expect("a key").with_kid(kid);
    let mut sets: Vec<_> = keys.collect();
    sets.push(Arc::new(KeySet::new(vec![secret(Some("hmac")), secret(None)])));
    sets
}

fn requirements(issuer: Option<&str>) -> Requirements {
    let list = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect();
    Requirements {
        issuers: Issuers::new(issuer).expect("good patterns"),
        audiences: list(&["api"]),
        types: list(&["at+jwt", "JWT"]),
        require_exp: true,
        max_lifetime: Some(1_000),
    }
}

struct Judges {
    plain: Policy,
    /// The plain policy, which accepts padding.
    padded: Policy,
    strict: Policy,
    providers: Trust,
    /// The strict policy and the providers again, for checks with the cache.
    cached: [Trust; 2],
}

thread_local! {
    /// A small cache, which is soon full; both entries of `cached` share it.
    static CACHE: Cache = Cache::new(64 * 1024).expect("random numbers");
    /// The last headers, as a worker has them beside its cache.
    static HEADERS: Headers = Headers::default();
}

static JUDGES: LazyLock<Judges> = LazyLock::new(|| {
    let files = [
        include_str!("../../tests/keys/p256.jwk.json"),
        include_str!("../../tests/keys/ed25519.pub.pem"),
        include_str!("../../tests/keys/rsa2048.jwk.json"),
        include_str!("../../tests/keys/p521.pub.pem"),
    ];
    let revoked = || {
        let list = RevokedList::parse(b"gone\n7\n".to_vec()).expect("a list");
        Arc::new(Revocation::new(ClaimPath::new("jti").expect("a path"), list))
    };
    let policy = |issuer| Policy {
        keys: key_set(&files),
        leeway: 10,
        requirements: vec![requirements(issuer)],
        revoked: vec![revoked()],
        ..Policy::default()
    };
    let providers = Providers::new(["a", "b", "~^c[0-9]+$"].map(|issuer| policy(Some(issuer))));
    let providers = Arc::new(providers.expect("issuers of their own"));
    let providers = || Trust::Providers(Arc::clone(&providers), LocationPolicy::default());
    Judges {
        plain: Policy { keys: key_set(&files), ..Policy::default() },
        padded: Policy { keys: key_set(&files), padding: true, ..Policy::default() },
        strict: policy(None),
        providers: providers(),
        cached: [Trust::Keys(policy(None)), providers()],
    }
});

/// The parts of a result that must be equal with and without the cache.
fn told(answer: &Result<Verified, Refusal>) -> Result<(usize, &str, &str), &Refusal> {
    answer.as_ref().map(|it| (it.provider, it.header.text(), it.payload.text()))
}

/// The input is a token, or a header and a payload. Those are signed here, so that they pass the
/// signature check and reach the parsers behind it.
pub fn token(input: &[u8]) {
    let judges = &*JUDGES;
    let [header, payload] = parts(input);
    let signed = input.contains(&0xfe).then(|| {
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key").chain_update(&text);
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())).into_bytes()
    });
    let token = signed.as_deref().unwrap_or(input);
    let plain = judges.plain.check(token, NOW);
    let strict = judges.strict.check(token, NOW);
    let provider = judges.providers.check(token, NOW, |_| LiveInputs::default());
    let jws = judges.plain.verify_jws(token, NOW);
    for (trust, answer) in judges.cached.iter().zip([&strict, &provider]) {
        // At the second check the cache knows the token, if the first accepted it.
        for _ in 0..2 {
            let again = CACHE.with(|cache| {
                HEADERS.with(|headers| {
                    let (cache, headers) = (Some(cache), Some(headers));
                    let with = With { cache, headers, ..With::default() };
                    trust.check_with(token, NOW, |_| LiveInputs::default(), with)
                })
            });
            assert_eq!(told(&again), told(answer));
        }
    }
    let padded = judges.padded.check(token, NOW);
    if !token.contains(&b'=') || plain.is_ok() {
        assert_eq!(told(&padded), told(&plain));
    }
    if judges.plain.check_form(token).is_err() {
        assert!(plain.is_err());
    }
    if let Ok(verified) = &plain {
        // Only a token that was signed here can be accepted, and only if it is strict JSON.
        assert!(signed.is_some() && token.len() <= MAX_TOKEN_LEN);
        assert_eq!(verified.payload.text().as_bytes(), payload);
        assert_eq!(verified.header.text().as_bytes(), header);
        let header: serde_json::Value = serde_json::from_slice(header).expect("JSON");
        let claims: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
        assert_eq!(header["alg"], "HS256");
        assert!(header.get("crit").is_none() && claims.is_object());
        // `>=`, because the conversion to a double may round `exp` down to now.
        assert!(claims.get("exp").is_none_or(|exp| exp.as_f64().expect("a number") >= NOW as f64));
        let nbf = claims.get("nbf").filter(|nbf| !nbf.is_null());
        assert!(nbf.is_none_or(|nbf| nbf.as_f64().expect("a number") <= NOW as f64));
        assert!(jws.is_ok());
    }
    let known = |verified: &Verified, issuer: Option<&str>| {
        let claims: serde_json::Value =
            serde_json::from_str(verified.payload.text()).expect("JSON");
        assert!(claims["exp"].is_number() && claims["jti"] != "gone" && claims["jti"] != "7");
        assert!(issuer.is_none_or(|issuer| claims["iss"] == issuer));
        let audience = &claims["aud"];
        let named = audience.as_array().is_some_and(|list| list.iter().any(|it| it == "api"));
        assert!(audience == "api" || named);
    };
    if let Ok(verified) = &strict {
        known(verified, None);
    }
    if let Ok(verified) = &provider {
        assert!(strict.is_ok(), "a provider accepts what its keys and requirements alone do not");
        known(verified, ["a", "b"].get(verified.provider).copied());
    }
    for refusal in [plain.err(), strict.err(), provider.err(), jws.err()].into_iter().flatten() {
        let line = refusal.to_string();
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        assert!(line.len() < 900, "{line:?}");
        assert!(!refusal.reason.status().is_empty() && !refusal.reason.description().is_empty());
        drop(token::challenge::bearer(
            Some(header),
            &[("scope", header)],
            refusal.reason,
            input.len().is_multiple_of(2),
        ));
    }
}

// --- keys -------------------------------------------------------------------------------------

/// The input is a key file; it is read with and without a kid from the configuration.
pub fn keys(input: &[u8]) {
    for kid in [None, Some("kid")] {
        match load_keys(input, kid) {
            Ok(loaded) => usable(loaded, false),
            Err(error) => drop(error.to_string()),
        }
    }
    let published = load_published_keys(input);
    // A file is read as published keys are, but for their limits, which no short text reaches. It is
    // refused for two more reasons: different keys of one kid, and a secret that is public.
    if input.len() < 4_096
        && let Ok(file) = load_keys(input, None)
    {
        let published = published.as_ref().expect("a file is read more strictly");
        let keys = |loaded: &Loaded| -> Vec<_> {
            let one = |key: &Key| (key.kid().map(str::to_owned), key.algorithms());
            loaded.keys.iter().map(one).collect()
        };
        assert_eq!(keys(published), keys(&file));
        assert_eq!(published.warnings, file.warnings);
    }
    if let Ok(loaded) = published {
        assert!(loaded.keys.len() <= MAX_PUBLISHED_KEYS && loaded.warnings.len() <= 12);
        usable(loaded, false);
    }
}

/// Keys that were read; those without a kid are for whatever kid if `for_any_kid`.
fn usable(loaded: Loaded, for_any_kid: bool) {
    assert!(!loaded.keys.is_empty());
    let mut seen = HashSet::new();
    for key in &loaded.keys {
        assert!(!key.algorithms().is_empty() && key.is_current(i64::MIN));
        for algorithm in key.algorithms().iter() {
            // No two keys have the same kid and algorithm.
            assert!(key.kid().is_none_or(|kid| seen.insert((kid.to_owned(), algorithm))));
            for signature in [&[0; 64][..], &[1; 256], b""] {
                assert!(!key.verify(algorithm, b"message", signature));
            }
        }
    }
    let kids: Vec<_> = loaded.keys.iter().map(|key| key.kid().map(str::to_owned)).collect();
    let set = KeySet::new(loaded.keys);
    assert_eq!(set.len(), kids.len());
    let named = kids.iter().any(|kid| kid.is_some() || for_any_kid);
    assert_eq!(set.conflict(&set).is_some(), named);
    let policy = Policy { keys: vec![Arc::new(set)], ..Policy::default() };
    for kid in kids.into_iter().flatten().take(2) {
        let header = serde_json::json!({"alg": "HS256", "kid": kid}).to_string();
        let token = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header));
        let refusal = policy.check(token.as_bytes(), NOW).expect_err("no signature");
        let long = token.len() > 8_000;
        assert!(long || refusal.reason != Reject::UnknownKey, "{kid:?}");
    }
}

/// The input is a file of kids and secrets, and also one entry of a block of kids.
pub fn kids(input: &[u8]) {
    match load_kids(input) {
        Ok(loaded) => usable(loaded, true),
        Err(error) => drop(error.to_string()),
    }
    let [kid, secret, options] = parts(input);
    let options: Vec<&[u8]> =
        options.split(|byte| *byte == b' ').filter(|option| !option.is_empty()).collect();
    let mut loaded = Loaded::default();
    match loaded.add_secret(kid, secret, &options) {
        Ok(()) => {
            // The kid * is for whatever kid, and is none of its own.
            let own = Some(kid).filter(|kid| *kid != b"*");
            assert!(loaded.keys.iter().all(|key| key.kid().map(str::as_bytes) == own));
            assert!(token::public_form(secret).is_none() || !options.is_empty());
            assert!(loaded.add_secret(kid, secret, &options).is_err(), "a second key of one kid");
            usable_until(loaded);
        }
        Err(error) => {
            assert!(loaded.keys.is_empty());
            // The message does not depend on the secret.
            let another: Vec<u8> = secret.iter().map(|byte| byte ^ 1).collect();
            if let Err(other) = loaded.add_secret(kid, &another, &options)
                && std::mem::discriminant(&other.fault) == std::mem::discriminant(&error.fault)
            {
                assert_eq!(error.to_string(), other.to_string());
            }
        }
    }
}

/// Like `usable`, for keys that may expire.
fn usable_until(loaded: Loaded) {
    for key in &loaded.keys {
        assert!(!key.algorithms().is_empty() && key.is_secret());
        assert!(!key.is_current(i64::MAX) || key.is_current(NOW));
    }
}

// --- rules ------------------------------------------------------------------------------------

/// The input is a payload, a claim path, an operator and values.
pub fn rules(input: &[u8]) {
    let [payload, path, operator, values] = parts(input);
    let serde = serde_json::from_slice::<serde_json::Value>(payload);
    let Ok(document) = Document::parse(payload.to_vec()) else { return };
    let serde = serde.expect("what is accepted here is JSON");
    let mut written = String::new();
    document.root().write_json(&mut written);
    assert!(!written.contains(char::is_control));
    let again = Document::parse(written.clone().into_bytes()).expect("JSON");
    let mut twice = String::new();
    again.root().write_json(&mut twice);
    assert_eq!(twice, written);
    drop(document.root().to_text());
    if let Some(numbers) = document.root().items() {
        let numbers: Vec<Number<'_>> = numbers.filter_map(Value::as_number).take(20).collect();
        for (a, b) in numbers.iter().flat_map(|a| numbers.iter().map(move |b| (a, b))) {
            let ordering = a.compare(*b);
            assert_eq!(ordering, b.compare(*a).reverse());
            assert!(Number::parse(a.as_str().as_bytes()).expect("a number").compare(*a).is_eq());
            let double = |it: &Number<'_>| it.as_str().parse::<f64>().expect("a number");
            // Rounding may make two numbers equal, but never changes their order.
            let rounded = double(a).partial_cmp(&double(b)).expect("finite");
            assert!(rounded == ordering || rounded.is_eq(), "{a} and {b}");
        }
    }
    let (Ok(path), Ok(operator)) = (std::str::from_utf8(path), std::str::from_utf8(operator))
    else {
        return;
    };
    if let Some(path) = ClaimPath::new(path) {
        let found = path.find(document.root());
        let exact = serde.get(path.as_str());
        assert!(found.is_some() || exact.is_none());
    }
    let Some(operator) = Operator::from_name(operator) else { return };
    let values: Vec<&[u8]> = values.split(|byte| *byte == 0xff).collect();
    let texts: Vec<Option<&str>> =
        values.iter().map(|value| std::str::from_utf8(value).ok()).collect();
    let lists: [&[Option<&str>]; 2] = [&texts, &[]];
    let mut found = [false; 2];
    for (found, list) in found.iter_mut().zip(lists) {
        match ClaimRule::new(path, operator, list) {
            Ok(rule) => *found = rule.holds(&document, if list.is_empty() { &[] } else { &values }),
            Err(error) => drop(error.to_string()),
        }
    }
    // A rule and its negation are never both satisfied, unless different values satisfy them.
    if ClaimPath::new(path).is_none_or(|path| path.leads_to_many()) {
        return;
    }
    let opposite = match operator {
        Operator::Equal => Operator::NotEqual,
        Operator::Prefix => Operator::NotPrefix,
        Operator::Any => Operator::None,
        Operator::Less => Operator::GreaterOrEqual,
        Operator::Greater => Operator::LessOrEqual,
        Operator::Match { ignore_case, negated: false } => {
            Operator::Match { ignore_case, negated: true }
        }
        _ => return,
    };
    if let Ok(rule) = ClaimRule::new(path, opposite, &texts) {
        assert!(!(found[0] && rule.holds(&document, &values)));
    }
}

// --- credentials ------------------------------------------------------------------------------

/// The input is header lines, a query, and the name of a header, cookie or argument.
pub fn authorization(input: &[u8]) {
    let [lines, query, name] = parts(input);
    let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
    let within = |found: Found<'_>, texts: &[&[u8]]| {
        if let Found::One(token) = found {
            let inside = |text: &&[u8]| {
                token.is_empty() || text.ends_with(token) || {
                    text.windows(token.len()).any(|window| window == token)
                }
            };
            assert!(texts.iter().any(inside));
        }
    };
    let bearer = credential::bearer(lines.iter().copied());
    within(bearer, &lines);
    if let Found::One(token) = bearer {
        assert!(lines.len() == 1 && !token.is_empty() && token.first() != Some(&b' '));
        let scheme = lines[0].get(..7).expect("a scheme");
        assert!(scheme.eq_ignore_ascii_case(b"bearer "));
    }
    let header = credential::header(lines.iter().map(|line| (name, *line)), name, None);
    within(header, &lines);
    assert!(header != Found::One(b"") && (lines.len() == 1 || header == Found::Unusable));
    let basic = credential::basic(lines.iter().copied());
    within(basic, &lines);
    // A line has one scheme, and a custom one is read by the same rule.
    assert!(!matches!((bearer, basic), (Found::One(_), Found::One(_))));
    assert_eq!(credential::of_scheme(lines.iter().copied(), b"bEARER"), bearer);
    if let Found::One(text) = basic
        && let Some(password) = credential::password(text)
    {
        assert!(password.len() < text.len() && !password.iter().any(u8::is_ascii_control));
    }
    if let Some(scheme) =
        lines[0].split(|byte| *byte == b' ').next().filter(|it| credential::is_token(it))
    {
        let named = lines.iter().map(|line| (name, *line));
        let custom = credential::header(named, name, Some(scheme));
        within(custom, &lines);
        assert_ne!(custom, Found::One(b""));
        assert_eq!(custom, credential::of_scheme(lines.iter().copied(), scheme));
    }
    // A name that the empty argument spells, such as `[`, is in every query.
    let is_nothing = credential::without_arguments(b"", [name].into_iter()).is_some();
    if is_nothing {
    } else if let Some(rest) = credential::without_arguments(query, [name].into_iter()) {
        assert!(rest.len() < query.len());
        assert_eq!(credential::argument(&rest, name), Found::Absent);
        assert_eq!(credential::without_arguments(&rest, [name].into_iter()), None);
    } else {
        assert_eq!(credential::argument(query, name), Found::Absent);
    }
    let cookie = credential::cookie(lines.iter().copied(), name);
    within(cookie, &lines);
    assert_ne!(cookie, Found::One(b""));
    let argument = credential::argument(query, name);
    within(argument, &[query]);
    assert_eq!(argument.or_absent() == Found::Absent, {
        matches!(argument, Found::Absent | Found::One(b""))
    });
    // The naive computation, for names of letters and digits only.
    if !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric()) {
        let values = |separators: &[u8], is_it: &dyn Fn(&[u8]) -> bool| -> Vec<Vec<u8>> {
            let pairs = query.split(|byte| separators.contains(byte));
            let pairs = pairs.filter_map(|pair| {
                let at = pair.iter().position(|byte| *byte == b'=')?;
                is_it(&pair[..at]).then(|| pair[at + 1..].to_vec())
            });
            pairs.collect()
        };
        let exact = values(b"&", &|it| it == name);
        let any_case = values(b"&;", &|it| it.eq_ignore_ascii_case(name));
        match argument {
            Found::One(value) => assert!(exact == [value] && any_case == [value]),
            Found::Absent => assert!(exact.is_empty() && any_case.is_empty()),
            Found::Unusable => {}
        }
        if let Some(value) = credential::single_argument(query, name) {
            assert!(exact == [value] && any_case == [value]);
        }
    }
}
