//! What workers share about fetched sources: the answers, and which worker fetches. It is in shared memory,
//! so one worker's fetch serves all of them, and the answers survive a reload.
//!
//! An answer is written while nobody else knows it, and then put into force as a whole. It is read without
//! a lock; whoever reads it finds out afterwards whether it was replaced meanwhile ([`Block::read`]).

mod block;
mod layout;
mod locked;

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use ngx::ffi::{
    ngx_conf_t, ngx_int_t, ngx_shared_memory_add, ngx_shm_zone_t, ngx_shmtx_lock,
    ngx_slab_alloc_locked, ngx_slab_pool_t,
};
use token::schedule::{FetchDecision, FetchReason, Record, Terms};

use super::conf::module;
use super::event::is_alive;
use super::guard::guard;
use super::pool::allocate;
use super::string::string;
use block::Head as AnswerHead;
use layout::Head;
use locked::Locked;

pub(crate) use block::{Block, store_bytes};

const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = ngx::ffi::NGX_ERROR as ngx_int_t;

/// A kind of zone.
pub(crate) struct ZoneKind {
    /// Its number is the version of the layout: memory survives a reload, which may load another version
    /// of the module.
    name: &'static [u8],
    /// Whether what is replaced is overwritten at once, since it may hold secrets.
    wipes: bool,
}

/// For keys. [`KEYS_SIZE`] is enough for a thousand key sets of the usual size, or for seven of the
/// largest.
pub(crate) static KEYS: ZoneKind = ZoneKind { name: b"token_auth_keys_4", wipes: true };
pub(super) const KEYS_SIZE: usize = 8 << 20;

/// For lists of revoked tokens, which are large and no secrets.
pub(crate) static LISTS: ZoneKind = ZoneKind { name: b"token_auth_lists_1", wipes: false };

/// The zone of one configuration.
#[derive(Clone, Copy)]
pub(crate) struct Zone(NonNull<ZoneData>);

// SAFETY: nginx runs all of the module in one thread. What other processes share is behind the lock, or
// atomic.
unsafe impl Send for Zone {}
// SAFETY: as above.
unsafe impl Sync for Zone {}

/// What a configuration stores about the zone: `data` of nginx's `ngx_shm_zone_t`.
struct ZoneData {
    zone: *mut ngx_shm_zone_t,
    kind: &'static ZoneKind,
    head: Cell<*mut Head>,
    /// The number of this configuration. Workers of an older configuration have another one.
    epoch: Cell<u64>,
}

/// What becomes of a source that the zone has no room for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// It stays as long as the configuration.
    Kept,
    /// The oldest ones make room for others.
    Usual,
    /// [`Rank::Usual`]; and as clients name such sources as they like, only so many are fetched in a time.
    Rationed,
}

/// What the zone has about a source.
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// The number of the answer; 0 if there is none.
    pub(crate) generation: u64,
    /// The answer, if it is newer than the one that the caller has, and what the worker that fetched it
    /// has noted about it.
    pub(crate) answer: Option<(Block, Vec<u8>)>,
}

impl Zone {
    /// Declares a zone of `size` bytes for the configuration that is being read.
    ///
    /// # Safety
    /// `cf` must be the structure that nginx passes to a directive's hook or to postconfiguration.
    pub(super) unsafe fn declare(
        cf: *mut ngx_conf_t,
        kind: &'static ZoneKind,
        size: usize,
    ) -> Option<Self> {
        let mut name = string(kind.name);
        let tag = module().cast_mut().cast();
        // SAFETY: `cf` is valid. nginx copies the name's pointer and length, and the bytes are
        // static. The pool lives longer than the zone's structure, since both belong to this cycle.
        unsafe {
            let zone = ngx_shared_memory_add(cf, &raw mut name, size, tag);
            if zone.is_null() {
                return None;
            }
            if let Some(shared) = NonNull::new((*zone).data.cast::<ZoneData>()) {
                return Some(Self(shared)); // declared by another directive
            }
            let head = Cell::new(ptr::null_mut());
            let shared = ZoneData { zone, kind, head, epoch: Cell::new(0) };
            let shared = NonNull::new(allocate((*cf).pool, shared))?;
            (*zone).data = shared.as_ptr().cast();
            (*zone).init = Some(init);
            Some(Self(shared))
        }
    }

    /// Makes this configuration the owner of the zone when it comes into force. Workers of the old
    /// configuration share nothing any more. Sources are refreshed at their next use, since the provider
    /// may be another.
    ///
    /// To be called by the master process, before it starts workers.
    pub(crate) fn take_over(self) {
        let Some(head) = self.head() else { return };
        // SAFETY: as in `lock`.
        let locked = unsafe { self.lock_for(head) };
        let epoch = head.epoch.load(Ordering::Relaxed) + 1;
        head.epoch.store(epoch, Ordering::Relaxed);
        // SAFETY: as in `head`.
        unsafe { self.0.as_ref() }.epoch.set(epoch);
        for node in locked.nodes() {
            // SAFETY: as in `nodes`; nothing else refers to the node while the lock is held. Which
            // sources stay is for the new configuration to say.
            unsafe {
                (*node).record.renew();
                (*node).is_kept = 0;
            }
        }
    }

    /// Grows each time that a fetch ends.
    pub(crate) fn changes(self) -> u64 {
        self.head().map_or(0, |head| head.changes.load(Ordering::Acquire))
    }

    /// Whether this configuration still owns the zone: false after a newer one has taken it over.
    pub(crate) fn is_current(self) -> bool {
        // SAFETY: as in `head`.
        let epoch = unsafe { self.0.as_ref() }.epoch.get();
        self.head().is_some_and(|head| head.epoch.load(Ordering::Relaxed) == epoch)
    }

    /// What the zone has about the source `name`; with the answer only if it is newer than `seen`.
    /// Workers of an older configuration find it only with `even_if_outdated`.
    pub(crate) fn read(self, name: &[u8], seen: u64, even_if_outdated: bool) -> Option<Entry> {
        let locked = match even_if_outdated {
            // SAFETY: as in `lock`.
            true => unsafe { self.lock_for(self.head()?) },
            false => self.lock()?,
        };
        let node = locked.find(name)?;
        let answer = NonNull::new(node.answer).filter(|_| node.generation > seen);
        // SAFETY: an answer of a node is in force, and the zone is locked.
        let answer = answer.map(|head| unsafe {
            (Block::new(head, node.generation), AnswerHead::about(head).to_vec())
        });
        Some(Entry { record: node.record, generation: node.generation, answer })
    }

    /// Asks whether this worker should fetch, for all workers. `None` if workers share nothing: there
    /// is no memory, or a newer configuration has taken the zone over.
    ///
    /// A fetch that is [rationed](Rank::Rationed) counts, for all sources together: the zone has no entry
    /// for it as long as it may not be made, so kids that nobody has ask for no memory.
    pub(crate) fn claim(
        self,
        name: &[u8],
        rank: Rank,
        purpose: FetchReason,
        terms: &Terms,
        now: u64,
    ) -> Option<FetchDecision> {
        let mut locked = self.lock()?;
        if rank == Rank::Rationed {
            let mut known = locked.find(name).map(|node| node.record).unwrap_or_default();
            let would = known.try_begin(purpose, terms, now);
            if would == FetchDecision::Fetch {
                if !locked.take_ration(now) {
                    return Some(FetchDecision::NotNow);
                }
                locked.forget_absent(now);
            }
        }
        let node = locked.find_or_add(name)?;
        if rank == Rank::Kept {
            node.is_kept = 1;
        }
        let record = &mut node.record;
        if record.fetcher().is_some_and(|worker| !is_alive(worker)) {
            record.given_up();
        }
        let claim = record.try_begin(purpose, terms, now);
        if claim == FetchDecision::Fetch {
            record.set_fetcher(std::process::id());
        }
        Some(claim)
    }

    /// Memory for an answer of `len` bytes of the source `name`, with a note `about` it. `None` if there is
    /// no room, or if another worker is writing an answer.
    pub(crate) fn reserve(self, name: &[u8], len: usize, about: &[u8]) -> Option<Reserved> {
        let mut locked = self.lock()?;
        locked.find_or_add(name)?;
        locked.forget_unfinished(name)?;
        let size = AnswerHead::size(len, about.len());
        let answer = locked.allocate_answer(size, name)?.cast::<AnswerHead>();
        // SAFETY: the memory is fresh and of that size. nginx aligns it to its size, up to a page.
        unsafe { AnswerHead::write(answer, len, about) };
        let Some(node) = locked.find_mut(name) else {
            locked.free(answer.as_ptr());
            return None;
        };
        (node.unfinished, node.writer) = (answer.as_ptr(), std::process::id());
        Some(Reserved { zone: self, name: name.into(), answer, len, is_in_force: false })
    }

    /// Puts an answer into force, in the place of the source's former one, and returns its number. Before
    /// this nobody sees the new one, and the old one afterwards: also if the worker is killed.
    pub(crate) fn put_into_force(self, mut reserved: Reserved, record: &Record) -> Option<u64> {
        let mut locked = self.lock()?;
        let generation = locked.head.changes.load(Ordering::Relaxed) + 1;
        let node = locked.find_mut(&reserved.name)?;
        if node.unfinished != reserved.answer.as_ptr() {
            return None;
        }
        // SAFETY: `reserve` made the answer.
        unsafe { AnswerHead::put_into_force(reserved.answer, generation) };
        (node.generation, node.record) = (generation, *record);
        reserved.is_in_force = true;
        // The former one is what is unfinished now: if this worker is killed before it is freed, the next
        // one frees it.
        node.unfinished = core::mem::replace(&mut node.answer, reserved.answer.as_ptr());
        let former = node.unfinished;
        locked.free(former);
        if let Some(node) = locked.find_mut(&reserved.name) {
            node.unfinished = ptr::null_mut();
        }
        locked.head.changes.store(generation, Ordering::Release);
        Some(generation)
    }

    /// Frees the answer of a source that is not used any more.
    pub(crate) fn drop_answer(self, name: &[u8]) {
        if let Some(mut locked) = self.lock()
            && let Some(node) = locked.find_mut(name)
        {
            node.generation = 0;
            let former = core::mem::replace(&mut node.answer, ptr::null_mut());
            locked.free(former);
        }
    }

    /// Frees what [`Zone::reserve`] has reserved: also for a configuration that does not own the zone any
    /// more.
    fn give_back(self, reserved: &Reserved) {
        let Some(head) = self.head() else { return };
        // SAFETY: as in `lock`.
        let mut locked = unsafe { self.lock_for(head) };
        if let Some(node) = locked.find_mut(&reserved.name)
            && node.unfinished == reserved.answer.as_ptr()
        {
            node.unfinished = ptr::null_mut();
            locked.free(reserved.answer.as_ptr());
        }
    }

    /// Tells the other workers that a fetch has failed, or that its answer is the one that they have.
    pub(crate) fn note(self, name: &[u8], record: &Record) {
        if let Some(mut locked) = self.lock()
            && let Some(node) = locked.find_mut(name)
        {
            node.record = *record;
            locked.head.changes.fetch_add(1, Ordering::Release);
        }
    }

    fn head(self) -> Option<&'static Head> {
        // SAFETY: the zone lives as long as the configuration, and only that configuration's
        // processes come here. The head is written once, before any worker starts; afterwards only
        // its atomics change, and, under the lock, the list.
        unsafe { self.0.as_ref().head.get().as_ref() }
    }

    /// Locks the zone, unless a newer configuration owns it: old workers that are about to exit may
    /// fetch from another provider.
    fn lock(self) -> Option<Locked> {
        let head = self.head()?;
        // SAFETY: there is a head, so `init` has run.
        let locked = unsafe { self.lock_for(head) };
        let current = head.epoch.load(Ordering::Relaxed);
        // SAFETY: as in `head`.
        let own = unsafe { self.0.as_ref() }.epoch.get();
        (current == own).then_some(locked)
    }

    /// # Safety
    /// `init` must have run, so that the zone has its slab pool, whose mutex nginx unlocks if the
    /// process that holds it dies.
    unsafe fn lock_for(self, head: &'static Head) -> Locked {
        // SAFETY: by the contract of this function.
        unsafe {
            let ZoneData { zone, kind, .. } = *self.0.as_ref();
            let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
            ngx_shmtx_lock(&raw mut (*pool).mutex);
            Locked { pool, head, wipes: kind.wipes }
        }
    }
}

/// Memory of a zone that was [reserved](Zone::reserve) for an answer, and that nobody else knows.
/// Dropping it gives it back. If the worker is killed, the next one that reserves memory for the source
/// does so.
pub(crate) struct Reserved {
    zone: Zone,
    name: Box<[u8]>,
    answer: NonNull<AnswerHead>,
    len: usize,
    /// Whether it is the source's by now.
    is_in_force: bool,
}

impl Reserved {
    /// The words, for their first and only writer. They may hold anything before.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `Zone::reserve` made the answer for this value alone, and its memory stays mapped as
        // long as the configuration.
        unsafe { AnswerHead::words(self.answer, self.len) }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_in_force {
            self.zone.give_back(self);
        }
    }
}

/// nginx calls this when the zone's memory is there: new, or that of the old configuration. This
/// configuration may still fail to come into force, so the old memory must not change here.
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx passes the zone of `Zone::declare`. `old` is the `data` that it had in the old
    // configuration, which is still there. Only the master process runs this.
    unsafe {
        let shared = &*(*zone).data.cast::<ZoneData>();
        guard((*zone).shm.log, ERROR, || {
            let head = match old.cast::<ZoneData>().as_ref() {
                Some(old) => old.head.get(),
                None => new_head(zone),
            };
            shared.head.set(head);
            if head.is_null() { ERROR } else { OK }
        })
    }
}

/// # Safety
/// The zone's memory must be there, with its slab pool.
unsafe fn new_head(zone: *mut ngx_shm_zone_t) -> *mut Head {
    // SAFETY: by the contract of this function; the memory is fresh and has the size of a head.
    unsafe {
        let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
        let head = ngx_slab_alloc_locked(pool, size_of::<Head>()).cast::<Head>();
        if !head.is_null() {
            head.write(Head {
                changes: AtomicU64::new(0),
                epoch: AtomicU64::new(0),
                first: AtomicPtr::new(ptr::null_mut()),
                ration: AtomicU64::new(0),
            });
            (*pool).data = head.cast();
            // A full zone is normal: old sources are removed. nginx shall not log it.
            (*pool).set_log_nomem(0);
        }
        head
    }
}
