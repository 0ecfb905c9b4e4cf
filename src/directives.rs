//! The table of directives. To add one, add a row here, and the function that it names.

use ngx::ffi::{
    NGX_CONF_1MORE, NGX_CONF_2MORE, NGX_CONF_BLOCK, NGX_CONF_FLAG, NGX_CONF_NOARGS, NGX_CONF_TAKE1,
    NGX_CONF_TAKE2, NGX_CONF_TAKE3, NGX_CONF_TAKE12, NGX_HTTP_LIF_CONF, NGX_HTTP_LMT_CONF,
    NGX_HTTP_LOC_CONF, NGX_HTTP_MAIN_CONF, NGX_HTTP_SRV_CONF,
};

use crate::issue::directives::KeyContext;
use crate::jwt::Connective;
use crate::jwt::show::Shown;
use crate::location::{LocationConf, MainConf, PublishedKeys, StatusPage};
use crate::nginx::{Apply, IN_BLOCK, IN_RULES, Result, Row, Setting, Table};
use crate::{issue, jwt, link, playlist, status, variables};

/// http, server, location, `if` in location, limit_except.
const ANYWHERE: u32 = NGX_HTTP_MAIN_CONF
    | NGX_HTTP_SRV_CONF
    | NGX_HTTP_LOC_CONF
    | NGX_HTTP_LIF_CONF
    | NGX_HTTP_LMT_CONF;

/// [`ANYWHERE`], and in a `jwt_provider` block.
const OR_PROVIDER: u32 = ANYWHERE | IN_BLOCK;

/// [`OR_PROVIDER`], and in a block of rules.
const A_RULE: u32 = OR_PROVIDER | IN_RULES;

/// Where answers are rewritten: http, server, location, `if` in location.
const REWRITTEN: u32 =
    NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_HTTP_LIF_CONF;

/// A block of rules: it may have an `error=`.
const RULES: u32 = A_RULE | NGX_CONF_BLOCK | NGX_CONF_NOARGS | NGX_CONF_TAKE1;

/// The arguments of a row's function: the settings of its room on the level, those of the `http` block,
/// and the words. With `http`, the settings of all rooms.
macro_rules! apply {
    (jwt $function:path) => {
        |location, main, setting| $function(&mut location.jwt.settings, &main.jwt, setting)
    };
    (link $function:path) => {
        |location, _, setting| $function(&mut location.link.settings, setting)
    };
    (issue $function:path) => {
        |location, _, setting| $function(&mut location.issue, setting)
    };
    (playlist $function:path) => {
        |location, _, setting| $function(&mut location.playlist, setting)
    };
    (http $function:path) => {
        $function
    };
}

/// The table, from rows of name, contexts and number of arguments, room and function.
macro_rules! directives {
    ($($name:literal, $kind:expr => $room:ident $function:path;)*) => {
        /// The directives, as nginx reads them.
        pub(crate) static DIRECTIVES: Table<{ [$($name),*].len() }> = Table::new([
            $(Row::new($name, $kind, {
                static APPLY: Apply<LocationConf, MainConf> = apply!($room $function);
                &APPLY
            }),)*
        ]);
    };
}

directives! {
    c"jwt", ANYWHERE | NGX_CONF_1MORE => jwt jwt::directives::jwt;
    c"jwt_kids", OR_PROVIDER | NGX_CONF_BLOCK | NGX_CONF_NOARGS => jwt jwt::keys::jwt_kids;
    c"jwt_kids_file", OR_PROVIDER | NGX_CONF_TAKE12 => jwt jwt::keys::jwt_kids_file;
    c"jwks_file", OR_PROVIDER | NGX_CONF_TAKE1 | NGX_CONF_TAKE2 | NGX_CONF_TAKE3 => jwt jwt::keys::jwks_file;
    c"jwks_request", OR_PROVIDER | NGX_CONF_1MORE => jwt jwt::keys::jwks_request;
    c"jwt_algorithms", OR_PROVIDER | NGX_CONF_1MORE => jwt jwt::directives::jwt_algorithms;
    c"jwt_type", ANYWHERE | NGX_CONF_1MORE => jwt jwt::encrypted::jwt_type;
    c"jwt_decryption_key", ANYWHERE | NGX_CONF_TAKE1 | NGX_CONF_TAKE2 | NGX_CONF_TAKE3 => jwt jwt::encrypted::jwt_decryption_key;
    c"jwt_token", OR_PROVIDER | NGX_CONF_1MORE => jwt jwt::directives::jwt_token;
    c"jwt_next", ANYWHERE | NGX_CONF_FLAG => jwt jwt::directives::jwt_next;
    c"jwt_realm", ANYWHERE | NGX_CONF_TAKE1 => jwt jwt::directives::jwt_realm;
    c"jwt_challenge", ANYWHERE | NGX_CONF_1MORE => jwt jwt::directives::jwt_challenge;
    c"jwt_uri_signing", ANYWHERE | NGX_CONF_TAKE12 => jwt jwt::directives::jwt_uri_signing;
    c"jwt_issuer", OR_PROVIDER | NGX_CONF_1MORE => jwt jwt::directives::jwt_issuer;
    c"jwt_audience", OR_PROVIDER | NGX_CONF_1MORE => jwt jwt::directives::jwt_audience;
    c"jwt_typ", OR_PROVIDER | NGX_CONF_1MORE => jwt jwt::directives::jwt_typ;
    c"jwt_leeway", OR_PROVIDER | NGX_CONF_TAKE1 => jwt jwt::directives::jwt_leeway;
    c"jwt_padding", OR_PROVIDER | NGX_CONF_FLAG => jwt jwt::directives::jwt_padding;
    c"jwt_require_exp", OR_PROVIDER | NGX_CONF_FLAG => jwt jwt::directives::jwt_require_exp;
    c"jwt_max_lifetime", OR_PROVIDER | NGX_CONF_TAKE1 => jwt jwt::directives::jwt_max_lifetime;
    c"jwt_claim", A_RULE | NGX_CONF_2MORE => jwt jwt::directives::jwt_claim;
    c"jwt_require", A_RULE | NGX_CONF_1MORE => jwt jwt::directives::jwt_require;
    c"jwt_any", RULES => http jwt_any;
    c"jwt_all", RULES => http jwt_all;
    c"jwt_not", RULES => http jwt_not;
    c"jwt_revoked", OR_PROVIDER | NGX_CONF_TAKE2 | NGX_CONF_TAKE3 => jwt jwt::lists::jwt_revoked;
    c"jwt_revoked_request", OR_PROVIDER | NGX_CONF_2MORE => jwt jwt::lists::jwt_revoked_request;
    c"jwt_revoked_zone", NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1 => jwt jwt::lists::jwt_revoked_zone;
    c"jwt_status_list", OR_PROVIDER | NGX_CONF_2MORE => jwt jwt::lists::jwt_status_list;
    c"jwt_provider", NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1 => http jwt_provider;
    c"jwt_cache", NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12 => jwt jwt::directives::jwt_cache;
    c"jwt_claim_set", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE => http jwt_claim_set;
    c"jwt_claim_json", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE => http jwt_claim_json;
    c"jwt_header_set", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE => http jwt_header_set;

    c"jwt_sign", REWRITTEN | NGX_CONF_1MORE => issue issue::directives::jwt_sign;
    c"jwt_sign_key", REWRITTEN | NGX_CONF_1MORE => http jwt_sign_key;
    c"jwt_sign_claim", REWRITTEN | NGX_CONF_TAKE2 | NGX_CONF_TAKE3 => http jwt_sign_claim;
    c"jwt_sign_lifetime", REWRITTEN | NGX_CONF_TAKE1 => issue issue::directives::jwt_sign_lifetime;
    c"jwt_sign_buffer", REWRITTEN | NGX_CONF_TAKE1 => issue issue::directives::jwt_sign_buffer;
    c"jwks_publish", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1 => issue issue::directives::jwks_publish::<PublishedKeys>;
    c"jwt_mint", NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1 => http jwt_mint;

    c"secure_token", ANYWHERE | NGX_CONF_TAKE1 => link link::directives::secure_token;
    c"secure_token_secret", ANYWHERE | NGX_CONF_1MORE => link link::directives::secure_token_secret;
    c"secure_token_format", ANYWHERE | NGX_CONF_1MORE => link link::directives::secure_token_format;
    c"secure_token_source", ANYWHERE | NGX_CONF_1MORE => link link::directives::secure_token_source;
    c"secure_token_hash", ANYWHERE | NGX_CONF_2MORE => link link::directives::secure_token_hash;
    c"secure_token_md5", ANYWHERE | NGX_CONF_TAKE1 => link link::directives::secure_token_md5;
    c"secure_token_keys", ANYWHERE | NGX_CONF_TAKE1 | NGX_CONF_TAKE2 | NGX_CONF_TAKE3 => http secure_token_keys;
    c"secure_token_algorithm", ANYWHERE | NGX_CONF_1MORE => link link::directives::secure_token_algorithm;
    c"secure_token_value", ANYWHERE | NGX_CONF_TAKE1 => link link::directives::secure_token_value;
    c"secure_token_args", ANYWHERE | NGX_CONF_TAKE2 => link link::directives::secure_token_args;
    c"secure_token_forward", REWRITTEN | NGX_CONF_TAKE1 => playlist playlist::directives::secure_token_forward;

    c"secure_token_mint", NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1 => http secure_token_mint;

    c"token_auth_status", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1 => http token_auth_status;

    // NGINX Plus's names for these directives.
    c"auth_jwt", ANYWHERE | NGX_CONF_TAKE12 => jwt jwt::directives::auth_jwt;
    c"auth_jwt_key_file", ANYWHERE | NGX_CONF_TAKE1 => jwt jwt::keys::auth_jwt_key_file;
    c"auth_jwt_key_request", ANYWHERE | NGX_CONF_TAKE1 => jwt jwt::keys::auth_jwt_key_request;
    c"auth_jwt_key_cache", ANYWHERE | NGX_CONF_TAKE1 => jwt jwt::keys::auth_jwt_key_cache;
    c"auth_jwt_leeway", ANYWHERE | NGX_CONF_TAKE1 => jwt jwt::directives::jwt_leeway;
    c"auth_jwt_type", ANYWHERE | NGX_CONF_TAKE1 => jwt jwt::encrypted::jwt_type;
    c"auth_jwt_require", ANYWHERE | NGX_CONF_1MORE => jwt jwt::directives::auth_jwt_require;
    c"auth_jwt_claim_set", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE => http jwt_claim_set;
    c"auth_jwt_header_set", NGX_HTTP_MAIN_CONF | NGX_CONF_2MORE => http jwt_header_set;
}

/// `jwt_provider NAME { ... }`: reads the block with the functions of a location's directives.
fn jwt_provider(_: &mut LocationConf, main: &MainConf, setting: &mut Setting<'_>) -> Result {
    let name: Box<[u8]> = setting.first().into();
    jwt::directives::new_provider(&main.jwt, &name)?;
    let inner = setting.level_block::<LocationConf>(IN_BLOCK)?;
    jwt::directives::jwt_provider(&main.jwt, name, inner.jwt.settings)
}

fn token_auth_status(
    location: &mut LocationConf,
    main: &MainConf,
    setting: &mut Setting<'_>,
) -> Result {
    status::token_auth_status::<StatusPage>(&mut location.status, &main.status, setting)
}

fn jwt_any(location: &mut LocationConf, main: &MainConf, setting: &mut Setting<'_>) -> Result {
    rules(location, main, setting, Connective::Any)
}

fn jwt_all(location: &mut LocationConf, main: &MainConf, setting: &mut Setting<'_>) -> Result {
    rules(location, main, setting, Connective::All)
}

fn jwt_not(location: &mut LocationConf, main: &MainConf, setting: &mut Setting<'_>) -> Result {
    rules(location, main, setting, Connective::Not)
}

/// A block of rules, which is read as a level of its own.
fn rules(
    location: &mut LocationConf,
    main: &MainConf,
    setting: &mut Setting<'_>,
    connective: Connective,
) -> Result {
    jwt::directives::jwt_rules(
        &mut location.jwt.settings,
        &main.jwt,
        setting,
        connective,
        |block| Ok(block.level_block::<LocationConf>(IN_RULES)?.jwt.settings),
    )
}

fn jwt_claim_set(_: &mut LocationConf, _: &MainConf, setting: &mut Setting<'_>) -> Result {
    define_variable(setting, Shown::Claim)
}

fn jwt_claim_json(_: &mut LocationConf, _: &MainConf, setting: &mut Setting<'_>) -> Result {
    define_variable(setting, Shown::ClaimAsJson)
}

fn jwt_header_set(_: &mut LocationConf, _: &MainConf, setting: &mut Setting<'_>) -> Result {
    define_variable(setting, Shown::Header)
}

fn define_variable(setting: &Setting<'_>, shown: Shown) -> Result {
    let (name, claim) = jwt::directives::named_claim(setting, shown)?;
    setting.define_variable(&name, variables::named_claim, claim)
}

fn jwt_sign_key(location: &mut LocationConf, main: &MainConf, setting: &mut Setting<'_>) -> Result {
    issue::directives::jwt_sign_key(&mut location.issue, &key_context(main, setting), setting)
}

fn key_context<'c>(main: &'c MainConf, setting: &Setting<'c>) -> KeyContext<'c> {
    let before = setting.main_before::<MainConf>().map(|before| &before.issue);
    KeyContext { main: &main.issue, before, health: &main.jwt.health }
}

fn jwt_sign_claim(
    location: &mut LocationConf,
    main: &MainConf,
    setting: &mut Setting<'_>,
) -> Result {
    let json_of = |setting: &Setting<'_>, value: &[u8]| claim_as_json(main, setting, value);
    issue::directives::jwt_sign_claim(&mut location.issue, setting, &json_of)
}

fn jwt_mint(_: &mut LocationConf, main: &MainConf, setting: &mut Setting<'_>) -> Result {
    let context = key_context(main, setting);
    let json_of = |setting: &Setting<'_>, value: &[u8]| claim_as_json(main, setting, value);
    let (name, mint) = issue::directives::jwt_mint(&context, setting, &json_of)?;
    setting.define_variable(&name, variables::minted, mint)
}

fn secure_token_keys(
    location: &mut LocationConf,
    main: &MainConf,
    setting: &mut Setting<'_>,
) -> Result {
    link::directives::secure_token_keys(&mut location.link.settings, &main.jwt.health, setting)
}

fn secure_token_mint(_: &mut LocationConf, _: &MainConf, setting: &mut Setting<'_>) -> Result {
    let (name, mint) = link::secure_token_mint(setting)?;
    setting.define_variable(&name, variables::minted_link, mint)
}

/// A variable that shows the claim of `$jwt_claim_NAME` as JSON, for a value that is nothing else: the
/// variable itself shows an array as text, joined by commas.
fn claim_as_json(
    main: &MainConf,
    setting: &Setting<'_>,
    value: &[u8],
) -> Result<Option<Box<[u8]>>> {
    // nginx reads names of variables in lower case.
    let value = &*value.to_ascii_lowercase();
    let braced = value.strip_prefix(b"${jwt_claim_").and_then(|rest| rest.strip_suffix(b"}"));
    let Some(claim) = value.strip_prefix(b"$jwt_claim_").or(braced) else { return Ok(None) };
    if !claim.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return Ok(None);
    }
    let name = [b"token_auth_json_of_claim_", claim].concat();
    if main.issue.is_new_variable(&name) {
        let claim = jwt::directives::claim_as_json(claim)?;
        setting.define_variable(&name, variables::named_claim, claim)?;
    }
    Ok(Some([b"$", &*name].concat().into()))
}
