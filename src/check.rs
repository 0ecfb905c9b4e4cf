//! What all kinds of check share: the switch, inheritance between levels, running judgements,
//! remembered verdicts, and the opinion on a request.

mod asked;
mod case;
mod judging;
mod mistake;
mod opinion;
mod options;
mod settings;
mod source;
mod switch;
mod verdicts;

pub(crate) use asked::{Lack, Severity};
pub(crate) use case::Case;
pub(crate) use judging::{Judging, NoVerdict};
pub(crate) use mistake::MergeError;
pub(crate) use opinion::{Opinion, Refusal, Status, Trial};
pub(crate) use options::{FetchTimes, option_once, option_text, positive};
pub(crate) use settings::{Base, Configured, Settings, inherit, once};
pub(crate) use source::Source;
pub(crate) use switch::{Mode, Switch, SwitchValue, flag, switch};
pub(crate) use verdicts::{Number, Verdict, Verdicts, Want};
