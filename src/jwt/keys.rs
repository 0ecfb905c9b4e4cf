//! The directives that bring keys and revocation lists.

use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use token::{Algorithm, KeySet, LoadError, Loaded, MAX_NAMELESS, PerKid};

use super::check::{KeyFile, KeyRequest, KeySource};
use super::files::{KeyFormat, KeysOf, decryption_keys};
use super::http_level::HttpLevel;
use super::noted::Holder;
use super::policy::Keys;
use super::rules::text;
use super::settings::JwtSettings;
use crate::check::{FetchTimes, Severity, once, option_once, positive};
use crate::live::file::{self, LARGEST_KEY_FILE, Text};
use crate::live::{NamedServer, Watched};
use crate::nginx::{self, ConfError, Result, Setting, variables};

/// The options of a directive that names a file.
#[derive(Default)]
pub(super) struct Options<'s> {
    pub(super) kid: Option<&'s str>,
    /// In milliseconds.
    pub(super) check: Option<u64>,
}

impl<'s> Options<'s> {
    /// Reads the arguments from number `from` on; `kid=` is allowed if `takes_kid`.
    pub(super) fn read(setting: &'s Setting<'_>, from: usize, takes_kid: bool) -> Result<Self> {
        let mut options = Self::default();
        for option in setting.values().skip(from - 1) {
            if let Some(kid) = option.strip_prefix(b"kid=").filter(|_| takes_kid) {
                option_once(&mut options.kid, option, text(kid)?)?;
            } else if let Some(time) = option.strip_prefix(b"check=") {
                option_once(&mut options.check, option, positive(option, time)?)?;
            } else {
                return Err(ConfError::parameter(option));
            }
        }
        Ok(options)
    }
}

pub(crate) fn jwt_kids(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let loaded = setting.block(Loaded::default(), kid)?;
    let loaded = loaded.finish().map_err(failed)?;
    warn(setting, &loaded.warnings, None);
    let set = Arc::new(KeySet::new(loaded.keys));
    http.sources.note(setting, b"", Holder::Keys(Arc::clone(&set)));
    add_set(conf, setting, set, true)
}

pub(crate) fn jwt_kids_file(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let options = Options::read(setting, 2, false)?;
    key_file(conf, http, setting, options.check, KeyFormat::Kids, true)
}

pub(crate) fn jwks_file(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let options = Options::read(setting, 2, true)?;
    let format = KeyFormat::Keys(options.kid.map(Into::into));
    key_file(conf, http, setting, options.check, format, true)
}

/// Reads an entry of `jwt_kids`: `KID SECRET [encoding=...] [alg=...] [expires=...];`.
fn kid(loaded: &mut Loaded, setting: &Setting<'_>) -> Result {
    let Some(secret) = setting.arg(1) else {
        return Err(ConfError::mistake(
            "wants entries of the form \"KID SECRET [encoding=...] [alg=...] [expires=...];\"",
        ));
    };
    let options: Vec<&[u8]> = setting.values().skip(1).collect();
    loaded.add_secret(setting.arg(0).unwrap_or_default(), secret, &options).map_err(failed)
}

fn failed(error: LoadError) -> ConfError {
    ConfError::Failed(error.to_string())
}

/// The error about the file at `path`.
pub(super) fn bad_file(path: &[u8], why: impl Display) -> ConfError {
    let path = String::from_utf8_lossy(path);
    ConfError::Failed(format!("\"{path}\": {why}"))
}

/// Warns of a file with keys that decrypt which is not only for nginx.
pub(super) fn warn_if_readable(setting: &Setting<'_>, path: &[u8]) {
    if file::is_readable_by_all(path) {
        setting.warn(&format!(
            "{}: every user of this machine can read this key, and so decrypt tokens with it: take that \
             right away (chmod o-r)",
            String::from_utf8_lossy(path)
        ));
    }
}

/// Reads a file that a directive names, up to `limit` bytes.
pub(super) fn read_file(path: &[u8], limit: usize) -> Result<Text> {
    file::read(path, limit).map_err(|error| bad_file(path, error))
}

/// Adds the keys of the file that the directive names: fixed, or watched for changes.
fn key_file(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &Setting<'_>,
    check: Option<u64>,
    format: KeyFormat,
    switch_on: bool,
) -> Result {
    let path = setting.file_path(setting.first())?;
    let read = || read_keys(http, setting, &path, check, format.clone());
    match http.files.keys.get_or_read(&path, format.clone(), check, read)? {
        KeysOf::Fixed(set) => add_set(conf, setting, set, switch_on),
        KeysOf::Watched(watched) => {
            let set = watched.get(0).0;
            warn_of_conflict(conf, setting, &set)?;
            refuse_too_many_nameless(conf, &set)?;
            add_source(conf, setting, KeySource::Watched(watched), switch_on);
            Ok(())
        }
    }
}

fn read_keys(
    http: &HttpLevel,
    setting: &Setting<'_>,
    path: &[u8],
    check: Option<u64>,
    format: KeyFormat,
) -> Result<KeysOf> {
    let shown = String::from_utf8_lossy(path);
    let Some(check) = check else {
        let loaded =
            format.load(&read_file(path, LARGEST_KEY_FILE)?).map_err(|why| bad_file(path, why))?;
        warn(setting, &loaded.warnings, Some(&shown));
        let set = Arc::new(KeySet::new(loaded.keys));
        http.sources.note(setting, path, Holder::Keys(Arc::clone(&set)));
        return Ok(KeysOf::Fixed(set));
    };
    let health = http.health.add(&[b"file ", path].concat());
    let parse = move |text: Text, _: Option<&KeySet>| {
        let loaded = format.load(&text)?;
        Ok((KeySet::new(loaded.keys), loaded.warnings))
    };
    let opened = Watched::open(path, LARGEST_KEY_FILE, check, Box::new(parse), health);
    let (watched, warnings) = opened.map_err(|why| bad_file(path, why))?;
    warn(setting, &warnings, Some(&shown));
    let watched = Rc::new(watched);
    http.sources.note(setting, path, Holder::WatchedKeys(Rc::clone(&watched)));
    Ok(KeysOf::Watched(watched))
}

/// Warns of what is odd in the file at `path`.
pub(super) fn warn(setting: &Setting<'_>, warnings: &[String], path: Option<&str>) {
    for warning in warnings {
        match path {
            Some(path) => setting.warn(&format!("{path}: {warning}")),
            None => setting.warn(warning),
        }
    }
}

fn add_set(
    conf: &mut JwtSettings,
    setting: &Setting<'_>,
    set: Arc<KeySet>,
    switch_on: bool,
) -> Result {
    warn_of_conflict(conf, setting, &set)?;
    refuse_too_many_nameless(conf, &set)?;
    let keys = keys_of(conf, setting, switch_on);
    keys.sets.push(set);
    Ok(())
}

fn add_source(
    conf: &mut JwtSettings,
    setting: &Setting<'_>,
    source: KeySource,
    switch_on: bool,
) -> Rc<KeySource> {
    let source = Rc::new(source);
    keys_of(conf, setting, switch_on).sources.push(Rc::clone(&source));
    source
}

/// The keys of the level, for the directive to add to.
fn keys_of<'k>(conf: &'k mut JwtSettings, setting: &Setting<'_>, switch_on: bool) -> &'k mut Keys {
    let severity = if switch_on { Severity::Error } else { Severity::Nothing };
    conf.base.asked.note("jwt_kids", setting, severity);
    let keys = conf.policy.keys.get_or_insert_default();
    keys.switch_on |= switch_on;
    keys.positions.push(setting.position());
    keys
}

/// Two public keys of the same kid are both tried, since two issuers may use the same numbers. Two
/// secrets of the same kid are a mistake.
fn warn_of_conflict(conf: &JwtSettings, setting: &Setting<'_>, set: &KeySet) -> Result {
    let known = conf.policy.keys.iter().flat_map(Keys::known);
    let mut conflicts = known.filter_map(|other| {
        let key = set.conflict(&other)?;
        Some((key.kid().unwrap_or_default().to_owned(), key.is_secret()))
    });
    match conflicts.next() {
        Some((kid, true)) if kid.is_empty() => return Err(duplicate_kid("*")),
        Some((kid, true)) => return Err(duplicate_kid(&kid)),
        Some((kid, false)) => {
            setting.warn(&format!("kid {kid:?} is in another key source of this level, too"));
        }
        None => {}
    }
    Ok(())
}

/// Of the keys without a kid a limited number is tried, so more of them would verify nothing.
fn refuse_too_many_nameless(conf: &JwtSettings, set: &KeySet) -> Result {
    for algorithm in Algorithm::ALL {
        let known = conf.policy.keys.iter().flat_map(Keys::known);
        let before: usize = known.map(|other| other.count_nameless(algorithm)).sum();
        let here = set.count_nameless(algorithm);
        if here > 0 && before + here > MAX_NAMELESS {
            return Err(ConfError::mistake(format!(
                "brings more than {MAX_NAMELESS} keys without a kid for {algorithm} to this level, and \
                 no more are tried for a token: give them kids (kid=NAME, or a JWK Set)"
            )));
        }
    }
    Ok(())
}

fn duplicate_kid(kid: &str) -> ConfError {
    let what =
        format!("has duplicate kid {kid:?}, which another key source of this level has, too");
    ConfError::mistake(what)
}

/// The options of `jwks_request`.
#[derive(Default)]
struct RequestOptions {
    times: FetchTimes,
    per: Option<PerKid>,
    server: Option<Rc<NamedServer>>,
}

/// `jwks_request URI [valid=TIME] [stale=TIME] [timeout=TIME] [per=kid|kid-sha256]
/// [server=NAME]`.
pub(crate) fn jwks_request(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let mut options = RequestOptions::default();
    for option in setting.values().skip(1) {
        if options.times.read(option)? {
            continue;
        }
        if let Some(form) = option.strip_prefix(b"per=") {
            let per = PerKid::from_name(form)
                .ok_or_else(|| ConfError::value(option, "must be per=kid or per=kid-sha256"))?;
            option_once(&mut options.per, option, per)?;
        } else if let Some(name) = option.strip_prefix(b"server=").filter(|name| !name.is_empty()) {
            option_once(&mut options.server, option, http.named_server(name, setting))?;
        } else {
            return Err(ConfError::parameter(option));
        }
    }
    key_request(conf, http, setting, options, true)
}

fn key_request(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &Setting<'_>,
    options: RequestOptions,
    switch_on: bool,
) -> Result {
    const STALE: u64 = 24 * 60 * 60 * 1000;
    const TIMEOUT: u64 = 10 * 1000;
    let uri = setting.first();
    if !matches!(uri, [b'/' | b'$', ..]) {
        return Err(ConfError::value(
            uri,
            "must be the URI of a location of the server, beginning with a slash",
        ));
    }
    let fixed = (!uri.contains(&b'$')).then_some(uri);
    if fixed.is_some_and(|uri| token::http::request_target(uri).is_none()) {
        return Err(ConfError::value(uri, "must be a path without \"..\" and NUL"));
    }
    if let Some(name) = variables(uri).find(|name| is_of_the_token(name)) {
        let name = String::from_utf8_lossy(name);
        return Err(ConfError::value(
            uri,
            &format!(
                "holds ${name}, which is known only after the key: for a key at a URI of its own use \
                 per=kid or per=kid-sha256"
            ),
        ));
    }
    let request = KeyRequest {
        place: (setting.name().into(), setting.position().into()),
        uri: setting.compile(uri)?,
        fixed: fixed.map(Into::into),
        per: options.per,
        server: options.server,
        valid: options.times.valid,
        stale: options.times.stale.unwrap_or(STALE),
        timeout: options.times.timeout.unwrap_or(TIMEOUT),
        zone: setting.zone(),
        health: http.health.add(&[setting.position().as_bytes(), b" ", uri].concat()),
    };
    http.has_requests.set(true);
    http.zone.set(request.zone);
    let varies = request.fixed.is_none() || request.per.is_some();
    let source = add_source(conf, setting, KeySource::Request(request), switch_on);
    if varies {
        http.sources.note(setting, uri, Holder::Varying(source));
    }
    Ok(())
}

/// Whether a variable shows a part of the verified token.
fn is_of_the_token(variable: &[u8]) -> bool {
    [&b"jwt_header_"[..], b"jwt_claim_", b"jwt_payload"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

pub(crate) fn auth_jwt_key_request(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    key_request(conf, http, setting, RequestOptions::default(), false)
}

/// `auth_jwt_key_cache TIME`: how long fetched keys are valid. This module always keeps keys, so a time
/// of 0 stands for the shortest one.
pub(crate) fn auth_jwt_key_cache(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let time = nginx::milliseconds(setting.first())?;
    once(&mut conf.policy.key_cache, time.max(1_000))
}

pub(crate) fn auth_jwt_key_file(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    if !setting.first().contains(&b'$') {
        let path = setting.file_path(setting.first())?;
        let read = || Ok(decryption_keys(&read_file(&path, LARGEST_KEY_FILE)?));
        let decrypting = http.files.of_plus.get_or_read(&path, (), None, read)?;
        let format = KeyFormat::beside(decrypting.as_deref());
        if decrypting.as_ref().is_some_and(|keys| keys.has_private()) {
            warn_if_readable(setting, &path);
        }
        key_file(conf, http, setting, None, format, false)?;
        conf.policy.keys.get_or_insert_default().decryption.extend(decrypting);
        return Ok(());
    }
    let folder = setting.full_path(b"-")?;
    let folder = folder.strip_suffix(b"-").unwrap_or(&folder).into();
    let name = setting.first();
    let health = http.health.add(&[setting.position().as_bytes(), b" ", name].concat());
    let file = KeyFile { name: setting.compile(name)?, folder, health };
    let source = add_source(conf, setting, KeySource::Named(file), false);
    http.sources.note(setting, name, Holder::Varying(source));
    Ok(())
}
