//! Stores in PostgreSQL: every promise kept, by several nodes, and whatever befalls the server.

mod connection;
mod schema;
pub(crate) mod server;

use std::ops::Deref;

use sqlx::{Connection, PgConnection, Row};
use tower_warden::{
    OwnerStore, OwnershipChange, OwnershipFeed, PostgresStore, Role, SharedOwnerStore, SubjectId,
};

use crate::engines::{self, bounded, fresh, resource, subject};

/// The database that tests share.
fn url() -> String {
    std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL names the database of the tests")
}

/// An empty database of a test's own, on the same server, that is gone when the test is over.
struct Database {
    url: String,
    name: String,
}

impl Deref for Database {
    type Target = str;

    fn deref(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // The runtime of the test may be at its end.
        let dropping = std::thread::spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(administer(statement));
        });
        drop(dropping.join());
    }
}

async fn new_database() -> Database {
    let name = fresh("warden").replace('-', "_");
    administer(format!("CREATE DATABASE {name}")).await;
    let url = url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let url = format!("{server}/{name}");
    Database { url, name }
}

async fn administer(statement: String) {
    let mut admin = connect(&url()).await;
    let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
    statement.execute(&mut admin).await.unwrap();
}

/// A connection of somebody else.
pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

pub(crate) async fn execute(connection: &mut PgConnection, statements: &'static str) {
    sqlx::raw_sql(statements).execute(connection).await.unwrap();
}

async fn number(url: &str, question: &'static str) -> i64 {
    let mut connection = connect(url).await;
    number_on(&mut connection, question).await
}

pub(crate) async fn number_on(connection: &mut PgConnection, question: &'static str) -> i64 {
    let row = sqlx::query(question).fetch_one(connection).await;
    row.unwrap().get(0)
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::connect(url).await.unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn every_promise_is_kept_over_several_handles() {
    engines::keeps_every_promise(async || open(&url()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn one_of_two_hundred_claims_wins() {
    let url = new_database().await;
    let nodes = [open(&url).await, open(&url).await, open(&url).await];
    engines::one_of_two_hundred_claims_wins(nodes).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_subject_has_64_tickets_at_once() {
    let url = new_database().await;
    let nodes = [open(&url).await, open(&url).await];
    engines::a_subject_has_64_tickets_at_once(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_ticket_is_redeemed_on_one_of_two_nodes() {
    let url = new_database().await;
    let nodes = [open(&url).await, open(&url).await];
    engines::a_ticket_is_redeemed_on_one_of_two_nodes(nodes).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn what_one_node_changes_another_hears() {
    let url = new_database().await;
    let nodes = [open(&url).await, open(&url).await];
    engines::what_one_node_changes_another_hears(nodes).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn hostile_names_are_kept_byte_for_byte() {
    let url = new_database().await;
    engines::hostile_names_are_kept_byte_for_byte(open(&url).await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn what_is_over_is_swept_out() {
    let url = new_database().await;
    let count = async |question| number(&url, question).await;
    engines::what_is_over_is_swept_out(open(&url).await, count).await;
}

/// A grant that is made while a transfer is under way belongs to the old owner, and ends with it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn no_grant_outlives_a_transfer_that_it_raced_with() {
    let url = new_database().await;
    let [one, other] = [open(&url).await, open(&url).await];
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(subject);
    for n in 0..200 {
        let room = resource(&format!("r{n}"));
        one.claim(&room, &alice).await.unwrap();
        let (granted, moved) = tokio::join!(
            one.grant(&room, &carol, Role::Admin),
            other.transfer(&room, &alice, &bob),
        );
        assert!(moved.unwrap());
        let access = one.access(&room, &carol).await.unwrap().unwrap();
        assert_eq!(access.owner(), &bob);
        // What came after the transfer is the new owner's, and holds; what came before is gone. Whichever it was, all
        // nodes see the same.
        let seen = other.access(&room, &carol).await.unwrap().unwrap();
        assert_eq!(access, seen);
        assert!(granted.is_ok());
        assert!(one.transfer(&room, &bob, &alice).await.unwrap());
        let access = one.access(&room, &carol).await.unwrap().unwrap();
        assert!(!access.standing().allows(Role::Reader), "{access:?}");
    }
}

/// The same, step by step: the transfer has begun, and waits for a lock, when the grant is made.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_grant_that_a_transfer_cannot_see_ends_with_it() {
    let url = new_database().await;
    let store = open(&url).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(subject);
    let room = resource("r1");
    store.claim(&room, &alice).await.unwrap();
    let mut holder = connect(&url).await;
    execute(&mut holder, "BEGIN; SELECT 1 FROM warden_owners FOR UPDATE").await;
    let transfer = tokio::spawn({
        let (store, room, alice, bob) = (store.clone(), room.clone(), alice.clone(), bob.clone());
        async move { store.transfer(&room, &alice, &bob).await }
    });
    let waiting = "SELECT COUNT(*) FROM pg_locks JOIN pg_database d ON d.oid = database
        WHERE NOT granted AND d.datname = current_database()
        UNION ALL SELECT COUNT(*) FROM pg_locks WHERE NOT granted ORDER BY 1 DESC LIMIT 1";
    let waits = async { while number(&url, waiting).await == 0 {} };
    bounded(waits).await;
    store.grant(&room, &carol, Role::Admin).await.unwrap();
    execute(&mut holder, "COMMIT").await;
    assert!(transfer.await.unwrap().unwrap());
    let access = store.access(&room, &carol).await.unwrap().unwrap();
    assert_eq!(access.owner(), &bob);
    assert!(!access.standing().allows(Role::Reader), "{access:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_change_is_told_however_long_and_a_bad_message_is_no_lost_feed() {
    let url = new_database().await;
    let store = open(&url).await;
    let mut feed = SharedOwnerStore::subscribe(&store).await.unwrap();
    let alice = subject("alice");
    let bob = SubjectId::new("\"".repeat(1024), "\"".repeat(1024)).unwrap();
    let room = resource(&"\u{1}".repeat(1024));
    store.claim(&room, &alice).await.unwrap();
    assert!(store.transfer(&room, &alice, &bob).await.unwrap());
    let transferred = OwnershipChange::Transferred {
        resource: room,
        to: bob.clone(),
    };
    assert_eq!(bounded(feed.next()).await, Some(transferred));
    assert!(!feed.has_missed());
    // What is no change is left out.
    let mut admin = connect(&url).await;
    execute(
        &mut admin,
        "SELECT pg_notify('warden_ownership_' || 'warden_owners'::regclass::oid::text, 'nonsense')",
    )
    .await;
    let room = resource("r1");
    store.claim(&room, &alice).await.unwrap();
    assert!(store.transfer(&room, &alice, &bob).await.unwrap());
    let told = bounded(feed.next()).await;
    assert_eq!(
        told,
        Some(OwnershipChange::Transferred {
            resource: room,
            to: bob
        })
    );
    assert!(feed.has_missed() && !feed.has_missed());
}

/// Two services may share a database, each in a schema of its own.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn schemas_of_one_database_know_nothing_of_each_other() {
    let url = new_database().await;
    let mut admin = connect(&url).await;
    execute(&mut admin, "CREATE SCHEMA one; CREATE SCHEMA two").await;
    let of_schema = |name| format!("{}?options=-c%20search_path%3D{name}", &*url);
    let [one, two] = [open(&of_schema("one")).await, open(&of_schema("two")).await];
    let mut feed = SharedOwnerStore::subscribe(&two).await.unwrap();
    let [alice, bob] = ["alice", "bob"].map(subject);
    let room = resource("r1");
    one.claim(&room, &alice).await.unwrap();
    one.grant(&room, &bob, Role::Reader).await.unwrap();
    assert_eq!(two.owner(&room).await.unwrap(), None);
    two.claim(&room, &bob).await.unwrap();
    two.grant(&room, &alice, Role::Writer).await.unwrap();
    let granted = OwnershipChange::Granted {
        resource: room,
        subject: alice,
        role: Role::Writer,
    };
    assert_eq!(
        bounded(feed.next()).await,
        Some(granted),
        "the other one is not heard"
    );
}
