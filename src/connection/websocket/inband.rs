//! [`Renewals`]: newer tokens in messages of the socket itself, out of the handler's sight.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use zeroize::Zeroizing;

use crate::{Lease, RenewalMessages};

/// The renewals of one socket: one at a time, so a client that floods it with tokens waits for itself.
pub(super) struct Renewals {
    messages: RenewalMessages,
    /// The answer to the client, once the token is verified.
    answer: Option<Answer>,
    pub(super) outbox: Outbox,
}

type Answer = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// What the service says of its own accord.
pub(super) enum Outbox {
    Empty,
    Waiting(String),
    /// The socket has it, and may not have sent it yet.
    Unflushed,
}

impl Renewals {
    pub(super) fn new(messages: RenewalMessages, lease: &Lease) -> Self {
        let greeting = messages.greeting(lease);
        Self {
            messages,
            answer: None,
            outbox: Outbox::Waiting(greeting),
        }
    }

    /// Whether this message is for us; then its answer is on the way.
    pub(super) fn takes(&mut self, text: &str, lease: &Lease) -> bool {
        if self.messages.recognise(text).is_none() {
            return false;
        }
        let messages = self.messages.clone();
        let lease = lease.clone();
        let text = Zeroizing::new(text.to_owned());
        self.answer = Some(Box::pin(
            async move { messages.answer(&lease, &text).await },
        ));
        true
    }

    /// Waits for the answer to the message that was taken, if there is one.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(answer) = &mut self.answer {
            let answer = ready!(answer.as_mut().poll(cx));
            self.answer = None;
            self.outbox = answer.map_or(Outbox::Empty, Outbox::Waiting);
        }
        Poll::Ready(())
    }
}

impl fmt::Debug for Renewals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewals")
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}
