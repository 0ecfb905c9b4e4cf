//! The directive `token_auth_status`.

use super::counters::Counters;
use super::report::Format;
use crate::check::once;
use crate::nginx::{ConfError, Content, Level, Result, Setting};

/// What a location is configured with for the page.
#[derive(Default)]
pub(crate) struct StatusConf {
    page: Option<Page>,
}

struct Page {
    /// The file and line.
    position: String,
    /// The format, if there is but one.
    format: Option<Format>,
}

impl StatusConf {
    /// The format that is always sent; `None` if the client may choose.
    pub(super) fn format(&self) -> Option<Format> {
        self.page.as_ref()?.format
    }

    /// Warns if strangers can read the page. To be called for a level without a check.
    pub(crate) fn warn_if_public(&self, level: &Level<'_>) {
        if let Some(Page { position, .. }) = &self.page
            && level.is_public()
        {
            level.warn(&format!(
                "\"token_auth_status\" shows names of servers, locations, keys and files to whoever can \
                 reach {}: add \"allow\" and \"deny all\", or auth_basic, or a check, in {position}",
                level.shown(),
            ));
        }
    }
}

/// `token_auth_status [format=html|json|prometheus]`. `C` answers the requests.
pub(crate) fn token_auth_status<C: Content>(
    conf: &mut StatusConf,
    counters: &Counters,
    setting: &Setting<'_>,
) -> Result {
    let format = match setting.arg(1) {
        None => None,
        Some(word) => {
            let name = word.strip_prefix(b"format=").ok_or_else(|| ConfError::parameter(word))?;
            let want = "must be format=html, format=json or format=prometheus";
            Some(Format::from_name(name).ok_or_else(|| ConfError::value(word, want))?)
        }
    };
    once(&mut conf.page, Page { position: setting.position(), format })?;
    counters.want();
    setting.serve::<C>()
}
