//! The way to Redis: it ends, is cut, falls silent, and comes back.

use std::{error::Error, slice, time::Duration};

use tokio::time::{sleep, timeout};
use tower_warden::{
    Claim, OwnerStore, OwnershipFeed, Page, RedisOptions, RedisStore, Revocation, RevocationFeed,
    RevocationStore, Role, SharedOwnerStore, Standing, StoreError,
};

use super::{
    fresh, resource,
    server::{PATIENCE, Server, free_port, tell},
    subject,
};
use crate::{
    house::House,
    proxy::{Proxy, Wire},
};

/// What an error says, with all that stands behind it.
fn whole(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text} {error} {error:?}");
        source = error.source();
    }
    text
}

/// An answer that has to come, whatever it is.
async fn bounded<T>(answer: impl Future<Output = T>) -> T {
    timeout(PATIENCE, answer)
        .await
        .expect("every wait has its bound")
}

fn quick() -> RedisOptions {
    RedisOptions::new()
        .with_timeout(Duration::from_secs(2))
        .with_connect_timeout(Duration::from_secs(1))
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_redis_that_crashes_and_returns_has_lost_nothing() {
    let mut server = Server::start().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
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

        server.resume().await;
        // The first request after that finds it.
        assert_eq!(bounded(house.visit("alice", "r1")).await, 200);
        assert_eq!(house.visit("mallory", "r1").await, 403);
        let access = store.access(&room, &bob).await.unwrap().unwrap();
        assert_eq!(access.standing(), Standing::Granted(Role::Reader));
        let list = OwnerStore::list(&store, &alice, &Page::first()).await;
        assert_eq!(list.unwrap().items, slice::from_ref(&room));
        assert_eq!(house.present_key(&key).await, 200);
        assert_eq!(house.redeem(&spent, "r1").await, 401);
        assert_eq!(store.load().await.unwrap(), slice::from_ref(&logout));
        revocations = RevocationStore::subscribe(&store).await.unwrap();
        changes = SharedOwnerStore::subscribe(&store).await.unwrap();
    }
    for ticket in [ticket, other] {
        assert_eq!(house.redeem(&ticket, "r1").await, 200);
        assert_eq!(house.redeem(&ticket, "r1").await, 401);
    }
    let room = resource("/agents/a/r2");
    assert_eq!(store.owner(&room).await.unwrap(), None);
    assert_eq!(house.visit("mallory", "r2").await, 200);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_connection_that_ended_while_nobody_asked_is_opened_again_unseen() {
    let server = Server::start().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let room = resource("r1");
    for _ in 0..10 {
        assert_eq!(store.owner(&room).await.unwrap(), None);
        server
            .tell::<i64>(&["CLIENT", "KILL", "TYPE", "normal"])
            .await;
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_connection_that_is_cut_mid_command_leaves_the_whole_of_it_or_nothing() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect_with(&format!("redis://{}", proxy.address()), quick())
        .await
        .unwrap();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(subject);
    let list = async |who| {
        let page = Page::first().with_limit(500);
        OwnerStore::list(&store, who, &page).await.unwrap().items
    };
    // Every script is known to Redis from here on, so each step is one message.
    let room = resource("first");
    store.claim(&room, &alice).await.unwrap();
    store.grant(&room, &bob, Role::Reader).await.unwrap();
    store.transfer(&room, &alice, &bob).await.unwrap();
    for wire in [
        Wire::CutBeforeArrival,
        Wire::CutBeforeAnswer,
        Wire::CutInAnswer,
        Wire::Dead,
    ] {
        let arrives = wire != Wire::CutBeforeArrival && wire != Wire::Dead;
        // A claim asks who owns it, writes the entry of a list, and decides.
        for step in 0..3 {
            let room = resource(&fresh("room"));
            proxy.set_after(step, wire);
            let answer = bounded(store.claim(&room, &alice)).await;
            assert!(answer.is_err() && proxy.is_sound(), "{wire:?} {step}");
            let claimed = arrives && step == 2;
            let owner = store.owner(&room).await.unwrap();
            assert_eq!(owner, claimed.then(|| alice.clone()), "{wire:?} {step}");
            assert_eq!(list(&alice).await.contains(&room), claimed);
            let again = store.claim(&room, &bob).await.unwrap();
            let expected = if claimed {
                Claim::Other
            } else {
                Claim::Claimed
            };
            assert_eq!(again, expected, "{wire:?} {step}");
        }

        let room = resource(&fresh("room"));
        store.claim(&room, &alice).await.unwrap();
        proxy.set(wire);
        let answer = bounded(store.grant(&room, &carol, Role::Admin)).await;
        assert!(answer.is_err() && proxy.is_sound(), "{wire:?}");
        let access = store.access(&room, &carol).await.unwrap().unwrap();
        assert_eq!(access.standing().allows(Role::Admin), arrives, "{wire:?}");

        // A transfer writes the entry, decides, and drops the old entry, which no answer waits for.
        for step in 0..3 {
            let room = resource(&fresh("room"));
            store.claim(&room, &alice).await.unwrap();
            store.grant(&room, &carol, Role::Admin).await.unwrap();
            proxy.set_after(step, wire);
            let answer = bounded(store.transfer(&room, &alice, &bob)).await;
            assert_eq!(answer.is_err(), step < 2, "{wire:?} {step}");
            assert!(proxy.is_sound());
            let transferred = step == 2 || (arrives && step == 1);
            let (owner, other) = if transferred {
                (&bob, &alice)
            } else {
                (&alice, &bob)
            };
            let access = store.access(&room, &carol).await.unwrap().unwrap();
            assert_eq!(access.owner(), owner, "{wire:?} {step}");
            assert_eq!(access.standing().allows(Role::Admin), !transferred);
            assert!(list(owner).await.contains(&room));
            assert!(!list(other).await.contains(&room));
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_ticket_whose_redemption_is_cut_is_refused_and_never_good_twice() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect_with(&format!("redis://{}", proxy.address()), quick())
        .await
        .unwrap();
    let house = House::new(store);
    // Both scripts are known to Redis from here on, and each is one message.
    let first = house.draw("alice", "r1").await.unwrap();
    assert_eq!(house.redeem(&first, "r1").await, 200);
    for (wire, afterwards) in [
        (Wire::CutBeforeArrival, 200),
        (Wire::CutBeforeAnswer, 401),
        (Wire::CutInAnswer, 401),
        (Wire::Dead, 200),
    ] {
        let ticket = house.draw("alice", "r1").await.unwrap();
        proxy.set(wire);
        assert_eq!(bounded(house.redeem(&ticket, "r1")).await, 503, "{wire:?}");
        assert_eq!(house.redeem(&ticket, "r1").await, afterwards, "{wire:?}");
        assert_eq!(house.redeem(&ticket, "r1").await, 401);
        proxy.set(wire);
        assert_eq!(bounded(house.draw("alice", "r1")).await, Err(503));
        assert!(house.draw("alice", "r1").await.is_ok());
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_feed_whose_wire_died_without_a_word_is_found_out() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect_with(&format!("redis://{}", proxy.address()), quick())
        .await
        .unwrap();
    let mut feed = RevocationStore::subscribe(&store).await.unwrap();
    assert!(feed.is_alive().await);
    proxy.set(Wire::Dead);
    assert!(!bounded(feed.is_alive()).await);
    let mut feed = RevocationStore::subscribe(&store).await.unwrap();
    let revocation = Revocation::api_key("k1");
    store.publish(&revocation).await.unwrap();
    assert_eq!(bounded(feed.next()).await, Some(revocation));
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_redis_that_hangs_is_given_up_and_found_again() {
    let server = Server::start().await;
    // A second of patience, for an engine that takes five.
    let options = RedisOptions::new().with_timeout(Duration::from_secs(1));
    let store = RedisStore::connect_with(&server.url(), options)
        .await
        .unwrap();
    let house = House::new(store.clone());
    let key = house.new_key("alice").await;
    let ticket = house.draw("alice", "r1").await.unwrap();
    assert_eq!(house.visit("alice", "r1").await, 200);

    let url = server.url();
    let hanging = tokio::spawn(async move { tell::<String>(&url, &["DEBUG", "SLEEP", "5"]).await });
    // It hangs from the moment that it answers nobody.
    let probe = async {
        while timeout(
            Duration::from_millis(100),
            server.try_tell::<String>(&["PING"]),
        )
        .await
        .is_ok()
        {}
    };
    bounded(probe).await;
    let answers = tokio::join!(
        house.visit("alice", "r1"),
        house.visit("bob", "r1"),
        house.visit("bob", "r2"),
        house.present_key(&key),
        house.redeem(&ticket, "r1"),
    );
    assert_eq!(answers, (503, 503, 503, 503, 503));
    assert_eq!(house.draw("alice", "r1").await, Err(503));
    assert!(
        !hanging.is_finished(),
        "all were answered before Redis was itself again"
    );
    hanging.await.unwrap().unwrap();
    assert_eq!(bounded(house.visit("alice", "r1")).await, 200);
    assert_eq!(house.visit("bob", "r1").await, 403);
    assert_eq!(house.present_key(&key).await, 200);
    // What Redis had heard before it hung it may have done afterwards, the whole of it.
    assert!([200, 401].contains(&house.redeem(&ticket, "r1").await));
    assert_eq!(house.redeem(&ticket, "r1").await, 401);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn what_goes_wrong_names_neither_address_nor_secret_nor_key() {
    let server = Server::start().await;
    server
        .tell::<String>(&["CONFIG", "SET", "requirepass", "a-secret-password"])
        .await;
    let address = format!("127.0.0.1:{}", server.port());
    let good = format!("redis://:a-secret-password@{address}");
    let store = RedisStore::connect(&good).await.unwrap();
    tell::<String>(
        &good,
        &[
            "ACL",
            "SETUSER",
            "somebody",
            "on",
            ">another-secret",
            "~none",
            "&*",
            "+@all",
        ],
    )
    .await
    .unwrap();
    let narrow = format!("redis://somebody:another-secret@{address}");
    let narrow = RedisStore::connect(&narrow).await.unwrap();
    let room = resource("a-private-room");
    let owner = subject("a-private-person");
    let closed_port = free_port();

    let refused = |answer: Result<RedisStore, StoreError>| answer.map(drop).unwrap_err();
    let connect = async |url: String| refused(bounded(RedisStore::connect(&url)).await);
    let mut errors = vec![
        connect(format!("redis://:a-wrong-password@{address}")).await,
        connect(format!("redis://nobody:a-wrong-password@{address}")).await,
        connect(format!("redis://{address}")).await,
        connect(format!("redis://:a-secret-password@{address}/999")).await,
        connect(format!(
            "redis://:a-secret-password@127.0.0.1:{closed_port}"
        ))
        .await,
        connect(format!("redis://:a-secret-password@[::1/{address}")).await,
        connect(format!("a-secret-password@{address}")).await,
        connect(format!("rediss://:a-secret-password@{address}")).await,
        narrow.owner(&room).await.unwrap_err(),
        narrow.claim(&room, &owner).await.unwrap_err(),
    ];
    store.claim(&room, &owner).await.unwrap();
    tell::<String>(&good, &["CONFIG", "SET", "maxmemory", "1"])
        .await
        .unwrap();
    let guest = subject("a-private-guest");
    let full = store.grant(&room, &guest, Role::Reader);
    errors.push(full.await.unwrap_err());
    errors.push(refused(
        RedisStore::connect_with(&good, RedisOptions::new().with_prefix("{}")).await,
    ));
    let mut texts: Vec<_> = errors.iter().map(|error| whole(error)).collect();
    texts.push(format!("{store:?}"));
    for text in texts {
        for secret in [
            "secret",
            "wrong",
            "private",
            "somebody",
            "127.0.0.1",
            "::1",
            "warden:",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(!text.contains(&server.port().to_string()), "{text}");
    }
}
