//! [`LeasedBody`]: a body that ends in time; [`StreamBody`]: bodies that can become one without changing their type.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{
    BodyExt, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};
use tokio::{runtime::Handle, task::AbortHandle};

use super::{StreamBound, answer::Answer};
use crate::LeaseEnd;

/// A body that can be bound to a lease and keeps its type.
///
/// It is implemented for the bodies that hold others in a box: those of axum (feature `axum`) and `http-body-util`; and
/// for those that are there at once. Other bodies are wrapped by [`StreamBound::over`].
pub trait StreamBody: Sized {
    /// The same body, which ends as the bound says.
    #[must_use]
    fn bounded(self, bound: StreamBound) -> Self;
}

impl StreamBody for Full<Bytes> {
    /// Nothing of it is under way: it is there at once.
    fn bounded(self, _: StreamBound) -> Self {
        self
    }
}

impl StreamBody for String {
    /// Nothing of it is under way: it is there at once.
    fn bounded(self, _: StreamBound) -> Self {
        self
    }
}

impl<E: 'static> StreamBody for BoxBody<Bytes, E> {
    fn bounded(self, bound: StreamBound) -> Self {
        bound.over(self).boxed()
    }
}

impl<E: 'static> StreamBody for UnsyncBoxBody<Bytes, E> {
    fn bounded(self, bound: StreamBound) -> Self {
        bound.over(self).boxed_unsync()
    }
}

#[cfg(feature = "axum")]
impl StreamBody for axum::body::Body {
    /// Where no last event can be sent it fails with [`StreamEnded`], so that a part is not taken for the whole.
    fn bounded(self, bound: StreamBound) -> Self {
        let fail = |end| axum::Error::new(StreamEnded(end));
        Self::new(bound.over(self).failing(fail))
    }
}

/// A streamed answer was cut off, as its lease has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer was cut off: {0}")]
pub struct StreamEnded(LeaseEnd);

impl StreamEnded {
    /// Why the lease has ended.
    #[must_use]
    pub const fn end(&self) -> LeaseEnd {
        self.0
    }
}

/// A body that ends when its lease does, as a [`StreamPolicy`](crate::StreamPolicy) says. Made by [`StreamBound::over`].
#[must_use = "a body does nothing unless it is sent"]
pub struct LeasedBody<B: Body> {
    answer: Shared<B>,
    /// Ends the answer in time, though nobody may ask for its next frame.
    watcher: Option<Watcher>,
}

type Shared<B> = Arc<Mutex<Answer<B>>>;

impl<B: Body + Send + Unpin + 'static> LeasedBody<B> {
    pub(super) fn new(body: B, bound: StreamBound) -> Self {
        // What knows its size is there already, or as good as: it stands and falls with whoever reads it.
        let is_stream = body.size_hint().exact().is_none();
        let answer = Arc::new(Mutex::new(Answer::new(body, bound)));
        // Without a runtime it acts when it is polled.
        let runtime = Handle::try_current().ok().filter(|_| is_stream);
        let watcher = runtime.map(|runtime| Watcher::set(&answer, &runtime));
        Self { answer, watcher }
    }

    /// Fails so where no last event can be sent.
    #[cfg_attr(not(feature = "axum"), expect(dead_code))]
    fn failing(self, fail: fn(LeaseEnd) -> B::Error) -> Self {
        lock(&self.answer).fail = Some(fail);
        self
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for LeasedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut answer = lock(&self.answer);
        let frame = answer.poll_frame(cx);
        let is_over = answer.is_over();
        drop(answer);
        if is_over {
            self.watcher = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.answer).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.answer).size_hint()
    }
}

/// The task that watches over an answer for its client. It ends with the body.
struct Watcher(AbortHandle);

impl Watcher {
    fn set<B: Body + Send + 'static>(answer: &Shared<B>, runtime: &Handle) -> Self {
        lock(answer).is_watched = true;
        let answer = Arc::downgrade(answer);
        Self(runtime.spawn(watch(answer)).abort_handle())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Drops what feeds the answer when its time is over. A client that does not read keeps the server from asking for
/// frames, and so from learning of the end: what the answer costs would go on, or be held, for nobody.
async fn watch<B: Body>(answer: Weak<Mutex<Answer<B>>>) {
    let cut_off = poll_fn(|cx| match answer.upgrade() {
        Some(answer) => lock(&answer).poll_over(cx),
        None => Poll::Ready(None),
    });
    // Not under the lock: it takes what time it takes.
    drop(cut_off.await);
}

fn lock<T>(answer: &Mutex<T>) -> MutexGuard<'_, T> {
    // A body that panicked is not asked again.
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Body> fmt::Debug for LeasedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedBody")
            .field("policy", &lock(&self.answer).policy)
            .finish_non_exhaustive()
    }
}
