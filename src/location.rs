//! The settings of a level: one field for each kind of check.

use crate::check::{Configured, MergeError};
use crate::jwt::{HttpLevel, JwtSettings};
use crate::link::LinkSettings;
use crate::nginx::Level;

/// The settings of the `http` block as a whole.
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
    /// Inherits from the level above what this one does not set, and makes the checks.
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
