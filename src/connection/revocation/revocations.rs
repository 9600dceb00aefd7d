//! [`Revocations`]: what an application holds, and its layers share.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    Revocation, RevocationStore,
    follow::Following,
    marks::Marks,
    store::{Publish, Publisher},
};
use crate::{
    Clock, CutOff, CutOffPolicy, RejectionKind, SystemClock, VerifiedToken,
    connection::{Connections, LeaseEnd},
    link::{HEALING, Link, follow},
};

/// What holds no longer although its time is not over: tokens, sessions, subjects, keys.
///
/// Given to one layer or to several, it is asked for every token that they verify, from memory; and what it is told ends
/// every open [`Lease`](crate::Lease) that is concerned, at once. Entries go when their tokens have expired.
///
/// [`new`](Self::new) is for one process, [`shared`](Self::shared) for many nodes. Clones are the same.
///
/// # Examples
///
/// ```
/// use tower_warden::{JwtAuthLayer, Lease, LeaseEnd, Revocation, Revocations};
///
/// # fn main() -> Result<(), tower_warden::ConfigError> {
/// let revocations = Revocations::new();
/// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?
///     .with_revocations(revocations.clone())
///     .build()?;
/// # Ok(())
/// # }
///
/// /// Ends what the token of this connection keeps open anywhere, this connection included.
/// async fn log_out(lease: &Lease, revocations: &Revocations) -> Result<(), Box<dyn std::error::Error>> {
///     let revocation = Revocation::of(&lease.principal()).ok_or("a token that nobody can name")?;
///     revocations.revoke(revocation).await?;
///     assert_eq!(lease.check(), Err(LeaseEnd::Revoked));
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Revocations {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    marks: Marks,
    connections: Arc<Connections>,
    capacity: usize,
    clock: Arc<dyn Clock>,
    store: Option<Box<dyn Publish>>,
    link: Arc<Link>,
}

/// Why something could not be revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// As many are in force as may be. Nothing was revoked.
    #[error("{capacity} revocations are in force, and there is room for no more")]
    Full {
        /// See [`RevocationsBuilder::with_capacity`].
        capacity: usize,
    },
    /// It is revoked here, but other nodes may not have heard of it: revoke it again.
    #[error("other nodes could not be told of the revocation")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new()
    }
}

impl Revocations {
    /// Nothing is revoked, and what will be is known in this process only.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Shares revocations with every node that uses this store: see [`RevocationsBuilder::share`].
    ///
    /// # Errors
    ///
    /// What the store answers when it cannot be read now.
    pub async fn shared<S: RevocationStore>(store: S) -> Result<Self, S::Error> {
        Self::builder().share(store).await
    }

    /// Begins revocations with settings of their own.
    pub fn builder() -> RevocationsBuilder {
        RevocationsBuilder {
            capacity: 1_000_000,
            clock: Arc::new(SystemClock),
            policy: CutOffPolicy::default(),
            healing: HEALING,
        }
    }

    pub(super) fn upgrade(node: &Weak<Shared>) -> Option<Self> {
        node.upgrade().map(|shared| Self { shared })
    }

    /// Revokes, here at once and on other nodes as soon as they hear of it.
    ///
    /// Open connections that it concerns have ended when this returns, here; on other nodes within a second as a rule.
    ///
    /// # Errors
    ///
    /// [`RevocationError::Full`], and [`RevocationError::Store`] when it is revoked on this node only. Both can be
    /// tried again.
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), RevocationError> {
        self.apply(&revocation)?;
        match &self.shared.store {
            Some(store) => store
                .publish(&revocation)
                .await
                .map_err(RevocationError::Store),
            None => Ok(()),
        }
    }

    /// Revokes on this node only: for those who hear of it elsewhere, such as a back-channel logout that every node
    /// receives. Returns how many connections it ended.
    ///
    /// # Errors
    ///
    /// [`RevocationError::Full`].
    pub fn apply(&self, revocation: &Revocation) -> Result<usize, RevocationError> {
        let shared = &*self.shared;
        let refused = shared
            .marks
            .add([revocation], shared.capacity, shared.clock.now());
        if refused > 0 {
            return Err(RevocationError::Full {
                capacity: shared.capacity,
            });
        }
        Ok(self.end_revoked())
    }

    /// Takes over what the store says.
    pub(super) fn adopt(&self, revocations: &[Revocation]) {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let refused = shared.marks.add(revocations, shared.capacity, now);
        self.report(refused);
        self.end_revoked();
    }

    /// Takes over all that the store holds, in slices.
    pub(super) async fn adopt_all(&self, revocations: Vec<Revocation>) {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let added = shared.marks.add_all(revocations, shared.capacity, now);
        self.report(added.await);
        self.end_revoked();
    }

    fn report(&self, refused: usize) {
        if refused > 0 {
            tracing::error!(
                target: "tower_warden",
                refused,
                capacity = self.shared.capacity,
                "there is no room for revocations of other nodes",
            );
        }
    }

    fn end_revoked(&self) -> usize {
        let shared = &*self.shared;
        let is_revoked = |token: &VerifiedToken| shared.marks.cover(token);
        shared.connections.end_all(LeaseEnd::Revoked, is_revoked)
    }

    /// Whether this token holds no longer.
    #[must_use]
    #[inline]
    pub fn is_revoked(&self, token: &VerifiedToken) -> bool {
        self.shared.marks.cover(token)
    }

    /// Whether this token may be admitted, as far as this node can tell.
    #[inline]
    pub(crate) fn judge(&self, token: &VerifiedToken) -> Result<(), RejectionKind> {
        self.judge_by(self.is_revoked(token))
    }

    /// Whether a session of this issuer may be given another token, as far as this node can tell.
    #[cfg(feature = "accounts")]
    pub(crate) fn judge_session(
        &self,
        issuer: Option<&str>,
        id: &str,
    ) -> Result<(), RejectionKind> {
        self.judge_by(self.shared.marks.cover_session(issuer, id))
    }

    #[inline]
    fn judge_by(&self, is_revoked: bool) -> Result<(), RejectionKind> {
        if is_revoked {
            return Err(RejectionKind::Revoked);
        }
        // Where nobody knows what has been revoked meanwhile, nobody is let in.
        if self.shared.link.is_severed() {
            return Err(RejectionKind::StoreUnavailable);
        }
        Ok(())
    }

    /// Whether this node is in touch with the store it shares with others: for the health check of a service. Without
    /// such a store it always is.
    ///
    /// # Errors
    ///
    /// [`CutOff`], while this node does not hear what is revoked on others.
    pub fn ready(&self) -> Result<(), CutOff> {
        self.shared.link.ready()
    }

    /// Whether the API key of this ID holds no longer.
    #[must_use]
    pub fn is_api_key_revoked(&self, id: &str) -> bool {
        self.shared.marks.cover_api_key(id)
    }

    /// How many entries there are, those included that will go at the next opportunity.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.marks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many connections are open, over all layers that share these revocations.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.connections.len()
    }

    /// The connections that it can end.
    pub(in crate::connection) fn connections(&self) -> &Arc<Connections> {
        &self.shared.connections
    }
}

/// Configures [`Revocations`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is told to build"]
pub struct RevocationsBuilder {
    capacity: usize,
    clock: Arc<dyn Clock>,
    policy: CutOffPolicy,
    healing: Duration,
}

impl RevocationsBuilder {
    /// Sets how many entries there is room for; a million by default, at some 50 bytes each.
    ///
    /// At the end of the room [`revoke`](Revocations::revoke) fails: nothing that is in force is ever forgotten.
    pub fn with_capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// Sets the clock that tells which entries are over; the system's by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets what a node does that is cut off from the store it [shares](Self::share); by default it refuses all requests
    /// whose token would have been good.
    pub fn with_cut_off_policy(mut self, policy: CutOffPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how often the whole is read from a store that is [shared](Self::share), for messages that got lost; 30 s by
    /// default, 100 ms to a day.
    pub fn with_healing(mut self, interval: Duration) -> Self {
        self.healing = interval;
        self
    }

    /// Makes revocations that are known in this process only.
    #[must_use]
    pub fn build(self) -> Revocations {
        self.finish(None)
    }

    /// Makes revocations that every node knows that uses this store: reads what is in force, and follows from then on.
    ///
    /// A task keeps up with the store as long as a clone of the returned value is held. While it cannot, the node is
    /// [cut off](CutOffPolicy): the log says so once, and [`ready`](Revocations::ready) does.
    ///
    /// # Errors
    ///
    /// What the store answers when it cannot be read now: a node that does not know what is revoked should not begin to
    /// serve.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn share<S: RevocationStore>(self, store: S) -> Result<Revocations, S::Error> {
        let store = Arc::new(store);
        let publisher = Box::new(Publisher(Arc::clone(&store)));
        let node = self.finish(Some(publisher));
        // To listen comes first: what is published while the whole is read comes out of the feed.
        let feed = store.subscribe().await?;
        node.adopt_all(store.load().await?).await;
        let following = Following {
            store,
            node: Arc::downgrade(&node.shared),
        };
        let link = Arc::downgrade(&node.shared.link);
        tokio::spawn(follow(following, feed, link));
        Ok(node)
    }

    fn finish(self, store: Option<Box<dyn Publish>>) -> Revocations {
        Revocations {
            shared: Arc::new(Shared {
                marks: Marks::default(),
                connections: Arc::default(),
                capacity: self.capacity,
                clock: self.clock,
                store,
                link: Arc::new(Link::new("revocations", self.policy, self.healing)),
            }),
        }
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("entries", &self.len())
            .field("connections", &self.open_connections())
            .field("link", &self.shared.link)
            .finish_non_exhaustive()
    }
}
