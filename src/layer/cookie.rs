//! [`CookieAuthLayer`]: browser sessions in an `HttpOnly` cookie.

use std::{borrow::Cow, sync::Arc};

use super::{Auth, AuthLayer, AuthLayerBuilder, Face};
use crate::{ConfigError, CookieToken, TokenSource};

/// Layer that applies the [`CookieAuth`] middleware.
///
/// The token travels in the cookie `jwt_token`. A browser attaches a cookie by itself, so for unsafe methods and
/// WebSocket upgrades the request's origin is checked too: the service's own, or one of
/// [`with_allowed_origins`](AuthLayerBuilder::with_allowed_origins); a foreign origin is answered 403.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{CookieAuthLayer, Paths, SigningKey, TokenIssuer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = "a secret of at least thirty-two bytes";
/// let auth = CookieAuthLayer::hs256(secret)?
///     .with_allowed_origins(["https://app.example"])
///     .with_paths(Paths::only(["/chat/:path*", "/stop/:path*", "/history/:path*"]))
///     .build()?;
/// let service = auth.layer(service_fn(async |_: Request<String>| {
///     Ok::<_, std::convert::Infallible>(Response::new(String::from("hello")))
/// }));
///
/// let session = TokenIssuer::builder(SigningKey::hs256(secret)?).build()?.mint("alice").sign()?;
/// let post = |origin| {
///     Request::post("/chat")
///         .header("cookie", format!("jwt_token={}", session.expose()))
///         .header("origin", origin)
///         .body(String::new())
/// };
/// assert_eq!(service.clone().oneshot(post("https://app.example")?).await?.status(), 200);
/// assert_eq!(service.oneshot(post("https://evil.example")?).await?.status(), 403);
/// # Ok(())
/// # }
/// ```
pub type CookieAuthLayer = AuthLayer<SessionCookie>;

/// Middleware that lets requests with a valid session cookie through. See [`CookieAuthLayer`].
pub type CookieAuth<S> = Auth<S>;

/// Marks the [`AuthLayer`] that reads session cookies.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SessionCookie;

impl Face for SessionCookie {
    fn default_sources() -> Result<Vec<Arc<dyn TokenSource>>, ConfigError> {
        Ok(vec![Arc::new(CookieToken::new("jwt_token")?)])
    }
}

impl AuthLayerBuilder<SessionCookie> {
    /// Sets the name of the cookie; `jwt_token` by default. Prefer `__Host-…` where every page comes over https.
    ///
    /// A name that is no cookie name ([RFC 6265 §4.1.1]) fails at [`build`](Self::build).
    ///
    /// [RFC 6265 §4.1.1]: https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1
    pub fn with_cookie_name(self, name: impl Into<Cow<'static, str>>) -> Self {
        match CookieToken::new(name) {
            Ok(cookie) => self.with_sources([cookie]),
            Err(error) => self.failed(error),
        }
    }
}
