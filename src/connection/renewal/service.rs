//! [`RenewalService`]: the door beside the connection, `POST /auth/refresh`.
//!
//! Through it goes a `POST` with a principal of the auth layer outside, whose subject is the connection's own. The rest
//! is answered 405, 400, 401, 403, 404 or 409, as the layer answers refusals.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use tower_service::Service;

use super::rules::is_same_subject;
use crate::{
    BearerToken, ConnectionId, Lease, Principal, Refusals, Rejection, RejectionKind,
    principal::require_principal, telemetry,
};

/// A longer body is no renewal.
const LONGEST_BODY: usize = 64 * 1024;

/// Renews an open connection by a request of its own: `POST /auth/refresh`, inside the auth layer.
///
/// The request is authenticated like any other; its principal has to be the connection's own subject, as whoever knows
/// the ID of a connection has proved nothing. The body names the connection, and the token if it is not the request's
/// own:
///
/// ```json
/// {"connection_id":"00f067aa0ba902b700f067aa0ba902b7","token":"…"}
/// ```
///
/// The answer is 200 with `{"ttl":3600,"connection_id":"…"}`, where `ttl` is the time until the connection ends, in
/// seconds. What [`Lease::renew`] refuses is answered so, and the connection lives on as it was: 403
/// `renewal_other_subject`, 409 `renewal_not_newer`, 404 `connection_ended`, 401 for a token that does not verify.
///
/// # Examples
///
/// ```
/// use tower_warden::{JwtAuthLayer, RenewalService};
///
/// # fn main() -> Result<(), tower_warden::ConfigError> {
/// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?.build()?;
/// let app: axum::Router = axum::Router::new()
///     .route_service("/auth/refresh", RenewalService::new())
///     .layer(auth);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct RenewalService;

impl RenewalService {
    /// The service; it finds the connections of the layer that stands outside it, and of all layers that share their
    /// [`Revocations`](crate::Revocations) with that one.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

#[derive(Deserialize)]
struct Order {
    connection_id: String,
    #[serde(default)]
    token: Option<String>,
}

impl<B> Service<Request<B>> for RenewalService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = RenewalFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        RenewalFuture(Box::pin(respond(head, body)))
    }
}

async fn respond<B>(head: Parts, body: B) -> Response<Full<Bytes>>
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if head.method != Method::POST {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allow = HeaderValue::from_static("POST");
        response.headers_mut().insert(header::ALLOW, allow);
        return response;
    }
    let principal = match require_principal(&head) {
        Ok(principal) => principal,
        Err((kind, refusals)) => {
            if kind == RejectionKind::Misconfigured {
                tracing::error!(
                    target: "tower_warden",
                    "`RenewalService` stands outside the auth layer: mount it inside, and do not exempt its path",
                );
            }
            return refuse(&kind.into(), &refusals, None);
        }
    };
    match renew(principal, body).await {
        Ok(lease) => accept(&lease),
        Err(rejection) => refuse(&rejection, principal.refusals(), Some(principal.source())),
    }
}

async fn renew<B>(principal: &Principal, body: B) -> Result<Lease, Rejection>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let malformed = || Rejection::new(RejectionKind::RequestMalformed);
    let body = Limited::new(body, LONGEST_BODY).collect().await;
    let body = body.map_err(|_| malformed())?.to_bytes();
    let order: Order = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let id: ConnectionId = order.connection_id.parse().map_err(|_| malformed())?;

    let (context, token) = principal.parts();
    let connections = context.layer.revocations.connections();
    let open = connections.find(id).ok_or(RejectionKind::ConnectionEnded)?;
    let lease = Lease::from_open(open);
    if !is_same_subject(lease.principal().token(), token) {
        return Err(RejectionKind::RenewalOtherSubject.into());
    }
    match order.token {
        Some(token) => lease.renew(&BearerToken::new(token)).await?,
        None => lease.renew(token.token()).await?,
    };
    Ok(lease)
}

fn accept(lease: &Lease) -> Response<Full<Bytes>> {
    let body = serde_json::json!({
        "ttl": lease.remaining().as_secs(),
        "connection_id": lease.id().to_string(),
    });
    let mut response = Response::new(Full::from(body.to_string()));
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, no_store);
    response
}

fn refuse(
    rejection: &Rejection,
    refusals: &Refusals,
    source: Option<&'static str>,
) -> Response<Full<Bytes>> {
    telemetry::refused(rejection, source);
    refusals.respond(rejection)
}

/// Response future of [`RenewalService`].
pub struct RenewalFuture(Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>);

impl Future for RenewalFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for RenewalFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenewalFuture")
    }
}
