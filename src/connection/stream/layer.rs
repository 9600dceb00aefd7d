//! [`StreamLeaseLayer`]: middleware that lets no answer outlast its lease.
//!
//! Through it goes every request with a principal, and those that an optional path let pass without one; what comes
//! back is bound to a lease. The rest is answered 500: no auth layer stands outside, and the log says so.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{StreamBody, StreamBound, StreamPolicy};
use crate::{
    Lease, Owned, Principal, Refusals, Rejection, RejectionKind, ResponseBody,
    principal::require_principal, telemetry,
};

/// Layer that lets no answer of a route outlast its [`Lease`], inside a [`JwtAuthLayer`](crate::JwtAuthLayer) or
/// [`CookieAuthLayer`](crate::CookieAuthLayer).
///
/// The type of the body stays. A handler that has opened a lease itself, so as to tell its client the
/// [name](Lease::id) and let it be [renewed](crate::RenewalService), puts a clone into the extensions of its response;
/// else the layer opens one as the answer begins.
///
/// Where an [`OwnershipLayer`](crate::OwnershipLayer) stands, mount it inside that one: so it knows what the answer is
/// about, and ends it when the right to it goes.
///
/// At the end the inner body is dropped, and what feeds it stops, whether the client reads or not: see
/// [back-pressure](StreamPolicy#back-pressure).
///
/// # Examples
///
/// A chat whose answers may be finished, and a subscription that ends with its token:
///
/// ```
/// use axum::{Router, routing::{get, post}};
/// use tower_warden::{JwtAuthLayer, StreamLeaseLayer, StreamPolicy};
///
/// # async fn chat() {}
/// # async fn events() {}
/// # fn main() -> Result<(), tower_warden::ConfigError> {
/// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?.build()?;
/// let app: Router = Router::new()
///     .route("/chat", post(chat).layer(StreamLeaseLayer::default()))
///     .route("/events", get(events).layer(StreamLeaseLayer::new(StreamPolicy::Close)))
///     .layer(auth);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamLeaseLayer {
    policy: StreamPolicy,
}

impl StreamLeaseLayer {
    /// Ends answers as this policy says.
    #[must_use]
    pub const fn new(policy: StreamPolicy) -> Self {
        Self { policy }
    }
}

impl<S> Layer<S> for StreamLeaseLayer {
    type Service = StreamLease<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StreamLease {
            inner,
            policy: self.policy,
        }
    }
}

/// Middleware that lets no answer outlast its lease. See [`StreamLeaseLayer`].
#[derive(Debug, Clone)]
pub struct StreamLease<S> {
    inner: S,
    policy: StreamPolicy,
}

impl<S> StreamLease<S> {
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
}

impl<S, B, ResBody> Service<Request<B>> for StreamLease<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body + StreamBody + ResponseBody,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = StreamLeaseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let entitled = match require_principal(&head) {
            Ok(principal) => Some(Entitled {
                principal: principal.clone(),
                owned: head.extensions.get().cloned(),
            }),
            // Nobody's token can expire.
            Err((RejectionKind::TokenMissing, _)) => None,
            Err((kind, refusals)) => {
                telemetry::mounted_outside("StreamLeaseLayer", head.uri.path());
                let refused = (kind.into(), refusals);
                return StreamLeaseFuture {
                    state: State::Refused {
                        refused: Some(refused),
                    },
                };
            }
        };
        StreamLeaseFuture {
            state: State::Inner {
                future: self.inner.call(Request::from_parts(head, body)),
                entitled,
                policy: self.policy,
            },
        }
    }
}

/// Whose answer it is, and by what right.
struct Entitled {
    principal: Principal,
    owned: Option<Owned>,
}

impl Entitled {
    fn lease(&self) -> Lease {
        Lease::new(&self.principal, self.owned.as_ref())
    }
}

pin_project! {
    /// Response future of [`StreamLease`].
    pub struct StreamLeaseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Inner {
            #[pin]
            future: F,
            entitled: Option<Entitled>,
            policy: StreamPolicy,
        },
        Refused { refused: Option<(Rejection, Refusals)> },
    }
}

impl<F, ResBody, E> Future for StreamLeaseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Body + StreamBody + ResponseBody,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner {
                future,
                entitled,
                policy,
            } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(bind(response, entitled.as_ref(), *policy)))
            }
            StateProj::Refused { refused } => {
                let (rejection, refusals) = refused
                    .take()
                    .expect("a future is not polled after it is ready");
                telemetry::refused(&rejection, None);
                Poll::Ready(Ok(refusals.respond(&rejection)))
            }
        }
    }
}

/// Binds an answer to the lease that its handler has opened, or to a new one.
fn bind<B: Body + StreamBody>(
    mut response: Response<B>,
    entitled: Option<&Entitled>,
    policy: StreamPolicy,
) -> Response<B> {
    let opened = response.extensions_mut().remove::<Lease>();
    // An answer without a body has come to its end already; so has the answer to an upgrade.
    if response.body().is_end_stream() {
        return response;
    }
    let Some(lease) = opened.or_else(|| entitled.map(Entitled::lease)) else {
        return response;
    };
    let bound = StreamBound::new(lease, policy, response.headers());
    response.map(|body| body.bounded(bound))
}

impl<F> fmt::Debug for StreamLeaseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamLeaseFuture").finish_non_exhaustive()
    }
}
