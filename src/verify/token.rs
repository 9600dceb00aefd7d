//! [`VerifiedToken`]: what a token says, once it is believed.

use std::{
    any::{self, Any},
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jsonwebtoken::Algorithm;
use serde::de::DeserializeOwned;

use super::{
    ClaimPath,
    actor::Actor,
    claims::{Claims, Members},
    grounds::Grounds,
    header::Header,
    json,
    rules::{Audience, Presence, Rules},
    strings::Strings,
};
use crate::{BearerToken, NumericDate, Rejection, RejectionKind, keys::Fingerprint};

/// A token whose signature and claims have been verified by a [`Verifier`](crate::Verifier).
///
/// There is no other way to get one, but that an API key stands for the claims of one. It owns the token, its header and its claims; [`Debug`] shows none of them.
pub struct VerifiedToken {
    pub(super) token: BearerToken<'static>,
    pub(super) vouched: Vouched,
    pub(super) kind: CredentialKind,
    pub(super) grounds: Grounds,
    /// Only what was signed has one.
    pub(super) header: Option<Arc<Header<'static>>>,
    /// The payload's text, into which the claims point.
    pub(super) payload: Box<str>,
    pub(super) claims: Claims,
    /// The first type of claims that was asked for: an application asks for one, again and again.
    pub(super) typed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// Whose text a token is, and who stands behind what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// Its issuer, which signed it or was asked about it: it knows the text already.
    Issuer,
    /// We: the text is an API key or a ticket of our own, which is a secret to everybody else, whatever `iss` says.
    Ourselves,
}

/// The claim of a connection token that lists the claims which bind it to its resource.
pub(crate) const BOUND_CLAIMS: &str = "bound_claims";

/// The kind of credential that a principal authenticated with.
///
/// The part of the layer that verifies the credential sets it. The name of the
/// [source](crate::Principal::source) has no influence on it.
///
/// # Examples
///
/// A handler that accepts people only:
///
/// ```
/// use tower_warden::{CredentialKind, Principal};
///
/// fn is_person(principal: &Principal) -> bool {
///     matches!(principal.credential_kind(), CredentialKind::Token | CredentialKind::Session)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// A token of an issuer, signed or introspected.
    Token,
    /// A token for one resource, signed by
    /// [`TokenIssuer::connection_token`](crate::TokenIssuer::connection_token): its header has the type
    /// `connection+jwt`.
    ConnectionToken,
    /// A token that the browser attaches by itself, in a cookie.
    Session,
    /// An API key, verified by [`ApiKeys`](crate::ApiKeys).
    ApiKey,
    /// A single-use ticket, redeemed by a [`TicketOffice`](crate::TicketOffice).
    Ticket,
}

impl VerifiedToken {
    /// Makes one of claims that somebody vouches for whom we trust, instead of a signature; they are held to the rules all
    /// the same. `token` is what came.
    pub(super) fn vouched(
        vouched: Vouched,
        kind: CredentialKind,
        grounds: Grounds,
        token: BearerToken<'static>,
        payload: Box<str>,
        rules: &Rules,
        now: Duration,
    ) -> Result<Self, Rejection> {
        let mut members = Members::default();
        members.find(&payload, rules, now)?;
        let claims = members.judge(&payload, rules, now)?;
        Ok(Self {
            token,
            vouched,
            kind,
            grounds,
            header: None,
            payload,
            claims,
            typed: OnceLock::new(),
        })
    }

    /// Makes one of claims that we vouch for ourselves. An audience and an expiry need not be there: we know for whom they
    /// are, and for how long. Roles are read from `roles`.
    pub(crate) fn from_claims(
        kind: CredentialKind,
        token: BearerToken<'static>,
        claims: String,
        now: Duration,
    ) -> Result<Self, Rejection> {
        let rules = Rules {
            audience: Audience::Anybody,
            expiry: Presence::Waived,
            roles: Some(ClaimPath::new(["roles"])),
            ..Rules::default()
        };
        let (vouched, grounds) = (Vouched::Ourselves, Grounds::Ourselves);
        Self::vouched(vouched, kind, grounds, token, claims.into(), &rules, now)
    }

    /// How many bytes it takes, what it alone refers to included; not what an application's type of claims does.
    pub(super) fn size(&self) -> usize {
        // The counts of the `Arc` that it stands behind.
        const COUNTS: usize = 2 * size_of::<usize>();
        let header = self.header.as_ref().map_or(0, |header| header.size());
        COUNTS
            + size_of::<Self>()
            + self.token.bytes().len()
            + self.payload.len()
            + self.claims.heap_size()
            + header
    }

    /// Returns the fingerprint of the key that it was accepted by.
    pub(crate) const fn key(&self) -> Option<Fingerprint> {
        match &self.grounds {
            Grounds::Keys { key, .. } => *key,
            Grounds::Answer { .. } | Grounds::Ourselves => None,
        }
    }

    /// Who stands behind it, which is who may be shown its text.
    #[cfg(feature = "introspection")]
    pub(crate) const fn voucher(&self) -> Vouched {
        self.vouched
    }

    /// The kind of credential, as far as the credential itself tells it.
    pub(crate) const fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// Returns the names of the claims that bind a connection token to its resource.
    pub(crate) fn bound_claims(&self) -> Vec<String> {
        let names = self.claim_value(&ClaimPath::new([BOUND_CLAIMS]));
        names
            .and_then(|names| serde_json::from_value(names).ok())
            .unwrap_or_default()
    }

    /// The algorithm that it was signed with, which is the key's own. Where no signature stands behind it, there is none.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.header.as_ref().map(|header| header.algorithm)
    }

    /// The key ID that its header names (`kid`).
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.header.as_ref()?.key_id.as_deref()
    }

    /// The media type that its header declares (`typ`), as it was written.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.header.as_ref()?.media_type.as_deref()
    }

    /// `iss`. Present and as configured if an issuer was named.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims
            .issuer
            .as_ref()
            .map(|text| text.of(&self.payload))
    }

    /// `sub`, never empty. Present unless [waived](crate::VerifierBuilder::dangerous_without_subject).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims
            .subject
            .as_ref()
            .map(|text| text.of(&self.payload))
    }

    /// `aud`: everybody it is meant for, this service among them if an audience was named.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.claims.audiences.of(&self.payload)
    }

    /// `exp`, without leeway. Present unless [waived](crate::VerifierBuilder::dangerous_without_expiry).
    #[must_use]
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.claims.expires_at
    }

    /// `nbf`, without leeway.
    #[must_use]
    pub fn not_before(&self) -> Option<NumericDate> {
        self.claims.not_before
    }

    /// `client_id`: the client that the token was issued to ([RFC 9068 §2.2], [RFC 8693 §4.3]).
    ///
    /// [RFC 9068 §2.2]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2
    /// [RFC 8693 §4.3]: https://www.rfc-editor.org/rfc/rfc8693#section-4.3
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.claims
            .client_id
            .as_ref()
            .map(|text| text.of(&self.payload))
    }

    /// `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.claims.issued_at
    }

    /// `jti`.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.claims
            .token_id
            .as_ref()
            .map(|text| text.of(&self.payload))
    }

    /// `sid`: the session at the issuer that the token belongs to.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.claims
            .session_id
            .as_ref()
            .map(|text| text.of(&self.payload))
    }

    /// What the token allows: the words of `scope` ([RFC 8693 §4.2]), else `scp`, or the configured claim.
    ///
    /// [RFC 8693 §4.2]: https://www.rfc-editor.org/rfc/rfc8693#section-4.2
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.claims.scopes.of(&self.payload)
    }

    /// Whether the token allows this scope, compared byte by byte.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// The roles in the [configured claim](crate::VerifierBuilder::with_roles_claim); none without one.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.claims.roles.of(&self.payload)
    }

    /// Whoever acts for the subject at present (`act`, [RFC 8693 §4.1]).
    ///
    /// [RFC 8693 §4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.claims.actor.as_deref()
    }

    /// All claims as a type of the application, read once per token for the first type that is asked for.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::ClaimInvalid`] if they do not fit `T`; the source names the type, and the line and column of the
    /// claims, never a value.
    pub fn claims<T>(&self) -> Result<Arc<T>, Rejection>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        if let Some(known) = self.typed.get()
            && let Ok(known) = Arc::downcast(Arc::clone(known))
        {
            return Ok(known);
        }
        let read: T = serde_json::from_str(&self.payload).map_err(|error| {
            Rejection::new(RejectionKind::ClaimInvalid).with_source(Misfit {
                type_name: any::type_name::<T>(),
                line: error.line(),
                column: error.column(),
            })
        })?;
        let read = Arc::new(read);
        // If another thread was first, its value is as good for the next one who asks.
        let _ = self
            .typed
            .set(Arc::clone(&read) as Arc<dyn Any + Send + Sync>);
        Ok(read)
    }

    /// Whether this claim is that string, or an array of strings with it; `None` if there is no such claim.
    pub(crate) fn claim_holds(&self, path: &ClaimPath, wanted: &str) -> Option<bool> {
        let value = self.claim_at(path)?;
        let found = Strings::take(&value, &self.payload, Strings::One);
        Some(found.is_ok_and(|found| found.of(&self.payload).any(|found| found == wanted)))
    }

    /// This claim, whatever it is.
    pub(crate) fn claim_value(&self, path: &ClaimPath) -> Option<serde_json::Value> {
        let value = self.claim_at(path)?;
        serde_json::from_str(value.span.of(&self.payload)).ok()
    }

    fn claim_at(&self, path: &ClaimPath) -> Option<json::Value> {
        let mut first = None;
        json::scan(&self.payload, |name, value| {
            if path.begins_with(name) {
                first = Some(value);
            }
        })
        .ok()?;
        path.follow(first?, &self.payload)
    }

    /// The claims as the JSON object that was signed; for an opaque token, what its provider answered.
    #[must_use]
    pub fn claims_text(&self) -> &str {
        &self.payload
    }

    /// The token itself; where an API key or a ticket came in its place, that key, or that ticket, which is spent.
    ///
    /// Whoever holds a token's text can act for its subject.
    #[must_use]
    pub fn token(&self) -> &BearerToken<'static> {
        &self.token
    }
}

/// The claims are not of the type that the application asks for. What serde says would repeat the value.
#[derive(Debug, thiserror::Error)]
#[error("the claims do not fit `{type_name}`: see line {line}, column {column} of the claims")]
struct Misfit {
    type_name: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("algorithm", &self.algorithm())
            .field("vouched", &self.vouched)
            .field("kind", &self.kind)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
