//! [`Following`]: what a node hears from a shared store, and what it does with it.

use std::sync::{Arc, Weak};

use super::{
    RevocationFeed, RevocationStore,
    revocations::{Revocations, Shared},
};
use crate::{
    LeaseEnd,
    link::{Followed, Heard, NoAnswer, patiently},
};

/// A node that keeps up with a store.
pub(super) struct Following<S> {
    pub(super) store: Arc<S>,
    pub(super) node: Weak<Shared>,
}

impl<S: RevocationStore> Followed for Following<S> {
    type Feed = S::Feed;
    type Error = S::Error;

    async fn subscribe(&self) -> Result<S::Feed, S::Error> {
        self.store.subscribe().await
    }

    async fn hear(&self, feed: &mut S::Feed) -> Heard {
        let Some(revocation) = feed.next().await else {
            return Heard::Lost;
        };
        if let Some(node) = Revocations::upgrade(&self.node) {
            node.adopt(&[revocation]);
        }
        Heard::News
    }

    async fn is_alive(&self, feed: &mut S::Feed) -> bool {
        feed.is_alive().await
    }

    fn has_missed(&self, feed: &mut S::Feed) -> bool {
        feed.has_missed()
    }

    async fn read(&self) -> Result<(), NoAnswer<S::Error>> {
        let all = patiently(self.store.load()).await?;
        if let Some(node) = Revocations::upgrade(&self.node) {
            node.adopt_all(all).await;
        }
        Ok(())
    }

    fn end_connections(&self) -> usize {
        Revocations::upgrade(&self.node).map_or(0, |node| {
            let connections = node.connections();
            connections.end_all(LeaseEnd::StoreUnavailable, |_| true)
        })
    }
}
