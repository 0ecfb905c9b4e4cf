//! The three indices of the cache: by hash, by last use, and by expiry.
//!
//! Each has a few numbers for each slot. Its memory is allocated once and never moved, so that adding
//! a token to a full cache always costs the same.

/// The number of an entry's place in the cache.
pub(crate) type Slot = u32;

/// The bytes that the three indices need for each slot.
pub(super) const INDEX_BYTES: usize = 2 * size_of::<Slot>() // Buckets, whose chains are short
    + size_of::<(Slot, Slot)>()
    + size_of::<(i64, Slot)>()
    + size_of::<Slot>();

/// No slot.
const NONE: Slot = Slot::MAX;

fn get<T: Copy>(of: &[T], at: Slot) -> Option<T> {
    of.get(at as usize).copied()
}

fn set<T>(of: &mut [T], at: Slot, value: T) {
    if let Some(place) = of.get_mut(at as usize) {
        *place = value;
    }
}

/// An empty list with room for `count` elements; `None` if there is not enough memory, which must not
/// end the process.
pub(super) fn room_for<T>(count: usize) -> Option<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).ok()?;
    Some(list)
}

/// Finds slots by hash: for each bucket a chain of the slots whose hashes belong to it.
pub(super) struct Buckets {
    first: Box<[Slot]>,
    next: Vec<Slot>,
}

impl Buckets {
    /// With room for `slots`; `None` if there is not enough memory.
    pub(super) fn new(slots: usize) -> Option<Self> {
        let next = room_for(slots)?;
        let mut first = room_for(slots.next_power_of_two())?;
        first.resize(slots.next_power_of_two(), NONE);
        Some(Self { first: first.into(), next })
    }

    fn bucket(&self, hash: u64) -> Slot {
        // The number of buckets is a power of two, so the low bits select one; it fits into a `Slot`.
        (hash & (self.first.len() as u64 - 1)) as Slot
    }

    /// The slots of the bucket that `hash` belongs to.
    pub(super) fn slots(&self, hash: u64) -> impl Iterator<Item = Slot> {
        let first = get(&self.first, self.bucket(hash)).filter(|slot| *slot != NONE);
        std::iter::successors(first, |slot| get(&self.next, *slot).filter(|next| *next != NONE))
    }

    pub(super) fn insert(&mut self, hash: u64, slot: Slot) {
        let bucket = self.bucket(hash);
        let first = get(&self.first, bucket).unwrap_or(NONE);
        if self.next.len() <= slot as usize {
            self.next.resize(slot as usize + 1, NONE);
        }
        set(&mut self.next, slot, first);
        set(&mut self.first, bucket, slot);
    }

    pub(super) fn remove(&mut self, hash: u64, slot: Slot) {
        let next = get(&self.next, slot).unwrap_or(NONE);
        let before = self.slots(hash).find(|one| get(&self.next, *one) == Some(slot));
        let bucket = self.bucket(hash);
        match before {
            Some(before) => set(&mut self.next, before, next),
            None => set(&mut self.first, bucket, next),
        }
    }
}

/// The slots in the order of their last use.
pub(super) struct Recency {
    /// For each slot the one used just before it and the one used just after it.
    links: Vec<(Slot, Slot)>,
    oldest: Slot,
    newest: Slot,
}

impl Recency {
    /// With room for `slots`; `None` if there is not enough memory.
    pub(super) fn new(slots: usize) -> Option<Self> {
        Some(Self { links: room_for(slots)?, oldest: NONE, newest: NONE })
    }

    /// The least recently used slot.
    pub(super) fn oldest(&self) -> Option<Slot> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Adds a slot as the most recently used.
    pub(super) fn insert(&mut self, slot: Slot) {
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, (NONE, NONE));
        }
        set(&mut self.links, slot, (self.newest, NONE));
        match self.links.get_mut(self.newest as usize) {
            Some((_, after)) => *after = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let Some((before, after)) = get(&self.links, slot) else { return };
        match self.links.get_mut(before as usize) {
            Some(link) => link.1 = after,
            None => self.oldest = after,
        }
        match self.links.get_mut(after as usize) {
            Some(link) => link.0 = before,
            None => self.newest = before,
        }
    }

    /// Marks a slot as the most recently used.
    pub(super) fn touch(&mut self, slot: Slot) {
        if self.newest != slot {
            self.remove(slot);
            self.insert(slot);
        }
    }
}

/// How many children an element of the heap has. They stand side by side, so with more of them than two an element
/// is moved in fewer steps, each of which waits for memory.
const CHILDREN: usize = 4;

/// The slots that expire, as a heap with the earliest on top. It knows the position of each
/// slot, so that any slot can be removed.
pub(super) struct Expiry {
    heap: Vec<(i64, Slot)>,
    /// The position of each slot in the heap.
    places: Vec<Slot>,
}

impl Expiry {
    /// With room for `slots`; `None` if there is not enough memory.
    pub(super) fn new(slots: usize) -> Option<Self> {
        Some(Self { heap: room_for(slots)?, places: room_for(slots)? })
    }

    /// The earliest expiry and its slot.
    pub(super) fn first(&self) -> Option<(i64, Slot)> {
        self.heap.first().copied()
    }

    pub(super) fn insert(&mut self, slot: Slot, time: i64) {
        if self.places.len() <= slot as usize {
            self.places.resize(slot as usize + 1, NONE);
        }
        self.heap.push((time, slot));
        self.raise(self.heap.len() - 1);
    }

    /// Removes a slot, if it is in the heap.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(place) = get(&self.places, slot).filter(|place| *place != NONE) else { return };
        set(&mut self.places, slot, NONE);
        let last = self.heap.pop();
        if let (Some(hole), Some(last)) = (self.heap.get_mut(place as usize), last) {
            *hole = last;
            let place = self.raise(place as usize);
            self.lower(place);
        }
    }

    fn time(&self, place: usize) -> Option<i64> {
        self.heap.get(place).map(|(time, _)| *time)
    }

    fn note(&mut self, place: usize) {
        if let Some((_, slot)) = self.heap.get(place).copied() {
            set(&mut self.places, slot, Slot::try_from(place).unwrap_or(NONE));
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    /// Moves the element at `place` up to its right position, and returns that.
    fn raise(&mut self, mut place: usize) -> usize {
        while place > 0 && self.time(place) < self.time((place - 1) / CHILDREN) {
            self.swap(place, (place - 1) / CHILDREN);
            place = (place - 1) / CHILDREN;
        }
        self.note(place);
        place
    }

    /// Moves the element at `place` down to its right position.
    fn lower(&mut self, mut place: usize) {
        loop {
            let first = CHILDREN * place + 1;
            let children = first..(first + CHILDREN).min(self.heap.len());
            match children.min_by_key(|at| self.time(*at)) {
                Some(child) if self.time(child) < self.time(place) => {
                    self.swap(place, child);
                    place = child;
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, the same each time.
    fn random() -> impl FnMut(u32) -> u32 {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % u64::from(below)) as u32
        }
    }

    #[test]
    fn what_expires_first_is_on_top_whatever_comes_and_goes() {
        let (mut expiry, mut model) = (Expiry::new(201).unwrap(), Vec::<(i64, Slot)>::new());
        let mut random = random();
        for _ in 0..20_000 {
            let slot = random(200);
            match model.iter().position(|(_, one)| *one == slot) {
                Some(at) => {
                    model.swap_remove(at);
                    expiry.remove(slot);
                }
                None => {
                    let time = i64::from(random(50));
                    model.push((time, slot));
                    expiry.insert(slot, time);
                }
            }
            expiry.remove(200 + slot);
            let first = expiry.first();
            assert_eq!(first.map(|it| it.0), model.iter().map(|it| it.0).min());
            assert!(first.is_none_or(|first| model.contains(&first)));
            assert_eq!(expiry.heap.len(), model.len());
        }
    }

    #[test]
    fn memory_that_cannot_be_had_is_told() {
        assert!(room_for::<u64>(usize::MAX / 8).is_none());
        assert!(room_for::<u64>(1000).is_some_and(|list| list.capacity() >= 1000));
    }

    #[test]
    fn the_oldest_is_the_one_not_used_for_longest() {
        let (mut recency, mut model) = (Recency::new(60).unwrap(), Vec::<Slot>::new());
        let mut random = random();
        for _ in 0..20_000 {
            let slot = random(60);
            let at = model.iter().position(|one| *one == slot);
            match (at, random(3)) {
                (Some(at), 0) => {
                    model.remove(at);
                    recency.remove(slot);
                }
                (Some(at), _) => {
                    model.remove(at);
                    model.push(slot);
                    recency.touch(slot);
                }
                (None, _) => {
                    model.push(slot);
                    recency.insert(slot);
                }
            }
            assert_eq!(recency.oldest(), model.first().copied());
        }
    }

    #[test]
    fn slots_are_found_by_their_hash() {
        let (mut buckets, mut model) = (Buckets::new(5).unwrap(), Vec::<(u64, Slot)>::new());
        let mut random = random();
        for _ in 0..20_000 {
            let slot = random(40);
            match model.iter().position(|(_, one)| *one == slot) {
                Some(at) => {
                    let (hash, slot) = model.swap_remove(at);
                    buckets.remove(hash, slot);
                }
                None => {
                    let hash = u64::from(random(24));
                    model.push((hash, slot));
                    buckets.insert(hash, slot);
                }
            }
            for hash in 0..24 {
                let mut found: Vec<_> = buckets.slots(hash).collect();
                let in_bucket = |it: &&(u64, Slot)| it.0 % 8 == hash % 8;
                let mut want: Vec<_> = model.iter().filter(in_bucket).map(|it| it.1).collect();
                found.sort_unstable();
                want.sort_unstable();
                assert_eq!(found, want);
            }
        }
    }
}
