//! The directives. To add one: a row in [`COMMANDS`], and the function that it names.

use std::rc::Rc;

use ngx::ffi::{
    NGX_CONF_1MORE, NGX_CONF_2MORE, NGX_CONF_BLOCK, NGX_CONF_FLAG, NGX_CONF_NOARGS, NGX_CONF_TAKE1,
    NGX_CONF_TAKE2, NGX_CONF_TAKE3, NGX_CONF_TAKE12, NGX_HTTP_LIF_CONF, NGX_HTTP_LMT_CONF,
    NGX_HTTP_LOC_CONF, NGX_HTTP_MAIN_CONF, NGX_HTTP_SRV_CONF,
};
use token::credential::is_spelling;
use token::{Algorithm, ClaimPath, LinkAlgorithm, LinkSecret};

use super::asked::Severity;
use super::jwt::TokenSource;
use super::link::{LinkArgs, LinkKeys};
use super::provider::jwt_provider;
use super::rules::{self, Status};
use super::setting::{
    Command, ConfError, NamedClaim, PROVIDER, Result, Setting, commands, once, text, variables,
};
use super::{LocationConf, Mode, Switch, SwitchValue, keys};

/// http, server, location, `if` in location, limit_except.
const ANYWHERE: u32 = NGX_HTTP_MAIN_CONF
    | NGX_HTTP_SRV_CONF
    | NGX_HTTP_LOC_CONF
    | NGX_HTTP_LIF_CONF
    | NGX_HTTP_LMT_CONF;

/// As [`ANYWHERE`], and in a `jwt_provider` block.
const OR_PROVIDER: u32 = ANYWHERE | PROVIDER;

commands! {
    "jwt", ANYWHERE | NGX_CONF_1MORE, jwt;
    "jwt_kids", OR_PROVIDER | NGX_CONF_BLOCK | NGX_CONF_NOARGS, keys::jwt_kids;
    "jwt_kids_file", OR_PROVIDER | NGX_CONF_TAKE12, keys::jwt_kids_file;
    "jwks_file", OR_PROVIDER | NGX_CONF_TAKE1 | NGX_CONF_TAKE2 | NGX_CONF_TAKE3, keys::jwks_file;
    "jwks_request", OR_PROVIDER | NGX_CONF_1MORE, keys::jwks_request;
    "jwt_algorithms", OR_PROVIDER | NGX_CONF_1MORE, jwt_algorithms;
    "jwt_token", ANYWHERE | NGX_CONF_1MORE, jwt_token;
    "jwt_realm", ANYWHERE | NGX_CONF_TAKE1, jwt_realm;
    "jwt_issuer", OR_PROVIDER | NGX_CONF_1MORE, jwt_issuer;
    "jwt_audience", OR_PROVIDER | NGX_CONF_1MORE, jwt_audience;
    "jwt_typ", OR_PROVIDER | NGX_CONF_1MORE, jwt_typ;
    "jwt_leeway", OR_PROVIDER | NGX_CONF_TAKE1, jwt_leeway;
    "jwt_require_exp", OR_PROVIDER | NGX_CONF_FLAG, jwt_require_exp;
    "jwt_max_lifetime", OR_PROVIDER | NGX_CONF_TAKE1, jwt_max_lifetime;
    "jwt_claim", OR_PROVIDER | NGX_CONF_2MORE, jwt_claim;
    "jwt_require", OR_PROVIDER | NGX_CONF_1MORE, jwt_require;
    "jwt_revoked", OR_PROVIDER | NGX_CONF_TAKE2 | NGX_CONF_TAKE3, keys::jwt_revoked;
    "jwt_provider", NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1, jwt_provider;
    "jwt_cache", NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, jwt_cache;
    "jwt_claim_set", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE, jwt_claim_set;
    "jwt_header_set", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE, jwt_header_set;

    "secure_token", ANYWHERE | NGX_CONF_TAKE1, secure_token;
    "secure_token_secret", ANYWHERE | NGX_CONF_1MORE, secure_token_secret;
    "secure_token_md5", ANYWHERE | NGX_CONF_TAKE1, secure_token_md5;
    "secure_token_algorithm", ANYWHERE | NGX_CONF_1MORE, secure_token_algorithm;
    "secure_token_value", ANYWHERE | NGX_CONF_TAKE1, secure_token_value;
    "secure_token_args", ANYWHERE | NGX_CONF_TAKE2, secure_token_args;

    // NGINX Plus's names for the same.
    "auth_jwt", ANYWHERE | NGX_CONF_TAKE12, auth_jwt;
    "auth_jwt_key_file", ANYWHERE | NGX_CONF_TAKE1, keys::auth_jwt_key_file;
    "auth_jwt_key_request", ANYWHERE | NGX_CONF_TAKE1, keys::auth_jwt_key_request;
    "auth_jwt_key_cache", ANYWHERE | NGX_CONF_TAKE1, keys::auth_jwt_key_cache;
    "auth_jwt_leeway", ANYWHERE | NGX_CONF_TAKE1, jwt_leeway;
    "auth_jwt_type", ANYWHERE | NGX_CONF_TAKE1, auth_jwt_type;
    "auth_jwt_require", ANYWHERE | NGX_CONF_1MORE, auth_jwt_require;
    "auth_jwt_claim_set", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE, jwt_claim_set;
    "auth_jwt_header_set", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE, jwt_header_set;
}

fn jwt(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let value = switch(setting, |word| match word {
        b"on" => Some(Mode::On),
        b"off" => Some(Mode::Off),
        b"optional" => Some(Mode::Optional),
        b"permissive" => Some(Mode::Permissive),
        _ => None,
    });
    let value = value?.ok_or_else(|| {
        let want = "must be on, off, optional, permissive, or hold a variable";
        ConfError::value(setting.first(), want)
    })?;
    let provider = |word: &[u8]| match word.strip_prefix(b"provider=") {
        Some(name) if !name.is_empty() => Ok(name.into()),
        _ => Err(ConfError::parameter(word)),
    };
    let names = setting.values().skip(1).map(provider).collect::<Result<_>>()?;
    let providers = setting.main().providers.list(names);
    let position = setting.position().into();
    once(&mut conf.jwt.switch, Switch { name: "jwt", value, providers, position })
}

fn secure_token(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let value = switch(setting, |word| match word {
        b"on" => Some(Mode::On),
        b"off" => Some(Mode::Off),
        _ => None,
    });
    let value = value?
        .ok_or_else(|| ConfError::value(setting.first(), "must be on, off, or hold a variable"))?;
    let position = setting.position().into();
    let switch = Switch { name: "secure_token", value, providers: None, position };
    once(&mut conf.link.switch, switch)
}

/// The first argument as the position of a switch, if it is one. As nginx's own flags, words
/// ignore case.
fn switch(
    setting: &Setting<'_>,
    mode: impl Fn(&[u8]) -> Option<Mode>,
) -> Result<Option<SwitchValue>> {
    let word = setting.first();
    if word.contains(&b'$') {
        return Ok(Some(SwitchValue::Variable(setting.compile(word)?)));
    }
    Ok(mode(&word.to_ascii_lowercase()).map(SwitchValue::Fixed))
}

fn flag(setting: &Setting<'_>) -> Result<bool> {
    // nginx's own flags ignore case (ngx_conf_set_flag_slot).
    match setting.first() {
        on if on.eq_ignore_ascii_case(b"on") => Ok(true),
        off if off.eq_ignore_ascii_case(b"off") => Ok(false),
        other => Err(ConfError::value(other, "must be \"on\" or \"off\"")),
    }
}

fn jwt_algorithms(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.jwt.asked.note("jwt_algorithms", setting, Severity::Error);
    let algorithm = |name: &[u8]| {
        core::str::from_utf8(name).ok().and_then(Algorithm::from_name).ok_or_else(|| {
            let names = Algorithm::ALL.map(Algorithm::name).join(", ");
            ConfError::value(name, &format!("must be one of {names}"))
        })
    };
    let set = setting.values().map(algorithm).collect::<Result<_>>()?;
    once(&mut conf.jwt.algorithms, set)
}

fn jwt_token(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let sources = (1..=setting.values().count())
        .map(|at| token_source(setting, at))
        .collect::<Result<_>>()?;
    once(&mut conf.jwt.sources, sources)
}

fn token_source(setting: &Setting<'_>, at: usize) -> Result<TokenSource> {
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
    conf.jwt.asked.note("jwt_issuer", setting, Severity::Error);
    once(&mut conf.jwt.issuers, texts(setting)?)
}

fn jwt_audience(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.jwt.asked.note("jwt_audience", setting, Severity::Error);
    once(&mut conf.jwt.audiences, texts(setting)?)
}

fn jwt_typ(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.jwt.asked.note("jwt_typ", setting, Severity::Error);
    once(&mut conf.jwt.types, texts(setting)?)
}

fn jwt_leeway(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.jwt.leeway, setting.seconds(setting.first())?)
}

fn jwt_require_exp(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let required = flag(setting)?;
    let severity = if required { Severity::Error } else { Severity::Nothing };
    conf.jwt.asked.note("jwt_require_exp", setting, severity);
    once(&mut conf.jwt.require_exp, required)
}

fn jwt_max_lifetime(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.jwt.asked.note("jwt_max_lifetime", setting, Severity::Error);
    once(&mut conf.jwt.max_lifetime, setting.seconds(setting.first())?)
}

fn jwt_claim(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.jwt.asked.note("jwt_claim", setting, Severity::Error);
    let rule = rules::claim(setting)?;
    conf.jwt.claims.get_or_insert_default().push(Rc::new(rule));
    Ok(())
}

fn jwt_require(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.jwt.asked.note("jwt_require", setting, Severity::Error);
    let rule = rules::require(setting, Status::Forbidden, rules::NOTHING)?;
    conf.jwt.requires.get_or_insert_default().push(Rc::new(rule));
    Ok(())
}

/// The largest `jwt_cache`. A worker writes to its index, 4 bytes for each 512, when the first token
/// comes: with more it would keep all of its requests waiting meanwhile.
const LARGEST_CACHE: usize = 16 << 30;

/// Whether the system would give so much memory. Nothing is written to it.
fn can_be_had(size: usize) -> bool {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(size).is_ok() && std::hint::black_box(memory).capacity() >= size
}

fn jwt_cache(_: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let size = match setting.first() {
        b"off" => 0,
        value => match setting.size(value)? {
            size if size > LARGEST_CACHE => {
                return Err(ConfError::value(value, "must be at most 16384m"));
            }
            size if !can_be_had(size) => {
                return Err(ConfError::value(value, "is more memory than there is"));
            }
            size => size,
        },
    };
    match setting.main().cache_size.replace(Some(size)) {
        None => Ok(()),
        Some(_) => Err(ConfError::Duplicate),
    }
}

fn jwt_claim_set(_: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    named_claim(setting, false)
}

fn jwt_header_set(_: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    named_claim(setting, true)
}

fn named_claim(setting: &Setting<'_>, header: bool) -> Result {
    let variable = setting.first();
    let Some(name @ [_, ..]) = variable.strip_prefix(b"$") else {
        return Err(ConfError::value(variable, "must be a variable, such as $user"));
    };
    let step = |name: &[u8]| {
        ClaimPath::new(text(name)?).ok_or_else(|| ConfError::value(name, "must name a member"))
    };
    let path = setting.values().skip(1).map(step).collect::<Result<_>>()?;
    setting.add_variable(name, NamedClaim { path, header })
}

/// `auth_jwt STRING [token=$variable] | off`: the realm, the switch and the source in one.
fn auth_jwt(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    let off = setting.first() == b"off";
    let value = SwitchValue::Fixed(if off { Mode::Off } else { Mode::On });
    let position = setting.position().into();
    once(&mut conf.jwt.switch, Switch { name: "auth_jwt", value, providers: None, position })?;
    conf.jwt.auth_jwt = true;
    if let Some(parameter) = setting.arg(2) {
        let token = parameter
            .strip_prefix(b"token=")
            .filter(|token| !off && token.contains(&b'$'))
            .ok_or_else(|| ConfError::parameter(parameter))?;
        let source = TokenSource::Value(setting.compile(token)?);
        once(&mut conf.jwt.sources, Rc::new([source]))?;
    }
    if off { Ok(()) } else { once(&mut conf.jwt.realm, setting.compile(setting.first())?) }
}

fn auth_jwt_type(_: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    match setting.first() {
        b"signed" => Ok(()),
        other => Err(ConfError::value(other, "only \"signed\" is supported")),
    }
}

fn auth_jwt_require(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.jwt.asked.note("jwt_require", setting, Severity::Warning);
    let rule = rules::require(setting, Status::Unauthorized, rules::NOTHING_IN_PLUS)?;
    conf.jwt.requires.get_or_insert_default().push(Rc::new(rule));
    Ok(())
}

fn secure_token_secret(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.link.asked.note("secure_token_secret", setting, Severity::Error);
    let secret =
        |(i, secret): (usize, &[u8])| LinkSecret::new(secret).ok_or(ConfError::EmptySecret(i + 1));
    let secrets = setting.values().enumerate().map(secret).collect::<Result<_>>()?;
    once(&mut conf.link.keys, LinkKeys::Secrets(secrets))
}

fn secure_token_md5(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    if !variables(setting.first()).any(|name| name == b"secure_token_expires") {
        return Err(ConfError::NoExpires);
    }
    conf.link.asked.note("secure_token_secret", setting, Severity::Error);
    setting.warn_of_arguments(setting.first());
    let expression = setting.compile(setting.first())?;
    once(&mut conf.link.keys, LinkKeys::Expression(expression))
}

fn secure_token_algorithm(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.link.asked.note("secure_token_algorithm", setting, Severity::Error);
    let algorithm = |name: &[u8]| {
        core::str::from_utf8(name)
            .ok()
            .and_then(LinkAlgorithm::from_name)
            .ok_or_else(|| ConfError::value(name, "must be md5 or hmac-sha256"))
    };
    let accepted = setting.values().map(algorithm).collect::<Result<_>>()?;
    once(&mut conf.link.accepted, accepted)
}

fn secure_token_value(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.link.asked.note("secure_token_value", setting, Severity::Error);
    setting.warn_of_arguments(setting.first());
    once(&mut conf.link.value, setting.compile(setting.first())?)
}

fn secure_token_args(conf: &mut LocationConf, setting: &mut Setting<'_>) -> Result {
    conf.link.asked.note("secure_token_args", setting, Severity::Error);
    let (signature, expires) = (setting.first(), setting.arg(2).unwrap_or_default());
    // Names that some reader takes for one would make each argument a second one of the other.
    let are_one = is_spelling(signature, expires) || is_spelling(expires, signature);
    if are_one || signature.is_empty() || expires.is_empty() {
        return Err(ConfError::value(
            expires,
            "must be two different names (case, encoding and \".\" for \"_\" make no difference)",
        ));
    }
    let args = LinkArgs { signature: signature.into(), expires: expires.into() };
    once(&mut conf.link.args, Rc::new(args))
}

fn texts(setting: &Setting<'_>) -> Result<Box<[Box<str>]>> {
    setting.values().map(|value| text(value).map(Into::into)).collect()
}
