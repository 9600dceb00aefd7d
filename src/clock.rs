//! Time as a value: decisions take it from a [`Clock`], so tests can move it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Tells the time to every decision of this crate.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time since the Unix epoch (1970-01-01T00:00:00Z, leap seconds ignored).
    fn now(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// More than the longest tick by which [`SystemClock`] may lag behind another clock of the same machine.
pub(crate) const LAG: Duration = Duration::from_millis(50);

/// The clock of the operating system, to the tick: on Linux the coarse one, which lags by some milliseconds at most and
/// costs a tenth. That is why, with any clock, a token that begins up to 50 ms from now has begun. A clock set before 1970
/// reads as 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        Duration::try_from(now).unwrap_or_default()
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

/// Seconds since the Unix epoch, as in the claims `exp`, `nbf` and `iat` ([RFC 7519 §2]).
///
/// Fractions are rounded where they are read, so that no token lives longer for them; values beyond `u64` are held at
/// its end.
///
/// [RFC 7519 §2]: https://www.rfc-editor.org/rfc/rfc7519#section-2
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumericDate(u64);

impl NumericDate {
    /// The date that many seconds after the Unix epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The same instant as a [`SystemTime`], or `None` where the platform cannot express it.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.0))
    }
}
