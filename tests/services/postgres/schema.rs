//! The tables: made once, brought up to date, made by hand, refused.

use tokio::task::JoinSet;
use tower_warden::{Claim, OwnerStore, PostgresStore, Role, Standing};

use super::{connect, execute, new_database, number, open};
use crate::{
    engines::{bounded, resource, subject, whole},
    house::House,
};

const FIRST_SCHEMA: &str = include_str!("../../../src/store/sql/migrations/1.postgres.sql");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn many_nodes_open_an_empty_database_at_once() {
    let url = new_database().await;
    let mut opening = JoinSet::new();
    for _ in 0..12 {
        let url = url.to_owned();
        opening.spawn(async move { PostgresStore::connect(&url).await.unwrap() });
    }
    assert_eq!(bounded(opening.join_all()).await.len(), 12);
    let versions = number(&url, "SELECT COUNT(*) FROM warden_schema").await;
    let script = PostgresStore::schema();
    let expected = script.matches("INSERT INTO warden_schema").count();
    assert_eq!(
        usize::try_from(versions),
        Ok(expected),
        "each version of the schema is made once"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_database_of_the_previous_schema_is_brought_up_to_date_with_all_that_is_in_it() {
    let url = new_database().await;
    let mut before = connect(&url).await;
    execute(&mut before, FIRST_SCHEMA).await;
    execute(
        &mut before,
        "INSERT INTO warden_owners (resource, issuer, subject) VALUES ('/agents/a/r1', '', 'alice');
        INSERT INTO warden_grants (tenure, issuer, subject, role)
        SELECT tenure, '', 'bob', 'writer' FROM warden_owners",
    )
    .await;
    for _ in 0..2 {
        let store = open(&url).await;
        let room = resource("/agents/a/r1");
        let access = store.access(&room, &subject("bob")).await.unwrap().unwrap();
        assert_eq!(access.owner(), &subject("alice"));
        assert_eq!(access.standing(), Standing::Granted(Role::Writer));
        let house = House::new(store);
        let ticket = house.draw("alice", "r1").await.unwrap();
        assert_eq!(house.redeem(&ticket, "r1").await, 200);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_schema_made_by_hand_will_do_for_a_role_that_may_make_none() {
    let url = new_database().await;
    let mut admin = connect(&url).await;
    let script: &'static str = PostgresStore::schema().leak();
    execute(&mut admin, script).await;
    execute(
        &mut admin,
        "DO $$ BEGIN CREATE ROLE narrow LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO narrow",
    )
    .await;
    let (_, address) = url.rsplit_once('@').unwrap();
    let store = open(&format!("postgres://narrow@{address}")).await;
    let room = resource("r1");
    let [alice, bob] = ["alice", "bob"].map(subject);
    assert_eq!(store.claim(&room, &alice).await.unwrap(), Claim::Claimed);
    assert!(store.grant(&room, &bob, Role::Reader).await.is_ok());
    assert!(store.transfer(&room, &alice, &bob).await.unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_later_schema_is_refused() {
    let url = new_database().await;
    drop(open(&url).await);
    let mut admin = connect(&url).await;
    execute(
        &mut admin,
        "INSERT INTO warden_schema (version) VALUES (1000)",
    )
    .await;
    let refused = PostgresStore::connect(&url).await.unwrap_err();
    assert!(
        whole(&refused).contains("has the schema 1000"),
        "{refused:?}"
    );
}
