//! The directives that bring lists of revoked tokens.

use std::rc::Rc;
use std::sync::Arc;

use token::{ClaimPath, Revocation, RevokedList};

use super::files::RevokedOf;
use super::http_level::HttpLevel;
use super::keys::{Options, bad_file, read_file, warn};
use super::noted::Holder;
use super::rules::text;
use super::settings::JwtSettings;
use crate::check::Severity;
use crate::live::Watched;
use crate::live::file::{LARGEST_LIST, Text};
use crate::nginx::{ConfError, Result, Setting};
use crate::revoke;

/// The claim whose values a list has: the first argument.
fn listed_claim(setting: &Setting<'_>) -> Result<ClaimPath> {
    let name = setting.first();
    let claim = ClaimPath::new(text(name)?).ok_or_else(|| {
        ConfError::value(name, "must name a claim, with at most 16 dots and brackets")
    })?;
    if name.starts_with(b"$") || name.iter().any(|byte| matches!(byte, b',' | b' ')) {
        let directive = setting.name();
        setting.warn(&format!(
            "\"{directive}\": \"{}\" is the name of one claim: no variable is taken here, and no list of \
             names",
            name.escape_ascii()
        ));
    }
    Ok(claim)
}

/// `jwt_revoked CLAIM PATH [check=TIME]`.
pub(crate) fn jwt_revoked(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let claim = listed_claim(setting)?;
    let options = Options::read(setting, 3, false)?;
    let path = setting.file_path(setting.arg(2).unwrap_or_default())?;
    let said = Box::from(claim.as_str());
    let read = || read_revoked(http, setting, &path, claim, options.check);
    let list = http.files.revoked.get_or_read(&path, said, options.check, read)?;
    conf.base.asked.note("jwt_revoked", setting, Severity::Error);
    let revoked = conf.policy.revoked.get_or_insert_default();
    match list {
        RevokedOf::Fixed(list) => revoked.lists.push(list),
        RevokedOf::Watched(list) => revoked.watched.push(list),
    }
    Ok(())
}

fn read_revoked(
    http: &HttpLevel,
    setting: &Setting<'_>,
    path: &[u8],
    claim: ClaimPath,
    check: Option<u64>,
) -> Result<RevokedOf> {
    let name = [b"list ", claim.as_str().as_bytes(), b" ", path].concat();
    let file_name = Box::<str>::from(String::from_utf8_lossy(path));
    let parse = move |mut text: Text| {
        RevokedList::parse_with_warnings(core::mem::take(&mut *text))
            .map(|(list, warnings)| {
                (Revocation::new(claim.clone(), list).named(file_name.clone()), warnings)
            })
            .map_err(|error| error.to_string())
    };
    let shown = String::from_utf8_lossy(path);
    let Some(check) = check else {
        let parsed = parse(read_file(path, LARGEST_LIST)?);
        let (list, warnings) = parsed.map_err(|why| bad_file(path, why))?;
        warn(setting, &warnings, Some(&shown));
        let list = Arc::new(list);
        http.sources.note(setting, path, Holder::List(Arc::clone(&list)));
        return Ok(RevokedOf::Fixed(list));
    };
    let parse = move |text, _: Option<&Revocation>| parse(text);
    let health = http.health.add(&name);
    let opened = Watched::open(path, LARGEST_LIST, check, Box::new(parse), health);
    let (list, warnings) = opened.map_err(|why| bad_file(path, why))?;
    warn(setting, &warnings, Some(&shown));
    let list = Rc::new(list);
    http.sources.note(setting, path, Holder::WatchedList(Rc::clone(&list)));
    Ok(RevokedOf::Watched(list))
}

/// `jwt_revoked_request CLAIM URI ...`.
pub(crate) fn jwt_revoked_request(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let claim = listed_claim(setting)?;
    let find_server = |name: &[u8], setting: &Setting<'_>| http.named_server(name, setting);
    let list = revoke::revoked_request(&http.lists, &http.health, setting, claim, &find_server)?;
    http.has_requests.set(true);
    conf.base.asked.note("jwt_revoked_request", setting, Severity::Error);
    conf.policy.requested.get_or_insert_default().push(Rc::new(list));
    Ok(())
}

/// `jwt_status_list PREFIX URI ...`.
pub(crate) fn jwt_status_list(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let prefix = text(setting.first())?;
    let find_server = |name: &[u8], setting: &Setting<'_>| http.named_server(name, setting);
    let lists =
        revoke::status_list_request(&http.lists, &http.health, setting, prefix, &find_server)?;
    let lists = Rc::new(lists);
    http.has_requests.set(true);
    http.sources.note(
        setting,
        setting.arg(2).unwrap_or_default(),
        Holder::StatusLists(Rc::clone(&lists)),
    );
    conf.base.asked.note("jwt_status_list", setting, Severity::Error);
    conf.policy.status_lists.get_or_insert_default().push(lists);
    Ok(())
}

/// `jwt_revoked_zone SIZE`.
pub(crate) fn jwt_revoked_zone(
    _: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    revoke::zone_size(&http.lists, setting)
}
