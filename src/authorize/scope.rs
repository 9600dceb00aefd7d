//! Middleware that asks a principal for scopes ([RFC 6749 §3.3]).
//!
//! Through it gets the request whose [`Principal`] carries all, or any, of the scopes. The rest is answered
//! 1. 403 `insufficient_scope`, naming the scopes (RFC 6750 §3.1), where the principal lacks them;
//! 2. 401 where [`Access::Optional`](crate::Access::Optional) let a request pass without a token;
//! 3. 500 where no auth layer stands outside this one: the log says so.
//!
//! [RFC 6749 §3.3]: https://www.rfc-editor.org/rfc/rfc6749#section-3.3

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    ConfigError, Principal, Refusals, Rejection, ResponseBody, principal::require_principal,
    telemetry,
};

/// Which scopes are asked for.
#[derive(Debug, Clone)]
struct Demand {
    scopes: Arc<[Box<str>]>,
    quantity: Quantity,
}

#[derive(Debug, Clone, Copy)]
enum Quantity {
    All,
    Any,
}

impl Demand {
    fn new<S: Into<String>>(
        scopes: impl IntoIterator<Item = S>,
        quantity: Quantity,
    ) -> Result<Self, ConfigError> {
        let scopes: Arc<[Box<str>]> = scopes
            .into_iter()
            .map(|scope| scope.into().into_boxed_str())
            .collect();
        if scopes.is_empty() {
            return Err(ConfigError::Missing {
                name: "scopes of RequireScopeLayer",
                problem: "name at least one scope, or mount no layer",
            });
        }
        for scope in &*scopes {
            check_scope(scope)?;
        }
        Ok(Self { scopes, quantity })
    }

    fn is_met_by(&self, principal: &Principal) -> bool {
        let mut scopes = self.scopes.iter();
        match self.quantity {
            Quantity::All => scopes.all(|scope| principal.has_scope(scope)),
            Quantity::Any => scopes.any(|scope| principal.has_scope(scope)),
        }
    }
}

/// Checks that a text is one scope token, as RFC 6749 §3.3 writes it.
pub(crate) fn check_scope(scope: &str) -> Result<(), ConfigError> {
    let allowed = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    if !scope.is_empty() && scope.bytes().all(allowed) {
        return Ok(());
    }
    Err(ConfigError::Setting {
        name: "scope",
        value: scope.escape_default().to_string(),
        problem: "a scope is one word of printable ASCII without quotes and backslashes",
    })
}

/// Layer that applies the [`RequireScope`] middleware, inside a [`JwtAuthLayer`](crate::JwtAuthLayer) or
/// [`CookieAuthLayer`](crate::CookieAuthLayer).
///
/// # Examples
///
/// ```
/// use tower_warden::RequireScopeLayer;
///
/// # fn main() -> Result<(), tower_warden::ConfigError> {
/// let writers = RequireScopeLayer::all(["chat:read", "chat:write"])?;
/// let readers = RequireScopeLayer::any(["chat:read", "admin"])?;
/// assert!(RequireScopeLayer::all(["chat read"]).is_err(), "one scope holds no blank");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RequireScopeLayer {
    demand: Demand,
}

impl RequireScopeLayer {
    /// Asks for every one of these scopes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there is none, or one is not a scope token.
    pub fn all<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        Ok(Self {
            demand: Demand::new(scopes, Quantity::All)?,
        })
    }

    /// Asks for at least one of these scopes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there is none, or one is not a scope token.
    pub fn any<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        Ok(Self {
            demand: Demand::new(scopes, Quantity::Any)?,
        })
    }
}

impl<S> Layer<S> for RequireScopeLayer {
    type Service = RequireScope<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireScope {
            inner,
            demand: self.demand.clone(),
        }
    }
}

/// Middleware that asks a principal for scopes. See [`RequireScopeLayer`].
#[derive(Debug, Clone)]
pub struct RequireScope<S> {
    inner: S,
    demand: Demand,
}

impl<S> RequireScope<S> {
    /// The wrapped service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The wrapped service, to change.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the wrapped service back.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Why these request parts go no further, and how that is said.
    fn refusal(&self, head: &Parts) -> Option<(Rejection, Refusals)> {
        let (rejection, refusals) = match require_principal(head) {
            Ok(principal) if self.demand.is_met_by(principal) => return None,
            Ok(principal) => {
                let rejection = Rejection::insufficient_scope(self.demand.scopes.join(" "));
                (rejection, principal.refusals().clone())
            }
            Err((kind, refusals)) => (kind.into(), refusals),
        };
        telemetry::refused(&rejection, None);
        Some((rejection, refusals))
    }
}

impl<S, B, ResBody> Service<Request<B>> for RequireScope<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: ResponseBody,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = RequireScopeFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let state = match self.refusal(&head) {
            None => State::Inner {
                future: self.inner.call(Request::from_parts(head, body)),
            },
            Some((rejection, refusals)) => State::Refused {
                response: Some(refusals.respond_to(&mut head, &rejection)),
            },
        };
        RequireScopeFuture { state }
    }
}

pin_project! {
    /// Response future of [`RequireScope`].
    #[derive(Debug)]
    pub struct RequireScopeFuture<F, ResBody> {
        #[pin]
        state: State<F, ResBody>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F, ResBody> {
        Inner { #[pin] future: F },
        Refused { response: Option<Response<ResBody>> },
    }
}

impl<F, ResBody, E> Future for RequireScopeFuture<F, ResBody>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner { future } => Poll::Ready(ready!(future.poll(cx))),
            StateProj::Refused { response } => Poll::Ready(Ok(response
                .take()
                .expect("a future is not polled after it is ready"))),
        }
    }
}
