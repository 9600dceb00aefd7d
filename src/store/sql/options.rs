//! [`SqlOptions`]: what may be chosen about a store in a database.

use std::{sync::Arc, time::Duration};

use super::error::SqlError;
use crate::{Clock, ConfigError, SystemClock};

/// How a [`SqliteStore`](crate::SqliteStore) or a [`PostgresStore`](crate::PostgresStore) uses its database.
///
/// ```
/// use std::time::Duration;
/// use tower_warden::SqlOptions;
///
/// let options = SqlOptions::new()
///     .with_connections(20)
///     .with_timeout(Duration::from_secs(2));
/// # drop(options);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqlOptions {
    pub(super) connections: u32,
    pub(super) timeout: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl SqlOptions {
    /// Ten connections, and five seconds for an answer.
    pub fn new() -> Self {
        Self {
            connections: 10,
            timeout: Duration::from_secs(5),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets how many connections a store opens at most, from 1 to 1000; 10 by default.
    ///
    /// In SQLite they read; one more writes. In PostgreSQL each feed has one of its own beside them. A pool that you
    /// hand over keeps its own number.
    pub fn with_connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Sets how long an answer may take altogether, from 100 ms to 60 s; 5 s by default. At most half of it goes into
    /// waiting for a connection.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the clock that tells which revocations are over; the system's by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    pub(super) fn check(self) -> Result<Self, SqlError> {
        if !(1..=1000).contains(&self.connections) {
            return Err(SqlError::Config(ConfigError::Setting {
                name: "with_connections",
                value: self.connections.to_string(),
                problem: "a store has at least one connection and at most 1000",
            }));
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&self.timeout) {
            return Err(SqlError::Config(ConfigError::Setting {
                name: "with_timeout",
                value: format!("{:?}", self.timeout),
                problem: "an answer takes at least 100 ms and must come within 60 s",
            }));
        }
        Ok(self)
    }

    /// How long to wait for a connection.
    pub(super) fn acquire_timeout(&self) -> Duration {
        self.timeout / 2
    }
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self::new()
    }
}
