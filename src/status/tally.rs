//! What is counted of a check: how often each event has occurred, since the start and in the last minutes.

use token::Reject;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::live::Row;

/// What a check has said of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Passed,
    /// The check is `optional`, and there was no credential.
    Absent,
    /// There was no verdict; the answer was 500.
    Failed,
    /// The request has passed, but a rule that is only tried would have refused it.
    Tried,
    Refused(Reject),
    /// The check would have refused the request, but is `permissive`, or another check has let the
    /// request pass (`satisfy any`).
    LetThrough(Reject),
}

/// How many reasons there is room for.
const REASONS: usize = 20;
const REFUSED: usize = 4;
const LET_THROUGH: usize = REFUSED + REASONS;
/// How many events there are.
const EVENTS: usize = LET_THROUGH + REASONS;

const _: () = assert!(Reject::ALL.len() <= REASONS);

impl Event {
    /// Its number. The numbers are part of the layout of shared memory.
    fn index(self) -> usize {
        match self {
            Self::Passed => 0,
            Self::Absent => 1,
            Self::Failed => 2,
            Self::Tried => 3,
            Self::Refused(reason) => REFUSED + reason.index(),
            Self::LetThrough(reason) => LET_THROUGH + reason.index(),
        }
    }
}

/// Counts of all events.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Counts<N>([N; EVENTS]);

impl<N: Copy + Default> Default for Counts<N> {
    fn default() -> Self {
        Self([N::default(); EVENTS])
    }
}

impl<N: Copy + Default> Counts<N> {
    pub(super) fn get(&self, event: Event) -> N {
        self.0.get(event.index()).copied().unwrap_or_default()
    }
}

impl Counts<u32> {
    pub(super) fn count(&mut self, event: Event) {
        if let Some(count) = self.0.get_mut(event.index()) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn add(&mut self, counts: &Self) {
        for (sum, more) in self.0.iter_mut().zip(counts.0) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Counts of minutes that follow each other, in a ring. A minute is numbered from the epoch on; a place
/// of the ring that has another number is of a minute long ago.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Minutes<const N: usize>([Minute; N]);

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Minute {
    number: u64,
    counts: Counts<u32>,
}

impl<const N: usize> Minutes<N> {
    pub(super) fn add(&mut self, minute: u64, counts: &Counts<u32>) {
        let Some(place) = self.0.get_mut(place::<N>(minute)) else { return };
        if place.number != minute {
            *place = Minute { number: minute, counts: Counts::default() };
        }
        place.counts.add(counts);
    }

    /// The counts of a minute.
    pub(super) fn of(&self, minute: u64) -> Counts<u32> {
        let place = self.0.get(place::<N>(minute)).filter(|place| place.number == minute);
        place.map(|place| place.counts).unwrap_or_default()
    }
}

fn place<const N: usize>(minute: u64) -> usize {
    usize::try_from(minute % N as u64).unwrap_or(0)
}

/// How many minutes are kept of each check: five whole ones, and the one that runs.
pub(super) const RECENT: usize = 6;

/// What is counted of one check in one location, or of one rule that is only tried.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Tally {
    pub(super) totals: Counts<u64>,
    pub(super) recent: Minutes<RECENT>,
}

impl Row for Tally {
    const TABLE: &'static str = "tally";
    const AT_ONCE: usize = 128;
}

impl Tally {
    pub(super) fn add(&mut self, minute: u64, counts: &Counts<u32>) {
        for (total, more) in self.totals.0.iter_mut().zip(counts.0) {
            *total += u64::from(more);
        }
        self.recent.add(minute, counts);
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros as _;

    use super::*;

    #[test]
    fn each_event_has_a_number_of_its_own() {
        let plain = [Event::Passed, Event::Absent, Event::Failed, Event::Tried];
        let refused = Reject::ALL.map(Event::Refused);
        let let_through = Reject::ALL.map(Event::LetThrough);
        let all = plain.into_iter().chain(refused).chain(let_through);
        let mut seen = [false; EVENTS];
        for event in all {
            assert!(!std::mem::replace(&mut seen[event.index()], true), "{event:?}");
        }
    }

    #[test]
    fn minutes_come_and_go() {
        let expired = Event::Refused(Reject::Expired);
        let mut one = Counts::default();
        one.count(expired);
        let mut minutes = Minutes::<3>::new_zeroed();
        for minute in [10, 10, 12] {
            minutes.add(minute, &one);
        }
        let of = |minutes: &Minutes<3>, number| minutes.of(number).get(expired);
        assert_eq!([9, 10, 11, 12, 13].map(|it| of(&minutes, it)), [0, 2, 0, 1, 0]);
        minutes.add(13, &one);
        assert_eq!([10, 11, 12, 13].map(|it| of(&minutes, it)), [0, 0, 1, 1]);
    }
}
