//! What is kept with a request: one field for each room, and how a room gets its own.

use std::cell::{Cell, RefCell};

use crate::check::{Case, Judging, NoVerdict};
use crate::issue::{self, Renewer};
use crate::jwt::{self, Renewable, TokenCase};
use crate::link::{self, LinkCase};
use crate::location::{LocationConf, MainConf};
use crate::nginx::{Memory, Request};

/// What is kept with a request, shared by its subrequests and over internal redirects.
#[derive(Default)]
pub(crate) struct Context {
    judging: Judging,
    /// The time for which the request is judged, in seconds since the epoch.
    time: Cell<Option<i64>>,
    jwt: jwt::Kept,
    link: link::Kept,
    issue: issue::Kept,
    /// The token that has let the request pass, if it is to be renewed, and what signs the next one.
    renewed: RefCell<Option<(Box<Renewable>, Renewer)>>,
}

/// A request, with what is kept with it.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'r> {
    case: Case<'r>,
    context: &'r Context,
}

impl<'r> Judged<'r> {
    fn new(request: Request<'r>, (memory, context): (Memory<'r>, &'r Context)) -> Self {
        Self { case: Case::new(request, memory, &context.judging, &context.time), context }
    }

    /// A request, with room for what is kept with it. `None` when out of memory.
    pub(crate) fn begin(request: Request<'r>) -> Option<Self> {
        Some(Self::new(request, request.context()?))
    }

    /// A request of which something is kept.
    pub(crate) fn existing(request: Request<'r>) -> Option<Self> {
        Some(Self::new(request, request.existing_context()?))
    }

    pub(crate) fn case(self) -> Case<'r> {
        self.case
    }

    pub(crate) fn token_case(self, main: &'r MainConf) -> TokenCase<'r> {
        let location = self.case.request.location::<LocationConf>();
        let renews = location.is_some_and(|location| location.issue.has_key());
        TokenCase::new(self.case, &self.context.jwt, &main.jwt, renews)
    }

    /// Notes that the request was let pass by a location, with a token that is to be renewed if it is so.
    pub(crate) fn note_renewal(self, token_case: TokenCase<'_>, location: &LocationConf) {
        if let Some(renewable) = token_case.take_renewable() {
            self.context.renewed.replace(location.issue.renewer().map(|it| (renewable, it)));
        }
    }

    /// The request is refused: no token of it is renewed.
    pub(crate) fn forget_renewal(self) {
        self.context.renewed.take();
    }

    /// What is kept of the tokens that the request was given.
    pub(crate) fn minted(self) -> &'r issue::Kept {
        &self.context.issue
    }

    pub(crate) fn link_case(self) -> LinkCase<'r> {
        LinkCase::new(self.case, &self.context.link)
    }
}

/// The token that has let a request pass, if it is to be renewed, and what signs the next one. It is taken
/// if `take` says so.
pub(crate) fn renewal(
    request: Request<'_>,
    take: impl FnOnce(&Renewable) -> bool,
) -> Option<(Box<Renewable>, Renewer)> {
    let (_, context) = request.existing_context::<Context>()?;
    let mut renewed = context.renewed.try_borrow_mut().ok()?;
    if take(&renewed.as_ref()?.0) { renewed.take() } else { None }
}

/// Calls `make` with a request and what is kept with it. Fails if a variable that `make`
/// reads has no verdict yet.
pub(crate) fn attempt<'r, T>(
    request: Request<'r>,
    make: impl FnOnce(Judged<'r>) -> Result<T, NoVerdict>,
) -> Result<T, NoVerdict> {
    let judged = Judged::begin(request).ok_or(NoVerdict::Value)?;
    judged.case.attempt(|| make(judged))
}

/// Calls `show` for a variable. `Ok(None)` if no check is `in_force` and none has judged the request
/// before; nothing is then stored with the request. If `show` fails, the variable reads as empty, and
/// all running judgements fail.
pub(crate) fn show<'r, T>(
    request: Request<'r>,
    in_force: impl FnOnce(&'r LocationConf) -> bool,
    show: impl FnOnce(Judged<'r>, &'r LocationConf, &'r MainConf) -> Result<Option<T>, NoVerdict>,
) -> Result<Option<T>, NoVerdict> {
    let (Some(location), Some(main)) = (request.location(), request.main()) else {
        return Err(NoVerdict::Value);
    };
    let judged = if in_force(location) {
        Judged::begin(request).ok_or(NoVerdict::Value)?
    } else {
        match Judged::existing(request) {
            Some(judged) => judged,
            None => return Ok(None),
        }
    };
    show(judged, location, main).map_err(|why| judged.case.judging.show_empty(why))
}
