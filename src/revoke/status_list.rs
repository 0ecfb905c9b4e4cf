//! Fetched Token Status Lists (draft-ietf-oauth-status-list): one copy in shared memory for all workers.

use core::sync::atomic::AtomicU64;
use std::cell::RefCell;

use token::status::{MAX_LIST_LEN, StatusList};

use crate::live::{Burden, Kind, Shared, SharedWords, Step, Wording};
use crate::nginx::now;

/// Verifies the Status List Token with the keys of the policy whose tokens name it.
pub(crate) type Verify = Box<dyn Fn(&[u8]) -> Result<StatusList, String>>;

/// A status list that tokens name.
#[derive(Default)]
pub(crate) struct FetchedStatusList {
    /// Set for each fetch, by the request that starts it.
    verify: RefCell<Option<Verify>>,
}

impl FetchedStatusList {
    /// Sets how the list that is being fetched will be verified.
    pub(crate) fn verify_by(&self, verify: impl FnOnce() -> Verify) {
        self.verify.borrow_mut().get_or_insert_with(verify);
    }
}

/// A Status List Token that has arrived, and the list that it turned out to be.
pub(crate) struct ArrivedStatusList {
    text: Vec<u8>,
    list: Option<StatusList>,
}

impl Burden for Vec<u8> {}
impl Burden for ArrivedStatusList {}

impl Kind for FetchedStatusList {
    type Value = SharedWords;
    type Arriving = Vec<u8>;
    type Arrived = ArrivedStatusList;

    const WORDS: Wording = Wording {
        what: "status list",
        stays: "the last good list stays",
        lacks: "there is no list",
    };
    const LIMIT: usize = MAX_LIST_LEN;
    const ACCEPT: Option<&'static str> = Some("application/statuslist+jwt");
    // A list that has not changed is sent again with new times, which count from then on.
    const IS_CONDITIONAL: bool = false;
    // Its `ttl` and `exp` count from now on, and the keys may be others.
    const DEPENDS_ON_TIME: bool = true;
    const IN_ZONE: bool = true;

    fn begin(&self) -> Vec<u8> {
        // What a fetch has left that failed has keys of that time.
        self.verify.take();
        Vec::new()
    }

    fn receive(&self, arriving: &mut Vec<u8>, piece: &[u8]) -> Result<(), String> {
        arriving.extend_from_slice(piece);
        Ok(())
    }

    fn arrived(&self, arriving: &mut Vec<u8>) -> Result<ArrivedStatusList, String> {
        Ok(ArrivedStatusList { text: core::mem::take(arriving), list: None })
    }

    fn digest(&self, arrived: &ArrivedStatusList) -> [u8; 32] {
        token::fingerprint(&arrived.text)
    }

    fn max_age(&self, arrived: &ArrivedStatusList) -> Option<u64> {
        let list = arrived.list.as_ref()?;
        let left = list.expires().map(|expires| expires.saturating_sub(now()).max(0));
        let seconds = list.ttl().into_iter().chain(left).min()?;
        Some(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
    }

    fn read(&self, arrived: &mut ArrivedStatusList) -> Result<Step, String> {
        let Some(list) = &mut arrived.list else {
            let verify = self.verify.take();
            let verify = verify.ok_or("nothing says by which keys the list is verified")?;
            arrived.list = Some(verify(&arrived.text)?);
            return Ok(Step::More);
        };
        list.inflate().map(Step::of).map_err(|error| error.to_string())
    }

    fn len(&self, arrived: &ArrivedStatusList) -> usize {
        arrived.list.as_ref().map_or(0, StatusList::words) * size_of::<u64>()
    }

    fn write(&self, arrived: &mut ArrivedStatusList, words: &[AtomicU64]) -> Step {
        Step::of(arrived.list.as_mut().is_some_and(|list| list.write(words)))
    }

    fn value(&self, _: ArrivedStatusList) -> Option<SharedWords> {
        None
    }

    fn open(&self, shared: Shared<'_>) -> Option<SharedWords> {
        Some(SharedWords::new(shared))
    }
}
