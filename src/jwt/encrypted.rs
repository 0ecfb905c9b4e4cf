//! The directives of encrypted tokens: `jwt_type`, `auth_jwt_type` and `jwt_decryption_key`.

use std::rc::Rc;
use std::sync::Arc;

use token::jwe::{DecryptionKeys, LoadedDecryptionKeys, load_decryption_keys};

use super::files::DecryptionKeysOf;
use super::forms::TokenTypes;
use super::http_level::HttpLevel;
use super::keys::{Options, bad_file, read_file, warn, warn_if_readable};
use super::noted::Holder;
use super::settings::JwtSettings;
use crate::check::{Severity, once};
use crate::live::Watched;
use crate::live::file::{LARGEST_KEY_FILE, Text};
use crate::nginx::{ConfError, Result, Setting};

/// `jwt_type signed|encrypted|nested ...`, and NGINX Plus's `auth_jwt_type`, which has one of them.
pub(crate) fn jwt_type(conf: &mut JwtSettings, _: &HttpLevel, setting: &mut Setting<'_>) -> Result {
    let mut types = TokenTypes {
        signed: false,
        encrypted: false,
        nested: false,
        directive: setting.name().into(),
        position: setting.position().into(),
        warned: Rc::default(),
    };
    for word in setting.values() {
        let form = match word {
            b"signed" => &mut types.signed,
            b"encrypted" => &mut types.encrypted,
            b"nested" => &mut types.nested,
            other => {
                let want = "must be \"signed\", \"encrypted\" or \"nested\"";
                return Err(ConfError::value(other, want));
            }
        };
        if std::mem::replace(form, true) {
            return Err(ConfError::value(word, "stands twice"));
        }
    }
    let asks = types.encrypted || types.nested;
    let severity = match asks {
        false => Severity::Nothing,
        // In NGINX Plus it stands above the locations with `auth_jwt`, too.
        true if setting.name().starts_with("auth_") => Severity::Warning,
        true => Severity::Error,
    };
    conf.base.asked.note("jwt_type", setting, severity);
    once(&mut conf.types, types)
}

/// `jwt_decryption_key FILE [kid=KID] [check=TIME]`.
pub(crate) fn jwt_decryption_key(
    conf: &mut JwtSettings,
    http: &HttpLevel,
    setting: &mut Setting<'_>,
) -> Result {
    let options = Options::read(setting, 2, true)?;
    let path = setting.file_path(setting.first())?;
    let kid: Option<Box<str>> = options.kid.map(Into::into);
    let read = || read_keys(http, setting, &path, options.check, kid.clone());
    let keys = http.files.decryption.get_or_read(&path, kid.clone(), options.check, read)?;
    conf.base.asked.note("jwt_decryption_key", setting, Severity::Error);
    conf.decryption.get_or_insert_default().add(keys)
}

fn read_keys(
    http: &HttpLevel,
    setting: &Setting<'_>,
    path: &[u8],
    check: Option<u64>,
    kid: Option<Box<str>>,
) -> Result<DecryptionKeysOf> {
    let parse = move |text: Text, _: Option<&DecryptionKeys>| {
        let loaded = load_decryption_keys(&text, kid.as_deref()).map_err(|it| it.to_string())?;
        let LoadedDecryptionKeys { keys, warnings } = loaded;
        Ok((DecryptionKeys::new(keys), warnings))
    };
    let failed = |why: String| bad_file(path, why);
    let (keys, holder, warnings) = match check {
        None => {
            let read = parse(read_file(path, LARGEST_KEY_FILE)?, None);
            let (keys, warnings) = read.map_err(failed)?;
            let keys = Arc::new(keys);
            let holder = Holder::DecryptionKeys(Arc::clone(&keys));
            (DecryptionKeysOf::Fixed(keys), holder, warnings)
        }
        Some(check) => {
            let health = http.health.add(&[b"file ", path].concat());
            let opened = Watched::open(path, LARGEST_KEY_FILE, check, Box::new(parse), health);
            let (file, warnings) = opened.map_err(failed)?;
            let file = Rc::new(file);
            let holder = Holder::WatchedDecryptionKeys(Rc::clone(&file));
            (DecryptionKeysOf::Watched(file), holder, warnings)
        }
    };
    let shown = String::from_utf8_lossy(path);
    warn(setting, &warnings, Some(&shown));
    warn_if_readable(setting, path);
    http.sources.note(setting, path, holder);
    Ok(keys)
}
