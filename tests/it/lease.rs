//! How long an accepted request may go on.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use http::{Request, Response};
use serde_json::json;
use tokio::{
    task::yield_now,
    time::{Instant, advance, sleep, timeout},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    AuthLayerBuilder, Bearer, BearerToken, Clock, JwtAuthLayer, LeaseEnd, Principal, Revocations,
    SigningKey, TokenIssuer,
    testing::{ManualClock, TestTokens},
};

use crate::{
    silence::capture,
    support::SECRET,
    tokio_clock::{TokioClock, lasting, strict},
};

pub(crate) const START: u64 = 1_000;

pub(crate) fn clock() -> ManualClock {
    ManualClock::at(START)
}

pub(crate) fn issuer(clock: &ManualClock) -> TokenIssuer {
    TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .with_clock(clock.clone())
        .build()
        .unwrap()
}

pub(crate) fn layer(clock: &ManualClock) -> AuthLayerBuilder<Bearer> {
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_clock(clock.clone())
}

/// A token that expires then.
pub(crate) fn expiring(clock: &ManualClock, exp: u64) -> BearerToken<'static> {
    let lifetime = Duration::from_secs(exp - START);
    issuer(clock)
        .mint("alice")
        .with_lifetime(lifetime)
        .sign()
        .unwrap()
}

/// Lets a request in with this token, and returns its principal.
pub(crate) async fn admit(layer: &JwtAuthLayer, token: &BearerToken<'_>) -> Principal {
    let inner = service_fn(async |request: Request<String>| {
        let principal = request.extensions().get::<Principal>().cloned();
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(principal.unwrap());
        Ok::<_, std::convert::Infallible>(response)
    });
    let request = crate::support::get("/chat", token);
    let mut response = layer.layer(inner).oneshot(request).await.unwrap();
    response.extensions_mut().remove().unwrap()
}

#[tokio::test]
async fn a_lease_ends_exactly_when_the_token_would_be_refused() {
    let clock = clock();
    let layer = layer(&clock)
        .with_leeway(Duration::from_secs(30))
        .build()
        .unwrap();
    let principal = admit(&layer, &expiring(&clock, 2_000)).await;
    let lease = principal.lease();
    for (milliseconds, verdict) in [
        (1_000_000, Ok(())),
        (2_000_000, Ok(())),
        (2_029_999, Ok(())),
        (2_030_000, Err(LeaseEnd::Expired)),
    ] {
        clock.set(0);
        clock.advance(Duration::from_millis(milliseconds));
        assert_eq!(lease.check(), verdict, "now = {milliseconds} ms");
        assert_eq!(lease.remaining().is_zero(), verdict.is_err());
    }
}

#[tokio::test]
async fn the_earlier_of_expiry_and_cap_is_the_deadline() {
    for (exp, cap, left, end) in [
        (2_000, None, 1_030, LeaseEnd::Expired),
        (2_000, Some(1_029), 1_029, LeaseEnd::CapReached),
        (2_000, Some(1_031), 1_030, LeaseEnd::Expired),
        (2_000, Some(u64::MAX), 1_030, LeaseEnd::Expired),
        (2_000, Some(0), 0, LeaseEnd::CapReached),
    ] {
        let clock = clock();
        let mut builder = layer(&clock);
        if let Some(cap) = cap {
            builder = builder.with_connection_cap(Duration::from_secs(cap));
        }
        let principal = admit(&builder.build().unwrap(), &expiring(&clock, exp)).await;
        let lease = principal.lease();
        assert_eq!(lease.remaining(), Duration::from_secs(left), "cap {cap:?}");
        clock.advance(Duration::from_secs(left));
        assert_eq!(lease.check(), Err(end), "cap {cap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_absurd_expiry_overflows_nothing() {
    for exp in [
        // The last second that is accepted.
        json!(253_402_300_799_u64),
        json!(253_402_300_799.9),
    ] {
        let clock = clock();
        let token = TestTokens::hs256(SECRET)
            .unwrap()
            .with_clock(clock.clone())
            .with_claim("exp", exp.clone())
            .valid();
        let principal = admit(&layer(&clock).build().unwrap(), &token).await;
        let lease = principal.lease();
        assert!(lease.remaining() > Duration::from_secs(1 << 30), "{exp}");
        let wait = timeout(Duration::from_secs(86_400), lease.ended());
        assert!(wait.await.is_err(), "{exp}: still open after a day");
        assert_eq!(lease.check(), Ok(()), "{exp}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_wakes_whoever_waits_for_it() {
    let clock = clock();
    let principal = admit(&layer(&clock).build().unwrap(), &expiring(&clock, 1_100)).await;
    let lease = principal.lease();
    let begun = Instant::now();
    let waiting = tokio::spawn(lease.ended());
    // Clock and timers advance together, in small steps.
    const STEP: Duration = Duration::from_millis(100);
    let drive = async {
        loop {
            clock.advance(STEP);
            advance(STEP).await;
        }
    };
    let end = tokio::select! {
        end = waiting => end.unwrap(),
        () = drive => unreachable!(),
    };
    assert_eq!(end, LeaseEnd::Expired);
    let waited = begun.elapsed().as_secs();
    assert!((129..=131).contains(&waited), "130 s with leeway: {waited}");
}

#[tokio::test(start_paused = true)]
async fn an_end_by_the_application_reaches_all_clones_and_is_final() {
    let clock = clock();
    let principal = admit(&layer(&clock).build().unwrap(), &expiring(&clock, 1_100)).await;
    let lease = principal.lease();
    let other = principal.lease();
    let waiting = [
        tokio::spawn(lease.ended()),
        tokio::spawn(lease.clone().ended()),
    ];
    tokio::task::yield_now().await;
    lease.end(LeaseEnd::NotOwner);
    lease.end(LeaseEnd::Closed);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), LeaseEnd::NotOwner);
    }
    assert_eq!(lease.clone().check(), Err(LeaseEnd::NotOwner));
    assert_eq!(lease.remaining(), Duration::ZERO);
    assert_eq!(
        other.check(),
        Ok(()),
        "each lease is a connection of its own"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed_and_an_end_is_final() {
    let clock = clock();
    let layer = layer(&clock).build().unwrap();
    let principal = admit(&layer, &expiring(&clock, 9_000)).await;
    let [lease, other] = [principal.lease(), principal.lease()];
    let waiting = tokio::spawn(lease.ended());
    advance(Duration::from_secs(20)).await;

    // Back: the token is younger than it was, and so is the lease.
    clock.set(START - 500);
    assert_eq!(lease.remaining().as_secs(), 9_030 - 500);
    advance(Duration::from_secs(20)).await;
    assert!(!waiting.is_finished());

    // Forth, beyond the deadline: whoever asks is refused at once, whoever waits is woken soon.
    clock.set(9_030);
    assert_eq!(other.check(), Err(LeaseEnd::Expired));
    let woken = timeout(Duration::from_secs(16), waiting).await;
    assert_eq!(woken.unwrap().unwrap(), LeaseEnd::Expired);

    // And back again: what has ended stays so.
    clock.set(START);
    assert_eq!(lease.check(), Err(LeaseEnd::Expired));
    assert_eq!(other.remaining(), Duration::ZERO);
}

/// Ten thousand tokens end at one instant: whoever waits is woken then, by one task, and none before.
#[tokio::test(start_paused = true)]
async fn one_task_ends_ten_thousand_leases_at_their_instant() {
    const COUNT: usize = 10_000;
    let clock = TokioClock::new();
    let layer = strict(clock.clone()).build().unwrap();
    let principal = admit(&layer, &lasting(clock.clone(), 60)).await;
    let begun = Instant::now();
    let runtime = tokio::runtime::Handle::current().metrics();
    let woken = Arc::new(AtomicUsize::new(0));
    for _ in 0..COUNT {
        let (ended, woken) = (principal.lease().ended(), Arc::clone(&woken));
        tokio::spawn(async move {
            assert_eq!(ended.await, LeaseEnd::Expired);
            woken.fetch_add(1, Ordering::Relaxed);
        });
    }
    yield_now().await;
    assert_eq!(runtime.num_alive_tasks(), COUNT + 1);
    sleep(Duration::from_millis(59_999)).await;
    assert_eq!(woken.load(Ordering::Relaxed), 0);
    while woken.load(Ordering::Relaxed) < COUNT {
        sleep(Duration::from_millis(1)).await;
    }
    // Timers of tokio are as fine as a millisecond.
    let late = begun.elapsed() - Duration::from_secs(60);
    assert!(late <= Duration::from_millis(2), "{late:?}");
    sleep(Duration::from_secs(15)).await;
    assert_eq!(runtime.num_alive_tasks(), 0, "nothing is left to wait for");
}

/// Whoever has asked once is forgotten at the end, though nobody polls.
#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_lease_that_nobody_polls() {
    let clock = clock();
    let revocations = Revocations::new();
    let builder = layer(&clock).with_revocations(revocations.clone());
    let principal = admit(&builder.build().unwrap(), &expiring(&clock, 2_000)).await;
    let mut ended = Box::pin(principal.lease().ended());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(ended.as_mut().poll(&mut cx).is_pending());
    assert_eq!(revocations.open_connections(), 1);
    clock.set(2_030);
    sleep(Duration::from_secs(16)).await;
    assert_eq!(revocations.open_connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_overtakes_the_sleep_for_a_later_one() {
    let clock = TokioClock::new();
    let layer = strict(clock.clone()).build().unwrap();
    let late = admit(&layer, &lasting(clock.clone(), 600)).await.lease();
    let waiting = tokio::spawn(late.ended());
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let early = admit(&layer, &lasting(clock.clone(), 5)).await.lease();
    assert_eq!(early.ended().await, LeaseEnd::Expired);
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert!(!waiting.is_finished());
}

/// Layers outlive runtimes: tests have one each, and some servers one for each core.
#[test]
fn a_runtime_that_stops_takes_no_end_with_it() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let clock = clock();
    let layer = layer(&clock).build().unwrap();
    let principal = first.block_on(admit(&layer, &expiring(&clock, 2_000)));
    let mut here = Box::pin(principal.lease().ended());
    first.block_on(async {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(here.as_mut().poll(&mut cx).is_pending());
    });
    let waiting = second.spawn(principal.lease().ended());
    second.block_on(yield_now());
    drop(first);
    clock.set(2_030);
    let woken = second.block_on(async { timeout(Duration::from_secs(16), waiting).await });
    assert_eq!(woken.unwrap().unwrap(), LeaseEnd::Expired);
}

/// A clock of the application's that fails once, where nobody sees it.
#[derive(Debug, Clone)]
struct Faulty(ManualClock, Arc<AtomicUsize>);

impl Clock for Faulty {
    fn now(&self) -> Duration {
        let fault = self.1.swap(0, Ordering::Relaxed);
        assert_eq!(fault, 0, "no time");
        self.0.now()
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_panics_takes_no_end_with_it() {
    let clock = Faulty(clock(), Arc::default());
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_clock(clock.clone());
    let token = expiring(&clock.0, 2_000);
    let principal = admit(&layer.build().unwrap(), &token).await;
    let waiting = tokio::spawn(principal.lease().ended());
    yield_now().await;
    clock.1.store(1, Ordering::Relaxed);
    sleep(Duration::from_secs(16)).await;
    assert_eq!(clock.1.load(Ordering::Relaxed), 0, "it has been asked");
    assert!(!waiting.is_finished());
    clock.0.set(2_030);
    let woken = timeout(Duration::from_secs(16), waiting).await;
    assert_eq!(woken.unwrap().unwrap(), LeaseEnd::Expired);
}

#[tokio::test]
async fn each_lease_ends_in_one_event_with_a_bounded_reason() {
    let clock = clock();
    let layer = layer(&clock).build().unwrap();
    let token = expiring(&clock, 2_000);
    let principal = admit(&layer, &token).await;
    for (end, reason) in [
        (Some(LeaseEnd::Closed), "closed"),
        (Some(LeaseEnd::NotOwner), "not_owner"),
        (Some(LeaseEnd::Revoked), "revoked"),
        (None, "finished"),
    ] {
        let (log, ()) = capture(async {
            let lease = principal.lease();
            let clone = lease.clone();
            if let Some(end) = end {
                lease.end(end);
                lease.end(LeaseEnd::Closed);
            }
            drop(lease);
            drop(clone);
        })
        .await;
        assert_eq!(log.matches("connection ended").count(), 1, "{log}");
        assert!(log.contains(&format!("reason=\"{reason}\"")), "{log}");
        assert!(log.contains("source=\"header\""), "{log}");
        assert!(!log.contains("alice"), "{log}");
    }
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn a_handler_of_axum_takes_a_lease_as_an_argument() {
    use axum::{Router, body::Body, routing::get as route};
    use tower_warden::Lease;

    let clock = clock();
    let layer = layer(&clock).build().unwrap();
    let app = Router::new()
        .route(
            "/chat",
            route(async |lease: Lease| lease.remaining().as_secs().to_string()),
        )
        .layer(layer);
    let request = crate::support::get("/chat", &expiring(&clock, 2_000)).map(Body::from);
    let response = app.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 100).await;
    assert_eq!(body.unwrap(), "1030");

    let bare: Router = Router::new().route("/chat", route(async |_: Lease| ""));
    let request = Request::get("/chat").body(Body::empty()).unwrap();
    assert_eq!(bare.oneshot(request).await.unwrap().status(), 500);
}
