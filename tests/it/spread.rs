//! What one node changes ends what is open on the others.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, request::Parts};
use tokio::{
    sync::{mpsc, watch},
    task::yield_now,
    time::{sleep, timeout},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Claim, CutOffPolicy, JwtAuthLayer, Lease, LeaseEnd, Listing, MemoryOwnerStore,
    MemoryOwnershipFeed, NumericDate, OwnerAccess, OwnerStore, Owners, OwnershipChange,
    OwnershipFeed, OwnershipLayer, Page, RejectionKind, ResourceId, ResourceKey, Revocation,
    Revocations, Role, SharedOwnerStore, Standing, StoreError, StoreFuture, SubjectId,
};

use crate::{
    log_lines::LogLines,
    support::{Inner, SECRET, get, issuer, refusal, token},
};

const ROOM: &str = "/agents/support/r1";

fn room() -> ResourceId {
    ResourceId::new(ROOM).unwrap()
}

fn subject(name: &str) -> SubjectId {
    SubjectId::new("", name).unwrap()
}

fn owned(store: impl OwnerStore) -> OwnershipLayer {
    OwnershipLayer::new(store, ResourceKey::path("/agents/{agent}/{room}").unwrap())
}

/// Alice owns the room, Bob may write in it.
async fn store() -> Arc<MemoryOwnerStore> {
    let store = Arc::new(MemoryOwnerStore::new());
    store.claim(&room(), &subject("alice")).await.unwrap();
    let bob = subject("bob");
    store.grant(&room(), &bob, Role::Writer).await.unwrap();
    store
}

/// Sends a request of this subject, and hands its head to `handle`.
async fn enter<T: Clone + Send + Sync + 'static>(
    layer: &OwnershipLayer,
    method: &str,
    path: &str,
    subject: &str,
    handle: impl AsyncFn(Parts) -> T,
) -> Result<T, RejectionKind> {
    let auth = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let token = issuer()
        .mint(subject)
        .with_scopes(["admin"])
        .sign()
        .unwrap();
    let token = if subject == "admin" {
        token
    } else {
        crate::support::token(subject)
    };
    let mut request = get(path, &token);
    *request.method_mut() = method.parse().unwrap();
    let handle = &handle;
    let inner = service_fn(move |request: Request<String>| async move {
        let mut response = Response::new(String::new());
        let answer = handle(request.into_parts().0).await;
        response.extensions_mut().insert(answer);
        Ok::<_, Infallible>(response)
    });
    let response = auth.layer(layer.layer(inner)).oneshot(request).await;
    let mut response = response.unwrap();
    match response.extensions_mut().remove() {
        Some(answer) => Ok(answer),
        None => Err(refusal(&response).expect("nobody else answers")),
    }
}

/// The lease of such a request.
async fn lease(layer: &OwnershipLayer, method: &str, subject: &str) -> Lease {
    lease_at(layer, method, ROOM, subject).await
}

async fn lease_at(layer: &OwnershipLayer, method: &str, path: &str, subject: &str) -> Lease {
    let open = async |head: Parts| Lease::from_head(&head).unwrap();
    enter(layer, method, path, subject, open).await.unwrap()
}

async fn ends_within(lease: &Lease, seconds: u64) -> Option<LeaseEnd> {
    timeout(Duration::from_secs(seconds), lease.ended())
        .await
        .ok()
}

#[tokio::test]
async fn a_change_on_one_node_is_told_on_the_other() {
    let store = Arc::new(MemoryOwnerStore::new());
    let here = Owners::shared(Arc::clone(&store)).await.unwrap();
    let there = Owners::shared(store).await.unwrap();
    let (sender, mut told) = mpsc::unbounded_channel();
    let _watch = there.on_change(move |change| drop(sender.send(change.clone())));

    let [alice, bob] = ["alice", "bob"].map(subject);
    here.claim(&room(), &alice).await.unwrap();
    here.grant(&room(), &bob, Role::Writer).await.unwrap();
    assert!(here.transfer(&room(), &alice, &bob).await.unwrap());

    let granted = told.recv().await.unwrap();
    assert!(matches!(granted, OwnershipChange::Granted { .. }));
    assert!(told.recv().await.unwrap().shuts_out(&alice, Role::Reader));
}

/// A change, and whose connections it ends, by their method.
struct Row {
    change: &'static str,
    alice_writes: bool,
    bob_writes: bool,
    bob_reads: bool,
}

async fn change(owners: &Owners, change: &str) {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(subject);
    match change {
        "transfer to bob" => drop(owners.transfer(&room(), &alice, &bob).await.unwrap()),
        "transfer to carol" => drop(owners.transfer(&room(), &alice, &carol).await.unwrap()),
        "lower" => drop(owners.grant(&room(), &bob, Role::Reader).await.unwrap()),
        "raise" => drop(owners.grant(&room(), &bob, Role::Admin).await.unwrap()),
        "revoke" => drop(owners.revoke(&room(), &bob).await.unwrap()),
        "other guest" => drop(owners.grant(&room(), &carol, Role::Reader).await.unwrap()),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_loses_a_right_loses_the_connections_that_need_it_on_every_node() {
    let row = |change, alice_writes, bob_writes, bob_reads| Row {
        change,
        alice_writes,
        bob_writes,
        bob_reads,
    };
    for Row {
        change: made,
        alice_writes,
        bob_writes,
        bob_reads,
    } in [
        row("transfer to bob", true, false, false),
        row("transfer to carol", true, true, true),
        row("lower", false, true, false),
        row("raise", false, false, false),
        row("revoke", false, true, true),
        row("other guest", false, false, false),
    ] {
        let store = store().await;
        let here = Owners::shared(Arc::clone(&store)).await.unwrap();
        let there = Owners::shared(store).await.unwrap();
        for layer in [owned(here.clone()), owned(there)] {
            // On the node of the change they have ended when it returns.
            let leases = [
                (lease(&layer, "POST", "alice").await, alice_writes),
                (lease(&layer, "POST", "bob").await, bob_writes),
                (lease(&layer, "GET", "bob").await, bob_reads),
            ];
            let elsewhere = lease_at(
                &layer.clone().claim_on_first_use(),
                "POST",
                "/agents/a/r2",
                "alice",
            )
            .await;
            change(&here, made).await;
            for (number, (lease, ends)) in leases.iter().enumerate() {
                let expected = ends.then_some(LeaseEnd::NotOwner);
                assert_eq!(ends_within(lease, 1).await, expected, "{made}: {number}");
            }
            assert_eq!(elsewhere.check(), Ok(()));
            // For the other node, everything is as it was before.
            restore(&here).await;
        }
    }
}

async fn restore(owners: &Owners) {
    let [alice, bob] = ["alice", "bob"].map(subject);
    let owner = owners.owner(&room()).await.unwrap().unwrap();
    owners.transfer(&room(), &owner, &alice).await.unwrap();
    owners.grant(&room(), &bob, Role::Writer).await.unwrap();
    // What is on its way to the other node has to arrive before it is asked again.
    sleep(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn on_the_node_of_the_change_connections_have_ended_when_it_returns() {
    let owners = Owners::new(store().await);
    let layer = owned(owners.clone());
    let lease = lease(&layer, "POST", "bob").await;
    owners.revoke(&room(), &subject("bob")).await.unwrap();
    assert_eq!(lease.check(), Err(LeaseEnd::NotOwner));
    assert!(!LeaseEnd::NotOwner.is_retryable());
}

#[tokio::test]
async fn a_change_between_the_decision_and_the_lease_is_not_missed() {
    for shared in [false, true] {
        let store = store().await;
        let owners = if shared {
            Owners::shared(Arc::clone(&store)).await.unwrap()
        } else {
            Owners::new(Arc::clone(&store))
        };
        let layer = owned(owners.clone());
        let slow = async |head: Parts| {
            owners.revoke(&room(), &subject("bob")).await.unwrap();
            Lease::from_head(&head).unwrap().check()
        };
        let found = enter(&layer, "POST", ROOM, "bob", slow).await.unwrap();
        assert_eq!(found, Err(LeaseEnd::NotOwner), "shared: {shared}");
        // What somebody else loses in that moment is asked about, and nothing more.
        let slow = async |head: Parts| {
            let dave = subject("dave");
            owners.grant(&room(), &dave, Role::Admin).await.unwrap();
            Lease::from_head(&head).unwrap().check()
        };
        let found = enter(&layer, "POST", ROOM, "alice", slow).await.unwrap();
        assert_eq!(found, Ok(()), "shared: {shared}");
    }
}

#[tokio::test]
async fn the_admin_scope_outlasts_every_owner() {
    let owners = Owners::new(store().await);
    let layer = owned(owners.clone()).with_admin_scope("admin").unwrap();
    let lease = lease(&layer, "POST", "admin").await;
    change(&owners, "transfer to carol").await;
    assert_eq!(lease.check(), Ok(()));
}

#[tokio::test]
async fn a_layer_finds_its_owners_in_whatever_passes_them_on() {
    let owners = Owners::new(store().await);
    let shared: Arc<dyn OwnerStore> = Arc::new(owners.clone());
    for layer in [owned(Arc::new(owners.clone())), owned(shared)] {
        let lease = lease(&layer, "POST", "bob").await;
        owners.revoke(&room(), &subject("bob")).await.unwrap();
        assert_eq!(lease.check(), Err(LeaseEnd::NotOwner));
        let bob = subject("bob");
        owners.grant(&room(), &bob, Role::Writer).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_told_is_found_out_in_time() {
    // The change goes past the owners that the layer has.
    let store = store().await;
    let deaf = Faulty::around(&store, Line::Deaf);
    let builder = || Owners::builder().with_healing(Duration::from_secs(10));
    for (owners, within) in [
        (Owners::new(Arc::clone(&store)), 30),
        (builder().around(Arc::clone(&store)), 10),
        (builder().share(deaf).await.unwrap(), 10),
    ] {
        let bob = subject("bob");
        store.grant(&room(), &bob, Role::Writer).await.unwrap();
        let layer = owned(owners);
        let [bobs, alices] = [
            lease(&layer, "POST", "bob").await,
            lease(&layer, "POST", "alice").await,
        ];
        store.revoke(&room(), &bob).await.unwrap();
        assert_eq!(bobs.check(), Ok(()), "nobody told");
        assert_eq!(
            ends_within(&bobs, within + 1).await,
            Some(LeaseEnd::NotOwner)
        );
        assert_eq!(alices.check(), Ok(()));
    }
}

#[test]
fn a_runtime_that_ends_takes_nothing_along() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let first = runtime();
    let store = first.block_on(store());
    let owners = Owners::new(Arc::clone(&store));
    let layer = owned(owners.clone());
    let early = first.block_on(lease(&layer, "POST", "alice"));
    drop(first);
    assert_eq!(early.check(), Ok(()));
    assert!(owners.ready().is_ok());
    runtime().block_on(async {
        let bobs = lease(&layer, "POST", "bob").await;
        store.revoke(&room(), &subject("bob")).await.unwrap();
        assert_eq!(ends_within(&bobs, 31).await, Some(LeaseEnd::NotOwner));
    });
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_outcome_nobody_knows_is_asked_about() {
    let faulty = Faulty::around(&store().await, Line::Up);
    let owners = Owners::new(faulty.clone());
    let layer = owned(owners.clone());
    let [bobs, alices] = [
        lease(&layer, "POST", "bob").await,
        lease(&layer, "POST", "alice").await,
    ];
    faulty.forgets_to_answer.store(true, Ordering::Relaxed);
    let unknown = owners.revoke(&room(), &subject("bob")).await;
    assert!(unknown.is_err());
    assert_eq!(ends_within(&bobs, 1).await, Some(LeaseEnd::NotOwner));
    assert_eq!(alices.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_breaks_is_made_good_by_asking() {
    let store = store().await;
    let faulty = Faulty::around(&store, Line::Up);
    let owners = Owners::shared(faulty.clone()).await.unwrap();
    let layer = owned(owners.clone());
    let bobs = lease(&layer, "POST", "bob").await;
    sleep(Duration::from_secs(10)).await;
    faulty.line.send_replace(Line::FeedDown);
    sleep(Duration::from_millis(50)).await;
    store.revoke(&room(), &subject("bob")).await.unwrap();
    assert_eq!(bobs.check(), Ok(()));
    faulty.line.send_replace(Line::Up);
    assert_eq!(ends_within(&bobs, 1).await, Some(LeaseEnd::NotOwner));
    assert!(owners.ready().is_ok());
}

#[tokio::test(start_paused = true)]
async fn connections_whose_store_is_gone_end_by_the_policy() {
    let minute = Duration::from_secs(60);
    for (policy, at_most) in [
        (CutOffPolicy::FailClosed, 32),
        (CutOffPolicy::FailOpen(minute), 61),
    ] {
        let log = LogLines::capture();
        let faulty = Faulty::around(&store().await, Line::Up);
        let builder = Owners::builder().with_cut_off_policy(policy);
        let owners = builder.share(faulty.clone()).await.unwrap();
        let layer = owned(owners.clone());
        let lease = lease(&layer, "POST", "alice").await;
        assert!(owners.ready().is_ok());
        log.take();

        faulty.line.send_replace(Line::Down);
        sleep(Duration::from_secs(20)).await;
        assert!(owners.ready().is_err());
        assert_eq!(lease.check(), Ok(()), "{policy:?}");
        // Requests ask the store, which does not answer, whatever the policy.
        let inner = Inner::default();
        let auth = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
        let service = auth.layer(layer.layer(inner.clone()));
        let response = service.oneshot(get(ROOM, &token("alice"))).await.unwrap();
        assert_eq!(refusal(&response), Some(RejectionKind::StoreUnavailable));
        assert_eq!((response.status().as_u16(), inner.calls()), (503, 0));

        let end = ends_within(&lease, at_most - 20 + 1).await;
        assert_eq!(end, Some(LeaseEnd::StoreUnavailable), "{policy:?}");
        let lines = log.take();
        let warnings = lines.lines().filter(|line| line.contains("is cut off"));
        assert_eq!(warnings.count(), 1, "{lines}");

        faulty.line.send_replace(Line::Up);
        sleep(Duration::from_secs(6)).await;
        assert!(owners.ready().is_ok());
        let opened = lease_at(&layer, "POST", ROOM, "alice").await;
        sleep(minute).await;
        assert_eq!(opened.check(), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_begins_on_a_node_that_hears_nothing_ends_as_well() {
    for (policy, at_most) in [
        (CutOffPolicy::FailClosed, 30),
        (CutOffPolicy::FailOpen(Duration::from_secs(20)), 10),
    ] {
        let store = store().await;
        let faulty = Faulty::around(&store, Line::Up);
        let builder = Owners::builder().with_cut_off_policy(policy);
        let owners = builder.share(faulty.clone()).await.unwrap();
        let layer = owned(owners.clone());
        faulty.line.send_replace(Line::FeedDown);
        for _ in 0..2 {
            sleep(Duration::from_secs(100)).await;
            assert!(owners.ready().is_err());
            // The store answers, so it decides about requests; but nobody would hear of what comes later.
            let lease = lease(&layer, "POST", "bob").await;
            assert_eq!(lease.check(), Ok(()));
            let bob = subject("bob");
            OwnerStore::revoke(&*store, &room(), &bob).await.unwrap();
            let end = ends_within(&lease, at_most + 1).await;
            assert_eq!(end, Some(LeaseEnd::StoreUnavailable), "{policy:?}");
            store.grant(&room(), &bob, Role::Writer).await.unwrap();
        }
        faulty.line.send_replace(Line::Up);
        sleep(Duration::from_secs(6)).await;
        let lease = lease(&layer, "POST", "bob").await;
        assert_eq!(ends_within(&lease, 100).await, None, "{policy:?}");
    }
}

#[tokio::test]
async fn a_connection_that_had_ended_before_it_began_is_kept_by_nobody() {
    let owners = Owners::new(store().await);
    let revocations = Revocations::new();
    let auth = JwtAuthLayer::hs256(SECRET).unwrap();
    let auth = auth.with_revocations(revocations.clone()).build().unwrap();
    let revocations = &revocations;
    let late = service_fn(move |request: Request<String>| async move {
        // Revoked while the body was on its way.
        let never = NumericDate::from_secs(u64::MAX);
        revocations
            .apply(&Revocation::everything(never, never))
            .unwrap();
        let lease = Lease::from_head(&request.into_parts().0).unwrap();
        assert_eq!(lease.check(), Err(LeaseEnd::Revoked));
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = auth.layer(owned(owners.clone()).layer(late));
    let response = service.oneshot(get(ROOM, &token("alice"))).await.unwrap();
    assert_eq!(response.status(), 200);
    let nothing_left = format!("{owners:?}");
    assert!(nothing_left.contains("resources: 0"), "{nothing_left}");
    assert_eq!(revocations.open_connections(), 0);
}

#[tokio::test]
async fn of_ten_thousand_connections_only_those_of_one_room_are_looked_at() {
    let owners = Owners::new(MemoryOwnerStore::new());
    let layer = owned(owners.clone()).claim_on_first_use();
    let mut open = Vec::new();
    for number in 0..10_000 {
        let path = format!("/agents/support/{number}");
        open.push(lease_at(&layer, "POST", &path, "alice").await);
    }
    let one = ResourceId::new("/agents/support/7").unwrap();
    let [alice, bob] = ["alice", "bob"].map(subject);
    owners.transfer(&one, &alice, &bob).await.unwrap();
    for (number, lease) in open.iter().enumerate() {
        let expected = if number == 7 {
            Err(LeaseEnd::NotOwner)
        } else {
            Ok(())
        };
        assert_eq!(lease.check(), expected);
    }
    assert!(format!("{owners:?}").contains("resources: 9999"));
    drop(open);
    let nothing_left = format!("{owners:?}");
    assert!(nothing_left.contains("resources: 0"), "{nothing_left}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_nobody_holds_leaves_the_store_alone() {
    let faulty = Faulty::around(&store().await, Line::Up);
    let owners = Owners::shared(faulty.clone()).await.unwrap();
    let layer = owned(owners.clone());
    let lease = lease(&layer, "POST", "alice").await;
    sleep(Duration::from_secs(100)).await;
    let asked = faulty.asked.load(Ordering::Relaxed);
    assert!(
        asked >= 6,
        "it asks about the connection, and whether the store is there: {asked}"
    );
    drop((owners, layer, lease));
    sleep(Duration::from_secs(100)).await;
    let asked = faulty.asked.load(Ordering::Relaxed);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(faulty.asked.load(Ordering::Relaxed), asked);
    assert_eq!(
        Arc::strong_count(&faulty.asked),
        1,
        "nobody holds the store"
    );
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn an_answer_under_way_ends_with_the_right_to_it() {
    use axum::{Router, body::Body, routing::post};
    use http_body_util::BodyExt;
    use tower_warden::StreamLeaseLayer;

    let owners = Owners::new(store().await);
    let auth = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let endless = async || {
        let words = futures_util::stream::unfold(0, async |count| {
            yield_now().await;
            Some((Ok::<_, Infallible>(format!("data: {count}\n\n")), count + 1))
        });
        (
            [("content-type", "text/event-stream")],
            Body::from_stream(words),
        )
    };
    let app = Router::new()
        .route(ROOM, post(endless))
        .layer(StreamLeaseLayer::default())
        .layer(owned(owners.clone()))
        .layer(auth);
    let request = get(ROOM, &token("bob")).map(Body::from);
    let (mut head, body) = request.into_parts();
    head.method = http::Method::POST;
    let response = app.oneshot(Request::from_parts(head, body)).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    owners.revoke(&room(), &subject("bob")).await.unwrap();
    let mut last = String::new();
    for _ in 0..3 {
        match body.frame().await {
            Some(Ok(frame)) => last = String::from_utf8(frame.into_data().unwrap().into()).unwrap(),
            Some(Err(_)) | None => break,
        }
    }
    assert_eq!(last, "event: auth\ndata: {\"code\":\"not_owner\"}\n\n");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn the_lease_of_an_axum_handler_ends_with_the_right() {
    use axum::{Router, body::Body, extract::State, routing::post};

    let owners = Owners::new(store().await);
    let auth = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let handler = async |State(owners): State<Owners>, lease: Lease| {
        let before = lease.check();
        change(&owners, "transfer to carol").await;
        format!("{before:?} {:?}", lease.check())
    };
    let app = Router::new()
        .route(ROOM, post(handler))
        .with_state(owners.clone())
        .layer(owned(owners))
        .layer(auth);
    let mut request = get(ROOM, &token("alice")).map(Body::from);
    *request.method_mut() = http::Method::POST;
    let response = app.oneshot(request).await.unwrap();
    let text = axum::body::to_bytes(response.into_body(), 1_000).await;
    assert_eq!(text.unwrap(), "Ok(()) Err(NotOwner)");
}

/// How a store does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Up,
    Down,
    /// The feed breaks, and the store answers.
    FeedDown,
    /// The feed says nothing.
    Deaf,
}

/// A store that others change, and that does not always answer.
#[derive(Debug, Clone)]
struct Faulty {
    store: Arc<MemoryOwnerStore>,
    line: watch::Sender<Line>,
    /// A change is made, and nobody learns of it.
    forgets_to_answer: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Faulty {
    fn around(store: &Arc<MemoryOwnerStore>, line: Line) -> Self {
        Self {
            store: Arc::clone(store),
            line: watch::Sender::new(line),
            forgets_to_answer: Arc::default(),
            asked: Arc::default(),
        }
    }

    fn answer<'a, T: Send + 'a>(&'a self, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            // An engine far away never answers at once.
            yield_now().await;
            self.asked.fetch_add(1, Ordering::Relaxed);
            if *self.line.borrow() == Line::Down {
                return Err(StoreError::new("connection refused"));
            }
            let answer = answer.await;
            if self.forgets_to_answer.swap(false, Ordering::Relaxed) {
                return Err(StoreError::new("connection reset"));
            }
            answer
        })
    }
}

impl OwnerStore for Faulty {
    fn claim_within<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        most: u32,
    ) -> StoreFuture<'a, Claim> {
        self.answer(self.store.claim_within(resource, subject, most))
    }

    fn owner<'a>(&'a self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>> {
        self.answer(self.store.owner(resource))
    }

    fn access<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Option<OwnerAccess>> {
        self.answer(self.store.access(resource, subject))
    }

    fn transfer<'a>(
        &'a self,
        resource: &'a ResourceId,
        from: &'a SubjectId,
        to: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        self.answer(self.store.transfer(resource, from, to))
    }

    fn grant<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        role: Role,
    ) -> StoreFuture<'a, Option<Standing>> {
        self.answer(self.store.grant(resource, subject, role))
    }

    fn revoke<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        self.answer(self.store.revoke(resource, subject))
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ResourceId>> {
        self.answer(self.store.list(owner, page))
    }
}

#[derive(Debug)]
struct FaultyFeed {
    memory: MemoryOwnershipFeed,
    line: watch::Receiver<Line>,
}

impl SharedOwnerStore for Faulty {
    type Feed = FaultyFeed;

    async fn subscribe(&self) -> Result<FaultyFeed, StoreError> {
        let line = *self.line.borrow();
        if matches!(line, Line::Down | Line::FeedDown) {
            return Err(StoreError::new("connection refused"));
        }
        Ok(FaultyFeed {
            memory: self.store.subscribe().await?,
            line: self.line.subscribe(),
        })
    }
}

impl OwnershipFeed for FaultyFeed {
    async fn next(&mut self) -> Option<OwnershipChange> {
        loop {
            let line = *self.line.borrow_and_update();
            match line {
                Line::Up => tokio::select! {
                    change = self.memory.next() => return change,
                    _ = self.line.changed() => {}
                },
                Line::Down | Line::FeedDown => return None,
                Line::Deaf => pending().await,
            }
        }
    }
}
