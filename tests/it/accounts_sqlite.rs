//! Accounts in a SQLite file: every promise kept, whatever stands in it before, and after a restart.

use std::path::PathBuf;

use futures_util::future::join_all;
use serde_json::Value;
use tower_warden::{
    Revocations, SqliteStore,
    accounts::{AccountStore, Accounts},
    testing::{ManualClock, conformance},
};

use tempfile::TempDir;

use crate::accounts_support::{Browser, NOW, PASSWORD, builder};

fn path(directory: &TempDir) -> PathBuf {
    directory.path().join("warden.sqlite")
}

async fn open(directory: &TempDir) -> SqliteStore {
    let store = SqliteStore::open(path(directory)).await.unwrap();
    store.with_accounts().await.unwrap()
}

/// A file with these statements in it.
async fn file(statements: &'static str) -> TempDir {
    let directory = TempDir::new().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path(&directory))
        .create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(statements).execute(&pool).await.unwrap();
    pool.close().await;
    directory
}

#[tokio::test]
async fn every_promise_is_kept_over_several_handles() {
    let directory = TempDir::new().unwrap();
    conformance::account_store(async || open(&directory).await).await;
}

/// The server stops and starts again: whoever was signed in is, and whoever was signed out is not.
#[tokio::test]
async fn a_restart_keeps_sessions() {
    let directory = TempDir::new().unwrap();
    let clock = ManualClock::at(NOW);
    let start = async || {
        let store = open(&directory).await;
        let revocations = Revocations::builder().with_clock(clock.clone());
        let revocations = revocations.share(store.clone()).await.unwrap();
        builder(store, &clock)
            .with_revocations(revocations)
            .build()
            .unwrap()
    };
    let before = start().await;
    let [mut alice, mut phone] = [(); 2].map(|()| Browser::new(&before));
    alice.register("alice").await;
    phone.log_in("alice", PASSWORD).await;
    let mut copy = phone.clone();
    phone.post("/auth/logout", Value::Null).await;
    drop((before, phone));

    let after = start().await;
    for browser in [&mut alice, &mut copy] {
        browser.accounts = after.clone();
    }
    assert_eq!(alice.get("/auth/user").await.status, 200);
    assert_eq!(alice.refresh().await.status, 200);
    assert_eq!(
        alice.get("/auth/sessions").await.body["sessions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        copy.get("/auth/user").await.code(),
        "revoked",
        "the gate knows it too"
    );
    assert_eq!(copy.refresh().await.status, 401);
    assert_eq!(
        Browser::new(&after).log_in("alice", PASSWORD).await.status,
        200
    );
}

#[tokio::test]
async fn fifty_registrations_of_one_name_over_two_processes() {
    let directory = TempDir::new().unwrap();
    let clock = ManualClock::at(NOW);
    let mut nodes: Vec<Accounts> = Vec::new();
    for _ in 0..2 {
        nodes.push(builder(open(&directory).await, &clock).build().unwrap());
    }
    let registrations = (0..50).map(|n| {
        let mut browser = Browser::at(&nodes[n % 2], &format!("192.0.2.{n}:1"));
        async move { browser.register("alice").await.status.as_u16() }
    });
    let answers = join_all(registrations).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == 409).count(), 49);
}

/// A table that is there already is used as it is, or refused with what is wrong with it; nothing else in it is touched.
#[tokio::test]
async fn a_table_of_the_name_is_used_or_refused() {
    let extended = file(
        "CREATE TABLE users (id TEXT PRIMARY KEY, username TEXT NOT NULL, password_hash TEXT NOT NULL,
            created_at INTEGER NOT NULL, mail TEXT DEFAULT 'none');
        CREATE UNIQUE INDEX mine ON users (LOWER(username));
        INSERT INTO users VALUES ('u1', 'Alice', '$2b$05$ED1V9h4OBNYWKOyz7x.bPePqsZezkCoXf1Wd4UBVRNJffyYPxdT0q', 7, 'a@b');",
    )
    .await;
    let store = open(&extended).await;
    let accounts = builder(store.clone(), &ManualClock::at(NOW))
        .build()
        .unwrap();
    let mut alice = Browser::new(&accounts);
    let reply = alice.log_in("alice", PASSWORD).await;
    assert_eq!(
        reply.body["user"],
        serde_json::json!({ "id": "u1", "username": "Alice" })
    );
    assert_eq!(alice.register("ALICE").await.status, 409);
    assert_eq!(alice.register("bob").await.status, 200);
    // Opening it again changes nothing.
    assert!(
        open(&extended)
            .await
            .find_user("bob")
            .await
            .unwrap()
            .is_some()
    );

    for (statements, named) in [
        ("CREATE TABLE users (name TEXT)", "lacks one of"),
        ("CREATE VIEW users AS SELECT 1 AS id", "lacks one of"),
        (
            "CREATE TABLE users (id TEXT, username TEXT UNIQUE, password_hash TEXT, created_at INTEGER)",
            "no unique index",
        ),
        (
            "CREATE TABLE users (id TEXT, username TEXT, password_hash TEXT, created_at INTEGER);
            CREATE INDEX common ON users (lower(username))",
            "no unique index",
        ),
    ] {
        let directory = file(statements).await;
        // Whoever keeps no accounts there has nothing to do with that table.
        let store = SqliteStore::open(path(&directory)).await.unwrap();
        let error = store.with_accounts().await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(named), "{statements}: {source}");
    }
}

/// A name is kept as typed and compared folded. It follows its row when that is renamed, and is free when it is deleted.
#[tokio::test]
async fn a_name_is_kept_as_typed_and_follows_its_row() {
    // As earlier versions kept it: folded, and without an entry of its own.
    let directory = file(
        "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, username TEXT NOT NULL, password_hash TEXT NOT NULL,
            created_at INTEGER NOT NULL DEFAULT (unixepoch()));
        CREATE UNIQUE INDEX users_username_lower_uniq ON users (lower(username));
        INSERT INTO users (id, username, password_hash) VALUES
            ('u1', 'm\u{fc}ller', '$2b$05$ED1V9h4OBNYWKOyz7x.bPePqsZezkCoXf1Wd4UBVRNJffyYPxdT0q');",
    )
    .await;
    let run = async |statement: &'static str| {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path(&directory));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::raw_sql(statement).execute(&pool).await.unwrap();
        pool.close().await;
    };
    let store = open(&directory).await;
    let accounts = builder(store, &ManualClock::at(NOW)).build().unwrap();
    let mut browser = Browser::new(&accounts);
    let reply = browser.log_in("M\u{dc}LLER", PASSWORD).await;
    assert_eq!(reply.body["user"]["username"], "m\u{fc}ller");
    assert_eq!(browser.register("M\u{fc}ller").await.status, 409);

    let reply = browser.register("\u{d6}ZIL").await;
    assert_eq!(reply.body["user"]["username"], "\u{d6}ZIL");
    for (name, register, log_in) in [
        ("\u{f6}zil", 409, 200),
        ("\u{d6}zil", 409, 200),
        ("ozil", 200, 200),
    ] {
        assert_eq!(browser.register(name).await.status, register, "{name}");
        assert_eq!(
            browser.log_in(name, PASSWORD).await.status,
            log_in,
            "{name}"
        );
    }
    run("UPDATE users SET username = 'Mesut' WHERE username = '\u{d6}ZIL'").await;
    assert_eq!(browser.log_in("\u{f6}zil", PASSWORD).await.status, 401);
    let reply = browser.log_in("mesut", PASSWORD).await;
    assert_eq!(reply.body["user"]["username"], "Mesut");
    assert_eq!(browser.register("MESUT").await.status, 409);
    assert_eq!(
        browser.register("\u{f6}zil").await.status,
        200,
        "it is free"
    );
    run("DELETE FROM users WHERE username = '\u{f6}zil'").await;
    assert_eq!(browser.log_in("\u{f6}zil", PASSWORD).await.status, 401);
    assert_eq!(
        browser.register("\u{d6}zil").await.status,
        200,
        "it is free"
    );
}

/// Without the table nobody is let in, and nothing panics.
#[tokio::test]
async fn a_store_that_was_not_prepared_is_one_that_does_not_answer() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(path(&directory)).await.unwrap();
    let accounts = builder(store, &ManualClock::at(NOW)).build().unwrap();
    let login = async { Browser::new(&accounts).log_in("alice", PASSWORD).await };
    let (log, reply) = crate::silence::capture(login).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (503, "store_unavailable")
    );
    assert!(log.contains("users"), "{log}");
}

#[test]
fn the_script_can_be_printed() {
    let script = SqliteStore::users_sql();
    assert!(script.contains("CREATE TABLE users"));
    assert!(script.contains("lower(username)"));
    assert!(script.contains("CREATE TABLE warden_usernames"));
}
