//! [`RevocationStore`]: the seam for an engine that many nodes share.

use std::{error::Error, future::Future, pin::Pin, sync::Arc};

use super::Revocation;

/// An engine that keeps revocations for many nodes and tells each of them of new ones.
///
/// Requests are never judged by asking it: each node holds all that is in force in memory, and follows. So it has to
/// give three things: to write one, to read all, and to be told of new ones. A message may get lost; the node reads
/// the whole every 30 s.
///
/// Your own is held to that by `testing::conformance::revocation_store`.
pub trait RevocationStore: Send + Sync + 'static {
    /// What can go wrong.
    type Error: Error + Send + Sync + 'static;
    /// New revocations, as they come.
    type Feed: RevocationFeed;

    /// Keeps a revocation until it [is over](Revocation::is_over), and tells every node that listens. To publish one
    /// again changes nothing.
    fn publish(
        &self,
        revocation: &Revocation,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Reads all revocations that are in force.
    fn load(&self) -> impl Future<Output = Result<Vec<Revocation>, Self::Error>> + Send;

    /// Begins to listen: whatever is published once this has returned comes out of the feed.
    fn subscribe(&self) -> impl Future<Output = Result<Self::Feed, Self::Error>> + Send;
}

/// New revocations, as they come from a [`RevocationStore`].
pub trait RevocationFeed: Send + 'static {
    /// Waits for the next one. `None` when the feed is lost, or some of it is: then the node subscribes anew and reads
    /// the whole.
    ///
    /// It has to be cancel safe: what it has not returned comes the next time.
    fn next(&mut self) -> impl Future<Output = Option<Revocation>> + Send;

    /// Asks the engine for a sign of life over the link that the revocations come by; `false` when there is none.
    ///
    /// A link can die without a word. Whoever can ask does so here, without losing a revocation; left as it is, it takes
    /// the next periodic read to notice.
    fn is_alive(&mut self) -> impl Future<Output = bool> + Send {
        async { true }
    }

    /// Reports a message that could not be read since the last call. The node then reads the whole, at most once in 5 s,
    /// and goes on listening. Without it, such a message has to end the feed.
    fn has_missed(&mut self) -> bool {
        false
    }
}

/// Whatever went wrong in a store.
pub(super) type StoreError = Box<dyn Error + Send + Sync>;

/// The writing half of a store, of whatever type.
pub(super) trait Publish: Send + Sync {
    fn publish<'a>(
        &'a self,
        revocation: &'a Revocation,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;
}

/// A store behind a trait object.
pub(super) struct Publisher<S>(pub(super) Arc<S>);

impl<S: RevocationStore> Publish for Publisher<S> {
    fn publish<'a>(
        &'a self,
        revocation: &'a Revocation,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>> {
        Box::pin(async move { self.0.publish(revocation).await.map_err(Into::into) })
    }
}
