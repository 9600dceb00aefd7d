//! [`RedactUri`]: keeps tokens out of the logs of other layers.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, Request, Response, Uri, header, request::Parts};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::request::source::pairs;

/// The query parameters that hold something secret, under the names that OAuth, identity providers and agent hosts use.
const PARAMETERS: [&str; 9] = [
    "access_token",
    "refresh_token",
    "id_token",
    "token",
    "ticket",
    "code",
    "client_secret",
    "api_key",
    "key",
];

/// The request headers that hold something secret.
const HEADERS: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    header::SEC_WEBSOCKET_PROTOCOL,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-id-token"),
    HeaderName::from_static("x-refresh-token"),
];

/// What stands where a secret stood.
const REDACTED: &str = "REDACTED";

/// Keeps tokens out of what a logging layer sees, by standing around it.
///
/// The wrapped layer is shown `/chat?room=1&access_token=REDACTED`, and request headers that are marked as sensitive,
/// so that their `Debug` output is `Sensitive`. What stands inside of it gets the request back as it came: the auth
/// layer finds its token, and a handler the `code` of a login. `Set-Cookie` of the response is marked too.
///
/// Hidden are the query parameters `access_token`, `refresh_token`, `id_token`, `token`, `ticket`, `code`,
/// `client_secret`, `api_key` and `key`, whatever their case and escaping, and a user and password before the host; the
/// headers `Authorization`, `Cookie`, `Proxy-Authorization`, `Sec-WebSocket-Protocol`, `X-API-Key`, `X-Id-Token` and
/// `X-Refresh-Token`; and a `Referer` with one of those parameters.
///
/// ```
/// use http::{Request, Response};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
/// use tower_http::trace::TraceLayer;
/// use tower_warden::RedactUri;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut service = ServiceBuilder::new()
///     .layer(RedactUri::around(TraceLayer::new_for_http()).and_parameter("session"))
///     // The auth layer follows here.
///     .service(service_fn(|request: Request<String>| async move {
///         assert_eq!(request.uri(), "/chat?access_token=a.b.c", "inside, nothing is missing");
///         Ok::<_, std::convert::Infallible>(Response::new(String::new()))
///     }));
///
/// let request = Request::get("/chat?access_token=a.b.c").body(String::new())?;
/// service.ready().await?.call(request).await?;
/// # Ok(())
/// # }
/// ```
///
/// Several layers are wrapped as a tuple, the outermost first: `RedactUri::around((TraceLayer::new_for_http(), other))`.
/// Where a span is made by hand, [`redacted_uri`] does for one URI what this layer does for a request.
///
/// # Security
///
/// It protects what it wraps, and nothing outside of it. A token in the path is not found.
#[derive(Debug, Clone)]
pub struct RedactUri<L> {
    wrapped: L,
    parameters: Arc<[Cow<'static, str>]>,
}

impl<L> RedactUri<L> {
    /// Stands around this layer, or this tuple of layers.
    #[must_use]
    pub fn around(wrapped: L) -> Self {
        Self {
            wrapped,
            parameters: PARAMETERS.map(Cow::Borrowed).into(),
        }
    }

    /// Hides the value of one more query parameter.
    ///
    /// Its name is compared in unescaped form, without regard to case.
    #[must_use]
    pub fn and_parameter(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.parameters = self
            .parameters
            .iter()
            .cloned()
            .chain([name.into()])
            .collect();
        self
    }
}

impl<S, L: Layer<RestoreUriService<S>>> Layer<S> for RedactUri<L> {
    type Service = RedactUriService<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        RedactUriService {
            inner: self.wrapped.layer(RestoreUriService { inner }),
            parameters: self.parameters.clone(),
        }
    }
}

/// The outer half of [`RedactUri`]: it hides.
#[derive(Debug, Clone)]
pub struct RedactUriService<S> {
    inner: S,
    parameters: Arc<[Cow<'static, str>]>,
}

impl<S, B> Service<Request<B>> for RedactUriService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        hide(&mut head, &self.parameters);
        self.inner.call(Request::from_parts(head, body))
    }
}

/// The inner half of [`RedactUri`]: it gives back what was hidden.
#[derive(Debug, Clone)]
pub struct RestoreUriService<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for RestoreUriService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RestoreUriFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        give_back(&mut head);
        RestoreUriFuture {
            inner: self.inner.call(Request::from_parts(head, body)),
        }
    }
}

pin_project! {
    /// The future of [`RestoreUriService`]: it marks the cookies of the response.
    #[derive(Debug)]
    pub struct RestoreUriFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, R, E> Future for RestoreUriFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcome = ready!(self.project().inner.poll(cx));
        if let Ok(response) = &mut outcome {
            mark(response.headers_mut(), header::SET_COOKIE);
        }
        Poll::Ready(outcome)
    }
}

/// What was hidden, on its way through the wrapped layers: nobody else can name this type.
#[derive(Clone)]
struct Hidden {
    uri: Option<Swapped>,
    /// axum keeps the whole target of a nested route.
    #[cfg(feature = "axum")]
    original: Option<Swapped>,
}

impl Hidden {
    fn is_empty(&self) -> bool {
        #[cfg(feature = "axum")]
        if self.original.is_some() {
            return false;
        }
        self.uri.is_none()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden([REDACTED])")
    }
}

/// A URI as it came, and as it is shown.
#[derive(Clone)]
struct Swapped {
    came: Uri,
    shown: Uri,
}

impl Swapped {
    /// Shows the redacted form; `None` if there is nothing to hide.
    fn hide(uri: &mut Uri, parameters: &[Cow<'static, str>]) -> Option<Self> {
        let shown = redact(uri, parameters)?;
        Some(Self {
            came: std::mem::replace(uri, shown.clone()),
            shown,
        })
    }

    /// Shows what came, unless somebody has put another URI there in the meantime.
    fn give_back(self, uri: &mut Uri) {
        if *uri == self.shown {
            *uri = self.came;
        }
    }
}

fn hide(head: &mut Parts, parameters: &[Cow<'static, str>]) {
    for name in HEADERS {
        mark(&mut head.headers, name);
    }
    let tells = |referer: &http::HeaderValue| {
        referer
            .to_str()
            .ok()
            .and_then(|text| text.parse::<Uri>().ok())
            .is_none_or(|uri| redact(&uri, parameters).is_some())
    };
    if head.headers.get_all(header::REFERER).iter().any(tells) {
        mark(&mut head.headers, header::REFERER);
    }
    let hidden = Hidden {
        uri: Swapped::hide(&mut head.uri, parameters),
        #[cfg(feature = "axum")]
        original: head
            .extensions
            .get_mut::<axum::extract::OriginalUri>()
            .and_then(|original| Swapped::hide(&mut original.0, parameters)),
    };
    if !hidden.is_empty() {
        head.extensions.insert(hidden);
    }
}

fn give_back(head: &mut Parts) {
    let Some(hidden) = head.extensions.remove::<Hidden>() else {
        return;
    };
    if let Some(swapped) = hidden.uri {
        swapped.give_back(&mut head.uri);
    }
    #[cfg(feature = "axum")]
    if let (Some(swapped), Some(original)) = (
        hidden.original,
        head.extensions.get_mut::<axum::extract::OriginalUri>(),
    ) {
        swapped.give_back(&mut original.0);
    }
}

/// Marks every value of a header as one that `Debug` does not show.
fn mark(headers: &mut HeaderMap, name: HeaderName) {
    if let header::Entry::Occupied(mut lines) = headers.entry(name) {
        lines.iter_mut().for_each(|line| line.set_sensitive(true));
    }
}

/// The URI with the values of these parameters replaced and without a user; `None` if there is nothing to hide.
fn redact(uri: &Uri, parameters: &[impl AsRef<str>]) -> Option<Uri> {
    let redacted = pairs::rewrite(uri, |pair| Some(shown(pair, parameters)));
    let Some((_, host)) = uri.authority().and_then(|it| it.as_str().rsplit_once('@')) else {
        return redacted;
    };
    let mut parts = redacted.unwrap_or_else(|| uri.clone()).into_parts();
    parts.authority = host.parse().ok();
    Some(Uri::from_parts(parts).unwrap_or_default())
}

/// The pair as it is shown.
fn shown<'q>(pair: &'q str, parameters: &[impl AsRef<str>]) -> Cow<'q, str> {
    let value = parameters
        .iter()
        .find_map(|name| pairs::value_of(pair, name.as_ref(), pairs::Case::Ignored));
    match value.and_then(|value| pair.strip_suffix(value)) {
        Some(name) if name.ends_with('=') => Cow::Owned(format!("{name}{REDACTED}")),
        _ => Cow::Borrowed(pair),
    }
}

/// Shows a URI without its secrets: what [`RedactUri`] does for a request, where a span is made by hand.
///
/// ```
/// use http::Request;
/// use tower_http::trace::TraceLayer;
/// use tower_warden::redacted_uri;
///
/// let trace = TraceLayer::new_for_http().make_span_with(|request: &Request<()>| {
///     tracing::info_span!("request", method = %request.method(), uri = %redacted_uri(request.uri()))
/// });
/// # let _ = trace;
///
/// let uri = "/chat?room=1&access_token=a.b.c".parse()?;
/// assert_eq!(redacted_uri(&uri).to_string(), "/chat?room=1&access_token=REDACTED");
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[must_use]
pub const fn redacted_uri(uri: &Uri) -> RedactedUri<'_> {
    RedactedUri(uri)
}

/// A URI that shows itself without its secrets; [`redacted_uri`] makes one.
#[derive(Clone, Copy)]
pub struct RedactedUri<'a>(&'a Uri);

impl fmt::Display for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match redact(self.0, &PARAMETERS) {
            Some(redacted) => redacted.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_secret_of_a_uri_is_hidden_and_nothing_else() {
        for (uri, shown) in [
            ("/a", "/a"),
            ("/a?b=c", "/a?b=c"),
            ("/a?access_token=s3cret", "/a?access_token=REDACTED"),
            ("/a?b=%20&token=s3cret&c=+", "/a?b=%20&token=REDACTED&c=+"),
            (
                "/a?token=s3cret&token=s3cret",
                "/a?token=REDACTED&token=REDACTED",
            ),
            ("/a?Token=s3cret", "/a?Token=REDACTED"),
            ("/a?t%6fken=s3cret", "/a?t%6fken=REDACTED"),
            ("/a?code=s3cret&state=1", "/a?code=REDACTED&state=1"),
            ("/a?token=s3=cret", "/a?token=REDACTED"),
            ("/a?token", "/a?token"),
            ("/a?token=", "/a?token=REDACTED"),
            ("/a?tokens=1", "/a?tokens=1"),
            ("http://h/a?key=s3cret", "http://h/a?key=REDACTED"),
            ("http://user:s3cret@h:1/a?b", "http://h:1/a?b"),
            (
                "http://user:s3cret@h/a?key=s3cret",
                "http://h/a?key=REDACTED",
            ),
            ("user:s3cret@h:1", "h:1"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(redacted_uri(&uri).to_string(), shown);
            assert_eq!(format!("{:?}", redacted_uri(&uri)), shown);
        }
    }

    #[test]
    fn a_query_that_grows_out_of_bounds_is_not_shown_at_all() {
        let uri: Uri = format!("/a?{}", "key=s&".repeat(10_000)).parse().unwrap();
        assert_eq!(redacted_uri(&uri).to_string(), "/a");
    }

    #[test]
    fn what_was_hidden_comes_back_as_it_was() {
        for uri in ["/a?token=s3cret&b=%20", "http://u:s3cret@h/a", "/a?b=c"] {
            let (mut head, ()) = Request::get(uri).body(()).unwrap().into_parts();
            hide(&mut head, &PARAMETERS.map(Cow::Borrowed));
            assert!(!format!("{head:?}").contains("s3cret"));
            if let Some(hidden) = head.extensions.get::<Hidden>() {
                assert_eq!(format!("{hidden:?}"), "Hidden([REDACTED])");
            }
            give_back(&mut head);
            assert_eq!(head.uri.to_string(), uri);
            assert!(head.extensions.is_empty());
        }
    }

    #[test]
    fn a_uri_that_a_wrapped_layer_replaced_stays_replaced() {
        let (mut head, ()) = Request::get("/a?token=s3cret")
            .body(())
            .unwrap()
            .into_parts();
        hide(&mut head, &PARAMETERS.map(Cow::Borrowed));
        head.uri = Uri::from_static("/b");
        give_back(&mut head);
        assert_eq!(head.uri, "/b");
    }
}
