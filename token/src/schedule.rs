//! When keys of a provider are fetched, how long they are used, and who fetches them.
//!
//! Every time is in milliseconds of a clock that never goes back; 0 means "never". So a [`Record`] of
//! zeros belongs to a source that was never fetched.

/// The pause between two fetches because of an unknown kid, from the end of one to the next.
pub const UNKNOWN_KID_INTERVAL: u64 = 10_000;

/// The pause after a failed fetch while there are no keys; requests are refused at once meanwhile.
const COLD_RETRY: u64 = 1_000;

/// The longest pause after a failed refresh while the old keys are still used.
const REFRESH_RETRY: u64 = 10_000;

/// The shortest time before keys are refreshed, whatever the provider says.
const MIN_VALID: u64 = 1_000;

/// The configured times of one use of a source: the parameters of `jwks_request`.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long keys are used before they are refreshed.
    pub valid: u64,
    /// How much longer they are used while no refresh succeeds.
    pub stale: u64,
    /// How long one fetch may take.
    pub timeout: u64,
}

/// The state of one source.
///
/// Its layout is shared memory: worker processes of different builds of the module use the same
/// records at the same time, since the memory survives a reload. Whoever changes a field here must
/// also change the name of that memory, which has a number for the layout (`NAME` next to the module's
/// `Zone`), so that older workers do not read the new layout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// When the keys were fetched.
    fetched: u64,
    /// How long the provider allows to keep them; 0 if it does not say.
    max_age: u64,
    /// When the fetch that is under way began; 0 if there is none.
    began: u64,
    /// How long that fetch may take.
    timeout: u64,
    /// When a fetch last failed; 0 if one has succeeded since.
    failed: u64,
    /// When a fetch because of an unknown kid last ended.
    unknown: u64,
    /// Who makes the fetch that is under way: a number of the caller's, such as a process id.
    fetcher: u32,
    /// Whether the fetch that is under way was made because of an unknown kid.
    for_kid: bool,
    /// Whether the keys must be refreshed at their next use, whatever their age.
    due: bool,
}

// See above: another size is another layout.
const _: () = assert!(size_of::<Record>() == 56 && align_of::<Record>() == 8);

/// How many kids that nobody has asked for before may be asked for at once, and the time after which one
/// more may be, in milliseconds.
const RATION: u64 = 10;
const RATION_INTERVAL: u64 = 1_000;

/// How long a kid that was not found is not asked for again, in milliseconds.
pub const NOT_FOUND: u64 = 60_000;

/// Limits how often something is done: ten times at once, and then once a second. It is one number, so
/// that processes can share it: the time at which all of what was done would have been done if it had been
/// done once a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ration(u64);

impl Ration {
    /// From what [`Ration::to_bits`] gave; 0 is a full one.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// As one number.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether it may be done once more at `now`; then it counts.
    pub fn take(&mut self, now: u64) -> bool {
        let next = self.0.max(now).saturating_add(RATION_INTERVAL);
        let allowed = next <= now.saturating_add(RATION * RATION_INTERVAL);
        if allowed {
            self.0 = next;
        }
        allowed
    }
}

/// How old keys are, compared with the configured times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// No keys were ever fetched.
    Never,
    /// They are used.
    Fresh,
    /// They are used, and must be refreshed.
    Due,
    /// They are not used any more.
    Expired,
}

/// What will become of keys that were fetched. Times are in milliseconds from now on; negative ones have
/// passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The time until the next use refreshes them.
    pub refresh_in: i64,
    /// The time until they are no longer used, if no refresh succeeds.
    pub usable_for: i64,
}

/// Why somebody wants to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchReason {
    /// There are no keys, or their [age](Age) requires it.
    Age,
    /// A token names a kid that none of the keys has.
    UnknownKid,
}

/// Whether somebody who wants to fetch may do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchDecision {
    /// Yes. The caller must fetch, and then call [`Record::succeeded`] or [`Record::failed`].
    Fetch,
    /// No: a fetch is under way already.
    UnderWay,
    /// No: it is not necessary, or too early to try again.
    NotNow,
}

impl Record {
    /// How old the keys are.
    pub fn age(&self, terms: &Terms, now: u64) -> Age {
        if self.fetched == 0 {
            return Age::Never;
        }
        let (age, valid) = (now.saturating_sub(self.fetched), self.valid(terms));
        if age >= valid.saturating_add(terms.stale) {
            Age::Expired
        } else if age >= valid || self.due {
            Age::Due
        } else {
            Age::Fresh
        }
    }

    /// How long the keys are used before they are refreshed. The provider can shorten the configured
    /// time, but not extend it.
    fn valid(&self, terms: &Terms) -> u64 {
        match self.max_age {
            0 => terms.valid,
            max_age => terms.valid.min(max_age),
        }
    }

    /// When the keys will be refreshed and when they will no longer be used, from `now` on. `None` if they
    /// were never fetched.
    pub fn times(&self, terms: &Terms, now: u64) -> Option<Times> {
        if self.fetched == 0 {
            return None;
        }
        let refresh = self.fetched.saturating_add(self.valid(terms));
        let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let from_now = |time: u64| signed(time).saturating_sub(signed(now));
        Some(Times {
            refresh_in: if self.due { 0 } else { from_now(refresh) },
            usable_for: from_now(refresh.saturating_add(terms.stale)),
        })
    }

    /// Whether a fetch is under way. It ends with its timeout, so a process that has died does not block
    /// fetches for ever.
    pub fn is_under_way(&self, now: u64) -> bool {
        self.began != 0 && now.saturating_sub(self.began) <= self.timeout.saturating_add(1_000)
    }

    /// Begins a fetch, if one is necessary and none is under way.
    pub fn try_begin(&mut self, reason: FetchReason, terms: &Terms, now: u64) -> FetchDecision {
        if self.is_under_way(now) {
            return FetchDecision::UnderWay;
        }
        let age = self.age(terms, now);
        let within = |since: u64, time: u64| since != 0 && now.saturating_sub(since) < time;
        let refused = match (reason, age) {
            (_, Age::Never | Age::Expired) => within(self.failed, COLD_RETRY),
            (FetchReason::UnknownKid, _) => within(self.unknown, UNKNOWN_KID_INTERVAL),
            (FetchReason::Age, Age::Due) => {
                let pause = self.valid(terms).clamp(MIN_VALID, REFRESH_RETRY);
                within(self.failed, pause)
            }
            (FetchReason::Age, Age::Fresh) => true,
        };
        if refused {
            return FetchDecision::NotNow;
        }
        self.began = now;
        self.timeout = terms.timeout;
        self.for_kid = reason == FetchReason::UnknownKid;
        FetchDecision::Fetch
    }

    /// Sets who makes the fetch, after [`FetchDecision::Fetch`].
    pub fn set_fetcher(&mut self, fetcher: u32) {
        self.fetcher = fetcher;
    }

    /// Who makes the fetch that is under way.
    pub fn fetcher(&self) -> Option<u32> {
        (self.began != 0).then_some(self.fetcher)
    }

    /// Ends the fetch: it has brought keys, which the provider allows to keep for `max_age`.
    pub fn succeeded(&mut self, max_age: Option<u64>, now: u64) {
        self.fetched = now;
        self.max_age = max_age.map_or(0, |age| age.max(MIN_VALID));
        (self.failed, self.due) = (0, false);
        self.ended(now);
    }

    /// Ends the fetch: it has failed.
    pub fn failed(&mut self, now: u64) {
        self.failed = now;
        self.ended(now);
    }

    /// Pauses are counted from the end of a fetch. If they were counted from its beginning, a fetch
    /// that takes longer than the pause would be followed by the next at once, and requests would
    /// wait for one after the other.
    fn ended(&mut self, now: u64) {
        self.began = 0;
        if std::mem::take(&mut self.for_kid) {
            self.unknown = now;
        }
    }

    /// Whether the last fetch ended more than `time` ago, and none is under way.
    pub fn is_over(&self, time: u64, now: u64) -> bool {
        let ended = self.fetched.max(self.failed);
        !self.is_under_way(now) && now.saturating_sub(ended) > time
    }

    /// Whether the last fetch has failed.
    pub fn has_failed(&self) -> bool {
        self.failed != 0
    }

    /// Forgets the fetch that is under way: it was given up, or nobody will report its end. Another may
    /// begin at once.
    pub fn given_up(&mut self) {
        (self.began, self.for_kid) = (0, false);
    }

    /// For a new configuration, which may have another provider: forgets the fetch that is under way,
    /// and has the keys refreshed at their next use.
    pub fn renew(&mut self) {
        self.given_up();
        (self.failed, self.due) = (0, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { valid: 60_000, stale: 3_600_000, timeout: 10_000 };
    const NOW: u64 = 1_000_000;

    #[test]
    fn a_ration_is_ten_at_once_and_one_a_second() {
        let mut ration = Ration::default();
        let taken = |ration: &mut Ration, now| (0..20).filter(|_| ration.take(now)).count();
        assert_eq!(taken(&mut ration, NOW), 10);
        assert_eq!(taken(&mut ration, NOW + 999), 0);
        assert_eq!(taken(&mut ration, NOW + 1_000), 1);
        assert_eq!(taken(&mut ration, NOW + 3_500), 2);
        assert_eq!(taken(&mut ration, NOW + 1_000_000), 10);
        assert_eq!(taken(&mut Ration::from_bits(ration.to_bits()), NOW + 1_000_000), 0);
    }

    #[test]
    fn a_record_is_over_when_nothing_has_happened_for_a_while() {
        let mut record = fetched();
        assert!(!record.is_over(NOT_FOUND, NOW + NOT_FOUND));
        assert!(record.is_over(NOT_FOUND, NOW + NOT_FOUND + 1));
        record.failed(NOW + 10);
        assert!(!record.is_over(NOT_FOUND, NOW + NOT_FOUND + 1));
        let later = NOW + 10 * NOT_FOUND;
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, later), FetchDecision::Fetch);
        assert!(!record.is_over(NOT_FOUND, later));
    }

    fn fetched() -> Record {
        let mut record = Record::default();
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW), FetchDecision::Fetch);
        record.succeeded(None, NOW);
        record
    }

    #[test]
    fn keys_serve_are_refreshed_and_expire() {
        let record = fetched();
        let ages = [(0, Age::Fresh), (59_999, Age::Fresh), (60_000, Age::Due)];
        let later = [(3_659_999, Age::Due), (3_660_000, Age::Expired)];
        for (after, age) in ages.into_iter().chain(later) {
            assert_eq!(record.age(&TERMS, NOW + after), age, "after {after} ms");
        }
        assert_eq!(Record::default().age(&TERMS, NOW), Age::Never);
        assert_eq!(Record::default().times(&TERMS, NOW), None);
        for (after, refresh_in, usable_for) in
            [(0, 60_000, 3_660_000), (60_000, 0, 3_600_000), (4_000_000, -3_940_000, -340_000)]
        {
            let times = record.times(&TERMS, NOW + after);
            assert_eq!(times, Some(Times { refresh_in, usable_for }), "after {after} ms");
        }
    }

    #[test]
    fn one_fetches_and_the_others_wait_for_it() {
        let mut record = Record::default();
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW), FetchDecision::Fetch);
        assert_eq!(
            record.try_begin(FetchReason::Age, &TERMS, NOW + 10_999),
            FetchDecision::UnderWay
        );
        assert_eq!(record.try_begin(FetchReason::UnknownKid, &TERMS, NOW), FetchDecision::UnderWay);
        // The worker may have died.
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW + 11_001), FetchDecision::Fetch);
        record.succeeded(None, NOW + 12_000);
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW + 12_001), FetchDecision::NotNow);
    }

    #[test]
    fn an_unknown_kid_has_keys_fetched_once_in_ten_seconds_from_the_end_of_the_last_fetch() {
        let mut record = fetched();
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 1),
            FetchDecision::Fetch
        );
        record.succeeded(None, NOW + 2);
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 10_001),
            FetchDecision::NotNow
        );
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 10_002),
            FetchDecision::Fetch
        );
        record.failed(NOW + 20_000);
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 29_999),
            FetchDecision::NotNow
        );
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 30_000),
            FetchDecision::Fetch
        );
    }

    #[test]
    fn a_fetch_for_another_reason_does_not_hold_up_the_one_for_an_unknown_kid() {
        let mut record = fetched();
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 1),
            FetchDecision::Fetch
        );
        record.given_up();
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW + 60_000), FetchDecision::Fetch);
        record.succeeded(None, NOW + 60_001);
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 60_002),
            FetchDecision::Fetch
        );
    }

    #[test]
    fn what_has_failed_is_tried_again_after_a_pause() {
        let mut record = Record::default();
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW), FetchDecision::Fetch);
        record.failed(NOW + 5);
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW + 1_004), FetchDecision::NotNow);
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW + 1_005), FetchDecision::Fetch);

        for (valid, pause) in [(60_000, 10_000), (5_000, 5_000), (200, 1_000)] {
            let terms = Terms { valid, ..TERMS };
            let (mut record, due) = (fetched(), NOW + valid);
            assert_eq!(record.try_begin(FetchReason::Age, &terms, due), FetchDecision::Fetch);
            record.failed(due);
            assert_eq!(record.age(&terms, due), Age::Due);
            assert_eq!(
                record.try_begin(FetchReason::Age, &terms, due + pause - 1),
                FetchDecision::NotNow
            );
            assert_eq!(
                record.try_begin(FetchReason::Age, &terms, due + pause),
                FetchDecision::Fetch
            );
        }
    }

    #[test]
    fn a_provider_shortens_the_time_and_never_lengthens_it() {
        for (max_age, due) in [(5_000, 5_000), (3_600_000, 60_000), (0, 1_000)] {
            let mut record = fetched();
            record.succeeded(Some(max_age), NOW);
            assert_eq!(record.age(&TERMS, NOW + due - 1), Age::Fresh, "{max_age}");
            assert_eq!(record.age(&TERMS, NOW + due), Age::Due, "{max_age}");
        }
    }

    #[test]
    fn a_fetch_that_was_given_up_may_be_begun_anew() {
        let mut record = fetched();
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 1),
            FetchDecision::Fetch
        );
        record.given_up();
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 2),
            FetchDecision::Fetch
        );
        record.succeeded(None, NOW + 3);
        record.given_up();
        assert_eq!(
            record.try_begin(FetchReason::UnknownKid, &TERMS, NOW + 4),
            FetchDecision::NotNow
        );
    }

    #[test]
    fn a_new_configuration_has_keys_refreshed_and_serves_meanwhile() {
        let mut record = fetched();
        record.renew();
        assert_eq!(record.age(&TERMS, NOW), Age::Due);
        assert_eq!(record.try_begin(FetchReason::Age, &TERMS, NOW), FetchDecision::Fetch);
    }
}
