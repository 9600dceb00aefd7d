//! What every SQL engine is put through.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{task::JoinSet, time::timeout};
use tower::{Layer, ServiceExt};
use tower_warden::{
    ApiKeyRecord, ApiKeyStore, Claim, Inserted, JwtAuthLayer, KeyHash, NumericDate, OwnerStore,
    Owners, Page, ResourceId, Revocation, RevocationStore, Revocations, Role, SharedOwnerStore,
    SigningKey, Standing, SubjectId, TicketHash, TicketOffice, TicketRecord, TicketStore,
    TokenIssuer,
    testing::{ManualClock, conformance},
};

use crate::house::House;

/// So long anything may take that has to come at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whatever a store of the crate can do.
pub(crate) trait Store:
    OwnerStore + ApiKeyStore + TicketStore + RevocationStore + Clone
{
}

impl<S: OwnerStore + ApiKeyStore + TicketStore + RevocationStore + Clone> Store for S {}

pub(crate) fn resource(name: &str) -> ResourceId {
    ResourceId::new(name).unwrap()
}

/// A subject of the tests' issuer, which names none.
pub(crate) fn subject(name: &str) -> SubjectId {
    SubjectId::new("", name).unwrap()
}

/// A name that nobody has used before.
pub(crate) fn fresh(name: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{count}", std::process::id())
}

/// An answer that has to come, whatever it is.
pub(crate) async fn bounded<T>(answer: impl Future<Output = T>) -> T {
    let answer = timeout(PATIENCE, answer).await;
    answer.expect("every wait has its bound")
}

/// What an error says, with all that stands behind it.
pub(crate) fn whole(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text} {error} {error:?}");
        source = error.source();
    }
    text
}

/// All the suites.
pub(crate) async fn keeps_every_promise<S>(open: impl AsyncFn() -> S)
where
    S: Store + SharedOwnerStore,
{
    conformance::owner_store(&open).await;
    conformance::shared_owner_store(&open).await;
    conformance::api_key_store(&open).await;
    conformance::ticket_store(&open).await;
    conformance::revocation_store(&open).await;
}

/// Two hundred claim one room at once, through three nodes.
pub(crate) async fn one_of_two_hundred_claims_wins<S: Store>(nodes: [S; 3]) {
    let room = resource(&fresh("contested"));
    let mut claims = JoinSet::new();
    for n in 0..200 {
        let (node, room) = (nodes[n % 3].clone(), room.clone());
        claims.spawn(async move {
            let rival = subject(&format!("rival-{n}"));
            let claim = node.claim(&room, &rival).await.unwrap();
            (claim, rival)
        });
    }
    let claims = bounded(claims.join_all()).await;
    let winners: Vec<_> = claims
        .iter()
        .filter(|(claim, _)| *claim == Claim::Claimed)
        .map(|(_, rival)| rival.clone())
        .collect();
    assert_eq!(winners.len(), 1, "exactly one of many first claims wins");
    let lost = claims.iter().filter(|(claim, _)| *claim == Claim::Other);
    assert_eq!(lost.count(), 199, "all others are told so");
    for node in &nodes {
        assert_eq!(node.owner(&room).await.unwrap().as_ref(), winners.first());
    }
}

/// Tickets are presented on two nodes at once.
pub(crate) async fn a_ticket_is_redeemed_on_one_of_two_nodes<S: Store>(nodes: [S; 2]) {
    let [one, other] = nodes.map(House::new);
    for _ in 0..20 {
        let ticket = one.draw("alice", "r1").await.unwrap();
        let answers = tokio::join!(one.redeem(&ticket, "r1"), other.redeem(&ticket, "r1"));
        assert!([(200, 401), (401, 200)].contains(&answers), "{answers:?}");
        assert_eq!(other.redeem(&ticket, "r1").await, 401);
    }
}

/// What is revoked, granted and taken on one node is heard on another.
pub(crate) async fn what_one_node_changes_another_hears<S: Store + SharedOwnerStore>(
    [one, other]: [S; 2],
) {
    let here = Revocations::shared(one.clone()).await.ok().unwrap();
    let there = Revocations::shared(other.clone()).await.ok().unwrap();
    let owners = Owners::shared(other).await.unwrap();
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let _watch = owners.on_change(move |change| drop(sender.send(change.clone())));

    here.revoke(Revocation::api_key("k1")).await.unwrap();
    let heard = async {
        while !there.is_api_key_revoked("k1") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bounded(heard).await;

    let [alice, bob] = ["alice", "bob"].map(subject);
    let room = resource("r1");
    one.claim(&room, &alice).await.unwrap();
    one.grant(&room, &bob, Role::Reader).await.unwrap();
    OwnerStore::revoke(&one, &room, &bob).await.unwrap();
    let granted = bounded(told.recv()).await.unwrap();
    assert!(!granted.shuts_out(&bob, Role::Reader));
    let revoked = bounded(told.recv()).await.unwrap();
    assert!(revoked.shuts_out(&bob, Role::Reader));
}

/// Names that are as long as they may be and cannot be compressed, and such that somebody may take for others.
pub(crate) async fn hostile_names_are_kept_byte_for_byte<S: Store>(store: S) {
    let mut seed = 1_u32;
    let mut long = |length: usize| -> String {
        let text = (0..length).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + (seed >> 24) as u8 % 94)
        });
        text.collect()
    };
    let issuer = long(1024);
    let [alice, bob, carol] = [long(1024), long(1024), long(1024)]
        .map(|name| SubjectId::new(issuer.as_str(), name).unwrap());
    let rooms = [
        long(1024),
        // Each becomes six bytes of JSON.
        "\u{1}".repeat(1024),
        "\"".repeat(1024),
        "\u{1f5dd}".repeat(256),
    ];
    for name in &rooms {
        let room = resource(name);
        assert_eq!(store.claim(&room, &alice).await.unwrap(), Claim::Claimed);
        let granted = Some(Standing::Granted(Role::Admin));
        let grant = store.grant(&room, &bob, Role::Admin).await;
        assert_eq!(grant.unwrap(), granted);
        assert!(store.grant(&room, &carol, Role::Reader).await.is_ok());
        assert!(OwnerStore::revoke(&store, &room, &carol).await.unwrap());
        let access = store.access(&room, &bob).await.unwrap().unwrap();
        assert_eq!(access.owner(), &alice);
        assert_eq!(Some(access.standing()), granted);
        assert!(store.transfer(&room, &alice, &carol).await.unwrap());
        let access = store.access(&room, &bob).await.unwrap().unwrap();
        assert_eq!(access.standing(), Standing::Stranger);
    }
    let mut page = Page::first().with_limit(1);
    let mut found = Vec::new();
    loop {
        let listing = OwnerStore::list(&store, &carol, &page).await.unwrap();
        found.extend(listing.items);
        match listing.next {
            Some(cursor) => page = Page::after(cursor).with_limit(1),
            None => break,
        }
    }
    let mut expected = rooms.map(|name| resource(&name));
    expected.sort();
    assert_eq!(found, expected);

    let key = ApiKeyRecord {
        id: fresh("k"),
        hash: KeyHash::from_bytes(&[7; 32]).unwrap(),
        owner: alice.clone(),
        label: long(100),
        scopes: vec![long(100), "\u{e9}".into()],
        created_at: NumericDate::from_secs(1),
        expires_at: None,
        last_used_at: None,
    };
    assert_eq!(store.insert(&key, 100).await.unwrap(), Inserted::Kept);
    assert_eq!(store.find(&key.id).await.unwrap().as_ref(), Some(&key));
    let listed = ApiKeyStore::list(&store, &alice, &Page::first()).await;
    assert_eq!(listed.unwrap().items, [key]);

    // A hostile ID of a key is nobody's; where the engine cannot even be asked for it, that is no "nobody's".
    for id in ["", "' OR 1=1; --", "%", "k\u{0}", &long(10 * 1024)] {
        assert!(!matches!(store.find(id).await, Ok(Some(_))), "{id:.20?}");
    }
}

/// Tickets and revocations that are over do not stay for ever; `count` tells how many there are.
pub(crate) async fn what_is_over_is_swept_out<S: Store>(
    store: S,
    count: impl AsyncFn(&'static str) -> i64,
) {
    let clock = Arc::new(ManualClock::at(1_700_000_000));
    let office = TicketOffice::builder(store.clone()).with_clock(Arc::clone(&clock));
    let office = office.build().unwrap();
    let secret = "0123456789abcdef0123456789abcdef";
    let auth = JwtAuthLayer::hs256(secret).unwrap().build().unwrap();
    let service = auth.layer(office.service());
    let issuer = TokenIssuer::builder(SigningKey::hs256(secret).unwrap());
    let issuer = issuer.build().unwrap();
    for _ in 0..5 {
        // One subject has 64 at once.
        for n in 0..100 {
            let token = issuer.mint(format!("user{n}")).sign().unwrap();
            let request = Request::post("/auth/ticket")
                .header("authorization", format!("Bearer {}", token.expose()))
                .body(Full::<Bytes>::from(r#"{"agent":"a","room":"r1"}"#))
                .unwrap();
            let response = service.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
        }
        clock.advance(Duration::from_secs(600));
    }
    for n in 0..300 {
        let over = Revocation::token_id(format!("t{n}"), NumericDate::from_secs(1_000));
        store.publish(&over).await.unwrap();
    }
    // It is done while nobody waits for it.
    let swept = async {
        loop {
            let tickets = count("SELECT COUNT(*) FROM warden_tickets").await;
            let revocations = count("SELECT COUNT(*) FROM warden_revocations").await;
            if tickets < 200 && revocations < 100 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    bounded(swept).await;
    assert_eq!(store.load().await.ok().unwrap(), []);
}

/// A ticket of this subject, good until then.
fn ticket(subject: &str, expires_at: Duration) -> TicketRecord {
    let text = format!(
        r#"{{"token":{{"alg":"HS256","kid":null,"typ":"JWT","claims":"{{}}","scopes":[],"roles":[]}},"holder":{{"issuer":null,"subject":"{subject}"}},"resource":{{}},"origin":null,"authority":"","expires_at":{}}}"#,
        expires_at.as_millis()
    );
    TicketRecord::from_text(&text).unwrap()
}

/// One subject drew tickets without end, and filled the table for all.
pub(crate) async fn a_subject_has_64_tickets_at_once<S: TicketStore>(nodes: [S; 2]) {
    let now = Duration::from_secs(1_800_000_000);
    let end = now + Duration::from_secs(30);
    let (alice, bob) = (fresh("alice"), fresh("bob"));
    let hash = || {
        let name = format!("{:->32}", fresh("t"));
        TicketHash::from_bytes(name.as_bytes()).unwrap()
    };
    let hashes: Vec<_> = (0..200).map(|_| hash()).collect();
    let puts = hashes.iter().zip(nodes.iter().cycle());
    let puts = puts.map(|(hash, node)| node.put(*hash, ticket(&alice, end), now));
    let answers = futures_util::future::join_all(puts).await;
    let kept: Vec<_> = hashes
        .iter()
        .zip(&answers)
        .filter_map(|(hash, answer)| answer.is_ok().then_some(*hash))
        .collect();
    assert_eq!(kept.len(), 64);
    nodes[0].put(hash(), ticket(&bob, end), now).await.unwrap();
    // Each that is taken makes room for one, and the end of their time for all.
    let taken = nodes[1].take(kept[0], None, now).await.unwrap();
    assert!(taken.is_some());
    nodes[0]
        .put(hash(), ticket(&alice, end), now)
        .await
        .unwrap();
    assert!(
        nodes[1]
            .put(hash(), ticket(&alice, end), now)
            .await
            .is_err()
    );
    let later = end + Duration::from_secs(30);
    nodes[1]
        .put(hash(), ticket(&alice, later), end)
        .await
        .unwrap();
}
