//! [`Kept`]: answers about single tokens, for a while and within a budget of bytes.

use std::{fmt, time::Duration};

use quick_cache::{Weighter, sync::Cache};

use super::TokenHash;

/// What an entry takes beside its own bytes: the hash, the times, and the cache's own records.
const OVERHEAD: usize = 128;

/// Answers that are not asked for again as long as they hold. Beyond the budget the least used go.
pub(crate) struct Kept<V>(Cache<TokenHash, Entry<V>, Bytes>);

#[derive(Clone)]
struct Entry<V> {
    value: V,
    bytes: usize,
    holds: Span,
}

/// From when to when an answer holds, by the clock of those who ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

impl Span {
    /// A clock that is set back ends it too: nobody knows any more how long it has lasted.
    fn includes(self, now: Duration) -> bool {
        (self.from..self.until).contains(&now)
    }
}

impl<V: Clone> Kept<V> {
    /// Room for that many bytes; `typical` is what one answer takes of them.
    pub(crate) fn new(budget: usize, typical: usize) -> Self {
        let items = budget / (typical + OVERHEAD);
        Self(Cache::with_weighter(items, budget as u64, Bytes))
    }

    pub(crate) fn get(&self, hash: &TokenHash, now: Duration) -> Option<V> {
        let entry = self.0.get(hash)?;
        entry.holds.includes(now).then_some(entry.value)
    }

    /// Returns the last answer, whether it still holds or not.
    pub(crate) fn last(&self, hash: &TokenHash) -> Option<V> {
        self.0.get(hash).map(|entry| entry.value)
    }

    /// Keeps an answer of that many bytes; one that holds no longer takes the place of its predecessor all the same.
    pub(crate) fn keep(&self, hash: TokenHash, value: V, bytes: usize, holds: Span) {
        if holds.from < holds.until {
            let entry = Entry {
                value,
                bytes,
                holds,
            };
            self.0.insert(hash, entry);
        } else {
            self.0.remove(&hash);
        }
    }

    pub(crate) fn forget(&self, hash: &TokenHash) {
        self.0.remove(hash);
    }
}

#[derive(Clone)]
struct Bytes;

impl<V> Weighter<TokenHash, Entry<V>> for Bytes {
    fn weight(&self, _: &TokenHash, entry: &Entry<V>) -> u64 {
        (entry.bytes + OVERHEAD) as u64
    }
}

impl<V> fmt::Debug for Kept<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> TokenHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    fn span(from: u64, until: u64) -> Span {
        Span {
            from: Duration::from_secs(from),
            until: Duration::from_secs(until),
        }
    }

    #[test]
    fn an_answer_holds_from_its_beginning_to_before_its_end() {
        let kept = Kept::new(100_000, 100);
        kept.keep(hash(1), "yes", 3, span(10, 20));
        for (now, wanted) in [
            (9, None),
            (10, Some("yes")),
            (19, Some("yes")),
            (20, None),
            (19, Some("yes")),
        ] {
            assert_eq!(kept.get(&hash(1), Duration::from_secs(now)), wanted);
        }
        assert_eq!(kept.get(&hash(2), Duration::from_secs(10)), None);
        kept.keep(hash(1), "no", 2, span(10, 10));
        assert_eq!(kept.get(&hash(1), Duration::from_secs(10)), None);
    }

    #[test]
    fn the_budget_holds_whatever_comes() {
        let budget = 100 * (100 + OVERHEAD);
        let kept = Kept::new(budget, 100);
        for number in 0..10_000 {
            kept.keep(hash(number), (), 100, span(0, 10));
            assert!(kept.0.weight() <= budget as u64);
        }
        assert!(kept.0.len() <= 100 && !kept.0.is_empty());
        // What is larger than all room there is is not kept, and costs nobody a place.
        let before = kept.0.len();
        kept.keep(hash(10_001), (), budget, span(0, 10));
        assert_eq!(kept.get(&hash(10_001), Duration::ZERO), None);
        assert_eq!(kept.0.len(), before);
    }
}
