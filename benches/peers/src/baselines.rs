//! No authentication: what the others are compared with.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response};
use tower::{Layer, Service, layer::layer_fn};
use tower_warden::Claims;

use crate::{
    case::{Case, PATH},
    harness::{Subject, service},
};

/// What the handler takes.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Plain,
    /// As the peers whose claims are typed read them for each request.
    Claims,
}

pub(crate) fn router(case: &Case) -> Subject {
    let request = case.request(PATH, Some(&case.token));
    service::<_, Body, _>(routes(Handler::Plain), request, None)
}

/// With a layer that does nothing: axum puts each layered route into a box of its own, and clones the layer for each
/// request. Like any layer that is configured, this one is a pointer large.
pub(crate) fn router_layered(case: &Case) -> Subject {
    let configuration = Arc::new(());
    let router = routes(Handler::Plain).layer(layer_fn(move |inner| Nothing {
        inner,
        _configuration: Arc::clone(&configuration),
    }));
    let request = case.request(PATH, Some(&case.token));
    service::<_, Body, _>(router, request, None)
}

/// With a layer that looks at nothing, and leaves an extension for the handler: the least that a layer costs which says
/// by one who is there.
pub(crate) fn router_telling(case: &Case) -> Subject {
    let router = routes(Handler::Plain).layer(telling());
    let request = case.request(PATH, Some(&case.token));
    service::<_, Body, _>(router, request, None)
}

/// Without a framework.
pub(crate) fn bare(case: &Case) -> Subject {
    let request = case.request(PATH, Some(&case.token));
    service::<_, String, _>(Bare, request, None)
}

pub(crate) fn bare_telling(case: &Case) -> Subject {
    let request = case.request(PATH, Some(&case.token));
    service::<_, String, _>(telling().layer(Bare), request, None)
}

pub(crate) fn routes(handler: Handler) -> Router {
    let guarded = match handler {
        Handler::Plain => get(async || "ok"),
        Handler::Claims => get(async |_: Claims<crate::case::Claims>| "ok"),
    };
    Router::new().route(PATH, guarded)
}

/// Answers at once, with the body that came.
#[derive(Clone)]
pub(crate) struct Bare;

impl Service<Request<String>> for Bare {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        ready(Ok(Response::new(black_box(request).into_body())))
    }
}

/// Hands everything on.
#[derive(Clone)]
struct Nothing<S> {
    inner: S,
    _configuration: Arc<()>,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Nothing<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.inner.call(request)
    }
}

/// Hands everything on, with an extension that is as large as a principal: two shared pointers.
#[derive(Clone)]
struct Telling<S> {
    inner: S,
    told: Told,
}

#[derive(Clone)]
struct Told(#[allow(dead_code)] Arc<()>, #[allow(dead_code)] Arc<()>);

fn telling<S>() -> impl Layer<S, Service = Telling<S>> + Clone {
    let told = Told(Arc::new(()), Arc::new(()));
    layer_fn(move |inner| Telling {
        inner,
        told: told.clone(),
    })
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Telling<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.told.clone());
        self.inner.call(request)
    }
}
