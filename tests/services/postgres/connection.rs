//! The way to PostgreSQL: it ends, is cut, falls silent, is crowded, is slow, and comes back.

use std::{path::Path, time::Duration};

use sqlx::{Row, postgres::PgPoolOptions};
use tower_warden::{
    Claim, OwnerStore, OwnershipFeed, Page, PostgresStore, Revocation, RevocationFeed,
    RevocationStore, Role, SharedOwnerStore, SqlOptions, Standing,
};

use super::{connect, execute, new_database, number, open, server::Server};
use crate::{
    engines::{bounded, fresh, resource, subject, whole},
    house::House,
    proxy::{Proxy, Wire},
};

fn quick() -> SqlOptions {
    SqlOptions::new().with_timeout(Duration::from_secs(1))
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_server_that_crashes_and_returns_has_lost_nothing() {
    let mut server = Server::start();
    let store = PostgresStore::connect_with(&server.url(), quick())
        .await
        .unwrap();
    let house = House::new(store.clone());
    let [alice, bob] = ["alice", "bob"].map(subject);
    let room = resource("/agents/a/r1");
    assert_eq!(house.visit("alice", "r1").await, 200);
    assert_eq!(house.visit("bob", "r1").await, 403);
    store.grant(&room, &bob, Role::Reader).await.unwrap();
    assert_eq!(house.visit("bob", "r1").await, 200);
    let key = house.new_key("alice").await;
    let [spent, ticket, other] = [
        house.draw("alice", "r1").await.unwrap(),
        house.draw("alice", "r1").await.unwrap(),
        house.draw("alice", "r1").await.unwrap(),
    ];
    assert_eq!(house.redeem(&spent, "r1").await, 200);
    let logout = Revocation::api_key("k1");
    store.publish(&logout).await.unwrap();
    let mut revocations = RevocationStore::subscribe(&store).await.unwrap();
    let mut changes = SharedOwnerStore::subscribe(&store).await.unwrap();

    for _ in 0..2 {
        server.crash();
        for who in ["alice", "bob", "mallory"] {
            assert_eq!(bounded(house.visit(who, "r1")).await, 503);
            assert_eq!(bounded(house.visit(who, "unowned")).await, 503);
        }
        assert_eq!(bounded(house.present_key(&key)).await, 503);
        assert_eq!(bounded(house.draw("alice", "r1")).await, Err(503));
        assert_eq!(bounded(house.redeem(&ticket, "r1")).await, 503);
        assert!(bounded(store.load()).await.is_err());
        assert!(bounded(store.publish(&logout)).await.is_err());
        assert_eq!(bounded(revocations.next()).await, None);
        assert_eq!(bounded(changes.next()).await, None);
        assert!(!bounded(revocations.is_alive()).await);
        assert!(!bounded(changes.is_alive()).await);
        assert!(bounded(RevocationStore::subscribe(&store)).await.is_err());
        assert!(
            bounded(PostgresStore::connect_with(&server.url(), quick()))
                .await
                .is_err()
        );

        server.resume();
        // No connection of before is left over by now, so the first request finds it.
        assert_eq!(bounded(house.visit("alice", "r1")).await, 200);
        assert_eq!(house.visit("mallory", "r1").await, 403);
        let access = store.access(&room, &bob).await.unwrap().unwrap();
        assert_eq!(access.standing(), Standing::Granted(Role::Reader));
        let list = OwnerStore::list(&store, &alice, &Page::first()).await;
        assert_eq!(list.unwrap().items, std::slice::from_ref(&room));
        assert_eq!(house.present_key(&key).await, 200);
        assert_eq!(house.redeem(&spent, "r1").await, 401);
        assert_eq!(store.load().await.unwrap(), std::slice::from_ref(&logout));
        revocations = RevocationStore::subscribe(&store).await.unwrap();
        changes = SharedOwnerStore::subscribe(&store).await.unwrap();
    }
    for ticket in [ticket, other] {
        assert_eq!(house.redeem(&ticket, "r1").await, 200);
        assert_eq!(house.redeem(&ticket, "r1").await, 401);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_replica_is_refused_until_it_is_the_primary() {
    let mut server = Server::start();
    let store = PostgresStore::connect_with(&server.url(), quick())
        .await
        .unwrap();
    let house = House::new(store);
    assert_eq!(house.visit("alice", "r1").await, 200);
    server.crash();
    server.make_replica();
    server.resume();
    assert_eq!(bounded(house.visit("alice", "r1")).await, 503);
    assert_eq!(bounded(house.visit("bob", "r2")).await, 503);
    let refused = PostgresStore::connect(&server.url()).await.unwrap_err();
    assert!(whole(&refused).contains("replica"), "{refused:?}");
    server.promote();
    bounded(async { while house.visit("alice", "r1").await != 200 {} }).await;
    assert_eq!(house.visit("bob", "r1").await, 403);
    assert_eq!(house.visit("bob", "r2").await, 200);
}

#[cfg(feature = "aws-lc-rs")]
fn pem(label: &str, der: &[u8]) -> String {
    let text = base64_simd::STANDARD.encode_to_string(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[cfg(feature = "aws-lc-rs")]
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn the_way_is_as_secure_as_the_url_asks_for() {
    let [ours, others] = [(); 2].map(|()| {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der();
        (
            pem("CERTIFICATE", made.cert.der()),
            pem("PRIVATE KEY", &key),
        )
    });
    let server = Server::start_with_tls(&ours.0, &ours.1);
    let directory = std::env::temp_dir();
    let [trusted, stranger] = [("ours", &ours.0), ("others", &others.0)].map(|(name, pem)| {
        let path = directory.join(format!("{}-{name}.pem", fresh("warden")));
        std::fs::write(&path, pem).unwrap();
        path
    });
    let url = server.url();
    let with_root = |path: &Path| format!("verify-full&sslrootcert={}", path.display());
    for (mode, accepted) in [
        ("require".to_owned(), true),
        (with_root(&trusted), true),
        (with_root(&stranger), false),
        // The public authorities have not heard of it.
        ("verify-full".to_owned(), false),
    ] {
        let store = PostgresStore::connect_with(&format!("{url}?sslmode={mode}"), quick()).await;
        assert_eq!(store.is_ok(), accepted, "{mode}");
        if let Ok(store) = store {
            store
                .claim(&resource("r1"), &subject("alice"))
                .await
                .unwrap();
            let secured = "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                WHERE ssl AND application_name = 'tower-warden'";
            assert!(number(&url, secured).await > 0);
        }
    }
    for path in [trusted, stranger] {
        std::fs::remove_file(path).unwrap();
    }
    let plain = Server::start();
    let url = format!("{}?sslmode=require", plain.url());
    let refused = PostgresStore::connect_with(&url, quick()).await;
    assert!(refused.is_err());
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_pool_that_is_exhausted_is_a_refusal_until_it_is_not() {
    let url = new_database().await;
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect(&url)
        .await
        .unwrap();
    let store = PostgresStore::from_pool(pool.clone(), quick())
        .await
        .unwrap();
    let house = House::new(store);
    let key = house.new_key("alice").await;
    assert_eq!(house.visit("alice", "r1").await, 200);
    let taken = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let answers = tokio::join!(
        bounded(house.visit("alice", "r1")),
        bounded(house.visit("bob", "r2")),
        bounded(house.present_key(&key)),
        bounded(house.draw("alice", "r1")),
    );
    assert_eq!(answers, (503, 503, 503, Err(503)));
    drop(taken);
    assert_eq!(house.visit("alice", "r1").await, 200);
    assert_eq!(house.present_key(&key).await, 200);
    assert_eq!(
        house.visit("carol", "r2").await,
        200,
        "what was refused took nothing"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_server_that_is_slow_is_given_up_and_does_nothing_later() {
    let url = new_database().await;
    let store = PostgresStore::connect_with(&url, quick()).await.unwrap();
    let house = House::new(store.clone());
    assert_eq!(house.visit("alice", "r1").await, 200);
    let key = house.new_key("alice").await;
    let ticket = house.draw("alice", "r1").await.unwrap();
    let mut holder = connect(&url).await;
    execute(
        &mut holder,
        "BEGIN; LOCK TABLE warden_owners, warden_api_keys, warden_tickets, warden_revocations",
    )
    .await;
    let logout = Revocation::api_key("k1");
    let answers = tokio::join!(
        bounded(house.visit("alice", "r1")),
        bounded(house.visit("bob", "r2")),
        bounded(house.present_key(&key)),
        bounded(house.draw("alice", "r1")),
        bounded(house.redeem(&ticket, "r1")),
        async { bounded(store.publish(&logout)).await.is_err() },
        async {
            let (room, alice, bob) = (resource("/agents/a/r1"), subject("alice"), subject("bob"));
            bounded(store.transfer(&room, &alice, &bob)).await.is_err()
        },
    );
    assert_eq!(answers, (503, 503, 503, Err(503), 503, true, true));
    // The server too gives up what nobody waits for any more.
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let given_up = async { while number(&url, waiting).await > 0 {} };
    bounded(given_up).await;
    execute(&mut holder, "COMMIT").await;
    assert_eq!(store.owner(&resource("/agents/a/r2")).await.unwrap(), None);
    let owner = store.owner(&resource("/agents/a/r1")).await.unwrap();
    assert_eq!(owner, Some(subject("alice")));
    assert_eq!(store.load().await.unwrap(), []);
    assert_eq!(house.present_key(&key).await, 200);
    assert_eq!(house.redeem(&ticket, "r1").await, 200);
    assert_eq!(house.visit("carol", "r2").await, 200);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_connection_that_is_ended_mid_command_leaves_nothing_of_it() {
    let url = new_database().await;
    let store = open(&url).await;
    let house = House::new(store.clone());
    assert_eq!(house.visit("alice", "r1").await, 200);
    let mut holder = connect(&url).await;
    execute(&mut holder, "BEGIN; LOCK TABLE warden_owners").await;
    let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let ending = async { while number(&url, end).await < 1 {} };
    let (status, ()) = tokio::join!(bounded(house.visit("bob", "r2")), bounded(ending));
    assert_eq!(status, 503);
    execute(&mut holder, "COMMIT").await;
    assert_eq!(store.owner(&resource("/agents/a/r2")).await.unwrap(), None);
    assert_eq!(house.visit("alice", "r1").await, 200);
    assert_eq!(house.visit("carol", "r2").await, 200);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_connection_that_is_cut_leaves_the_whole_of_a_decision_or_nothing() {
    let url = new_database().await;
    let direct = open(&url).await;
    let (proxy, through) = proxy(&url).await;
    // One connection, so that each message is on the wire that is cut.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .connect_lazy(&through)
        .unwrap();
    let store = PostgresStore::from_pool(pool.clone(), quick())
        .await
        .unwrap();
    let house = House::new(store.clone());
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(subject);
    // Every statement is known to the server from here on, and the connection back in its pool, so each step is one
    // message.
    let warm = async || {
        let room = resource(&fresh("warm"));
        store.claim(&room, &alice).await.unwrap();
        store.grant(&room, &carol, Role::Admin).await.unwrap();
        store.transfer(&room, &alice, &bob).await.unwrap();
        let ticket = house.draw("alice", "r1").await.unwrap();
        assert_eq!(house.redeem(&ticket, "r1").await, 200);
    };
    let settled = async || {
        let idle = async {
            while pool.num_idle() == 0 {
                tokio::task::yield_now().await;
            }
        };
        bounded(idle).await;
    };
    for wire in [
        Wire::CutBeforeArrival,
        Wire::CutBeforeAnswer,
        Wire::CutInAnswer,
        Wire::Dead,
    ] {
        let arrives = wire == Wire::CutBeforeAnswer || wire == Wire::CutInAnswer;
        warm().await;
        let room = resource(&fresh("room"));
        settled().await;
        proxy.set(wire);
        assert!(
            bounded(store.claim(&room, &alice)).await.is_err(),
            "{wire:?}"
        );
        let owner = direct.owner(&room).await.unwrap();
        assert_eq!(owner, arrives.then(|| alice.clone()), "{wire:?}");
        // The next one finds its way.
        let again = bounded(store.claim(&room, &alice)).await.unwrap();
        assert_eq!(again == Claim::AlreadyYours, arrives, "{wire:?}");

        warm().await;
        store.grant(&room, &carol, Role::Admin).await.unwrap();
        settled().await;
        proxy.set(wire);
        assert!(
            bounded(store.transfer(&room, &alice, &bob)).await.is_err(),
            "{wire:?}"
        );
        let access = direct.access(&room, &carol).await.unwrap().unwrap();
        assert_eq!(access.owner() == &bob, arrives, "{wire:?}");
        assert_eq!(access.standing() == Standing::Stranger, arrives, "{wire:?}");

        warm().await;
        let ticket = house.draw("alice", "r1").await.unwrap();
        settled().await;
        proxy.set(wire);
        assert_eq!(bounded(house.redeem(&ticket, "r1")).await, 503, "{wire:?}");
        let expected = if arrives { 401 } else { 200 };
        assert_eq!(
            bounded(house.redeem(&ticket, "r1")).await,
            expected,
            "{wire:?}"
        );
        assert_eq!(house.redeem(&ticket, "r1").await, 401);
    }
}

/// A proxy to the server of a URL, and the URL that leads through it.
async fn proxy(url: &str) -> (Proxy, String) {
    let (before, after) = url.split_once('@').unwrap();
    let (address, database) = after.split_once('/').unwrap();
    let (_, port) = address.rsplit_once(':').unwrap();
    let proxy = Proxy::to(port.parse().unwrap()).await;
    let through = format!("{before}@{}/{database}", proxy.address());
    (proxy, through)
}

/// A connection that falls silent, whatever it is at, says nothing of it: while a request is answered, or on its way back
/// into the pool. Its place in the pool is free again all the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_connection_that_died_without_a_word_keeps_no_place_in_the_pool() {
    let url = new_database().await;
    let room = resource("r1");
    for round in 0..12 {
        let (proxy, through) = proxy(&url).await;
        let store = PostgresStore::connect_with(&through, quick().with_connections(1));
        let store = store.await.unwrap();
        let asking = tokio::spawn({
            let (store, room) = (store.clone(), room.clone());
            async move { while store.owner(&room).await.is_ok() {} }
        });
        tokio::time::sleep(Duration::from_millis(20 + round)).await;
        proxy.silence();
        bounded(asking).await.unwrap();
        let recovered = async { while store.owner(&room).await.is_err() {} };
        bounded(recovered).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_feed_whose_wire_died_without_a_word_is_found_out() {
    let url = new_database().await;
    let (proxy, through) = proxy(&url).await;
    let store = PostgresStore::connect_with(&through, quick())
        .await
        .unwrap();
    let mut feed = RevocationStore::subscribe(&store).await.unwrap();
    assert!(feed.is_alive().await);
    proxy.silence();
    assert!(!bounded(feed.is_alive()).await);
    assert_eq!(bounded(feed.next()).await, None);
    let mut feed = RevocationStore::subscribe(&store).await.unwrap();
    let revocation = Revocation::api_key("k1");
    bounded(async { while store.publish(&revocation).await.is_err() {} }).await;
    assert_eq!(bounded(feed.next()).await, Some(revocation));
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_connection_that_listens_is_given_back_when_its_feed_ends() {
    let url = new_database().await;
    let store = open(&url).await;
    let before = number(
        &url,
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()",
    )
    .await;
    for _ in 0..20 {
        drop(SharedOwnerStore::subscribe(&store).await.unwrap());
    }
    let gone = async {
        let count = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()";
        while number(&url, count).await > before + 1 {}
    };
    bounded(gone).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn what_goes_wrong_names_neither_address_nor_secret_nor_person() {
    let url = new_database().await;
    let store = open(&url).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mut texts = vec![format!("{store:?}")];
    // A server that is there, and has neither that user nor that database.
    let (rest, _) = url.rsplit_once('/').unwrap();
    let (scheme, server) = rest.split_once("://").unwrap();
    let server = server.rsplit('@').next().unwrap();
    for (url, said) in [
        (format!("{rest}/private"), "there is no such database"),
        (
            format!("{scheme}://someone:a-secret-password@{server}/private"),
            "does not let this user in",
        ),
    ] {
        let refused = bounded(PostgresStore::connect(&url)).await;
        let text = whole(&refused.unwrap_err());
        assert!(text.contains(said), "{text}");
        texts.push(text);
    }
    for url in [
        format!("postgres://someone:a-secret-password@127.0.0.1:{port}/private"),
        "postgres://someone:a-secret-password@[::1/private".to_owned(),
        "postgres://someone:a-secret-password@127.0.0.1:99999/private".to_owned(),
        "postgres://someone:a-secret-password@127.0.0.1/private?sslmode=a-secret".to_owned(),
        "a-secret-password@127.0.0.1/private".to_owned(),
        "mysql://someone:a-secret-password@127.0.0.1/private".to_owned(),
    ] {
        let refused = bounded(PostgresStore::connect(&url)).await;
        texts.push(whole(&refused.unwrap_err()));
    }
    // What a table refuses, a driver quotes.
    let mut admin = connect(&url).await;
    execute(
        &mut admin,
        "ALTER TABLE warden_owners ADD CONSTRAINT c CHECK (resource <> 'a-private-room');
        ALTER TABLE warden_api_keys ALTER id TYPE bigint USING 1",
    )
    .await;
    let refused = store
        .claim(&resource("a-private-room"), &subject("a-private-person"))
        .await;
    texts.push(whole(&refused.unwrap_err()));
    for id in ["private", "nul\0private"] {
        let refused = tower_warden::ApiKeyStore::find(&store, id).await;
        texts.push(whole(&refused.unwrap_err()));
    }
    for text in texts {
        for secret in [
            "secret",
            "private",
            "someone",
            "127.0.0.1",
            "::1",
            &port.to_string(),
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let row = sqlx::query("SELECT COUNT(*) FROM warden_owners")
        .fetch_one(&mut admin)
        .await;
    assert_eq!(row.unwrap().get::<i64, _>(0), 0);
}

#[test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
fn a_feed_may_be_dropped_where_no_runtime_is_and_after_its_own_has_ended() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // The listener of the driver would end the process.
    let (one, another) = runtime.block_on(async {
        let store = PostgresStore::connect(&super::url()).await.unwrap();
        let one = RevocationStore::subscribe(&store).await.unwrap();
        (one, RevocationStore::subscribe(&store).await.unwrap())
    });
    drop(one);
    drop(runtime);
    drop(another);
}
