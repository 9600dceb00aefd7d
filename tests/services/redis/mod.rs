//! Stores in Redis: every promise kept, by several nodes, and whatever befalls the server.

mod connection;
mod engine;
mod nodes;
pub(crate) mod server;
#[cfg(feature = "aws-lc-rs")]
mod tls;

use tower_warden::{RedisOptions, RedisStore, ResourceId, SubjectId, testing::conformance};

/// The Redis that all tests share.
fn url() -> String {
    std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL names the Redis of the tests")
}

/// A store of that prefix: a node of its own, with a connection of its own.
async fn open(prefix: &'static str) -> RedisStore {
    let options = RedisOptions::new().with_prefix(prefix);
    RedisStore::connect_with(&url(), options).await.unwrap()
}

fn resource(name: &str) -> ResourceId {
    ResourceId::new(name).unwrap()
}

fn subject(name: &str) -> SubjectId {
    SubjectId::new("", name).unwrap()
}

/// A name that nobody has used before.
fn fresh(name: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{count}", std::process::id())
}

/// All the suites, over a Redis.
async fn keeps_every_promise(open: impl AsyncFn() -> RedisStore) {
    conformance::owner_store(&open).await;
    conformance::shared_owner_store(&open).await;
    conformance::api_key_store(&open).await;
    conformance::ticket_store(&open).await;
    conformance::revocation_store(&open).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn every_promise_is_kept_over_several_handles() {
    keeps_every_promise(async || open("conformance").await).await;
}
