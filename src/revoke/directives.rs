//! The directives that bring fetched lists.

use std::rc::Rc;

use token::ClaimPath;
use token::schedule::Terms;

use super::lists::Lists;
use super::request::{ListPlace, Missing, RevokedRequest, StatusListRequest};
use crate::check::{FetchTimes, option_once};
use crate::live::{HealthTable, NamedServer};
use crate::nginx::{self, ConfError, Result, Setting};

/// Defaults, in milliseconds.
const VALID: u64 = 5 * 1000;
const STATUS_VALID: u64 = 5 * 60 * 1000;
const STALE: u64 = 60 * 60 * 1000;
const TIMEOUT: u64 = 10 * 1000;

/// The smallest zone, in bytes. nginx's allocator needs some of it.
const SMALLEST_ZONE: usize = 64 << 10;

/// Finds the server that `server=` names.
pub(crate) type FindServer<'f> = &'f dyn Fn(&[u8], &Setting<'_>) -> Rc<NamedServer>;

/// The options of a directive that fetches a list.
#[derive(Default)]
struct Options {
    times: FetchTimes,
    missing: Option<Missing>,
    server: Option<Rc<NamedServer>>,
    /// Of status lists.
    required: Option<bool>,
    /// Of other lists.
    first: Option<Box<[u8]>>,
}

/// Which of the two directives reads its options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Lists,
    StatusLists,
}

impl Options {
    /// Reads the arguments from the third on.
    fn read(setting: &Setting<'_>, find_server: FindServer<'_>, of: Of) -> Result<Self> {
        let mut options = Self::default();
        for option in setting.values().skip(2) {
            if options.times.read(option)? {
                continue;
            }
            if let Some(word) = option.strip_prefix(b"missing=") {
                let missing = match word {
                    b"refuse" => Missing::Refuse,
                    b"pass" => Missing::Pass,
                    _ => {
                        let why = "must be missing=refuse or missing=pass";
                        return Err(ConfError::value(option, why));
                    }
                };
                option_once(&mut options.missing, option, missing)?;
            } else if let Some(name) =
                option.strip_prefix(b"server=").filter(|name| !name.is_empty())
            {
                option_once(&mut options.server, option, find_server(name, setting))?;
            } else if option == b"required" && of == Of::StatusLists {
                option_once(&mut options.required, option, true)?;
            } else if let Some(line) = option.strip_prefix(b"first=").filter(|_| of == Of::Lists) {
                if line.trim_ascii() != line || line.is_empty() || line.contains(&b'\n') {
                    let why =
                        "must be a line, without white space around it, such as first=#revoked";
                    return Err(ConfError::value(option, why));
                }
                option_once(&mut options.first, option, line.into())?;
            } else {
                return Err(ConfError::parameter(option));
            }
        }
        Ok(options)
    }

    /// The place of the list that the directive fetches from its second argument.
    fn place(self, setting: &Setting<'_>, valid: u64, health: &HealthTable) -> Result<ListPlace> {
        let uri = setting.arg(2).unwrap_or_default();
        if uri.contains(&b'$') {
            let why = "must be the same for all requests: no variable is taken here";
            return Err(ConfError::value(uri, why));
        }
        if !uri.starts_with(b"/") {
            let why = "must be the URI of a location of the server, beginning with a slash";
            return Err(ConfError::value(uri, why));
        }
        if token::http::request_target(uri).is_none() {
            return Err(ConfError::value(uri, "must be a path without \"..\" and NUL"));
        }
        Ok(ListPlace {
            place: (setting.name().into(), setting.position().into()),
            uri: uri.into(),
            server: self.server,
            terms: Terms {
                valid: self.times.valid.unwrap_or(valid),
                stale: self.times.stale.unwrap_or(STALE),
                timeout: self.times.timeout.unwrap_or(TIMEOUT),
            },
            missing: self.missing.unwrap_or(Missing::Refuse),
            health: health.add(&[setting.position().as_bytes(), b" ", uri].concat()),
        })
    }
}

/// `jwt_revoked_request CLAIM URI [valid=TIME] [stale=TIME] [timeout=TIME] [missing=refuse|pass]
/// [first=LINE] [server=NAME]`.
pub(crate) fn revoked_request(
    lists: &Lists,
    health: &HealthTable,
    setting: &Setting<'_>,
    claim: ClaimPath,
    find_server: FindServer<'_>,
) -> Result<RevokedRequest> {
    let mut options = Options::read(setting, find_server, Of::Lists)?;
    let first = options.first.take();
    let at = options.place(setting, VALID, health)?;
    lists.are_wanted();
    Ok(RevokedRequest::new(at, first, claim))
}

/// `jwt_status_list PREFIX URI [valid=TIME] [stale=TIME] [timeout=TIME] [missing=refuse|pass] [required]
/// [server=NAME]`.
pub(crate) fn status_list_request(
    lists: &Lists,
    health: &HealthTable,
    setting: &Setting<'_>,
    prefix: &str,
    find_server: FindServer<'_>,
) -> Result<StatusListRequest> {
    // "https://a.example" would also begin "https://a.example.evil/".
    let parts = prefix.split_once("://").and_then(|(scheme, rest)| {
        let (host, _) = rest.split_once('/')?;
        Some([scheme, host])
    });
    let is_written =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_ascii_uppercase());
    if !parts.is_some_and(|parts| parts.into_iter().all(is_written)) || prefix.contains('$') {
        return Err(ConfError::value(
            prefix.as_bytes(),
            "must be the beginning of a URL, with all of its host in lower case and a slash, and \
             without variables, such as https://login.example.com/statuslists/",
        ));
    }
    if !prefix.ends_with(['/', '=']) {
        let directive = setting.name();
        setting.warn(&format!(
            "\"{directive}\": \"{prefix}\" does not end with a slash, so that it is also the beginning of \
             longer names"
        ));
    }
    let mut options = Options::read(setting, find_server, Of::StatusLists)?;
    let required = options.required.take().unwrap_or(false);
    let at = options.place(setting, STATUS_VALID, health)?;
    lists.are_wanted();
    Ok(StatusListRequest { at, prefix: prefix.into(), required })
}

/// `jwt_revoked_zone SIZE`.
pub(crate) fn zone_size(lists: &Lists, setting: &Setting<'_>) -> Result {
    let size = nginx::size(setting.first())
        .map_err(|_| ConfError::value(setting.first(), "must be a size, such as 512k or 64m"))?;
    if size < SMALLEST_ZONE {
        return Err(ConfError::value(setting.first(), "must be at least 64k"));
    }
    lists.set_size(size)
}
