//! The suite of [`SharedOwnerStore`].

use std::time::Duration;

use tokio::time::timeout;

use super::{
    fresh,
    owners::{answered, resource, subject},
};
use crate::{
    OwnerStore, OwnershipChange, OwnershipFeed, ResourceId, Role, SharedOwnerStore, SubjectId,
};

/// How long a change may be on its way before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds a store to what [`SharedOwnerStore`] promises; what [`OwnerStore`] does is
/// [a suite of its own](super::owner_store). `open` gives a handle to the store under test, each as another node has it.
///
/// # Panics
///
/// At the first promise that is not kept, or when the store does not answer. It needs a tokio runtime with a timer.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use tower_warden::{MemoryOwnerStore, testing::conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = Arc::new(MemoryOwnerStore::new());
/// conformance::shared_owner_store(async || Arc::clone(&store)).await;
/// # }
/// ```
pub async fn shared_owner_store<S: SharedOwnerStore>(open: impl AsyncFn() -> S) {
    let nodes = [open().await, open().await];
    every_node_hears_of_every_change(&nodes).await;
    what_did_not_take_place_is_not_told(&nodes).await;
}

struct Cast {
    room: ResourceId,
    alice: SubjectId,
    bob: SubjectId,
}

async fn cast(store: &impl OwnerStore) -> Cast {
    let room = resource(&fresh("told"));
    let [alice, bob] = ["alice", "bob"].map(|name| subject(&fresh(name)));
    answered(store.claim(&room, &alice).await);
    Cast { room, alice, bob }
}

async fn every_node_hears_of_every_change<S: SharedOwnerStore>(nodes: &[S; 2]) {
    let mut feeds = [
        answered(nodes[0].subscribe().await),
        answered(nodes[1].subscribe().await),
    ];
    let Cast { room, alice, bob } = cast(&nodes[0]).await;
    answered(nodes[0].grant(&room, &bob, Role::Writer).await);
    answered(nodes[1].grant(&room, &bob, Role::Reader).await);
    answered(nodes[0].revoke(&room, &bob).await);
    assert!(answered(nodes[1].transfer(&room, &alice, &bob).await));
    let granted = |role| OwnershipChange::Granted {
        resource: room.clone(),
        subject: bob.clone(),
        role,
    };
    let revoked = OwnershipChange::Revoked {
        resource: room.clone(),
        subject: bob.clone(),
    };
    let transferred = OwnershipChange::Transferred {
        resource: room.clone(),
        to: bob.clone(),
    };
    let told = [
        granted(Role::Writer),
        granted(Role::Reader),
        revoked,
        transferred,
    ];
    for feed in &mut feeds {
        for change in &told {
            assert_eq!(
                &next_about(feed, &room).await,
                change,
                "each node hears of each change, in order"
            );
        }
        assert!(feed.is_alive().await, "a feed that works says so");
    }
}

async fn what_did_not_take_place_is_not_told<S: SharedOwnerStore>(nodes: &[S; 2]) {
    let mut feed = answered(nodes[0].subscribe().await);
    let Cast { room, alice, bob } = cast(&nodes[0]).await;
    let nobodys = resource(&fresh("nobodys"));
    answered(nodes[1].grant(&nobodys, &bob, Role::Reader).await);
    answered(nodes[1].grant(&room, &alice, Role::Reader).await);
    answered(nodes[1].revoke(&room, &bob).await);
    assert!(!answered(nodes[1].transfer(&room, &bob, &alice).await));
    answered(nodes[1].grant(&room, &bob, Role::Admin).await);
    let granted = OwnershipChange::Granted {
        resource: room.clone(),
        subject: bob,
        role: Role::Admin,
    };
    let first = next_about(&mut feed, &room).await;
    assert_eq!(first, granted, "only what took place is told");
}

/// The next change of this resource; others come from whoever else uses the store.
async fn next_about(feed: &mut impl OwnershipFeed, resource: &ResourceId) -> OwnershipChange {
    loop {
        match timeout(PATIENCE, feed.next()).await {
            Ok(Some(change)) if change.resource() == resource => return change,
            Ok(Some(_)) => {}
            Ok(None) => panic!("the feed was lost"),
            Err(_) => panic!("no node heard of the change"),
        }
    }
}
