//! When keys that come over the network are fetched, how long they serve, and who fetches them.
//!
//! Every time is in milliseconds of one clock that only goes forward; 0 stands for "never", so
//! that a [`Record`] of zeros is that of a source which nobody has asked yet.

/// How long nothing is fetched for the sake of an unknown kid after such a fetch has ended.
pub const UNKNOWN_KID_INTERVAL: u64 = 10_000;

/// How long requests are refused at once after keys that nobody has could not be fetched.
const COLD_RETRY: u64 = 1_000;

/// The longest time that passes before a failed refresh is tried again.
const REFRESH_RETRY: u64 = 10_000;

/// The shortest time that keys serve before they are refreshed, whatever the provider says.
const MIN_VALID: u64 = 1_000;

/// What one use of a source says of time.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long keys serve before they are refreshed.
    pub valid: u64,
    /// How much longer they serve while no refresh succeeds.
    pub stale: u64,
    /// How long one fetch may take.
    pub timeout: u64,
}

/// What all who fetch from one source know of it.
///
/// It lies in memory that workers of other builds share: whoever changes its layout gives that
/// memory another name (`NAME` in the module's `keys/zone.rs`, which asserts the size).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// When the keys came.
    fetched: u64,
    /// How long the provider lets them be kept; 0 where it does not say.
    max_age: u64,
    /// When somebody began the fetch that is under way, and how long it may take.
    began: u64,
    timeout: u64,
    /// When a fetch last failed, if none has succeeded since.
    failed: u64,
    /// When one that was made for the sake of an unknown kid last ended.
    unknown: u64,
    /// Who makes the one that is under way, by whatever number its user gives.
    fetcher: u32,
    /// Whether it is made for the sake of an unknown kid.
    for_kid: bool,
    /// Whether the keys are to be refreshed whatever their age.
    due: bool,
}

/// How old keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// None ever came.
    Never,
    /// They serve.
    Fresh,
    /// They serve, and are to be refreshed.
    Due,
    /// They serve no longer.
    Expired,
}

/// What a fetch is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The keys are not there, no longer good, or due.
    Age,
    /// A token names a kid that is not among them.
    UnknownKid,
}

/// The answer to who wants to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Fetch, and tell what became of it by [`Record::succeeded`] or [`Record::failed`].
    Fetch,
    /// Somebody does already.
    UnderWay,
    /// It is not wanted, or it is too early to try again.
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

    /// The provider may shorten the time, never lengthen it.
    fn valid(&self, terms: &Terms) -> u64 {
        match self.max_age {
            0 => terms.valid,
            max_age => terms.valid.min(max_age),
        }
    }

    /// Whether somebody is fetching. One who has died meanwhile does not hold it up for ever.
    pub fn is_under_way(&self, now: u64) -> bool {
        self.began != 0 && now.saturating_sub(self.began) <= self.timeout.saturating_add(1_000)
    }

    /// Asks to be the one who fetches.
    pub fn claim(&mut self, purpose: Purpose, terms: &Terms, now: u64) -> Claim {
        if self.is_under_way(now) {
            return Claim::UnderWay;
        }
        let age = self.age(terms, now);
        let within = |since: u64, time: u64| since != 0 && now.saturating_sub(since) < time;
        let refused = match (purpose, age) {
            (_, Age::Never | Age::Expired) => within(self.failed, COLD_RETRY),
            (Purpose::UnknownKid, _) => within(self.unknown, UNKNOWN_KID_INTERVAL),
            (Purpose::Age, Age::Due) => {
                let pause = self.valid(terms).clamp(MIN_VALID, REFRESH_RETRY);
                within(self.failed, pause)
            }
            (Purpose::Age, Age::Fresh) => true,
        };
        if refused {
            return Claim::NotNow;
        }
        self.began = now;
        self.timeout = terms.timeout;
        self.for_kid = purpose == Purpose::UnknownKid;
        Claim::Fetch
    }

    /// Notes who was told to [`Claim::Fetch`].
    pub fn set_fetcher(&mut self, fetcher: u32) {
        self.fetcher = fetcher;
    }

    /// Who makes the fetch that is under way, if one is.
    pub fn fetcher(&self) -> Option<u32> {
        (self.began != 0).then_some(self.fetcher)
    }

    /// Notes that the fetch has brought keys, which the provider lets be kept for `max_age`.
    pub fn succeeded(&mut self, max_age: Option<u64>, now: u64) {
        self.fetched = now;
        self.max_age = max_age.map_or(0, |age| age.max(MIN_VALID));
        (self.failed, self.due) = (0, false);
        self.ended(now);
    }

    /// Notes that it has brought none.
    pub fn failed(&mut self, now: u64) {
        self.failed = now;
        self.ended(now);
    }

    /// Pauses count from here, not from when the fetch began: one that takes longer than the pause
    /// would otherwise be followed by the next at once, and requests would wait for one after the
    /// other.
    fn ended(&mut self, now: u64) {
        self.began = 0;
        if std::mem::take(&mut self.for_kid) {
            self.unknown = now;
        }
    }

    /// Whether the last fetch that ended has failed.
    pub fn has_failed(&self) -> bool {
        self.failed != 0
    }

    /// Forgets the fetch that is under way, given up or begun by somebody who will not tell what
    /// comes of it: another may begin at once, whatever it was wanted for.
    pub fn given_up(&mut self) {
        (self.began, self.for_kid) = (0, false);
    }

    /// Has keys refreshed at their next use, and forgets who is fetching: what holds for a
    /// configuration that has just been read, where the provider may be another.
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

    fn fetched() -> Record {
        let mut record = Record::default();
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW), Claim::Fetch);
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
    }

    #[test]
    fn one_fetches_and_the_others_wait_for_it() {
        let mut record = Record::default();
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW), Claim::Fetch);
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW + 10_999), Claim::UnderWay);
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW), Claim::UnderWay);
        // Its worker may have died.
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW + 11_001), Claim::Fetch);
        record.succeeded(None, NOW + 12_000);
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW + 12_001), Claim::NotNow);
    }

    #[test]
    fn an_unknown_kid_has_keys_fetched_once_in_ten_seconds_from_the_end_of_the_last_fetch() {
        let mut record = fetched();
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 1), Claim::Fetch);
        record.succeeded(None, NOW + 2);
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 10_001), Claim::NotNow);
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 10_002), Claim::Fetch);
        record.failed(NOW + 20_000);
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 29_999), Claim::NotNow);
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 30_000), Claim::Fetch);
    }

    #[test]
    fn a_fetch_for_another_reason_does_not_hold_up_the_one_for_an_unknown_kid() {
        let mut record = fetched();
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 1), Claim::Fetch);
        record.given_up();
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW + 60_000), Claim::Fetch);
        record.succeeded(None, NOW + 60_001);
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 60_002), Claim::Fetch);
    }

    #[test]
    fn what_has_failed_is_tried_again_after_a_pause() {
        let mut record = Record::default();
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW), Claim::Fetch);
        record.failed(NOW + 5);
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW + 1_004), Claim::NotNow);
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW + 1_005), Claim::Fetch);

        for (valid, pause) in [(60_000, 10_000), (5_000, 5_000), (200, 1_000)] {
            let terms = Terms { valid, ..TERMS };
            let (mut record, due) = (fetched(), NOW + valid);
            assert_eq!(record.claim(Purpose::Age, &terms, due), Claim::Fetch);
            record.failed(due);
            assert_eq!(record.age(&terms, due), Age::Due);
            assert_eq!(record.claim(Purpose::Age, &terms, due + pause - 1), Claim::NotNow);
            assert_eq!(record.claim(Purpose::Age, &terms, due + pause), Claim::Fetch);
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
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 1), Claim::Fetch);
        record.given_up();
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 2), Claim::Fetch);
        record.succeeded(None, NOW + 3);
        record.given_up();
        assert_eq!(record.claim(Purpose::UnknownKid, &TERMS, NOW + 4), Claim::NotNow);
    }

    #[test]
    fn a_new_configuration_has_keys_refreshed_and_serves_meanwhile() {
        let mut record = fetched();
        record.renew();
        assert_eq!(record.age(&TERMS, NOW), Age::Due);
        assert_eq!(record.claim(Purpose::Age, &TERMS, NOW), Claim::Fetch);
    }
}
