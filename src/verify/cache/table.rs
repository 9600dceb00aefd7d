//! [`Table`]: entries within a budget of bytes, found without a lock.
//!
//! A hash chooses a bucket of a few slots. Whoever looks for an entry compares the hashes that stand in front of the
//! slots, and only then what is in them; whoever adds one takes a slot that is free, or that nobody asked for since the
//! last one was in want. If bytes are short, a hand goes round all buckets and frees slots in the same way. So entries
//! that come again stay, and those that come once make room for each other.
//!
//! Once the budget is used up, what comes for the first time is only noted at the door: to take others' places it has to
//! come again. So a flood of entries that nobody asks for twice costs next to nothing, and turns nobody out.
//!
//! Threads that add and take away at the same time may hide an entry from each other, which is then verified once more;
//! none is ever shown for another one, as the entry itself is asked whether it is meant.

use std::{
    array,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use arc_swap::{ArcSwapOption, Guard};

/// How many slots a bucket has: so many hashes fill a line of the processor's cache.
const WAYS: usize = 8;
/// Bytes for which there is one slot: few entries are smaller.
const BYTES_PER_SLOT: usize = 768;
/// How many buckets are made at a time, so that a table which is hardly used is small, and soon made and gone.
const PAGE: usize = 16;
/// The hash of nothing.
const FREE: u64 = 0;

/// How many bytes something takes, what it alone refers to included. It must not change.
pub(super) trait Footprint {
    fn bytes(&self) -> usize;
}

/// Entries by their hash, the most wanted ones of them.
pub(super) struct Table<T> {
    budget: usize,
    pages: Box<[OnceLock<Page<T>>]>,
    /// What the entries take, and those that are about to come in.
    bytes: AtomicUsize,
    /// The bucket that is looked at next if room is needed.
    hand: AtomicUsize,
    /// What came when there was no room: a part of its hash, for as many as there are slots.
    door: OnceLock<Box<[AtomicU32]>>,
}

type Page<T> = Box<[Bucket<T>; PAGE]>;

struct Bucket<T> {
    tags: [AtomicU64; WAYS],
    slots: [ArcSwapOption<T>; WAYS],
    /// One bit for each slot whose entry was found again.
    wanted: AtomicU8,
}

impl<T: Footprint> Table<T> {
    pub(super) fn new(budget: usize) -> Self {
        let buckets = budget.div_ceil(BYTES_PER_SLOT * WAYS);
        let pages = buckets.div_ceil(PAGE).next_power_of_two();
        Self {
            budget,
            pages: (0..pages).map(|_| OnceLock::new()).collect(),
            bytes: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            door: OnceLock::new(),
        }
    }

    /// The entry with that hash which says that it is meant.
    #[inline]
    pub(super) fn find(&self, tag: u64, is_meant: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let (page, bucket) = self.index(tag);
        let bucket = &self.pages[page].get()?[bucket];
        for (way, slot) in bucket.slots.iter().enumerate() {
            if bucket.tags[way].load(Relaxed) == tag {
                let entry = slot.load();
                if entry.as_deref().is_some_and(&is_meant) {
                    bucket.want(way);
                    return Guard::into_inner(entry);
                }
            }
        }
        None
    }

    /// Adds an entry, in the place of others if need be and if it comes for the second time.
    pub(super) fn keep(&self, tag: u64, entry: Arc<T>) {
        let bytes = entry.bytes();
        if self.bytes() + bytes > self.budget && !self.has_come_before(tag) {
            return;
        }
        // Counted before it is in, so that at no time more is kept than allowed.
        self.bytes.fetch_add(bytes, Relaxed);
        if !self.make_room() {
            self.bytes.fetch_sub(bytes, Relaxed);
            return;
        }
        let (page, bucket) = self.index(tag);
        let page = self.pages[page].get_or_init(|| Box::new(array::from_fn(|_| Bucket::empty())));
        let bucket = &page[bucket];
        let way = bucket.way_for(tag);
        let former = bucket.slots[way].swap(Some(entry));
        bucket.tags[way].store(tag, Relaxed);
        self.gone(former);
    }

    /// How many bytes are taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// The page, and the bucket in it, for a hash. There is a power of two of pages.
    #[inline]
    const fn index(&self, tag: u64) -> (usize, usize) {
        let tag = tag as usize;
        ((tag / PAGE) & (self.pages.len() - 1), tag % PAGE)
    }

    /// Whether the same was at the door before, and not another one since that is noted in the same place.
    fn has_come_before(&self, tag: u64) -> bool {
        let slots = self.pages.len() * PAGE * WAYS;
        let door = self
            .door
            .get_or_init(|| (0..slots).map(|_| AtomicU32::new(0)).collect());
        let note = (tag >> 32) as u32;
        door[tag as usize % slots].swap(note, Relaxed) == note
    }

    /// Frees slots until the budget holds, which it does at the latest when every slot has been freed.
    fn make_room(&self) -> bool {
        let buckets = self.pages.len() * PAGE;
        let mut looks = 0..buckets * (WAYS + 1);
        while self.bytes() > self.budget {
            if looks.next().is_none() {
                return false;
            }
            let hand = self.hand.fetch_add(1, Relaxed) % buckets;
            if let Some(page) = self.pages[hand / PAGE].get() {
                self.gone(page[hand % PAGE].give_up());
            }
        }
        true
    }

    fn gone(&self, entry: Option<Arc<T>>) {
        let bytes = entry.map_or(0, |entry| entry.bytes());
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

impl<T> Bucket<T> {
    fn empty() -> Self {
        Self {
            tags: array::from_fn(|_| AtomicU64::new(FREE)),
            slots: array::from_fn(|_| ArcSwapOption::empty()),
            wanted: AtomicU8::new(0),
        }
    }

    /// Remembers that an entry was found again.
    #[inline]
    fn want(&self, way: usize) {
        let bit = 1 << way;
        // Written once, so that threads which find the same entry do not take this line from each other.
        if self.wanted.load(Relaxed) & bit == 0 {
            self.wanted.fetch_or(bit, Relaxed);
        }
    }

    fn unwant(&self, way: usize) {
        self.wanted.fetch_and(!(1 << way), Relaxed);
    }

    /// The slot for an entry: that of its predecessor, a free one, one that nobody wants, or any.
    fn way_for(&self, tag: u64) -> usize {
        let tags = || self.tags.iter().map(|tag| tag.load(Relaxed));
        let same = || tags().position(|found| found == tag);
        let free = || tags().position(|found| found == FREE);
        // Bits that had no part in the choice of the bucket.
        let first = (tag >> 61) as usize;
        let way = same().or_else(free).or_else(|| self.unwanted(first));
        let way = way.unwrap_or_else(|| {
            self.wanted.store(0, Relaxed);
            first
        });
        self.unwant(way);
        way
    }

    /// A slot that nobody wants, looked for from this one on.
    fn unwanted(&self, first: usize) -> Option<usize> {
        let wanted = self.wanted.load(Relaxed);
        (0..WAYS)
            .map(|step| (first + step) % WAYS)
            .find(|way| wanted & (1 << way) == 0)
    }

    /// Frees a slot that nobody wants. If all are wanted, it is for the next time that they no longer are.
    fn give_up(&self) -> Option<Arc<T>> {
        let wanted = self.wanted.load(Relaxed);
        for (way, slot) in self.slots.iter().enumerate() {
            if wanted & (1 << way) == 0 && slot.load().is_some() {
                self.tags[way].store(FREE, Relaxed);
                return slot.swap(None);
            }
        }
        self.wanted.store(0, Relaxed);
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        hash::{BuildHasher, RandomState},
        sync::atomic::Ordering::SeqCst,
        thread,
    };

    use super::*;

    /// An entry of that many bytes, known by its number.
    struct Entry {
        number: u64,
        bytes: usize,
    }

    impl Footprint for Entry {
        fn bytes(&self) -> usize {
            self.bytes
        }
    }

    struct Filled {
        table: Table<Entry>,
        secret: RandomState,
    }

    impl Filled {
        fn new(budget: usize) -> Self {
            Self {
                table: Table::new(budget),
                secret: RandomState::new(),
            }
        }

        fn tag(&self, number: u64) -> u64 {
            self.secret.hash_one(number).max(1)
        }

        fn keep(&self, number: u64, bytes: usize) {
            let entry = Arc::new(Entry { number, bytes });
            self.table.keep(self.tag(number), entry);
        }

        fn has(&self, number: u64) -> bool {
            let is_meant = |entry: &Entry| entry.number == number;
            self.table.find(self.tag(number), is_meant).is_some()
        }

        /// What is in the slots, which is what is counted as long as nobody is about to add something.
        fn held(&self) -> usize {
            let pages = self.table.pages.iter().filter_map(OnceLock::get);
            let buckets = pages.flat_map(|page| page.iter());
            let slots = buckets.flat_map(|bucket| bucket.slots.iter());
            let entries = slots.filter_map(ArcSwapOption::load_full);
            entries.map(|entry| entry.bytes).sum()
        }
    }

    #[test]
    fn the_entry_says_whether_it_is_meant_and_not_its_hash() {
        let table = Table::new(100_000);
        for number in [1, 2] {
            table.keep(7, Arc::new(Entry { number, bytes: 100 }));
        }
        let find = |wanted| table.find(7, |entry: &Entry| entry.number == wanted);
        assert_eq!(find(2).unwrap().number, 2);
        // One place for one hash: the later one has it.
        assert!(find(1).is_none());
        assert_eq!(table.bytes(), 100);
    }

    #[test]
    fn no_more_than_the_budget_is_held_however_much_comes() {
        let budget = 256 * 1024;
        let filled = Filled::new(budget);
        for number in 0..200_000 {
            for _ in 0..2 {
                filled.keep(number, 400 + (number as usize * 131) % 8_000);
                assert!(filled.table.bytes() <= budget);
            }
        }
        assert_eq!(filled.table.bytes(), filled.held());
        assert!(filled.held() > budget / 2, "it is used, too");
        assert!(filled.has(199_999));
        // What has no room of its own costs nobody a place but those it would have needed.
        (0..2).for_each(|_| filled.keep(300_000, budget + 1));
        assert!(!filled.has(300_000));
        assert_eq!(filled.table.bytes(), filled.held());
    }

    #[test]
    fn what_is_found_again_stays_while_what_comes_once_goes() {
        let filled = Filled::new(256 * 1024);
        let wanted = 0..50;
        wanted.clone().for_each(|number| filled.keep(number, 800));
        for number in 50..100_000 {
            (0..2).for_each(|_| filled.keep(number, 800));
            if number % 40 == 0 {
                wanted.clone().for_each(|number| {
                    let _ = filled.has(number);
                });
            }
        }
        let stayed = wanted.filter(|number| filled.has(*number)).count();
        // Some may have shared a bucket with eight others that were wanted.
        assert!(stayed >= 45, "{stayed} of 50 stayed");
        let others = (50..100_000).filter(|number| filled.has(*number)).count();
        assert!((100..400).contains(&others), "{others} of the others");
    }

    #[test]
    fn where_all_is_taken_nobody_gets_in_who_comes_once() {
        let filled = Filled::new(256 * 1024);
        let first = 0..320;
        first.clone().for_each(|number| filled.keep(number, 800));
        let held =
            |numbers: std::ops::Range<u64>| numbers.filter(|number| filled.has(*number)).count();
        let before = held(first.clone());
        assert!(before > 250, "{before} found a place");
        (1_000..100_000).for_each(|number| filled.keep(number, 800));
        // But for as many as there was room for.
        assert!(held(1_000..100_000) < 30);
        assert!(held(first.clone()) > before - 30);
        // Who comes again is let in.
        (0..2).for_each(|_| filled.keep(100_000, 800));
        assert!(filled.has(100_000));
    }

    /// An entry that is counted as long as it lives, wherever it is.
    struct Living<'a>(usize, &'a AtomicUsize);

    impl<'a> Living<'a> {
        fn new(bytes: usize, living: &'a AtomicUsize) -> Arc<Self> {
            living.fetch_add(bytes, SeqCst);
            Arc::new(Self(bytes, living))
        }
    }

    impl Drop for Living<'_> {
        fn drop(&mut self) {
            self.1.fetch_sub(self.0, SeqCst);
        }
    }

    impl Footprint for Living<'_> {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn threads_never_hold_more_than_the_budget_and_count_what_they_hold() {
        const THREADS: usize = 4;
        const LARGEST: usize = 300 + 997;
        let budget = 128 * 1024;
        let living = AtomicUsize::new(0);
        let secret = RandomState::new();
        let table = Table::new(budget);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (table, secret, living) = (&table, &secret, &living);
                scope.spawn(move || {
                    for step in 0..30_000 {
                        let number = (step * (thread + 3)) % 997;
                        let tag = secret.hash_one(number).max(1);
                        let is_meant = |entry: &Living<'_>| entry.0 == 300 + number;
                        if table.find(tag, is_meant).is_none() {
                            table.keep(tag, Living::new(300 + number, living));
                        }
                        // Each thread may have one in its hands that comes, and one that goes.
                        let most = budget + THREADS * 2 * LARGEST;
                        assert!(living.load(SeqCst) <= most);
                    }
                });
            }
        });
        assert_eq!(table.bytes(), living.load(SeqCst));
        assert!((budget / 2..=budget).contains(&table.bytes()));
        drop(table);
        assert_eq!(living.load(SeqCst), 0);
    }
}
