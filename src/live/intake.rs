//! How an answer that has arrived gets to where all workers find it, step by step.

use std::cell::RefCell;
use std::sync::Arc;

use token::http::Validators;

use super::held::{About, Held};
use super::kind::{Burden, Kind, Step};
use super::origin::Origin;
use crate::nginx::{Reserved, Zone};

/// An answer that has arrived as a whole, and is not in force yet.
pub(super) struct Intake<K: Kind> {
    arrived: K::Arrived,
    /// How long its head allows to keep it, in milliseconds.
    max_age: Option<u64>,
    about: About,
    /// Why the answer is empty: nothing is at the URI.
    pub(super) not_found: Option<String>,
    stage: Stage,
}

enum Stage {
    Arrived,
    /// The answer is being read.
    Reading,
    /// It is being written to shared memory.
    Writing(Reserved),
    /// It was written; `None` if there is no room for it.
    Written(Option<Reserved>),
    /// It is the answer that is there already.
    Unchanged,
}

/// What has become of an answer.
pub(super) enum Finished {
    /// It is in force, for all workers. With warnings about it.
    InForce(Vec<String>),
    /// It is in force for this worker only.
    Alone(Vec<String>),
    /// It was in force before.
    Unchanged,
    /// It could not be put into force.
    Lost(&'static str),
}

/// What an answer that has no room must say.
pub(super) const NO_ROOM: &str = "there is no room for it in the shared memory: while it is replaced, a list needs \
                                  twice its size; see jwt_revoked_zone";

impl<K: Kind> Intake<K> {
    pub(super) fn new(arrived: K::Arrived, max_age: Option<u64>, validators: Validators) -> Self {
        let about = About { digest: [0; 32], validators, entries: 0 };
        Self { arrived, max_age, about, not_found: None, stage: Stage::Arrived }
    }

    /// An empty answer: nothing was found, and `why` says how.
    pub(super) fn not_found(nothing: K::Arrived, why: String) -> Self {
        let not_found = Some(why);
        Self { not_found, ..Self::new(nothing, None, Validators::default()) }
    }

    /// How long the answer may be kept, by its head and by what it says itself, in milliseconds.
    pub(super) fn max_age(&self, kind: &K) -> Option<u64> {
        self.max_age.into_iter().chain(kind.max_age(&self.arrived)).min()
    }

    /// Does a step. After the last one, [`Intake::finish`] puts the answer into force.
    pub(super) fn step(
        &mut self,
        kind: &K,
        origin: &Origin,
        held: &RefCell<Held<K::Value>>,
    ) -> Result<Step, String> {
        self.stage = match core::mem::replace(&mut self.stage, Stage::Arrived) {
            Stage::Arrived => {
                self.about.digest = kind.digest(&self.arrived);
                let held = held.borrow();
                let is_same = held.is_of(&self.about.digest) && held.generation != 0;
                if is_same && !K::DEPENDS_ON_TIME { Stage::Unchanged } else { Stage::Reading }
            }
            Stage::Reading => match kind.read(&mut self.arrived)? {
                Step::More => Stage::Reading,
                Step::Last => self.reserve(kind, origin, held.borrow().usable)?,
            },
            Stage::Writing(reserved) => match kind.write(&mut self.arrived, reserved.words()) {
                Step::More => Stage::Writing(reserved),
                Step::Last => Stage::Written(Some(reserved)),
            },
            last @ (Stage::Written(_) | Stage::Unchanged) => last,
        };
        Ok(match self.stage {
            Stage::Written(_) | Stage::Unchanged => Step::Last,
            _ => Step::More,
        })
    }

    /// The answer was read, and its size is known. `usable`: the one that is there may still be used.
    fn reserve(&mut self, kind: &K, origin: &Origin, usable: bool) -> Result<Stage, String> {
        self.about.entries = kind.entries(&self.arrived).unwrap_or(0);
        let (len, about) = (kind.len(&self.arrived), self.about.to_bytes());
        let reserve = |zone: Zone| zone.reserve(&origin.name, len, &about);
        let mut reserved = origin.zone.and_then(reserve);
        // An answer that is too old to be used gives its place to the new one.
        if let Some(zone) = origin.zone.filter(|_| reserved.is_none() && K::IN_ZONE && !usable) {
            zone.drop_answer(&origin.name);
            reserved = reserve(zone);
        }
        match reserved {
            Some(reserved) => Ok(Stage::Writing(reserved)),
            None if K::IN_ZONE => Err(format!("it needs {} KiB: {NO_ROOM}", len.div_ceil(1024))),
            None => Ok(Stage::Written(None)),
        }
    }

    /// Puts the answer into force. `held` has its record already.
    pub(super) fn finish(self, kind: &K, origin: &Origin, held: &mut Held<K::Value>) -> Finished {
        let Self { mut arrived, about, stage, .. } = self;
        let mut warnings = kind.warnings(&mut arrived);
        let reserved = match stage {
            Stage::Unchanged => {
                // The same bytes may have come with another ETag, which is to be sent next time.
                held.about = Some(about);
                return Finished::Unchanged;
            }
            Stage::Written(reserved) => reserved,
            _ => None,
        };
        let in_force = reserved
            .zip(origin.zone)
            .and_then(|(reserved, zone)| zone.put_into_force(reserved, &held.record));
        let is_absent = kind.len(&arrived) == 0;
        let value = kind.value(arrived);
        if in_force.is_none() && K::IN_ZONE {
            return Finished::Lost("a newer configuration has taken the shared memory over");
        }
        held.generation = if K::IN_ZONE { 0 } else { in_force.unwrap_or(0) };
        let before = held.about.as_ref().map_or(0, |about| about.entries);
        if before > 2 * about.entries {
            let now = about.entries;
            warnings.push(format!("it has {now} values now, and had {before} before"));
        }
        if let Some(value) = value {
            held.value = Some(Arc::new(value));
            (held.about, held.is_absent) = (Some(about), is_absent);
        }
        match in_force {
            Some(_) => Finished::InForce(warnings),
            None => Finished::Alone(warnings),
        }
    }
}

impl<K: Kind> Burden for Intake<K> {
    fn release(&mut self) -> Step {
        self.arrived.release()
    }
}
