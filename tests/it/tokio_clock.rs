//! A clock that goes with tokio's, and tokens and layers that go by it.

use std::time::Duration;

use tokio::time::Instant;
use tower_warden::{
    AuthLayerBuilder, Bearer, BearerToken, Clock, JwtAuthLayer, SigningKey, TokenIssuer,
};

use crate::support::SECRET;

/// A clock that goes with tokio's, which a test may have paused.
#[derive(Debug, Clone)]
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        Duration::from_secs(1_000) + self.0.elapsed()
    }
}

/// A layer without leeway, so that a token expires when it says.
pub(crate) fn strict(clock: impl Clock) -> AuthLayerBuilder<Bearer> {
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_clock(clock)
        .with_leeway(Duration::ZERO)
}

/// A token of that clock for so many seconds.
pub(crate) fn lasting(clock: impl Clock, seconds: u64) -> BearerToken<'static> {
    let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .with_clock(clock)
        .build()
        .unwrap();
    let lifetime = Duration::from_secs(seconds);
    issuer.mint("alice").with_lifetime(lifetime).sign().unwrap()
}
