//! What a level is configured with: the sum of what the rooms have to say.

use crate::check::{Configured, MergeError};
use crate::jwt::{HttpLevel, JwtSettings};
use crate::link::LinkSettings;
use crate::nginx::Level;

/// What the `http` block says once for all.
#[derive(Default)]
pub(crate) struct MainConf {
    pub(crate) jwt: HttpLevel,
}

/// The `http` block, a server, a location, or a block in one.
#[derive(Default)]
pub(crate) struct LocationConf {
    pub(crate) jwt: Configured<JwtSettings>,
    pub(crate) link: Configured<LinkSettings>,
}

impl LocationConf {
    /// Inherits from the level above what this one does not name, and works out the checks.
    pub(crate) fn merge(
        &mut self,
        parent: &Self,
        main: &MainConf,
        level: &Level<'_>,
    ) -> Result<(), MergeError> {
        self.jwt.merge(&parent.jwt, &main.jwt, level)?;
        self.link.merge(&parent.link, &(), level)
    }
}
