//! What does it cost to watch over a connection?
//!
//! | row | question | baseline |
//! | --- | --- | --- |
//! | `request/no lease` | a request whose handler asks for none | – |
//! | `request/lease` | the same, and its handler opens one and drops it | `request/no lease` |
//! | `message/clock` | a look at the clock | – |
//! | `message/check` | may this message be handled? | `message/clock` |
//! | `revocation/…` | is this token revoked, with so many entries of each kind? budget 100 ns | `revocation/0` |
//! | `ownership/…` | a grant that is made, with so many connections in rooms of their own that it does not concern | `ownership/0` |
//! | `end/10000` | a revocation that ends ten thousand connections, each with a task that waits | – |
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tower::{Layer, Service};
use tower_warden::{
    Clock, Ended, JwtAuthLayer, Lease, MemoryOwnerStore, NumericDate, OwnerStore, Owners,
    OwnershipLayer, Principal, ResourceId, ResourceKey, Revocation, Revocations, Role, SigningKey,
    SubjectId, SystemClock, TokenIssuer,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What the handler does with its principal.
#[derive(Clone, Copy)]
enum Handler {
    Ignores,
    Leases,
    Opens,
    Returns,
}

impl Service<Request<String>> for Handler {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let mut response = Response::new(String::new());
        let (head, _) = request.into_parts();
        let principal = head.extensions.get::<Principal>().unwrap();
        match self {
            Self::Ignores => {}
            Self::Leases => drop(black_box(principal.lease())),
            Self::Opens => {
                response
                    .extensions_mut()
                    .insert(Lease::from_head(&head).unwrap());
            }
            Self::Returns => {
                response.extensions_mut().insert(principal.clone());
            }
        }
        ready(Ok(response))
    }
}

fn answer<S>(service: &mut S, request: Request<String>) -> Response<String>
where
    S: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let future = pin!(service.call(request));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => unreachable!("with the key at hand nothing is awaited"),
    }
}

fn answer_later<S>(
    runtime: &tokio::runtime::Runtime,
    service: &mut S,
    request: Request<String>,
) -> Response<String>
where
    S: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let Ok(response) = runtime.block_on(service.call(request));
    response
}

fn request() -> Request<String> {
    let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .with_issuer("https://id.example")
        .build()
        .unwrap();
    let token = issuer
        .mint("alice")
        .with_claim("sid", "2c9f0a7e-53b1-4f0e-8a55-0e8f8c2d9b11")
        .sign()
        .unwrap();
    Request::get("/chat")
        .header("authorization", format!("Bearer {}", token.expose()))
        .body(String::new())
        .unwrap()
}

fn layer(revocations: &Revocations) -> JwtAuthLayer {
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_issuer("https://id.example")
        .with_revocations(revocations.clone())
        .build()
        .unwrap()
}

fn principal(revocations: &Revocations) -> Principal {
    let mut service = layer(revocations).layer(Handler::Returns);
    let mut response = answer(&mut service, request());
    response.extensions_mut().remove().unwrap()
}

fn far() -> NumericDate {
    NumericDate::from_secs(u64::MAX)
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection/request");
    let request = request();
    for (name, handler) in [("no lease", Handler::Ignores), ("lease", Handler::Leases)] {
        let mut service = layer(&Revocations::new()).layer(handler);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || request.clone(),
                |request| answer(&mut service, request),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection/message");
    let lease = principal(&Revocations::new()).lease();
    group.bench_function("clock", |bencher| bencher.iter(|| SystemClock.now()));
    group.bench_function("check", |bencher| {
        bencher.iter(|| black_box(&lease).check());
    });
    group.finish();
}

fn revocations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection/revocation");
    for entries in [0, 100_000] {
        let by_token = Revocations::new();
        let by_all = Revocations::new();
        for number in 0..entries {
            let id = format!("01963b6e-7d3a-7cc1-9f1b-{number:012}");
            let issuer = Some("https://id.example");
            by_token.apply(&Revocation::token_id(&*id, far())).unwrap();
            by_all.apply(&Revocation::token_id(&*id, far())).unwrap();
            by_all.apply(&Revocation::session(&*id, far())).unwrap();
            by_all
                .apply(&Revocation::subject(issuer, id, far(), far()))
                .unwrap();
        }
        let principal = principal(&by_token);
        let token = principal.token();
        assert!(!by_all.is_revoked(token));
        group.bench_function(format!("{entries} tokens"), |bencher| {
            bencher.iter(|| by_token.is_revoked(black_box(token)));
        });
        group.bench_function(format!("{entries} of each kind"), |bencher| {
            bencher.iter(|| by_all.is_revoked(black_box(token)));
        });
    }
    group.finish();
}

/// Ten thousand connections, each with a future that was polled once.
fn connected(principal: &Principal) -> Vec<(Lease, Pin<Box<Ended>>)> {
    let mut cx = Context::from_waker(Waker::noop());
    (0..10_000)
        .map(|_| {
            let lease = principal.lease();
            let mut ended = Box::pin(lease.ended());
            assert!(ended.as_mut().poll(&mut cx).is_pending());
            (lease, ended)
        })
        .collect()
}

fn ends(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("connection/end");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(2));
    group.bench_function("10000", |bencher| {
        bencher.iter_batched(
            || {
                let revocations = Revocations::new();
                let principal = principal(&revocations);
                let connected = connected(&principal);
                let everything = Revocation::of(&principal).unwrap();
                (revocations, connected, everything)
            },
            |(revocations, connected, everything)| {
                let ended = revocations.apply(&everything).unwrap();
                assert_eq!(ended, connected.len());
                (revocations, connected)
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn ownership(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("connection/ownership");
    let [alice, bob] =
        ["alice", "bob"].map(|name| SubjectId::new("https://id.example", name).unwrap());
    let room = ResourceId::new("/agents/helper/contested").unwrap();
    for open in [0, 10_000] {
        let owners = Owners::new(MemoryOwnerStore::new());
        let key = ResourceKey::path("/agents/{agent}/{room}").unwrap();
        let owned = OwnershipLayer::new(owners.clone(), key).claim_on_first_use();
        let auth = layer(&Revocations::new());
        let leases: Vec<Lease> = (0..open)
            .map(|number| {
                let mut request = request();
                *request.uri_mut() = format!("/agents/helper/{number}").parse().unwrap();
                let mut service = auth.layer(owned.layer(Handler::Opens));
                let mut response = answer_later(&runtime, &mut service, request);
                response.extensions_mut().remove().unwrap()
            })
            .collect();
        runtime.block_on(owners.claim(&room, &alice)).unwrap();
        group.bench_function(format!("{open}"), |bencher| {
            bencher.iter(|| runtime.block_on(owners.grant(&room, &bob, Role::Reader)));
        });
        drop(leases);
    }
    group.finish();
}

criterion_group!(benches, requests, messages, revocations, ownership, ends);
criterion_main!(benches);
