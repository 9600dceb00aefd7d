//! What one node changes reaches the others.

use std::sync::Arc;

use tokio::sync::mpsc;
use tower_warden::{
    MemoryOwnerStore, OwnerStore, Owners, OwnershipChange, ResourceId, Role, SubjectId,
};

#[tokio::test]
async fn a_change_on_one_node_is_told_on_the_other() {
    let store = Arc::new(MemoryOwnerStore::new());
    let here = Owners::shared(Arc::clone(&store)).await.unwrap();
    let there = Owners::shared(store).await.unwrap();
    let (sender, mut told) = mpsc::unbounded_channel();
    let _watch = there.on_change(move |change| drop(sender.send(change.clone())));

    let room = ResourceId::new("r1").unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| SubjectId::new("", name).unwrap());
    here.claim(&room, &alice).await.unwrap();
    here.grant(&room, &bob, Role::Writer).await.unwrap();
    assert!(here.transfer(&room, &alice, &bob).await.unwrap());

    let granted = told.recv().await.unwrap();
    assert!(matches!(granted, OwnershipChange::Granted { .. }));
    assert!(told.recv().await.unwrap().shuts_out(&alice, Role::Reader));
}
