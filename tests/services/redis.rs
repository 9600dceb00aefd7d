//! Redis: what the suites ask, and what it does to us when it fails.

use tower_warden::{RedisOptions, RedisStore, testing::conformance};

/// The Redis that `tests/run services` started.
fn url() -> String {
    std::env::var("TEST_REDIS_URL").expect("tests/run services sets TEST_REDIS_URL")
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn it_keeps_every_promise() {
    let open = async || {
        let options = RedisOptions::new().with_prefix("conformance");
        RedisStore::connect_with(&url(), options).await.unwrap()
    };
    conformance::owner_store(open).await;
    conformance::shared_owner_store(open).await;
    conformance::api_key_store(open).await;
    conformance::ticket_store(open).await;
    conformance::revocation_store(open).await;
}
