//! The counters of all checks, and the page that shows them with the state of the sources
//! (`token_auth_status`).

mod accept;
mod answer;
mod board;
mod counters;
mod directive;
mod labels;
mod page;
mod prometheus;
mod report;
mod tally;

pub(crate) use answer::answer;
pub(crate) use counters::Counters;
pub(crate) use directive::{StatusConf, token_auth_status};
pub(crate) use labels::CheckRows;
