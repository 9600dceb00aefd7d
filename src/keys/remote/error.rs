//! [`KeyFetchError`]: why keys could not be had from a provider.

use std::{error::Error, fmt};

use crate::{ConfigError, telemetry::shown};

/// Why a fetch brought no keys. It is for the operator; clients only learn that keys are unavailable.
///
/// A failed fetch changes nothing: the keys that were there before stay in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFetchError {
    /// An address that keys must not come from.
    #[error("`{url}` is refused: {problem}")]
    Address {
        /// The address as it was given.
        url: String,
        /// What is wrong with it, and the way out.
        problem: &'static str,
    },
    /// The answer did not come, or did not end, within the time allowed.
    #[error("no complete answer in time")]
    Timeout,
    /// No connection: the name is unknown, nobody listens, or the certificate is not trusted.
    #[error("no connection: {cause}")]
    Connect {
        /// What the system or TLS said.
        cause: String,
    },
    /// The exchange broke off.
    #[error("the exchange broke off: {cause}")]
    Exchange {
        /// What the HTTP client said.
        cause: String,
    },
    /// A status other than 200.
    #[error("answered with status {status}")]
    Status {
        /// The status of the answer.
        status: u16,
    },
    /// A redirect, which is never followed: it would let the answer choose where keys come from.
    #[error("answered with a redirect, which is not followed: configure the address it leads to")]
    Redirected,
    /// The body is longer than 512 KiB, counted after decompression.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The most bytes that are read.
        limit: usize,
    },
    /// The body is compressed, which nobody asked for.
    #[error("the answer is compressed, which was not asked for")]
    Compressed,
    /// The body is not the JSON that is wanted here.
    #[error("expected a {wanted}, {problem}")]
    Malformed {
        /// `JWK Set` or `discovery document`.
        wanted: &'static str,
        /// What was found instead.
        problem: String,
    },
    /// The set holds more than 100 keys.
    #[error("the set holds {count} keys, {limit} are the most")]
    TooManyKeys {
        /// How many it holds.
        count: usize,
        /// The most that are taken.
        limit: usize,
    },
    /// The set is empty, or no key in it serves an algorithm allowed here.
    #[error("{}", no_usable_key(*count, faults))]
    NoUsableKey {
        /// How many the set holds.
        count: usize,
        /// What is wrong with the first of them.
        faults: String,
    },
    /// The discovery document speaks for somebody else. The two names are compared byte by byte, final slash included.
    #[error(
        "the issuer is configured as `{configured}`, but the discovery document says `{stated}`"
    )]
    IssuerMismatch {
        /// The issuer as it was configured.
        configured: String,
        /// The issuer as the document names it: 256 characters at most, control characters escaped.
        stated: String,
    },
    /// No address of the issuer has a discovery document that can be used.
    #[error("{answers}")]
    Discovery {
        /// The answer that tells most.
        reason: Box<Self>,
        /// Each address that was asked, with its answer: the one that tells most first.
        answers: String,
    },
    /// A source of another crate failed.
    #[error("the source failed: {cause}")]
    Source {
        /// What it said: 256 characters at most, control characters escaped.
        cause: String,
    },
    /// No tokio runtime is there to fetch in.
    #[error("there is no tokio runtime to fetch in")]
    NoRuntime,
    /// The task that fetched was ended: its runtime shut down, or a source panicked.
    #[error("the fetch was interrupted")]
    Interrupted,
}

impl KeyFetchError {
    /// A bounded word for logs and metrics, such as `timeout` or `status`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "address",
            Self::Timeout => "timeout",
            Self::Connect { .. } => "connect",
            Self::Exchange { .. } => "exchange",
            Self::Status { .. } => "status",
            Self::Redirected => "redirected",
            Self::TooLong { .. } => "too_long",
            Self::Compressed => "compressed",
            Self::Malformed { .. } => "malformed",
            Self::TooManyKeys { .. } => "too_many_keys",
            Self::NoUsableKey { .. } => "no_usable_key",
            Self::IssuerMismatch { .. } => "issuer_mismatch",
            Self::Discovery { reason, .. } => reason.code(),
            Self::Source { .. } => "source",
            Self::NoRuntime => "no_runtime",
            Self::Interrupted => "interrupted",
        }
    }
}

fn no_usable_key(count: usize, faults: &str) -> String {
    match count {
        0 => String::from("the set is empty"),
        _ => format!("none of the {count} keys in the set is usable here{faults}"),
    }
}

/// An error with all that lies behind it, on one line of bounded length: it may repeat what others wrote.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    shown(&text)
}

/// What is wrong with the keys of a set, on one line of bounded length.
pub(super) struct Faults<'f>(pub(super) &'f [(String, ConfigError)]);

impl Faults<'_> {
    const SHOWN: usize = 5;
}

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (_, fault)) in self.0.iter().take(Self::SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Foreign(String, #[source] Option<Box<Self>>);

    #[test]
    fn what_lies_behind_an_error_is_told_on_one_line_with_an_end() {
        let told = |outer: &str, inner: &str| {
            let inner = Foreign(inner.to_owned(), None);
            chain(&Foreign(outer.to_owned(), Some(Box::new(inner))))
        };
        assert_eq!(told("no answer", "refused"), "no answer: refused");
        // Some libraries repeat the cause in their own text.
        assert_eq!(told("no answer: refused", "refused"), "no answer: refused");
        assert_eq!(
            told("a\r\nINFO b", "\u{1b}[2J"),
            "a\\r\\nINFO b: \\u{1b}[2J"
        );
        let long = told(&"ä".repeat(1 << 20), "x");
        assert_eq!(long, "ä".repeat(256) + "…");
    }
}
