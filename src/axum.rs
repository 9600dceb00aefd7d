//! Extractors for axum: [`Principal`], [`Lease`], [`Claims`], [`Credentials`] and [`Owned`] as arguments of a handler.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::Response,
};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{
    Credentials, Lease, Owned, Principal, Refusals, Rejection, RejectionKind,
    principal::require_principal, telemetry,
};

/// The claims of the verified token, read as a type of the application.
///
/// A token of another shape is answered 401 `invalid_token`.
///
/// # Examples
///
/// ```
/// use serde::Deserialize;
/// use tower_warden::Claims;
///
/// #[derive(Deserialize)]
/// struct User {
///     username: String,
/// }
///
/// async fn greet(Claims(user): Claims<User>) -> String {
///     format!("hello {}", user.username)
/// }
/// ```
#[derive(Debug)]
pub struct Claims<T>(pub Arc<T>);

/// The principal, or the answer to a request that has none.
#[expect(
    clippy::result_large_err,
    reason = "the error is the response that axum sends"
)]
fn principal(head: &Parts) -> Result<&Principal, Response> {
    require_principal(head).map_err(|(kind, refusals)| {
        if kind == RejectionKind::Misconfigured {
            tracing::error!(
                target: "tower_warden",
                path = head.uri.path(),
                "a handler asks for a principal and no layer has looked at the request: mount a JwtAuthLayer or \
                 CookieAuthLayer outside the route, and do not exempt its path",
            );
        }
        refuse(kind.into(), &refusals)
    })
}

fn refuse(rejection: Rejection, refusals: &Refusals) -> Response {
    telemetry::refused(&rejection, None);
    refusals.respond(&rejection)
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        principal(head).cloned()
    }
}

/// `None` where [`Access::Optional`](crate::Access::Optional) let a request pass without a token. A path that no layer
/// has looked at is still a 500: an exempt path never has a principal, so asking for one is a mistake.
impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        match require_principal(head) {
            Err((RejectionKind::TokenMissing, _)) => Ok(None),
            _ => principal(head).cloned().map(Some),
        }
    }
}

/// Opens a connection: ask for one lease in a handler, and clone it.
impl<S: Sync> FromRequestParts<S> for Lease {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        principal(head)?;
        Self::from_head(head)
            .ok_or_else(|| refuse(RejectionKind::Misconfigured.into(), &Refusals::default()))
    }
}

impl<T, S> FromRequestParts<S> for Claims<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
    S: Sync,
{
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let principal = principal(head)?;
        principal
            .claims()
            .map(Self)
            .map_err(|rejection| refuse(rejection, principal.refusals()))
    }
}

impl<S: Sync> FromRequestParts<S> for Credentials {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        principal(head)?;
        Self::from_head(head)
            .ok_or_else(|| refuse(RejectionKind::Misconfigured.into(), &Refusals::default()))
    }
}

/// What stands behind an [`OwnershipLayer`](crate::OwnershipLayer) finds the resource; elsewhere asking is a mistake.
impl<S: Sync> FromRequestParts<S> for Owned {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let principal = principal(head)?;
        head.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!(
                target: "tower_warden",
                path = head.uri.path(),
                "a handler asks for what is owned and no OwnershipLayer has looked at the request: mount one around \
                 the route",
            );
            refuse(RejectionKind::Misconfigured.into(), principal.refusals())
        })
    }
}
