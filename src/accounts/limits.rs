//! [`Limits`]: how often passwords may be tried.
//!
//! 1. By an address, whatever it asks for: so that one client neither tries many names, nor makes accounts without end.
//! 2. For an account from an address: so that nobody guesses one password. It is the pair that is counted, never the
//!    account alone: whoever tries the name of somebody else is refused in their own place, and locks nobody out.
//!
//! Each is a bucket of `governor` (GCRA). A try is counted before its password is looked at, so that many at once are
//! many; one that succeeds clears the pair, and one that was never judged is given back.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{self, Clock as _},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};

use crate::{Clock, ConfigError, Rejection, RejectionKind};

/// How many buckets are kept of each kind.
const MOST_BUCKETS: usize = 100_000;

/// Who tries to sign in: seen from where, and as whom.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    address: Option<u64>,
    pair: u64,
}

/// The limits of one service, in the memory of its process.
pub(super) struct Limits {
    addresses: Buckets,
    pairs: Buckets,
    hasher: RandomState,
}

impl Limits {
    pub(super) fn new(address: RateLimit, account: RateLimit, clock: &Arc<dyn Clock>) -> Self {
        Self {
            addresses: Buckets::new(address, clock, MOST_BUCKETS),
            pairs: Buckets::new(account, clock, MOST_BUCKETS),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request from an address; nothing where addresses are not looked at.
    pub(super) fn count_address(&self, address: Option<IpAddr>) -> Result<(), Rejection> {
        match address.map(Client::from) {
            Some(client) => self.addresses.take(self.hasher.hash_one(client)),
            None => Ok(()),
        }
    }

    /// Counts a try for an account, which is named as the caller likes but always in the same way.
    pub(super) fn count(
        &self,
        address: Option<IpAddr>,
        account: &str,
    ) -> Result<Attempt, Rejection> {
        let client = address.map(Client::from);
        let attempt = Attempt {
            address: client.map(|client| self.hasher.hash_one(client)),
            pair: self.hasher.hash_one((client, account)),
        };
        self.pairs.take(attempt.pair)?;
        Ok(attempt)
    }

    /// Forgets what was tried before, as the right password came.
    pub(super) fn clear(&self, attempt: Attempt) {
        self.pairs.shelf.held().remove(&attempt.pair);
    }

    /// Gives a try back that nobody judged: the store was down, or too many were waiting.
    pub(super) fn give_back(&self, attempt: Attempt) {
        self.pairs.give_back(attempt.pair);
        if let Some(address) = attempt.address {
            self.addresses.give_back(address);
        }
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

/// So many at once, and one more each time the interval has passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateLimit {
    pub(super) burst: u32,
    pub(super) refill: Duration,
}

impl RateLimit {
    /// Checks what the method of that name was given.
    pub(super) fn check(self, name: &'static str) -> Result<(), ConfigError> {
        let day = Duration::from_secs(24 * 60 * 60);
        if self.burst == 0 || self.refill.is_zero() || self.refill > day {
            return Err(ConfigError::Setting {
                name,
                value: format!("{}, {:?}", self.burst, self.refill),
                problem: "allow one at least, and refill within a day",
            });
        }
        Ok(())
    }

    fn quota(self) -> Quota {
        let burst = NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN);
        // An interval of nothing has been refused when it was set.
        let quota = Quota::with_period(self.refill);
        quota.unwrap_or(Quota::per_second(burst)).allow_burst(burst)
    }
}

/// What one client cannot have many of: an IPv4 address, or the half of an IPv6 address that names its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client([u8; 8]);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        let mut network = [0; 8];
        match address.to_canonical() {
            // No network of IPv6 begins so: `::/8` is reserved.
            IpAddr::V4(v4) => network[4..].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => network.copy_from_slice(&v6.octets()[..8]),
        }
        Self(network)
    }
}

type Limiter = RateLimiter<u64, Shelf, Watch, NoOpMiddleware<Duration>>;

/// Buckets of one size, each under the hash of what it counts.
struct Buckets {
    limiter: Limiter,
    shelf: Shelf,
    clock: Watch,
    refill: Duration,
}

impl Buckets {
    fn new(limit: RateLimit, clock: &Arc<dyn Clock>, most: usize) -> Self {
        let shelf = Shelf {
            most,
            held: Arc::default(),
        };
        let clock = Watch(Arc::clone(clock));
        Self {
            limiter: RateLimiter::new(limit.quota(), shelf.clone(), clock.clone()),
            shelf,
            clock,
            refill: limit.refill,
        }
    }

    fn take(&self, key: u64) -> Result<(), Rejection> {
        self.limiter.check_key(&key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            Rejection::new(RejectionKind::RateLimited).with_retry_after(wait)
        })
    }

    fn give_back(&self, key: u64) {
        if let Some(until) = self.shelf.held().get_mut(&key) {
            *until = until.saturating_sub(self.refill.into());
        }
    }
}

/// When each bucket is full again, as time since the start.
#[derive(Clone)]
struct Shelf {
    most: usize,
    held: Arc<Mutex<HashMap<u64, Nanos>>>,
}

impl Shelf {
    fn held(&self) -> MutexGuard<'_, HashMap<u64, Nanos>> {
        // Every change is a single one.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Shelf {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut held = self.held();
        let (outcome, until) = f(held.get(key).copied())?;
        if held.len() >= self.most && !held.contains_key(key) {
            // Memory is bounded: those go that have the least against them, and among them all that have nothing.
            let mut ends: Vec<_> = held.values().copied().collect();
            let (_, median, _) = ends.select_nth_unstable(self.most / 2);
            let median = *median;
            held.retain(|_, until| *until > median);
        }
        held.insert(*key, until);
        Ok(outcome)
    }
}

/// Our clock, as governor reads one.
#[derive(Clone)]
struct Watch(Arc<dyn Clock>);

impl clock::Clock for Watch {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.now()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    fn limits(clock: &ManualClock) -> Limits {
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let limit = |burst| RateLimit {
            burst,
            refill: MINUTE,
        };
        Limits::new(limit(5), limit(2), &clock)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_pair_is_counted_and_refilled() {
        let clock = ManualClock::at(1_000);
        let limits = limits(&clock);
        for _ in 0..2 {
            limits.count(ip("192.0.2.1"), "alice").unwrap();
        }
        let refused = limits.count(ip("192.0.2.1"), "alice").err().unwrap();
        assert_eq!(refused.kind(), RejectionKind::RateLimited);
        assert_eq!(refused.retry_after(), Some(MINUTE));
        // Nobody else is concerned.
        limits.count(ip("192.0.2.1"), "bob").unwrap();
        limits.count(ip("192.0.2.2"), "alice").unwrap();
        clock.advance(MINUTE);
        limits.count(ip("192.0.2.1"), "alice").unwrap();
        assert!(limits.count(ip("192.0.2.1"), "alice").is_err());
    }

    #[test]
    fn the_right_password_clears_and_what_nobody_judged_is_given_back() {
        let limits = limits(&ManualClock::at(1_000));
        let address = ip("192.0.2.1");
        for _ in 0..20 {
            let attempt = limits.count(address, "alice").unwrap();
            limits.clear(attempt);
        }
        for _ in 0..20 {
            limits.count_address(address).unwrap();
            let attempt = limits.count(address, "bob").unwrap();
            limits.give_back(attempt);
        }
        for _ in 0..2 {
            limits.count(address, "bob").unwrap();
        }
        assert!(limits.count(address, "bob").is_err());
    }

    #[test]
    fn an_address_is_a_network_where_one_client_has_many() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let [one_client, other_client] =
                [one, other].map(|text| Client::from(ip(text).unwrap()));
            assert_eq!(one_client == other_client, same, "{one} {other}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let clock = ManualClock::at(1_000);
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let limit = RateLimit {
            burst: 3,
            refill: MINUTE,
        };
        let buckets = Buckets::new(limit, &clock, 100);
        for _ in 0..3 {
            buckets.take(7).unwrap();
        }
        for key in 1_000..5_000 {
            buckets.take(key).unwrap();
            assert!(buckets.shelf.held().len() <= 100);
        }
        assert!(buckets.take(7).is_err(), "a flood of others clears nobody");
    }
}
