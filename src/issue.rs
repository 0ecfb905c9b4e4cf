//! Signing: members of an answer become tokens (`jwt_sign`), public halves are published (`jwks_publish`),
//! and nginx makes tokens of its own (`jwt_mint`).

mod answer;
mod claims;
pub(crate) mod directives;
mod http_level;
mod key;
mod mint;
mod publish;
mod renew;
mod rotation;
mod seen;
mod settings;

pub(crate) use answer::SignedAnswer;
pub(crate) use http_level::IssueMain;
pub(crate) use mint::{Kept, Mint};
pub(crate) use renew::Renewer;
pub(crate) use settings::IssueConf;
