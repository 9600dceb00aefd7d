//! [`JwkSetService`]: the public keys of an issuer, for verifiers elsewhere.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use tower_service::Service;

use super::issuer::Active;
use crate::endpoint;

/// Answers `GET` and `HEAD` with the JWK Set of a [`TokenIssuer`](crate::TokenIssuer), cacheable for 5 min.
///
/// It is public by nature: mount it outside the auth layer, or exempt its path. Other methods are answered 405. The
/// body of the request is never read.
///
/// # Examples
/// ```
/// use tower_warden::{Algorithm, ConfigError, SigningKey, TokenIssuer};
/// # fn main() -> Result<(), ConfigError> {
/// let issuer = TokenIssuer::builder(SigningKey::generate(Algorithm::EdDSA)?).build()?;
/// let app: axum::Router = axum::Router::new()
///     .route_service("/.well-known/jwks.json", issuer.jwk_set_service());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JwkSetService(Arc<ArcSwap<Active>>);

impl JwkSetService {
    pub(super) fn new(active: Arc<ArcSwap<Active>>) -> Self {
        Self(active)
    }

    fn answer(&self, method: &Method) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return endpoint::not_allowed("GET, HEAD");
        }
        let mut response = Response::new(Full::default());
        let set = self.0.load().jwk_set.clone();
        let headers = response.headers_mut();
        // The registered type (RFC 7517 §8.5.2).
        let json = HeaderValue::from_static("application/jwk-set+json");
        headers.insert(header::CONTENT_TYPE, json);
        let cacheable = HeaderValue::from_static("public, max-age=300");
        headers.insert(header::CACHE_CONTROL, cacheable);
        headers.insert(header::CONTENT_LENGTH, set.len().into());
        if method == Method::GET {
            *response.body_mut() = Full::new(set);
        }
        response
    }
}

impl<B> Service<Request<B>> for JwkSetService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method())))
    }
}

impl fmt::Debug for JwkSetService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwkSetService")
    }
}
