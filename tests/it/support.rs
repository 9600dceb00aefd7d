//! An inner service that counts its calls, and tokens to send it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};
use tower_warden::{BearerToken, Principal, Rejection, RejectionKind, SigningKey, TokenIssuer};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An inner service that answers 200 with the subject, and remembers what reached it.
#[derive(Clone, Default)]
pub(crate) struct Inner {
    calls: Arc<AtomicUsize>,
}

impl Inner {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// What the inner service saw, in the extensions of its response.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) uri: http::Uri,
    pub(crate) headers: http::HeaderMap,
    pub(crate) principal: Option<Principal>,
}

impl Service<Request<String>> for Inner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (head, body) = request.into_parts();
        let principal = head.extensions.get::<Principal>().cloned();
        let mut response = Response::new(body);
        response.extensions_mut().insert(Seen {
            uri: head.uri,
            headers: head.headers,
            principal,
        });
        ready(Ok(response))
    }
}

/// Sends one request through the layer, and proves that a refusal never reaches the inner service.
#[track_caller]
pub(crate) fn send<L>(layer: &L, request: Request<String>) -> Response<String>
where
    L: Layer<Inner>,
    L::Service: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let inner = Inner::default();
    let service = layer.layer(inner.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let response = runtime.block_on(service.oneshot(request)).unwrap();
    let refused = response.extensions().get::<Rejection>().is_some();
    assert_eq!(
        inner.calls(),
        usize::from(!refused),
        "calls of the inner service"
    );
    response
}

/// Why the response was refused, or `None` if it came from the inner service.
pub(crate) fn refusal<B>(response: &Response<B>) -> Option<RejectionKind> {
    response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::kind)
}

/// What the inner service saw of the request behind this response.
#[track_caller]
pub(crate) fn seen<B>(response: &Response<B>) -> &Seen {
    response
        .extensions()
        .get::<Seen>()
        .expect("the request reached the inner service")
}

/// A token for the subject, good for an hour.
pub(crate) fn token(subject: &str) -> BearerToken<'static> {
    issuer().mint(subject).sign().unwrap()
}

pub(crate) fn issuer() -> TokenIssuer {
    TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .build()
        .unwrap()
}

/// `GET` of that path, with a bearer token.
pub(crate) fn get(path: &str, token: &BearerToken<'_>) -> Request<String> {
    Request::get(path)
        .header("authorization", format!("Bearer {}", token.expose()))
        .body(String::new())
        .unwrap()
}

/// `GET` of that path, with these headers.
pub(crate) fn get_with<'a>(
    path: &str,
    headers: impl IntoIterator<Item = (&'a str, String)>,
) -> Request<String> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(String::new()).unwrap()
}

/// The headers of a WebSocket handshake.
pub(crate) fn upgrade() -> [(&'static str, String); 4] {
    [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    .map(|(name, value)| (name, value.to_owned()))
}

/// Tells jsonwebtoken, our oracle, which backend is the process's own: with two in one build it has to be told.
pub(crate) fn install_oracle() {
    // Only the first call counts; the others are told so, and change nothing.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}
