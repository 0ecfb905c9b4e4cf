//! The entries of a `jwt_kids` block: `KID SECRET [encoding=…] [alg=…] [expires=…];`.

use token::Loaded;

use super::setting::{ConfError, Setting};

/// Takes one entry.
pub(super) fn entry(loaded: &mut Loaded, setting: &Setting<'_>) -> Result<(), ConfError> {
    let Some(secret) = setting.arg(1) else { return Err(ConfError::NoSecret) };
    let options: Vec<&[u8]> = setting.values().skip(1).collect();
    let kid = setting.arg(0).unwrap_or_default();
    loaded.add_secret(kid, secret, &options).map_err(ConfError::Keys)
}
