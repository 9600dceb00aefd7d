//! What a Redis may be set to, and what it may hold.

use std::{slice, time::Duration};

use tower_warden::{
    ApiKeyStore, Claim, OwnerStore, Page, RedisOptions, RedisStore, Revocation, RevocationStore,
    Role, SharedOwnerStore, StoreError,
};

use super::{
    fresh, keeps_every_promise, open, resource,
    server::{PATIENCE, Server, tell},
    subject, url,
};
use crate::{engines, house::House};

/// What stands behind an error.
fn reason<T>(answer: Result<T, StoreError>) -> String {
    let error = answer.map(drop).unwrap_err();
    std::error::Error::source(&error).unwrap().to_string()
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn every_promise_is_kept_in_the_slots_of_a_cluster() {
    // One node that has all slots: it refuses whatever touches two of them.
    let server = Server::start_with(&["--cluster-enabled", "yes"]).await;
    let slots: Vec<_> = (0..16_384).map(|slot: u16| slot.to_string()).collect();
    let slots = slots.iter().map(String::as_str);
    let words: Vec<_> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots).collect();
    server.tell::<String>(&words).await;
    let up = async {
        while !server
            .tell::<String>(&["CLUSTER", "INFO"])
            .await
            .contains("cluster_state:ok")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, up).await.unwrap();
    let two = ["DEL", "a", "b"];
    let crossing = server.try_tell::<i64>(&two).await.unwrap_err();
    assert_eq!(crossing.code(), Some("CROSSSLOT"));
    keeps_every_promise(async || RedisStore::connect(&server.url()).await.unwrap()).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_subject_has_64_tickets_at_once() {
    let server = Server::start().await;
    let node = async || RedisStore::connect(&server.url()).await.unwrap();
    engines::a_subject_has_64_tickets_at_once([node().await, node().await]).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_user_with_the_documented_permissions_and_no_others_is_enough() {
    let server = Server::start().await;
    // As the documentation of the store has them.
    let permissions = "~warden:* &warden@* +hello +select +ping +info +eval +evalsha +hget +hmget \
        +hset +hsetnx +hdel +hkeys +exists +del +set +pexpire +pttl +zadd +zcard +zrem +zrangebylex +zscan \
        +zremrangebyscore +time +publish +subscribe";
    let source = include_str!("../../../src/store/redis/store.rs");
    let documented = source.replace("\n/// ", " ").replace('`', "");
    let listed = permissions.strip_prefix("~warden:* &warden@* ").unwrap();
    assert!(
        documented.contains(listed),
        "the documentation has another list"
    );
    let user = ["ACL", "SETUSER", "service", "reset", "on", ">password"];
    let user: Vec<_> = user
        .into_iter()
        .chain(permissions.split_whitespace())
        .collect();
    server.tell::<String>(&user).await;
    let url = format!("redis://service:password@127.0.0.1:{}", server.port());
    keeps_every_promise(async || RedisStore::connect(&url).await.unwrap()).await;

    // Without INFO nothing can be checked, and everything else goes on.
    server
        .tell::<String>(&["ACL", "SETUSER", "service", "-info"])
        .await;
    let store = RedisStore::connect(&url).await.unwrap();
    let claim = store.claim(&resource("r1"), &subject("alice")).await;
    assert_eq!(claim.unwrap(), Claim::Claimed);

    // Without PUBLISH nobody would be told, so the one who asks is.
    server
        .tell::<String>(&["ACL", "SETUSER", "service", "-publish"])
        .await;
    assert!(store.publish(&Revocation::api_key("k1")).await.is_err());
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn scripts_that_redis_forgot_are_told_again() {
    let server = Server::start().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let house = House::new(store.clone());
    let flush = async || server.tell::<String>(&["SCRIPT", "FLUSH"]).await;
    for n in 0..3 {
        let room = format!("r{n}");
        flush().await;
        assert_eq!(house.visit("alice", &room).await, 200);
        flush().await;
        let ticket = house.draw("alice", &room).await.unwrap();
        flush().await;
        assert_eq!(house.redeem(&ticket, &room).await, 200);
        flush().await;
        store.publish(&Revocation::api_key("k1")).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_replica_decides_nothing() {
    let server = Server::start().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let [alice, bob] = ["alice", "bob"].map(subject);
    let room = resource("r1");
    store.claim(&room, &alice).await.unwrap();

    // Its primary is nowhere.
    server
        .tell::<String>(&["REPLICAOF", "127.0.0.1", "1"])
        .await;
    let grant = store.grant(&room, &bob, Role::Reader).await;
    assert_eq!(reason(grant), "Redis answered READONLY");
    // From now on not even its memories count.
    let replica = "this Redis is a replica: writes have to go to its primary";
    assert_eq!(reason(store.owner(&room).await), replica);
    assert_eq!(reason(store.load().await), replica);
    assert_eq!(reason(SharedOwnerStore::subscribe(&store).await), replica);
    assert_eq!(reason(RedisStore::connect(&server.url()).await), replica);

    server.tell::<String>(&["REPLICAOF", "NO", "ONE"]).await;
    let access = store.access(&room, &bob).await.unwrap().unwrap();
    assert_eq!(*access.owner(), alice);
    assert!(!access.standing().allows(Role::Reader));
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_redis_that_is_full_keeps_what_it_has_and_takes_nothing_more() {
    let server = Server::start().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let house = House::new(store.clone());
    let [alice, bob] = ["alice", "bob"].map(subject);
    let room = resource("/agents/a/r1");
    assert_eq!(house.visit("alice", "r1").await, 200);
    store.grant(&room, &bob, Role::Reader).await.unwrap();
    let key = house.new_key("alice").await;
    let ticket = house.draw("alice", "r1").await.unwrap();

    server
        .tell::<String>(&["CONFIG", "SET", "maxmemory", "1"])
        .await;
    let unowned = resource("/agents/a/r2");
    let full = "Redis answered OOM";
    assert_eq!(reason(store.claim(&unowned, &bob).await), full);
    assert_eq!(house.visit("bob", "r2").await, 503);
    assert_eq!(reason(store.transfer(&room, &alice, &bob).await), full);
    assert_eq!(house.draw("alice", "r1").await, Err(503));
    assert_eq!(reason(store.publish(&Revocation::api_key("k")).await), full);
    // Who reads, or takes away, is served.
    assert_eq!(house.visit("alice", "r1").await, 200);
    assert_eq!(house.present_key(&key).await, 200);
    assert_eq!(house.redeem(&ticket, "r1").await, 200);
    assert!(OwnerStore::revoke(&store, &room, &bob).await.unwrap());

    server
        .tell::<String>(&["CONFIG", "SET", "maxmemory", "0"])
        .await;
    assert_eq!(store.owner(&unowned).await.unwrap(), None);
    assert_eq!(store.owner(&room).await.unwrap(), Some(alice.clone()));
    let list = OwnerStore::list(&store, &bob, &Page::first()).await;
    assert_eq!(list.unwrap().items, []);
    assert_eq!(store.load().await.unwrap(), []);
    assert!(store.transfer(&room, &alice, &bob).await.unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_redis_that_throws_owners_away_is_refused() {
    let server = Server::start().await;
    let set = async |name, value| server.tell::<String>(&["CONFIG", "SET", name, value]).await;
    for (policy, maxmemory, taken) in [
        ("noeviction", "100mb", true),
        ("volatile-lru", "100mb", true),
        ("allkeys-lru", "100mb", false),
        ("allkeys-random", "100mb", false),
        // Without a bound nothing is thrown away.
        ("allkeys-lru", "0", true),
    ] {
        set("maxmemory", maxmemory).await;
        set("maxmemory-policy", policy).await;
        let connected = RedisStore::connect(&server.url()).await;
        assert_eq!(connected.is_ok(), taken, "{policy} {maxmemory}");
        if !taken {
            assert!(reason(connected).contains(policy));
            let tolerant = RedisOptions::new().dangerous_with_eviction();
            let connected = RedisStore::connect_with(&server.url(), tolerant).await;
            assert!(connected.is_ok());
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn what_nobody_of_us_wrote_is_doubt_and_never_nobody() {
    let server = Server::start().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = subject("alice");
    let foreign = "Redis holds what no store has written";
    for (command, room) in [
        (["HSET", "warden:resource:r1", "owner", "alice"], "r1"),
        (["HSET", "warden:resource:r2", "owner", "{}"], "r2"),
        (["HSET", "warden:resource:r3", "owner", ""], "r3"),
    ] {
        server.tell::<i64>(&command).await;
        let room = resource(room);
        assert_eq!(reason(store.owner(&room).await), foreign);
        assert_eq!(reason(store.access(&room, &alice).await), foreign);
        assert_eq!(store.claim(&room, &alice).await.unwrap(), Claim::Other);
    }
    server
        .tell::<String>(&["SET", "warden:resource:r4", "alice"])
        .await;
    let answer = reason(store.owner(&resource("r4")).await);
    assert_eq!(answer, "Redis answered WRONGTYPE");
    let claim = store.claim(&resource("r4"), &alice).await;
    assert!(claim.is_err());
    server
        .tell::<i64>(&["HSET", "warden:api_key:k1", "record", "{\"id\":1}"])
        .await;
    assert_eq!(reason(store.find("k1").await), foreign);
    server
        .tell::<i64>(&["ZADD", "warden:revocations", "9007199254740991", "nothing"])
        .await;
    assert_eq!(reason(store.load().await), foreign);

    let mut feed = RevocationStore::subscribe(&store).await.unwrap();
    server
        .tell::<i64>(&["PUBLISH", "warden@0:revocations", "nothing"])
        .await;
    store.publish(&Revocation::api_key("k1")).await.unwrap();
    // The feed goes on with the next message, and says that one was left out.
    let next = tower_warden::RevocationFeed::next(&mut feed);
    let next = tokio::time::timeout(PATIENCE, next).await.unwrap();
    assert_eq!(next, Some(Revocation::api_key("k1")));
    assert!(tower_warden::RevocationFeed::has_missed(&mut feed));
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_list_shows_what_is_true_and_drops_what_is_not() {
    let server = Server::start().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let [alice, bob] = ["alice", "bob"].map(subject);
    let [room, bobs] = ["r1", "r2"].map(resource);
    store.claim(&room, &alice).await.unwrap();
    store.claim(&bobs, &bob).await.unwrap();
    let index = "warden:{|alice}:owned";
    let list = async |limit| {
        let page = Page::first().with_limit(limit);
        let list = OwnerStore::list(&store, &alice, &page).await.unwrap();
        assert!(list.next.is_none());
        list.items
    };
    // A node that died before it could claim, and one that lost; the second is as young as it can be.
    for n in 0..50 {
        let name = format!("a{n}");
        server.tell::<i64>(&["ZADD", index, "0", &name]).await;
    }
    server
        .tell::<i64>(&["ZADD", index, "0", "r2", "0", ""])
        .await;
    server
        .tell::<String>(&["SET", "warden:{|alice}:owned:r2", "1", "PX", "60000"])
        .await;
    assert_eq!(
        list(1).await,
        slice::from_ref(&room),
        "pages are full all the same"
    );
    assert_eq!(list(50).await, slice::from_ref(&room));
    let left: Vec<String> = server.tell(&["ZRANGE", index, "0", "-1"]).await;
    assert_eq!(left, ["r1", "r2"], "what is young stays");
    server
        .tell::<i64>(&["DEL", "warden:{|alice}:owned:r2"])
        .await;
    assert_eq!(list(50).await, [room]);
    let left: Vec<String> = server.tell(&["ZRANGE", index, "0", "-1"]).await;
    assert_eq!(left, ["r1"]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn what_is_over_leaves_redis() {
    let server = Server::start().await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let house = House::new(store.clone());
    let [spent, _kept] = [
        house.draw("alice", "r1").await.unwrap(),
        house.draw("alice", "r1").await.unwrap(),
    ];
    let tickets = async || {
        server
            .tell::<Vec<String>>(&["KEYS", "warden:ticket:*"])
            .await
    };
    assert_eq!(tickets().await.len(), 2);
    for key in tickets().await {
        let left: i64 = server.tell(&["PTTL", &key]).await;
        assert!((1..=31_000).contains(&left), "{left} ms");
    }
    assert_eq!(house.redeem(&spent, "r1").await, 200);
    assert_eq!(tickets().await.len(), 1);

    let old = Revocation::token_id("old", tower_warden::NumericDate::from_secs(1_000));
    for revocation in [&Revocation::api_key("k1"), &old, &Revocation::api_key("k2")] {
        store.publish(revocation).await.unwrap();
    }
    let kept: i64 = server.tell(&["ZCARD", "warden:revocations"]).await;
    assert_eq!(kept, 2);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn prefixes_and_databases_are_worlds_of_their_own() {
    let [room, alice, bob] = [fresh("room"), fresh("alice"), fresh("bob")];
    let (room, alice, bob) = (resource(&room), subject(&alice), subject(&bob));
    let stores = [
        open("one").await,
        open("two").await,
        RedisStore::connect_with(
            &format!("{}/1", url().trim_end_matches('/')),
            RedisOptions::new().with_prefix("one"),
        )
        .await
        .unwrap(),
    ];
    let mut feeds = Vec::new();
    for store in &stores {
        feeds.push(SharedOwnerStore::subscribe(store).await.unwrap());
        let claim = store.claim(&room, &alice).await.unwrap();
        assert_eq!(claim, Claim::Claimed);
    }
    stores[0].grant(&room, &bob, Role::Reader).await.unwrap();
    for (n, feed) in feeds.iter_mut().enumerate() {
        let news = tower_warden::OwnershipFeed::next(feed);
        let news = tokio::time::timeout(
            Duration::from_millis(if n == 0 { 20_000 } else { 300 }),
            news,
        );
        assert_eq!(news.await.is_ok(), n == 0, "only one world hears of it");
    }
    tell::<String>(&url(), &["PING"]).await.unwrap();
}
