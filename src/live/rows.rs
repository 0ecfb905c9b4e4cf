//! A table in shared memory: one row for each name that the configuration has. A name keeps its row over
//! reloads.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::nginx::{SharedBytes, SharedMemory};

/// The version of the layout of all tables: memory survives a reload, which may load another version of
/// the module. Whoever changes what a row has changes the number.
const LAYOUT: &str = "token_auth_status_4";

/// The value of a row: plain numbers and bytes, whose zeros mean that nothing has happened yet.
pub(crate) trait Row:
    FromBytes + IntoBytes + Immutable + KnownLayout + Copy + 'static
{
    /// The name of the table.
    const TABLE: &'static str;
    /// How many rows are allocated at once.
    const AT_ONCE: usize;
}

/// The beginning of the name's hash; zeros for a row that no name has.
type Key = [u8; 16];

/// Where a row is: the number of its block, and its number in the block.
#[derive(Clone, Copy)]
struct Place {
    block: usize,
    row: usize,
}

/// A table.
///
/// Memory is bounded by the number of names: it comes in blocks of [`Row::AT_ONCE`] rows, and the blocks
/// of a configuration stay for the next one even if that has fewer names.
pub(crate) struct Rows<T> {
    keys: RefCell<Vec<Key>>,
    numbers: RefCell<HashMap<Key, usize>>,
    blocks: OnceCell<Vec<SharedBytes>>,
    /// The place of each number; empty until the configuration is in force.
    places: RefCell<Vec<Place>>,
    of: PhantomData<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self {
            keys: RefCell::default(),
            numbers: RefCell::default(),
            blocks: OnceCell::new(),
            places: RefCell::default(),
            of: PhantomData,
        }
    }
}

impl<T: Row> Rows<T> {
    const KEY: usize = size_of::<Key>();
    const ROW: usize = Self::KEY + size_of::<T>();

    /// The number of the row with this name. To be called while the configuration is read.
    pub(crate) fn add(&self, name: &[u8]) -> usize {
        let mut key = Key::default();
        let hash = token::fingerprint(name);
        key.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let mut keys = self.keys.borrow_mut();
        *self.numbers.borrow_mut().entry(key).or_insert_with(|| {
            keys.push(key);
            keys.len() - 1
        })
    }

    /// Declares the memory, after all names have been added. `None` if nginx refuses it.
    pub(crate) fn declare(&self, memory: &SharedMemory<'_>) -> Option<()> {
        const { assert!(Self::ROW.is_multiple_of(8) && align_of::<T>() <= 8) };
        let needed = self.keys.borrow().len().div_ceil(T::AT_ONCE);
        let name = |block: usize| format!("{LAYOUT}_{}_{block}", T::TABLE);
        let count = (needed..).find(|block| !memory.was_declared(&name(*block)))?;
        let block = |number| memory.declare(&name(number), Self::ROW * T::AT_ONCE);
        let blocks = (0..count).map(block).collect::<Option<Vec<_>>>()?;
        self.blocks.get_or_init(|| blocks);
        Some(())
    }

    /// Gives each name its row: the one that it had before, or a free one, or else one whose name this
    /// configuration does not have. To be called by the master process, when the configuration comes
    /// into force, before it starts workers.
    pub(crate) fn assign(&self) {
        let Some(blocks) = self.blocks.get() else { return };
        let (mut known, mut free, mut others) = (HashMap::new(), Vec::new(), Vec::new());
        let numbers = self.numbers.borrow();
        for (number, block) in blocks.iter().enumerate() {
            block.with(|bytes| {
                for (row, bytes) in bytes.chunks_exact(Self::ROW).enumerate() {
                    let place = Place { block: number, row };
                    match bytes.first_chunk::<16>() {
                        Some(key) if *key == Key::default() => free.push(place),
                        Some(key) if numbers.contains_key(key) => drop(known.insert(*key, place)),
                        _ => others.push(place),
                    }
                }
            });
        }
        // The first ones are taken first.
        free.reverse();
        let mut place_of = |key: &Key| {
            known.get(key).copied().or_else(|| {
                let place = free.pop().or_else(|| others.pop())?;
                blocks.get(place.block)?.with(|bytes| {
                    let row = Self::bytes_of(bytes, place)?;
                    row.fill(0);
                    row.first_chunk_mut::<16>()?.copy_from_slice(key);
                    Some(place)
                })?
            })
        };
        let places: Option<Vec<Place>> = self.keys.borrow().iter().map(&mut place_of).collect();
        self.places.replace(places.unwrap_or_default());
    }

    fn bytes_of(bytes: &mut [u8], place: Place) -> Option<&mut [u8]> {
        bytes.chunks_exact_mut(Self::ROW).nth(place.row)
    }

    /// Calls `with` with the row of this number, which it may change; it must be short, and must not use
    /// the table. `None` if there is no such row: the table is not in force, or a newer configuration has
    /// given the row to another name.
    pub(crate) fn with<R>(&self, number: usize, with: impl FnOnce(&mut T) -> R) -> Option<R> {
        let place = *self.places.borrow().get(number)?;
        let key = *self.keys.borrow().get(number)?;
        self.blocks.get()?.get(place.block)?.with(|bytes| {
            let (of, value) = Self::bytes_of(bytes, place)?.split_at_mut_checked(Self::KEY)?;
            (*of == key).then_some(())?;
            Some(with(T::mut_from_bytes(value).ok()?))
        })?
    }

    /// The value of a row.
    pub(crate) fn get(&self, number: usize) -> Option<T> {
        self.with(number, |value| *value)
    }
}
