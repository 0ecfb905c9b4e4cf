//! The directive `secure_token_forward`.

use std::rc::Rc;

use super::settings::{Forward, PlaylistConf, Query};
use crate::check::once;
use crate::nginx::{ConfError, Result, Setting};

pub(crate) fn secure_token_forward(conf: &mut PlaylistConf, setting: &mut Setting<'_>) -> Result {
    let forward = match setting.first() {
        b"off" => Forward::Off,
        b"query" => Forward::Query(Rc::new(Query {
            scheme: setting.compile(b"$scheme")?,
            host: setting.compile(b"$http_host")?,
            position: setting.position(),
        })),
        other => return Err(ConfError::value(other, "must be off or query")),
    };
    once(&mut conf.forward, forward)
}
