//! [`Following`]: what a node hears from a shared store, and what it asks about the connections that are open.

use std::{
    future::{Future, pending},
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use tokio::{runtime::Handle, task::JoinSet};

use super::{
    OwnershipChange, OwnershipFeed, ResourceId, SharedOwnerStore, owners::Shared, ties::Tied,
};
use crate::{
    StoreError,
    link::{Followed, Heard, NoAnswer, patiently},
};

/// So many connections are asked about at a time.
const AT_A_TIME: usize = 16;

/// A resource that nobody needs to own: whether the store answers about it is all that matters.
const PROBE: &str = "tower-warden";

/// A node that keeps up with a store.
pub(super) struct Following<L> {
    pub(super) store: L,
    pub(super) node: Weak<Shared>,
}

/// What a node listens to.
pub(super) trait Listen: Send + Sync + 'static {
    /// Whether the next connection begins it anew.
    const IS_RENEWED: bool;

    type Feed: Send + 'static;

    fn listen(&self) -> impl Future<Output = Result<Self::Feed, StoreError>> + Send;
    fn next(feed: &mut Self::Feed) -> impl Future<Output = Option<OwnershipChange>> + Send;
    fn is_alive(feed: &mut Self::Feed) -> impl Future<Output = bool> + Send;
    fn has_missed(feed: &mut Self::Feed) -> bool;
}

impl<S: SharedOwnerStore> Listen for Arc<S> {
    const IS_RENEWED: bool = false;

    type Feed = S::Feed;

    async fn listen(&self) -> Result<S::Feed, StoreError> {
        (**self).subscribe().await
    }

    async fn next(feed: &mut S::Feed) -> Option<OwnershipChange> {
        feed.next().await
    }

    async fn is_alive(feed: &mut S::Feed) -> bool {
        feed.is_alive().await
    }

    fn has_missed(feed: &mut S::Feed) -> bool {
        feed.has_missed()
    }
}

/// A store that tells nobody of changes.
pub(super) struct Alone;

impl Listen for Alone {
    const IS_RENEWED: bool = true;

    type Feed = ();

    async fn listen(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn next((): &mut ()) -> Option<OwnershipChange> {
        pending().await
    }

    async fn is_alive((): &mut ()) -> bool {
        true
    }

    fn has_missed((): &mut ()) -> bool {
        false
    }
}

impl<L: Listen> Followed for Following<L> {
    type Feed = L::Feed;
    type Error = StoreError;

    async fn subscribe(&self) -> Result<L::Feed, StoreError> {
        self.store.listen().await
    }

    async fn hear(&self, feed: &mut L::Feed) -> Heard {
        let Some(change) = L::next(feed).await else {
            return Heard::Lost;
        };
        if let Some(node) = self.node.upgrade() {
            node.announce(&change);
        }
        Heard::News
    }

    async fn is_alive(&self, feed: &mut L::Feed) -> bool {
        L::is_alive(feed).await
    }

    fn has_missed(&self, feed: &mut L::Feed) -> bool {
        L::has_missed(feed)
    }

    /// There is no whole to read: what matters of it is the rights of those who are connected.
    async fn read(&self) -> Result<(), NoAnswer<StoreError>> {
        let Some(node) = self.node.upgrade() else {
            return Ok(());
        };
        let probe = ResourceId::new(PROBE).map_err(|error| NoAnswer::Error(StoreError::new(error)));
        patiently(node.store.owner(&probe?)).await?;
        let mut asked = JoinSet::new();
        for connection in node.ties.all() {
            if asked.len() >= AT_A_TIME {
                settle(asked.join_next().await)?;
            }
            asked.spawn(async move { confirm(&*connection).await });
        }
        while !asked.is_empty() {
            settle(asked.join_next().await)?;
        }
        Ok(())
    }

    fn end_connections(&self) -> usize {
        let Some(node) = self.node.upgrade() else {
            return 0;
        };
        let connections = node.ties.all();
        connections
            .iter()
            .for_each(|connection| connection.lose_touch());
        connections.len()
    }

    fn is_succeeded(&self) -> bool {
        if let Some(node) = self.node.upgrade() {
            node.note_unfollowed();
        }
        L::IS_RENEWED
    }
}

type Confirmed = Result<(), NoAnswer<StoreError>>;

fn settle(asked: Option<Result<Confirmed, tokio::task::JoinError>>) -> Confirmed {
    match asked {
        Some(Ok(answer)) => answer,
        // The store's own code panicked.
        Some(Err(error)) => Err(NoAnswer::Error(StoreError::new(error))),
        None => Ok(()),
    }
}

/// Asks the store whether a connection may go on, and ends it if its right has gone.
async fn confirm(connection: &dyn Tied) -> Confirmed {
    if let Some(owned) = connection.owned()
        && !patiently(owned.holds()).await?
    {
        connection.lose();
    }
    Ok(())
}

/// The same for a connection of which nobody knows: without an answer it does not go on.
pub(super) fn confirm_soon(connection: Arc<dyn Tied>) {
    let asked = Arc::clone(&connection);
    let mut asking = Box::pin(async move {
        if confirm(&*asked).await.is_err() {
            asked.lose_touch();
        }
    });
    // A store in memory answers at once.
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(()) = asking.as_mut().poll(&mut cx) {
        return;
    }
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(asking)),
        Err(_) => connection.lose_touch(),
    }
}
