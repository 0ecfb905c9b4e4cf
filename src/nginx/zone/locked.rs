//! The list of sources in a zone, and its memory, under the lock.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::Ordering;

use ngx::ffi::{
    ngx_pagesize, ngx_shmtx_unlock, ngx_slab_alloc_locked, ngx_slab_free_locked, ngx_slab_page_t,
    ngx_slab_pool_t,
};
use token::schedule::{NOT_FOUND, Ration, Record};

use super::block::{Block, Head as AnswerHead};
use super::layout::{Head, Node};
use crate::nginx::event::is_alive;

/// The size of an answer whose place matters, in bytes.
const LARGE: usize = 64 << 10;

/// How many sources are kept, beside those that stay in any case.
const MOST: usize = 2_048;

/// The zone while this process holds its lock.
pub(super) struct Locked {
    pub(super) pool: *mut ngx_slab_pool_t,
    pub(super) head: &'static Head,
    /// [`ZoneKind::wipes`](super::ZoneKind).
    pub(super) wipes: bool,
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `Zone::lock_for` has locked the mutex.
        unsafe { ngx_shmtx_unlock(&raw mut (*self.pool).mutex) };
    }
}

impl Locked {
    /// Whether one more of the rationed fetches may be made now.
    pub(super) fn take_ration(&self, now: u64) -> bool {
        let mut ration = Ration::from_bits(self.head.ration.load(Ordering::Relaxed));
        let taken = ration.take(now);
        self.head.ration.store(ration.to_bits(), Ordering::Relaxed);
        taken
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = *mut Node> {
        // SAFETY: the list's nodes are valid while the lock is held; `next` of the last one is null.
        let step = |node: &*mut Node| Some(unsafe { (**node).next }).filter(|next| !next.is_null());
        let first = self.head.first.load(Ordering::Relaxed);
        core::iter::successors(Some(first).filter(|first| !first.is_null()), step)
    }

    pub(super) fn position(&self, name: &[u8]) -> Option<*mut Node> {
        // SAFETY: as in `nodes`; the name follows its node in memory.
        self.nodes().find(|node| unsafe {
            slice::from_raw_parts(node.add(1).cast::<u8>(), (**node).name_len) == name
        })
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&Node> {
        // SAFETY: as in `nodes`; the borrow of `self` keeps the lock.
        self.position(name).map(|node| unsafe { &*node })
    }

    pub(super) fn find_mut(&mut self, name: &[u8]) -> Option<&mut Node> {
        // SAFETY: as in `nodes`; the borrow of `self` keeps the lock, and is the only one.
        self.position(name).map(|node| unsafe { &mut *node })
    }

    pub(super) fn find_or_add(&mut self, name: &[u8]) -> Option<&mut Node> {
        if self.find(name).is_none() {
            // Each search passes all nodes, so there must not be too many of those that others name.
            if self.nodes().count() >= MOST {
                self.forget_oldest(None);
            }
            let node = self.allocate(size_of::<Node>() + name.len(), None)?.cast::<Node>();
            // SAFETY: the memory is fresh, large enough for the node and the name behind it, and
            // aligned.
            unsafe {
                node.write(Node {
                    next: self.head.first.load(Ordering::Relaxed),
                    record: Record::default(),
                    generation: 0,
                    answer: ptr::null_mut(),
                    unfinished: ptr::null_mut(),
                    writer: 0,
                    is_kept: 0,
                    name_len: name.len(),
                });
                ptr::copy_nonoverlapping(name.as_ptr(), node.add(1).cast().as_ptr(), name.len());
            }
            self.head.first.store(node.as_ptr(), Ordering::Relaxed);
        }
        self.find_mut(name)
    }

    /// Allocates memory of the zone. If there is not enough, the sources with the oldest answers are
    /// removed, except `keep` and those that stay.
    pub(super) fn allocate(&mut self, len: usize, keep: Option<&[u8]>) -> Option<NonNull<c_void>> {
        loop {
            // SAFETY: the pool is valid and locked.
            let memory = unsafe { ngx_slab_alloc_locked(self.pool, len.max(1)) };
            if memory.is_null() && self.forget_oldest(keep) {
                continue;
            }
            return NonNull::new(memory);
        }
    }

    /// Allocates memory for an answer of the source `name`, away from the one that is in force: what that
    /// one leaves is then joined with the rest of the memory. So a list that grows a little each time
    /// needs no more than twice its size, and not three times.
    pub(super) fn allocate_answer(&mut self, len: usize, name: &[u8]) -> Option<NonNull<c_void>> {
        if len < LARGE {
            return self.allocate(len, Some(name));
        }
        // SAFETY: the pool is valid and locked.
        let (start, end) = unsafe { ((*self.pool).start as usize, (*self.pool).end as usize) };
        let middle = start.midpoint(end);
        let is_low = |node: &Node| !node.answer.is_null() && (node.answer as usize) < middle;
        let at_end = self.find(name).is_some_and(is_low).then(|| self.allocate_at_end(len, name));
        at_end.flatten().or_else(|| self.allocate(len, Some(name)))
    }

    /// Allocates the end of the largest piece of free memory: its beginning is taken meanwhile. `None` if
    /// it is too small. The beginning is noted as an unfinished answer of the source `name`: if the worker
    /// is killed before it is free again, the next one frees it.
    fn allocate_at_end(&mut self, len: usize, name: &[u8]) -> Option<NonNull<c_void>> {
        // SAFETY: nginx sets it before it reads a configuration.
        let page = unsafe { ngx_pagesize };
        // SAFETY: the pool is valid and locked. Its free pieces are a ring that begins and ends with its
        // own member; of each piece, `slab` is the number of its pages.
        unsafe {
            let ring = &raw mut (*self.pool).free;
            let next =
                |piece: &*mut ngx_slab_page_t| Some((**piece).next).filter(|next| *next != ring);
            let pieces = core::iter::successors(next(&ring), next);
            let largest = pieces.map(|piece| (*piece).slab).max()?;
            let rest = largest.checked_sub(len.div_ceil(page)).filter(|rest| *rest > 0)?;
            let beginning = NonNull::new(ngx_slab_alloc_locked(self.pool, rest * page))?;
            AnswerHead::write(beginning.cast(), 0, b"");
            if let Some(node) = self.find_mut(name) {
                (node.unfinished, node.writer) = (beginning.as_ptr().cast(), std::process::id());
            }
            let memory = ngx_slab_alloc_locked(self.pool, len);
            if let Some(node) = self.find_mut(name) {
                node.unfinished = ptr::null_mut();
            }
            ngx_slab_free_locked(self.pool, beginning.as_ptr());
            NonNull::new(memory)
        }
    }

    pub(super) fn forget_oldest(&mut self, keep: Option<&[u8]>) -> bool {
        let kept = keep.and_then(|name| self.position(name));
        let removable = |node: &*mut Node| {
            // SAFETY: as in `nodes`.
            let (is_kept, writes) = unsafe { ((**node).is_kept != 0, is_being_written(&**node)) };
            Some(*node) != kept && !is_kept && !writes
        };
        let others = self.nodes().filter(removable);
        // SAFETY: as in `nodes`.
        let Some(oldest) = others.min_by_key(|node| unsafe { (**node).generation }) else {
            return false;
        };
        self.remove(oldest);
        true
    }

    /// Removes the sources that have had no keys for a while: kids that were not found, and fetches that
    /// have failed. Each search for a name passes all nodes, so clients must not fill the list.
    pub(super) fn forget_absent(&mut self, now: u64) {
        let is_over = |node: &*mut Node| {
            // SAFETY: as in `nodes`.
            let node = unsafe { &**node };
            let answer = NonNull::new(node.answer);
            // SAFETY: an answer of a node is in force, and the zone is locked.
            let has_bytes = answer.is_some_and(|head| unsafe { !Block::new(head, 0).is_empty() });
            !has_bytes && !is_being_written(node) && node.record.is_over(NOT_FOUND, now)
        };
        loop {
            let over = self.nodes().find(is_over);
            let Some(node) = over else { return };
            self.remove(node);
        }
    }

    pub(super) fn remove(&mut self, node: *mut Node) {
        // SAFETY: as in `nodes`; the node leaves the list before it is freed.
        unsafe {
            let next = (*node).next;
            let before = self.nodes().find(|other| (**other).next == node);
            match before {
                Some(before) => (*before).next = next,
                None => self.head.first.store(next, Ordering::Relaxed),
            }
            self.free(take_unfinished(&mut *node));
            self.free((*node).answer);
            ngx_slab_free_locked(self.pool, node.cast());
        }
    }

    /// Frees the answer that a worker has not finished, if that worker has died. `None` if it is still
    /// at work.
    pub(super) fn forget_unfinished(&mut self, name: &[u8]) -> Option<()> {
        let node = self.find_mut(name)?;
        if is_being_written(node) {
            return None;
        }
        let unfinished = take_unfinished(node);
        self.free(unfinished);
        Some(())
    }

    /// Frees the memory of an answer.
    pub(super) fn free(&mut self, answer: *mut AnswerHead) {
        let Some(answer) = NonNull::new(answer) else { return };
        // SAFETY: `Zone::reserve` made the answer, and nothing points to it any more but blocks of
        // processes that will see that it is retired.
        unsafe {
            AnswerHead::retire(answer);
            if self.wipes {
                let block = Block::new(answer, 0);
                for word in AnswerHead::words(answer, block.len()) {
                    word.store(0, Ordering::Relaxed);
                }
            }
            ngx_slab_free_locked(self.pool, answer.as_ptr().cast());
        }
    }
}

/// The answer that a worker has not finished. If it was killed at the moment at which it put the answer
/// into force, that is not unfinished.
fn take_unfinished(node: &mut Node) -> *mut AnswerHead {
    let unfinished = core::mem::replace(&mut node.unfinished, ptr::null_mut());
    if unfinished == node.answer { ptr::null_mut() } else { unfinished }
}

/// Whether a living process writes an answer of the source.
fn is_being_written(node: &Node) -> bool {
    !node.unfinished.is_null() && is_alive(node.writer)
}
