//! The signing directives.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use token::Algorithm;

use super::claims::{ClaimSetting, JsonOf};
use super::http_level::IssueMain;
use super::key::{KeyOptions, LiveKey, Source, parse_new};
use super::mint::Mint;
use super::publish::{Publish, VALID};
use super::settings::{IssueConf, Members};
use crate::check::{once, option_text};
use crate::live::file::{self, LARGEST_KEY_FILE, Text};
use crate::live::{HealthTable, Watched};
use crate::nginx::{self, ConfError, Content, Result, Setting, milliseconds, seconds};

/// How long a key is published after it has signed last, in milliseconds: a day.
const KEEP: u64 = 86_400_000;

/// What `jwt_sign_key` needs beside its words.
pub(crate) struct KeyContext<'c> {
    pub(crate) main: &'c IssueMain,
    /// The keys of the configuration before, if there is one.
    pub(crate) before: Option<&'c IssueMain>,
    pub(crate) health: &'c HealthTable,
}

/// `jwt_sign MEMBER ... [full] | off`.
pub(crate) fn jwt_sign(conf: &mut IssueConf, setting: &Setting<'_>) -> Result {
    let mut names: Vec<Box<str>> = Vec::new();
    let words: Vec<&[u8]> = setting.values().collect();
    let full = words.len() > 1 && words.last() == Some(&&b"full"[..]);
    let is_off = words.as_slice() == [&b"off"[..]];
    for word in words.iter().take(words.len() - usize::from(full)).filter(|_| !is_off) {
        let name = core::str::from_utf8(word).ok().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ConfError::value(word, "must be the name of a member"))?;
        if word.contains(&b'$') {
            return Err(ConfError::value(
                word,
                "is the name of a member: no variable is read here",
            ));
        }
        if names.iter().any(|known| **known == *name) {
            return Err(ConfError::value(word, "is there twice"));
        }
        names.push(name.into());
    }
    let members = Members { names: names.into(), full, position: setting.position() };
    once(&mut conf.members, Rc::new(members))
}

/// `jwt_sign_key FILE [kid=] [alg=] [typ=] [check=TIME] [lead=TIME] [keep=TIME]`.
pub(crate) fn jwt_sign_key(
    conf: &mut IssueConf,
    context: &KeyContext<'_>,
    setting: &Setting<'_>,
) -> Result {
    let key = sign_key(context, setting)?;
    add_key(conf.keys.get_or_insert_default(), key)
}

fn add_key(keys: &mut Vec<Rc<LiveKey>>, key: Rc<LiveKey>) -> Result {
    let last = key.last();
    if let Some(kid) = last.kid()
        && let Some(known) = keys.iter().find(|known| known.last().kid() == Some(kid))
    {
        return Err(ConfError::mistake(format!(
            "has the kid \"{}\", which the one in {} has, too: give each key a kid of its own",
            kid.escape_debug(),
            known.position
        )));
    }
    keys.push(key);
    Ok(())
}

fn sign_key(context: &KeyContext<'_>, setting: &Setting<'_>) -> Result<Rc<LiveKey>> {
    if setting.values().any(|word| word.contains(&b'{') || word.starts_with(b"-----BEGIN")) {
        // What it says is not shown.
        return Err(ConfError::mistake("wants the name of a file with a key, not the key"));
    }
    let options = read_options(setting)?;
    if let Some(known) = context.main.keys.borrow().get(&options) {
        return Ok(Rc::clone(known));
    }
    if let Some(other) = context.main.other_times(&options) {
        return Err(ConfError::mistake(format!(
            "has another lead= or keep= than the one for the same key in {other}: both rotate together"
        )));
    }
    if let Some(check) = options.check.filter(|check| options.lead > 0 && options.lead <= *check) {
        setting.warn(&format!(
            "lead= is not longer than check= ({} s): a worker may sign with a new key before another one \
             has seen it",
            check / 1000
        ));
    }
    let path = options.path.clone();
    let bad = |why: &dyn std::fmt::Display| {
        ConfError::Failed(format!("\"{}\": {why}", String::from_utf8_lossy(&path)))
    };
    let (source, warnings) = read_source(context, &options).map_err(|why| bad(&why))?;
    let shown = String::from_utf8_lossy(&path).into_owned();
    for warning in &warnings {
        setting.warn(&format!("{shown}: {warning}"));
    }
    if file::is_readable_by_all(&path) {
        setting.warn(&format!(
            "{shown}: every user of this machine can read this key, and so sign tokens with it: take that \
             right away (chmod o-r)"
        ));
    }
    let before = context.before.and_then(|before| before.key_before(&options));
    let newest = source.held();
    if let Some(before) = &before
        && before.kid() == newest.kid()
        && !before.is_same(&newest)
    {
        return Err(bad(
            &"the key is another one than before, but its kid is the same: who verifies tokens \
                         would take one for the other; give each key a kid of its own",
        ));
    }
    let seen = context.main.seen.add(&options.name());
    let key = LiveKey::new(options.clone(), setting.position(), source, before, seen);
    let key = Rc::new(key);
    context.main.keys.borrow_mut().insert(options, Rc::clone(&key));
    Ok(key)
}

/// Reads the key's file: once, or so that it is read again when it changes.
fn read_source(
    context: &KeyContext<'_>,
    options: &KeyOptions,
) -> std::result::Result<(Source, Vec<String>), String> {
    let Some(check) = options.check else {
        let text =
            file::read(&options.path, LARGEST_KEY_FILE).map_err(|error| error.to_string())?;
        let (key, warnings) = options.load(&text)?;
        return Ok((Source::Fixed(Arc::new(key)), warnings));
    };
    let health = context.health.add(&[b"file ", &*options.path].concat());
    let parsing = options.clone();
    let parse = move |text: Text, before: Option<&token::sign::SigningKey>| {
        parse_new(&parsing, before, &text)
    };
    let opened = Watched::open(&options.path, LARGEST_KEY_FILE, check, Box::new(parse), health);
    let (watched, warnings) = opened?;
    Ok((Source::Watched(Box::new(watched)), warnings))
}

fn read_options(setting: &Setting<'_>) -> Result<KeyOptions> {
    let mut options = KeyOptions {
        path: setting.file_path(setting.first())?,
        kid: None,
        algorithm: None,
        typ: None,
        check: None,
        lead: 0,
        keep: KEEP,
    };
    let (mut lead, mut keep) = (None, None);
    for option in setting.values().skip(1) {
        let text = |value: &[u8]| option_text(option, value).map(Box::<str>::from);
        let time = |time: &[u8]| {
            milliseconds(time)
                .map_err(|_| ConfError::value(option, "must be a time, such as 30s, 5m or 1h"))
        };
        let twice = |_| ConfError::value(option, "is a duplicate");
        if let Some(kid) = option.strip_prefix(b"kid=") {
            once(&mut options.kid, text(kid)?).map_err(twice)?;
        } else if let Some(typ) = option.strip_prefix(b"typ=") {
            once(&mut options.typ, text(typ)?).map_err(twice)?;
        } else if let Some(name) = option.strip_prefix(b"alg=") {
            let algorithm = core::str::from_utf8(name).ok().and_then(Algorithm::from_name);
            let unknown = "is no algorithm that signs: write RS256, PS256, ES256, EdDSA and so on";
            let algorithm = algorithm.ok_or_else(|| ConfError::value(option, unknown))?;
            once(&mut options.algorithm, algorithm).map_err(twice)?;
        } else if let Some(value) = option.strip_prefix(b"check=") {
            let check = time(value)?;
            if check == 0 {
                return Err(ConfError::value(option, "must be more than nothing"));
            }
            once(&mut options.check, check).map_err(twice)?;
        } else if let Some(value) = option.strip_prefix(b"lead=") {
            once(&mut lead, time(value)?).map_err(twice)?;
        } else if let Some(value) = option.strip_prefix(b"keep=") {
            once(&mut keep, time(value)?).map_err(twice)?;
        } else {
            return Err(ConfError::parameter(option));
        }
    }
    if options.kid.is_some() && options.check.is_some() {
        return Err(ConfError::mistake(
            "has kid= and check=: a new key of the file would have the old one's kid. Leave kid= out: the \
             kid then is that of the JWK or, for PEM, the key's thumbprint (RFC 7638)",
        ));
    }
    options.lead = lead.unwrap_or(options.lead);
    options.keep = keep.unwrap_or(options.keep);
    Ok(options)
}

/// `jwt_sign_claim NAME VALUE [json]`.
pub(crate) fn jwt_sign_claim(
    conf: &mut IssueConf,
    setting: &Setting<'_>,
    json_of: &JsonOf<'_>,
) -> Result {
    let claim = ClaimSetting::read(setting, 1, json_of)?;
    let claims = conf.claims.get_or_insert_default();
    let claims = Rc::get_mut(claims).ok_or(ConfError::Logged)?;
    add_claim(claims, claim)
}

fn add_claim(claims: &mut Vec<ClaimSetting>, claim: ClaimSetting) -> Result {
    if claims.iter().any(|known| known.name() == claim.name()) {
        return Err(ConfError::value(claim.name().as_bytes(), "is there twice"));
    }
    claims.push(claim);
    Ok(())
}

/// `jwt_sign_lifetime TIME`.
pub(crate) fn jwt_sign_lifetime(conf: &mut IssueConf, setting: &Setting<'_>) -> Result {
    once(&mut conf.lifetime, lifetime(setting.first())?)
}

fn lifetime(value: &[u8]) -> Result<i64> {
    match seconds(value)? {
        0 => Err(ConfError::value(value, "must be at least a second")),
        seconds => Ok(seconds),
    }
}

/// The largest `jwt_sign_buffer`, in bytes: the memory of one request.
const LARGEST_BUFFER: usize = 16 << 20;

/// `jwt_sign_buffer SIZE`.
pub(crate) fn jwt_sign_buffer(conf: &mut IssueConf, setting: &Setting<'_>) -> Result {
    let value = setting.first();
    let size = nginx::size(value)
        .map_err(|_| ConfError::value(value, "must be a size, such as 64k or 1m"))?;
    if size > LARGEST_BUFFER {
        return Err(ConfError::value(value, "must not be more than 16m"));
    }
    once(&mut conf.buffer, size)
}

/// `jwks_publish [valid=TIME]`. `C` answers the requests.
pub(crate) fn jwks_publish<C: Content>(conf: &mut IssueConf, setting: &Setting<'_>) -> Result {
    let valid = match setting.arg(1) {
        None => VALID,
        Some(option) => {
            let time = option.strip_prefix(b"valid=");
            seconds(time.ok_or_else(|| ConfError::parameter(option))?)
                .map_err(|_| ConfError::value(option, "must be a time, such as 30s, 5m or 1h"))?
        }
    };
    once(&mut conf.publish, Publish::new(setting.position(), valid))?;
    setting.serve::<C>()
}

/// What is read of a `jwt_mint` block.
struct Block<'c> {
    context: &'c KeyContext<'c>,
    json_of: &'c JsonOf<'c>,
    keys: Vec<Rc<LiveKey>>,
    claims: Vec<ClaimSetting>,
    lifetime: Option<i64>,
}

/// How long a token of `jwt_mint` lives by default, in seconds.
const MINTED_LIFETIME: i64 = 60;

/// `jwt_mint $variable { ... }`: returns the variable's name and its tokens.
pub(crate) fn jwt_mint(
    context: &KeyContext<'_>,
    setting: &mut Setting<'_>,
    json_of: &JsonOf<'_>,
) -> Result<(Box<[u8]>, Mint)> {
    let first = setting.first();
    let name: Box<[u8]> = match first.strip_prefix(b"$") {
        Some(name) if !name.is_empty() => name.into(),
        _ => {
            return Err(ConfError::value(
                first,
                "must be the name of a variable, such as $internal",
            ));
        }
    };
    let (keys, claims) = (Vec::new(), Vec::new());
    let block = Block { context, json_of, keys, claims, lifetime: None };
    let block = setting.block(block, entry)?;
    let Some(key) = block.keys.first() else {
        return Err(ConfError::mistake("has no jwt_sign_key in its block"));
    };
    let number = context.main.mints.get();
    context.main.mints.set(number + 1);
    context.main.minting.borrow_mut().extend(block.keys.iter().cloned());
    let mint = Mint {
        number,
        name: String::from_utf8_lossy(&name).into(),
        key: Rc::clone(key),
        claims: block.claims,
        lifetime: block.lifetime.unwrap_or(MINTED_LIFETIME),
        is_evaluated: Cell::new(false),
        remembered: OnceCell::new(),
    };
    Ok((name, mint))
}

/// Reads a line of the block.
fn entry(block: &mut Block<'_>, setting: &Setting<'_>) -> Result {
    let count = setting.values().count();
    match (setting.arg(0).unwrap_or_default(), count) {
        (b"jwt_sign_key", 1..) => add_key(&mut block.keys, sign_key(block.context, setting)?),
        (b"claim", 2 | 3) => {
            let claim = ClaimSetting::read(setting, 1, block.json_of)?;
            add_claim(&mut block.claims, claim)
        }
        (b"lifetime", 1) => once(&mut block.lifetime, lifetime(setting.first())?)
            .map_err(|_| ConfError::mistake("has a second lifetime")),
        (other, _) => Err(ConfError::mistake(format!(
            "wants lines of the form \"jwt_sign_key FILE ...;\", \"claim NAME VALUE [json];\" and \
             \"lifetime TIME;\" in its block, not \"{}\"",
            other.escape_ascii()
        ))),
    }
}
