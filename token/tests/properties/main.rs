//! Properties of what reads untrusted text: JSON, claim paths and rules, signed links, URIs and their patterns,
//! credentials, key files, lists and playlists. Each is compared with a naive model of what its documentation says.
//!
//! `PROPTEST_CASES` sets how many cases there are of each property; a failure prints the smallest
//! input that it was seen with.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod cdni;
mod claims;
mod credentials;
mod files;
mod json;
mod links;
mod lists;
mod playlists;
#[path = "../common/property.rs"]
mod property;
