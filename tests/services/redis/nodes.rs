//! Many nodes at once.

use std::sync::Arc;

use tokio::task::JoinSet;
use tower_warden::{
    ApiKeyRecord, ApiKeyStore, Claim, Inserted, KeyHash, NumericDate, OwnerStore, Owners, Page,
    RedisStore, Revocation, RevocationStore, Revocations, Role,
};

use super::{fresh, open, resource, server::PATIENCE, subject};
use crate::house::House;

async fn three_nodes() -> [RedisStore; 3] {
    [
        open("nodes").await,
        open("nodes").await,
        open("nodes").await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn of_200_first_claims_on_three_nodes_exactly_one_wins() {
    let nodes = three_nodes().await;
    for _ in 0..5 {
        let room = resource(&fresh("/agents/support/contested"));
        let mut claims = JoinSet::new();
        for n in 0..200 {
            let (node, room) = (nodes[n % 3].clone(), room.clone());
            let rival = subject(&fresh("rival"));
            claims.spawn(async move { (node.claim(&room, &rival).await.unwrap(), rival) });
        }
        let claims = claims.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = claims
            .into_iter()
            .partition(|(claim, _)| *claim == Claim::Claimed);
        assert_eq!((won.len(), lost.len()), (1, 199));
        let owner = &won[0].1;
        for node in &nodes {
            assert_eq!(node.owner(&room).await.unwrap().as_ref(), Some(owner));
        }
        let list = OwnerStore::list(&nodes[1], owner, &Page::first()).await;
        assert_eq!(list.unwrap().items, [room]);
        for (claim, rival) in lost {
            assert_eq!(claim, Claim::Other);
            let list = OwnerStore::list(&nodes[2], &rival, &Page::first()).await;
            assert_eq!(list.unwrap().items, [], "who lost has nothing");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_ticket_shown_on_two_nodes_at_once_opens_one_socket() {
    let houses = [
        Arc::new(House::new(open("nodes").await)),
        Arc::new(House::new(open("nodes").await)),
    ];
    for _ in 0..20 {
        let ticket = houses[0].draw("alice", "r1").await.unwrap();
        let mut shown = JoinSet::new();
        for n in 0..10 {
            let (house, ticket) = (Arc::clone(&houses[n % 2]), ticket.clone());
            shown.spawn(async move { house.redeem(&ticket, "r1").await });
        }
        let mut statuses = shown.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200);
        assert!(statuses[1..].iter().all(|status| *status == 401));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn a_resource_that_goes_to_and_fro_is_listed_where_it_is() {
    let nodes = Arc::new(three_nodes().await);
    let [alice, bob] = ["alice", "bob"].map(|name| subject(&fresh(name)));
    let room = resource(&fresh("restless"));
    nodes[0].claim(&room, &alice).await.unwrap();
    // Lists drop what is not true at the moment; they must not drop what is about to be.
    let mut listing = JoinSet::new();
    for (n, who) in [&alice, &bob, &alice, &bob].into_iter().enumerate() {
        let (nodes, who) = (Arc::clone(&nodes), who.clone());
        listing.spawn(async move {
            loop {
                let list = OwnerStore::list(&nodes[n % 3], &who, &Page::first()).await;
                assert!(list.unwrap().items.len() <= 1);
            }
        });
    }
    for n in 0..200 {
        let (from, to) = if n % 2 == 0 {
            (&alice, &bob)
        } else {
            (&bob, &alice)
        };
        assert!(nodes[n % 3].transfer(&room, from, to).await.unwrap());
        for (who, expected) in [(from, 0), (to, 1)] {
            let list = OwnerStore::list(&nodes[(n + 1) % 3], who, &Page::first()).await;
            assert_eq!(list.unwrap().items.len(), expected, "after {n} transfers");
        }
    }
    listing.shutdown().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn what_one_node_changes_the_others_hear() {
    let [one, other, _] = three_nodes().await;
    let here = Revocations::shared(one.clone()).await.unwrap();
    let there = Revocations::shared(other.clone()).await.unwrap();
    let owners = Owners::shared(other).await.unwrap();
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let room = resource(&fresh("shared"));
    let watched = room.clone();
    let _watch = owners.on_change(move |change| {
        if *change.resource() == watched {
            drop(sender.send(change.clone()));
        }
    });

    let id = fresh("key");
    here.revoke(Revocation::api_key(&*id)).await.unwrap();
    let heard = async {
        while !there.is_api_key_revoked(&id) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.unwrap();

    let [alice, bob] = ["alice", "bob"].map(|name| subject(&fresh(name)));
    one.claim(&room, &alice).await.unwrap();
    one.grant(&room, &bob, Role::Reader).await.unwrap();
    OwnerStore::revoke(&one, &room, &bob).await.unwrap();
    let granted = tokio::time::timeout(PATIENCE, told.recv()).await.unwrap();
    assert!(!granted.unwrap().shuts_out(&bob, Role::Reader));
    let revoked = tokio::time::timeout(PATIENCE, told.recv()).await.unwrap();
    assert!(revoked.unwrap().shuts_out(&bob, Role::Reader));
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn names_reach_nothing_but_what_they_name() {
    let store = open("hostile").await;
    let long = "x".repeat(10 * 1024);
    let ids = [
        "}{",
        "{a}:owned",
        "a\0b",
        "a\r\nFLUSHALL\r\n",
        "*",
        "",
        " ",
        "\u{e9}",
        "e\u{301}",
        "\u{212a}",
        "K",
        &long,
    ];
    let run = fresh("");
    let mut records = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let record = ApiKeyRecord {
            id: format!("{id}{run}"),
            hash: KeyHash::from_bytes(&[u8::try_from(n).unwrap(); 32]).unwrap(),
            owner: subject(&fresh("o'neill}{")),
            label: (*id).to_owned(),
            scopes: vec![(*id).to_owned()],
            created_at: NumericDate::from_secs(u64::MAX),
            expires_at: Some(NumericDate::from_secs((1 << 53) + 1)),
            last_used_at: None,
        };
        assert_eq!(store.find(&record.id).await.unwrap(), None, "{id:.20}");
        assert_eq!(store.insert(&record, 100).await.unwrap(), Inserted::Kept);
        records.push(record);
    }
    for mut record in records {
        assert_eq!(
            store.find(&record.id).await.unwrap().as_ref(),
            Some(&record)
        );
        // Numbers of which a double knows no difference.
        for used in [9, 10, u64::MAX - 1, u64::MAX, u64::MAX - 2] {
            let used = NumericDate::from_secs(used);
            store.touch(&record.id, used).await.unwrap();
            record.last_used_at = record.last_used_at.max(Some(used));
            let found = store.find(&record.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(&record));
        }
        let list = ApiKeyStore::list(&store, &record.owner, &Page::first()).await;
        assert_eq!(list.unwrap().items, [record]);
    }
    store.publish(&Revocation::api_key(&*long)).await.unwrap();
}
