//! How often verification allocates, counted: it must stay small, and nothing at all for junk. And what an open connection
//! takes.
//!
//! A binary of its own, since counting takes the place of the allocator.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "it/tokens.rs"]
mod tokens;

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Algorithm, BearerToken, JwtAuthLayer, NumericDate, Principal, RejectionKind, Revocation,
    Revocations, Verifier,
};

use tokens::{ALGORITHMS, TestClock, base64, keys, token};

const CLAIMS: &str = r#"{"iss":"https://id.example","sub":"alice","aud":"orders","exp":2000,"iat":900,
    "jti":"0123456789abcdef","scope":"chat history","realm_access":{"roles":["admin","ops"]}}"#;

fn verifier(algorithm: Algorithm) -> Verifier {
    Verifier::builder(keys(algorithm))
        .with_issuer("https://id.example")
        .with_audience("orders")
        .with_roles_claim("realm_access.roles")
        .with_clock(TestClock::at(1_000))
        .build()
        .unwrap()
}

fn header(algorithm: Algorithm, members: &str) -> String {
    format!(r#"{{"alg":"{algorithm:?}","typ":"at+jwt"{members}}}"#)
}

fn allocations(verifier: &Verifier, text: &str) -> (u64, Option<RejectionKind>) {
    let token = BearerToken::new(text);
    // A thread's first look at the key set allocates once for all of them.
    assert!(verifier.verify(&BearerToken::new("j.un.k")).is_err());
    let mut kind = None;
    let info = allocation_counter::measure(|| {
        kind = verifier
            .verify(&token)
            .err()
            .map(|rejection| rejection.kind());
    });
    (info.count_total, kind)
}

/// The budget is that of aws-lc-rs, whose keys are prepared; RustCrypto makes its verifier anew for each signature.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn a_cold_verification_allocates_four_times_at_most() {
    for algorithm in ALGORITHMS {
        let verifier = verifier(algorithm);
        let text = token(header(algorithm, ""), CLAIMS, algorithm);
        // The first token of a key set pays for the memo of its header, and the backend for its own beginnings.
        assert_eq!(allocations(&verifier, &text).1, None);

        let (count, kind) = allocations(&verifier, &text);
        assert_eq!(kind, None);
        assert!((1..=4).contains(&count), "{algorithm:?}: {count}");
    }
}

#[test]
fn junk_allocates_nothing() {
    for algorithm in ALGORITHMS {
        let verifier = verifier(algorithm);
        let good = token(header(algorithm, ""), CLAIMS, algorithm);
        assert_eq!(allocations(&verifier, &good).1, None);
        let other = if algorithm == Algorithm::ES384 {
            Algorithm::ES256
        } else {
            Algorithm::ES384
        };
        let (message, _) = good.rsplit_once('.').unwrap();
        let expired = CLAIMS.replace("2000", "900");
        for (text, expected) in [
            ("junk".to_owned(), RejectionKind::TokenMalformed),
            ("a.b.c.d".to_owned(), RejectionKind::TokenMalformed),
            (".".repeat(60_000), RejectionKind::TokenMalformed),
            ("AAAA.AAAA.AAAA".to_owned(), RejectionKind::TokenMalformed),
            (format!("{message}A.AAAA"), RejectionKind::TokenMalformed),
            (
                token(header(algorithm, r#","crit":["exp"]"#), CLAIMS, algorithm),
                RejectionKind::TokenMalformed,
            ),
            (
                token(header(algorithm, ""), r#"{"sub":"a","sub":"b"}"#, algorithm),
                RejectionKind::TokenMalformed,
            ),
            (
                token(r#"{"alg":"none"}"#, CLAIMS, algorithm),
                RejectionKind::AlgorithmNotAllowed,
            ),
            (
                token(header(other, ""), CLAIMS, other),
                RejectionKind::AlgorithmNotAllowed,
            ),
            (
                token(header(algorithm, ""), &expired, algorithm),
                RejectionKind::TokenExpired,
            ),
            (
                format!("{message}.{}", base64("forged")),
                RejectionKind::SignatureInvalid,
            ),
        ] {
            let found = allocations(&verifier, &text);
            assert_eq!(found, (0, Some(expected)), "{algorithm:?}: {text:.60}");
        }
    }
}

#[test]
fn an_unknown_key_id_allocates_nothing() {
    let keys = tower_warden::Keys::new([tokens::key(Algorithm::RS256).with_id("known")]).unwrap();
    let verifier = Verifier::builder(keys)
        .with_clock(TestClock::at(1_000))
        .build()
        .unwrap();
    let text = token(
        header(Algorithm::RS256, r#","kid":"unknown""#),
        CLAIMS,
        Algorithm::RS256,
    );
    assert_eq!(
        allocations(&verifier, &text),
        (0, Some(RejectionKind::KeyUnknown))
    );
}

/// The principal of a request that a layer with these revocations has let in.
fn principal(revocations: &Revocations) -> Principal {
    let verifier = verifier(Algorithm::HS256);
    let layer = JwtAuthLayer::verifier(verifier)
        .with_revocations(revocations.clone())
        .build()
        .unwrap();
    let inner = service_fn(|request: Request<String>| {
        let mut response = Response::new(String::new());
        let principal = request.extensions().get::<Principal>().unwrap();
        response.extensions_mut().insert(principal.clone());
        ready(Ok::<_, Infallible>(response))
    });
    let text = token(header(Algorithm::HS256, ""), CLAIMS, Algorithm::HS256);
    let request = Request::get("/")
        .header("authorization", format!("Bearer {text}"))
        .body(String::new())
        .unwrap();
    let answer = pin!(layer.layer(inner).oneshot(request));
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(mut response)) => response.extensions_mut().remove().unwrap(),
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => unreachable!("with the key at hand nothing is awaited"),
    }
}

/// Beyond its principal, with its entry in the register and a task that waits for its end.
#[tokio::test]
async fn an_open_connection_takes_three_hundred_bytes_at_most() {
    const COUNT: usize = 10_000;
    let revocations = Revocations::new();
    let principal = principal(&revocations);
    let mut connections = Vec::with_capacity(COUNT);
    let held = allocation_counter::measure(|| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..COUNT {
            let mut ended = Box::pin(principal.lease().ended());
            assert!(ended.as_mut().poll(&mut cx).is_pending());
            connections.push(ended);
        }
    });
    assert_eq!(revocations.open_connections(), COUNT);
    let each = held.bytes_current / COUNT as i64;
    println!(
        "{each} bytes and {} allocations for each",
        held.count_total / COUNT as u64
    );
    assert!((1..=300).contains(&each), "{each} bytes");
}

#[test]
fn a_revocation_is_looked_up_without_an_allocation() {
    let revocations = Revocations::new();
    let principal = principal(&revocations);
    for id in 0..1_000 {
        let expires_at = NumericDate::from_secs(u64::MAX);
        let subject = Revocation::subject(None, id.to_string(), expires_at, expires_at);
        for revocation in [
            Revocation::token_id(id.to_string(), expires_at),
            Revocation::session(id.to_string(), expires_at),
            Revocation::token_id(id.to_string(), expires_at).of_issuer("https://id.example"),
            Revocation::session(id.to_string(), expires_at).of_issuer("https://id.example"),
            subject,
        ] {
            revocations.apply(&revocation).unwrap();
        }
    }
    // A thread's first look allocates once for all of them.
    assert!(!revocations.is_revoked(principal.token()));
    let looked = allocation_counter::measure(|| {
        assert!(!revocations.is_revoked(principal.token()));
    });
    assert_eq!(looked.count_total, 0);
}

/// An inner service that allocates nothing.
#[derive(Clone)]
struct Bare;

impl tower::Service<http::Request<()>> for Bare {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<http::Response<String>, std::convert::Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        std::future::ready(Ok(http::Response::new(String::new())))
    }
}

/// What a whole request through the layer allocates, its own parts and the inner service left out.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn a_request_allocates_what_it_must_and_no_more() {
    use tower::{Layer, Service};
    use tower_warden::{JwtAuthLayer, Paths, SigningKey, TokenIssuer};

    let secret = "0123456789abcdef0123456789abcdef";
    let layer = JwtAuthLayer::hs256(secret)
        .unwrap()
        .with_paths(Paths::all().exempt("/health").exempt("/auth/*"))
        .build()
        .unwrap();
    let mut service = layer.layer(Bare);
    let token = TokenIssuer::builder(SigningKey::hs256(secret).unwrap())
        .build()
        .unwrap()
        .mint("alice")
        .with_scopes(["chat"])
        .sign()
        .unwrap();
    let mut count = |path: &str| {
        let mut request = http::Request::get(path);
        request = request.header("authorization", format!("Bearer {}", token.expose()));
        let mut request = Some(request.body(()).unwrap());
        let mut status = 0;
        let info = allocation_counter::measure(|| {
            let future = std::pin::pin!(service.call(request.take().unwrap()));
            if let Poll::Ready(Ok(response)) = future.poll(&mut Context::from_waker(Waker::noop()))
            {
                status = response.status().as_u16();
            }
        });
        assert_eq!(status, 200, "{path}");
        info.count_total
    };
    // The first token of a key set pays for the memo of its header.
    count("/chat");
    assert_eq!(count("/health"), 0, "an exempt path");
    assert_eq!(count("/auth/login"), 0, "an exempt tree");
    // Four for the verified token, three for the map of extensions and the principal in it.
    let admitted = count("/chat");
    assert!((1..=7).contains(&admitted), "{admitted}");
}
