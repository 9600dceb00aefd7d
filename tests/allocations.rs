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
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Algorithm, BearerToken, JwtAuthLayer, NumericDate, Principal, Refusals, Rejection,
    RejectionKind, Revocation, Revocations, Verifier, VerifierBuilder,
};

use tokens::{ALGORITHMS, TestClock, base64, keys, token};

const CLAIMS: &str = r#"{"iss":"https://id.example","sub":"alice","aud":"orders","exp":2000,"iat":900,
    "jti":"0123456789abcdef","scope":"chat history","realm_access":{"roles":["admin","ops"]}}"#;

fn builder(algorithm: Algorithm) -> VerifierBuilder {
    Verifier::builder(keys(algorithm))
        .with_issuer("https://id.example")
        .with_audience("orders")
        .with_roles_claim("realm_access.roles")
        .with_clock(TestClock::at(1_000))
}

fn verifier(algorithm: Algorithm) -> Verifier {
    builder(algorithm).build().unwrap()
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
        let verifier = builder(algorithm).without_cache().build().unwrap();
        let text = token(header(algorithm, ""), CLAIMS, algorithm);
        // The first token of a key set pays for the memo of its header, and the backend for its own beginnings.
        assert_eq!(allocations(&verifier, &text).1, None);

        let (count, kind) = allocations(&verifier, &text);
        assert_eq!(kind, None);
        assert!((1..=4).contains(&count), "{algorithm:?}: {count}");
    }
}

#[test]
fn a_known_token_allocates_nothing() {
    for algorithm in ALGORITHMS {
        let verifier = verifier(algorithm);
        let text = token(header(algorithm, ""), CLAIMS, algorithm);
        assert_eq!(allocations(&verifier, &text).1, None);
        assert_eq!(allocations(&verifier, &text), (0, None), "{algorithm:?}");
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
            (".".repeat(8_192), RejectionKind::TokenMalformed),
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

/// Its refusal keeps the length and the limit for the log, and nothing of the token.
#[test]
fn a_token_over_the_limit_allocates_two_numbers() {
    let verifier = verifier(Algorithm::HS256);
    for length in [8_193, 60_000] {
        let found = allocations(&verifier, &".".repeat(length));
        assert_eq!(found, (2, Some(RejectionKind::TokenTooLarge)), "{length}");
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

/// Two for the map of headers, three for the map of extensions and the rejection in it: what http takes for any response
/// that has both. The texts are those of the last refusal of the same kind.
#[test]
fn a_refusal_allocates_five_times() {
    for refusals in [Refusals::problem(), Refusals::edgeone(), Refusals::mixin()] {
        let refusals = refusals.with_realm("chat");
        for kind in [
            RejectionKind::TokenMissing,
            RejectionKind::CredentialsMalformed,
            RejectionKind::SignatureInvalid,
            RejectionKind::TokenExpired,
            RejectionKind::OriginForeign,
        ] {
            let count = refusal_allocations(&refusals, &kind.into());
            assert!((1..=5).contains(&count), "{kind:?}: {count}");
        }
    }
}

/// Beyond those five, `Retry-After` takes three: its digits, what keeps track of them, and a place among the headers. Scopes
/// take a challenge and a body of their own.
#[test]
fn a_refusal_that_says_more_than_its_kind_allocates_a_little_more() {
    let refusals = Refusals::problem();
    let later = |kind| Rejection::new(kind).with_retry_after(Duration::from_secs(9));
    for (rejection, most) in [
        (RejectionKind::KeysUnavailable.into(), 8),
        (later(RejectionKind::RateLimited), 8),
        (Rejection::insufficient_scope("chat:read chat:write"), 10),
    ] {
        let count = refusal_allocations(&refusals, &rejection);
        assert!((1..=most).contains(&count), "{rejection:?}: {count}");
    }
}

/// Of the second refusal: the first one writes the texts.
fn refusal_allocations(refusals: &Refusals, rejection: &Rejection) -> u64 {
    let refuse = || drop(refusals.respond::<Full<Bytes>>(rejection));
    refuse();
    allocation_counter::measure(refuse).count_total
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

/// What each of so many costs that are kept, in bytes that are allocated; they are dropped by the caller.
fn each<T>(count: usize, mut make: impl FnMut() -> T) -> (i64, Vec<T>) {
    let mut kept = Vec::with_capacity(count);
    let held = allocation_counter::measure(|| kept.extend((0..count).map(|_| make())));
    (held.bytes_current / count as i64, kept)
}

/// Beyond its principal, with its entries in the register and the timer, and a task that waits for its end. A hash map and
/// a heap have most room to spare right after they have grown, so several numbers are counted.
#[tokio::test]
async fn an_open_connection_takes_three_hundred_bytes_at_most() {
    for count in [7_500, 8_200, 10_000, 14_000] {
        let revocations = Revocations::new();
        let principal = principal(&revocations);
        let mut cx = Context::from_waker(Waker::noop());
        let (bytes, connections) = each(count, || {
            let mut ended = Box::pin(principal.lease().ended());
            assert!(ended.as_mut().poll(&mut cx).is_pending());
            ended
        });
        assert_eq!(revocations.open_connections(), count);
        println!("{count} leases: {bytes} bytes each");
        assert!(
            (1..=300).contains(&bytes),
            "{count} leases: {bytes} bytes each"
        );
        drop(connections);
    }
}

#[cfg(feature = "ws")]
use wire::socket;

#[cfg(feature = "ws")]
mod wire {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

    /// An endless row of masked text frames to read, or silence, and room for whatever is written.
    pub(crate) struct Wire {
        frame: Vec<u8>,
        at: usize,
    }

    /// A socket to a client that says this again and again, or nothing.
    pub(crate) async fn socket(text: &str) -> WebSocketStream<Wire> {
        let mut frame = Vec::new();
        if !text.is_empty() {
            frame.extend([0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0]);
            frame.extend_from_slice(text.as_bytes());
        }
        WebSocketStream::from_raw_socket(Wire { frame, at: 0 }, Role::Server, None).await
    }

    impl AsyncRead for Wire {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.frame.is_empty() {
                return Poll::Pending;
            }
            while buffer.remaining() > 0 {
                let rest = &self.frame[self.at..];
                let length = rest.len().min(buffer.remaining());
                buffer.put_slice(&rest[..length]);
                self.at = (self.at + length) % self.frame.len();
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}

/// What the guard does to each message, and the look for renewals in it, takes no allocation: the bare socket's own are
/// all there are.
#[cfg(feature = "ws")]
#[tokio::test]
async fn a_guarded_message_allocates_no_more_than_a_bare_one() {
    use std::pin::Pin;

    use futures_util::Stream;
    use tower_warden::RenewalMessages;

    /// The allocations of a thousand messages, after a first thousand has made room.
    fn count<W: Stream + Unpin>(mut socket: W) -> u64 {
        let mut cx = Context::from_waker(Waker::noop());
        let mut receive = || {
            for _ in 0..1_000 {
                assert!(Pin::new(&mut socket).poll_next(&mut cx).is_ready());
            }
        };
        receive();
        allocation_counter::measure(receive).count_total
    }

    let principal = principal(&Revocations::new());
    for text in [
        r#"{"type":"chat","text":"and what happened then?"}"#,
        r#"{"type":"author","token":"a.b.c"}"#,
        "plain words",
    ] {
        let bare = count(socket(text).await);
        let guarded = principal.lease().guard(socket(text).await);
        assert_eq!(count(guarded), bare, "guarded: {text}");
        let renewing = principal.lease().guard(socket(text).await);
        let renewing = renewing.with_renewal(RenewalMessages::default());
        assert_eq!(count(renewing), bare, "renewing: {text}");
    }
}

/// The same for a WebSocket under a lease, whose handler waits for a message: all that the guard adds to the bare socket,
/// its own fields among it.
#[cfg(feature = "ws")]
#[tokio::test]
async fn a_guarded_socket_takes_three_hundred_bytes_more_than_a_bare_one() {
    use futures_util::StreamExt;

    let mut sockets = Vec::new();
    for _ in 0..2 * 7_500 {
        sockets.push(socket("").await);
    }
    let revocations = Revocations::new();
    let principal = principal(&revocations);
    let mut cx = Context::from_waker(Waker::noop());
    // Each in a box, as a task of its own holds it.
    let (bare, kept) = each(7_500, || {
        let mut socket = Box::new(sockets.pop().unwrap());
        assert!(socket.poll_next_unpin(&mut cx).is_pending());
        socket
    });
    let (guarded, connections) = each(7_500, || {
        let lease = principal.lease();
        let mut socket = Box::new(lease.guard(sockets.pop().unwrap()));
        assert!(socket.poll_next_unpin(&mut cx).is_pending());
        socket
    });
    assert_eq!(revocations.open_connections(), 7_500);
    let bytes = guarded - bare;
    println!("{bytes} bytes each, beside a socket of {bare}");
    assert!((1..=300).contains(&bytes), "{bytes} bytes each");
    drop((kept, connections));
    assert_eq!(revocations.open_connections(), 0);
}

/// The same behind an `OwnershipLayer`, each connection about a resource of its own: beyond the principal, and what the
/// request itself found out about the resource.
#[cfg(feature = "ws")]
#[tokio::test]
async fn a_socket_about_somebodys_resource_takes_three_hundred_bytes_more_too() {
    use futures_util::StreamExt;
    use tower_warden::{Lease, MemoryOwnerStore, Owned, Owners, OwnershipLayer, ResourceKey};

    const COUNT: usize = 7_500;
    let revocations = Revocations::new();
    let principal = principal(&revocations);
    let key = ResourceKey::path("/agents/{agent}/{room}").unwrap();
    let owners = Owners::new(MemoryOwnerStore::new());
    let layer = OwnershipLayer::new(owners, key).claim_on_first_use();
    let inner = service_fn(|request: Request<String>| {
        let mut response = Response::new(String::new());
        let owned = request.extensions().get::<Owned>().unwrap();
        response.extensions_mut().insert(owned.clone());
        ready(Ok::<_, Infallible>(response))
    });
    let mut heads = Vec::new();
    let mut sockets = Vec::new();
    for room in 0..COUNT {
        let path = format!("/agents/a/{room}");
        let mut request = Request::get(&path).body(String::new()).unwrap();
        request.extensions_mut().insert(principal.clone());
        let mut response = layer.layer(inner).oneshot(request).await.unwrap();
        let owned = response.extensions_mut().remove::<Owned>().unwrap();
        let (mut head, ()) = Request::new(()).into_parts();
        head.extensions.insert(principal.clone());
        head.extensions.insert(owned);
        heads.push(head);
        sockets.push((socket("").await, socket("").await));
    }
    let mut cx = Context::from_waker(Waker::noop());
    let (mut bare, mut guarded): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
    let (bare, kept) = each(COUNT, || {
        let mut socket = Box::new(bare.pop().unwrap());
        assert!(socket.poll_next_unpin(&mut cx).is_pending());
        socket
    });
    let mut head = heads.iter();
    let (guarded, connections) = each(COUNT, || {
        let lease = Lease::from_head(head.next().unwrap()).unwrap();
        let mut socket = Box::new(lease.guard(guarded.pop().unwrap()));
        assert!(socket.poll_next_unpin(&mut cx).is_pending());
        socket
    });
    assert_eq!(revocations.open_connections(), COUNT);
    let bytes = guarded - bare;
    println!("{bytes} bytes each, about a resource each");
    assert!((1..=300).contains(&bytes), "{bytes} bytes each");
    drop((kept, connections));
}

/// Connections come and go long before their tokens expire, and leave nothing in register and timer.
#[tokio::test]
async fn connections_that_have_gone_leave_nothing_behind() {
    let revocations = Revocations::new();
    let principal = principal(&revocations);
    let mut cx = Context::from_waker(Waker::noop());
    let mut come_and_go = |times: usize| {
        for _ in 0..times {
            let mut ended = Box::pin(principal.lease().ended());
            assert!(ended.as_mut().poll(&mut cx).is_pending());
        }
    };
    // Some stay, so that there is something to keep.
    let (_, staying) = each(100, || {
        let mut ended = Box::pin(principal.lease().ended());
        assert!(
            ended
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        ended
    });
    come_and_go(1_000);
    let left = allocation_counter::measure(|| come_and_go(100_000));
    // The heap's own room may have grown or shrunk meanwhile.
    assert!(
        left.bytes_current < 64 * 1024,
        "{} bytes",
        left.bytes_current
    );
    drop(staying);
    assert_eq!(revocations.open_connections(), 0);
}

#[test]
fn a_revocation_is_looked_up_without_an_allocation() {
    let revocations = Revocations::new();
    let principal = principal(&revocations);
    // A hundred thousand entries.
    for id in 0..20_000 {
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
