//! [`UnknownKeys`]: key IDs that a provider was asked for and does not have.

use std::{collections::HashMap, time::Duration};

use super::schedule::within;

/// The most key IDs that are remembered.
const CAPACITY: usize = 1024;
/// The longest that one is remembered: the provider may publish it in the meantime.
const LONGEST: Duration = Duration::from_secs(30);

/// The only state that is keyed by what a client chose, so it is bounded in number, size and time.
#[derive(Debug)]
pub(super) struct UnknownKeys {
    lifetime: Duration,
    /// Each with the moment when it was found missing. Verification lets IDs of at most 256 bytes come this far.
    since: HashMap<Box<str>, Duration>,
}

impl UnknownKeys {
    /// Remembers them no longer than tokens have to wait until the provider may be asked again.
    pub(super) fn new(floor: Duration) -> Self {
        Self {
            lifetime: floor.min(LONGEST),
            since: HashMap::new(),
        }
    }

    pub(super) fn contains(&self, key_id: &str, now: Duration) -> bool {
        self.since
            .get(key_id)
            .is_some_and(|since| within(*since, self.lifetime, now))
    }

    /// Remembers one; when there is no room left, it is not.
    pub(super) fn insert(&mut self, key_id: &str, now: Duration) {
        if self.since.len() >= CAPACITY {
            let lifetime = self.lifetime;
            self.since.retain(|_, since| within(*since, lifetime, now));
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
    fn an_entry_lives_as_long_as_the_floor_and_30_s_at_most() {
        for (floor, lifetime) in [(1, 1), (30, 30), (600, 30)] {
            let mut unknown = UnknownKeys::new(secs(floor));
            unknown.insert("a", secs(100));
            for (now, found) in [
                (100, true),
                (99 + lifetime, true),
                (100 + lifetime, false),
                (99, false),
            ] {
                assert_eq!(unknown.contains("a", secs(now)), found, "{floor}: {now}");
            }
        }
        let mut unknown = UnknownKeys::new(secs(30));
        unknown.insert("a", secs(100));
        assert!(!unknown.contains("b", secs(100)));
        unknown.clear();
        assert!(!unknown.contains("a", secs(100)));
    }

    #[test]
    fn a_flood_of_ids_finds_its_end() {
        let mut unknown = UnknownKeys::new(secs(30));
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
