//! What workers share of fetched keys: the answers as they came, and who fetches what. It lives in
//! shared memory, so that one worker's fetch serves all and a reload loses nothing.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use ngx::ffi::{
    ngx_conf_t, ngx_int_t, ngx_shared_memory_add, ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_unlock,
    ngx_slab_alloc_locked, ngx_slab_free_locked, ngx_slab_pool_t,
};
use token::schedule::{FetchDecision, FetchReason, Record, Terms};
use zeroize::{Zeroize as _, Zeroizing};

use super::conf::module;
use super::event::is_alive;
use super::guard::guard;
use super::pool::allocate;
use super::string::string;

const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = ngx::ffi::NGX_ERROR as ngx_int_t;

/// The number is that of the layout: memory survives a reload, which may bring another module.
const NAME: &[u8] = b"token_auth_keys_2";

// What makes up that layout. Whoever has to change a figure changes the number, too.
const _: () = assert!(size_of::<Head>() == 24 && size_of::<Record>() == 56);
const _: () = assert!(size_of::<Node>() == 88 && size_of::<Answer>() == 8);

/// Room for a thousand key sets of the usual size, or for seven of the largest.
const SIZE: usize = 8 << 20;

/// The zone of one configuration.
#[derive(Clone, Copy)]
pub(crate) struct Zone(NonNull<ZoneData>);

/// What a configuration knows of the zone; `data` of nginx's `ngx_shm_zone_t`.
struct ZoneData {
    zone: *mut ngx_shm_zone_t,
    head: Cell<*mut Head>,
    /// The number of this configuration, which the workers of an older one do not have.
    epoch: Cell<u64>,
}

/// At the beginning of the zone; what `data` of the slab pool points to. Every process refers to it
/// at once, so each member changes through a shared reference.
#[repr(C)]
struct Head {
    /// Grows with whatever comes of a fetch.
    changes: AtomicU64,
    /// Grows with every configuration that has come into force.
    epoch: AtomicU64,
    /// The list of sources, which is read and written under the lock only.
    first: AtomicPtr<Node>,
}

/// One key source, followed by the bytes of its name; used under the lock only.
#[repr(C)]
struct Node {
    next: *mut Node,
    record: Record,
    /// The number of the change that brought the answer.
    generation: u64,
    answer: *mut Answer,
    name_len: usize,
}

/// What a source was answered, with the bytes behind it: one pointer leads to both, so that a
/// worker that is killed between two stores never leaves a length that is another answer's.
#[repr(C)]
struct Answer {
    len: usize,
}

/// What the zone holds of a source.
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// The generation of the answer; 0 while there is none.
    pub(crate) generation: u64,
    /// The answer, if it is newer than what was seen last.
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
        // SAFETY: `cf` is valid; nginx copies the name's pointer and length, and the bytes are a
        // static's. The pool outlives the zone's structure, which is this cycle's.
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

    /// Gives the zone to this configuration, which has come into force: workers of the one before
    /// share no more, and keys are refreshed at their next use, since the provider may be another.
    ///
    /// To be called by the master, before it starts workers.
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

    /// Grows with whatever comes of a fetch.
    pub(crate) fn changes(self) -> u64 {
        self.head().map_or(0, |head| head.changes.load(Ordering::Acquire))
    }

    /// Whether the zone still is this configuration's: not once a newer one has been read.
    pub(crate) fn is_current(self) -> bool {
        // SAFETY: as in `head`.
        let epoch = unsafe { self.0.as_ref() }.epoch.get();
        self.head().is_some_and(|head| head.epoch.load(Ordering::Relaxed) == epoch)
    }

    /// What is there of the source called `name`; the answer if it is newer than `seen`.
    pub(crate) fn read(self, name: &[u8], seen: u64) -> Option<Entry> {
        let locked = self.lock()?;
        let node = locked.find(name)?;
        // SAFETY: `put` made the answer, and replaces it under the lock only.
        let answer = unsafe { bytes_of(node.answer) }.filter(|_| node.generation > seen);
        let answer = answer.map(|bytes| Zeroizing::new(bytes.to_vec()));
        Some(Entry { record: node.record, generation: node.generation, answer })
    }

    /// Asks to be the one who fetches for all workers; `None` where they share nothing, for want
    /// of memory or because a newer configuration has taken the zone over.
    pub(crate) fn claim(
        self,
        name: &[u8],
        purpose: FetchReason,
        terms: &Terms,
        now: u64,
    ) -> Option<FetchDecision> {
        let mut locked = self.lock()?;
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

    /// Has all workers use `answer`; gives its generation.
    pub(crate) fn put(self, name: &[u8], answer: &[u8], record: &Record) -> Option<u64> {
        let mut locked = self.lock()?;
        locked.find_or_add(name)?;
        let size = size_of::<Answer>() + answer.len();
        let memory = locked.allocate(size, Some(name))?.cast::<Answer>();
        // SAFETY: fresh memory of that size, aligned to it, in which the answer is whole before
        // anybody sees it: a worker that is killed in between leaves the former one in place.
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

    /// Tells the other workers that a fetch has failed, or that an answer was the one they have.
    pub(crate) fn note(self, name: &[u8], record: &Record) {
        if let Some(mut locked) = self.lock()
            && let Some(node) = locked.find_mut(name)
        {
            node.record = *record;
            locked.head.changes.fetch_add(1, Ordering::Release);
        }
    }

    fn head(self) -> Option<&'static Head> {
        // SAFETY: the zone lives as long as the configuration, whose workers alone come here; the
        // head is written once, before any of them is started, but for its atomics and, under the
        // lock, the list.
        unsafe { self.0.as_ref().head.get().as_ref() }
    }

    /// Locks the zone, unless a newer configuration has it: what workers that are about to leave
    /// fetch may be of another provider.
    fn lock(self) -> Option<Locked> {
        let head = self.head()?;
        // SAFETY: `init` has run, or there would be no head.
        let locked = unsafe { self.lock_for(head) };
        let current = head.epoch.load(Ordering::Relaxed);
        // SAFETY: as in `head`.
        let own = unsafe { self.0.as_ref() }.epoch.get();
        (current == own).then_some(locked)
    }

    /// # Safety
    /// `init` must have run, so that the zone has its slab pool, with a mutex that nginx unlocks
    /// should its holder die.
    unsafe fn lock_for(self, head: &'static Head) -> Locked {
        // SAFETY: by the contract of this function.
        unsafe {
            let pool = (*self.0.as_ref().zone).shm.addr.cast::<ngx_slab_pool_t>();
            ngx_shmtx_lock(&raw mut (*pool).mutex);
            Locked { pool, head }
        }
    }
}

/// The zone while this process alone works on it.
struct Locked {
    pool: *mut ngx_slab_pool_t,
    head: &'static Head,
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `Zone::lock` has locked it.
        unsafe { ngx_shmtx_unlock(&raw mut (*self.pool).mutex) };
    }
}

impl Locked {
    fn nodes(&self) -> impl Iterator<Item = *mut Node> {
        // SAFETY: the list's nodes are valid while the lock is held; the last one's `next` is null.
        let step = |node: &*mut Node| Some(unsafe { (**node).next }).filter(|next| !next.is_null());
        let first = self.head.first.load(Ordering::Relaxed);
        core::iter::successors(Some(first).filter(|first| !first.is_null()), step)
    }

    fn position(&self, name: &[u8]) -> Option<*mut Node> {
        // SAFETY: as in `nodes`; the name follows its node.
        self.nodes().find(|node| unsafe {
            slice::from_raw_parts(node.add(1).cast::<u8>(), (**node).name_len) == name
        })
    }

    fn find(&self, name: &[u8]) -> Option<&Node> {
        // SAFETY: as in `nodes`; the borrow keeps the lock.
        self.position(name).map(|node| unsafe { &*node })
    }

    fn find_mut(&mut self, name: &[u8]) -> Option<&mut Node> {
        // SAFETY: as in `nodes`; the borrow keeps the lock, and is the only one.
        self.position(name).map(|node| unsafe { &mut *node })
    }

    fn find_or_add(&mut self, name: &[u8]) -> Option<&mut Node> {
        if self.find(name).is_none() {
            let node = self.allocate(size_of::<Node>() + name.len(), None)?.cast::<Node>();
            // SAFETY: fresh memory for the node and the name behind it, aligned to its size.
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

    /// Memory of the zone, for which the sources used longest ago make room, all but `keep`.
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
        // SAFETY: as in `nodes`; the node is taken out of the list before it is freed.
        unsafe {
            let next = (*oldest).next;
            let before = self.nodes().find(|node| (**node).next == oldest);
            match before {
                Some(before) => (*before).next = next,
                None => self.head.first.store(next, Ordering::Relaxed),
            }
            self.free((*oldest).answer);
            ngx_slab_free_locked(self.pool, oldest.cast());
        }
        true
    }

    /// Gives memory of an answer back; it may hold secrets.
    fn free(&mut self, answer: *mut Answer) {
        if !answer.is_null() {
            // SAFETY: `put` has made it, with the bytes behind it, and nothing points to it any more.
            unsafe {
                slice::from_raw_parts_mut(answer.add(1).cast::<u8>(), (*answer).len).zeroize();
                ngx_slab_free_locked(self.pool, answer.cast());
            }
        }
    }
}

/// The bytes of an answer; `None` where there is none.
///
/// # Safety
/// `answer` must be null or one that `put` has made, and stay for `'a`.
unsafe fn bytes_of<'a>(answer: *const Answer) -> Option<&'a [u8]> {
    // SAFETY: by the contract of this function; `put` has written so many bytes behind it.
    unsafe {
        let len = answer.as_ref()?.len;
        Some(slice::from_raw_parts(answer.add(1).cast::<u8>(), len))
    }
}

/// nginx's hook for a zone whose memory is there: new, or that of the configuration before. Whether
/// this configuration will come into force is open still, so nothing of the memory changes.
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx passes the zone of `Zone::declare`, and as `old` what was its `data` in the
    // configuration before, which is still there. The master alone runs this.
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
    // SAFETY: by the contract of this function; the memory is fresh and of that size.
    unsafe {
        let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
        let head = ngx_slab_alloc_locked(pool, size_of::<Head>()).cast::<Head>();
        if !head.is_null() {
            head.write(Head {
                changes: AtomicU64::new(0),
                epoch: AtomicU64::new(0),
                first: AtomicPtr::new(ptr::null_mut()),
            });
            (*pool).data = head.cast();
            // That something has to make room is not worth a line of the log.
            (*pool).set_log_nomem(0);
        }
        head
    }
}
