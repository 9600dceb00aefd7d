//! [`Answer`]: a body under way, and the lease that it ends with.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    StreamBound, StreamPolicy,
    bound::Form,
    place::Place,
    watch::{Sight, Watch},
};
use crate::LeaseEnd;

/// A body under way, as its client asks for it and a task watches over it.
pub(super) struct Answer<B: Body> {
    inner: Option<B>,
    /// Until the answer is over.
    watch: Option<Watch>,
    pub(super) policy: StreamPolicy,
    form: Form,
    place: Place,
    notice: Notice,
    /// How it fails where no last event can be sent.
    pub(super) fail: Option<fn(LeaseEnd) -> B::Error>,
    /// Whether a task waits for the end, and wakes the client's then.
    pub(super) is_watched: bool,
    client: Option<Waker>,
    /// Why it was cut off, until the client is told.
    cut_off: Option<LeaseEnd>,
}

/// Whether the client has been told that the stream will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    None,
    /// It is to be told once an event is complete.
    Due,
}

impl<B: Body> Answer<B> {
    pub(super) fn new(body: B, bound: StreamBound) -> Self {
        // A body that knows its size has announced it.
        let form = match body.size_hint().exact() {
            Some(_) => Form::Opaque,
            None => bound.form,
        };
        Self {
            watch: Some(Watch::new(&bound.lease, bound.policy)),
            inner: Some(body),
            policy: bound.policy,
            form,
            place: Place::default(),
            notice: Notice::None,
            fail: None,
            is_watched: false,
            client: None,
            cut_off: None,
        }
    }

    /// Whether there is nothing left to watch over.
    pub(super) fn is_over(&self) -> bool {
        self.watch.is_none()
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let is_told = self.cut_off.is_none();
        is_told && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match (&self.inner, self.form) {
            (Some(inner), Form::Opaque) => inner.size_hint(),
            // One event more may come, or less of what was promised.
            (Some(_), Form::Events) => SizeHint::new(),
            (None, _) if self.cut_off.is_some() => SizeHint::new(),
            (None, _) => SizeHint::with_exact(0),
        }
    }

    /// Waits for the end without the client; ready when it has come, with the body that feeds the answer no longer.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Option<B>> {
        while let Some(watch) = &mut self.watch {
            match watch.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Sight::Open) => continue,
                Poll::Ready(Sight::Overtime) => self.announce(),
                Poll::Ready(Sight::Over(end)) => {
                    self.watch = None;
                    self.cut_off = Some(end);
                }
            }
            // There is something to say.
            if let Some(client) = self.client.take() {
                client.wake();
            }
        }
        Poll::Ready(self.inner.take())
    }

    fn announce(&mut self) {
        if matches!(self.policy, StreamPolicy::Grace(_)) {
            self.notice = Notice::Due;
        }
    }

    fn finish(&mut self) {
        self.inner = None;
        self.watch = None;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Answer<B> {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            if let Some(end) = self.cut_off.take() {
                return Poll::Ready(self.last(end));
            }
            let Some(watch) = &mut self.watch else {
                return Poll::Ready(None);
            };
            // Nothing is sent after the end, however much the inner body has ready.
            match watch.look() {
                Sight::Open => {}
                Sight::Overtime => self.announce(),
                Sight::Over(end) => return Poll::Ready(self.last(end)),
            }
            if let Some(notice) = self.due_notice() {
                return Poll::Ready(Some(Ok(notice)));
            }
            if let Some(inner) = &mut self.inner
                && let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx)
            {
                match &frame {
                    Some(Ok(frame)) => {
                        if let Some(data) = frame.data_ref() {
                            self.place.advance(data);
                        }
                    }
                    // The connection may be over long before whoever sent the answer lets go of it.
                    None => self.finish(),
                    Some(Err(_)) => {}
                }
                return Poll::Ready(frame);
            }
            if self.is_watched {
                match &mut self.client {
                    Some(client) => client.clone_from(cx.waker()),
                    None => self.client = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            match self
                .watch
                .as_mut()
                .map_or(Poll::Pending, |watch| watch.poll(cx))
            {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Sight::Open) => {}
                Poll::Ready(Sight::Overtime) => self.announce(),
                Poll::Ready(Sight::Over(end)) => return Poll::Ready(self.last(end)),
            }
        }
    }

    /// The notice that the stream will end, if it is due and may stand here.
    fn due_notice(&mut self) -> Option<Frame<Bytes>> {
        let StreamPolicy::Grace(grace) = self.policy else {
            return None;
        };
        if self.notice == Notice::None || self.form != Form::Events || !self.place.is_between() {
            return None;
        }
        self.notice = Notice::None;
        Some(event(LeaseEnd::Expired, Some(grace)))
    }

    /// The last that is sent. The inner body is dropped, and with it whatever feeds it.
    fn last(&mut self, end: LeaseEnd) -> Option<Result<Frame<Bytes>, B::Error>> {
        self.finish();
        if self.form == Form::Events {
            // An event that was begun cannot be taken back, but is discarded by the client if nothing follows.
            return self.place.is_between().then(|| Ok(event(end, None)));
        }
        self.fail.map(|fail| Err(fail(end)))
    }
}

/// `event: auth`, as the last one or as a notice.
fn event(end: LeaseEnd, ends_in: Option<Duration>) -> Frame<Bytes> {
    let code = end.code();
    let text = match ends_in {
        None => format!("event: auth\ndata: {{\"code\":\"{code}\"}}\n\n"),
        Some(time) => {
            let seconds = time.as_secs();
            format!("event: auth\ndata: {{\"code\":\"{code}\",\"ends_in\":{seconds}}}\n\n")
        }
    };
    Frame::data(Bytes::from(text))
}
