//! Where a fetched source comes from, and where it is kept.

use super::health::Health;
use crate::nginx::Zone;

/// Where a source comes from, and where it is kept.
pub(super) struct Origin {
    pub(super) uri: Box<[u8]>,
    /// The first name of the server, for messages; empty if it has none.
    pub(super) server: Box<[u8]>,
    /// Its name in the zone: the server and the URI.
    pub(super) name: Box<[u8]>,
    /// `None` if there is no memory for a zone.
    pub(super) zone: Option<Zone>,
    pub(super) health: Health,
    /// Whether other sources do not share it.
    pub(super) has_own_health: bool,
}
