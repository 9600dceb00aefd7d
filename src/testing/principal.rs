//! [`PrincipalLayer`]: a principal without a token, for tests of what stands behind the gate.

use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use http::Request;
use serde_json::{Map, Value};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    BearerToken, Clock, CredentialKind, HeadRef, Principal, Refusals, Rejection, RejectionKind,
    Revocations, SystemClock, VerifiedToken,
    connection::Renewal,
    http_util::ClientAddress,
    principal::{Context, LayerContext},
    verify::{Authenticate, Authentication},
};

/// Layer that lets every request in as one principal: no token, no key, no check.
///
/// It stands where a [`JwtAuthLayer`](crate::JwtAuthLayer) stands otherwise, so that handlers, scopes and ownership can be
/// tried with whoever a test needs.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{Principal, RequireScopeLayer, testing::PrincipalLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inner = RequireScopeLayer::all(["chat:write"])?.layer(service_fn(
///     async |request: Request<String>| {
///         let subject = request.extensions().get::<Principal>().map(|it| it.subject().to_owned());
///         Ok::<_, std::convert::Infallible>(Response::new(subject.unwrap_or_default()))
///     },
/// ));
/// let writer = PrincipalLayer::new("alice").with_scopes(["chat:write"]).layer(inner.clone());
/// assert_eq!(writer.oneshot(Request::default()).await?.into_body(), "alice");
///
/// let reader = PrincipalLayer::new("alice").with_scopes(["chat:read"]).layer(inner);
/// assert_eq!(reader.oneshot(Request::default()).await?.status(), 403);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PrincipalLayer {
    claims: Map<String, Value>,
    kind: CredentialKind,
}

impl PrincipalLayer {
    /// A principal of that subject, without issuer and expiry.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        let claims = Map::from_iter([(String::from("sub"), Value::String(subject.into()))]);
        Self {
            claims,
            kind: CredentialKind::Token,
        }
    }

    /// Adds a claim, or replaces one; roles are found in `roles`.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Sets the scopes.
    #[must_use]
    pub fn with_scopes<'s>(self, scopes: impl IntoIterator<Item = &'s str>) -> Self {
        let scopes: Vec<_> = scopes.into_iter().collect();
        self.with_claim("scope", scopes.join(" "))
    }

    /// Sets the kind of credential: [`CredentialKind::Token`] by default.
    #[must_use]
    pub fn with_credential_kind(mut self, kind: CredentialKind) -> Self {
        self.kind = kind;
        self
    }

    /// The principal itself, for code that is called without a request.
    ///
    /// # Panics
    ///
    /// If a registered claim has a type that no verifier would accept, such as an empty subject.
    #[must_use]
    pub fn principal(&self) -> Principal {
        let claims = Value::Object(self.claims.clone()).to_string();
        let token = BearerToken::new("a-token-of-no-issuer");
        let token = VerifiedToken::from_claims(self.kind, token, claims, SystemClock.now())
            .expect("the claims of a test's principal are such as a verifier accepts");
        let layer = Arc::new(LayerContext {
            refusals: Refusals::default(),
            connection_cap: None,
            renewal: Renewal::By(Vec::new()),
            bindings: Vec::new(),
            revocations: Revocations::default(),
            clients: ClientAddress::default(),
        });
        let authenticator = Arc::new(Nobody);
        let context = Context::new("test", self.kind, authenticator, layer);
        Principal::new(Arc::new(token), context)
    }
}

impl<S> Layer<S> for PrincipalLayer {
    type Service = AsPrincipal<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AsPrincipal {
            inner,
            principal: self.principal(),
        }
    }
}

/// Middleware that lets every request in as one principal. See [`PrincipalLayer`].
#[derive(Debug, Clone)]
pub struct AsPrincipal<S> {
    inner: S,
    principal: Principal,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for AsPrincipal<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.principal.clone());
        self.inner.call(request)
    }
}

/// Nobody answers for further tokens of a principal that came without one.
#[derive(Debug)]
struct Nobody;

impl Authenticate for Nobody {
    fn authenticate(
        &self,
        _: &BearerToken<'_>,
        _: HeadRef<'_>,
        _: &ClientAddress,
    ) -> Authentication {
        Authentication::Now(Err(Rejection::new(RejectionKind::TokenMalformed)))
    }

    fn verify_renewal(&self, _: &BearerToken<'_>) -> Authentication {
        Authentication::Now(Err(Rejection::new(RejectionKind::TokenMalformed)))
    }

    fn now(&self) -> Duration {
        SystemClock.now()
    }

    fn accepts_until(&self, token: &VerifiedToken) -> Option<Duration> {
        token
            .expires_at()
            .map(|expiry| Duration::from_secs(expiry.as_secs()))
    }
}
