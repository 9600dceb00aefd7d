//! [`Floor`]: how often tokens with keys that nobody has may make us ask.

use std::{collections::VecDeque, time::Duration};

use super::schedule::within;

/// The most withdrawn key IDs that are remembered.
const CAPACITY: usize = 100;

/// The least time between two fetches that tokens cause and that bring nothing new.
///
/// Nobody but the provider can make a fetch bring a key ID that was never there before, so such a fetch opens the floor
/// again: a provider may rotate as often as it likes, and made-up key IDs still cost one fetch in that time. Tokens
/// that name a key which the provider has withdrawn are asked about on an account of their own. They go on coming after
/// every rotation, and must not be what the next one has to wait for.
#[derive(Debug)]
pub(super) struct Floor {
    span: Duration,
    /// When a token with a key that was never there last made us ask, as long as nothing new has come since.
    never_seen: Option<Duration>,
    /// When one with a withdrawn key did.
    withdrawn: Option<Duration>,
    /// The key IDs that the provider had and took away, the latest last. It chooses them, and no client does.
    gone: VecDeque<Box<str>>,
}

impl Floor {
    pub(super) const fn new(span: Duration) -> Self {
        Self {
            span,
            never_seen: None,
            withdrawn: None,
            gone: VecDeque::new(),
        }
    }

    /// Takes the right to ask for this key, if it is there to be taken.
    pub(super) fn claim(&mut self, key_id: Option<&str>, now: Duration) -> bool {
        let is_gone = key_id.is_some_and(|id| self.is_gone(id));
        let account = if is_gone {
            &mut self.withdrawn
        } else {
            &mut self.never_seen
        };
        let closed = account.is_some_and(|asked| within(asked, self.span, now));
        if !closed {
            *account = Some(now);
        }
        !closed
    }

    /// Takes in that one set of keys has replaced another.
    pub(super) fn turn(&mut self, change: &Change) {
        if change.came.iter().any(|id| !self.is_gone(id)) {
            self.never_seen = None;
        }
        for id in &change.went {
            self.gone.retain(|known| known != id);
            self.gone.push_back(id.clone());
        }
        let excess = self.gone.len().saturating_sub(CAPACITY);
        self.gone.drain(..excess);
    }

    /// The key IDs that were withdrawn, of which some may be back.
    pub(super) fn gone(&self) -> impl Iterator<Item = &str> {
        self.gone.iter().map(|id| &**id)
    }

    /// Returns true where the provider has withdrawn the key of this ID.
    pub(super) fn is_gone(&self, key_id: &str) -> bool {
        self.gone.iter().any(|gone| **gone == *key_id)
    }
}

/// The key IDs by which one set differs from the one before.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) came: Vec<Box<str>>,
    pub(super) went: Vec<Box<str>>,
}

impl Change {
    pub(super) fn between(former: &[Box<str>], fresh: &[Box<str>]) -> Self {
        let missing = |these: &[Box<str>], those: &[Box<str>]| {
            let missing = those.iter().filter(|id| !these.contains(id));
            missing.cloned().collect()
        };
        Self {
            came: missing(former, fresh),
            went: missing(fresh, former),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ids(ids: &[&str]) -> Vec<Box<str>> {
        ids.iter().map(|id| (*id).into()).collect()
    }

    fn change(former: &[&str], fresh: &[&str]) -> Change {
        Change::between(&ids(former), &ids(fresh))
    }

    #[test]
    fn a_fetch_that_brings_nothing_new_closes_it_for_its_span() {
        let mut floor = Floor::new(secs(30));
        for (now, granted) in [
            (100, true),
            (100, false),
            (129, false),
            (130, true),
            (131, false),
        ] {
            assert_eq!(floor.claim(Some("a"), secs(now)), granted, "{now}");
        }
        // The set may lose keys, or be written differently: that is nothing to ask for.
        for nothing_new in [change(&["a"], &["a"]), change(&["a", "b"], &["a"])] {
            floor.turn(&nothing_new);
            assert!(!floor.claim(Some("c"), secs(131)));
            assert!(!floor.claim(None, secs(131)));
        }
        // A clock that is set back opens it.
        assert!(floor.claim(Some("c"), secs(99)));
    }

    #[test]
    fn a_fetch_that_brings_a_new_key_opens_it_again() {
        let mut floor = Floor::new(secs(30));
        for rotation in 0..10 {
            assert!(floor.claim(Some("x"), secs(100)), "{rotation}");
            assert!(!floor.claim(Some("y"), secs(100)), "{rotation}");
            let (former, fresh) = (format!("key-{rotation}"), format!("key-{}", rotation + 1));
            floor.turn(&change(&[&former], &[&former, &fresh]));
        }
    }

    #[test]
    fn servers_that_disagree_about_the_keys_do_not_open_it() {
        let mut floor = Floor::new(secs(30));
        floor.turn(&change(&["a"], &["a", "b"]));
        assert!(floor.claim(Some("x"), secs(100)));
        for _ in 0..10 {
            floor.turn(&change(&["a", "b"], &["a"]));
            floor.turn(&change(&["a"], &["a", "b"]));
            assert!(!floor.claim(Some("x"), secs(101)));
        }
    }

    #[test]
    fn a_withdrawn_key_keeps_nobody_from_asking_for_a_new_one() {
        let mut floor = Floor::new(secs(30));
        floor.turn(&change(&["old"], &["a"]));
        assert!(floor.claim(Some("old"), secs(100)));
        assert!(!floor.claim(Some("old"), secs(129)));
        assert!(floor.claim(Some("new"), secs(101)));
        assert!(!floor.claim(Some("newer"), secs(130)));
        assert!(floor.claim(Some("old"), secs(130)));
    }

    #[test]
    fn withdrawn_keys_find_their_end() {
        let mut floor = Floor::new(secs(30));
        for number in 0..1_000 {
            floor.turn(&change(&[&number.to_string()], &[]));
        }
        assert_eq!(floor.gone.len(), CAPACITY);
        assert!(floor.is_gone("999") && !floor.is_gone("899"));
    }
}
