//! [`RenewalMessages`]: the door within the connection, a JSON message.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, LazyLock},
};

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use crate::{BearerToken, ConnectionId, Lease, Rejection, RejectionKind};

/// A longer message is no renewal: no verifier reads tokens of that size.
const LONGEST: usize = 65 * 1024;

/// The messages by which a client renews its connection from within, as JSON texts.
///
/// | who | message |
/// | --- | --- |
/// | service, once at the start | `{"type":"auth_ok","ttl":3600,"connection_id":"…"}` |
/// | client | `{"type":"auth","token":"…"}` |
/// | service | `{"type":"auth_ok","ttl":3600,"connection_id":"…"}` |
/// | service, when it refuses | `{"type":"auth_error","code":"renewal_not_newer"}` |
///
/// `ttl` is the time until the connection ends, in whole seconds. The codes are those of
/// [`RejectionKind::code`]. A refusal leaves the connection as it was.
///
/// # Examples
///
/// ```
/// use tower_warden::{Lease, RenewalMessages};
///
/// /// Returns what is to be sent in answer, and keeps renewals away from the conversation.
/// async fn receive(lease: &Lease, text: &str) -> String {
///     let renewals = RenewalMessages::default();
///     match renewals.answer(lease, text).await {
///         Some(reply) => reply,
///         None => format!("you said {text}"),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct RenewalMessages(Arc<Kind>);

/// The client's type of message.
struct Kind {
    text: Cow<'static, str>,
    /// Finds it in a message, as JSON writes it: with its quotes.
    finder: Finder<'static>,
}

impl Kind {
    fn new(text: Cow<'static, str>) -> Arc<Self> {
        let finder = Finder::new(&json(&text)).into_owned();
        Arc::new(Self { text, finder })
    }
}

impl Default for RenewalMessages {
    /// The types `auth`, `auth_ok` and `auth_error`.
    fn default() -> Self {
        static AUTH: LazyLock<Arc<Kind>> = LazyLock::new(|| Kind::new(Cow::Borrowed("auth")));
        Self(Arc::clone(&AUTH))
    }
}

#[derive(Deserialize)]
struct Incoming<'m> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'m, str>,
    #[serde(default)]
    token: serde_json::Value,
}

#[derive(Serialize)]
struct Accepted {
    #[serde(rename = "type")]
    kind: String,
    ttl: u64,
    connection_id: String,
}

#[derive(Serialize)]
struct Refused {
    #[serde(rename = "type")]
    kind: String,
    code: &'static str,
}

impl RenewalMessages {
    /// Sets the client's type of message; the answers' are the same with `_ok` and `_error` behind. `auth` by default.
    #[must_use]
    pub fn with_type(self, kind: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::new(kind.into()))
    }

    /// What a client is told at the start, so that it renews in time.
    #[must_use]
    pub fn greeting(&self, lease: &Lease) -> String {
        self.accepted(lease.remaining().as_secs(), lease.id())
    }

    /// Renews the connection if this message asks for it, and returns the answer to send. `None` for every other
    /// message: it is for the application.
    pub async fn answer(&self, lease: &Lease, message: &str) -> Option<String> {
        let renewed = match self.recognise(message)? {
            Ok(token) => lease.renew(&token).await.map(|_| ()),
            Err(kind) => Err(Rejection::new(kind)),
        };
        Some(match renewed {
            Ok(()) => self.greeting(lease),
            Err(rejection) => self.refused(&rejection),
        })
    }

    /// The token of a renewal, or that there is none in it; `None` for every other message.
    #[must_use]
    pub fn recognise(&self, message: &str) -> Option<Result<BearerToken<'static>, RejectionKind>> {
        // Most messages are others: the look at them takes no allocation, and some nanoseconds.
        if message.len() > LONGEST
            || !matches!(
                message.as_bytes().first(),
                Some(b'{' | b' ' | b'\t' | b'\n' | b'\r')
            )
            || self.0.finder.find(message.as_bytes()).is_none()
        {
            return None;
        }
        let incoming: Incoming<'_> = serde_json::from_str(message).ok()?;
        if incoming.kind != self.0.text {
            return None;
        }
        Some(match incoming.token {
            serde_json::Value::String(token) => Ok(BearerToken::new(token)),
            _ => Err(RejectionKind::RequestMalformed),
        })
    }

    fn accepted(&self, ttl: u64, id: ConnectionId) -> String {
        json(&Accepted {
            kind: format!("{}_ok", self.0.text),
            ttl,
            connection_id: id.to_string(),
        })
    }

    fn refused(&self, rejection: &Rejection) -> String {
        json(&Refused {
            kind: format!("{}_error", self.0.text),
            code: rejection.kind().code(),
        })
    }
}

impl fmt::Debug for RenewalMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RenewalMessages")
            .field(&self.0.text)
            .finish()
    }
}

fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("texts and numbers can be written as JSON")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_of_our_type_is_a_renewal() {
        let renewals = RenewalMessages::default();
        let table = [
            (r#"{"type":"auth","token":"a.b.c"}"#, Some(Ok("a.b.c"))),
            (
                r#" { "token" : "a.b.c" , "type" : "auth" , "x":1 } "#,
                Some(Ok("a.b.c")),
            ),
            (r#"{"type":"auth","token":""}"#, Some(Ok(""))),
            (r#"{"type":"auth"}"#, Some(Err(()))),
            (r#"{"type":"auth","token":null}"#, Some(Err(()))),
            (r#"{"type":"auth","token":["a"]}"#, Some(Err(()))),
            (r#"{"type":"chat","token":"auth"}"#, None),
            (r#"{"type":"auth_ok","token":"a"}"#, None),
            (r#"{"type":["auth"],"token":"a"}"#, None),
            (r#"{"type":"auth","type":"auth","token":"a"}"#, None),
            (r#"["type","auth"]"#, None),
            (r#" ["type","auth"]"#, None),
            ("\t\r\n{\"type\":\"auth\",\"token\":\"a\"}", Some(Ok("a"))),
            (r#""auth""#, None),
            (r#"{"type":"author","token":"a"}"#, None),
            (r#"{"type":"auth","token":"a"} and more"#, None),
            ("auth", None),
            ("", None),
        ];
        for (message, expected) in table {
            let found = renewals.recognise(message);
            let found = found
                .as_ref()
                .map(|found| found.as_ref().map(BearerToken::expose).map_err(|_| ()));
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn the_type_is_the_applications_choice() {
        let renewals = RenewalMessages::default().with_type("cf_agent_auth");
        let message = r#"{"type":"cf_agent_auth","token":"a"}"#;
        assert!(renewals.recognise(message).is_some());
        assert!(
            renewals
                .recognise(r#"{"type":"auth","token":"a"}"#)
                .is_none()
        );
        let odd = RenewalMessages::default().with_type("say \"please\"");
        let message = r#"{"type":"say \"please\"","token":"a"}"#;
        assert!(odd.recognise(message).is_some());
        let refused = renewals.refused(&RejectionKind::RenewalNotNewer.into());
        assert_eq!(
            refused,
            r#"{"type":"cf_agent_auth_error","code":"renewal_not_newer"}"#
        );
    }

    #[test]
    fn what_is_too_long_is_for_the_application() {
        let token = "a".repeat(LONGEST);
        let message = format!(r#"{{"type":"auth","token":"{token}"}}"#);
        assert!(RenewalMessages::default().recognise(&message).is_none());
    }
}
