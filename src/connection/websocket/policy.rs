//! [`WebSocketPolicy`]: how a guarded WebSocket ends.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use crate::{Closing, LeaseEnd};

/// How a guarded WebSocket ends: by which close frame, and how much time that may take.
///
/// | end | default | [`mixin`](Self::mixin) | [`cloudflare`](Self::cloudflare) |
/// | --- | --- | --- | --- |
/// | the token expired | 3000 `token expired` | 1008 `Unauthorized` | 4001 `Unauthorized` |
/// | the cap was reached | 3000 `connection cap` | 1008 `Unauthorized` | 4001 `Unauthorized` |
/// | revoked | 1008 `revoked` | 1008 `Unauthorized` | 4001 `Unauthorized` |
/// | it belongs to somebody else | 1008 `not_owner` | 1008 `This chat is not yours.` | 4001 `Unauthorized` |
/// | a store was out of reach for too long | 1013 `store_unavailable` | the same | the same |
/// | the application ended it | 1000 `closed` | 1000 `closed` | 1000 `closed` |
///
/// With the default, the npm client `agents` comes back after 3000 with a fresh token, and stays away after 1008. The
/// other two presets keep it away after expiry too.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{Closing, LeaseEnd, WebSocketPolicy};
///
/// let policy = WebSocketPolicy::default()
///     .with_grace(Duration::from_secs(10))
///     .with_closing(LeaseEnd::Revoked, Closing::new(4403, "signed out elsewhere")?);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct WebSocketPolicy(Arc<Settings>);

#[derive(Debug, Clone)]
struct Settings {
    closings: Vec<(LeaseEnd, Closing)>,
    last_messages: Vec<(LeaseEnd, String)>,
    grace: Duration,
    close_timeout: Duration,
}

impl WebSocketPolicy {
    /// The text that Cloudflare's documentation of its agents answers to a client that is not authenticated.
    pub const NOT_AUTHENTICATED: &str = r#"{"error":"Not authenticated"}"#;

    fn new<const N: usize>(closings: [(LeaseEnd, Closing); N]) -> Self {
        Self(Arc::new(Settings {
            closings: closings.into(),
            last_messages: Vec::new(),
            grace: Duration::ZERO,
            close_timeout: Duration::from_secs(2),
        }))
    }

    /// The close frames of `agents-oauth2-jwt-bearer`.
    #[must_use]
    pub fn mixin() -> Self {
        let unauthorized = Closing::fixed(1008, "Unauthorized");
        Self::new([
            (LeaseEnd::Expired, unauthorized.clone()),
            (LeaseEnd::CapReached, unauthorized.clone()),
            (LeaseEnd::Revoked, unauthorized),
            (
                LeaseEnd::NotOwner,
                Closing::fixed(1008, "This chat is not yours."),
            ),
        ])
    }

    /// The close frame that Cloudflare's documentation of its agents uses.
    #[must_use]
    pub fn cloudflare() -> Self {
        let unauthorized = Closing::fixed(4001, "Unauthorized");
        Self::new([
            (LeaseEnd::Expired, unauthorized.clone()),
            (LeaseEnd::CapReached, unauthorized.clone()),
            (LeaseEnd::Revoked, unauthorized.clone()),
            (LeaseEnd::NotOwner, unauthorized),
        ])
    }

    /// Sets the close frame for an end.
    #[must_use]
    pub fn with_closing(mut self, end: LeaseEnd, closing: Closing) -> Self {
        let closings = &mut Arc::make_mut(&mut self.0).closings;
        closings.retain(|(known, _)| *known != end);
        closings.push((end, closing));
        self
    }

    /// Sets the text message that the client is sent before the close frame for an end; none by default.
    ///
    /// It is for clients that read messages and no close codes. A client that does not read delays it until the
    /// [close timeout](Self::with_close_timeout), like the close frame.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{LeaseEnd, WebSocketPolicy};
    ///
    /// let policy = WebSocketPolicy::cloudflare()
    ///     .with_last_message(LeaseEnd::Expired, WebSocketPolicy::NOT_AUTHENTICATED)
    ///     .with_last_message(LeaseEnd::Revoked, r#"{"error":"Signed out"}"#);
    /// ```
    #[must_use]
    pub fn with_last_message(mut self, end: LeaseEnd, text: impl Into<String>) -> Self {
        let messages = &mut Arc::make_mut(&mut self.0).last_messages;
        messages.retain(|(known, _)| *known != end);
        messages.push((end, text.into()));
        self
    }

    /// Lets the answer that is being sent go on for so long after the token has expired; not at all by default.
    ///
    /// Only what is sent has this time, from the first send after the end on: no message is handed out any more, and
    /// whoever asks for one closes the connection. After a revocation there is none.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        Arc::make_mut(&mut self.0).grace = grace;
        self
    }

    /// Sets how long the client's own close frame is waited for before the connection is dropped; 2 s by default.
    #[must_use]
    pub fn with_close_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.0).close_timeout = timeout;
        self
    }

    /// The close frame for this end.
    pub(super) fn closing(&self, end: LeaseEnd) -> Closing {
        let known = self.0.closings.iter().find(|(known, _)| *known == end);
        known.map_or_else(|| usual(end), |(_, closing)| closing.clone())
    }

    /// Returns the text that is sent before the close frame for this end.
    pub(super) fn last_message(&self, end: LeaseEnd) -> Option<&str> {
        let mut messages = self.0.last_messages.iter();
        let (_, text) = messages.find(|(known, _)| *known == end)?;
        Some(text)
    }

    /// How long may still be sent after this end.
    pub(super) fn grace(&self, end: LeaseEnd) -> Option<Duration> {
        let graceful = matches!(end, LeaseEnd::Expired | LeaseEnd::CapReached);
        (graceful && !self.0.grace.is_zero()).then_some(self.0.grace)
    }

    pub(super) fn close_timeout(&self) -> Duration {
        self.0.close_timeout
    }
}

impl Default for WebSocketPolicy {
    fn default() -> Self {
        static DEFAULT: LazyLock<WebSocketPolicy> = LazyLock::new(|| WebSocketPolicy::new([]));
        DEFAULT.clone()
    }
}

fn usual(end: LeaseEnd) -> Closing {
    match end {
        LeaseEnd::Expired => Closing::fixed(3000, "token expired"),
        LeaseEnd::CapReached => Closing::fixed(3000, "connection cap"),
        LeaseEnd::Closed => Closing::fixed(1000, end.code()),
        LeaseEnd::Revoked | LeaseEnd::NotOwner => Closing::fixed(1008, end.code()),
        // "Try Again Later", as the IANA registry of close codes has it.
        LeaseEnd::StoreUnavailable => Closing::fixed(1013, end.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LeaseEnd::{CapReached, Closed, Expired, NotOwner, Revoked, StoreUnavailable};

    #[test]
    fn each_preset_has_a_close_frame_for_each_end() {
        let unauthorized = "Unauthorized";
        for (end, default, mixin, cloudflare) in [
            (Expired, (3000, "token expired"), (1008, unauthorized), 4001),
            (
                CapReached,
                (3000, "connection cap"),
                (1008, unauthorized),
                4001,
            ),
            (Revoked, (1008, "revoked"), (1008, unauthorized), 4001),
            (
                NotOwner,
                (1008, "not_owner"),
                (1008, "This chat is not yours."),
                4001,
            ),
            (
                StoreUnavailable,
                (1013, "store_unavailable"),
                (1013, "store_unavailable"),
                1013,
            ),
            (Closed, (1000, "closed"), (1000, "closed"), 1000),
        ] {
            let frame = |(code, reason)| Closing::fixed(code, reason);
            assert_eq!(WebSocketPolicy::default().closing(end), frame(default));
            assert_eq!(WebSocketPolicy::mixin().closing(end), frame(mixin));
            assert_eq!(
                WebSocketPolicy::cloudflare().closing(end).code(),
                cloudflare
            );
        }
    }

    #[test]
    fn one_end_can_be_told_another_way() {
        let other = Closing::fixed(4403, "out");
        let policy = WebSocketPolicy::mixin().with_closing(Revoked, other.clone());
        assert_eq!(policy.closing(Revoked), other);
        assert_eq!(policy.closing(Expired).code(), 1008);
        assert_eq!(WebSocketPolicy::mixin().closing(Revoked).code(), 1008);
    }

    #[test]
    fn only_an_end_by_time_knows_grace() {
        let second = Duration::from_secs(1);
        let policy = WebSocketPolicy::default().with_grace(second);
        for (end, grace) in [
            (Expired, Some(second)),
            (CapReached, Some(second)),
            (Revoked, None),
            (NotOwner, None),
            (StoreUnavailable, None),
            (Closed, None),
        ] {
            assert_eq!(policy.grace(end), grace, "{end:?}");
            assert_eq!(WebSocketPolicy::default().grace(end), None, "{end:?}");
        }
    }
}
