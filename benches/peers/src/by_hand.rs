//! The least that a layer can do, as anybody would write it by hand: no rules of paths, one place for a token, no
//! revocation, and no answer but a bare 401. What ours takes beyond them is the price of all that.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use futures_util::future::Either;
use http::{Request, Response, StatusCode, header, request::Parts};
use tower::{Layer, Service, layer::layer_fn};
use tower_warden::{BearerToken, VerifiedToken, Verifier};

use crate::{
    baselines::{Bare, Handler, routes},
    case::{Case, PATH},
    harness::{Subject, service},
    ours::{self, Memory},
};

pub(crate) fn comparing(case: &Case) -> Subject {
    let router = routes(Handler::Plain).layer(compare(PATH));
    service::<_, Body, _>(router, case.request(PATH, Some(&case.token)), None)
}

pub(crate) fn bare_comparing(case: &Case) -> Subject {
    let bare = compare(PATH).layer(Bare);
    service::<_, String, _>(bare, case.request(PATH, Some(&case.token)), None)
}

pub(crate) fn verifying(case: &Case, memory: Memory) -> Subject {
    let router = routes(Handler::Plain).layer(verify(ours::new_verifier(case, memory)));
    let [request, forged] = requests(case);
    service::<_, Body, _>(router, request, Some(forged))
}

pub(crate) fn bare_verifying(case: &Case, memory: Memory) -> Subject {
    let bare = verify(ours::new_verifier(case, memory)).layer(Bare);
    let [request, forged] = requests(case);
    service::<_, String, _>(bare, request, Some(forged))
}

fn requests(case: &Case) -> [Parts; 2] {
    [&case.token, &case.forged].map(|token| case.request(PATH, Some(token)))
}

/// What comes of a request: the answer of the service, or one without a body.
type Outcome<F, R, E> = Either<F, Ready<Result<Response<R>, E>>>;

fn refused<F, R: Default, E>() -> Outcome<F, R, E> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    Either::Right(ready(Ok(response)))
}

/// Hands on what asks for one path.
#[derive(Clone)]
struct Comparing<S> {
    inner: S,
    path: Arc<str>,
}

fn compare<S>(path: &'static str) -> impl Layer<S, Service = Comparing<S>> + Clone {
    let path = Arc::from(path);
    layer_fn(move |inner| Comparing {
        inner,
        path: Arc::clone(&path),
    })
}

impl<S, B, R> Service<Request<B>> for Comparing<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Outcome<S::Future, R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.uri().path() == &*self.path {
            Either::Left(self.inner.call(request))
        } else {
            refused()
        }
    }
}

/// Hands on what has a token in `Authorization` that verifies, and leaves it for the handler beside what all share.
#[derive(Clone)]
struct Verifying<S> {
    inner: S,
    verifier: Arc<Verifier>,
}

#[derive(Clone)]
struct Known(
    #[allow(dead_code)] Arc<VerifiedToken>,
    #[allow(dead_code)] Arc<Verifier>,
);

fn verify<S>(verifier: Verifier) -> impl Layer<S, Service = Verifying<S>> + Clone {
    let verifier = Arc::new(verifier);
    layer_fn(move |inner| Verifying {
        inner,
        verifier: Arc::clone(&verifier),
    })
}

impl<S, B, R> Service<Request<B>> for Verifying<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Outcome<S::Future, R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let verified = token(&request).map(|token| self.verifier.verify(&token));
        let Some(Ok(token)) = verified else {
            return refused();
        };
        let known = Known(token, Arc::clone(&self.verifier));
        request.extensions_mut().insert(known);
        Either::Left(self.inner.call(request))
    }
}

fn token<B>(request: &Request<B>) -> Option<BearerToken<'_>> {
    let line = request.headers().get(header::AUTHORIZATION)?;
    let token = line.to_str().ok()?.strip_prefix("Bearer ")?;
    Some(BearerToken::new(token))
}
