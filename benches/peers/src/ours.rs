//! tower-warden: through a router of axum, around a bare service, and without a layer; and each without it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response};
use tower::{Layer, Service, layer::layer_fn};
use tower_warden::{BearerToken, CacheConfig, Claims, JwtAuthLayer, Keys, Paths, Verifier};

use crate::{
    case::{AUDIENCE, Case, EXEMPT, GUARDED, ISSUER, KEY_ID},
    harness::{Subject, call, service, service_of_many},
    tokens::key,
};

/// Whether verified tokens are kept.
#[derive(Clone, Copy)]
pub(crate) enum Memory {
    /// As by default: a token that comes again is known.
    Kept,
    /// The same, but there is no room for so many.
    Crowded,
    /// None is.
    None,
}

/// What the handler takes.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Plain,
    /// As the peers whose claims are typed read them for each request.
    Claims,
}

/// A router without authentication.
pub(crate) fn router(case: &Case) -> Subject {
    let request = case.request(GUARDED, Some(&case.token));
    service::<_, Body, _>(routes(Handler::Plain), request, None)
}

/// The same with a layer that does nothing: axum puts each layered route into a box of its own, and clones the layer
/// for each request. Like any layer that is configured, this one is a pointer large.
pub(crate) fn router_layered(case: &Case) -> Subject {
    let configuration = Arc::new(());
    let router = routes(Handler::Plain).layer(layer_fn(move |inner| Nothing {
        inner,
        _configuration: Arc::clone(&configuration),
    }));
    let request = case.request(GUARDED, Some(&case.token));
    service::<_, Body, _>(router, request, None)
}

pub(crate) fn exempt(case: &Case) -> Subject {
    let router = routes(Handler::Plain).layer(layer(case, Memory::Kept));
    service::<_, Body, _>(router, case.request(EXEMPT, None), None)
}

pub(crate) fn guarded(case: &Case, memory: Memory, handler: Handler) -> Subject {
    let router = routes(handler).layer(layer(case, memory));
    let request = case.request(GUARDED, Some(&case.token));
    let forged = case.request(GUARDED, Some(&case.forged));
    service::<_, Body, _>(router, request, Some(forged))
}

/// Tokens none of which is known, at a cache that is full of others.
pub(crate) fn strangers(case: &Case) -> Subject {
    let router = routes(Handler::Plain).layer(layer(case, Memory::Crowded));
    let request = |token: &String| case.request(GUARDED, Some(token));
    let requests = case.others.iter().map(request).collect();
    let forged = case.request(GUARDED, Some(&case.forged));
    service_of_many::<_, Body, _>(router, requests, Some(forged))
}

/// A service without authentication and without a framework.
pub(crate) fn bare(case: &Case) -> Subject {
    let request = case.request(GUARDED, Some(&case.token));
    service::<_, String, _>(Bare, request, None)
}

pub(crate) fn bare_exempt(case: &Case) -> Subject {
    let guarded = layer(case, Memory::Kept).layer(Bare);
    service::<_, String, _>(guarded, case.request(EXEMPT, None), None)
}

pub(crate) fn bare_guarded(case: &Case, memory: Memory) -> Subject {
    let guarded = layer(case, memory).layer(Bare);
    let request = case.request(GUARDED, Some(&case.token));
    let forged = case.request(GUARDED, Some(&case.forged));
    service::<_, String, _>(guarded, request, Some(forged))
}

/// `Verifier::verify` alone.
pub(crate) fn verifier(case: &Case, memory: Memory) -> Subject {
    let builder = Verifier::builder(keys(case))
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE);
    let verifier = match memory {
        Memory::Kept => builder,
        Memory::Crowded => builder.with_cache(small()),
        Memory::None => builder.without_cache(),
    }
    .build()
    .unwrap();
    let token = BearerToken::new(case.token.clone());
    let forged = BearerToken::new(case.forged.clone());
    assert!(verifier.verify(&forged).is_err());
    call(move || verifier.verify(black_box(&token)).is_ok())
}

/// The least that a cache may have.
fn small() -> CacheConfig {
    CacheConfig::new().with_max_bytes(64 << 10)
}

fn keys(case: &Case) -> Keys {
    Keys::new([key(case.algorithm).with_id(KEY_ID)]).unwrap()
}

fn layer(case: &Case, memory: Memory) -> JwtAuthLayer {
    let builder = JwtAuthLayer::keys(keys(case))
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
        .with_paths(Paths::all().exempt(EXEMPT));
    match memory {
        Memory::Kept => builder,
        Memory::Crowded => builder.with_cache(small()),
        Memory::None => builder.without_cache(),
    }
    .build()
    .unwrap()
}

fn routes(handler: Handler) -> Router {
    let guarded = match handler {
        Handler::Plain => get(async || "ok"),
        Handler::Claims => get(async |_: Claims<crate::case::Claims>| "ok"),
    };
    Router::new()
        .route(GUARDED, guarded)
        .route(EXEMPT, get(async || "ok"))
}

/// Answers at once, with the body that came.
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

/// Hands everything on.
#[derive(Clone)]
struct Nothing<S> {
    inner: S,
    _configuration: Arc<()>,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Nothing<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.inner.call(request)
    }
}
