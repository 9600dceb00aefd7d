//! [`Usage`]: when keys were used, without a write for each request.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::NumericDate;

/// How many seconds lie between two writes for one key, at least.
const INTERVAL: u64 = 60;

/// How many keys are remembered.
const MOST: usize = 10_000;

/// The last use of each key, and of that what the store knows.
///
/// Only keys that were verified get in here, so an outsider cannot fill it.
#[derive(Debug, Default)]
pub(super) struct Usage(Mutex<HashMap<String, Used>>);

#[derive(Debug, Clone, Copy)]
struct Used {
    last: NumericDate,
    written: Option<NumericDate>,
}

impl Usage {
    /// Notes a use, and says whether it is time to tell the store. Of many at once only one is told so.
    pub(super) fn note(&self, id: &str, known: Option<NumericDate>, now: NumericDate) -> bool {
        let mut keys = self.keys();
        if let Some(used) = keys.get_mut(id) {
            used.last = used.last.max(now);
            // Another node may have told it meanwhile.
            used.written = used.written.max(known);
            let due = is_due(used.written, now);
            if due {
                used.written = Some(now);
            }
            return due;
        }
        if keys.len() >= MOST {
            keys.retain(|_, used| !is_due(Some(used.last), now));
        }
        let due = is_due(known, now);
        if keys.len() < MOST {
            let written = if due { Some(now) } else { known };
            let used = Used { last: now, written };
            keys.insert(id.to_owned(), used);
        }
        due
    }

    /// What the store has not been told.
    pub(super) fn unwritten(&self) -> Vec<(String, NumericDate)> {
        let keys = self.keys();
        keys.iter()
            .filter(|(_, used)| Some(used.last) > used.written)
            .map(|(id, used)| (id.clone(), used.last))
            .collect()
    }

    /// Notes that the store was told of a use.
    pub(super) fn wrote(&self, id: &str, date: NumericDate) {
        if let Some(used) = self.keys().get_mut(id) {
            used.written = used.written.max(Some(date));
        }
    }

    /// Forgets a key that was revoked.
    pub(super) fn forget(&self, id: &str) {
        self.keys().remove(id);
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Used>> {
        // Dates that a panic left behind are whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_due(written: Option<NumericDate>, now: NumericDate) -> bool {
    written.is_none_or(|written| now.as_secs().saturating_sub(written.as_secs()) >= INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> NumericDate {
        NumericDate::from_secs(seconds)
    }

    #[test]
    fn one_use_a_minute_is_told() {
        let usage = Usage::default();
        for (now, due) in [
            (1_000, true),
            (1_000, false),
            (1_059, false),
            (1_060, true),
            (900, false),
            (1_119, false),
            (1_120, true),
        ] {
            assert_eq!(usage.note("k", None, at(now)), due, "at {now}");
        }
        assert!(usage.note("another", None, at(1_000)));
    }

    #[test]
    fn what_another_node_told_is_not_told_again() {
        let usage = Usage::default();
        assert!(!usage.note("k", Some(at(990)), at(1_000)));
        assert!(usage.note("k", Some(at(990)), at(1_050)));
        assert!(!usage.note("k", Some(at(1_100)), at(1_120)));
    }

    #[test]
    fn the_last_use_is_kept_until_it_is_written() {
        let usage = Usage::default();
        usage.note("k", None, at(1_000));
        assert_eq!(usage.unwritten(), []);
        usage.note("k", None, at(1_030));
        assert_eq!(usage.unwritten(), [("k".to_owned(), at(1_030))]);
        usage.wrote("k", at(1_030));
        assert_eq!(usage.unwritten(), []);
        usage.note("k", None, at(1_031));
        usage.forget("k");
        assert_eq!(usage.unwritten(), []);
    }

    #[test]
    fn memory_is_bounded() {
        let usage = Usage::default();
        for n in 0..MOST + 10 {
            assert!(usage.note(&n.to_string(), None, at(1_000)));
        }
        assert_eq!(usage.keys().len(), MOST);
        assert!(usage.note("later", None, at(2_000)));
        assert_eq!(usage.keys().len(), 1);
    }
}
