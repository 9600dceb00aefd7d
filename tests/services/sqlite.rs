//! Stores in a SQLite file: every promise kept, by several processes, and whatever befalls the file.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use sqlx::{
    Connection, Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::task::JoinSet;
use tower_warden::{
    Claim, OwnerStore, OwnershipChange, OwnershipFeed, Role, SharedOwnerStore, SqlOptions,
    SqliteStore, Standing,
};

use crate::{
    engines::{self, bounded, resource, subject, whole},
    house::House,
};

/// What stands in there opens what it is about.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_created_is_read_by_its_owner_alone() {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    let directory = Directory::new();
    let mode = |ending: &str| {
        let path = format!("{}{ending}", directory.file().display());
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    let store = directory.open().await;
    store
        .claim(&resource("r1"), &subject("alice"))
        .await
        .unwrap();
    for ending in ["", "-wal", "-shm"] {
        assert_eq!(mode(ending), 0o600, "{ending}");
    }
    drop(store);
    // A file that exists keeps what its owner gave it, and nothing of it is lost.
    std::fs::set_permissions(directory.file(), Permissions::from_mode(0o640)).unwrap();
    let store = directory.open().await;
    assert_eq!(mode(""), 0o640);
    let owner = store.owner(&resource("r1")).await.unwrap();
    assert_eq!(owner, Some(subject("alice")));
}

#[tokio::test]
async fn a_url_names_a_file_in_the_ways_of_sqlx() {
    let directory = Directory::new();
    let path = directory.file();
    let path = path.display();
    let missing = SqliteStore::connect(&format!("sqlite://{path}?mode=rw")).await;
    assert!(missing.is_err() && !directory.file().exists());
    for (url, expected) in [
        (format!("sqlite://{path}?mode=rwc"), Claim::Claimed),
        (format!("sqlite://{path}?mode=rw"), Claim::AlreadyYours),
        (format!("sqlite:{path}"), Claim::AlreadyYours),
    ] {
        let store = SqliteStore::connect(&url).await.unwrap();
        let claim = store.claim(&resource("r1"), &subject("alice")).await;
        assert_eq!(claim.unwrap(), expected, "{url}");
    }
    for (url, part) in [
        (format!("sqlite://{path}?mode=ro"), "`mode`"),
        ("sqlite::memory:".to_owned(), "needs a file"),
        ("sqlite://".to_owned(), "needs a file"),
    ] {
        let refused = SqliteStore::connect(&url).await.unwrap_err();
        assert!(whole(&refused).contains(part), "{url}: {refused}");
    }
}

const FIRST_SCHEMA: &str = include_str!("../../src/store/sql/migrations/1.sqlite.sql");

/// A directory that is gone when the test is over.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-warden-sqlite-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("warden.sqlite")
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.file()).await.unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A little patience, for what is not going to come.
fn quick() -> SqlOptions {
    SqlOptions::new().with_timeout(Duration::from_secs(1))
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .busy_timeout(Duration::from_millis(200))
}

/// A connection of somebody else.
async fn stranger(file: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&options(file))
        .await
        .unwrap()
}

async fn execute(connection: &mut SqliteConnection, statements: &'static str) {
    sqlx::raw_sql(statements).execute(connection).await.unwrap();
}

async fn number(file: &Path, question: &'static str) -> i64 {
    let mut connection = stranger(file).await;
    let row = sqlx::query(question).fetch_one(&mut connection).await;
    row.unwrap().get(0)
}

#[tokio::test]
async fn a_subject_has_64_tickets_at_once() {
    let directory = Directory::new();
    let nodes = [directory.open().await, directory.open().await];
    engines::a_subject_has_64_tickets_at_once(nodes).await;
}

#[tokio::test]
async fn every_promise_is_kept_over_several_handles() {
    let directory = Directory::new();
    engines::keeps_every_promise(async || directory.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_hundred_claims_wins() {
    let directory = Directory::new();
    let nodes = [
        directory.open().await,
        directory.open().await,
        directory.open().await,
    ];
    engines::one_of_two_hundred_claims_wins(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_redeemed_on_one_of_two_nodes() {
    let directory = Directory::new();
    let nodes = [directory.open().await, directory.open().await];
    engines::a_ticket_is_redeemed_on_one_of_two_nodes(nodes).await;
}

#[tokio::test]
async fn what_one_node_changes_another_hears() {
    let directory = Directory::new();
    let nodes = [directory.open().await, directory.open().await];
    engines::what_one_node_changes_another_hears(nodes).await;
}

#[tokio::test]
async fn hostile_names_are_kept_byte_for_byte() {
    let directory = Directory::new();
    engines::hostile_names_are_kept_byte_for_byte(directory.open().await).await;
}

#[tokio::test]
async fn what_is_over_is_swept_out() {
    let directory = Directory::new();
    let file = directory.file();
    let count = async |question| number(&file, question).await;
    engines::what_is_over_is_swept_out(directory.open().await, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_open_a_new_file_at_once() {
    let directory = Directory::new();
    let mut opening = JoinSet::new();
    for _ in 0..12 {
        let file = directory.file();
        opening.spawn(async move { SqliteStore::open(file).await.unwrap() });
    }
    let stores = bounded(opening.join_all()).await;
    assert_eq!(stores.len(), 12);
    let versions = number(&directory.file(), "SELECT COUNT(*) FROM warden_schema").await;
    let script = SqliteStore::schema();
    let expected = script.matches("INSERT INTO warden_schema").count();
    assert_eq!(
        usize::try_from(versions),
        Ok(expected),
        "each version of the schema is made once"
    );
}

#[tokio::test]
async fn a_file_of_the_previous_schema_is_brought_up_to_date_with_all_that_is_in_it() {
    let directory = Directory::new();
    let mut before = stranger(&directory.file()).await;
    execute(&mut before, FIRST_SCHEMA).await;
    execute(
        &mut before,
        "INSERT INTO warden_owners (resource, issuer, subject) VALUES ('/agents/a/r1', '', 'alice');
        INSERT INTO warden_grants (tenure, issuer, subject, role) VALUES (1, '', 'bob', 'writer')",
    )
    .await;
    for _ in 0..2 {
        let store = directory.open().await;
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
async fn a_schema_made_by_hand_will_do_and_a_later_one_will_not() {
    let directory = Directory::new();
    let mut admin = stranger(&directory.file()).await;
    let script: &'static str = SqliteStore::schema().leak();
    execute(&mut admin, script).await;
    let store = directory.open().await;
    let claim = store.claim(&resource("r1"), &subject("alice")).await;
    assert_eq!(claim.unwrap(), Claim::Claimed);

    execute(
        &mut admin,
        "INSERT INTO warden_schema (version) VALUES (1000)",
    )
    .await;
    let refused = SqliteStore::open(directory.file()).await.unwrap_err();
    assert!(
        whole(&refused).contains("has the schema 1000"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_a_store_is_refused_when_it_is_opened() {
    let directory = Directory::new();
    for path in [
        Path::new(""),
        Path::new(":memory:"),
        &directory.0,
        Path::new("/nowhere/at/all"),
    ] {
        let refused = bounded(SqliteStore::open_with(path, quick())).await;
        assert!(refused.is_err(), "{}", path.display());
    }
    std::fs::write(
        directory.file(),
        "this is no database, whatever its name says",
    )
    .unwrap();
    assert!(
        SqliteStore::open_with(directory.file(), quick())
            .await
            .is_err()
    );
    let good = directory.0.join("good.sqlite");
    for (options, name) in [
        (SqlOptions::new().with_connections(0), "with_connections"),
        (
            SqlOptions::new().with_timeout(Duration::ZERO),
            "with_timeout",
        ),
        (
            SqlOptions::new().with_timeout(Duration::MAX),
            "with_timeout",
        ),
    ] {
        let refused = SqliteStore::open_with(&good, options).await.unwrap_err();
        assert!(whole(&refused).contains(name), "{refused:?}");
    }
}

#[tokio::test]
async fn while_another_process_writes_reading_goes_on_and_writing_is_refused() {
    let directory = Directory::new();
    let store = SqliteStore::open_with(directory.file(), quick())
        .await
        .unwrap();
    let house = House::new(store.clone());
    assert_eq!(house.visit("alice", "r1").await, 200);
    let key = house.new_key("alice").await;
    let ticket = house.draw("alice", "r1").await.unwrap();

    let mut other = stranger(&directory.file()).await;
    execute(
        &mut other,
        "BEGIN IMMEDIATE; UPDATE warden_schema SET version = version",
    )
    .await;
    assert_eq!(house.visit("alice", "r1").await, 200);
    assert_eq!(house.visit("bob", "r1").await, 403);
    assert_eq!(house.present_key(&key).await, 200);
    let answers = tokio::join!(
        bounded(house.visit("bob", "r2")),
        bounded(house.redeem(&ticket, "r1")),
        bounded(house.draw("alice", "r1")),
    );
    assert_eq!(answers, (503, 503, Err(503)));
    let room = resource("/agents/a/r1");
    let refused = bounded(store.transfer(&room, &subject("alice"), &subject("bob"))).await;
    assert!(refused.is_err());

    execute(&mut other, "ROLLBACK").await;
    // What was given up may still be on its way into the file: it is there as a whole, or not at all.
    let claimed = bounded(house.visit("bob", "r2")).await;
    assert_eq!(claimed, 200);
    assert_eq!(house.visit("carol", "r2").await, 403);
    let owner = store.owner(&room).await.unwrap();
    assert_eq!(
        owner,
        Some(subject("alice")),
        "what was refused has changed nothing"
    );
    assert_eq!(house.redeem(&ticket, "r1").await, 200);
    assert!(house.draw("alice", "r1").await.is_ok());
}

#[tokio::test]
async fn a_file_that_may_only_be_read_answers_what_it_can() {
    let directory = Directory::new();
    let house = House::new(directory.open().await);
    assert_eq!(house.visit("alice", "r1").await, 200);
    let ticket = house.draw("alice", "r1").await.unwrap();

    let pool = SqlitePool::connect_with(options(&directory.file()).read_only(true)).await;
    let store = SqliteStore::from_pool(pool.unwrap(), quick())
        .await
        .unwrap();
    let readonly = House::new(store);
    assert_eq!(readonly.visit("alice", "r1").await, 200);
    assert_eq!(readonly.visit("bob", "r1").await, 403);
    assert_eq!(readonly.visit("bob", "r2").await, 503);
    assert_eq!(readonly.redeem(&ticket, "r1").await, 503);
    assert_eq!(readonly.draw("alice", "r1").await, Err(503));
    assert_eq!(house.redeem(&ticket, "r1").await, 200);
    assert_eq!(house.visit("carol", "r2").await, 200);
}

#[tokio::test]
async fn a_file_that_may_not_grow_loses_nothing_and_takes_up_again() {
    let directory = Directory::new();
    drop(directory.open().await);
    let full = SqlitePoolOptions::new().max_connections(1);
    let full = full
        .connect_with(options(&directory.file()).pragma("max_page_count", "40"))
        .await;
    let full = full.unwrap();
    let store = SqliteStore::from_pool(full.clone(), quick()).await.unwrap();
    let house = House::new(store.clone());
    assert_eq!(house.visit("alice", "r0").await, 200);
    let mut status = 200;
    let mut rooms = 0;
    while status == 200 {
        rooms += 1;
        assert!(rooms < 10_000, "the file never grew to its limit");
        status = house
            .visit("alice", &format!("r{rooms}{}", "x".repeat(900)))
            .await;
    }
    assert_eq!(status, 503);
    let name = format!("/agents/a/r{rooms}{}", "x".repeat(900));
    assert_eq!(store.owner(&resource(&name)).await.unwrap(), None);
    assert_eq!(house.visit("alice", "r0").await, 200);
    assert_eq!(house.visit("bob", "r0").await, 403);

    sqlx::raw_sql("PRAGMA max_page_count = 100000")
        .execute(&full)
        .await
        .unwrap();
    assert_eq!(house.visit("alice", &name["/agents/a/".len()..]).await, 200);
    let check = sqlx::query("PRAGMA integrity_check").fetch_one(&full).await;
    assert_eq!(check.unwrap().get::<String, _>(0), "ok");
}

/// A small file system of a test's own.
struct Mount(Directory);

impl Mount {
    fn new(size: &str) -> Self {
        let directory = Directory::new();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&directory.0)
            .status();
        assert!(done.unwrap().success(), "root may mount a disk");
        Self(directory)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0.0).status();
    }
}

#[tokio::test]
#[ignore = "needs to be root, to mount a small disk: tests/run services"]
async fn a_disk_that_is_full_loses_nothing_and_is_taken_up_again() {
    let mount = Mount::new("400k");
    let store = SqliteStore::open_with(mount.0.file(), quick())
        .await
        .unwrap();
    let house = House::new(store.clone());
    assert_eq!(house.visit("alice", "r0").await, 200);
    let ballast = mount.0.0.join("ballast");
    // Nothing is left but what the file has already.
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=4096", "status=none"])
        .arg(format!("of={}", ballast.display()))
        .output();
    assert!(!filled.unwrap().status.success(), "the disk is full");
    let mut refused = 0;
    for n in 0..20 {
        let room = format!("r{n}{}", "x".repeat(900));
        match house.visit("alice", &room).await {
            200 => {}
            503 => {
                refused += 1;
                let name = resource(&format!("/agents/a/{room}"));
                assert_eq!(store.owner(&name).await.unwrap(), None);
            }
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0, "a full disk takes nothing in");
    assert_eq!(house.visit("alice", "r0").await, 200);
    assert_eq!(house.visit("bob", "r0").await, 403);
    std::fs::remove_file(ballast).unwrap();
    assert_eq!(house.visit("alice", "later").await, 200);
    let check = number(
        &mount.0.file(),
        "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    )
    .await;
    assert_eq!(check, 0);
}

#[tokio::test]
#[ignore = "needs to be root, to mount a small disk: tests/run services"]
async fn a_disk_that_may_only_be_read_is_refused_when_the_file_is_opened() {
    let mount = Mount::new("4m");
    drop(SqliteStore::open(mount.0.file()).await.unwrap());
    // Whoever still has the file open keeps the disk as it is.
    let remounted = async {
        loop {
            let done = Command::new("mount")
                .args(["-o", "remount,ro"])
                .arg(&mount.0.0)
                .output();
            if done.unwrap().status.success() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    bounded(remounted).await;
    assert!(
        SqliteStore::open_with(mount.0.file(), quick())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_feed_that_missed_a_change_says_so() {
    let directory = Directory::new();
    let store = directory.open().await;
    let room = resource("r1");
    let [alice, bob] = ["alice", "bob"].map(subject);
    store.claim(&room, &alice).await.unwrap();
    let mut feed = SharedOwnerStore::subscribe(&store).await.unwrap();
    store.grant(&room, &bob, Role::Reader).await.unwrap();
    store.grant(&room, &bob, Role::Writer).await.unwrap();
    let mut other = stranger(&directory.file()).await;
    execute(&mut other, "DELETE FROM warden_ownership_changes WHERE id = (SELECT MIN(id) FROM warden_ownership_changes)").await;
    assert_eq!(bounded(feed.next()).await, None);
    let mut feed = SharedOwnerStore::subscribe(&store).await.unwrap();
    OwnerStore::revoke(&store, &room, &bob).await.unwrap();
    let told = bounded(feed.next()).await;
    assert_eq!(
        told,
        Some(OwnershipChange::Revoked {
            resource: room,
            subject: bob
        })
    );
}

#[tokio::test]
async fn whoever_goes_away_leaves_a_whole_decision_behind() {
    let directory = Directory::new();
    let store = directory.open().await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(subject);
    for n in 0..50_u64 {
        let room = resource(&format!("r{n}"));
        store.claim(&room, &alice).await.unwrap();
        store.grant(&room, &carol, Role::Admin).await.unwrap();
        let transfer = store.transfer(&room, &alice, &bob);
        let _ = tokio::time::timeout(Duration::from_micros(20 * n), transfer).await;
        // It may still be under way; what comes after waits for it.
        store.claim(&room, &alice).await.unwrap();
        let access = store.access(&room, &carol).await.unwrap().unwrap();
        let whole = (access.owner() == &alice) == (access.standing() != Standing::Stranger);
        assert!(whole, "{n}: {access:?}");
    }
}
