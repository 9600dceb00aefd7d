//! What holds no longer although its time is not over.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Mutex,
    task::yield_now,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt};
use tower_warden::{
    BearerToken, JwtAuthLayer, Lease, LeaseEnd, MemoryRevocationFeed, MemoryRevocationStore,
    NumericDate, RejectionKind, Revocation, RevocationError, RevocationFeed, RevocationStore,
    Revocations,
    testing::{ManualClock, TestTokens},
};

use crate::{
    lease::{START, admit, clock, layer},
    support::{Inner, SECRET, get, refusal, send},
};

fn tokens(clock: &ManualClock) -> TestTokens {
    TestTokens::hs256(SECRET).unwrap().with_clock(clock.clone())
}

fn date(seconds: u64) -> NumericDate {
    NumericDate::from_secs(seconds)
}

fn guarded(clock: &ManualClock, revocations: &Revocations) -> JwtAuthLayer {
    let builder = layer(clock).with_revocations(revocations.clone());
    builder.build().unwrap()
}

/// Whether the layer lets the token in, or why not.
fn verdict(layer: &JwtAuthLayer, token: &BearerToken<'_>) -> Option<RejectionKind> {
    refusal(&send(layer, get("/chat", token)))
}

/// The same, for tests that wait for something.
async fn judge(layer: &JwtAuthLayer, token: &BearerToken<'_>) -> Option<RejectionKind> {
    let service = layer.layer(Inner::default());
    refusal(&service.oneshot(get("/chat", token)).await.unwrap())
}

#[test]
fn what_is_revoked_is_refused_and_nothing_else() {
    let issued = START;
    let later = date(START + 10_000);
    let id = "https://id.example";
    let table = [
        (Revocation::token_id("t-1", later), true),
        (Revocation::token_id("t-2", later), false),
        (Revocation::token_id("s-1", later), false),
        (Revocation::session("s-1", later), true),
        (Revocation::session("t-1", later), false),
        (
            Revocation::subject(Some(id), "alice", date(issued + 1), later),
            true,
        ),
        (
            Revocation::subject(Some(id), "alice", date(issued), later),
            false,
        ),
        (
            Revocation::subject(Some(id), "Alice", date(issued + 1), later),
            false,
        ),
        (
            Revocation::subject(None, "alice", date(issued + 1), later),
            false,
        ),
        (
            Revocation::subject(Some("https://id.exampl"), "ealice", date(issued + 1), later),
            false,
        ),
        // The principal of an API key carries the key's ID as its token's.
        (Revocation::api_key("t-1"), true),
        (Revocation::api_key("s-1"), false),
        (Revocation::everything(date(issued + 1), later), true),
        (Revocation::everything(date(issued), later), false),
        (Revocation::token_id("t-1", date(START - 400)), false),
    ];
    for (revocation, refused) in table {
        let clock = clock();
        let revocations = Revocations::builder().with_clock(clock.clone()).build();
        let layer = guarded(&clock, &revocations);
        let token = tokens(&clock)
            .with_issuer(id)
            .with_claim("jti", "t-1")
            .with_claim("sid", "s-1")
            .valid();
        assert_eq!(verdict(&layer, &token), None, "{revocation:?}");
        revocations.apply(&revocation).unwrap();
        let expected = refused.then_some(RejectionKind::Revoked);
        assert_eq!(verdict(&layer, &token), expected, "{revocation:?}");
    }
}

#[test]
fn a_revoked_token_is_answered_401_invalid_token() {
    let clock = clock();
    let revocations = Revocations::builder().with_clock(clock.clone()).build();
    let layer = guarded(&clock, &revocations);
    let everything = Revocation::everything(date(START + 1), date(START + 600));
    revocations.apply(&everything).unwrap();
    let response = send(&layer, get("/chat", &tokens(&clock).valid()));
    assert_eq!(response.status(), 401);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.contains(r#"error="invalid_token""#),
        "{challenge}"
    );
    assert!(response.body().contains(r#""code":"revoked""#));
}

#[test]
fn a_token_without_iat_may_have_been_issued_at_any_time() {
    let clock = clock();
    let revocations = Revocations::builder().with_clock(clock.clone()).build();
    let layer = guarded(&clock, &revocations);
    let token = tokens(&clock).without_claim("iat");
    assert_eq!(verdict(&layer, &token), None);
    let revocation = Revocation::subject(None, "alice", date(1), date(START + 600));
    revocations.apply(&revocation).unwrap();
    assert_eq!(verdict(&layer, &token), Some(RejectionKind::Revoked));
}

#[test]
fn entries_go_with_their_tokens_and_a_full_list_says_so() {
    let clock = clock();
    let revocations = Revocations::builder()
        .with_clock(clock.clone())
        .with_capacity(3)
        .build();
    let entry = |id: &str| Revocation::token_id(id, date(START + 600));
    for id in ["a", "b", "c"] {
        revocations.apply(&entry(id)).unwrap();
    }
    let full = revocations.apply(&entry("d"));
    assert!(matches!(full, Err(RevocationError::Full { capacity: 3 })));
    revocations.apply(&entry("a")).unwrap();
    let other_kind = revocations.apply(&Revocation::session("d", date(START + 600)));
    assert!(other_kind.is_err(), "the room is one");

    // Five minutes of leeway after the expiry of their tokens nobody needs them any more.
    clock.set(START + 900);
    let fresh = Revocation::token_id("d", date(START + 2_000));
    revocations.apply(&fresh).unwrap();
    assert_eq!(revocations.len(), 1);
}

/// In tokio's paused time, which passes only while everybody waits: none does, from the revocation to the last end.
#[tokio::test(start_paused = true)]
async fn ten_thousand_open_connections_end_at_once_and_the_others_go_on() {
    let clock = clock();
    let revocations = Revocations::builder().with_clock(clock.clone()).build();
    let layer = guarded(&clock, &revocations);
    let [gone, stays] = ["gone", "stays"].map(|session| {
        let tokens = tokens(&clock).with_claim("sid", session);
        tokens.valid()
    });
    let gone = admit(&layer, &gone).await;
    let stays = admit(&layer, &stays).await;
    let ended = Arc::new(AtomicUsize::new(0));
    let mut waiting = Vec::new();
    let mut others = Vec::new();
    for _ in 0..10_000 {
        let lease = gone.lease();
        let ended = Arc::clone(&ended);
        waiting.push(tokio::spawn(async move {
            assert_eq!(lease.ended().await, LeaseEnd::Revoked);
            ended.fetch_add(1, Ordering::Relaxed);
        }));
    }
    for _ in 0..100 {
        others.push(stays.lease());
    }
    yield_now().await;
    assert_eq!(revocations.open_connections(), 10_100);

    let begun = Instant::now();
    let revocation = Revocation::session("gone", date(START + 600));
    assert_eq!(revocations.apply(&revocation).unwrap(), 10_000);
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(ended.load(Ordering::Relaxed), 10_000);
    for lease in &others {
        assert_eq!(lease.check(), Ok(()));
    }
    assert_eq!(revocations.open_connections(), 100);
    drop(others);
    assert_eq!(
        revocations.open_connections(),
        0,
        "whoever leaves is forgotten"
    );
}

#[tokio::test]
async fn a_session_is_remembered_beyond_the_expiry_of_the_token_that_named_it() {
    let clock = clock();
    let revocations = Revocations::builder()
        .with_clock(clock.clone())
        .with_capacity(2)
        .build();
    let layer = guarded(&clock, &revocations);
    let [first, second] = [600, 6_000].map(|lifetime| {
        let tokens = tokens(&clock).with_claim("sid", "s-1");
        tokens.with_claim("exp", START + lifetime).valid()
    });
    let principal = admit(&layer, &first).await;
    let entry = Revocation::of(&principal).unwrap();
    revocations.apply(&entry).unwrap();
    let filler = Revocation::token_id("t-1", date(START + 600));
    revocations.apply(&filler).unwrap();

    clock.advance(Duration::from_secs(1_000));
    let another = Revocation::token_id("t-2", date(START + 6_000));
    revocations.apply(&another).unwrap();
    assert_eq!(revocations.len(), 2, "what is over has gone");
    let verdict = judge(&layer, &second).await;
    assert_eq!(verdict, Some(RejectionKind::Revoked));
}

#[tokio::test]
async fn the_names_of_one_issuer_are_not_those_of_another() {
    const ISSUERS: [&str; 2] = ["https://a.example", "https://b.example"];
    for claim in ["sid", "jti"] {
        let clock = clock();
        let open = layer(&clock).build().unwrap();
        let [ours, theirs] = ISSUERS.map(|issuer| {
            let tokens = tokens(&clock).with_issuer(issuer);
            tokens.with_claim(claim, "n-1").valid()
        });
        let nobodys = tokens(&clock).with_claim(claim, "n-1").valid();
        let any = match claim {
            "sid" => Revocation::session("n-1", date(START + 600)),
            _ => Revocation::token_id("n-1", date(START + 600)),
        };
        let of = Revocation::of(&admit(&open, &ours).await).unwrap();
        let unbound = Revocation::of(&admit(&open, &nobodys).await).unwrap();
        for (revocation, refused) in [
            (any.clone().of_issuer(ISSUERS[0]), [true, false, false]),
            (any.clone().of_issuer(""), [false; 3]),
            (of, [true, false, false]),
            (unbound, [true; 3]),
            (any, [true; 3]),
        ] {
            let revocations = Revocations::builder().with_clock(clock.clone()).build();
            let layer = guarded(&clock, &revocations);
            revocations.apply(&revocation).unwrap();
            let text = serde_json::to_string(&revocation).unwrap();
            for (token, refused) in [&ours, &theirs, &nobodys].into_iter().zip(refused) {
                let expected = refused.then_some(RejectionKind::Revoked);
                assert_eq!(judge(&layer, token).await, expected, "{text}");
            }
            let read: Revocation = serde_json::from_str(&text).unwrap();
            assert_eq!(read, revocation, "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_of_everything_is_over_when_it_says_so() {
    let clock = clock();
    let store = MemoryRevocationStore::with_clock(clock.clone());
    let builder = Revocations::builder().with_clock(clock.clone());
    let following = builder.share(store).await.unwrap();
    let alone = Revocations::builder().with_clock(clock.clone()).build();
    let token = tokens(&clock).with_claim("exp", START + 9_000).valid();
    let layers = [&following, &alone].map(|revocations| guarded(&clock, revocations));
    // The one that revokes less is remembered longer.
    let all = [(START + 1, START + 600), (START, START + 5_000)];
    for (before, expires_at) in all {
        let everything = Revocation::everything(date(before), date(expires_at));
        following.revoke(everything.clone()).await.unwrap();
        alone.apply(&everything).unwrap();
    }
    for (now, refused) in [(START + 899, true), (START + 900, false)] {
        clock.set(now);
        // One node reads the whole now and then, the other is told of something else.
        sleep(Duration::from_secs(31)).await;
        let other = Revocation::token_id("t-1", date(START + 9_000));
        alone.apply(&other).unwrap();
        let expected = refused.then_some(RejectionKind::Revoked);
        for layer in &layers {
            assert_eq!(judge(layer, &token).await, expected, "now = {now}");
        }
        let older = tokens(&clock).with_claim("iat", START - 1);
        let older = older.with_claim("exp", START + 9_000).valid();
        for layer in &layers {
            let expected = Some(RejectionKind::Revoked);
            assert_eq!(judge(layer, &older).await, expected, "now = {now}");
        }
    }
}

#[tokio::test]
async fn a_lease_that_is_opened_too_late_has_ended() {
    let clock = clock();
    let revocations = Revocations::builder().with_clock(clock.clone()).build();
    let layer = guarded(&clock, &revocations);
    let token = tokens(&clock).with_claim("jti", "t-1").valid();
    let principal = admit(&layer, &token).await;
    revocations
        .revoke(Revocation::of(&principal).unwrap())
        .await
        .unwrap();
    assert_eq!(principal.lease().check(), Err(LeaseEnd::Revoked));
}

/// Waits, in paused time, until the lease has ended; `false` after that long.
async fn ends_within(lease: &Lease, time: Duration) -> bool {
    tokio::time::timeout(time, lease.ended()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn other_nodes_hear_of_it_and_end_their_connections() {
    let clock = clock();
    let store = MemoryRevocationStore::with_clock(clock.clone());
    let node = || {
        let builder = Revocations::builder().with_clock(clock.clone());
        builder.share(store.clone())
    };
    let [one, two] = [node().await.unwrap(), node().await.unwrap()];
    let token = tokens(&clock).with_claim("jti", "t-1").valid();
    let there = admit(&guarded(&clock, &two), &token).await.lease();
    one.revoke(Revocation::token_id("t-1", date(START + 600)))
        .await
        .unwrap();
    assert!(ends_within(&there, Duration::from_secs(1)).await);
    assert_eq!(there.check(), Err(LeaseEnd::Revoked));

    // A node that starts later knows it from the first request on.
    let late = node().await.unwrap();
    let principal = admit(&guarded(&clock, &Revocations::new()), &token).await;
    assert!(late.is_revoked(principal.token()));
}

/// A store whose feed says nothing, or breaks; what can be read is right.
#[derive(Clone)]
struct Patchy {
    memory: MemoryRevocationStore,
    behaviour: Arc<Mutex<Behaviour>>,
    subscriptions: Arc<AtomicUsize>,
    loads: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    Silent,
    Lost,
    /// Every message is one that cannot be read.
    Unreadable,
    /// Whoever subscribes anew gets no answer but an error.
    Down,
}

struct PatchyFeed(Behaviour, #[expect(dead_code)] MemoryRevocationFeed);

impl RevocationFeed for PatchyFeed {
    async fn next(&mut self) -> Option<Revocation> {
        match self.0 {
            Behaviour::Silent | Behaviour::Unreadable => pending().await,
            Behaviour::Lost | Behaviour::Down => {
                sleep(Duration::from_millis(10)).await;
                None
            }
        }
    }

    fn has_missed(&mut self) -> bool {
        self.0 == Behaviour::Unreadable
    }
}

/// What a memory answers, as an answer that might have been an error.
fn sure<T>(answer: Result<T, Infallible>) -> Result<T, Down> {
    answer.map_err(|never| match never {})
}

impl RevocationStore for Patchy {
    type Error = Down;
    type Feed = PatchyFeed;

    async fn publish(&self, revocation: &Revocation) -> Result<(), Down> {
        sure(self.memory.publish(revocation).await)
    }

    async fn load(&self) -> Result<Vec<Revocation>, Down> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        sure(self.memory.load().await)
    }

    async fn subscribe(&self) -> Result<PatchyFeed, Down> {
        let subscriptions = self.subscriptions.fetch_add(1, Ordering::Relaxed);
        let behaviour = *self.behaviour.lock().await;
        if behaviour == Behaviour::Down && subscriptions > 0 {
            return Err(Down);
        }
        Ok(PatchyFeed(behaviour, sure(self.memory.subscribe().await)?))
    }
}

/// A feed that breaks as soon as it is there has the whole read each time.
#[tokio::test(start_paused = true)]
async fn a_feed_that_keeps_breaking_is_taken_up_less_and_less_often() {
    let store = Patchy {
        memory: MemoryRevocationStore::new(),
        behaviour: Arc::new(Mutex::new(Behaviour::Lost)),
        subscriptions: Arc::default(),
        loads: Arc::default(),
    };
    let node = Revocations::shared(store.clone()).await.unwrap();
    sleep(Duration::from_secs(120)).await;
    let loads = store.loads.load(Ordering::Relaxed);
    assert!(
        (5..40).contains(&loads),
        "the whole was read {loads} times in 120 s"
    );
    *store.behaviour.lock().await = Behaviour::Silent;
    sleep(Duration::from_secs(10)).await;
    assert!(node.ready().is_ok());
}

/// Whoever may write to a channel could have every node read the whole with each message otherwise.
#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_no_lost_feed() {
    let store = Patchy {
        memory: MemoryRevocationStore::new(),
        behaviour: Arc::new(Mutex::new(Behaviour::Unreadable)),
        subscriptions: Arc::default(),
        loads: Arc::default(),
    };
    let node = Revocations::shared(store.clone()).await.unwrap();
    let revocation = Revocation::api_key("k1");
    store.memory.publish(&revocation).await.unwrap();
    sleep(Duration::from_secs(11)).await;
    assert!(node.is_api_key_revoked("k1"), "the whole is read soon");
    sleep(Duration::from_secs(109)).await;
    let loads = store.loads.load(Ordering::Relaxed);
    assert!(
        (12..=25).contains(&loads),
        "at most every 5 s: {loads} times in 120 s"
    );
    assert_eq!(store.subscriptions.load(Ordering::Relaxed), 1);
    assert!(node.ready().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_got_lost_is_healed_by_reading_the_whole() {
    for (behaviour, within) in [(Behaviour::Silent, 31), (Behaviour::Lost, 1)] {
        let clock = clock();
        let memory = MemoryRevocationStore::with_clock(clock.clone());
        let store = Patchy {
            memory: memory.clone(),
            behaviour: Arc::new(Mutex::new(behaviour)),
            subscriptions: Arc::default(),
            loads: Arc::default(),
        };
        let builder = Revocations::builder().with_clock(clock.clone());
        let node = builder.share(store.clone()).await.unwrap();
        let token = tokens(&clock).with_claim("jti", "t-1").valid();
        let lease = admit(&guarded(&clock, &node), &token).await.lease();
        memory
            .publish(&Revocation::token_id("t-1", date(START + 600)))
            .await
            .unwrap();
        assert!(ends_within(&lease, Duration::from_secs(within)).await);
        assert_eq!(lease.check(), Err(LeaseEnd::Revoked));

        // Nobody asks the store any more once the revocations are dropped.
        drop((node, lease));
        sleep(Duration::from_secs(120)).await;
        let before = store.subscriptions.load(Ordering::Relaxed);
        sleep(Duration::from_secs(120)).await;
        assert_eq!(store.subscriptions.load(Ordering::Relaxed), before);
        assert_eq!(Arc::strong_count(&store.subscriptions), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_left_alone_once_nobody_holds_the_revocations() {
    let store = Patchy {
        memory: MemoryRevocationStore::with_clock(clock()),
        behaviour: Arc::new(Mutex::new(Behaviour::Down)),
        subscriptions: Arc::default(),
        loads: Arc::default(),
    };
    let node = Revocations::shared(store.clone()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let asked = store.subscriptions.load(Ordering::Relaxed);
    assert!(asked > 5, "asked again and again: {asked}");
    drop(node);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(store.subscriptions.load(Ordering::Relaxed), asked);
    assert_eq!(Arc::strong_count(&store.subscriptions), 1);
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn the_memory_store_keeps_every_promise() {
    let store = MemoryRevocationStore::new();
    tower_warden::testing::conformance::revocation_store(async || store.clone()).await;
}

/// A store that forgets to tell whoever listens is caught, and so are two that are not one.
#[cfg(feature = "testing")]
#[tokio::test(start_paused = true)]
#[should_panic(expected = "the feed never told")]
async fn a_store_that_tells_nobody_does_not_conform() {
    let store = Patchy {
        memory: MemoryRevocationStore::new(),
        behaviour: Arc::new(Mutex::new(Behaviour::Silent)),
        subscriptions: Arc::default(),
        loads: Arc::default(),
    };
    tower_warden::testing::conformance::revocation_store(async || store.clone()).await;
}

#[cfg(feature = "testing")]
#[tokio::test]
#[should_panic(expected = "on every node")]
async fn a_store_that_is_not_shared_does_not_conform() {
    tower_warden::testing::conformance::revocation_store(async || MemoryRevocationStore::new())
        .await;
}

#[tokio::test]
async fn what_is_published_again_is_kept_once() {
    let store = MemoryRevocationStore::with_clock(clock());
    let revocation = Revocation::token_id("t-1", date(START + 600));
    for _ in 0..3 {
        store.publish(&revocation).await.unwrap();
    }
    let longer = Revocation::token_id("t-1", date(START + 700));
    store.publish(&longer).await.unwrap();
    let kept = store.load().await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept.contains(&revocation) && kept.contains(&longer));
}

#[derive(Debug, thiserror::Error)]
#[error("the store is down")]
struct Down;

struct DownStore;

impl RevocationStore for DownStore {
    type Error = Down;
    type Feed = PatchyFeed;

    async fn publish(&self, _: &Revocation) -> Result<(), Down> {
        Err(Down)
    }

    async fn load(&self) -> Result<Vec<Revocation>, Down> {
        Err(Down)
    }

    async fn subscribe(&self) -> Result<PatchyFeed, Down> {
        Err(Down)
    }
}

#[tokio::test]
async fn a_node_that_cannot_read_what_is_revoked_does_not_begin() {
    let error = Revocations::shared(DownStore).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is down");
}
