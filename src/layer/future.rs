//! [`ResponseFuture`]: the one state machine behind every response of the middleware.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    gate::{Decision, Gate, Question, Refusal},
    passage::Passage,
};
use crate::ResponseBody;

pin_project! {
    /// Response future of [`Auth`](super::Auth).
    ///
    /// With the key at hand it holds the inner service's future and nothing else: no box, no clone.
    pub struct ResponseFuture<S: Service<Request<B>>, B> {
        #[pin]
        state: State<S, B, S::Future, S::Response>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F, R> {
        /// The inner service answers, and nothing is to be added.
        Inner { #[pin] future: F },
        /// The inner service answers, and caches have to know how the request came in.
        Marked { #[pin] future: F, passage: Passage, vary: Option<HeaderValue> },
        /// The answer stands already.
        Refused { response: Option<R> },
        /// A verdict is awaited; the rare way, so it may be boxed.
        Pending { wait: Option<Box<Pending<S, B>>> },
    }
}

/// A request that waits for a verdict, with the service that was made ready for it.
struct Pending<S, B> {
    gate: Arc<Gate>,
    question: Question,
    head: Parts,
    body: B,
    ready: S,
}

impl<S, B, ResBody> Pending<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: ResponseBody,
{
    /// What comes next, or this again as long as nobody has answered.
    ///
    /// It stands apart: within `poll` it costs those some nanoseconds who need not wait.
    #[inline(never)]
    fn go_on(mut self: Box<Self>, cx: &mut Context<'_>) -> Result<ResponseFuture<S, B>, Box<Self>> {
        loop {
            let Self {
                gate,
                question,
                head,
                ..
            } = &mut *self;
            let Poll::Ready(decision) = gate.poll_answer(question, head, cx) else {
                return Err(self);
            };
            match decision {
                Decision::Pending(next) => *question = next,
                Decision::Refuse(refusal) => {
                    return Ok(ResponseFuture::refused(gate, head, refusal));
                }
                Decision::Admit(passage) => {
                    let Self {
                        gate,
                        head,
                        body,
                        mut ready,
                        ..
                    } = *self;
                    let request = Request::from_parts(head, body);
                    return Ok(ResponseFuture::inner(&gate, passage, request, |it| {
                        ready.call(it)
                    }));
                }
            }
        }
    }
}

impl<S, B, ResBody> ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: ResponseBody,
{
    /// The inner service answers a request that came in like this, and is called in each case by itself: so its future is
    /// made where it stays.
    #[inline(always)]
    pub(super) fn inner(
        gate: &Gate,
        passage: Passage,
        request: Request<B>,
        call: impl FnOnce(Request<B>) -> S::Future,
    ) -> Self {
        match passage {
            Passage::Plain => Self {
                state: State::Inner {
                    future: call(request),
                },
            },
            passage => Self {
                state: State::Marked {
                    future: call(request),
                    passage,
                    vary: gate.vary.clone(),
                },
            },
        }
    }

    pub(super) fn refused(gate: &Gate, head: &mut Parts, refusal: Refusal) -> Self {
        Self {
            state: State::Refused {
                response: Some(gate.respond(head, refusal)),
            },
        }
    }

    pub(super) fn pending(
        gate: Arc<Gate>,
        question: Question,
        head: Parts,
        body: B,
        ready: S,
    ) -> Self {
        let wait = Box::new(Pending {
            gate,
            question,
            head,
            body,
            ready,
        });
        Self {
            state: State::Pending { wait: Some(wait) },
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
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
                StateProj::Marked {
                    future,
                    passage,
                    vary,
                } => {
                    let mut response = ready!(future.poll(cx))?;
                    passage.mark(response.headers_mut(), vary.take());
                    return Poll::Ready(Ok(response));
                }
                StateProj::Refused { response } => {
                    let response = response
                        .take()
                        .expect("a future is not polled after it is ready");
                    return Poll::Ready(Ok(response));
                }
                StateProj::Pending { wait } => {
                    let waiting = wait.take().expect("it is there as long as it waits");
                    match waiting.go_on(cx) {
                        Ok(next) => next,
                        Err(waiting) => {
                            *wait = Some(waiting);
                            return Poll::Pending;
                        }
                    }
                }
            };
            state.set(next.state);
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
