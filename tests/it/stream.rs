//! Streamed answers whose token expires under way.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody as Streamed, combinators::UnsyncBoxBody};
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{advance, sleep, timeout},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Lease, LeaseEnd, NumericDate, Principal, Revocation, Revocations, StreamBound, StreamEnded,
    StreamLeaseLayer, StreamPolicy,
    testing::{ManualClock, TestTokens},
};

use crate::{
    lease::{START, clock, layer},
    support::{SECRET, get},
};

type Boxed = UnsyncBoxBody<Bytes, Infallible>;

/// An answer under way: what its handler writes, and what its client reads.
struct Conversation {
    clock: ManualClock,
    revocations: Revocations,
    lease: Option<Lease>,
    writer: mpsc::Sender<Bytes>,
    reader: Boxed,
}

const EVENTS: &str = "text/event-stream";
const OTHER: &str = "application/x-ndjson";

/// Whether the handler opens the lease itself.
#[derive(Clone, Copy, PartialEq)]
enum Opener {
    Layer,
    Handler,
}

/// Opens an answer with a token that expires 100 s later, and a leeway of 30 s.
async fn open(policy: StreamPolicy, kind: &'static str, opener: Opener) -> Conversation {
    let clock = clock();
    let revocations = Revocations::builder().with_clock(clock.clone()).build();
    let auth = layer(&clock)
        .with_revocations(revocations.clone())
        .build()
        .unwrap();
    let token = TestTokens::hs256(SECRET)
        .unwrap()
        .with_clock(clock.clone())
        .with_lifetime(Duration::from_secs(100))
        .valid();
    let (writer, feed) = mpsc::channel::<Bytes>(64);
    let mut feed = Some(feed);
    let mut lease = None;
    let inner = service_fn(|request: Request<String>| {
        let feed = feed.take().unwrap();
        let stream = ReceiverStream::new(feed).map(|data| Ok::<_, Infallible>(Frame::data(data)));
        let mut response = Response::new(Streamed::new(stream).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert("content-type", kind.parse().unwrap());
        if opener == Opener::Handler {
            let principal = request.extensions().get::<Principal>().unwrap();
            let opened = principal.lease();
            response.extensions_mut().insert(opened.clone());
            lease = Some(opened);
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    // `StreamLease` lies within the gate; the gate wants to clone it, a closure that borrows cannot.
    let principal = crate::lease::admit(&auth, &token).await;
    let mut request = get("/events", &token);
    request.extensions_mut().insert(principal);
    let service = StreamLeaseLayer::new(policy).layer(inner);
    let response = service.oneshot(request).await.unwrap();
    Conversation {
        clock,
        revocations,
        lease,
        writer,
        reader: response.into_body(),
    }
}

impl Conversation {
    /// Lets that many seconds pass, for clock and timers alike.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            advance(Duration::from_secs(1)).await;
            yield_now().await;
        }
    }

    async fn write(&self, text: &'static str) -> bool {
        self.writer.send(Bytes::from(text)).await.is_ok()
    }

    /// What the client has to read at the moment; `None` at the end.
    async fn read(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.reader.frame() => frame,
                () = std::future::ready(()) => return Some(text),
            };
            match frame {
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap();
                    text.push_str(std::str::from_utf8(&data).unwrap());
                }
                Some(Err(never)) => match never {},
                None if text.is_empty() => return None,
                None => return Some(text),
            }
        }
    }
}

const LAST: &str = "event: auth\ndata: {\"code\":\"token_expired\"}\n\n";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_finished_after_its_token_has_expired() {
    for opener in [Opener::Layer, Opener::Handler] {
        let policy = StreamPolicy::FinishResponse { cap: seconds(60) };
        let mut chat = open(policy, EVENTS, opener).await;
        chat.write("data: a\n\n").await;
        assert_eq!(chat.read().await.as_deref(), Some("data: a\n\n"));
        chat.pass(140).await;
        assert!(chat.write("data: b\n\n").await);
        assert_eq!(chat.read().await.as_deref(), Some("data: b\n\n"));
        drop(chat.writer);
        assert!(chat.reader.frame().await.is_none(), "finished");
    }
}

#[tokio::test(start_paused = true)]
async fn the_cap_cuts_what_will_not_finish() {
    let policy = StreamPolicy::FinishResponse { cap: seconds(60) };
    let mut chat = open(policy, EVENTS, Opener::Layer).await;
    assert_eq!(chat.read().await.as_deref(), Some(""));
    chat.pass(189).await;
    assert!(chat.write("data: a\n\n").await);
    assert_eq!(chat.read().await.as_deref(), Some("data: a\n\n"));
    chat.write("data: b\n\n").await;
    chat.pass(1).await;
    assert!(
        !chat.write("data: c\n\n").await,
        "the handler's side is dropped, though nobody has read since"
    );
    assert_eq!(chat.revocations.open_connections(), 0);
    assert_eq!(
        chat.read().await.as_deref(),
        Some(LAST),
        "b was not fetched in time"
    );
    assert_eq!(chat.read().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_default_is_five_minutes() {
    let mut chat = open(StreamPolicy::default(), EVENTS, Opener::Layer).await;
    chat.pass(130 + 299).await;
    assert_eq!(chat.read().await.as_deref(), Some(""));
    chat.pass(1).await;
    assert_eq!(chat.read().await.as_deref(), Some(LAST));
}

#[tokio::test(start_paused = true)]
async fn close_ends_at_the_deadline_between_two_events() {
    let table = [
        (EVENTS, "data: a\n\n", Some(LAST)),
        (EVENTS, "", Some(LAST)),
        // What was begun cannot be taken back; the client discards it.
        (EVENTS, "data: a", None),
        (EVENTS, "data: a\n", None),
        (OTHER, "{}\n", None),
    ];
    for (kind, written, last) in table {
        let mut chat = open(StreamPolicy::Close, kind, Opener::Layer).await;
        chat.write(written).await;
        assert_eq!(chat.read().await.as_deref(), Some(written));
        chat.pass(129).await;
        assert_eq!(chat.read().await.as_deref(), Some(""));
        chat.pass(1).await;
        assert_eq!(chat.read().await.as_deref(), last, "{kind} {written:?}");
        assert_eq!(chat.read().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_wakes_a_client_who_waits_for_the_next_event() {
    let mut chat = open(StreamPolicy::Close, EVENTS, Opener::Layer).await;
    let clock = chat.clock.clone();
    let waiting = tokio::spawn(async move { chat.reader.frame().await });
    for _ in 0..1_320 {
        clock.advance(Duration::from_millis(100));
        advance(Duration::from_millis(100)).await;
    }
    assert!(waiting.is_finished(), "within two seconds");
    let frame = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), LAST);
}

/// The clock of a virtual machine is set back, then forwards, then back again, under every policy.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed_and_reopens_nothing() {
    // How far the clock has to be set for the end, from the beginning: the token's 130 s, and what the policy grants.
    for (policy, end) in [
        (StreamPolicy::Close, 130),
        (StreamPolicy::FinishResponse { cap: seconds(60) }, 190),
        (StreamPolicy::Grace(seconds(20)), 150),
        (StreamPolicy::CapOnly(seconds(500)), 500),
    ] {
        let mut chat = open(policy, EVENTS, Opener::Layer).await;
        // Timers go on, while the clock goes back: what they were set for is not the end.
        chat.clock.set(START - 900);
        advance(seconds(600)).await;
        chat.write("data: a\n\n").await;
        assert_eq!(
            chat.read().await.as_deref(),
            Some("data: a\n\n"),
            "{policy:?}"
        );

        // A moment before the end nothing has ended yet, but what is announced at the token's end.
        chat.clock.set(START + end - 1);
        chat.write("data: b\n\n").await;
        let text = chat.read().await.unwrap();
        assert!(text.ends_with("data: b\n\n"), "{policy:?}: {text}");
        let announced = matches!(policy, StreamPolicy::Grace(_));
        assert_eq!(text.contains("ends_in"), announced, "{policy:?}: {text}");

        // Forth: whoever asks for a frame is refused at once; no timer of tokio's has moved.
        chat.write("data: c\n\n").await;
        chat.clock.set(START + end);
        let last = chat.read().await.unwrap();
        assert!(
            last.starts_with("event: auth\ndata: {\"code\":"),
            "{policy:?}: {last}"
        );

        chat.clock.set(START);
        assert_eq!(
            chat.read().await,
            None,
            "{policy:?}: what has ended stays so"
        );
        assert_eq!(chat.revocations.open_connections(), 0, "{policy:?}");
    }
}

/// The same for a client that waits, and for one that does not read at all.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forwards_wakes_whoever_waits() {
    for policy in [StreamPolicy::Close, StreamPolicy::CapOnly(seconds(500))] {
        let mut chat = open(policy, EVENTS, Opener::Layer).await;
        let (clock, writer) = (chat.clock.clone(), chat.writer.clone());
        let waiting = tokio::spawn(async move { chat.reader.frame().await });
        sleep(seconds(20)).await;
        assert!(!waiting.is_finished());
        clock.set(START + 600);
        let frame = timeout(seconds(16), waiting).await.unwrap().unwrap();
        assert!(frame.unwrap().unwrap().is_data(), "{policy:?}");
        assert!(writer.is_closed(), "{policy:?}");

        let chat = open(policy, EVENTS, Opener::Layer).await;
        sleep(seconds(20)).await;
        assert!(!chat.writer.is_closed());
        chat.clock.set(START + 600);
        sleep(seconds(16)).await;
        assert!(chat.writer.is_closed(), "{policy:?}");
        drop(chat.reader);
    }
}

/// A body that knows its size is there already, as a rule: no task is made for it. It ends all the same.
#[tokio::test(start_paused = true)]
async fn only_a_body_without_a_size_is_watched_by_a_task() {
    let clock = clock();
    let principal = crate::lease::admit(
        &layer(&clock).build().unwrap(),
        &crate::lease::expiring(&clock, START + 100),
    )
    .await;
    let bound = || StreamBound::new(principal.lease(), StreamPolicy::Close, &HeaderMap::new());
    let runtime = tokio::runtime::Handle::current().metrics();
    let mut sized = bound().over(Full::<Bytes>::from("all of it"));
    assert_eq!(runtime.num_alive_tasks(), 0);
    let (writer, feed) = mpsc::channel::<Bytes>(1);
    let stream = ReceiverStream::new(feed).map(|data| Ok::<_, Infallible>(Frame::data(data)));
    let streamed = bound().over(Streamed::new(stream));
    yield_now().await;
    // The watcher, and the timer of the layer.
    assert_eq!(runtime.num_alive_tasks(), 2);
    drop(streamed);
    assert!(writer.is_closed());
    yield_now().await;
    assert_eq!(runtime.num_alive_tasks(), 0, "neither outlives the body");
    clock.set(START + 130);
    assert!(
        sized.frame().await.is_none(),
        "nothing is sent after the end"
    );
}

#[tokio::test(start_paused = true)]
async fn grace_announces_the_end() {
    let mut chat = open(StreamPolicy::Grace(seconds(20)), EVENTS, Opener::Layer).await;
    chat.write("data: a\ndata:").await;
    assert_eq!(chat.read().await.as_deref(), Some("data: a\ndata:"));
    chat.pass(130).await;
    assert_eq!(
        chat.read().await.as_deref(),
        Some(""),
        "not within an event"
    );
    chat.write(" b\n\n").await;
    let notice = "event: auth\ndata: {\"code\":\"token_expired\",\"ends_in\":20}\n\n";
    let expected = format!(" b\n\n{notice}");
    assert_eq!(chat.read().await, Some(expected));
    chat.pass(19).await;
    chat.write("data: c\n\n").await;
    assert_eq!(
        chat.read().await.as_deref(),
        Some("data: c\n\n"),
        "once only"
    );
    chat.pass(1).await;
    assert_eq!(chat.read().await.as_deref(), Some(LAST));
}

#[tokio::test(start_paused = true)]
async fn cap_only_counts_from_the_beginning() {
    for (cap, code) in [(50, "connection_cap"), (500, "connection_cap")] {
        let mut chat = open(StreamPolicy::CapOnly(seconds(cap)), EVENTS, Opener::Layer).await;
        assert_eq!(chat.read().await.as_deref(), Some(""));
        chat.pass(cap - 1).await;
        assert_eq!(chat.read().await.as_deref(), Some(""), "cap {cap}");
        chat.pass(1).await;
        let last = format!("event: auth\ndata: {{\"code\":\"{code}\"}}\n\n");
        assert_eq!(chat.read().await, Some(last), "cap {cap}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_ends_every_stream_at_once_in_overtime_too() {
    let policies = [
        StreamPolicy::default(),
        StreamPolicy::Close,
        StreamPolicy::Grace(seconds(60)),
        StreamPolicy::CapOnly(seconds(900)),
    ];
    for policy in policies {
        for (elapsed, opener) in [
            (10, Opener::Layer),
            (10, Opener::Handler),
            (140, Opener::Layer),
        ] {
            if policy == StreamPolicy::Close && elapsed > 130 {
                continue;
            }
            let mut chat = open(policy, EVENTS, opener).await;
            chat.pass(elapsed).await;
            assert!(chat.read().await.is_some(), "{policy:?} after {elapsed} s");
            let [before, after] = [START + 1, START + 900].map(NumericDate::from_secs);
            let revocation = Revocation::everything(before, after);
            chat.revocations.apply(&revocation).unwrap();
            assert!(chat.write("data: a\n\n").await);
            let last = "event: auth\ndata: {\"code\":\"revoked\"}\n\n";
            assert_eq!(
                chat.read().await.as_deref(),
                Some(last),
                "{policy:?} after {elapsed} s"
            );
            assert_eq!(chat.read().await, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_the_handlers_is_renewed_and_ended_with_effect() {
    let mut chat = open(StreamPolicy::Close, EVENTS, Opener::Handler).await;
    chat.pass(100).await;
    let fresh = TestTokens::hs256(SECRET)
        .unwrap()
        .with_clock(chat.clock.clone())
        .with_lifetime(seconds(1_000))
        .valid();
    let lease = chat.lease.clone().unwrap();
    lease.renew(&fresh).await.unwrap();
    chat.pass(500).await;
    chat.write("data: a\n\n").await;
    assert_eq!(chat.read().await.as_deref(), Some("data: a\n\n"));
    lease.end(LeaseEnd::NotOwner);
    let last = "event: auth\ndata: {\"code\":\"not_owner\"}\n\n";
    assert_eq!(chat.read().await.as_deref(), Some(last));
}

#[tokio::test]
async fn without_an_auth_layer_outside_it_is_a_500() {
    let inner = service_fn(async |_: Request<String>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = StreamLeaseLayer::default().layer(inner);
    let request = Request::get("/events").body(String::new()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 500);
}

#[cfg(feature = "axum")]
#[tokio::test(start_paused = true)]
async fn an_axum_body_keeps_its_type_and_fails_where_no_event_can_be_sent() {
    use axum::{Router, body::Body, routing::get as route};

    let clock = clock();
    let auth = layer(&clock).build().unwrap();
    let token = crate::lease::expiring(&clock, START + 100);
    let stream = |kind: &'static str| async move {
        let parts = tokio_stream::iter(["{}\n"]).map(Ok::<_, Infallible>);
        let body = Body::from_stream(parts.chain(tokio_stream::pending()));
        Response::builder()
            .header("content-type", kind)
            .body(body)
            .unwrap()
    };
    let app = Router::new()
        .route("/lines", route(move || stream(OTHER)))
        .route("/events", route(move || stream(EVENTS)))
        .layer(StreamLeaseLayer::new(StreamPolicy::Close))
        .layer(auth);
    for (path, fails) in [("/lines", true), ("/events", false)] {
        clock.set(START);
        let request = get(path, &token).map(Body::from);
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        clock.set(START + 130);
        match body.frame().await {
            Some(Err(error)) => {
                assert!(fails, "{path}");
                let first: &(dyn std::error::Error + 'static) = &error;
                let ended = std::iter::successors(Some(first), |error| error.source())
                    .find_map(|error| error.downcast_ref::<StreamEnded>())
                    .unwrap();
                assert_eq!(ended.end(), LeaseEnd::Expired);
            }
            // `{}` and a line end is a line within an event, as far as an event stream goes.
            frame => assert!(!fails && frame.is_none(), "{path}: {frame:?}"),
        }
    }
}
