//! [`AuthLayer`] and its middleware [`Auth`], behind both faces.

use std::{
    fmt,
    marker::PhantomData,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    AuthLayerBuilder, Face,
    future::ResponseFuture,
    gate::{Decision, Gate},
    identify::{Asking, Sight},
    passage::Passage,
};
#[cfg(feature = "introspection")]
use crate::Introspection;
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{ConfigError, HeadRef, Keys, ResponseBody, Verifier};

/// Layer that applies the [`Auth`] middleware: a [`JwtAuthLayer`](crate::JwtAuthLayer) or a
/// [`CookieAuthLayer`](crate::CookieAuthLayer), by its face.
pub struct AuthLayer<F> {
    gate: Arc<Gate>,
    face: PhantomData<fn() -> F>,
}

impl<F: Face> AuthLayer<F> {
    /// Verifies with a secret that issuer and service share (`HS256`), of 32 bytes at least.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret is too short, or is the text of a key.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<AuthLayerBuilder<F>, ConfigError> {
        Ok(Self::keys(Keys::hs256([secret])?))
    }

    /// Verifies with these keys.
    pub fn keys(keys: Keys) -> AuthLayerBuilder<F> {
        AuthLayerBuilder::with_keys(keys)
    }

    /// Verifies as this verifier does, which other layers may share.
    pub fn verifier(verifier: Verifier) -> AuthLayerBuilder<F> {
        AuthLayerBuilder::with_verifier(verifier)
    }

    /// Verifies the tokens of this issuer, whose keys are found by its discovery document and kept fresh: see
    /// [`RemoteKeys::discover`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_warden::{JwtAuthLayer, Paths};
    ///
    /// # async fn build() -> Result<(), tower_warden::ConfigError> {
    /// let auth = JwtAuthLayer::discover("https://id.example/realms/acme")
    ///     .with_audience("https://api.example")
    ///     .with_paths(Paths::all().exempt("/health"))
    ///     .build()
    ///     .await?;
    ///
    /// // Only https, so that nobody on the way can hand us a key of his.
    /// let refused = JwtAuthLayer::discover("http://id.example").build().await;
    /// assert!(refused.is_err());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn discover(issuer: impl Into<String>) -> AuthLayerBuilder<F, RemoteKeys> {
        Self::remote(RemoteKeys::discover(issuer))
    }

    /// Verifies with the keys of the JWK Set at this address, kept fresh: see [`RemoteKeys::jwks`]. Whose they are has to
    /// be said by [`with_issuer`](AuthLayerBuilder::with_issuer).
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn jwks(url: impl Into<String>) -> AuthLayerBuilder<F, RemoteKeys> {
        Self::remote(RemoteKeys::jwks(url))
    }

    /// Verifies with the keys of a provider.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn remote(keys: RemoteKeys) -> AuthLayerBuilder<F, RemoteKeys> {
        AuthLayerBuilder::with_remote_keys(keys)
    }

    /// Verifies opaque tokens by asking their provider: see [`Introspection`].
    #[cfg(feature = "introspection")]
    #[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
    pub fn introspect(introspection: Introspection) -> AuthLayerBuilder<F, Introspection> {
        AuthLayerBuilder::with_introspection(introspection)
    }
}

impl<F> AuthLayer<F> {
    pub(super) fn over(gate: Gate) -> Self {
        Self {
            gate: Arc::new(gate),
            face: PhantomData,
        }
    }
}

impl<S, F> Layer<S> for AuthLayer<F> {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth {
            inner,
            gate: Arc::clone(&self.gate),
        }
    }
}

impl<F> Clone for AuthLayer<F> {
    fn clone(&self) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            face: PhantomData,
        }
    }
}

impl<F> fmt::Debug for AuthLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("gate", &self.gate)
            .finish()
    }
}

/// Middleware that lets authenticated requests through to the inner service.
///
/// It is made by [`JwtAuthLayer`](crate::JwtAuthLayer) and [`CookieAuthLayer`](crate::CookieAuthLayer). Its error is
/// the inner service's: a refusal is a response.
#[derive(Debug, Clone)]
pub struct Auth<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Auth<S> {
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

impl<S, B, ResBody> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    ResBody: ResponseBody,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.gate.passes(&request) {
            return ResponseFuture::inner(&self.gate, Passage::Plain, request, |it| {
                call(&mut self.inner, it)
            });
        }
        guard(&self.gate, &mut self.inner, request)
    }
}

/// Lets a request through to the service that is ready for it, as far as the rule of its path allows.
///
/// It stands apart, and asks for the rule by itself: an exempt request is moved less where nothing points into it.
#[inline(never)]
fn guard<S, B, ResBody>(
    gate: &Arc<Gate>,
    inner: &mut S,
    mut request: Request<B>,
) -> ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    ResBody: ResponseBody,
{
    let head = HeadRef::from(&request);
    if let Some(refusal) = gate.refuse_plain_http(head) {
        let (mut head, _) = request.into_parts();
        return ResponseFuture::refused(gate, &mut head, refusal);
    }
    let rule = gate.rule(head);
    if !gate.guards(head, &rule) {
        gate.pass_unseen(&mut request, &rule);
        return ResponseFuture::inner(gate, Passage::Plain, request, |it| call(inner, it));
    }
    let sight = match gate.look(head, &rule) {
        // Nothing is to be concealed, and nobody else to be asked: the request is handed on as it came.
        Sight {
            asking: Ok(Asking::Principal(principal, passage)),
            traces,
        } if traces.is_empty() && gate.asks_nobody_else() => {
            gate.stripped.apply(request.headers_mut());
            request.extensions_mut().insert(principal);
            return ResponseFuture::inner(gate, passage, request, |it| call(inner, it));
        }
        sight => sight,
    };
    let (mut head, body) = request.into_parts();
    match gate.decide(&mut head, rule, sight) {
        // Verified on the spot: the principal already stands in the extensions.
        Decision::Admit(passage) => {
            let request = Request::from_parts(head, body);
            ResponseFuture::inner(gate, passage, request, |it| call(inner, it))
        }
        Decision::Refuse(refusal) => ResponseFuture::refused(gate, &mut head, refusal),
        // Somebody else has to be asked first: the rare way.
        Decision::Pending(question) => {
            ResponseFuture::pending(Arc::clone(gate), question, head, body, take_ready(inner))
        }
    }
}

/// Calls the service, and from a place of its own where its future is large, as that of axum's routes is with 320 bytes:
/// then that is made where it stays, instead of being made beside it and copied, which would take half of what an exempt
/// request takes. A small one gains more where all is inlined.
#[inline(always)]
fn call<S: Service<Request<B>>, B>(inner: &mut S, request: Request<B>) -> S::Future {
    #[inline(never)]
    fn apart<S: Service<Request<B>>, B>(inner: &mut S, request: Request<B>) -> S::Future {
        inner.call(request)
    }
    if size_of::<S::Future>() > 256 {
        apart(inner, request)
    } else {
        inner.call(request)
    }
}

/// Moves the service out that was polled ready; its clone stays behind and waits for its own `poll_ready`.
fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}
