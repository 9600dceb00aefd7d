//! Middleware that lets a principal near what is theirs, or was shared with them.
//!
//! It stands inside an auth layer. Through it gets the request
//! 1. whose resource the principal owns;
//! 2. whose resource was shared with the principal, in the role that the request needs;
//! 3. whose resource nobody owned, with [`OwnershipLayer::claim_on_first_use`];
//! 4. whose principal has the [admin scope](OwnershipLayer::with_admin_scope).
//!
//! The inner service finds [`Owned`](super::Owned) in the extensions. The rest is answered 403 or, concealed, 404; 401 where an optional
//! token did not come, for ownership is never skipped; 500 where no auth layer stands outside; 503 where the store does
//! not answer. All of that is decided by the head of the request: before the body is read, and before an upgrade.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    OwnerStore, Owners, OwnershipFuture, ResourceKey, Role,
    rules::{Concealment, Inquiry, Needed, Rules, Unowned},
};
use crate::{
    ConfigError, Refusals, Rejection, RejectionKind, ResponseBody, authorize::scope::check_scope,
    principal::require_principal,
};

/// The most resources that one subject owns by first use, unless it is set otherwise.
const MOST_CLAIMS: u32 = 10_000;

/// Layer that applies the [`Ownership`] middleware, inside a [`JwtAuthLayer`](crate::JwtAuthLayer) or
/// [`CookieAuthLayer`](crate::CookieAuthLayer), around the routes of what is owned.
///
/// By default
/// - what nobody owns is refused;
/// - `GET` and `HEAD` need [`Role::Reader`], handshakes of sockets and all other methods [`Role::Writer`]; the owner may
///   do everything;
/// - a stranger is answered 403 `not_owner`, "This chat is not yours.".
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{
///     JwtAuthLayer, MemoryOwnerStore, Owned, OwnershipLayer, ResourceKey, SigningKey, TokenIssuer,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = "0123456789abcdef0123456789abcdef";
/// let auth = JwtAuthLayer::hs256(secret)?.build()?;
/// let owned = OwnershipLayer::new(
///     MemoryOwnerStore::new(),
///     ResourceKey::path("/agents/{agent}/{room}")?,
/// )
/// .claim_on_first_use();
/// let service = auth.layer(owned.layer(service_fn(async |request: Request<String>| {
///     let owned = request.extensions().get::<Owned>();
///     let room = owned.map_or("", |owned| owned.resource().as_str());
///     Ok::<_, std::convert::Infallible>(Response::new(room.to_owned()))
/// })));
///
/// let issuer = TokenIssuer::builder(SigningKey::hs256(secret)?).build()?;
/// for (subject, status) in [("alice", 200), ("mallory", 403), ("alice", 200)] {
///     let token = issuer.mint(subject).sign()?;
///     let request = Request::post("/agents/support/r1")
///         .header("authorization", format!("Bearer {}", token.expose()))
///         .body(String::new())?;
///     assert_eq!(service.clone().oneshot(request).await?.status(), status, "{subject}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OwnershipLayer {
    rules: Rules,
}

impl OwnershipLayer {
    /// Guards what the key names in a request, for the owners in the store.
    ///
    /// Mount it around the routes that the key is for: a request that names no resource is refused. Hand over the
    /// [`Owners`] that changes are made through: a lease that is opened inside ends when they take its right.
    pub fn new(store: impl OwnerStore, key: ResourceKey) -> Self {
        Self {
            rules: Rules {
                owners: Owners::of(store),
                key,
                unowned: Unowned::Refused,
                most_claims: MOST_CLAIMS,
                concealment: Concealment::Open,
                admin_scope: None,
                needed: Needed::ByMethod,
            },
        }
    }

    /// Makes the first principal who asks for a resource its owner; by default what nobody owns is refused.
    ///
    /// Any request claims, a `GET` as well as a handshake. Of many at the same instant exactly one wins.
    #[must_use]
    pub fn claim_on_first_use(mut self) -> Self {
        self.rules.unowned = Unowned::Claimed;
        self
    }

    /// Sets how many resources a subject may own before first use claims no more for it: 10 000 by default.
    ///
    /// The request is refused 403 `forbidden` then, and the resource stays without owner. What is handed over to a subject
    /// counts too. [`OwnerStore::claim`] of the application has no bound.
    #[must_use]
    pub fn with_claim_limit(mut self, most: u32) -> Self {
        self.rules.most_claims = most;
        self
    }

    /// Answers a stranger 404 `not_found`, whether the resource exists or not; by default 403 tells that it does.
    ///
    /// A handler inside that answers for what is missing has to say it in the same words. If it does so in others, use
    /// [`conceal_like`](Self::conceal_like).
    #[must_use]
    pub fn conceal(mut self) -> Self {
        self.rules.concealment = Concealment::NotFound;
        self
    }

    /// Answers a stranger with this response, to which nothing is added: the one that the application gives for what
    /// does not exist, status, headers and body.
    #[must_use]
    pub fn conceal_like(
        mut self,
        missing: impl Fn() -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.rules.concealment = Concealment::Like(Arc::new(missing));
        self
    }

    /// Lets principals with this scope near every resource, in the role [`Role::Admin`]; nobody by default.
    ///
    /// What nobody owns they see too, but where first use claims they claim it as anybody does: else the next stranger
    /// would own what they left there.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] when no token can carry that scope.
    pub fn with_admin_scope(mut self, scope: impl Into<String>) -> Result<Self, ConfigError> {
        let scope = scope.into();
        check_scope(&scope)?;
        self.rules.admin_scope = Some(scope.into());
        Ok(self)
    }

    /// Sets which role a request needs, by its head.
    ///
    /// By default that is [`Role::Reader`] for `GET` and `HEAD`, and [`Role::Writer`] for all other methods and for
    /// whatever may open a socket: a handshake is a `GET`, and what follows it writes.
    #[must_use]
    pub fn with_required_role(
        mut self,
        needed: impl Fn(&Parts) -> Role + Send + Sync + 'static,
    ) -> Self {
        self.rules.needed = Needed::By(Arc::new(needed));
        self
    }
}

impl<S> Layer<S> for OwnershipLayer {
    type Service = Ownership<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Ownership {
            inner,
            rules: Arc::new(self.rules.clone()),
        }
    }
}

/// Middleware that lets a principal near what is theirs. See [`OwnershipLayer`].
#[derive(Debug, Clone)]
pub struct Ownership<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> Ownership<S> {
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

    /// Reads what to ask of the store, or why there is nothing to ask, and how a refusal is said.
    fn inquire(&self, head: &Parts) -> (Result<Inquiry, Rejection>, Refusals) {
        match require_principal(head) {
            Ok(principal) => {
                let inquiry = self.rules.inquire(principal, head);
                (inquiry, principal.refusals().clone())
            }
            Err((kind, refusals)) => {
                if kind == RejectionKind::Misconfigured {
                    tracing::error!(
                        target: "tower_warden",
                        path = head.uri.path(),
                        "an OwnershipLayer asks for a principal and no layer has looked at the request: mount a \
                         JwtAuthLayer or CookieAuthLayer outside it, and do not exempt its path",
                    );
                }
                (Err(kind.into()), refusals)
            }
        }
    }
}

impl<S, B, ResBody> Service<Request<B>> for Ownership<S>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    ResBody: ResponseBody,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = OwnershipFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let (inquiry, refusals) = self.inquire(&head);
        let inquiry = match inquiry {
            Ok(inquiry) => inquiry,
            Err(rejection) => {
                let response = self.rules.respond(&mut head, rejection, &refusals);
                return OwnershipFuture::refused(response);
            }
        };
        let mut answer = Box::pin(Arc::clone(&self.rules).decide(inquiry));
        // A store in memory answers at once; the first poll by whoever waits registers its waker for all others.
        match answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(Ok(owned)) => {
                head.extensions.insert(owned);
                OwnershipFuture::inner(self.inner.call(Request::from_parts(head, body)))
            }
            Poll::Ready(Err(rejection)) => {
                OwnershipFuture::refused(self.rules.respond(&mut head, rejection, &refusals))
            }
            Poll::Pending => {
                let rules = Arc::clone(&self.rules);
                OwnershipFuture::asked(rules, refusals, answer, head, body, self.take_ready())
            }
        }
    }
}

impl<S: Clone> Ownership<S> {
    /// Moves the service out that was polled ready; its clone stays behind and waits for its own `poll_ready`.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}
