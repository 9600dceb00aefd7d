//! What does the layer add to a request, beyond the service that it wraps?
//!
//! Baseline: `bare`, the same inner service without the layer. Everything runs in place, without sockets and without a
//! runtime: with the key at hand each future is ready at its first poll.
//!
//! | row | question |
//! | --- | --- |
//! | `exempt` | an exempt path: budget 20 ns, no allocation |
//! | `first seen/…` | a token that is verified, by its algorithm |
//! | `repeat/…` | one that was verified before: budget 130 ns, 3 allocations |
//! | `refused/…` | no token, junk, an expired token |
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/thread_time.rs"]
mod thread_time;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response, request::Parts};
use tower::{Layer, Service};
use tower_warden::{Algorithm, JwtAuthLayer, Paths, SigningKey, TokenIssuer, testing::ManualClock};

use thread_time::thread_time;

/// Answers at once, with an empty body.
#[derive(Clone)]
struct Bare;

impl Service<Request<String>> for Bare {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        ready(Ok(Response::new(black_box(request).into_body())))
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

fn paths() -> Paths {
    [
        "/health",
        "/ready",
        "/metrics",
        "/favicon.ico",
        "/login",
        "/logout",
        "/about",
        "/docs/*",
    ]
    .into_iter()
    .fold(Paths::all(), Paths::exempt)
    .exempt("/auth/*")
    .protect("/auth/ticket")
}

fn request(path: &str, token: Option<&str>) -> Request<String> {
    let mut request = Request::get(path)
        .header("host", "api.example")
        .header("accept", "*/*");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(String::new()).unwrap()
}

fn issuer(algorithm: Algorithm) -> tower_warden::TokenIssuerBuilder {
    let key = match algorithm {
        Algorithm::HS256 => SigningKey::hs256("0123456789abcdef0123456789abcdef").unwrap(),
        algorithm => SigningKey::generate(algorithm).unwrap(),
    };
    TokenIssuer::builder(key)
        .with_issuer("https://id.example")
        .with_audience("https://api.example")
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    let mut row = |name: &str,
                   service: &mut dyn FnMut(Request<String>) -> Response<String>,
                   path: &str,
                   token: Option<&str>,
                   status: u16| {
        assert_eq!(service(request(path, token)).status(), status, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || request(path, token),
                &mut *service,
                BatchSize::SmallInput,
            );
        });
    };
    row(
        "bare",
        &mut |request| answer(&mut Bare, request),
        "/health",
        None,
        200,
    );

    let hs256 = issuer(Algorithm::HS256).build().unwrap();
    let layer = JwtAuthLayer::keys(hs256.verification_keys())
        .with_issuer("https://id.example")
        .with_audience("https://api.example")
        .with_paths(paths())
        .build()
        .unwrap();
    let mut service = layer.layer(Bare);
    let mut through = |request| answer(&mut service, request);
    row("exempt", &mut through, "/health", None, 200);
    row("refused/no token", &mut through, "/chat", None, 401);
    row(
        "refused/junk",
        &mut through,
        "/chat",
        Some("no-token-at-all"),
        401,
    );
    let expired = issuer(Algorithm::HS256)
        .with_clock(ManualClock::at(1_000_000))
        .build()
        .unwrap();
    let expired = expired.mint("alice").sign().unwrap();
    row(
        "refused/expired",
        &mut through,
        "/chat",
        Some(expired.expose()),
        401,
    );

    for algorithm in [
        Algorithm::HS256,
        Algorithm::EdDSA,
        Algorithm::ES256,
        Algorithm::RS256,
    ] {
        let issuer = issuer(algorithm).build().unwrap();
        let token = issuer
            .mint("alice")
            .with_scopes(["chat:read", "chat:write"])
            .sign()
            .unwrap();
        let builder = || {
            JwtAuthLayer::keys(issuer.verification_keys())
                .with_issuer("https://id.example")
                .with_audience("https://api.example")
                .with_paths(paths())
        };
        for (what, builder) in [
            ("first seen", builder().without_cache()),
            ("repeat", builder()),
        ] {
            let mut service = builder.build().unwrap().layer(Bare);
            row(
                &format!("{what}/{algorithm:?}"),
                &mut |request| answer(&mut service, request),
                "/chat",
                Some(token.expose()),
                200,
            );
        }
    }
    group.finish();
}

/// What the layer adds, by rounds that take turns with the bare service: medians of their differences.
fn added(_: &mut Criterion) {
    const ROUNDS: usize = 401;
    const CALLS: usize = 400;

    let issuer = issuer(Algorithm::RS256).build().unwrap();
    let token = issuer
        .mint("alice")
        .with_scopes(["chat:read", "chat:write"])
        .sign()
        .unwrap();
    let layer = JwtAuthLayer::keys(issuer.verification_keys())
        .with_issuer("https://id.example")
        .with_audience("https://api.example")
        .with_paths(paths())
        .build()
        .unwrap();
    let mut service = layer.layer(Bare);
    for (name, path, token) in [
        ("exempt", "/health", None),
        ("exempt, with a token", "/health", Some(token.expose())),
        ("repeat", "/chat", Some(token.expose())),
    ] {
        let (parts, _) = request(path, token).into_parts();
        let mut added: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let bare = round(CALLS, &parts, |request| answer(&mut Bare, request));
                let guarded = round(CALLS, &parts, |request| answer(&mut service, request));
                guarded - bare
            })
            .collect();
        added.sort_by(f64::total_cmp);
        let [low, median, high] = [1, 2, 3].map(|quarter| added[quarter * ROUNDS / 4]);
        println!("{name}: {median:.0} ns added (quartiles {low:.0} to {high:.0})");
    }
}

/// Thread time per request, which is as fresh in the processor's caches as a server that has just read it leaves it.
fn round(
    calls: usize,
    parts: &Parts,
    mut through: impl FnMut(Request<String>) -> Response<String>,
) -> f64 {
    let begun = thread_time();
    for _ in 0..calls {
        let request = Request::from_parts(black_box(parts).clone(), String::new());
        assert_eq!(through(request).status(), 200);
    }
    (thread_time() - begun).as_nanos() as f64 / calls as f64
}

criterion_group!(benches, rows, added);
criterion_main!(benches);
