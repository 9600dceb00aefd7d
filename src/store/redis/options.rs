//! [`RedisOptions`]: what may be chosen about a store in Redis.

#[cfg(feature = "aws-lc-rs")]
use std::fmt;
use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{Clock, ConfigError, SystemClock};

/// The longest prefix of keys, in bytes.
const LONGEST_PREFIX: usize = 64;

/// How a [`RedisStore`](crate::RedisStore) uses its Redis.
///
/// ```
/// use std::time::Duration;
/// use tower_warden::RedisOptions;
///
/// let options = RedisOptions::new()
///     .with_prefix("chat")
///     .with_timeout(Duration::from_secs(2));
/// # drop(options);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct RedisOptions {
    pub(super) prefix: Cow<'static, str>,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) eviction: Eviction,
    pub(super) clock: Arc<dyn Clock>,
    #[cfg(feature = "aws-lc-rs")]
    pub(super) authorities: Option<Authorities>,
}

/// Certificates, as PEM.
#[cfg(feature = "aws-lc-rs")]
#[derive(Clone)]
pub(super) struct Authorities(pub(super) Vec<u8>);

#[cfg(feature = "aws-lc-rs")]
impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(..)")
    }
}

/// What to think of a Redis that throws keys away when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    Refused,
    Tolerated,
}

impl RedisOptions {
    /// Keys that begin with `warden`, five seconds for an answer, two of them for a connection.
    pub fn new() -> Self {
        Self {
            prefix: Cow::Borrowed("warden"),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            eviction: Eviction::Refused,
            clock: Arc::new(SystemClock),
            #[cfg(feature = "aws-lc-rs")]
            authorities: None,
        }
    }

    /// Sets what every key and every channel begins with, `warden` by default: 1 to 64 letters, digits, `-`, `.`, `_`
    /// and `:`. Services that share one Redis and not their users have one each.
    pub fn with_prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long an answer may take altogether, with the time for a connection: from 100 ms to 30 s, 5 s by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long it may take to open a connection: from 50 ms to 30 s, 2 s by default, and never longer than an
    /// answer.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the clock that tells which revocations are over; the system's by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the certificates of the authorities that a `rediss://` server may come from, as PEM, in place of those that
    /// the system trusts.
    #[cfg(feature = "aws-lc-rs")]
    #[cfg_attr(docsrs, doc(cfg(feature = "aws-lc-rs")))]
    pub fn with_authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(Authorities(pem.into()));
        self
    }

    /// Uses a Redis although it throws keys away when it is full (`maxmemory` with a policy of `allkeys-…`).
    ///
    /// # Security
    ///
    /// An owner that was thrown away is nobody's, and whoever comes next may claim what was theirs; a revocation that
    /// was thrown away lets its token in again at every node that starts afterwards.
    pub fn dangerous_with_eviction(mut self) -> Self {
        self.eviction = Eviction::Tolerated;
        self
    }

    pub(super) fn check(self) -> Result<Self, ConfigError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if !(1..=LONGEST_PREFIX).contains(&self.prefix.len()) || !self.prefix.bytes().all(plain) {
            return Err(ConfigError::Setting {
                name: "with_prefix",
                value: self.prefix.into_owned(),
                problem: "a prefix has 1 to 64 letters, digits, `-`, `.`, `_` and `:`",
            });
        }
        let longest = Duration::from_secs(30);
        if !(Duration::from_millis(100)..=longest).contains(&self.timeout) {
            return Err(ConfigError::Setting {
                name: "with_timeout",
                value: format!("{:?}", self.timeout),
                problem: "an answer takes at least 100 ms and must come within 30 s",
            });
        }
        if !(Duration::from_millis(50)..=longest).contains(&self.connect_timeout) {
            return Err(ConfigError::Setting {
                name: "with_connect_timeout",
                value: format!("{:?}", self.connect_timeout),
                problem: "a connection takes at least 50 ms and must be open within 30 s",
            });
        }
        Ok(self)
    }
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_served_safely_is_named() {
        let options = RedisOptions::new;
        let millis = Duration::from_millis;
        for (options, name) in [
            (options().with_prefix(""), "with_prefix"),
            (options().with_prefix("a{b}"), "with_prefix"),
            (options().with_prefix("a*"), "with_prefix"),
            (options().with_prefix("a b"), "with_prefix"),
            (options().with_prefix("x".repeat(65)), "with_prefix"),
            (options().with_timeout(millis(99)), "with_timeout"),
            (options().with_timeout(millis(30_001)), "with_timeout"),
            (options().with_timeout(Duration::MAX), "with_timeout"),
            (
                options().with_connect_timeout(millis(49)),
                "with_connect_timeout",
            ),
            (
                options().with_connect_timeout(millis(30_001)),
                "with_connect_timeout",
            ),
        ] {
            let refused = options.check().unwrap_err().to_string();
            assert!(refused.starts_with(name), "{refused}");
        }
        for good in [
            options(),
            options().with_prefix("eu-1.chat:warden_2"),
            options().with_timeout(millis(100)),
            options().with_timeout(millis(30_000)),
        ] {
            assert!(good.check().is_ok());
        }
    }
}
