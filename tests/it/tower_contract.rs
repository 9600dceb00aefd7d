//! What tower asks of a middleware: the ready service is the one that is called, and no permit is lost.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, limit::ConcurrencyLimitLayer,
};
use tower_warden::{JwtAuthLayer, Verdict};

use crate::support::{Inner, SECRET, get, get_with, token};

/// A service whose clones are not ready, as tower allows: `call` without `poll_ready` is a fault.
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<String>> for Strict {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called before it was ready"
        );
        ready(Ok(Response::default()))
    }
}

/// A permit that is lost is waited for without end: the test has to fail, not to hang.
async fn within_a_minute(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), test)
        .await
        .expect("a permit was lost");
}

fn direct() -> JwtAuthLayer {
    JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap()
}

/// A layer that takes the rare way: each verdict comes later.
fn deferred() -> JwtAuthLayer {
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .require_async(|principal, _| {
            let admitted = principal.subject() == "alice";
            async move {
                tokio::task::yield_now().await;
                admitted
            }
        })
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_the_one_that_is_called() {
    for layer in [direct(), deferred()] {
        let mut service = layer.layer(Strict { ready: false });
        for _ in 0..3 {
            let request = get("/chat", &token("alice"));
            let response = service.ready().await.unwrap().call(request).await.unwrap();
            assert_eq!(response.status(), 200);
        }
    }
}

#[tokio::test]
async fn a_refusal_loses_no_permit() {
    within_a_minute(async {
        for layer in [direct(), deferred()] {
            let inner = Inner::default();
            let mut service = ServiceBuilder::new()
                .layer(&layer)
                .layer(ConcurrencyLimitLayer::new(1))
                .service(inner.clone());
            for _ in 0..5 {
                let refused = service
                    .ready()
                    .await
                    .unwrap()
                    .call(get("/chat", &token("bob")));
                let anonymous = get_with("/chat", []);
                drop(refused.await.unwrap());
                let response = service
                    .ready()
                    .await
                    .unwrap()
                    .call(anonymous)
                    .await
                    .unwrap();
                assert_eq!(response.status(), 401);
            }
            let calls = inner.calls();
            let admitted = service
                .ready()
                .await
                .unwrap()
                .call(get("/chat", &token("alice")))
                .await;
            assert_eq!(admitted.unwrap().status(), 200);
            assert_eq!(inner.calls(), calls + 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_given_up_while_it_waits_frees_its_permit() {
    within_a_minute(async {
        let layer = JwtAuthLayer::hs256(SECRET)
            .unwrap()
            .require_async(|_, _| std::future::pending::<Verdict>())
            .build()
            .unwrap();
        let inner = Inner::default();
        let mut service = ServiceBuilder::new()
            .layer(layer)
            .layer(ConcurrencyLimitLayer::new(1))
            .service(inner.clone());
        for _ in 0..3 {
            let mut waiting = service
                .ready()
                .await
                .unwrap()
                .call(get("/chat", &token("alice")));
            let mut context = Context::from_waker(std::task::Waker::noop());
            assert!(Pin::new(&mut waiting).poll(&mut context).is_pending());
            drop(waiting);
        }
        assert_eq!(inner.calls(), 0);
    })
    .await;
}

#[tokio::test]
async fn it_stands_behind_and_before_a_buffer() {
    for layer in [direct(), deferred()] {
        let service = ServiceBuilder::new()
            .layer(BufferLayer::new(4))
            .layer(layer)
            .layer(BufferLayer::new(4))
            .service(Inner::default());
        let answers = [("alice", 200), ("alice", 200)].map(|(subject, status)| {
            let request = get("/chat", &token(subject));
            let service = service.clone();
            async move {
                let response = service.oneshot(request).await.unwrap();
                assert_eq!(response.status(), status);
            }
        });
        for answer in answers {
            tokio::time::timeout(Duration::from_secs(60), answer)
                .await
                .unwrap();
        }
    }
}

/// The layer passes the error of the inner service on as it is.
#[tokio::test]
async fn the_error_stays_the_inner_ones() {
    let failing = tower::service_fn(async |_: Request<String>| {
        Err::<Response<String>, _>(std::io::Error::other("inner"))
    });
    let error = direct()
        .layer(failing)
        .oneshot(get("/chat", &token("alice")))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "inner");
}
