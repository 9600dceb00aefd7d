//! [`Rejection`]: why a request goes no further, as a kind that callers match on.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::StatusCode;

use super::claim::{Claim, Found, shown_value};

/// Why a request was refused. One table gives each kind its status, its challenge and its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// No credentials came where some are required.
    TokenMissing,
    /// The carrier is broken: an empty or unreadable `Authorization` header, cookie header or query.
    CredentialsMalformed,
    /// More than one token came, or one came in more than one place ([RFC 6750 §2]).
    ///
    /// [RFC 6750 §2]: https://www.rfc-editor.org/rfc/rfc6750#section-2
    CredentialsAmbiguous,
    /// What came is no JWS in compact form, or says something that this crate refuses to read.
    TokenMalformed,
    /// The token is longer than the verifier reads: 8 KiB, or what
    /// [`with_max_token_size`](crate::VerifierBuilder::with_max_token_size) sets, wherever the token travels.
    TokenTooLarge,
    /// The algorithm is not one of those allowed.
    AlgorithmNotAllowed,
    /// No key of ours carries this key ID and algorithm.
    KeyUnknown,
    /// The signature does not verify.
    SignatureInvalid,
    /// The provider says that the token is not active: never issued, expired, or revoked ([RFC 7662 §2.2]).
    ///
    /// [RFC 7662 §2.2]: https://www.rfc-editor.org/rfc/rfc7662#section-2.2
    TokenInactive,
    /// `exp` has passed.
    TokenExpired,
    /// `nbf` has not come yet, or `iat` lies in the future.
    TokenNotYetValid,
    /// The token is older than the maximum age.
    TokenTooOld,
    /// `iss` is missing or another one.
    IssuerMismatch,
    /// `aud` is missing or does not name this service.
    AudienceMismatch,
    /// `typ` is not the one asked for.
    TypeMismatch,
    /// A required claim is missing, or a claim has the wrong type or value.
    ClaimInvalid,
    /// Token, session, subject or key have been [revoked](crate::Revocations).
    Revoked,
    /// The ticket is unknown, used or expired.
    TicketInvalid,
    /// The token lacks a scope.
    ScopeInsufficient,
    /// A requirement of the application said no.
    Forbidden,
    /// The token or ticket is bound to another resource than the one asked for.
    ResourceMismatch,
    /// Credentials that a browser attaches by itself came with a page of another origin.
    OriginForeign,
    /// The request came over plain http where https is required.
    HttpsRequired,
    /// The body of a request to this crate's own services cannot be read.
    RequestMalformed,
    /// The connection to renew has ended, or there never was one of that name.
    ConnectionEnded,
    /// The token names another subject, or issuer, than the one that the connection was opened with.
    RenewalOtherSubject,
    /// The token is not newer than the one that keeps the connection open.
    RenewalNotNewer,
    /// The keys cannot be had at the moment: our trouble, not the token's.
    KeysUnavailable,
    /// A store that has to be asked does not answer: our trouble, not the token's.
    StoreUnavailable,
    /// What came is no API key: its form or its checksum is wrong.
    ApiKeyMalformed,
    /// The API key is not known here: it never was, or it has been revoked.
    ApiKeyUnknown,
    /// The resource belongs to somebody else, or to nobody yet.
    NotOwner,
    /// The request names no resource that an owner could have, or its path has several readings, as `/rooms/doc%2F1` has.
    ResourceUnnamed,
    /// There is nothing here, or nothing that this principal may know of.
    NotFound,
    /// The username or the password of a login is wrong; which of them is not said.
    CredentialsInvalid,
    /// The name of a new account cannot be one.
    UsernameInvalid,
    /// A new password cannot be one.
    PasswordInvalid,
    /// Another account has the name already.
    UsernameTaken,
    /// It was tried too often.
    RateLimited,
    /// More passwords are waiting to be hashed than may: our trouble, not the client's.
    Overloaded,
    /// The layers are mounted wrongly; the log says how.
    Misconfigured,
}

impl RejectionKind {
    /// How many kinds there are.
    pub(super) const COUNT: usize = Self::Misconfigured as usize + 1;

    /// The status it is answered with.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::CredentialsMalformed
            | Self::CredentialsAmbiguous
            | Self::RequestMalformed
            | Self::UsernameInvalid
            | Self::PasswordInvalid => StatusCode::BAD_REQUEST,
            Self::TokenMissing
            | Self::TokenMalformed
            | Self::TokenTooLarge
            | Self::AlgorithmNotAllowed
            | Self::KeyUnknown
            | Self::SignatureInvalid
            | Self::TokenInactive
            | Self::TokenExpired
            | Self::TokenNotYetValid
            | Self::TokenTooOld
            | Self::IssuerMismatch
            | Self::AudienceMismatch
            | Self::TypeMismatch
            | Self::ClaimInvalid
            | Self::TicketInvalid
            | Self::Revoked
            | Self::ApiKeyMalformed
            | Self::ApiKeyUnknown
            | Self::CredentialsInvalid => StatusCode::UNAUTHORIZED,
            Self::ScopeInsufficient
            | Self::Forbidden
            | Self::ResourceMismatch
            | Self::OriginForeign
            | Self::HttpsRequired
            | Self::RenewalOtherSubject
            | Self::NotOwner
            | Self::ResourceUnnamed => StatusCode::FORBIDDEN,
            Self::ConnectionEnded | Self::NotFound => StatusCode::NOT_FOUND,
            Self::RenewalNotNewer | Self::UsernameTaken => StatusCode::CONFLICT,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::KeysUnavailable | Self::StoreUnavailable | Self::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable machine word for it, in bodies, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TokenMissing => "token_missing",
            Self::CredentialsMalformed => "credentials_malformed",
            Self::CredentialsAmbiguous => "multiple_credentials",
            Self::TokenMalformed => "token_malformed",
            Self::TokenTooLarge => "token_too_large",
            Self::AlgorithmNotAllowed => "alg_not_allowed",
            Self::KeyUnknown => "key_unknown",
            Self::SignatureInvalid => "signature_invalid",
            Self::TokenInactive => "token_inactive",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenTooOld => "token_too_old",
            Self::IssuerMismatch => "wrong_issuer",
            Self::AudienceMismatch => "wrong_audience",
            Self::TypeMismatch => "wrong_type",
            Self::ClaimInvalid => "claim_invalid",
            Self::Revoked => "revoked",
            Self::TicketInvalid => "ticket_invalid",
            Self::ScopeInsufficient => "insufficient_scope",
            Self::Forbidden => "forbidden",
            Self::ResourceMismatch => "wrong_resource",
            Self::OriginForeign => "origin_foreign",
            Self::HttpsRequired => "https_required",
            Self::RequestMalformed => "request_malformed",
            Self::ConnectionEnded => "connection_ended",
            Self::RenewalOtherSubject => "renewal_other_subject",
            Self::RenewalNotNewer => "renewal_not_newer",
            Self::KeysUnavailable => "keys_unavailable",
            Self::StoreUnavailable => "store_unavailable",
            Self::ApiKeyMalformed => "api_key_malformed",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::NotOwner => "not_owner",
            Self::ResourceUnnamed => "resource_unnamed",
            Self::NotFound => "not_found",
            Self::CredentialsInvalid => "invalid_credentials",
            Self::UsernameInvalid => "invalid_username",
            Self::PasswordInvalid => "invalid_password",
            Self::UsernameTaken => "username_taken",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// One fixed sentence for the client: never a token, a key ID or a claim.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::TokenMissing => "this resource needs a token, and none came",
            Self::CredentialsMalformed => "the credentials cannot be read",
            Self::CredentialsAmbiguous => "more than one token came with the request",
            Self::TokenMalformed => "the token is not a signed JWT in compact form",
            Self::TokenTooLarge => "the token is longer than this service reads",
            Self::AlgorithmNotAllowed => "the token's algorithm is not allowed here",
            Self::KeyUnknown => "the token is signed with a key that is not known here",
            Self::SignatureInvalid => "the token's signature does not verify",
            Self::TokenInactive => "the token is not active",
            Self::TokenExpired => "the token has expired",
            Self::TokenNotYetValid => "the token is not valid yet",
            Self::TokenTooOld => "the token is too old",
            Self::IssuerMismatch => "the token comes from another issuer",
            Self::AudienceMismatch => "the token is meant for another audience",
            Self::TypeMismatch => "the token is of another type",
            Self::ClaimInvalid => "a claim of the token is missing or wrong",
            Self::Revoked => "the token has been revoked",
            Self::TicketInvalid => "the ticket is unknown, used or expired",
            Self::ScopeInsufficient => "the token lacks a scope that this resource needs",
            Self::Forbidden => "this is not allowed with this token",
            Self::ResourceMismatch => "this token is for another resource",
            Self::OriginForeign => "a page of another origin may not use these credentials",
            Self::HttpsRequired => "this service answers over https only",
            Self::RequestMalformed => "the body of the request cannot be read",
            Self::ConnectionEnded => "there is no such open connection",
            Self::RenewalOtherSubject => "the connection belongs to another subject",
            Self::RenewalNotNewer => "the connection already has a token that is as new",
            Self::KeysUnavailable => "the keys to verify the token cannot be had at the moment",
            Self::StoreUnavailable => "a store that has to be asked does not answer at the moment",
            Self::ApiKeyMalformed => "this is no API key of this service, or it was mistyped",
            Self::ApiKeyUnknown => "the API key is not known here, or has been revoked",
            // The words of `agents-oauth2-jwt-bearer`, which its clients show.
            Self::NotOwner => "This chat is not yours.",
            Self::ResourceUnnamed => {
                "the request names no resource, or its path can be read in several ways"
            }
            Self::NotFound => "there is nothing here",
            Self::CredentialsInvalid => "the username or the password is wrong",
            Self::UsernameInvalid => "this cannot be a username",
            Self::PasswordInvalid => "this cannot be a password",
            Self::UsernameTaken => "the username is taken",
            Self::RateLimited => "this was tried too often: wait, and try again",
            Self::Overloaded => "too many are signing in at the moment: wait, and try again",
            Self::Misconfigured => "the service is misconfigured",
        }
    }
}

impl fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

/// A refused request: its [kind](Self::kind), and what lies behind it for the log.
///
/// The response that carries a refusal holds it in its extensions, so that layers outside may look at it.
#[derive(Debug, Clone)]
pub struct Rejection {
    kind: RejectionKind,
    /// The claim that is to blame, and what stood there.
    claim: Option<(Claim, Found)>,
    /// Few say more than their kind, and every answer of the gate has to have room for one.
    more: Option<Arc<More>>,
}

/// What a rejection says beyond its kind.
#[derive(Debug, Clone, Default)]
struct More {
    scopes: Option<Arc<str>>,
    detail: Option<Arc<str>>,
    /// The value of the claim. The signature held.
    found: Option<Excerpt>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The value of a claim, fit for the log of refusals; [`Debug`](fmt::Debug) does not show it, as a rejection may be printed
/// anywhere.
#[derive(Clone)]
struct Excerpt(Box<str>);

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl Rejection {
    /// A refusal of that kind.
    #[must_use]
    pub const fn new(kind: RejectionKind) -> Self {
        Self {
            kind,
            claim: None,
            more: None,
        }
    }

    /// A refusal because of one claim.
    pub(crate) const fn of_claim(kind: RejectionKind, claim: Claim, found: Found) -> Self {
        Self {
            kind,
            claim: Some((claim, found)),
            more: None,
        }
    }

    /// Keeps the value of the claim for the log: 64 characters of it, escaped. Only for tokens whose signature held.
    pub(crate) fn with_found(mut self, value: &str) -> Self {
        self.more_mut().found = Some(Excerpt(shown_value(value).into()));
        self
    }

    /// Keeps the kind and the claim only, which take no memory of their own.
    #[cfg(feature = "introspection")]
    pub(crate) const fn brief(&self) -> Self {
        Self {
            kind: self.kind,
            claim: self.claim,
            more: None,
        }
    }

    /// A refusal for want of scopes, which the challenge names ([RFC 6750 §3], separated by blanks).
    ///
    /// [RFC 6750 §3]: https://www.rfc-editor.org/rfc/rfc6750#section-3
    #[must_use]
    pub fn insufficient_scope(scopes: impl Into<Arc<str>>) -> Self {
        let mut rejection = Self::new(RejectionKind::ScopeInsufficient);
        rejection.more_mut().scopes = Some(scopes.into());
        rejection
    }

    /// Keeps the error that lies behind the refusal: for the log, never for the client.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.more_mut().source = Some(Arc::new(source));
        self
    }

    /// Says more exactly than the kind what is wrong; it is shown to the client, so it is a sentence of ours.
    #[cfg(feature = "accounts")]
    #[must_use]
    pub(crate) fn with_detail(mut self, detail: impl Into<Arc<str>>) -> Self {
        self.more_mut().detail = Some(detail.into());
        self
    }

    /// Says when to come again: `Retry-After` of the answer, in whole seconds, rounded up.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.more_mut().retry_after = Some(delay);
        self
    }

    /// Why the request was refused.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the name of the claim that the token was refused for, such as `sub` or `aud`.
    ///
    /// It is one of a fixed list: `iss`, `sub`, `aud`, `exp`, `nbf`, `iat`, `jti`, `sid`, `client_id`, `act`, `scope`,
    /// `scp`, `roles` (the claim of [`with_roles_claim`](crate::VerifierBuilder::with_roles_claim)), `typ`, and of an
    /// introspection answer `token_type` and `token_use`. The log names it too. The client is never told.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{Keys, RejectionKind, SigningKey, TokenIssuer, Verifier};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let secret = "a secret of at least 32 bytes, from a safe place";
    /// let verifier = Verifier::builder(Keys::hs256([secret])?).with_audience("orders").build()?;
    ///
    /// let issuer = TokenIssuer::builder(SigningKey::hs256(secret)?).build()?;
    /// let refused = verifier.verify(&issuer.mint("alice").sign()?).unwrap_err();
    /// assert_eq!(refused.kind(), RejectionKind::AudienceMismatch);
    /// assert_eq!(refused.claim(), Some("aud"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn claim(&self) -> Option<&'static str> {
        self.claim.map(|(claim, _)| claim.name())
    }

    /// The claim that is to blame.
    pub(crate) fn blamed(&self) -> Option<Claim> {
        self.claim.map(|(claim, _)| claim)
    }

    /// What stood in the place of the claim, for the log.
    pub(crate) fn found(&self) -> Option<&str> {
        let value = self.more.as_ref().and_then(|more| more.found.as_ref());
        let value = value.map(|Excerpt(value)| &**value);
        value.or(self.claim.map(|(_, found)| found.as_str()))
    }

    /// A sentence for the client: that of the kind, or one that is more exact. Never a token, a key ID or a claim.
    #[must_use]
    pub fn detail(&self) -> &str {
        let detail = self.more.as_ref().and_then(|more| more.detail.as_deref());
        detail.unwrap_or(self.kind.detail())
    }

    /// When to come again, if this refusal says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.more.as_ref()?.retry_after
    }

    /// The scopes that would have been enough, separated by blanks.
    #[must_use]
    pub fn scopes(&self) -> Option<&str> {
        self.more.as_ref()?.scopes.as_deref()
    }

    /// Whether body or challenge say more of it than of any other of its kind.
    pub(super) fn has_words_of_its_own(&self) -> bool {
        // The source is for the log, and `Retry-After` stands beside both.
        let more = self.more.as_deref();
        more.is_some_and(|more| more.scopes.is_some() || more.detail.is_some())
    }

    fn more_mut(&mut self) -> &mut More {
        Arc::make_mut(self.more.get_or_insert_default())
    }
}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.more.as_ref()?.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}
