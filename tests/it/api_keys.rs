//! API keys: shown once, kept as a keyed hash, and principals like any other.

use std::sync::Arc;

use tower_warden::MemoryApiKeyStore;

#[cfg(feature = "testing")]
#[tokio::test]
async fn the_memory_store_keeps_every_promise() {
    let store = Arc::new(MemoryApiKeyStore::new());
    tower_warden::testing::conformance::api_key_store(async || Arc::clone(&store)).await;
}
