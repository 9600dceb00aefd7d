//! [`InBandRenewal`]: a newer token in a message of the WebSocket itself.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{BearerToken, Lease, RejectionKind};

/// No message that renews a token is longer; a token has 8 KiB by default.
const LONGEST: usize = 64 * 1024;

/// The messages by which a client renews its token on an open WebSocket.
///
/// | who | message | when |
/// | --- | --- | --- |
/// | service | `{"type":"auth_ok","ttl":3600,"connection":"…"}` | at connect, and after each renewal |
/// | client | `{"type":"auth","token":"…"}` | in time before `ttl` seconds are over |
/// | service | `{"type":"auth_error","code":"renewal_not_newer"}` | the token was refused, and nothing has changed |
///
/// They are JSON in text messages, and never reach the handler. `code` is a
/// [`RejectionKind::code`](crate::RejectionKind::code). [`Lease::renew`] has the rules.
#[derive(Debug, Clone)]
pub struct InBandRenewal {
    request: Cow<'static, str>,
    accepted: Cow<'static, str>,
    refused: Cow<'static, str>,
}

impl InBandRenewal {
    /// Sets the `type` of the client's message; `auth` by default.
    #[must_use]
    pub fn with_request_type(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.request = name.into();
        self
    }

    /// Sets the `type` of the service's message that tells the time left; `auth_ok` by default.
    #[must_use]
    pub fn with_accepted_type(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.accepted = name.into();
        self
    }

    /// Sets the `type` of the service's message that refuses a token; `auth_error` by default.
    #[must_use]
    pub fn with_refused_type(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.refused = name.into();
        self
    }

    /// What the client is told at connect and after a renewal: for how many seconds the connection may go on.
    #[must_use]
    pub fn ttl_message(&self, lease: &Lease) -> String {
        json!({
            "type": self.accepted,
            "ttl": lease.remaining().as_secs(),
            "connection": lease.id().to_string(),
        })
        .to_string()
    }

    fn refusal(&self, kind: RejectionKind) -> String {
        json!({ "type": self.refused, "code": kind.code() }).to_string()
    }

    /// The token of a message that renews, an error if none can be read, or nothing for any other message.
    fn token_of(&self, text: &str) -> Option<Result<BearerToken<'static>, RejectionKind>> {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(default)]
            token: Value,
        }

        // Nearly every message is another one, and is not worth being parsed.
        if text.len() > LONGEST
            || !text.trim_ascii_start().starts_with('{')
            || memmem::find(text.as_bytes(), self.request.as_bytes()).is_none()
        {
            return None;
        }
        let message: Message<'_> = serde_json::from_str(text).ok()?;
        (message.kind == self.request).then_some(match message.token {
            Value::String(token) => Ok(BearerToken::new(token)),
            _ => Err(RejectionKind::RequestMalformed),
        })
    }
}

impl Default for InBandRenewal {
    fn default() -> Self {
        Self {
            request: Cow::Borrowed("auth"),
            accepted: Cow::Borrowed("auth_ok"),
            refused: Cow::Borrowed("auth_error"),
        }
    }
}

impl Lease {
    /// What a client may be told at connect: `{"type":"auth_ok","ttl":3600,"connection":"…"}`, the seconds that are
    /// left and the connection's [name](Self::id).
    ///
    /// A guard [with renewal](crate::GuardedSocket::with_renewal) sends it by itself.
    #[must_use]
    pub fn ttl_message(&self) -> String {
        InBandRenewal::default().ttl_message(self)
    }
}

/// The renewals of one socket: one at a time, so a client that floods it with tokens waits for itself.
pub(super) struct Renewals {
    messages: InBandRenewal,
    /// The answer to the client, once the token is verified.
    answer: Option<Answer>,
    pub(super) outbox: Outbox,
}

type Answer = Pin<Box<dyn Future<Output = String> + Send>>;

/// What the service says of its own accord.
pub(super) enum Outbox {
    Empty,
    Waiting(String),
    /// The socket has it, and may not have sent it yet.
    Unflushed,
}

impl Renewals {
    pub(super) fn new(messages: InBandRenewal, lease: &Lease) -> Self {
        let greeting = messages.ttl_message(lease);
        Self {
            messages,
            answer: None,
            outbox: Outbox::Waiting(greeting),
        }
    }

    /// Whether this message is for us; then its answer is on the way.
    pub(super) fn takes(&mut self, text: &str, lease: &Lease) -> bool {
        let Some(token) = self.messages.token_of(text) else {
            return false;
        };
        let messages = self.messages.clone();
        let lease = lease.clone();
        self.answer = Some(Box::pin(async move {
            let renewed = match token {
                Ok(token) => lease.renew(&token).await.map_err(|refusal| refusal.kind()),
                Err(kind) => Err(kind),
            };
            match renewed {
                Ok(_) => messages.ttl_message(&lease),
                Err(kind) => messages.refusal(kind),
            }
        }));
        true
    }

    /// Waits for the answer to the token that was taken, if there is one.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(answer) = &mut self.answer {
            let text = ready!(answer.as_mut().poll(cx));
            self.answer = None;
            self.outbox = Outbox::Waiting(text);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_renewal_is_taken_for_one() {
        let messages = InBandRenewal::default();
        for (text, found) in [
            (r#"{"type":"auth","token":"a.b.c"}"#, Some(Some("a.b.c"))),
            (
                " {\"token\":\"a\", \"type\" : \"auth\", \"id\":7}",
                Some(Some("a")),
            ),
            (r#"{"type":"auth"}"#, Some(None)),
            (r#"{"type":"auth","token":7}"#, Some(None)),
            (r#"{"type":"auth","token":null}"#, Some(None)),
            (r#"{"type":"author","token":"a"}"#, None),
            (r#"{"type":"chat","text":"auth"}"#, None),
            (r#"{"kind":"auth","token":"a"}"#, None),
            (r#"{"type":"auth","type":"auth","token":"a"}"#, None),
            (r#"["auth","a"]"#, None),
            (r#"{"type":"auth""#, None),
            ("auth", None),
            ("", None),
        ] {
            let token = messages.token_of(text);
            let token = token
                .as_ref()
                .map(|token| token.as_ref().ok().map(BearerToken::expose));
            assert_eq!(token, found, "{text}");
        }
    }

    #[test]
    fn the_words_are_the_applications_own() {
        let messages = InBandRenewal::default()
            .with_request_type("renew")
            .with_refused_type("no");
        assert!(
            messages
                .token_of(r#"{"type":"auth","token":"a"}"#)
                .is_none()
        );
        assert!(
            messages
                .token_of(r#"{"type":"renew","token":"a"}"#)
                .is_some()
        );
        let refusal = messages.refusal(RejectionKind::RenewalNotNewer);
        assert_eq!(refusal, r#"{"code":"renewal_not_newer","type":"no"}"#);
    }
}
