//! [`OwnershipFuture`]: from the store's answer to the response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Owned, rules::Rules};
use crate::{Refusals, Rejection, ResponseBody};

/// What the store will have said.
type Answer = Pin<Box<dyn Future<Output = Result<Owned, Rejection>> + Send>>;

pin_project! {
    /// Response future of [`Ownership`](super::Ownership).
    pub struct OwnershipFuture<S: Service<Request<B>>, B> {
        #[pin]
        state: State<S, B, S::Future, S::Response>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F, R> {
        /// The store was asked.
        Asked { wait: Option<Box<Asked<S, B>>> },
        /// The inner service answers.
        Inner { #[pin] future: F },
        /// The answer stands already.
        Refused { response: Option<R> },
    }
}

/// A request that waits for the store, with the service that was made ready for it.
struct Asked<S, B> {
    rules: Arc<Rules>,
    refusals: Refusals,
    answer: Answer,
    head: Parts,
    body: B,
    ready: S,
}

impl<S: Service<Request<B>>, B> OwnershipFuture<S, B> {
    pub(super) fn asked(
        rules: Arc<Rules>,
        refusals: Refusals,
        answer: Answer,
        head: Parts,
        body: B,
        ready: S,
    ) -> Self {
        let wait = Box::new(Asked {
            rules,
            refusals,
            answer,
            head,
            body,
            ready,
        });
        Self {
            state: State::Asked { wait: Some(wait) },
        }
    }

    pub(super) fn inner(future: S::Future) -> Self {
        Self {
            state: State::Inner { future },
        }
    }

    pub(super) fn refused(response: S::Response) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }
}

impl<S, B, ResBody> Future for OwnershipFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: ResponseBody,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Inner { future } => return future.poll(cx),
                StateProj::Refused { response } => {
                    let response = response
                        .take()
                        .expect("a future is not polled after it is ready");
                    return Poll::Ready(Ok(response));
                }
                StateProj::Asked { wait } => {
                    let waiting = wait.as_mut().expect("the state moves on once it is taken");
                    let answer = ready!(waiting.answer.as_mut().poll(cx));
                    let asked = *wait.take().expect("it was there a line above");
                    asked.settle(answer)
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> Asked<S, B> {
    fn settle<ResBody>(
        mut self,
        answer: Result<Owned, Rejection>,
    ) -> State<S, B, S::Future, S::Response>
    where
        S: Service<Request<B>, Response = Response<ResBody>>,
        ResBody: ResponseBody,
    {
        match answer {
            Ok(owned) => {
                self.head.extensions.insert(owned);
                let request = Request::from_parts(self.head, self.body);
                State::Inner {
                    future: self.ready.call(request),
                }
            }
            Err(rejection) => {
                let response = self
                    .rules
                    .respond(&mut self.head, rejection, &self.refusals);
                State::Refused {
                    response: Some(response),
                }
            }
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for OwnershipFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnershipFuture").finish_non_exhaustive()
    }
}
