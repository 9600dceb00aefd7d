//! [`Grace`] and [`Goodbye`]: the time of a socket after the end of its lease, which a client cannot make longer than the
//! policy lets it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::{
    MessageSocket,
    bell::{Bell, Half},
};
use crate::LeaseEnd;

/// So many messages are thrown away in one go, before other tasks have their turn.
const BURST: usize = 64;

/// The lease has ended; what is being sent may go on until the time is over.
pub(super) struct Grace {
    pub(super) end: LeaseEnd,
    timer: Pin<Box<Sleep>>,
    bell: Arc<Bell>,
}

impl Grace {
    pub(super) fn new(end: LeaseEnd, grace: Duration) -> Self {
        Self {
            end,
            timer: Box::pin(sleep(grace)),
            bell: Arc::default(),
        }
    }

    /// Ready when the time is over.
    pub(super) fn poll(&mut self, half: Half, cx: &Context<'_>) -> Poll<()> {
        let waker = self.bell.waker(half, cx);
        self.timer.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// The close frame that is said, and the client's that is waited for, until the time is over.
pub(super) struct Goodbye<W: MessageSocket> {
    pub(super) end: LeaseEnd,
    /// The last message, if there is one, and the close frame, until the socket has taken them.
    unsaid: VecDeque<W::Message>,
    is_flushed: bool,
    timer: Pin<Box<Sleep>>,
    bell: Arc<Bell>,
}

impl<W: MessageSocket> Goodbye<W> {
    pub(super) fn new(
        end: LeaseEnd,
        last_message: Option<W::Message>,
        frame: W::Message,
        timeout: Duration,
    ) -> Self {
        Self {
            end,
            unsaid: last_message.into_iter().chain([frame]).collect(),
            is_flushed: false,
            timer: Box::pin(sleep(timeout)),
            bell: Arc::default(),
        }
    }

    /// Ready when the connection may be dropped. Progress wakes both halves, and so does the end of it.
    pub(super) fn poll(&mut self, socket: &mut W, half: Half, cx: &Context<'_>) -> Poll<()> {
        let waker = self.bell.waker(half, cx);
        let polled = self.poll_handshake(socket, &mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.bell.ring();
        }
        polled
    }

    /// What the client still sends is read and thrown away: it may read nothing before it has written everything, and
    /// a connection that is dropped with unread bytes is reset, which can cost the client our frame.
    fn poll_handshake(&mut self, socket: &mut W, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_mut().poll(cx).is_ready() || self.poll_say(socket, cx).is_err() {
            return Poll::Ready(());
        }
        for _ in 0..BURST {
            match Pin::new(&mut *socket).poll_next(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                // Its own close frame came, or nothing can come any more.
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands the frame to the socket and sees it off, as far as the client takes it.
    fn poll_say(&mut self, socket: &mut W, cx: &mut Context<'_>) -> Result<(), W::Error> {
        let mut socket = Pin::new(socket);
        while !self.unsaid.is_empty()
            && let Poll::Ready(ready) = socket.as_mut().poll_ready(cx)
        {
            ready?;
            if let Some(message) = self.unsaid.pop_front() {
                // The client may have sent its close frame already; then only our answer to it is left to flush.
                let _ = socket.as_mut().start_send(message);
            }
        }
        if self.unsaid.is_empty()
            && !self.is_flushed
            && let Poll::Ready(flushed) = socket.poll_flush(cx)
        {
            flushed?;
            self.is_flushed = true;
        }
        Ok(())
    }
}
