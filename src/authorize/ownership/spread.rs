//! [`SharedOwnerStore`]: the seam for an engine that tells many nodes what changes.

use std::{future::Future, sync::Arc};

use super::{OwnerStore, OwnershipChange};
use crate::StoreError;

/// An [`OwnerStore`] that tells every node of the changes that any node makes.
///
/// Requests are judged by asking the store; what comes out of the feed ends connections that are open. To tell is part
/// of the change: an engine publishes a transfer, a grant and a revocation in the same atomic step that makes it, so
/// that neither is ever there without the other.
///
/// It tells of what took place: nothing for a transfer from somebody who is not the owner, for a grant to the owner,
/// or for the end of a grant that never was.
pub trait SharedOwnerStore: OwnerStore {
    /// Changes, as they come.
    type Feed: OwnershipFeed;

    /// Begins to listen: whatever changes once this has returned comes out of the feed, the changes of this node
    /// included.
    fn subscribe(&self) -> impl Future<Output = Result<Self::Feed, StoreError>> + Send;
}

/// Changes of ownership, as they come from a [`SharedOwnerStore`].
pub trait OwnershipFeed: Send + 'static {
    /// Waits for the next one. `None` when the feed is lost, or some of it is: then the node subscribes anew, and asks
    /// the store about every connection that is open.
    ///
    /// It has to be cancel safe: what it has not returned comes the next time.
    fn next(&mut self) -> impl Future<Output = Option<OwnershipChange>> + Send;

    /// Asks the engine for a sign of life over the link that the changes come by; `false` when there is none.
    ///
    /// A link can die without a word. Whoever can ask does so here, without losing a change; left as it is, it takes
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

impl<S: SharedOwnerStore> SharedOwnerStore for Arc<S> {
    type Feed = S::Feed;

    fn subscribe(&self) -> impl Future<Output = Result<S::Feed, StoreError>> + Send {
        (**self).subscribe()
    }
}
