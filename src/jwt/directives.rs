//! The `jwt_*` directives, except those that bring keys and lists (`keys.rs`), and NGINX Plus's names
//! for them.

use std::rc::Rc;

use token::{Algorithm, Cache, ClaimPath, Issuers, Memo};

use super::challenge;
use super::http_level::HttpLevel;
use super::rules::{self, BlockHead, Connective, text};
use super::settings::JwtSettings;
use super::show::{NamedClaim, Shown};
use super::{sources, uri_signing};
use crate::check::{Mode, Severity, Status, Switch, SwitchValue, flag, once, switch};
use crate::nginx::{ConfError, Result, Setting, seconds, size, variables};

/// The largest `jwt_cache`, in bytes. When the first token comes, a worker writes the cache's index, 4
/// bytes for each 512; with a larger cache its requests would wait too long.
const LARGEST_CACHE: usize = 16 << 30;

pub(crate) fn jwt(conf: &mut JwtSettings, http: &HttpLevel, setting: &mut Setting<'_>) -> Result {
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
    let names = setting.values().skip(1).map(provider).collect::<Result<Vec<Box<[u8]>>>>()?;
    let twice =
        names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|one| one == *name));
    if let Some((_, name)) = twice {
        return Err(ConfError::mistake(format!(
            "names provider \"{}\" twice",
            name.escape_ascii()
        )));
    }
    if !names.is_empty() && matches!(value, SwitchValue::Fixed(Mode::Off)) {
        setting.warn("\"provider=\" has no effect where the check is off");
    }
    let position = setting.position().into();
    once(&mut conf.base.switch, Switch { name: "jwt", value, position })?;
    conf.providers = http.providers.list(names.into());
    Ok(())
}

pub(crate) fn jwt_algorithms(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    conf.base.asked.note("jwt_algorithms", setting, Severity::Error);
    let algorithm = |name: &[u8]| {
        core::str::from_utf8(name).ok().and_then(Algorithm::from_name).ok_or_else(|| {
            let names = Algorithm::ALL.map(Algorithm::name).join(", ");
            ConfError::value(name, &format!("must be one of {names}"))
        })
    };
    let set = setting.values().map(algorithm).collect::<Result<_>>()?;
    once(&mut conf.policy.algorithms, set)
}

pub(crate) fn jwt_token(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    once(&mut conf.sources, sources::read(setting)?)
}

pub(crate) fn jwt_next(conf: &mut JwtSettings, _: &HttpLevel, setting: &mut Setting<'_>) -> Result {
    once(&mut conf.next, flag(setting)?)
}

pub(crate) fn jwt_challenge(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    once(&mut conf.challenge, challenge::read(setting)?)
}

pub(crate) fn jwt_uri_signing(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let is_on = flag(setting)?;
    let severity = if is_on { Severity::Error } else { Severity::Nothing };
    conf.base.asked.note("jwt_uri_signing", setting, severity);
    if is_on {
        http.uri_signing.set(true);
    }
    once(&mut conf.uri_signing, uri_signing::read(setting, is_on)?)
}

pub(crate) fn jwt_realm(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    once(&mut conf.realm, setting.compile(setting.first())?)
}

pub(crate) fn jwt_issuer(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    conf.base.asked.note("jwt_issuer", setting, Severity::Error);
    let values = texts(setting)?;
    let issuers = Issuers::new(values.iter().map(AsRef::as_ref));
    let issuers = issuers.map_err(|why| ConfError::Failed(why.to_string()))?;
    warn_of_open_ends(setting, &values);
    once(&mut conf.policy.issuers, issuers)
}

/// Warns of issuers by pattern that also match what goes on before or after them.
fn warn_of_open_ends(setting: &Setting<'_>, values: &[Box<str>]) {
    for pattern in values.iter().filter_map(|value| value.strip_prefix('~')) {
        if !Issuers::is_whole(pattern) {
            setting.warn(&format!(
                "the pattern \"~{pattern}\" is not tied to both ends by \"^\" and \"$\", so it also accepts \
                 longer issuers"
            ));
        }
    }
}

pub(crate) fn jwt_padding(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    once(&mut conf.policy.padding, flag(setting)?)
}

pub(crate) fn jwt_audience(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    conf.base.asked.note("jwt_audience", setting, Severity::Error);
    once(&mut conf.policy.audiences, texts(setting)?)
}

pub(crate) fn jwt_typ(conf: &mut JwtSettings, _: &HttpLevel, setting: &mut Setting<'_>) -> Result {
    conf.base.asked.note("jwt_typ", setting, Severity::Error);
    once(&mut conf.policy.types, texts(setting)?)
}

pub(crate) fn jwt_leeway(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    once(&mut conf.policy.leeway, seconds(setting.first())?)
}

pub(crate) fn jwt_require_exp(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let required = flag(setting)?;
    let severity = if required { Severity::Error } else { Severity::Nothing };
    conf.base.asked.note("jwt_require_exp", setting, severity);
    once(&mut conf.policy.require_exp, required)
}

pub(crate) fn jwt_max_lifetime(
    conf: &mut JwtSettings,
    _: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    conf.base.asked.note("jwt_max_lifetime", setting, Severity::Error);
    once(&mut conf.policy.max_lifetime, seconds(setting.first())?)
}

pub(crate) fn jwt_claim(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    refuse_inner_status(http, setting)?;
    conf.base.asked.note("jwt_claim", setting, Severity::Error);
    let rule = rules::claim(setting, &http.trials)?;
    conf.policy.claims.get_or_insert_default().push(Rc::new(rule));
    Ok(())
}

pub(crate) fn jwt_require(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    refuse_inner_status(http, setting)?;
    conf.base.asked.note("jwt_require", setting, Severity::Error);
    let rule = rules::require(setting, Status::FORBIDDEN, rules::NOTHING, &http.trials)?;
    conf.policy.requires.get_or_insert_default().push(Rc::new(rule));
    Ok(())
}

/// `jwt_any`, `jwt_all` and `jwt_not`: a block that counts as one `jwt_claim`. `read` reads it as a level.
pub(crate) fn jwt_rules(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
    connective: Connective,
    read: impl FnOnce(&mut Setting<'_>) -> Result<JwtSettings>,
) -> Result {
    refuse_inner_status(http, setting)?;
    conf.base.asked.note("jwt_claim", setting, Severity::Error);
    // The words are gone after the block.
    let head = BlockHead::read(setting, connective)?;
    let depth = http.open_blocks.get();
    if depth == rules::MAX_DEPTH {
        let what = format!("is inside {depth} other blocks of rules, which is the limit");
        return Err(ConfError::mistake(what));
    }
    http.open_blocks.set(depth + 1);
    let inner = read(setting)?;
    http.open_blocks.set(depth);
    let rule = head.block(inner.policy.rules(), &http.trials)?;
    conf.policy.claims.get_or_insert_default().push(Rc::new(rule));
    Ok(())
}

/// Refuses an `error=` inside a block of rules, where it would never be used.
fn refuse_inner_status(http: &HttpLevel, setting: &Setting<'_>) -> Result {
    match setting.values().last() {
        Some(last) if http.open_blocks.get() > 0 && last.starts_with(b"error=") => {
            let why = "the answer is that of the outermost block: write it there, as in \
                       \"jwt_any error=404 {\"";
            Err(ConfError::value(last, why))
        }
        _ => Ok(()),
    }
}

/// Whether the system can allocate so much memory. Nothing is written to it.
fn can_be_had(size: usize) -> bool {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(size).is_ok() && std::hint::black_box(memory).capacity() >= size
}

pub(crate) fn jwt_cache(
    _: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let size = match setting.first() {
        b"off" => 0,
        value => match size(value)? {
            size if size > LARGEST_CACHE => {
                return Err(ConfError::value(value, "must be at most 16384m"));
            }
            size if !can_be_had(size) => {
                return Err(ConfError::value(value, "is more memory than there is"));
            }
            size => size,
        },
    };
    if size > 0 && size < Cache::LEAST {
        setting.warn("the size is too small for any token: one may take an eighth of it");
    }
    if let Some(option) = setting.arg(2) {
        let shared = option.strip_prefix(b"shared=").ok_or_else(|| ConfError::parameter(option))?;
        let shared = match shared {
            _ if size == 0 => return Err(ConfError::value(option, "has no meaning with off")),
            b"off" => 0,
            shared => self::size(shared).map_err(|_| {
                ConfError::value(
                    option,
                    "must be a size, such as shared=512k or shared=4m, or shared=off",
                )
            })?,
        };
        if shared > 0 && shared < Memo::LEAST {
            setting.warn(&format!(
                "{}: is too small for any signature",
                String::from_utf8_lossy(option)
            ));
        }
        if shared > LARGEST_CACHE {
            return Err(ConfError::value(option, "must be at most 16384m"));
        }
        http.meter.memo_size.set(Some(shared));
    }
    match http.meter.cache_size.replace(Some(size)) {
        None => Ok(()),
        Some(_) => Err(ConfError::Duplicate),
    }
}

/// `jwt_claim_set $variable NAME ...` and its like: the variable's name and the path of its value.
pub(crate) fn named_claim(setting: &Setting<'_>, shown: Shown) -> Result<(Box<[u8]>, NamedClaim)> {
    let variable = setting.first();
    let Some(name @ [_, ..]) = variable.strip_prefix(b"$") else {
        return Err(ConfError::value(variable, "must be a variable, such as $user"));
    };
    let step = |name: &[u8]| match ClaimPath::new(text(name)?) {
        None => Err(ConfError::value(name, "must name a member")),
        Some(path) if path.leads_to_many() => {
            let why = "a variable has one value: name an element, as in [0], or show the whole array \
                       with jwt_claim_json";
            Err(ConfError::value(name, why))
        }
        Some(path) => Ok(path),
    };
    let path = setting.values().skip(1).map(step).collect::<Result<_>>()?;
    Ok((name.into(), NamedClaim { path, shown }))
}

/// What shows a claim as JSON.
pub(crate) fn claim_as_json(name: &[u8]) -> Result<NamedClaim> {
    let path = ClaimPath::new(text(name)?);
    let path = path.ok_or_else(|| ConfError::value(name, "must name a claim"))?;
    Ok(NamedClaim { path: vec![path], shown: Shown::ClaimAsJson })
}

/// `auth_jwt STRING [token=$variable] | off` sets the realm, the switch and the token's source.
pub(crate) fn auth_jwt(conf: &mut JwtSettings, _: &HttpLevel, setting: &mut Setting<'_>) -> Result {
    let off = setting.first() == b"off";
    let value = SwitchValue::Fixed(if off { Mode::Off } else { Mode::On });
    let position = setting.position().into();
    once(&mut conf.base.switch, Switch { name: "auth_jwt", value, position })?;
    conf.auth_jwt = true;
    if let Some(parameter) = setting.arg(2) {
        // NGINX Plus accepts it with `off`, too, where it means nothing.
        let token = parameter
            .strip_prefix(b"token=")
            .filter(|token| token.contains(&b'$'))
            .ok_or_else(|| ConfError::parameter(parameter))?;
        let source = sources::value(setting.compile(token)?);
        if !off {
            once(&mut conf.sources, source)?;
        }
    }
    if off { Ok(()) } else { once(&mut conf.realm, setting.compile(setting.first())?) }
}

pub(crate) fn auth_jwt_require(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    conf.base.asked.note("jwt_require", setting, Severity::Warning);
    let (status, nothing) = (Status::UNAUTHORIZED, rules::NOTHING_IN_PLUS);
    let rule = rules::require(setting, status, nothing, &http.trials)?;
    conf.policy.requires.get_or_insert_default().push(Rc::new(rule));
    Ok(())
}

/// The arguments as texts, without variables. A `$` at the end of a pattern names none.
fn texts(setting: &Setting<'_>) -> Result<Box<[Box<str>]>> {
    for value in setting.values().filter(|value| variables(value).any(|name| !name.is_empty())) {
        let value = String::from_utf8_lossy(value);
        setting.warn(&format!("\"{value}\" is a text: variables have no meaning here"));
    }
    setting.values().map(|value| text(value).map(Into::into)).collect()
}

/// Adds a `jwt_provider` whose block has been read into `settings`.
pub(crate) fn jwt_provider(http: &HttpLevel, name: Box<[u8]>, settings: JwtSettings) -> Result {
    http.providers.add(name, settings.policy, settings.sources)
}

/// `Err` if there already is a `jwt_provider` of this name.
pub(crate) fn new_provider(http: &HttpLevel, name: &[u8]) -> Result {
    http.providers.is_new(name)
}
