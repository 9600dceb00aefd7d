//! A switch-over: the server that a store is connected to is not the primary any more, and its connections stay open.

use std::time::Duration;

use tokio::time::sleep;
use tower_warden::{
    OwnerStore, Owners, OwnershipFeed, PostgresStore, RedisOptions, RedisStore, Revocation,
    RevocationFeed, RevocationStore, Revocations, Role, SharedOwnerStore, SqlOptions,
};

use crate::{
    engines::{bounded, resource, subject, whole},
    house::House,
    postgres::server as postgres,
    proxy::Proxy,
    redis::server as redis,
};

fn quick() -> RedisOptions {
    RedisOptions::new()
        .with_timeout(Duration::from_secs(2))
        .with_connect_timeout(Duration::from_secs(1))
}

/// Demotes a Redis behind a proxy, then leads the proxy to the new primary.
async fn a_redis_store_moves_to_the_new_primary(program: &'static str) {
    let former = redis::Server::start_program(program, &[]).await;
    let next = redis::Server::start_program(program, &[]).await;
    follow(&next, &former).await;
    let proxy = Proxy::to(former.port()).await;
    let store = RedisStore::connect_with(&format!("redis://{}", proxy.address()), quick())
        .await
        .unwrap();
    let house = House::new(store.clone());
    assert_eq!(house.visit("alice", "r1").await, 200);
    let revocations = Revocations::shared(store.clone()).await.unwrap();
    let owners = Owners::shared(store.clone()).await.unwrap();
    let mut feed = SharedOwnerStore::subscribe(&store).await.unwrap();
    assert!(feed.is_alive().await);
    caught_up(&next).await;

    next.tell::<String>(&["REPLICAOF", "NO", "ONE"]).await;
    follow(&former, &next).await;
    assert_eq!(bounded(house.visit("bob", "r2")).await, 503);
    // The write has told the feed, and the rest of the store with it: no request is served by a former primary.
    assert_eq!(bounded(feed.next()).await, None);
    assert_eq!(bounded(house.visit("alice", "r1")).await, 503);
    let refused = bounded(store.publish(&Revocation::api_key("k1"))).await;
    let refused = whole(&refused.unwrap_err());
    assert!(refused.contains("replica"), "{refused}");
    let noticed = async {
        while revocations.ready().is_ok() || owners.ready().is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    bounded(noticed).await;

    proxy.lead_to(next.port());
    assert_eq!(bounded(house.visit("bob", "r2")).await, 200);
    assert_eq!(house.visit("mallory", "r1").await, 403);
    let back = async {
        while revocations.ready().is_err() || owners.ready().is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    bounded(back).await;
    let direct = RedisStore::connect(&next.url()).await.unwrap();
    let mut feed = RevocationStore::subscribe(&store).await.unwrap();
    let revocation = Revocation::api_key("k2");
    direct.publish(&revocation).await.unwrap();
    assert_eq!(bounded(feed.next()).await, Some(revocation));
    bounded(async {
        while !revocations.is_api_key_revoked("k2") {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Lets a Sentinel make another Redis the primary, where the URL names Sentinels alone. One of them does not answer.
async fn a_store_behind_sentinels_finds_the_new_primary(program: &'static str) {
    let former = redis::Server::start_program(program, &[]).await;
    let next = redis::Server::start_program(program, &[]).await;
    follow(&next, &former).await;
    let sentinel = redis::Server::start_sentinel(program, &former).await;
    let sentinels = format!(
        "127.0.0.1:{},127.0.0.1:{}",
        redis::free_port(),
        sentinel.port()
    );
    let url = |service| format!("redis+sentinel://{sentinels}/{service}/0");
    let store = RedisStore::connect_with(&url("main"), quick())
        .await
        .unwrap();
    let house = House::new(store.clone());
    assert_eq!(house.visit("alice", "r1").await, 200);
    let unknown = RedisStore::connect_with(&url("other"), quick()).await;
    let unknown = whole(&unknown.unwrap_err());
    assert!(unknown.contains("no Sentinel"), "{unknown}");
    caught_up(&next).await;

    let moved = async {
        // It hears of the replica only after a while.
        while sentinel
            .try_tell::<String>(&["SENTINEL", "FAILOVER", "main"])
            .await
            .is_err()
        {
            sleep(Duration::from_millis(100)).await;
        }
        while house.visit("bob", "r2").await != 200
            || !next
                .tell::<String>(&["INFO", "replication"])
                .await
                .contains("role:master")
        {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), moved)
        .await
        .unwrap();
    // The former primary may have served that, as long as nothing told it of the next one.
    drop(former);
    let back = async {
        while house.visit("carol", "r3").await != 200 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    bounded(back).await;
    assert_eq!(house.visit("mallory", "r1").await, 403);
    let direct = RedisStore::connect(&next.url()).await.unwrap();
    let owner = direct.owner(&resource("/agents/a/r3")).await.unwrap();
    assert_eq!(owner, Some(subject("carol")));
}

async fn follow(replica: &redis::Server, primary: &redis::Server) {
    let port = primary.port().to_string();
    replica
        .tell::<String>(&["REPLICAOF", "127.0.0.1", &port])
        .await;
}

/// Waits until a replica has all that its primary has.
async fn caught_up(replica: &redis::Server) {
    let caught_up = async {
        while !replica
            .tell::<String>(&["INFO", "replication"])
            .await
            .contains("master_link_status:up")
            || replica.tell::<i64>(&["DBSIZE"]).await == 0
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    bounded(caught_up).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_store_in_redis_7_moves_to_the_new_primary() {
    a_redis_store_moves_to_the_new_primary("redis-server").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_store_in_redis_6_2_moves_to_the_new_primary() {
    a_redis_store_moves_to_the_new_primary(redis_6_2()).await;
}

fn redis_6_2() -> &'static str {
    std::env::var("TEST_REDIS_6_2")
        .expect("TEST_REDIS_6_2 names the program redis-server of Redis 6.2")
        .leak()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_store_behind_sentinels_of_redis_7_finds_the_new_primary() {
    a_store_behind_sentinels_finds_the_new_primary("redis-server").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_store_behind_sentinels_of_redis_6_2_finds_the_new_primary() {
    a_store_behind_sentinels_finds_the_new_primary(redis_6_2()).await;
}

/// A node that only listens finds out by the sign of life that it asks for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_feed_finds_out_by_itself_that_its_redis_is_a_replica() {
    let former = redis::Server::start().await;
    let store = RedisStore::connect_with(&former.url(), quick())
        .await
        .unwrap();
    let mut feed = RevocationStore::subscribe(&store).await.unwrap();
    assert!(feed.is_alive().await);
    let nobody = redis::free_port().to_string();
    former
        .tell::<String>(&["REPLICAOF", "127.0.0.1", &nobody])
        .await;
    assert!(!bounded(feed.is_alive()).await);
    assert_eq!(bounded(feed.next()).await, None);
    assert!(bounded(RevocationStore::subscribe(&store)).await.is_err());
    assert!(
        bounded(store.load()).await.is_err(),
        "the store has left it too"
    );
    former.tell::<String>(&["REPLICAOF", "NO", "ONE"]).await;
    assert!(bounded(store.load()).await.is_ok());
}

/// Promotes the standby of a PostgreSQL behind a proxy, and leads the proxy there. The former primary still runs, and
/// only reads.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_store_in_postgresql_moves_to_the_new_primary() {
    let former = postgres::Server::start();
    let next = former.start_standby();
    let proxy = Proxy::to(former.port()).await;
    let url = format!("postgres://warden@{}/postgres", proxy.address());
    let options = SqlOptions::new().with_timeout(Duration::from_secs(2));
    let store = PostgresStore::connect_with(&url, options.with_connections(4))
        .await
        .unwrap();
    let house = House::new(store.clone());
    assert_eq!(house.visit("alice", "r1").await, 200);
    let revocations = Revocations::shared(store.clone()).await.unwrap();
    let owners = Owners::shared(store.clone()).await.unwrap();
    let mut feed = SharedOwnerStore::subscribe(&store).await.unwrap();
    // Every connection of the pool is open.
    let visits = (0..16).map(|_| house.visit("alice", "r1"));
    futures_util::future::join_all(visits).await;
    let mut admin = super::postgres::connect(&former.url()).await;
    let mut standby = super::postgres::connect(&next.url()).await;
    let caught_up = async {
        let question = "SELECT (pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn())::int::bigint
            * (SELECT COUNT(*) FROM warden_owners)";
        while super::postgres::number_on(&mut standby, question).await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    bounded(caught_up).await;
    drop(standby);

    super::postgres::execute(
        &mut admin,
        "ALTER SYSTEM SET default_transaction_read_only = on",
    )
    .await;
    super::postgres::execute(&mut admin, "SELECT pg_reload_conf()").await;
    let reads_only = async { while store.publish(&Revocation::api_key("k0")).await.is_ok() {} };
    bounded(reads_only).await;
    assert_eq!(
        bounded(feed.next()).await,
        None,
        "LISTEN does not stay there"
    );
    assert_eq!(bounded(house.visit("bob", "r2")).await, 503);
    assert_eq!(bounded(house.visit("alice", "r1")).await, 503);
    let noticed = async {
        while revocations.ready().is_ok() || owners.ready().is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    bounded(noticed).await;

    next.promote();
    proxy.lead_to(next.port());
    bounded(async { while house.visit("bob", "r2").await != 200 {} }).await;
    // None of the connections has stayed: each of many writes succeeds.
    for n in 0..32 {
        let visits = (0..4).map(|m| {
            let room = format!("r{n}-{m}");
            let house = &house;
            async move { house.visit("bob", &room).await }
        });
        let answers = futures_util::future::join_all(visits).await;
        assert_eq!(answers, [200; 4]);
    }
    assert_eq!(house.visit("mallory", "r1").await, 403);
    let back = async {
        while revocations.ready().is_err() || owners.ready().is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    bounded(back).await;
    let direct = PostgresStore::connect(&next.url()).await.unwrap();
    let mut feed = SharedOwnerStore::subscribe(&store).await.unwrap();
    let (room, carol) = (resource("/agents/a/r1"), subject("carol"));
    direct.grant(&room, &carol, Role::Reader).await.unwrap();
    assert!(bounded(feed.next()).await.is_some());
    direct.publish(&Revocation::api_key("k2")).await.unwrap();
    bounded(async {
        while !revocations.is_api_key_revoked("k2") {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// A node that only listens finds out by the sign of life that it asks for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_feed_finds_out_by_itself_that_its_postgresql_only_reads() {
    let server = postgres::Server::start();
    let options = SqlOptions::new().with_timeout(Duration::from_secs(2));
    let store = PostgresStore::connect_with(&server.url(), options)
        .await
        .unwrap();
    let mut feed = RevocationStore::subscribe(&store).await.unwrap();
    assert!(feed.is_alive().await);
    let mut admin = super::postgres::connect(&server.url()).await;
    super::postgres::execute(
        &mut admin,
        "ALTER SYSTEM SET default_transaction_read_only = on",
    )
    .await;
    super::postgres::execute(&mut admin, "SELECT pg_reload_conf()").await;
    bounded(async {
        while feed.is_alive().await {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(bounded(feed.next()).await, None);
    let refused = bounded(RevocationStore::subscribe(&store)).await;
    let refused = whole(&refused.unwrap_err());
    assert!(refused.contains("accepts no writes"), "{refused}");
}

/// The URL names both servers, the standby first.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_store_finds_the_primary_among_several_hosts() {
    let mut former = postgres::Server::start();
    let next = former.start_standby();
    let hosts = |one: &postgres::Server, other: &postgres::Server| {
        let (one, other) = (one.port(), other.port());
        format!(
            "postgres://warden@127.0.0.1:{one},127.0.0.1:{other}/postgres?target_session_attrs=read-write"
        )
    };
    let options = || SqlOptions::new().with_timeout(Duration::from_secs(2));
    let store = PostgresStore::connect_with(&hosts(&next, &former), options())
        .await
        .unwrap();
    let house = House::new(store.clone());
    let revocations = Revocations::shared(store.clone()).await.unwrap();
    assert_eq!(house.visit("alice", "r1").await, 200);
    former.crash();
    assert_eq!(bounded(house.visit("alice", "r1")).await, 503);
    next.promote();
    bounded(async { while house.visit("bob", "r2").await != 200 {} }).await;
    let back = async {
        while revocations.ready().is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    bounded(back).await;
    let direct = PostgresStore::connect(&next.url()).await.unwrap();
    let owner = direct.owner(&resource("/agents/a/r2")).await.unwrap();
    assert_eq!(owner, Some(subject("bob")));
}

/// A pool of the application moves too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_pool_that_was_handed_over_keeps_no_connection_to_a_server_that_only_reads() {
    let server = postgres::Server::start();
    let pool = sqlx::postgres::PgPoolOptions::new()
        .min_connections(4)
        .max_connections(4)
        .connect(&server.url())
        .await
        .unwrap();
    let store = PostgresStore::from_pool(pool, SqlOptions::new())
        .await
        .unwrap();
    let house = House::new(store);
    assert_eq!(house.visit("alice", "r1").await, 200);
    let mut admin = super::postgres::connect(&server.url()).await;
    super::postgres::execute(
        &mut admin,
        "ALTER SYSTEM SET default_transaction_read_only = on",
    )
    .await;
    super::postgres::execute(&mut admin, "SELECT pg_reload_conf()").await;
    bounded(async { while house.visit("bob", &crate::engines::fresh("r")).await == 200 {} }).await;
    // Sessions keep their own setting from when they were opened; none of them is left.
    super::postgres::execute(
        &mut admin,
        "ALTER SYSTEM RESET default_transaction_read_only",
    )
    .await;
    super::postgres::execute(&mut admin, "SELECT pg_reload_conf()").await;
    bounded(async { while house.visit("bob", "r2").await != 200 {} }).await;
    assert_eq!(house.visit("mallory", "r1").await, 403);
}
