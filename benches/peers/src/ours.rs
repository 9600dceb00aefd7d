//! tower-warden: through a router of axum, around a bare service, and without a layer.

use std::hint::black_box;

use axum::body::Body;
use tower::Layer;
use tower_warden::{
    AuthLayerBuilder, Bearer, BearerToken, CacheConfig, JwtAuthLayer, Keys, Paths, Verifier,
};

use crate::{
    baselines::{Bare, Handler, routes},
    case::{AUDIENCE, Case, ISSUER, KEY_ID, PATH},
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

pub(crate) fn exempt(case: &Case) -> Subject {
    let router = routes(Handler::Plain).layer(exempting(case));
    let request = case.request(PATH, Some(&case.token));
    service::<_, Body, _>(router, request, None)
}

pub(crate) fn guarded(case: &Case, memory: Memory, handler: Handler) -> Subject {
    let router = routes(handler).layer(layer(case, memory));
    let request = case.request(PATH, Some(&case.token));
    let forged = case.request(PATH, Some(&case.forged));
    service::<_, Body, _>(router, request, Some(forged))
}

/// Tokens none of which is known, at a cache that is full of others.
pub(crate) fn strangers(case: &Case) -> Subject {
    let router = routes(Handler::Plain).layer(layer(case, Memory::Crowded));
    let request = |token: &String| case.request(PATH, Some(token));
    let requests = case.others.iter().map(request).collect();
    let forged = case.request(PATH, Some(&case.forged));
    service_of_many::<_, Body, _>(router, requests, Some(forged))
}

pub(crate) fn bare_exempt(case: &Case) -> Subject {
    let request = case.request(PATH, Some(&case.token));
    service::<_, String, _>(exempting(case).layer(Bare), request, None)
}

pub(crate) fn bare_guarded(case: &Case, memory: Memory) -> Subject {
    let guarded = layer(case, memory).layer(Bare);
    let request = case.request(PATH, Some(&case.token));
    let forged = case.request(PATH, Some(&case.forged));
    service::<_, String, _>(guarded, request, Some(forged))
}

/// `Verifier::verify` alone.
pub(crate) fn verifier(case: &Case, memory: Memory) -> Subject {
    let verifier = new_verifier(case, memory);
    let token = BearerToken::new(case.token.clone());
    let forged = BearerToken::new(case.forged.clone());
    assert!(verifier.verify(&forged).is_err());
    call(move || verifier.verify(black_box(&token)).is_ok())
}

pub(crate) fn new_verifier(case: &Case, memory: Memory) -> Verifier {
    let builder = Verifier::builder(keys(case))
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE);
    match memory {
        Memory::Kept => builder,
        Memory::Crowded => builder.with_cache(small()),
        Memory::None => builder.without_cache(),
    }
    .build()
    .unwrap()
}

/// The least that a cache may have.
fn small() -> CacheConfig {
    CacheConfig::new().with_max_bytes(64 << 10)
}

fn keys(case: &Case) -> Keys {
    Keys::new([key(case.algorithm).with_id(KEY_ID)]).unwrap()
}

fn layer(case: &Case, memory: Memory) -> JwtAuthLayer {
    let builder = builder(case);
    match memory {
        Memory::Kept => builder,
        Memory::Crowded => builder.with_cache(small()),
        Memory::None => builder.without_cache(),
    }
    .build()
    .unwrap()
}

/// A layer that lets just the same request pass that the others guard.
fn exempting(case: &Case) -> JwtAuthLayer {
    builder(case)
        .with_paths(Paths::all().exempt(PATH))
        .build()
        .unwrap()
}

fn builder(case: &Case) -> AuthLayerBuilder<Bearer> {
    JwtAuthLayer::keys(keys(case))
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
}
