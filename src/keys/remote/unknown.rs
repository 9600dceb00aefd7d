//! [`UnknownKeys`]: key IDs that a provider was asked for and does not have.

use std::{collections::HashMap, time::Duration};

use super::schedule::within;

/// The most key IDs that are remembered.
const CAPACITY: usize = 1024;
/// How long one is remembered: the provider may publish it in the meantime.
const LIFETIME: Duration = Duration::from_secs(30);

/// The only state that is keyed by what a client chose, so it is bounded in number, size and time.
#[derive(Debug, Default)]
pub(super) struct UnknownKeys {
    /// Each with the moment when it was found missing. Verification lets IDs of at most 256 bytes come this far.
    since: HashMap<Box<str>, Duration>,
}

impl UnknownKeys {
    pub(super) fn contains(&self, key_id: &str, now: Duration) -> bool {
        self.since
            .get(key_id)
            .is_some_and(|since| within(*since, LIFETIME, now))
    }

    /// Remembers one; when there is no room left, it is not.
    pub(super) fn insert(&mut self, key_id: &str, now: Duration) {
        if self.since.len() >= CAPACITY {
            self.since.retain(|_, since| within(*since, LIFETIME, now));
        }
        if self.since.len() < CAPACITY {
            self.since.insert(key_id.into(), now);
        }
    }

    pub(super) fn clear(&mut self) {
        self.since = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_entry_lives_30_s() {
        let mut unknown = UnknownKeys::default();
        unknown.insert("a", secs(100));
        for (now, found) in [(100, true), (129, true), (130, false), (99, false)] {
            assert_eq!(unknown.contains("a", secs(now)), found, "{now}");
        }
        assert!(!unknown.contains("b", secs(100)));
        unknown.clear();
        assert!(!unknown.contains("a", secs(100)));
    }

    #[test]
    fn a_flood_of_ids_finds_its_end() {
        let mut unknown = UnknownKeys::default();
        for id in 0..5_000 {
            unknown.insert(&id.to_string(), secs(100));
        }
        assert_eq!(unknown.since.len(), CAPACITY);
        assert!(unknown.contains("0", secs(100)) && !unknown.contains("4999", secs(100)));
        unknown.insert("late", secs(130));
        assert_eq!(unknown.since.len(), 1);
        assert!(unknown.contains("late", secs(130)));
    }
}
