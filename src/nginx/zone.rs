//! What workers share about fetched keys: the answers as received, and which worker fetches. It is in
//! shared memory, so one worker's fetch serves all of them, and the answers survive a reload.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use ngx::ffi::{
    ngx_conf_t, ngx_int_t, ngx_shared_memory_add, ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_unlock,
    ngx_slab_alloc_locked, ngx_slab_free_locked, ngx_slab_pool_t,
};
use token::schedule::{FetchDecision, FetchReason, NOT_FOUND, Ration, Record, Terms};
use zeroize::{Zeroize as _, Zeroizing};

use super::conf::module;
use super::event::is_alive;
use super::guard::guard;
use super::pool::allocate;
use super::string::string;

const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = ngx::ffi::NGX_ERROR as ngx_int_t;

/// The number is the version of the layout: memory survives a reload, which may load another version
/// of the module.
const NAME: &[u8] = b"token_auth_keys_3";

// The layout consists of these structures. Whoever has to change a size here must change the number,
// too.
const _: () = assert!(size_of::<Head>() == 32 && size_of::<Record>() == 56);
const _: () = assert!(size_of::<Node>() == 88 && size_of::<Answer>() == 8);

/// Enough for a thousand key sets of the usual size, or for seven of the largest.
const SIZE: usize = 8 << 20;

/// The zone of one configuration.
#[derive(Clone, Copy)]
pub(crate) struct Zone(NonNull<ZoneData>);

/// What a configuration stores about the zone: `data` of nginx's `ngx_shm_zone_t`.
struct ZoneData {
    zone: *mut ngx_shm_zone_t,
    head: Cell<*mut Head>,
    /// The number of this configuration. Workers of an older configuration have another one.
    epoch: Cell<u64>,
}

/// The beginning of the zone; `data` of the slab pool points to it. All processes refer to it at the
/// same time, so each member changes through a shared reference.
#[repr(C)]
struct Head {
    /// Grows each time that a fetch ends.
    changes: AtomicU64,
    /// Grows each time that a configuration comes into force.
    epoch: AtomicU64,
    /// The list of sources, read and written only under the lock.
    first: AtomicPtr<Node>,
    /// Limits the fetches that clients cause by naming kids. Used only under the lock.
    ration: AtomicU64,
}

/// One key source, followed by the bytes of its name. Used only under the lock.
#[repr(C)]
struct Node {
    next: *mut Node,
    record: Record,
    /// The value of `changes` when the answer was stored.
    generation: u64,
    answer: *mut Answer,
    name_len: usize,
}

/// The answer of a source, followed by its bytes. One pointer leads to length and bytes, so a worker
/// that is killed between two stores never leaves the length of another answer.
#[repr(C)]
struct Answer {
    len: usize,
}

/// What the zone has about a source.
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// The generation of the answer; 0 if there is no answer yet.
    pub(crate) generation: u64,
    /// The answer, if it is newer than the one that the caller has.
    pub(crate) answer: Option<Zeroizing<Vec<u8>>>,
}

impl Zone {
    /// Declares the zone of the configuration that is being read.
    ///
    /// # Safety
    /// `cf` must be the structure that nginx passes to a directive's hook.
    pub(super) unsafe fn declare(cf: *mut ngx_conf_t) -> Option<Self> {
        let mut name = string(NAME);
        let tag = module().cast_mut().cast();
        // SAFETY: `cf` is valid. nginx copies the name's pointer and length, and the bytes are
        // static. The pool lives longer than the zone's structure, since both belong to this cycle.
        unsafe {
            let zone = ngx_shared_memory_add(cf, &raw mut name, SIZE, tag);
            if zone.is_null() {
                return None;
            }
            if let Some(shared) = NonNull::new((*zone).data.cast::<ZoneData>()) {
                return Some(Self(shared)); // declared by another directive
            }
            let head = Cell::new(ptr::null_mut());
            let shared = ZoneData { zone, head, epoch: Cell::new(0) };
            let shared = NonNull::new(allocate((*cf).pool, shared))?;
            (*zone).data = shared.as_ptr().cast();
            (*zone).init = Some(init);
            Some(Self(shared))
        }
    }

    /// Makes this configuration the owner of the zone when it comes into force. Workers of the old
    /// configuration share nothing any more. Keys are refreshed at their next use, since the provider
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
            // SAFETY: as in `nodes`; nothing else refers to the node while the lock is held.
            unsafe { (*node).record.renew() };
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
    pub(crate) fn read(self, name: &[u8], seen: u64) -> Option<Entry> {
        let locked = self.lock()?;
        let node = locked.find(name)?;
        // SAFETY: `put` made the answer, and replaces it only under the lock.
        let answer = unsafe { bytes_of(node.answer) }.filter(|_| node.generation > seen);
        let answer = answer.map(|bytes| Zeroizing::new(bytes.to_vec()));
        Some(Entry { record: node.record, generation: node.generation, answer })
    }

    /// Asks whether this worker should fetch, for all workers. `None` if workers share nothing: there
    /// is no memory, or a newer configuration has taken the zone over.
    ///
    /// A fetch that is `rationed` counts, for all sources together: the zone has no entry for it as long
    /// as it may not be made, so kids that nobody has ask for no memory.
    pub(crate) fn claim(
        self,
        name: &[u8],
        purpose: FetchReason,
        terms: &Terms,
        now: u64,
        rationed: bool,
    ) -> Option<FetchDecision> {
        let mut locked = self.lock()?;
        if rationed {
            let mut known = locked.find(name).map(|node| node.record).unwrap_or_default();
            let would = known.try_begin(purpose, terms, now);
            if would == FetchDecision::Fetch {
                if !locked.take_ration(now) {
                    return Some(FetchDecision::NotNow);
                }
                locked.forget_absent(now);
            }
        }
        let record = &mut locked.find_or_add(name)?.record;
        if record.fetcher().is_some_and(|worker| !is_alive(worker)) {
            record.given_up();
        }
        let claim = record.try_begin(purpose, terms, now);
        if claim == FetchDecision::Fetch {
            record.set_fetcher(std::process::id());
        }
        Some(claim)
    }

    /// Stores `answer` for all workers, and returns its generation.
    pub(crate) fn put(self, name: &[u8], answer: &[u8], record: &Record) -> Option<u64> {
        let mut locked = self.lock()?;
        locked.find_or_add(name)?;
        let size = size_of::<Answer>() + answer.len();
        let memory = locked.allocate(size, Some(name))?.cast::<Answer>();
        // SAFETY: the memory is fresh, of that size and aligned for it. The answer is complete before
        // another process reads it: a worker that is killed in between leaves the old answer in place.
        unsafe {
            memory.write(Answer { len: answer.len() });
            let bytes = memory.add(1).cast::<u8>();
            ptr::copy_nonoverlapping(answer.as_ptr(), bytes.as_ptr(), answer.len());
        }
        let generation = locked.head.changes.load(Ordering::Relaxed) + 1;
        let Some(node) = locked.find_mut(name) else {
            locked.free(memory.as_ptr());
            return None;
        };
        let former = core::mem::replace(&mut node.answer, memory.as_ptr());
        (node.generation, node.record) = (generation, *record);
        locked.free(former);
        locked.head.changes.store(generation, Ordering::Release);
        Some(generation)
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
            let pool = (*self.0.as_ref().zone).shm.addr.cast::<ngx_slab_pool_t>();
            ngx_shmtx_lock(&raw mut (*pool).mutex);
            Locked { pool, head }
        }
    }
}

/// The zone while this process holds its lock.
struct Locked {
    pool: *mut ngx_slab_pool_t,
    head: &'static Head,
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `Zone::lock_for` has locked the mutex.
        unsafe { ngx_shmtx_unlock(&raw mut (*self.pool).mutex) };
    }
}

impl Locked {
    /// Whether one more of the rationed fetches may be made now.
    fn take_ration(&self, now: u64) -> bool {
        let mut ration = Ration::from_bits(self.head.ration.load(Ordering::Relaxed));
        let taken = ration.take(now);
        self.head.ration.store(ration.to_bits(), Ordering::Relaxed);
        taken
    }

    fn nodes(&self) -> impl Iterator<Item = *mut Node> {
        // SAFETY: the list's nodes are valid while the lock is held; `next` of the last one is null.
        let step = |node: &*mut Node| Some(unsafe { (**node).next }).filter(|next| !next.is_null());
        let first = self.head.first.load(Ordering::Relaxed);
        core::iter::successors(Some(first).filter(|first| !first.is_null()), step)
    }

    fn position(&self, name: &[u8]) -> Option<*mut Node> {
        // SAFETY: as in `nodes`; the name follows its node in memory.
        self.nodes().find(|node| unsafe {
            slice::from_raw_parts(node.add(1).cast::<u8>(), (**node).name_len) == name
        })
    }

    fn find(&self, name: &[u8]) -> Option<&Node> {
        // SAFETY: as in `nodes`; the borrow of `self` keeps the lock.
        self.position(name).map(|node| unsafe { &*node })
    }

    fn find_mut(&mut self, name: &[u8]) -> Option<&mut Node> {
        // SAFETY: as in `nodes`; the borrow of `self` keeps the lock, and is the only one.
        self.position(name).map(|node| unsafe { &mut *node })
    }

    fn find_or_add(&mut self, name: &[u8]) -> Option<&mut Node> {
        if self.find(name).is_none() {
            let node = self.allocate(size_of::<Node>() + name.len(), None)?.cast::<Node>();
            // SAFETY: the memory is fresh, large enough for the node and the name behind it, and
            // aligned.
            unsafe {
                node.write(Node {
                    next: self.head.first.load(Ordering::Relaxed),
                    record: Record::default(),
                    generation: 0,
                    answer: ptr::null_mut(),
                    name_len: name.len(),
                });
                ptr::copy_nonoverlapping(name.as_ptr(), node.add(1).cast().as_ptr(), name.len());
            }
            self.head.first.store(node.as_ptr(), Ordering::Relaxed);
        }
        self.find_mut(name)
    }

    /// Allocates memory of the zone. If there is not enough, the sources with the oldest answers are
    /// removed, except `keep`.
    fn allocate(&mut self, len: usize, keep: Option<&[u8]>) -> Option<NonNull<c_void>> {
        loop {
            // SAFETY: the pool is valid and locked.
            let memory = unsafe { ngx_slab_alloc_locked(self.pool, len.max(1)) };
            if memory.is_null() && self.forget_oldest(keep) {
                continue;
            }
            return NonNull::new(memory);
        }
    }

    fn forget_oldest(&mut self, keep: Option<&[u8]>) -> bool {
        let kept = keep.and_then(|name| self.position(name));
        let others = self.nodes().filter(|node| Some(*node) != kept);
        // SAFETY: as in `nodes`.
        let Some(oldest) = others.min_by_key(|node| unsafe { (**node).generation }) else {
            return false;
        };
        self.remove(oldest);
        true
    }

    /// Removes the sources that have had no keys for a while: kids that were not found, and fetches that
    /// have failed. Each search for a name passes all nodes, so clients must not fill the list.
    fn forget_absent(&mut self, now: u64) {
        let is_over = |node: &*mut Node| {
            // SAFETY: as in `nodes`; `put` made the answer.
            let (record, answer) = unsafe { ((**node).record, bytes_of((**node).answer)) };
            answer.is_none_or(<[u8]>::is_empty) && record.is_over(NOT_FOUND, now)
        };
        loop {
            let over = self.nodes().find(is_over);
            let Some(node) = over else { return };
            self.remove(node);
        }
    }

    fn remove(&mut self, node: *mut Node) {
        // SAFETY: as in `nodes`; the node leaves the list before it is freed.
        unsafe {
            let next = (*node).next;
            let before = self.nodes().find(|other| (**other).next == node);
            match before {
                Some(before) => (*before).next = next,
                None => self.head.first.store(next, Ordering::Relaxed),
            }
            self.free((*node).answer);
            ngx_slab_free_locked(self.pool, node.cast());
        }
    }

    /// Frees the memory of an answer, and overwrites it first: it may hold secrets.
    fn free(&mut self, answer: *mut Answer) {
        if !answer.is_null() {
            // SAFETY: `put` made the answer, with its bytes behind it, and nothing points to it any
            // more.
            unsafe {
                slice::from_raw_parts_mut(answer.add(1).cast::<u8>(), (*answer).len).zeroize();
                ngx_slab_free_locked(self.pool, answer.cast());
            }
        }
    }
}

/// The bytes of an answer; `None` if there is no answer.
///
/// # Safety
/// `answer` must be null or made by `put`, and must stay for `'a`.
unsafe fn bytes_of<'a>(answer: *const Answer) -> Option<&'a [u8]> {
    // SAFETY: by the contract of this function; `put` has written `len` bytes behind it.
    unsafe {
        let len = answer.as_ref()?.len;
        Some(slice::from_raw_parts(answer.add(1).cast::<u8>(), len))
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
