//! Where the token travels: [`TokenSource`] and the sources of RFC 6750 and of browser sessions.
//!
//! - [`header`] reads `Authorization: Bearer`, [`query`] and [`subprotocol`] what a browser can send with a handshake,
//!   [`cookie`] its session.
//! - [`glance`] tells which of them have to be asked about a request, and lends the bytes of a token that may be known.
//! - [`conflict`] asks them, and settles what happens when two of them find something.
//! - [`pairs`] is how a query is taken apart and put together again without touching what is not ours.

mod conflict;
mod cookie;
mod glance;
mod header;
pub(crate) mod pairs;
mod query;
mod subprotocol;

use std::fmt;

use http::{HeaderName, request::Parts};

use super::{head::HeadRef, token::BearerToken};

pub use conflict::ConflictPolicy;
pub(crate) use conflict::select;
pub use cookie::CookieToken;
pub use glance::Glance;
pub(crate) use glance::{Survey, plain, survey};
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
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials>;

    /// What a first look at the request shows, before it is taken apart.
    ///
    /// A source that sees [`Nothing`](Glance::Nothing) is not asked. The bytes of a [`Token`](Glance::Token) are compared
    /// with the tokens that the layer has verified before; if they equal one of those, all of them, it is believed unread.
    /// Else they are verified as they stand, if they are plain, and the source is asked if not.
    ///
    /// By default it is [`Unclear`](Glance::Unclear), which is always right.
    fn glance<'r>(&self, head: HeadRef<'r>) -> Glance<'r> {
        let _ = head;
        Glance::Unclear
    }

    /// A bounded word for logs and metrics, such as `header`, `query` or `cookie`.
    fn name(&self) -> &'static str;

    /// Returns the places of a request that this source reads, such as `header authorization`, `query access_token` or
    /// `cookie jwt_token`.
    ///
    /// `build()` refuses a layer with two sources that read the same place, as each request would carry two tokens. By
    /// default none, so a source of your own is not compared.
    fn places(&self) -> Vec<String> {
        Vec::new()
    }

    /// Removes the token from what the inner service sees. Called once the one token was extracted, for every source that
    /// may have found one.
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

    /// Returns the header in which the token travels, such as `x-api-key`, or `None` where it travels elsewhere.
    ///
    /// `Vary` names it, so that a cache gives no answer for one token to a request with another. `None` by default: a
    /// source that reads a header of its own should name it. The URI is part of each cache's key, and a WebSocket
    /// handshake is never cached, so their sources return `None`.
    fn header(&self) -> Option<HeaderName> {
        None
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
