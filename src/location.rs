//! The settings of a level: one field for each kind of check.

use crate::check::{Configured, MergeError};
use crate::issue::{IssueConf, IssueMain};
use crate::jwt::{HttpLevel, JwtSettings};
use crate::link::{LinkMain, LinkSettings};
use crate::nginx::{Content, Level, Reply, Request};
use crate::playlist::PlaylistConf;
use crate::status::{self, CheckRows, Counters, StatusConf};

/// The settings of the `http` block as a whole.
#[derive(Default)]
pub(crate) struct MainConf {
    pub(crate) jwt: HttpLevel,
    pub(crate) link: LinkMain,
    pub(crate) issue: IssueMain,
    pub(crate) status: Counters,
}

/// The `http` block, a server, a location, or a block in one.
#[derive(Default)]
pub(crate) struct LocationConf {
    pub(crate) jwt: Configured<JwtSettings>,
    pub(crate) link: Configured<LinkSettings>,
    pub(crate) issue: IssueConf,
    pub(crate) playlist: PlaylistConf,
    pub(crate) status: StatusConf,
    /// Where the results of the checks are counted.
    pub(crate) rows: CheckRows,
}

impl LocationConf {
    /// Inherits from the level above what this one does not set, and makes the checks.
    pub(crate) fn merge(
        &mut self,
        parent: &Self,
        main: &MainConf,
        level: &Level<'_>,
    ) -> Result<(), MergeError> {
        self.jwt.merge(&parent.jwt, &main.jwt, level)?;
        self.link.merge(&parent.link, &main.link, level)?;
        self.issue.merge::<PublishedKeys>(&parent.issue, &main.issue, level)?;
        let (token, link) = (self.jwt.check().is_some(), self.link.check().is_some());
        self.playlist.merge(&parent.playlist, level, token || link);
        self.rows = main.status.rows(level, token, link);
        let refuses = link || self.jwt.check().is_some_and(|check| check.refuses());
        self.status.check::<StatusPage>(level, refuses)
    }
}

/// Answers the requests of locations with `token_auth_status`.
pub(crate) struct StatusPage;

impl Content for StatusPage {
    fn answer(request: Request<'_>) -> Reply {
        let conf = (request.location::<LocationConf>(), request.main::<MainConf>());
        let (Some(location), Some(main)) = conf else { return Reply::failed() };
        status::answer(request, &location.status, &main.status, |loaded| {
            let mut states = main.jwt.source_states(request, loaded);
            states.extend(main.issue.source_states(request, loaded));
            states
        })
    }
}

/// Answers the requests of locations with `jwks_publish`.
pub(crate) struct PublishedKeys;

impl Content for PublishedKeys {
    fn answer(request: Request<'_>) -> Reply {
        let conf = (request.location::<LocationConf>(), request.main::<MainConf>());
        let (Some(location), Some(main)) = conf else { return Reply::failed() };
        location.issue.published(request, &main.issue)
    }
}
