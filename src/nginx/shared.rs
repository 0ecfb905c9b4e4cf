//! Blocks of bytes in shared memory, which all processes read and write, and which survive a reload.

use core::cell::Cell;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::AtomicU64;

use ngx::ffi::{
    ngx_conf_t, ngx_int_t, ngx_list_part_t, ngx_list_t, ngx_pnalloc, ngx_shared_memory_add,
    ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_unlock, ngx_slab_alloc_locked, ngx_slab_pool_t,
};

use super::conf::module;
use super::guard::guard;
use super::pool::allocate;
use super::string::{bytes, string};
use super::zone::{self, Zone};

const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = ngx::ffi::NGX_ERROR as ngx_int_t;

/// The size of a zone for a block of `size` bytes. nginx's allocator needs some of it: a header, a record
/// of 24 bytes for each page of 4096, and the rounding at both ends.
const fn zone_size(size: usize) -> usize {
    size + size / 128 + (32 << 10)
}

/// Declares shared memory for the configuration that has just been read.
pub(crate) struct SharedMemory<'c> {
    cf: NonNull<ngx_conf_t>,
    lives: PhantomData<&'c ngx_conf_t>,
}

impl SharedMemory<'_> {
    /// # Safety
    /// `cf` must be what nginx passes to `postconfiguration`, and outlive the value.
    pub(super) unsafe fn new(cf: *mut ngx_conf_t) -> Option<Self> {
        NonNull::new(cf).map(|cf| Self { cf, lives: PhantomData })
    }

    /// A block of `size` bytes, which begins as zeros and is aligned to 8. If the configuration before
    /// has had a block of this name and size, it is that one. `None` if nginx refuses it; nginx has then
    /// logged why.
    pub(crate) fn declare(&self, name: &str, size: usize) -> Option<SharedBytes> {
        let cf = self.cf.as_ptr();
        let tag = module().cast_mut().cast();
        // SAFETY: `cf` is valid. nginx keeps the name's pointer, so the name is copied into the pool of
        // the configuration, which lives as long as the zone's structure.
        unsafe {
            let kept = ngx_pnalloc((*cf).pool, name.len()).cast::<u8>();
            if kept.is_null() {
                return None;
            }
            ptr::copy_nonoverlapping(name.as_ptr(), kept, name.len());
            let mut name = string(slice::from_raw_parts(kept, name.len()));
            let zone = ngx_shared_memory_add(cf, &raw mut name, zone_size(size), tag);
            if zone.is_null() {
                return None;
            }
            let block = Block { zone, size, data: Cell::new(ptr::null_mut()) };
            let block = NonNull::new(allocate((*cf).pool, block))?;
            (*zone).data = block.as_ptr().cast();
            (*zone).init = Some(init);
            Some(SharedBytes(block))
        }
    }

    /// As [`SharedMemory::declare`], for words that are read and written without a lock.
    pub(crate) fn declare_words(&self, name: &str, size: usize) -> Option<SharedAtomics> {
        self.declare(name, size).map(SharedAtomics)
    }

    /// The zone for lists, of `size` bytes. `None` if nginx refuses it; nginx has then logged why.
    pub(crate) fn lists(&self, size: usize) -> Option<Zone> {
        // SAFETY: `cf` is valid, by the contract of `new`.
        unsafe { Zone::declare(self.cf.as_ptr(), &zone::LISTS, size) }
    }

    /// Whether the configuration before this one has shared memory of that name.
    pub(crate) fn was_declared(&self, name: &str) -> bool {
        // SAFETY: the cycle that is being read has the one before it, whose list is not changed any more.
        unsafe {
            let before = (*(*self.cf.as_ptr()).cycle).old_cycle;
            let Some(before) = before.as_ref() else { return false };
            zones(&before.shared_memory).any(|zone| bytes(zone.shm.name) == name.as_bytes())
        }
    }
}

/// The zones of a list.
///
/// # Safety
/// The list must be one of shared memory zones, or all zeros.
unsafe fn zones(list: &ngx_list_t) -> impl Iterator<Item = &ngx_shm_zone_t> {
    let step = |part: &&ngx_list_part_t| {
        // SAFETY: `next` of the last part is null.
        unsafe { part.next.as_ref() }
    };
    core::iter::successors(Some(&list.part), step).flat_map(|part| {
        // SAFETY: a part has `nelts` elements of this type.
        (0..part.nelts).filter_map(|at| unsafe {
            part.elts.cast::<ngx_shm_zone_t>().wrapping_add(at).as_ref()
        })
    })
}

/// A block of shared memory.
#[derive(Clone, Copy)]
pub(crate) struct SharedBytes(NonNull<Block>);

/// What a configuration stores about its block: `data` of nginx's `ngx_shm_zone_t`.
struct Block {
    zone: *mut ngx_shm_zone_t,
    size: usize,
    /// The bytes; null until the memory is there.
    data: Cell<*mut u8>,
}

impl SharedBytes {
    /// Calls `with` with the bytes, which no other process uses meanwhile. `None` before the memory is
    /// there. A process that is killed meanwhile leaves the bytes as they are at that time; nginx then
    /// releases the lock. `with` must be short, and must not use this block again: that would wait for
    /// ever.
    pub(crate) fn with<R>(self, with: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        // SAFETY: the block lives as long as the configuration, and only that configuration's processes
        // come here.
        let block = unsafe { self.0.as_ref() };
        let data = NonNull::new(block.data.get())?;
        let _locked = Locked::new(block);
        // SAFETY: `init` has set the pointer to so many bytes, aligned to 8. All access to them is under
        // the lock, which nobody can take twice: so this is the only reference.
        Some(with(unsafe { slice::from_raw_parts_mut(data.as_ptr(), block.size) }))
    }
}

/// A block of shared memory that all processes read and write at once. Nobody locks it.
#[derive(Clone, Copy)]
pub(crate) struct SharedAtomics(SharedBytes);

impl SharedAtomics {
    /// The words. `None` before the memory is there.
    pub(crate) fn words(&self) -> Option<&[AtomicU64]> {
        // SAFETY: the block lives as long as the configuration, which has this value.
        let block = unsafe { self.0.0.as_ref() };
        let data = NonNull::new(block.data.get())?;
        let count = block.size / size_of::<AtomicU64>();
        // SAFETY: `init` has set the pointer to so many bytes, aligned to 8, which stay until the configuration
        // goes. All bit patterns are words. The block is not given to anybody as bytes: the field is private, and
        // `declare_words` has just made it.
        Some(unsafe { slice::from_raw_parts(data.as_ptr().cast(), count) })
    }
}

/// The lock of a block, while this process holds it.
struct Locked(*mut ngx_slab_pool_t);

impl Locked {
    fn new(block: &Block) -> Self {
        // SAFETY: the memory is there, and begins with nginx's pool. nginx unlocks its mutex if the
        // process that holds it dies.
        unsafe {
            let pool = (*block.zone).shm.addr.cast::<ngx_slab_pool_t>();
            ngx_shmtx_lock(&raw mut (*pool).mutex);
            Self(pool)
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `new` has locked the mutex.
        unsafe { ngx_shmtx_unlock(&raw mut (*self.0).mutex) };
    }
}

/// nginx calls this when the memory is there: new, or that of the configuration before.
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx passes the zone of `declare`. `old` is the `data` that it had in the configuration
    // before, which is still there. Only the master process runs this, and no other process has new
    // memory yet.
    unsafe {
        let block = &*(*zone).data.cast::<Block>();
        guard((*zone).shm.log, ERROR, || {
            let data = match old.cast::<Block>().as_ref() {
                Some(old) => old.data.get(),
                None => {
                    let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
                    let data = ngx_slab_alloc_locked(pool, block.size).cast::<u8>();
                    if !data.is_null() {
                        data.write_bytes(0, block.size);
                    }
                    data
                }
            };
            block.data.set(data);
            if data.is_null() { ERROR } else { OK }
        })
    }
}
