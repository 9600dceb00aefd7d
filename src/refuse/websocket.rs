//! [`WebSocketRefusal`]: how a refused handshake is answered, so that its client stops, waits or comes back.

use std::{fmt, sync::Arc};

use http::StatusCode;

use super::{Closing, Rejection, RejectionKind};

/// How a refused WebSocket handshake is answered.
///
/// A status is cheap, and `fetch`-like clients read it. A browser's page never learns it: it sees code 1006, and clients
/// that reconnect by themselves hammer for ever. So a refusal may be said by a close frame instead: the layer completes
/// the upgrade itself, sends the frame, waits 2 s at most for the client's own and drops the connection. The inner
/// service never hears of it.
///
/// What is said by a close frame needs a whole handshake, hyper's upgrade in the request's extensions and a Tokio
/// runtime; without them it is said by its status.
///
/// # Examples
///
/// ```
/// use tower_warden::{CloseMap, Closing, JwtAuthLayer, Rejection, RejectionKind, WebSocketRefusal};
///
/// # fn main() -> Result<(), tower_warden::ConfigError> {
/// let ours = Closing::new(4403, "ask an admin")?;
/// let map = CloseMap::new(move |rejection: &Rejection| match rejection.kind() {
///     RejectionKind::Forbidden => Some(ours.clone()),
///     _ => None, // by its status
/// });
/// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?
///     .with_websocket_refusal(WebSocketRefusal::Close(map))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WebSocketRefusal {
    /// Every refusal by its status, before the upgrade.
    Http,
    /// Those that the map knows by a close frame, after the upgrade; the others by their status.
    Close(CloseMap),
}

impl WebSocketRefusal {
    /// Every refusal by its status.
    #[must_use]
    pub const fn http() -> Self {
        Self::Http
    }

    /// As the npm client `agents` needs it: the default.
    ///
    /// | refusal | answer | what the client does |
    /// | --- | --- | --- |
    /// | a token that is missing, expired or bad | 400, 401 | asks for a fresh token and tries again |
    /// | scope, ownership, another resource, revoked, forbidden | close 1008 with the kind's [code](RejectionKind::code) | stops, and tells its page |
    /// | a foreign origin, plain http where https is required | 403 | – |
    /// | keys or a store that cannot be reached | 503 | tries again |
    #[must_use]
    pub fn agents() -> Self {
        Self::Close(CloseMap::new(agents))
    }

    /// As `agents-oauth2-jwt-bearer` does it: every refusal is accepted first, then closed 1008 with its texts.
    ///
    /// Two of its ways are not followed: keys or a store that cannot be reached close 1013, so that an outage does not
    /// look like a logout, and a misconfigured service closes 1011.
    #[must_use]
    pub fn mixin() -> Self {
        Self::Close(CloseMap::new(mixin))
    }

    /// How this refusal is said by a close frame, if it is.
    pub(crate) fn closing(&self, rejection: &Rejection) -> Option<Closing> {
        match self {
            Self::Http => None,
            Self::Close(map) => (map.0)(rejection),
        }
    }
}

impl Default for WebSocketRefusal {
    fn default() -> Self {
        Self::agents()
    }
}

/// Which refusals of a handshake are said by a close frame, and by which.
#[derive(Clone)]
pub struct CloseMap(Arc<Look>);

type Look = dyn Fn(&Rejection) -> Option<Closing> + Send + Sync;

impl CloseMap {
    /// A map that looks at the rejection; for `None` the handshake is refused by its status.
    #[must_use]
    pub fn new(look: impl Fn(&Rejection) -> Option<Closing> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl fmt::Debug for CloseMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloseMap(..)")
    }
}

fn agents(rejection: &Rejection) -> Option<Closing> {
    let kind = rejection.kind();
    is_final(kind).then(|| Closing::fixed(1008, kind.code()))
}

/// Whether no fresh token of the same client would change the answer.
fn is_final(kind: RejectionKind) -> bool {
    match kind {
        // A page of another origin learns as little as can be.
        RejectionKind::OriginForeign => false,
        // The client's tokens have travelled in the clear already: the connection ends at once.
        RejectionKind::HttpsRequired => false,
        RejectionKind::Revoked => true,
        kind => matches!(kind.status(), StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a map may leave refusals to their status; this one does not"
)]
fn mixin(rejection: &Rejection) -> Option<Closing> {
    let kind = rejection.kind();
    Some(match kind {
        RejectionKind::CredentialsAmbiguous => {
            Closing::fixed(1008, "More than one method used for authentication")
        }
        RejectionKind::NotOwner | RejectionKind::ResourceUnnamed => {
            Closing::fixed(1008, kind.detail())
        }
        _ => {
            let status = kind.status();
            let code = match status {
                StatusCode::SERVICE_UNAVAILABLE => 1013,
                StatusCode::INTERNAL_SERVER_ERROR => 1011,
                _ => 1008,
            };
            Closing::fixed(code, status.canonical_reason().unwrap_or("Unauthorized"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use RejectionKind::{
        CredentialsAmbiguous, CredentialsMalformed, Forbidden, KeysUnavailable, Misconfigured,
        OriginForeign, ResourceMismatch, Revoked, ScopeInsufficient, SignatureInvalid,
        StoreUnavailable, TicketInvalid, TokenExpired, TokenMissing,
    };

    #[test]
    fn each_preset_says_each_refusal_its_way() {
        for (kind, agents, mixin) in [
            (TokenMissing, None, (1008, "Unauthorized")),
            (TokenExpired, None, (1008, "Unauthorized")),
            (SignatureInvalid, None, (1008, "Unauthorized")),
            (CredentialsMalformed, None, (1008, "Bad Request")),
            (
                CredentialsAmbiguous,
                None,
                (1008, "More than one method used for authentication"),
            ),
            (
                ScopeInsufficient,
                Some((1008, "insufficient_scope")),
                (1008, "Forbidden"),
            ),
            (TicketInvalid, None, (1008, "Unauthorized")),
            (StoreUnavailable, None, (1013, "Service Unavailable")),
            (
                ResourceMismatch,
                Some((1008, "wrong_resource")),
                (1008, "Forbidden"),
            ),
            (Forbidden, Some((1008, "forbidden")), (1008, "Forbidden")),
            (Revoked, Some((1008, "revoked")), (1008, "Unauthorized")),
            (OriginForeign, None, (1008, "Forbidden")),
            (KeysUnavailable, None, (1013, "Service Unavailable")),
            (Misconfigured, None, (1011, "Internal Server Error")),
        ] {
            let said = |refusal: WebSocketRefusal| refusal.closing(&kind.into());
            let frame = |(code, reason)| Closing::fixed(code, reason);
            assert_eq!(said(WebSocketRefusal::http()), None, "{kind:?}");
            let default = said(WebSocketRefusal::default());
            assert_eq!(default, agents.map(frame), "{kind:?}");
            assert_eq!(
                said(WebSocketRefusal::mixin()),
                Some(frame(mixin)),
                "{kind:?}"
            );
        }
    }
}
