//! A tower service, called in place: with the key at hand each future is ready at its first poll, that of a router too.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    marker::PhantomData,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use axum::{Router, body::Body, routing::any};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer, Service, layer::layer_fn};
use tower_warden::{Refusals, Rejection, RejectionKind, ResponseBody};

use crate::{measure::Face, samples::Sample, tokens::Guard};

/// What stands in front of the service that is to be reached.
#[derive(Debug, Clone, Copy)]
pub enum Front<'g> {
    Nothing,
    Guard(&'g Guard),
    /// Nobody is let in and nothing is looked at: what a refusal costs, whoever came to it.
    Refusal(RejectionKind),
}

/// A bare tower service.
pub fn tower(front: Front<'_>) -> Box<dyn Face> {
    match front {
        Front::Nothing => InPlace::<_, Full<Bytes>>::boxed(Bare),
        Front::Guard(guard) => InPlace::<_, Full<Bytes>>::boxed(guard.layer(Bare)),
        Front::Refusal(kind) => {
            InPlace::<_, Full<Bytes>>::boxed(Refusing::<Full<Bytes>>::new(kind))
        }
    }
}

/// A router of axum with one handler. It boxes whatever layer it is given for each request, so there is always one.
pub fn axum(front: Front<'_>) -> Box<dyn Face> {
    let router = Router::new().route("/{*path}", any(async || "hello"));
    InPlace::<_, Body>::boxed(match front {
        Front::Nothing => {
            // A box of nothing at all would cost nothing.
            let something = Arc::new(());
            router.layer(layer_fn(move |route| {
                black_box(&something);
                route
            }))
        }
        Front::Guard(guard) => router.layer(guard.clone()),
        Front::Refusal(kind) => {
            let refusing = Refusing::<Body>::new(kind);
            router.layer(layer_fn(move |_| refusing.clone()))
        }
    })
}

/// The service, and the request that it is given next.
struct InPlace<S, B> {
    service: S,
    next: Option<Request<B>>,
}

impl<S, B> InPlace<S, B>
where
    Self: Face + 'static,
{
    fn boxed(service: S) -> Box<dyn Face> {
        Box::new(Self {
            service,
            next: None,
        })
    }
}

impl<S, B, R> Face for InPlace<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    B: Default,
{
    fn prepare(&mut self, sample: &Sample) {
        self.next = Some(Request::from_parts(sample.head().clone(), B::default()));
    }

    fn answer(&mut self) -> StatusCode {
        let request = self.next.take().expect("a request was prepared");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(self.service.poll_ready(&mut cx).is_ready());
        match pin!(self.service.call(request)).poll(&mut cx) {
            Poll::Ready(Ok(response)) => response.status(),
            Poll::Pending => unreachable!("with the key at hand nothing is awaited"),
        }
    }
}

/// Answers at once, with one header and a body.
#[derive(Debug, Clone)]
pub struct Bare;

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        drop(black_box(request));
        let mut response = Response::new(Full::from("hello"));
        let plain = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        ready(Ok(response))
    }
}

/// Answers every request with the same refusal.
#[derive(Debug)]
pub struct Refusing<R> {
    refusal: Arc<(Refusals, Rejection)>,
    body: PhantomData<fn() -> R>,
}

impl<R> Refusing<R> {
    pub fn new(kind: RejectionKind) -> Self {
        Self {
            refusal: Arc::new((Refusals::problem(), kind.into())),
            body: PhantomData,
        }
    }
}

impl<R> Clone for Refusing<R> {
    fn clone(&self) -> Self {
        Self {
            refusal: Arc::clone(&self.refusal),
            body: PhantomData,
        }
    }
}

impl<B, R: ResponseBody> Service<Request<B>> for Refusing<R> {
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        drop(black_box(request));
        let (refusals, rejection) = &*self.refusal;
        ready(Ok(refusals.respond(rejection)))
    }
}
