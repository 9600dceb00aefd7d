//! [`RenewalService`]: the door beside the connection, `POST /auth/refresh`.
//!
//! Through it goes a `POST` with a principal of the auth layer outside, whose subject is the connection's own. The rest
//! is answered 405, 400, 401, 403, 404 or 409, as the layer answers refusals.

use std::{
    convert::Infallible,
    error::Error,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use tower_service::Service;

use super::rules::is_same_subject;
use crate::{
    AnswerFuture, BearerToken, ConnectionId, Lease, Rejection, RejectionKind,
    endpoint::{self, Answer},
};

/// A longer body is no renewal.
const LONGEST_BODY: usize = 65 * 1024;

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
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        AnswerFuture::new(async move {
            let outcome = renew(&head, body).await;
            endpoint::settle(outcome, &head, "RenewalService")
        })
    }
}

async fn renew<B>(head: &Parts, body: B) -> Result<Answer, Rejection>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    if head.method != Method::POST {
        return Ok(endpoint::not_allowed("POST"));
    }
    let principal = endpoint::principal(head)?;
    let order: Order = endpoint::read(body, LONGEST_BODY).await?;
    let id = order.connection_id.parse::<ConnectionId>();
    let id = id.map_err(|_| RejectionKind::RequestMalformed)?;

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
    Ok(renewed(&lease))
}

fn renewed(lease: &Lease) -> Answer {
    let body = json!({
        "ttl": lease.remaining().as_secs(),
        "connection_id": lease.id().to_string(),
    });
    endpoint::json(StatusCode::OK, &body)
}
