//! Where the token travels: [`TokenSource`] and the sources of RFC 6750 and of browser sessions.
//!
//! - [`header`] reads `Authorization: Bearer`, [`query`] and [`subprotocol`] what a browser can send with a handshake,
//!   [`cookie`] its session.
//! - [`conflict`] asks them all and settles what happens when two of them find something.
//! - [`pairs`] is how a query is taken apart and put together again without touching what is not ours.

mod conflict;
mod cookie;
mod header;
pub(crate) mod pairs;
mod query;
mod subprotocol;

use std::fmt;

use http::request::Parts;

use super::token::BearerToken;

pub use conflict::ConflictPolicy;
pub(crate) use conflict::{Carried, select};
pub use cookie::CookieToken;
pub use header::AuthorizationHeader;
pub use query::QueryParameter;
pub use subprotocol::SubprotocolToken;
#[cfg(feature = "ws")]
pub(crate) use subprotocol::first_protocol;

/// A place in the request where a token may travel.
///
/// The three answers are never mixed up: a token, none here, or credentials that cannot be read. So broken credentials
/// are not mistaken for none, and no other source can rescue them.
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Takes the token out of the request head, or says that none is here.
    ///
    /// # Errors
    ///
    /// [`MalformedCredentials`] when something is here that cannot be read as one token.
    fn extract<'r>(&self, head: &'r Parts)
    -> Result<Option<BearerToken<'r>>, MalformedCredentials>;

    /// The bytes that [`extract`](Self::extract) would take for the token, before anything about them is known.
    ///
    /// A layer compares them with the tokens that it has verified before, whose text need not be looked at again. If they
    /// equal one of those, all of them, `extract` is not asked: it has to be certain that it would return just this token.
    /// So there is nothing to peek at where a token may stand twice, or is written in more than one way.
    ///
    /// By default there is nothing, which is always right.
    fn peek<'r>(&self, head: &'r Parts) -> Option<&'r [u8]> {
        let _ = head;
        None
    }

    /// A bounded word for logs and metrics, such as `header`, `query` or `cookie`.
    fn name(&self) -> &'static str;

    /// Removes the token from what the inner service sees. Called for every source, once the one token was extracted.
    ///
    /// By default nothing is removed.
    fn conceal(&self, head: &mut Parts) {
        let _ = head;
    }

    /// What the token travels in, which tells how far its request and response may be seen.
    ///
    /// By default something that neither caches nor logs know of.
    fn carrier(&self) -> Carrier {
        Carrier::Other
    }

    /// Whether a browser attaches these credentials by itself, so that the request's origin has to be checked.
    fn is_ambient(&self) -> bool {
        false
    }

    /// Whether what comes here was drawn for this one request, so that [ambient](Self::is_ambient) credentials beside it
    /// are passed over, whatever the [`ConflictPolicy`]. True of [tickets](crate::TicketOffice) only: a browser sends its
    /// session along with the handshake that the ticket was drawn for, and nobody can ask it not to.
    fn outranks_ambient(&self) -> bool {
        false
    }
}

/// What a token travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Carrier {
    /// The header `Authorization`: caches keep the answers to such requests to themselves ([RFC 9111 §3.5]).
    ///
    /// [RFC 9111 §3.5]: https://www.rfc-editor.org/rfc/rfc9111#section-3.5
    Authorization,
    /// The URI, which a page passes on as the referrer ([RFC 6750 §5.3]).
    ///
    /// [RFC 6750 §5.3]: https://www.rfc-editor.org/rfc/rfc6750#section-5.3
    Uri,
    /// Anything else, such as a cookie.
    #[default]
    Other,
}

/// Credentials that are present and cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedCredentials {
    /// They are not of the form that the carrier demands.
    Unreadable,
    /// The carrier holds more than one token.
    Repeated,
    /// A token is here, but this kind of request may not carry it here. It counts beside another token as the second
    /// one; alone, it counts as none.
    Misplaced,
}
