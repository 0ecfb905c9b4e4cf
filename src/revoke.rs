//! Revoked tokens: lists that are fetched, and Token Status Lists.

mod directives;
mod list;
mod lists;
mod request;
mod status_list;

pub(crate) use directives::{revoked_request, status_list_request, zone_size};
pub(crate) use lists::{CurrentList, Lists};
pub(crate) use request::{ListSource, Missing, RevokedRequest, StatusListRequest};
pub(crate) use status_list::Verify;
