//! [`Goodbye`]: the closing handshake, which a client cannot make longer than the policy lets it.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::MessageSocket;

/// So many messages are thrown away in one go, before other tasks have their turn.
const BURST: usize = 64;

/// The close frame that is said, and the client's that is waited for, until the time is over.
pub(super) struct Goodbye<W: MessageSocket> {
    /// The close frame, until the socket has taken it.
    unsaid: Option<W::Message>,
    is_flushed: bool,
    timer: Pin<Box<Sleep>>,
}

impl<W: MessageSocket> Goodbye<W> {
    pub(super) fn new(frame: W::Message, timeout: Duration) -> Self {
        Self {
            unsaid: Some(frame),
            is_flushed: false,
            timer: Box::pin(sleep(timeout)),
        }
    }

    /// Ready when the connection may be dropped.
    ///
    /// What the client still sends is read and thrown away: it may read nothing before it has written everything, and
    /// a connection that is dropped with unread bytes is reset, which can cost the client our frame.
    pub(super) fn poll(&mut self, socket: &mut W, cx: &mut Context<'_>) -> Poll<()> {
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
        if self.unsaid.is_some()
            && let Poll::Ready(ready) = socket.as_mut().poll_ready(cx)
        {
            ready?;
            if let Some(frame) = self.unsaid.take() {
                // The client may have said its own already; then what is left is to see our answer to it off.
                let _ = socket.as_mut().start_send(frame);
            }
        }
        if self.unsaid.is_none()
            && !self.is_flushed
            && let Poll::Ready(flushed) = socket.poll_flush(cx)
        {
            flushed?;
            self.is_flushed = true;
        }
        Ok(())
    }
}
