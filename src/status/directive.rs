//! The directive `token_auth_status`.

use super::counters::Counters;
use super::report::Format;
use crate::check::{MergeError, once};
use crate::nginx::{ANSWERED, ConfError, Content, Level, Result, Setting};

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

    /// Refuses a page that `C` does not send, and warns if strangers can read it. To be called when a
    /// level is merged; `is_checked` says whether a check of this module refuses strangers there.
    pub(crate) fn check<C: Content>(
        &self,
        level: &Level<'_>,
        is_checked: bool,
    ) -> Result<(), MergeError> {
        let Some(Page { position, .. }) = &self.page else { return Ok(()) };
        if !level.is_served_by::<C>() {
            let what = format!("\"token_auth_status\" directive {ANSWERED}");
            return Err(MergeError { what, position: position.as_str().into() });
        }
        if !is_checked && level.is_public() {
            level.warn(&format!(
                "\"token_auth_status\" shows names of servers, locations, keys and files to whoever can \
                 reach {}: add \"allow\" and \"deny all\", or auth_basic, or a check, in {position}",
                level.shown(),
            ));
        }
        Ok(())
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
