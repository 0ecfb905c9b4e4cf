//! The `secure_token*` directives.

use std::rc::Rc;

use token::credential::is_spelling;
use token::link::{
    self, Encoding, FormatName, HashAlgorithm, HashSettings, LinkAlgorithm, SecretText,
    SignatureEncoding, TimeFormat,
};
use zeroize::Zeroizing;

use super::check::LinkArgs;
use super::keys::{self, KeyFiles};
use super::names::{EXPIRES, KEY, TIME};
use super::scheme::{At, FormatWords, HashWords, Scheme};
use super::settings::LinkSettings;
use crate::check::{
    Mode, Severity, Source, Switch, once, option_once, option_text, positive, switch,
};
use crate::live::HealthTable;
use crate::nginx::{ConfError, Result, Setting, variables};

pub(crate) fn secure_token(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    let value = switch(setting, |word| match word {
        b"on" => Some(Mode::On),
        b"off" => Some(Mode::Off),
        _ => None,
    });
    let value = value?
        .ok_or_else(|| ConfError::value(setting.first(), "must be on, off, or hold a variable"))?;
    let position = setting.position().into();
    let switch = Switch { name: "secure_token", value, position };
    once(&mut conf.base.switch, switch)
}

/// `secure_token_format NAME [OPTION=VALUE ...]`.
pub(crate) fn secure_token_format(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_format", setting, Severity::Error);
    let value = format_words(setting)?;
    scheme(conf, Scheme::Format(Rc::new(At { value, position: setting.position().into() })))
}

/// The name of a format, and its options.
pub(super) fn format_words(setting: &Setting<'_>) -> Result<FormatWords> {
    let name = setting.first();
    let format = FormatName::find(name)
        .ok_or_else(|| ConfError::value(name, &format!("must be one of {}", link::names())))?;
    let option = |word: &[u8]| {
        let (name, value) = core::str::from_utf8(word).ok()?.split_once('=')?;
        Some((name.into(), value.into()))
    };
    let options = setting.values().skip(1);
    let options = options.map(|word| option(word).ok_or_else(|| ConfError::parameter(word)));
    Ok(FormatWords { format, options: options.collect::<Result<_>>()? })
}

/// Sets how links are signed: once on a level.
fn scheme(conf: &mut LinkSettings, scheme: Scheme) -> Result {
    if scheme.needs_no_secret() && conf.secrets.is_some() {
        return Err(unused_secret());
    }
    match conf.scheme.replace(scheme) {
        None => Ok(()),
        Some(_) => Err(ConfError::mistake(
            "is the second one of secure_token_format, secure_token_hash and secure_token_md5 on this level: \
             links are signed in one way",
        )),
    }
}

/// `secure_token_secret SECRET ... [encoding=text|hex|base64|base64url] [kid=NAME]`.
pub(crate) fn secure_token_secret(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_secret", setting, Severity::Error);
    add_secrets(conf, setting, secrets(setting)?)
}

/// Secrets, with the options that go for all of them.
pub(super) fn secrets(setting: &Setting<'_>) -> Result<Vec<SecretText>> {
    // Only if it is nothing but a variable's name: other secrets may hold a "$", too.
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_variable = |secret: &[u8]| match secret {
        [b'$', name @ ..] => name.len() > 1 && name.iter().all(is_name),
        _ => false,
    };
    if let Some(at) = setting.values().position(is_variable) {
        setting.warn(&format!("number {} is a text: variables have no meaning here", at + 1));
    }
    let (mut encoding, mut kid, mut texts) = (None, None, Vec::new());
    for word in setting.values() {
        if let Some(name) = word.strip_prefix(b"encoding=") {
            let known = Encoding::from_name(name)
                .ok_or_else(|| ConfError::value(word, "must be text, hex, base64 or base64url"))?;
            option_once(&mut encoding, word, known)?;
        } else if let Some(name) = word.strip_prefix(b"kid=") {
            let name = option_text(word, name)?;
            option_once(&mut kid, word, Box::from(name))?;
        } else {
            texts.push(Zeroizing::new(Box::from(word)));
        }
    }
    if let Some(at) = texts.iter().position(|text: &Zeroizing<Box<[u8]>>| text.is_empty()) {
        return Err(ConfError::mistake(format!("has an empty secret (number {})", at + 1)));
    }
    if texts.is_empty() {
        return Err(ConfError::mistake("has no secret"));
    }
    let secret = |text| SecretText { text, encoding, kid: kid.clone() };
    Ok(texts.into_iter().map(secret).collect())
}

fn unused_secret() -> ConfError {
    ConfError::mistake(
        "stands on one level with another one of secure_token_secret and secure_token_md5 (or a \
         secure_token_hash without a key): that one has its secret in its text. Remove one of the two",
    )
}

/// Adds secrets to those of the level. Only secrets with names may stand in several directives.
fn add_secrets(conf: &mut LinkSettings, setting: &Setting<'_>, secrets: Vec<SecretText>) -> Result {
    if conf.scheme.as_ref().is_some_and(Scheme::needs_no_secret) {
        return Err(unused_secret());
    }
    let Some(known) = &mut conf.secrets else {
        conf.secrets = Some(Rc::new(At { value: secrets, position: setting.position().into() }));
        return Ok(());
    };
    let named = |secrets: &[SecretText]| secrets.iter().all(|secret| secret.kid.is_some());
    let known = Rc::get_mut(known).filter(|known| named(&known.value) && named(&secrets));
    known.ok_or(ConfError::Duplicate)?.value.extend(secrets);
    Ok(())
}

/// `secure_token_md5 EXPRESSION`: a short form of `secure_token_hash md5 EXPRESSION`.
pub(crate) fn secure_token_md5(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    let settings = HashSettings { holds_secret: holds(setting.first(), KEY), ..HashSettings::MD5 };
    hash(conf, setting, setting.first(), (settings, true))
}

/// `secure_token_hash ALGORITHM EXPRESSION [encoding=] [time=] [valid=]`.
pub(crate) fn secure_token_hash(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    let algorithm = HashAlgorithm::from_name(setting.first()).ok_or_else(|| {
        // What is there instead may be the text, with a secret in it.
        let names = HashAlgorithm::ALL.map(HashAlgorithm::name).join(", ");
        ConfError::mistake(format!(
            "has an unknown algorithm: the first word must be one of {names}"
        ))
    })?;
    let (mut encoding, mut time, mut valid) = (None, None, None);
    for option in setting.values().skip(2) {
        if let Some(name) = option.strip_prefix(b"encoding=") {
            let known = SignatureEncoding::from_name(name)
                .ok_or_else(|| ConfError::value(option, "must be base64url, base64 or hex"))?;
            option_once(&mut encoding, option, known)?;
        } else if let Some(name) = option.strip_prefix(b"time=") {
            let known = core::str::from_utf8(name).ok().and_then(TimeFormat::from_name);
            let known = known.ok_or_else(|| {
                let why = "must be unix, hex, or an offset from UTC and the digits, such as \
                           +08:00:YYYYMMDDHHMM or UTC:YYYYMMDDHHMM";
                ConfError::value(option, why)
            })?;
            option_once(&mut time, option, known)?;
        } else if let Some(lifetime) = option.strip_prefix(b"valid=") {
            let seconds = positive(option, lifetime)? / 1000;
            let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
            let seconds =
                seconds.ok_or_else(|| ConfError::value(option, "must be at least a second"))?;
            option_once(&mut valid, option, seconds)?;
        } else {
            return Err(ConfError::parameter(option));
        }
    }
    let expression = setting.arg(2).unwrap_or_default();
    let settings = HashSettings {
        algorithm,
        encoding: encoding.unwrap_or_default(),
        time: time.unwrap_or(TimeFormat::Unix),
        valid,
        holds_secret: holds(expression, KEY),
    };
    hash(conf, setting, expression, (settings, false))
}

/// Whether a value holds a variable of the module.
fn holds(value: &[u8], name: &core::ffi::CStr) -> bool {
    variables(value).any(|one| one.eq_ignore_ascii_case(name.to_bytes()))
}

fn hash(
    conf: &mut LinkSettings,
    setting: &Setting<'_>,
    text: &[u8],
    (settings, is_md5): (HashSettings, bool),
) -> Result {
    if settings.valid.is_some() && holds(text, EXPIRES) {
        return Err(ConfError::mistake(
            "has valid=, so its links carry the time at which they were made: write $secure_token_time in \
             place of $secure_token_expires",
        ));
    }
    if settings.valid.is_none() && !holds(text, EXPIRES) {
        return Err(ConfError::mistake(if holds(text, TIME) {
            "must have valid=, which says how long a link is valid after $secure_token_time"
        } else {
            "must hold $secure_token_expires, or links would never expire"
        }));
    }
    if settings.valid.is_some() && !holds(text, TIME) {
        return Err(ConfError::mistake(
            "must hold $secure_token_time, or links would never expire",
        ));
    }
    if settings.algorithm.is_keyed() && settings.holds_secret {
        return Err(ConfError::mistake(
            "has the secret as its key: remove $secure_token_key from the text, or name a hash without \"hmac\"",
        ));
    }
    // The secret that it brings is in the text, or a secure_token_secret beside it.
    let kind = if settings.uses_secrets() { "secure_token_hash" } else { "secure_token_secret" };
    conf.base.asked.note(kind, setting, Severity::Error);
    setting.warn_of_arguments(text);
    let value = HashWords { settings, expression: setting.compile(text)?, is_md5 };
    scheme(conf, Scheme::Hash(Rc::new(At { value, position: setting.position().into() })))
}

/// `secure_token_keys FILE [kid=NAME] [check=TIME]`.
pub(crate) fn secure_token_keys(
    conf: &mut LinkSettings,
    health: &HealthTable,
    setting: &Setting<'_>,
) -> Result {
    conf.base.asked.note("secure_token_keys", setting, Severity::Error);
    let file = keys::read(health, setting)?;
    let all = conf.keys.get_or_insert_with(|| {
        Rc::new(KeyFiles { files: Vec::new(), position: setting.position().into() })
    });
    Rc::make_mut(all).files.push(file);
    Ok(())
}

pub(crate) fn secure_token_algorithm(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_algorithm", setting, Severity::Error);
    let value = algorithms(setting)?;
    once(&mut conf.accepted, Rc::new(At { value, position: setting.position().into() }))
}

/// The algorithms that a setting names.
pub(super) fn algorithms(setting: &Setting<'_>) -> Result<Vec<LinkAlgorithm>> {
    let algorithm = |name: &[u8]| {
        core::str::from_utf8(name).ok().and_then(LinkAlgorithm::from_name).ok_or_else(|| {
            let names = LinkAlgorithm::ALL.map(LinkAlgorithm::name).join(", ");
            ConfError::value(name, &format!("must be one of {names}"))
        })
    };
    setting.values().map(algorithm).collect()
}

pub(crate) fn secure_token_value(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_value", setting, Severity::Error);
    setting.warn_of_arguments(setting.first());
    once(&mut conf.value, setting.compile(setting.first())?)
}

/// `secure_token_source arg:NAME | cookie:NAME | header:NAME | $variable ...`.
pub(crate) fn secure_token_source(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_source", setting, Severity::Error);
    let source = |word: &[u8]| {
        Source::read(setting, word)?.ok_or_else(|| {
            ConfError::value(word, "must be arg:NAME, cookie:NAME, header:NAME, or hold a variable")
        })
    };
    let value = setting.values().map(source).collect::<Result<_>>()?;
    once(&mut conf.sources, Rc::new(At { value, position: setting.position().into() }))
}

/// `secure_token_args SIGNATURE EXPIRES`: two names, or two values with variables.
pub(crate) fn secure_token_args(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_args", setting, Severity::Error);
    let (signature, expires) = (setting.first(), setting.arg(2).unwrap_or_default());
    let is_value = |word: &[u8]| word.starts_with(b"$") && word.len() > 1;
    if is_value(signature) && is_value(expires) {
        let (signature, expires) = (setting.compile(signature)?, setting.compile(expires)?);
        return once(&mut conf.args, Rc::new(LinkArgs::Values { signature, expires }));
    }
    // If some reader takes the two names for the same, each argument would be a second one of the
    // other.
    let are_one = is_spelling(signature, expires) || is_spelling(expires, signature);
    if are_one || signature.is_empty() || expires.is_empty() {
        return Err(ConfError::value(
            expires,
            "must be two different names (case, encoding and \".\" for \"_\" make no difference)",
        ));
    }
    let has_variable = |name: &&[u8]| variables(name).any(|one| !one.is_empty());
    if let Some(name) = setting.values().find(has_variable) {
        let name = String::from_utf8_lossy(name);
        setting.warn(&format!(
            "\"{name}\" is a text: variables have no meaning here, unless both words begin with one"
        ));
    }
    let (signature, expires) = (signature.into(), expires.into());
    once(&mut conf.args, Rc::new(LinkArgs::Names { signature, expires }))
}
