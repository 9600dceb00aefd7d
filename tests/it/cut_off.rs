//! What becomes of a node that its store does not reach.

use std::{convert::Infallible, future::pending, time::Duration};

use http::{Request, Response};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    BearerToken, CutOffPolicy, JwtAuthLayer, Lease, LeaseEnd, MemoryRevocationFeed,
    MemoryRevocationStore, NumericDate, Paths, Principal, RejectionKind, Revocation,
    RevocationFeed, RevocationStore, Revocations,
    testing::{ManualClock, TestTokens},
};

use crate::{
    lease::{START, clock, layer},
    log_lines::LogLines,
    support::{Inner, SECRET, get, refusal},
};

/// How a link does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Up,
    /// Everything fails at once, and feeds break.
    Down,
    /// Nothing is ever answered.
    Dead,
    /// The feed says nothing and does not know it; what is read is right.
    Deaf,
    /// The store's own code panics.
    Mad,
}

#[derive(Debug, thiserror::Error)]
#[error("connection refused")]
struct Refused;

/// A store behind a line that can be cut.
#[derive(Clone)]
struct Switched {
    memory: MemoryRevocationStore,
    line: watch::Sender<Line>,
}

impl Switched {
    fn new(clock: &ManualClock) -> Self {
        Self {
            memory: MemoryRevocationStore::with_clock(clock.clone()),
            line: watch::Sender::new(Line::Up),
        }
    }

    async fn answer<T>(&self, answer: Result<T, Infallible>) -> Result<T, Refused> {
        let line = *self.line.borrow();
        match line {
            Line::Up | Line::Deaf => answer.map_err(|never| match never {}),
            Line::Down => Err(Refused),
            Line::Dead => pending().await,
            Line::Mad => panic!("the store went mad"),
        }
    }
}

struct SwitchedFeed {
    memory: MemoryRevocationFeed,
    line: watch::Receiver<Line>,
}

impl RevocationStore for Switched {
    type Error = Refused;
    type Feed = SwitchedFeed;

    async fn publish(&self, revocation: &Revocation) -> Result<(), Refused> {
        self.answer(self.memory.publish(revocation).await).await
    }

    async fn load(&self) -> Result<Vec<Revocation>, Refused> {
        self.answer(self.memory.load().await).await
    }

    async fn subscribe(&self) -> Result<SwitchedFeed, Refused> {
        let memory = self.memory.subscribe().await;
        Ok(SwitchedFeed {
            memory: self.answer(memory).await?,
            line: self.line.subscribe(),
        })
    }
}

impl RevocationFeed for SwitchedFeed {
    async fn next(&mut self) -> Option<Revocation> {
        loop {
            let line = *self.line.borrow_and_update();
            match line {
                Line::Up => tokio::select! {
                    news = self.memory.next() => return news,
                    _ = self.line.changed() => {}
                },
                Line::Down => return None,
                Line::Dead | Line::Deaf => drop(self.line.changed().await),
                Line::Mad => panic!("the feed went mad"),
            }
        }
    }

    async fn is_alive(&mut self) -> bool {
        let line = *self.line.borrow();
        match line {
            Line::Up | Line::Deaf => true,
            Line::Down | Line::Mad => false,
            Line::Dead => pending().await,
        }
    }
}

/// A node with a token that is good.
struct Node {
    store: Switched,
    revocations: Revocations,
    layer: JwtAuthLayer,
    clock: ManualClock,
    token: BearerToken<'static>,
}

async fn node(policy: CutOffPolicy) -> Node {
    let clock = clock();
    let store = Switched::new(&clock);
    let builder = Revocations::builder()
        .with_clock(clock.clone())
        .with_cut_off_policy(policy);
    let revocations = builder.share(store.clone()).await.unwrap();
    let layer = layer(&clock)
        .with_revocations(revocations.clone())
        .with_paths(Paths::all().exempt("/health"))
        .build()
        .unwrap();
    let token = tokens(&clock).with_claim("jti", "t-1").valid();
    Node {
        store,
        revocations,
        layer,
        clock,
        token,
    }
}

fn tokens(clock: &ManualClock) -> TestTokens {
    let tokens = TestTokens::hs256(SECRET).unwrap();
    tokens.with_clock(clock.clone())
}

/// Who comes back long after the store has gone.
fn later() -> NumericDate {
    NumericDate::from_secs(START + 100_000)
}

impl Node {
    /// Why a request with this token is refused, which then does not reach the inner service.
    async fn judge(&self, path: &str, token: &BearerToken<'_>) -> Option<RejectionKind> {
        let inner = Inner::default();
        let service = self.layer.layer(inner.clone());
        let response = service.oneshot(get(path, token)).await.unwrap();
        let refused = refusal(&response);
        assert_eq!(inner.calls(), usize::from(refused.is_none()));
        if refused == Some(RejectionKind::StoreUnavailable) {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "5");
        }
        refused
    }

    async fn verdict(&self) -> Option<RejectionKind> {
        self.judge("/chat", &self.token).await
    }

    async fn lease(&self) -> Lease {
        let inner = service_fn(async |request: Request<String>| {
            let lease = request.extensions().get().map(Principal::lease);
            let mut response = Response::new(String::new());
            response.extensions_mut().insert(lease.unwrap());
            Ok::<_, Infallible>(response)
        });
        let service = self.layer.layer(inner);
        let response = service.oneshot(get("/chat", &self.token)).await;
        response.unwrap().extensions_mut().remove().unwrap()
    }

    fn cut(&self, line: Line) {
        self.store.line.send_replace(line);
    }

    /// How long it takes, in paused time, until requests are refused.
    async fn seconds_until_refused(&self) -> u64 {
        let began = Instant::now();
        while self.verdict().await.is_none() {
            sleep(Duration::from_millis(100)).await;
            assert!(began.elapsed() < Duration::from_secs(1_000), "never");
        }
        assert_eq!(self.verdict().await, Some(RejectionKind::StoreUnavailable));
        began.elapsed().as_secs()
    }

    /// Waits, in paused time, until requests are let in again.
    async fn is_back(&self) {
        let back = async {
            while self.verdict().await.is_some() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(Duration::from_secs(10), back).await.expect("back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_lets_nobody_in() {
    let log = LogLines::capture();
    let node = node(CutOffPolicy::FailClosed).await;
    assert_eq!(node.verdict().await, None);
    assert!(node.revocations.ready().is_ok());
    let known = tokens(&node.clock).with_claim("jti", "t-2").valid();
    let revocation = Revocation::token_id("t-2", later());
    node.revocations.revoke(revocation).await.unwrap();
    log.take();

    node.cut(Line::Down);
    assert_eq!(node.seconds_until_refused().await, 1);
    let cut_off = node.revocations.ready().unwrap_err();
    assert!(cut_off.is_refusing());
    let source = std::error::Error::source(&cut_off).unwrap();
    let source = source.source().unwrap();
    assert_eq!(source.to_string(), "connection refused");

    // What would not be let in anyway is refused for its own reason, and nobody needs a token for what is exempt.
    let verdict = node.judge("/chat", &known).await;
    assert_eq!(verdict, Some(RejectionKind::Revoked));
    let forged = TestTokens::hs256("another secret of more than 32 bytes").unwrap();
    let forged = forged.with_clock(node.clock.clone()).valid();
    let verdict = node.judge("/chat", &forged).await;
    assert_eq!(verdict, Some(RejectionKind::SignatureInvalid));
    assert_eq!(node.judge("/health", &node.token).await, None);

    sleep(Duration::from_secs(120)).await;
    assert!(node.revocations.ready().unwrap_err().age() >= Duration::from_secs(120));
    let lines = log.take();
    let warnings: Vec<_> = lines
        .lines()
        .filter(|line| line.contains("cut off"))
        .collect();
    let [warning] = warnings[..] else {
        panic!("one line for one outage: {lines}");
    };
    for part in ["WARN", "revocations", "FailClosed", "connection refused"] {
        assert!(warning.contains(part), "{warning}");
    }

    // What was revoked in the meantime is known before anybody is let in.
    let meanwhile = Revocation::token_id("t-1", later());
    node.store.memory.publish(&meanwhile).await.unwrap();
    node.cut(Line::Up);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(node.verdict().await, Some(RejectionKind::Revoked));
    let other = tokens(&node.clock).with_claim("jti", "t-3").valid();
    assert_eq!(node.judge("/chat", &other).await, None);
    assert!(node.revocations.ready().is_ok());
    let lines = log.take();
    let back = lines
        .lines()
        .filter(|line| line.contains("the store is back"));
    assert_eq!(back.count(), 1, "{lines}");
}

#[tokio::test(start_paused = true)]
async fn a_blip_is_no_outage() {
    let log = LogLines::capture();
    let node = node(CutOffPolicy::FailClosed).await;
    log.take();
    for _ in 0..3 {
        sleep(Duration::from_secs(20)).await;
        node.cut(Line::Down);
        for _ in 0..7 {
            sleep(Duration::from_millis(100)).await;
            assert_eq!(node.verdict().await, None);
        }
        node.cut(Line::Up);
        sleep(Duration::from_millis(500)).await;
        assert_eq!(node.verdict().await, None);
        assert!(node.revocations.ready().is_ok());
    }
    assert_eq!(log.take(), "");
}

#[tokio::test(start_paused = true)]
async fn fail_open_goes_by_what_it_knows_until_that_is_too_old() {
    let log = LogLines::capture();
    let policy = CutOffPolicy::FailOpen(Duration::from_secs(60));
    let node = node(policy).await;
    let lease = node.lease().await;
    node.cut(Line::Down);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(node.verdict().await, None);
    let cut_off = node.revocations.ready().unwrap_err();
    assert!(!cut_off.is_refusing(), "it says so all the same");
    assert!(log.take().contains("FailOpen(60s)"));
    // The whole had been read at the beginning.
    assert_eq!(node.seconds_until_refused().await, 58);
    assert!(node.revocations.ready().unwrap_err().is_refusing());
    assert_eq!(lease.check(), Err(LeaseEnd::StoreUnavailable));

    node.cut(Line::Up);
    node.is_back().await;
    assert!(node.revocations.ready().is_ok());

    // A message is a sign of life, and so is a read of the whole.
    sleep(Duration::from_secs(47)).await;
    let revocation = Revocation::token_id("t-9", later());
    node.store.memory.publish(&revocation).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    node.cut(Line::Down);
    let open = node.seconds_until_refused().await;
    assert!((57..=59).contains(&open), "after {open} s");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_dies_without_a_word_is_noticed() {
    for policy in [
        CutOffPolicy::FailClosed,
        CutOffPolicy::FailOpen(Duration::from_secs(4)),
    ] {
        let node = node(policy).await;
        node.cut(Line::Dead);
        // Five seconds of silence, five to answer, one of grace.
        let seconds = node.seconds_until_refused().await;
        assert!(seconds <= 11, "{policy:?}: after {seconds} s");
        node.cut(Line::Up);
        sleep(Duration::from_secs(10)).await;
        node.is_back().await;
    }
}

/// However long a store takes to answer, its time-out ends within the window.
#[tokio::test(start_paused = true)]
async fn fail_open_ends_with_its_window_when_a_store_hangs() {
    for seconds in [1, 2, 7, 60] {
        let window = Duration::from_secs(seconds);
        let node = node(CutOffPolicy::FailOpen(window)).await;
        let lease = node.lease().await;
        // Wherever in its rounds the node is.
        for millis in [0, 300, 700, 3_100] {
            sleep(Duration::from_millis(millis)).await;
            assert_eq!(node.verdict().await, None, "{window:?}");
            node.cut(Line::Dead);
            sleep(window + Duration::from_millis(10)).await;
            let verdict = node.verdict().await;
            assert_eq!(verdict, Some(RejectionKind::StoreUnavailable), "{window:?}");
            assert!(node.revocations.ready().unwrap_err().is_refusing());
            node.cut(Line::Up);
            sleep(Duration::from_secs(20)).await;
            node.is_back().await;
        }
        assert_eq!(lease.check(), Err(LeaseEnd::StoreUnavailable));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_deaf_feed_missed_is_read_as_often_as_it_was_told() {
    for interval in [2, 10, 60] {
        let clock = clock();
        let store = Switched::new(&clock);
        store.line.send_replace(Line::Deaf);
        let builder = Revocations::builder().with_healing(Duration::from_secs(interval));
        let builder = builder.with_clock(clock.clone());
        let node = builder.share(store.clone()).await.unwrap();
        let revocation = Revocation::token_id("t-1", later());
        store.memory.publish(&revocation).await.unwrap();
        sleep(Duration::from_millis(interval * 1_000 - 100)).await;
        assert!(node.is_empty());
        sleep(Duration::from_millis(200)).await;
        assert_eq!(node.len(), 1, "every {interval} s");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_outlast_a_short_outage_and_end_with_a_long_one() {
    let log = LogLines::capture();
    let node = node(CutOffPolicy::FailClosed).await;
    let lease = node.lease().await;
    let began = Instant::now();
    node.cut(Line::Down);
    sleep(Duration::from_secs(25)).await;
    assert_eq!(lease.check(), Ok(()));
    node.cut(Line::Up);
    node.is_back().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(lease.check(), Ok(()));

    // It is renewed by nobody whose token may have been revoked.
    node.cut(Line::Down);
    sleep(Duration::from_secs(2)).await;
    let newer = tokens(&node.clock)
        .with_claim("exp", START + 100_000)
        .valid();
    let refused = lease.renew(&newer).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::StoreUnavailable);
    assert_eq!(lease.check(), Ok(()), "the connection is as it was");
    drop(log.take());
    let end = timeout(Duration::from_secs(60), lease.ended())
        .await
        .unwrap();
    assert_eq!(end, LeaseEnd::StoreUnavailable);
    assert!(end.is_retryable());
    assert!(began.elapsed() > Duration::from_secs(30));
    assert!(log.take().contains("connections=1"));
    assert_eq!(node.revocations.open_connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_a_store_that_is_lost() {
    let node = node(CutOffPolicy::FailOpen(Duration::from_secs(3_600))).await;
    let lease = node.lease().await;
    node.cut(Line::Mad);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(node.verdict().await, Some(RejectionKind::StoreUnavailable));
    assert!(node.revocations.ready().unwrap_err().is_refusing());
    assert_eq!(lease.check(), Err(LeaseEnd::StoreUnavailable));
}

#[tokio::test(start_paused = true)]
async fn absurd_settings_neither_panic_nor_spin() {
    for policy in [
        CutOffPolicy::FailClosed,
        CutOffPolicy::FailOpen(Duration::ZERO),
        CutOffPolicy::FailOpen(Duration::MAX),
    ] {
        for healing in [Duration::ZERO, Duration::MAX] {
            let clock = clock();
            let store = Switched::new(&clock);
            let builder = Revocations::builder().with_cut_off_policy(policy);
            let node = builder.with_healing(healing).share(store.clone()).await;
            let node = node.unwrap();
            sleep(Duration::from_secs(1)).await;
            store.line.send_replace(Line::Down);
            sleep(Duration::from_secs(100)).await;
            assert!(node.ready().is_err());
            store.line.send_replace(Line::Up);
            sleep(Duration::from_secs(10)).await;
            assert!(node.ready().is_ok(), "{policy:?} {healing:?}");
        }
    }
}

#[test]
fn without_a_shared_store_nothing_can_be_cut_off() {
    let revocations = Revocations::builder()
        .with_cut_off_policy(CutOffPolicy::FailOpen(Duration::ZERO))
        .build();
    assert!(revocations.ready().is_ok());
}

/// Accounts are asked with the same doubt as the gate: who may have been signed out elsewhere is not told who they are.
#[cfg(feature = "accounts")]
#[tokio::test(start_paused = true)]
async fn accounts_of_a_node_that_is_cut_off_know_nobody() {
    use crate::accounts_support::{Browser, Watched, builder};

    let clock = clock();
    let store = Switched::new(&clock);
    let revocations = Revocations::builder().with_clock(clock.clone());
    let revocations = revocations.share(store.clone()).await.unwrap();
    let accounts = builder(Watched::default(), &clock).with_revocations(revocations.clone());
    let accounts = accounts.build().unwrap();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    assert_eq!(alice.get("/auth/user").await.status, 200);
    store.line.send_replace(Line::Down);
    sleep(Duration::from_secs(5)).await;
    assert!(revocations.ready().unwrap_err().is_refusing());
    for path in ["/auth/user", "/auth/sessions"] {
        let reply = alice.get(path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (503, "store_unavailable"),
            "{path}"
        );
    }
    store.line.send_replace(Line::Up);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(
        alice.get("/auth/user").await.status,
        200,
        "nobody was signed out"
    );
}
