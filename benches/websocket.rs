//! What does the guard of a WebSocket add to each message, beyond the socket's own `recv`?
//!
//! Baseline: `bare`, tokio-tungstenite over memory that holds an endless row of the same text message, so that none is
//! ever waited for. The clock is the system's.
//!
//! | row | question |
//! | --- | --- |
//! | `recv/guarded` | one message handed out |
//! | `recv/renewing` | the same, with renewals looked for in it |
//! | `send/guarded` | one message sent and flushed, over `send/bare` |
//! | `added to recv/bare` | what either adds: budget 50 ns |
//!
//! The last row is what the others cannot say on a machine that does something else meanwhile: rounds of the three take
//! turns, and the median of their differences is printed, with its quartiles.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    convert::Infallible,
    hint::black_box,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::{FutureExt, SinkExt, StreamExt};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{JwtAuthLayer, Principal, RenewalMessages, SigningKey, TokenIssuer};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An endless row of masked text frames to read, and room for whatever is written.
struct Endless {
    frame: Vec<u8>,
    at: usize,
}

impl Endless {
    fn new(text: &str) -> Self {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126);
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        Self { frame, at: 0 }
    }
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while buffer.remaining() > 0 {
            let rest = &self.frame[self.at..];
            let length = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..length]);
            self.at = (self.at + length) % self.frame.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(bytes).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What is ready at once, as everything here is.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here is waited for"),
    }
}

fn socket() -> WebSocketStream<Endless> {
    let text = r#"{"type":"chat","text":"and what happened then?"}"#;
    let socket = WebSocketStream::from_raw_socket(Endless::new(text), Role::Server, None);
    socket.now_or_never().unwrap()
}

fn principal() -> Principal {
    let inner = service_fn(async |request: Request<String>| {
        let principal = request.extensions().get::<Principal>().cloned();
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(principal.unwrap());
        Ok::<_, Infallible>(response)
    });
    let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap());
    let token = issuer.build().unwrap().mint("alice").sign().unwrap();
    let layer = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let request = Request::get("/chat")
        .header("authorization", format!("Bearer {}", token.expose()))
        .body(String::new())
        .unwrap();
    let mut response = now(layer.layer(inner).oneshot(request)).unwrap();
    response.extensions_mut().remove().unwrap()
}

fn recv(c: &mut Criterion) {
    let principal = principal();
    let mut group = c.benchmark_group("recv");
    let mut bare = socket();
    group.bench_function("bare", |b| b.iter(|| now(bare.next()).unwrap().unwrap()));
    let mut guarded = principal.lease().guard(socket());
    group.bench_function("guarded", |b| {
        b.iter(|| now(guarded.recv()).unwrap().unwrap());
    });
    let messages = RenewalMessages::default();
    let mut renewing = principal.lease().guard(socket()).with_renewal(messages);
    group.bench_function("renewing", |b| {
        b.iter(|| now(renewing.recv()).unwrap().unwrap());
    });
    group.finish();
}

fn send(c: &mut Criterion) {
    let principal = principal();
    let message = || Message::text("and then they lived happily ever after");
    let mut group = c.benchmark_group("send");
    let mut bare = socket();
    group.bench_function("bare", |b| b.iter(|| now(bare.send(message())).unwrap()));
    let mut guarded = principal.lease().guard(socket());
    group.bench_function("guarded", |b| {
        b.iter(|| now(guarded.send(message())).unwrap());
    });
    group.finish();
}

/// What the guard adds to each message, by rounds that take turns.
fn added(_: &mut Criterion) {
    const ROUNDS: usize = 3_000;
    const MESSAGES: u32 = 300;

    fn round(mut message: impl FnMut()) -> f64 {
        let begun = Instant::now();
        for _ in 0..MESSAGES {
            message();
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(MESSAGES)
    }

    let principal = principal();
    let mut bare = socket();
    let mut guarded = principal.lease().guard(socket());
    let messages = RenewalMessages::default();
    let mut renewing = principal.lease().guard(socket()).with_renewal(messages);
    let mut added = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let nothing = round(|| drop(black_box(now(bare.next()).unwrap().unwrap())));
        let guard = round(|| drop(black_box(now(guarded.recv()).unwrap().unwrap())));
        let renewals = round(|| drop(black_box(now(renewing.recv()).unwrap().unwrap())));
        added[0].push(guard - nothing);
        added[1].push(renewals - nothing);
    }
    for (name, mut added) in ["guarded", "renewing"].into_iter().zip(added) {
        added.sort_by(f64::total_cmp);
        let [low, median, high] = [1, 2, 3].map(|quarter| added[quarter * ROUNDS / 4]);
        println!("added to recv/bare by {name}: {median:.1} ns (quartiles {low:.1} to {high:.1})");
    }
}

criterion_group!(benches, recv, send, added);
criterion_main!(benches);
