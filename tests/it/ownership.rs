//! Whose resource it is: one owner, who may share it, and nobody else gets near it.

use std::sync::Arc;

use tower_warden::MemoryOwnerStore;

#[cfg(feature = "testing")]
#[tokio::test]
async fn the_memory_store_keeps_every_promise() {
    let store = Arc::new(MemoryOwnerStore::new());
    tower_warden::testing::conformance::owner_store(async || Arc::clone(&store)).await;
}
