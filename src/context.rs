//! What is kept with a request: one field for each room, and how a room gets its own.

use std::cell::Cell;

use crate::check::{Case, Judging, NoVerdict};
use crate::jwt::{self, TokenCase};
use crate::link::{self, LinkCase};
use crate::location::{LocationConf, MainConf};
use crate::nginx::Request;

/// What is kept with a request, shared by its subrequests and over internal redirects.
#[derive(Default)]
pub(crate) struct Context {
    judging: Judging,
    /// The time for which the request is judged, in seconds since the epoch.
    time: Cell<Option<i64>>,
    jwt: jwt::Kept,
    link: link::Kept,
}

impl Context {
    pub(crate) fn case<'r>(&'r self, request: Request<'r>) -> Case<'r> {
        Case::new(request, &self.judging, &self.time)
    }

    pub(crate) fn token_case<'r>(
        &'r self,
        request: Request<'r>,
        main: &'r MainConf,
    ) -> TokenCase<'r> {
        TokenCase::new(self.case(request), &self.jwt, &main.jwt)
    }

    pub(crate) fn link_case<'r>(&'r self, request: Request<'r>) -> LinkCase<'r> {
        LinkCase::new(self.case(request), &self.link)
    }
}

/// Calls `show` for a variable. `Ok(None)` if no check is `in_force` and none has judged the request
/// before; nothing is then stored with the request. If `show` fails, the variable reads as empty, and
/// all running judgements fail.
pub(crate) fn show<'r, T>(
    request: Request<'r>,
    in_force: impl FnOnce(&'r LocationConf) -> bool,
    show: impl FnOnce(&'r Context, &'r LocationConf, &'r MainConf) -> Result<Option<T>, NoVerdict>,
) -> Result<Option<T>, NoVerdict> {
    let (Some(location), Some(main)) = (request.location(), request.main()) else {
        return Err(NoVerdict::Value);
    };
    let context = if in_force(location) {
        request.context::<Context>().ok_or(NoVerdict::Value)?
    } else {
        match request.existing_context::<Context>() {
            Some(context) => context,
            None => return Ok(None),
        }
    };
    show(context, location, main).map_err(|why| context.judging.show_empty(why))
}
