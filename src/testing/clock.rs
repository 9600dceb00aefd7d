//! [`ManualClock`]: time that stands still until a test moves it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::Clock;

/// A [`Clock`] that a test sets; it never moves by itself.
///
/// Clones share their time, so one clone goes into the verifier or the issuer and another stays with the test.
///
/// # Examples
///
/// Both edges of a validity, without waiting for either:
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{Clock, testing::ManualClock};
///
/// let clock = ManualClock::at(1_000);
/// let verifiers = clock.clone();
/// clock.advance(Duration::from_millis(999_500));
/// assert_eq!(verifiers.now(), Duration::from_millis(1_999_500));
/// clock.set(2_000);
/// assert_eq!(verifiers.now().as_secs(), 2_000);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Duration>>);

impl ManualClock {
    /// A clock that stands at this many seconds since the Unix epoch.
    #[must_use]
    pub fn at(seconds: u64) -> Self {
        Self(Arc::new(Mutex::new(Duration::from_secs(seconds))))
    }

    /// Moves the clock, and all its clones, forward. Beyond the range of a [`Duration`] it stays at the end.
    pub fn advance(&self, by: Duration) {
        let mut now = self.time();
        *now = now.saturating_add(by);
    }

    /// Sets the clock, and all its clones, to this many seconds since the Unix epoch; backwards too.
    pub fn set(&self, seconds: u64) {
        *self.time() = Duration::from_secs(seconds);
    }

    fn time(&self) -> MutexGuard<'_, Duration> {
        // A test that panicked while it held the lock has left a whole `Duration` behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_only_by_hand_and_for_all_clones() {
        let clock = ManualClock::at(100);
        let clone = clock.clone();
        assert_eq!(clone.now(), Duration::from_secs(100));
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clone.now(), Duration::from_millis(101_500));
        clone.set(7);
        assert_eq!(clock.now(), Duration::from_secs(7));
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let clock = ManualClock::at(u64::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Duration::MAX);
    }
}
