//! The directives. To add one: a row in [`COMMANDS`], and the function that it names.

use std::rc::Rc;
use std::sync::Arc;

use ngx::ffi::{
    NGX_CONF_1MORE, NGX_CONF_BLOCK, NGX_CONF_FLAG, NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_CONF_TAKE2,
    NGX_CONF_TAKE12, NGX_HTTP_LIF_CONF, NGX_HTTP_LMT_CONF, NGX_HTTP_LOC_CONF, NGX_HTTP_MAIN_CONF,
    NGX_HTTP_SRV_CONF,
};
use token::{Algorithm, KeySet, LinkAlgorithm, LinkSecret, Loaded};

use super::setting::{Command, ConfError, Setting, commands};
use super::{LinkArgs, LinkKeys, LocationConf, Switch, TokenSource, kids};

/// http, server, location, `if` in location, limit_except.
const ANYWHERE: u32 = NGX_HTTP_MAIN_CONF
    | NGX_HTTP_SRV_CONF
    | NGX_HTTP_LOC_CONF
    | NGX_HTTP_LIF_CONF
    | NGX_HTTP_LMT_CONF;

commands! {
    "jwt", ANYWHERE | NGX_CONF_FLAG, jwt;
    "jwt_kids", ANYWHERE | NGX_CONF_BLOCK | NGX_CONF_NOARGS, jwt_kids;
    "jwt_kids_file", ANYWHERE | NGX_CONF_TAKE1, jwt_kids_file;
    "jwks_file", ANYWHERE | NGX_CONF_TAKE12, jwks_file;
    "jwt_algorithms", ANYWHERE | NGX_CONF_1MORE, jwt_algorithms;
    "jwt_token", ANYWHERE | NGX_CONF_1MORE, jwt_token;
    "jwt_realm", ANYWHERE | NGX_CONF_TAKE1, jwt_realm;
    "jwt_issuer", ANYWHERE | NGX_CONF_1MORE, jwt_issuer;
    "jwt_audience", ANYWHERE | NGX_CONF_1MORE, jwt_audience;
    "jwt_typ", ANYWHERE | NGX_CONF_1MORE, jwt_typ;
    "jwt_leeway", ANYWHERE | NGX_CONF_TAKE1, jwt_leeway;
    "jwt_require_exp", ANYWHERE | NGX_CONF_FLAG, jwt_require_exp;
    "jwt_max_lifetime", ANYWHERE | NGX_CONF_TAKE1, jwt_max_lifetime;
    "secure_token", ANYWHERE | NGX_CONF_FLAG, secure_token;
    "secure_token_secret", ANYWHERE | NGX_CONF_1MORE, secure_token_secret;
    "secure_token_md5", ANYWHERE | NGX_CONF_TAKE1, secure_token_md5;
    "secure_token_algorithm", ANYWHERE | NGX_CONF_1MORE, secure_token_algorithm;
    "secure_token_value", ANYWHERE | NGX_CONF_TAKE1, secure_token_value;
    "secure_token_args", ANYWHERE | NGX_CONF_TAKE2, secure_token_args;
}

type Result = core::result::Result<(), ConfError>;

/// Sets a directive that may stand once on a level.
fn once<T>(slot: &mut Option<T>, value: T) -> Result {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ConfError::Duplicate),
    }
}

fn jwt(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.switch, switch(setting)?)
}

fn secure_token(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.link.switch, switch(setting)?)
}

fn switch(setting: &Setting<'_>) -> core::result::Result<Switch, ConfError> {
    Ok(Switch { on: flag(setting)?, position: setting.position().into() })
}

fn flag(setting: &Setting<'_>) -> core::result::Result<bool, ConfError> {
    // nginx's own flags ignore case (ngx_conf_set_flag_slot).
    match setting.first() {
        on if on.eq_ignore_ascii_case(b"on") => Ok(true),
        off if off.eq_ignore_ascii_case(b"off") => Ok(false),
        other => Err(ConfError::value(other, "must be \"on\" or \"off\"")),
    }
}

fn jwt_kids(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let loaded = setting.block(kids::entry)?;
    add_keys(conf, setting, loaded.finish().map_err(ConfError::Keys)?, None);
    Ok(())
}

fn jwt_kids_file(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let (path, text) = setting.read_file(setting.first())?;
    let loaded =
        token::load_kids(&text).map_err(|why| ConfError::File(path.clone(), why.to_string()))?;
    add_keys(conf, setting, loaded, Some(&path));
    Ok(())
}

fn jwks_file(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let kid = match setting.arg(2) {
        None => None,
        Some(option) => match option.strip_prefix(b"kid=") {
            Some(kid) => Some(text(kid)?),
            None => return Err(ConfError::parameter(option)),
        },
    };
    let (path, text) = setting.read_file(setting.first())?;
    let loaded = token::load_keys(&text, kid)
        .map_err(|why| ConfError::File(path.clone(), why.to_string()))?;
    add_keys(conf, setting, loaded, Some(&path));
    Ok(())
}

fn add_keys(conf: &mut LocationConf, setting: &Setting<'_>, loaded: Loaded, path: Option<&str>) {
    for warning in &loaded.warnings {
        match path {
            Some(path) => setting.warn(&format!("{path}: {warning}")),
            None => setting.warn(warning),
        }
    }
    conf.jwt.keys.get_or_insert_default().push(Arc::new(KeySet::new(loaded.keys)));
}

fn jwt_algorithms(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let algorithm = |name: &[u8]| {
        core::str::from_utf8(name).ok().and_then(Algorithm::from_name).ok_or_else(|| {
            let names = Algorithm::ALL.map(Algorithm::name).join(", ");
            ConfError::value(name, &format!("must be one of {names}"))
        })
    };
    let set = setting.values().map(algorithm).collect::<core::result::Result<_, _>>()?;
    once(&mut conf.jwt.algorithms, set)
}

fn jwt_token(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let sources = (1..=setting.values().count())
        .map(|at| token_source(setting, at))
        .collect::<core::result::Result<_, _>>()?;
    once(&mut conf.jwt.sources, sources)
}

fn token_source(setting: &Setting<'_>, at: usize) -> core::result::Result<TokenSource, ConfError> {
    let source = setting.arg(at).unwrap_or_default();
    let named = |prefix: &[u8]| source.strip_prefix(prefix).filter(|name| !name.is_empty());
    if source == b"bearer" {
        Ok(TokenSource::Bearer)
    } else if let Some(name) = named(b"header:") {
        Ok(TokenSource::Header(name.to_ascii_lowercase().into()))
    } else if let Some(name) = named(b"cookie:") {
        Ok(TokenSource::Cookie(name.into()))
    } else if let Some(name) = named(b"arg:") {
        Ok(TokenSource::Arg(name.into()))
    } else if source.contains(&b'$') {
        Ok(TokenSource::Value(setting.compile(source)?))
    } else {
        Err(ConfError::value(
            source,
            "must be bearer, header:NAME, cookie:NAME, arg:NAME, or hold a variable",
        ))
    }
}

fn jwt_realm(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.realm, setting.compile(setting.first())?)
}

fn jwt_issuer(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.issuers, texts(setting)?)
}

fn jwt_audience(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.audiences, texts(setting)?)
}

fn jwt_typ(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.types, texts(setting)?)
}

fn jwt_leeway(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.leeway, setting.seconds(setting.first())?)
}

fn jwt_require_exp(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.require_exp, flag(setting)?)
}

fn jwt_max_lifetime(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.max_lifetime, setting.seconds(setting.first())?)
}

fn secure_token_secret(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let secret =
        |(i, secret): (usize, &[u8])| LinkSecret::new(secret).ok_or(ConfError::EmptySecret(i + 1));
    let secrets =
        setting.values().enumerate().map(secret).collect::<core::result::Result<_, _>>()?;
    once(&mut conf.link.keys, Rc::new(LinkKeys::Secrets(secrets)))
}

fn secure_token_md5(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    if !setting.first().windows(21).any(|part| part == b"$secure_token_expires") {
        return Err(ConfError::NoExpires);
    }
    let expression = setting.compile(setting.first())?;
    once(&mut conf.link.keys, Rc::new(LinkKeys::Expression(expression)))
}

fn secure_token_algorithm(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let algorithm = |name: &[u8]| {
        core::str::from_utf8(name)
            .ok()
            .and_then(LinkAlgorithm::from_name)
            .ok_or_else(|| ConfError::value(name, "must be md5 or hmac-sha256"))
    };
    let accepted = setting.values().map(algorithm).collect::<core::result::Result<_, _>>()?;
    once(&mut conf.link.accepted, accepted)
}

fn secure_token_value(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.link.value, setting.compile(setting.first())?)
}

fn secure_token_args(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let (signature, expires) = (setting.first(), setting.arg(2).unwrap_or_default());
    if signature == expires || signature.is_empty() || expires.is_empty() {
        return Err(ConfError::value(expires, "must be two different names"));
    }
    let args = LinkArgs { signature: signature.into(), expires: expires.into() };
    once(&mut conf.link.args, Rc::new(args))
}

fn texts(setting: &Setting<'_>) -> core::result::Result<Box<[Box<str>]>, ConfError> {
    setting.values().map(|value| text(value).map(Into::into)).collect()
}

/// Claims and kids are UTF-8, so a value that is not could never equal one.
fn text(value: &[u8]) -> core::result::Result<&str, ConfError> {
    core::str::from_utf8(value).map_err(|_| ConfError::value(value, "must be UTF-8"))
}
