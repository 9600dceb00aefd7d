//! [`LeasedBody`]: a body that ends in time; [`StreamBody`]: bodies that can become one without changing their type.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{
    BodyExt, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};
use pin_project_lite::pin_project;

use super::{
    StreamBound, StreamPolicy,
    bound::Form,
    watch::{Sight, Watch},
};
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

pin_project! {
    /// A body that ends when its lease does, as a [`StreamPolicy`] says. Made by [`StreamBound::over`].
    #[project = Leased]
    #[must_use = "a body does nothing unless it is sent"]
    pub struct LeasedBody<B: Body> {
        #[pin]
        inner: Option<B>,
        #[pin]
        watch: Option<Watch>,
        policy: StreamPolicy,
        form: Form,
        place: Place,
        notice: Notice,
        fail: Option<fn(LeaseEnd) -> B::Error>,
    }
}

/// Whether the client has been told that the stream will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    None,
    /// It is to be told once an event is complete.
    Due,
}

impl<B: Body> LeasedBody<B> {
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
        }
    }

    /// Fails so where no last event can be sent.
    #[cfg_attr(not(feature = "axum"), expect(dead_code))]
    fn failing(mut self, fail: fn(LeaseEnd) -> B::Error) -> Self {
        self.fail = Some(fail);
        self
    }
}

impl<B: Body<Data = Bytes>> Body for LeasedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            let mut this = self.as_mut().project();
            let Some(watch) = this.watch.as_mut().as_pin_mut() else {
                return Poll::Ready(None);
            };
            // Nothing is sent after the end, however much the inner body has ready.
            match watch.look() {
                Sight::Open => {}
                Sight::Overtime => this.announce(),
                Sight::Over(end) => return Poll::Ready(this.cut_off(end)),
            }
            if let Some(notice) = this.due_notice() {
                return Poll::Ready(Some(Ok(notice)));
            }
            if let Some(inner) = this.inner.as_mut().as_pin_mut()
                && let Poll::Ready(frame) = inner.poll_frame(cx)
            {
                match &frame {
                    Some(Ok(frame)) => {
                        if let Some(data) = frame.data_ref() {
                            this.place.advance(data);
                        }
                    }
                    // The connection may be over long before whoever sent the answer lets go of it.
                    None => this.finish(),
                    Some(Err(_)) => {}
                }
                return Poll::Ready(frame);
            }
            let watch = this.watch.as_mut().as_pin_mut();
            match watch.map_or(Poll::Pending, |watch| watch.poll(cx)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Sight::Open) => {}
                Poll::Ready(Sight::Overtime) => this.announce(),
                Poll::Ready(Sight::Over(end)) => return Poll::Ready(this.cut_off(end)),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, self.form) {
            (Some(inner), Form::Opaque) => inner.size_hint(),
            // One event more may come, or less of what was promised.
            (Some(_), Form::Events) => SizeHint::new(),
            (None, _) => SizeHint::with_exact(0),
        }
    }
}

impl<B: Body<Data = Bytes>> Leased<'_, B> {
    fn announce(&mut self) {
        if matches!(self.policy, StreamPolicy::Grace(_)) {
            *self.notice = Notice::Due;
        }
    }

    fn finish(&mut self) {
        self.inner.set(None);
        self.watch.set(None);
    }

    /// The notice that the stream will end, if it is due and may stand here.
    fn due_notice(&mut self) -> Option<Frame<Bytes>> {
        let StreamPolicy::Grace(grace) = *self.policy else {
            return None;
        };
        if *self.notice == Notice::None || *self.form != Form::Events || !self.place.is_between() {
            return None;
        }
        *self.notice = Notice::None;
        Some(event(LeaseEnd::Expired, Some(grace)))
    }

    /// The last that is sent. The inner body is dropped, and with it whatever feeds it.
    fn cut_off(&mut self, end: LeaseEnd) -> Option<Result<Frame<Bytes>, B::Error>> {
        self.finish();
        if *self.form == Form::Events {
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

/// Where in an event stream the last byte stood: lines end with LF, CR or both, events with an empty line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    line: Line,
    after_cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Line {
    /// After an empty line, or at the very beginning.
    #[default]
    Between,
    /// At the beginning of a line within an event.
    Begun,
    /// Within a line.
    Within,
}

impl Place {
    fn is_between(self) -> bool {
        self.line == Line::Between
    }

    fn advance(&mut self, data: &[u8]) {
        // What stands before the last byte of a line's text changes nothing.
        let text = data.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        for byte in data.iter().skip(text.unwrap_or(0)) {
            let after_cr = mem::replace(&mut self.after_cr, *byte == b'\r');
            self.line = match byte {
                b'\n' if after_cr => self.line,
                b'\n' | b'\r' => match self.line {
                    Line::Within => Line::Begun,
                    Line::Begun | Line::Between => Line::Between,
                },
                _ => Line::Within,
            };
        }
    }
}

impl<B: Body> fmt::Debug for LeasedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedBody")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_may_stand_between_two_others_only() {
        let table: [(&[&str], bool); 14] = [
            (&[], true),
            (&["data: a\n\n"], true),
            (&["data: a\r\n\r\n"], true),
            (&["data: a\r\r"], true),
            (&["data: a\n", "\n"], true),
            (&["data: a\r\n\r", "\n"], true),
            (&["data: a\r", "\n", "\r", "\n"], true),
            (&["\n"], true),
            (&["data: a"], false),
            (&["data: a\n"], false),
            (&["data: a\r\n"], false),
            (&["data: a\n\ndata: b"], false),
            (&["data: a\n\ndata: b\n"], false),
            (&["data: a\n\n", ""], true),
        ];
        for (parts, between) in table {
            let mut place = Place::default();
            for part in parts {
                place.advance(part.as_bytes());
            }
            assert_eq!(place.is_between(), between, "{parts:?}");
        }
    }
}
