//! [`JwtAuthLayer`]: bearer tokens ([RFC 6750]) for APIs and agents.
//!
//! [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750

use std::sync::Arc;

use super::{Auth, AuthLayer, Face};
use crate::{AuthorizationHeader, ConfigError, QueryParameter, SubprotocolToken, TokenSource};

/// Layer that applies the [`JwtAuth`] middleware.
///
/// By default a token travels
///
/// 1. in the header `Authorization: Bearer …`;
/// 2. in the query parameter `access_token` of a WebSocket upgrade, and nowhere else: URLs end in logs;
/// 3. behind `bearer` among the subprotocols of a WebSocket upgrade.
///
/// The inner service finds the [`Principal`](crate::Principal) in the request's extensions; a token in the query or
/// among the subprotocols is cut out first. Everything else is refused as [`Refusals`](crate::Refusals) says.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{JwtAuthLayer, Paths, Principal};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?
///     .with_paths(Paths::all().exempt("/health"))
///     .build()?;
/// let service = auth.layer(service_fn(async |request: Request<String>| {
///     let known = request.extensions().get::<Principal>().is_some();
///     Ok::<_, std::convert::Infallible>(Response::new(format!("known: {known}")))
/// }));
///
/// let chat = Request::post("/chat").body(String::new())?;
/// assert_eq!(service.clone().oneshot(chat).await?.status(), 401);
///
/// let health = Request::get("/health").body(String::new())?;
/// assert_eq!(service.oneshot(health).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
pub type JwtAuthLayer = AuthLayer<Bearer>;

/// Middleware that lets requests with a valid bearer token through. See [`JwtAuthLayer`].
pub type JwtAuth<S> = Auth<S>;

/// Marks the [`AuthLayer`] that reads bearer tokens.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Bearer;

impl Face for Bearer {
    fn default_sources() -> Result<Vec<Arc<dyn TokenSource>>, ConfigError> {
        Ok(vec![
            Arc::new(AuthorizationHeader::default()),
            Arc::new(QueryParameter::default()),
            Arc::new(SubprotocolToken::default()),
        ])
    }
}
