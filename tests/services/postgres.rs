//! Stores in PostgreSQL: every promise kept, by several nodes, and whatever befalls the server.

use tower_warden::{PostgresStore, testing::conformance};

/// The database of the tests.
fn url() -> String {
    std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL names the database of the tests")
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn every_promise_is_kept_over_several_handles() {
    let open = async || PostgresStore::connect(&url()).await.unwrap();
    conformance::owner_store(open).await;
    conformance::shared_owner_store(open).await;
    conformance::api_key_store(open).await;
    conformance::ticket_store(open).await;
    conformance::revocation_store(open).await;
}
