//! The `secure_token*` directives.

use std::rc::Rc;

use token::credential::is_spelling;
use token::{LinkAlgorithm, LinkSecret};

use super::check::LinkArgs;
use super::settings::{LinkKeys, LinkSettings};
use crate::check::{Mode, Severity, Switch, once, switch};
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

pub(crate) fn secure_token_secret(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_secret", setting, Severity::Error);
    // Only if it is nothing but a variable's name: other secrets may hold a "$", too.
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_variable = |secret: &[u8]| match secret {
        [b'$', name @ ..] => name.len() > 1 && name.iter().all(is_name),
        _ => false,
    };
    if let Some(at) = setting.values().position(is_variable) {
        setting.warn(&format!("number {} is a text: variables have no meaning here", at + 1));
    }
    let secret = |(i, secret): (usize, &[u8])| {
        LinkSecret::new(secret)
            .ok_or_else(|| ConfError::mistake(format!("has an empty secret (number {})", i + 1)))
    };
    let secrets = setting.values().enumerate().map(secret).collect::<Result<_>>()?;
    once(&mut conf.keys, LinkKeys::Secrets(secrets))
}

pub(crate) fn secure_token_md5(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    if !variables(setting.first()).any(|name| name == b"secure_token_expires") {
        return Err(ConfError::mistake(
            "must hold $secure_token_expires, or links would never expire",
        ));
    }
    conf.base.asked.note("secure_token_secret", setting, Severity::Error);
    setting.warn_of_arguments(setting.first());
    let expression = setting.compile(setting.first())?;
    once(&mut conf.keys, LinkKeys::Expression(expression))
}

pub(crate) fn secure_token_algorithm(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_algorithm", setting, Severity::Error);
    let algorithm = |name: &[u8]| {
        core::str::from_utf8(name)
            .ok()
            .and_then(LinkAlgorithm::from_name)
            .ok_or_else(|| ConfError::value(name, "must be md5 or hmac-sha256"))
    };
    let accepted = setting.values().map(algorithm).collect::<Result<_>>()?;
    once(&mut conf.accepted, accepted)
}

pub(crate) fn secure_token_value(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_value", setting, Severity::Error);
    setting.warn_of_arguments(setting.first());
    once(&mut conf.value, setting.compile(setting.first())?)
}

pub(crate) fn secure_token_args(conf: &mut LinkSettings, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("secure_token_args", setting, Severity::Error);
    let (signature, expires) = (setting.first(), setting.arg(2).unwrap_or_default());
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
        setting.warn(&format!("\"{name}\" is a text: variables have no meaning here"));
    }
    let args = LinkArgs { signature: signature.into(), expires: expires.into() };
    once(&mut conf.args, Rc::new(args))
}
