//! [`Table`]: fingerprints with what is known of each, read without a lock and without an allocation.

use std::{
    array,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};

use super::entry;

/// So many parts a table has: a new entry copies one of them.
pub(super) const SHARDS: usize = 64;

/// What is revoked of one token ID, session, subject or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Tokens issued before that second are revoked; `u64::MAX` for all.
    pub(super) before: u64,
    /// When the last of them has expired.
    pub(super) expires_at: u64,
}

type Shard = HashMap<u64, Mark, BuildHasherDefault<Identity>>;

pub(super) struct Table {
    /// Whoever reads takes all parts at once; whoever writes makes one anew.
    shards: ArcSwap<Shards>,
    writer: Mutex<()>,
}

/// The marks of one moment.
#[derive(Clone)]
pub(super) struct Shards {
    shards: [Arc<Shard>; SHARDS],
    len: usize,
}

impl Default for Table {
    fn default() -> Self {
        let empty = Arc::<Shard>::default();
        Self {
            shards: ArcSwap::from_pointee(Shards {
                shards: array::from_fn(|_| Arc::clone(&empty)),
                len: 0,
            }),
            writer: Mutex::new(()),
        }
    }
}

impl Shards {
    /// The mark of this fingerprint.
    pub(super) fn find(&self, fingerprint: u64) -> Option<Mark> {
        self.shards[shard_of(fingerprint)]
            .get(&fingerprint)
            .copied()
    }

    fn add_to(
        &mut self,
        index: usize,
        fresh: Vec<(u64, Mark)>,
        room: usize,
        now: Duration,
    ) -> usize {
        let former = &self.shards[index];
        let is_known = |(fingerprint, mark): &(u64, Mark)| {
            let known = former.get(fingerprint);
            known.is_some_and(|known| {
                known.before >= mark.before && known.expires_at >= mark.expires_at
            })
        };
        // Reading the whole again brings nothing new as a rule, and copies nothing then.
        if fresh.iter().all(is_known)
            && !former
                .values()
                .any(|mark| entry::is_over(mark.expires_at, now))
        {
            return 0;
        }
        let mut next = Shard::clone(former);
        next.retain(|_, mark| !entry::is_over(mark.expires_at, now));
        let others = self.len - former.len();
        let mut refused = 0;
        for (fingerprint, mark) in fresh {
            let has_room = others + next.len() < room;
            match next.get_mut(&fingerprint) {
                Some(known) => {
                    known.before = known.before.max(mark.before);
                    known.expires_at = known.expires_at.max(mark.expires_at);
                }
                None if has_room => {
                    next.insert(fingerprint, mark);
                }
                None => refused += 1,
            }
        }
        self.len = others + next.len();
        self.shards[index] = Arc::new(next);
        refused
    }

    /// Drops what is over, in all parts.
    fn purge(&mut self, now: Duration) {
        for index in 0..SHARDS {
            self.add_to(index, Vec::new(), 0, now);
        }
    }
}

impl Table {
    /// The marks of this moment, without waiting for anybody.
    pub(super) fn load(&self) -> Guard<Arc<Shards>> {
        self.shards.load()
    }

    pub(super) fn len(&self) -> usize {
        self.load().len
    }

    /// Adds marks, each to what is known already. What is over goes with the parts that are made anew, and altogether
    /// where room is short.
    ///
    /// Returns how many there was no room for.
    pub(super) fn add(
        &self,
        marks: impl IntoIterator<Item = (u64, Mark)>,
        room: usize,
        now: Duration,
    ) -> usize {
        let mut fresh: [Vec<(u64, Mark)>; SHARDS] = array::from_fn(|_| Vec::new());
        let mut count = 0;
        for (fingerprint, mark) in marks {
            fresh[shard_of(fingerprint)].push((fingerprint, mark));
            count += 1;
        }
        if count == 0 {
            return 0;
        }
        // A writer that panicked has replaced nothing.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Shards::clone(&self.load());
        if next.len + count > room {
            next.purge(now);
        }
        let mut refused = 0;
        for (index, fresh) in fresh.into_iter().enumerate() {
            if !fresh.is_empty() {
                refused += next.add_to(index, fresh, room, now);
            }
        }
        self.shards.store(Arc::new(next));
        refused
    }
}

/// Returns the part of the table that a fingerprint belongs to.
pub(super) fn shard_of(fingerprint: u64) -> usize {
    // The map itself uses the lowest and the highest bits.
    (fingerprint >> 32) as usize % SHARDS
}

/// Fingerprints are hashes already, under a key of this process.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        // Not used by `u64`; whoever uses it gets a poor hash, not a wrong one.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn mark(before: u64, expires_at: u64) -> Mark {
        Mark { before, expires_at }
    }

    #[test]
    fn a_second_mark_never_weakens_the_first() {
        let table = Table::default();
        table.add([(7, mark(100, 5_000))], 10, NOW);
        table.add([(7, mark(50, 6_000))], 10, NOW);
        assert_eq!(table.load().find(7), Some(mark(100, 6_000)));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn entries_go_once_their_tokens_have_expired_and_room_is_short() {
        let hundred = || (0..100).map(|key| (key << 32, mark(u64::MAX, 2_000)));
        for (now, left) in [(2_299, 100), (2_300, 1)] {
            let table = Table::default();
            assert_eq!(table.add(hundred(), 100, NOW), 0);
            assert_eq!(table.len(), 100);
            // A token may be accepted for up to five minutes after `exp`.
            let refused = table.add([(7, mark(1, 9_000))], 100, Duration::from_secs(now));
            assert_eq!(table.len(), left, "now = {now}");
            assert_eq!(refused, usize::from(left == 100), "now = {now}");
            assert_eq!(table.load().find(3 << 32).is_some(), left == 100);
        }
    }

    #[test]
    fn a_full_table_refuses_and_forgets_nothing() {
        let table = Table::default();
        let all = (0..20).map(|key| (key << 32, mark(u64::MAX, 9_000)));
        assert_eq!(table.add(all, 16, NOW), 4);
        assert_eq!(table.len(), 16);
        let again = table.add([(0, mark(u64::MAX, 9_500))], 16, NOW);
        assert_eq!(again, 0, "what is known needs no room");
        assert_eq!(table.add([(u64::MAX, mark(1, 9_000))], 16, NOW), 1);
    }
}
