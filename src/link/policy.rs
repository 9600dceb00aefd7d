//! [`CutOffPolicy`]: what a node does that is cut off from its store; [`CutOff`]: how it says so.

use std::{error::Error, fmt, sync::Arc, time::Duration};

/// What a node does that is cut off from the store it shares with others.
///
/// It is cut off once the store's feed is lost, the store has given no sign of life, or the whole could not be read, and
/// that was not made good within a second: a blip is no outage. It is back once it listens again and has read the whole.
///
/// | | requests with a good token | connections that are open |
/// | --- | --- | --- |
/// | [`FailClosed`](Self::FailClosed) | 503 `store_unavailable` at once | end when it has lasted for the healing interval, 30 s |
/// | [`FailOpen`](Self::FailOpen) | as ever, until what the node knows is so old; then 503 | as ever, and end at the same moment |
///
/// What is known to be revoked is refused throughout. Connections end with
/// [`LeaseEnd::StoreUnavailable`](crate::LeaseEnd::StoreUnavailable), after which a client may come back. What begins
/// later on a node that is still cut off ends within a healing interval.
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{CutOffPolicy, Revocations};
///
/// let revocations = Revocations::builder()
///     .with_cut_off_policy(CutOffPolicy::FailOpen(Duration::from_secs(120)))
///     .with_healing(Duration::from_secs(10));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CutOffPolicy {
    /// Nobody is let in by what may no longer be true. The default.
    #[default]
    FailClosed,
    /// The node goes on by what it knows, until that is so old: counted from the last message, or from the last time
    /// the whole was read, which then happens at least twice in that time. A store that does not answer is given up
    /// within that time, too.
    FailOpen(Duration),
}

/// A node is cut off from the store that it shares with others. What `ready()` says.
#[derive(Debug, Clone)]
pub struct CutOff {
    pub(super) store: &'static str,
    pub(super) age: Duration,
    pub(super) is_refusing: bool,
    pub(super) reason: Reason,
}

/// Why the link was lost.
pub(super) type Reason = Arc<dyn Error + Send + Sync>;

impl CutOff {
    /// How old what the node knows is: the time since the last message, or since the whole was read.
    #[must_use]
    pub const fn age(&self) -> Duration {
        self.age
    }

    /// Whether requests are refused for it already. Under [`CutOffPolicy::FailOpen`] they are not at first.
    #[must_use]
    pub const fn is_refusing(&self) -> bool {
        self.is_refusing
    }
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, age, .. } = self;
        write!(
            f,
            "cut off from the store of {store}, last heard of {} s ago",
            age.as_secs()
        )
    }
}

impl Error for CutOff {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.reason)
    }
}
