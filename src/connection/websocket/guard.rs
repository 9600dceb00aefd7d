//! [`GuardedSocket`]: a WebSocket that ends with its lease.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_sink::Sink;

use super::{
    MessageSocket, WebSocketPolicy,
    bell::Half,
    goodbye::{Goodbye, Grace},
    inband::{Outbox, Renewals},
};
use crate::{Ended, Lease, LeaseEnd, RenewalMessages};

impl Lease {
    /// Puts a WebSocket under this lease.
    ///
    /// See [`GuardedSocket`].
    pub fn guard<W: MessageSocket>(&self, socket: W) -> GuardedSocket<W> {
        GuardedSocket {
            socket: Some(socket),
            ended: self.ended(),
            policy: WebSocketPolicy::default(),
            phase: Phase::Open,
            renewals: None,
        }
    }
}

/// A WebSocket that hands out no message after its [`Lease`] has ended, and closes then.
///
/// Made by [`Lease::guard`] of axum's `WebSocket`, a [`tokio_tungstenite::WebSocketStream`] or another
/// [`MessageSocket`]. It is a stream and a sink as they are, so it can be split, and back-pressure stays as it was.
///
/// The clock is asked about each message, after it has come and before it is handed out; so it is before each that is
/// sent. At the end, the client is sent the close frame that the [policy](Self::with_policy) has for it, its own is
/// waited for for a bounded time, and the connection is dropped: whether the client reads, answers, or does neither.
/// Then [`recv`](Self::recv) gives `None`, [`end`](Self::end) says why, and sending is an error.
///
/// All of this happens while the socket is read from or written to. A handler that works for long without doing either
/// waits for [`Lease::ended`] beside its work.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")]
/// # mod example {
/// use axum::{extract::{WebSocketUpgrade, ws::Message}, response::Response};
/// use tower_warden::{Lease, RenewalMessages};
///
/// async fn connect(upgrade: WebSocketUpgrade, lease: Lease) -> Response {
///     upgrade.protocols(["chat"]).on_upgrade(async move |socket| {
///         let mut socket = lease.guard(socket).with_renewal(RenewalMessages::default());
///         while let Some(Ok(message)) = socket.recv().await {
///             if let Message::Text(text) = message
///                 && socket.send(Message::text(format!("you said {text}"))).await.is_err()
///             {
///                 break;
///             }
///         }
///         if let Some(end) = socket.end() {
///             println!("closed: {end}");
///         }
///     })
/// }
/// # }
/// ```
pub struct GuardedSocket<W: MessageSocket> {
    /// Dropped once the connection is closed, though the handler may keep the guard.
    socket: Option<W>,
    /// The end, as the half that reads waits for it, and second the one that writes. It holds the lease.
    ended: Ended,
    policy: WebSocketPolicy,
    phase: Phase<W>,
    renewals: Option<Box<Renewals>>,
}

/// Something that a sink can be driven to do.
type Act<W> = fn(Pin<&mut W>, &mut Context<'_>) -> Sent<W>;

type Sent<W> = Poll<Result<(), <W as Sink<<W as MessageSocket>::Message>>::Error>>;

/// How far the connection is.
enum Phase<W: MessageSocket> {
    Open,
    /// The lease has ended; what is being sent may go on.
    Grace(Box<Grace>),
    /// The close frame is on its way.
    Closing(Box<Goodbye<W>>),
    Closed(LeaseEnd),
}

impl<W: MessageSocket> GuardedSocket<W> {
    /// Sets how the socket ends; by default as [`WebSocketPolicy::default`] does.
    #[must_use]
    pub fn with_policy(mut self, policy: WebSocketPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Tells the client how long its token will do, and takes newer ones in messages, which the handler never sees.
    ///
    /// The first message is sent when the socket is first read from.
    #[must_use]
    pub fn with_renewal(mut self, messages: RenewalMessages) -> Self {
        self.renewals = Some(Box::new(Renewals::new(messages, self.lease())));
        self
    }

    /// The next message; `None` when the connection has ended, by whichever side.
    ///
    /// It may be cancelled: no message is lost with it.
    pub async fn recv(&mut self) -> Option<Result<W::Message, W::Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Sends a message, and waits until it is on its way.
    ///
    /// # Errors
    ///
    /// The socket's own, or [`MessageSocket::closed`] once the lease has ended; then the client has been told.
    pub async fn send(&mut self, message: W::Message) -> Result<(), W::Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_ready(cx)).await?;
        Pin::new(&mut *self).start_send(message)?;
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// The lease that ends this socket.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        self.ended.lease()
    }

    /// The socket itself, to look at; `None` once the lease has closed it.
    #[must_use]
    pub fn get_ref(&self) -> Option<&W> {
        self.socket.as_ref()
    }

    /// Why the guard has closed the connection; `None` while it is open, or if somebody else closed it.
    #[must_use]
    pub fn end(&self) -> Option<LeaseEnd> {
        match &self.phase {
            Phase::Open => None,
            Phase::Grace(grace) => Some(grace.end),
            Phase::Closing(goodbye) => Some(goodbye.end),
            Phase::Closed(end) => Some(*end),
        }
    }

    /// The lease has ended: from now on the socket only sends what its grace allows, or nothing at all.
    ///
    /// The other half, if it waits for something that is not coming now, is woken by the lease itself.
    fn begin_end(&mut self, end: LeaseEnd, half: Half) {
        self.phase = match self.policy.grace(end) {
            Some(grace) if half == Half::Write => Phase::Grace(Box::new(Grace::new(end, grace))),
            _ => self.goodbye(end),
        };
    }

    fn goodbye(&self, end: LeaseEnd) -> Phase<W> {
        let frame = W::close_message(&self.policy.closing(end));
        let last_message = self.policy.last_message(end);
        let last_message = last_message.map(|text| W::text_message(text.to_owned()));
        let timeout = self.policy.close_timeout();
        Phase::Closing(Box::new(Goodbye::new(end, last_message, frame, timeout)))
    }

    /// Waits for the end beside whatever else is awaited; the phase has changed if it is ready.
    fn poll_end(&mut self, half: Half, cx: &mut Context<'_>) -> Poll<()> {
        if let Phase::Grace(grace) = &mut self.phase {
            ready!(grace.poll(half, cx));
            let end = grace.end;
            self.phase = self.goodbye(end);
            return Poll::Ready(());
        }
        let end = ready!(match half {
            Half::Read => Pin::new(&mut self.ended).poll(cx),
            Half::Write => self.ended.poll_second(cx),
        });
        self.begin_end(end, half);
        Poll::Ready(())
    }

    /// Goes on with the closing handshake; ready when the connection is dropped.
    fn poll_goodbye(&mut self, half: Half, cx: &Context<'_>) -> Poll<()> {
        if let (Phase::Closing(goodbye), Some(socket)) = (&mut self.phase, &mut self.socket) {
            ready!(goodbye.poll(socket, half, cx));
            self.phase = Phase::Closed(goodbye.end);
            self.socket = None;
        }
        Poll::Ready(())
    }

    /// Answers renewals; ready when the next message may be read.
    fn poll_renewals(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (Some(renewals), Some(socket)) = (&mut self.renewals, &mut self.socket) else {
            return Poll::Ready(());
        };
        ready!(renewals.poll_answer(cx));
        let mut socket = Pin::new(socket);
        if let Outbox::Waiting(text) = &mut renewals.outbox {
            // What goes wrong here goes wrong where the socket is read as well.
            if ready!(socket.as_mut().poll_ready(cx)).is_ok() {
                let message = W::text_message(std::mem::take(text));
                let _ = socket.as_mut().start_send(message);
            }
            renewals.outbox = Outbox::Unflushed;
        }
        if let Outbox::Unflushed = renewals.outbox
            && socket.poll_flush(cx).is_ready()
        {
            renewals.outbox = Outbox::Empty;
        }
        Poll::Ready(())
    }

    /// The socket, if anything may be sent through it now.
    ///
    /// Once the lease has ended it waits until the client has been told, or could not be.
    fn poll_sendable(&mut self, cx: &mut Context<'_>) -> Poll<Result<&mut W, W::Error>> {
        if let Phase::Open = self.phase
            && let Err(end) = self.lease().check()
        {
            self.begin_end(end, Half::Write);
        }
        if let Phase::Grace(_) = self.phase {
            // Asked each time, so that a client that reads quickly enough does not make it longer.
            let _ = self.poll_end(Half::Write, cx);
        }
        ready!(self.poll_goodbye(Half::Write, cx));
        Poll::Ready(match self.phase {
            Phase::Open | Phase::Grace(_) => self.socket.as_mut().ok_or_else(W::closed),
            Phase::Closing(_) | Phase::Closed(_) => Err(W::closed()),
        })
    }

    /// Drives something of the sink's, and the end meanwhile.
    fn poll_sink(&mut self, cx: &mut Context<'_>, act: Act<W>) -> Sent<W> {
        loop {
            let socket = ready!(self.poll_sendable(cx))?;
            if let Poll::Ready(done) = act(Pin::new(socket), cx) {
                self.ended.rest_second();
                return Poll::Ready(done);
            }
            ready!(self.poll_end(Half::Write, cx));
        }
    }
}

impl<W: MessageSocket> Stream for GuardedSocket<W> {
    type Item = Result<W::Message, W::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Phase::Grace(grace) = &this.phase {
                this.phase = this.goodbye(grace.end);
            }
            ready!(this.poll_goodbye(Half::Read, cx));
            let Phase::Open = this.phase else {
                return Poll::Ready(None);
            };
            if this.poll_renewals(cx).is_pending() {
                ready!(this.poll_end(Half::Read, cx));
                continue;
            }
            let Some(socket) = &mut this.socket else {
                return Poll::Ready(None);
            };
            let message = match Pin::new(socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(over) => return Poll::Ready(over),
                Poll::Pending => {
                    ready!(this.poll_end(Half::Read, cx));
                    continue;
                }
            };
            // Only now: the message may have come while the last one was handled, and been polled after the end.
            if let Err(end) = this.lease().check() {
                this.begin_end(end, Half::Read);
                continue;
            }
            if let Some(renewals) = &mut this.renewals
                && let Some(text) = W::text_of(&message)
                && renewals.takes(text, this.ended.lease())
            {
                continue;
            }
            return Poll::Ready(Some(Ok(message)));
        }
    }
}

impl<W: MessageSocket> Sink<W::Message> for GuardedSocket<W> {
    type Error = W::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), W::Error>> {
        self.poll_sink(cx, W::poll_ready)
    }

    fn start_send(mut self: Pin<&mut Self>, message: W::Message) -> Result<(), W::Error> {
        let this = &mut *self;
        match (&this.phase, &mut this.socket) {
            (Phase::Open | Phase::Grace(_), Some(socket)) => Pin::new(socket).start_send(message),
            _ => Err(W::closed()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), W::Error>> {
        self.poll_sink(cx, W::poll_flush)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), W::Error>> {
        // Closing after the end is no error: that is what was done.
        match ready!(self.poll_sink(cx, W::poll_close)) {
            Err(_) if self.end().is_some() => Poll::Ready(Ok(())),
            closed => Poll::Ready(closed),
        }
    }
}

impl<W: MessageSocket> fmt::Debug for GuardedSocket<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedSocket")
            .field("lease", self.lease())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "axum")]
impl GuardedSocket<axum::extract::ws::WebSocket> {
    /// The subprotocol that was agreed on, if there is one and the socket is open.
    #[must_use]
    pub fn protocol(&self) -> Option<&http::HeaderValue> {
        self.socket.as_ref()?.protocol()
    }
}
