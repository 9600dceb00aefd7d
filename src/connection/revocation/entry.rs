//! [`Revocation`]: one thing that holds no longer.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{NumericDate, Principal};

/// No verifier tolerates more: a token may be accepted so long after its `exp`.
const LONGEST_LEEWAY: u64 = 300;

/// What is revoked.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevocationTarget {
    /// The tokens with this ID (`jti`).
    TokenId {
        /// `jti`, byte by byte.
        id: String,
        /// Only those that name this issuer (`iss`); `None` for those of any issuer, or of none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
    },
    /// The tokens of this session (`sid`, [OpenID Connect Back-Channel Logout §2.1]).
    ///
    /// [OpenID Connect Back-Channel Logout §2.1]: https://openid.net/specs/openid-connect-backchannel-1_0.html#Backchannel
    Session {
        /// `sid`, byte by byte.
        id: String,
        /// Only those that name this issuer (`iss`); `None` for those of any issuer, or of none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
    },
    /// The tokens of this subject, as its issuer names it, that were issued before an instant.
    Subject {
        /// `iss`, byte by byte; `None` for tokens that name no issuer.
        issuer: Option<String>,
        /// `sub`, byte by byte.
        subject: String,
        /// Seconds since the epoch: a token whose `iat` is earlier, or missing, is revoked.
        before: u64,
    },
    /// The API key of this ID.
    ApiKey(String),
    /// Every token that was issued before an instant.
    Everything {
        /// Seconds since the epoch: a token whose `iat` is earlier, or missing, is revoked.
        before: u64,
    },
}

/// One thing that holds no longer, and until when that has to be remembered.
///
/// As JSON it is `{"target":{"token_id":{"id":"…"}},"expires_at":1700000000}`: engines may store it so. Beside the `id`
/// stands an `issuer`, if it [is bound to one](Self::of_issuer).
///
/// # Examples
///
/// ```
/// use tower_warden::{NumericDate, Revocation};
///
/// let logout = Revocation::token_id("2f1c0a", NumericDate::from_secs(1_700_000_000));
/// let text = serde_json::to_string(&logout)?;
/// assert_eq!(text, r#"{"target":{"token_id":{"id":"2f1c0a"}},"expires_at":1700000000}"#);
/// assert_eq!(serde_json::from_str::<Revocation>(&text)?, logout);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Revocation {
    target: RevocationTarget,
    expires_at: u64,
}

impl Revocation {
    /// Revokes whatever it is until the last token that it concerns has expired.
    #[must_use]
    pub const fn new(target: RevocationTarget, expires_at: NumericDate) -> Self {
        Self {
            target,
            expires_at: expires_at.as_secs(),
        }
    }

    /// Revokes one token by its ID, whoever issued it, to be remembered until it has expired.
    #[must_use]
    pub fn token_id(id: impl Into<String>, expires_at: NumericDate) -> Self {
        let (id, issuer) = (id.into(), None);
        Self::new(RevocationTarget::TokenId { id, issuer }, expires_at)
    }

    /// Revokes all tokens of a session, whoever issued them, to be remembered until the last of them has expired.
    #[must_use]
    pub fn session(id: impl Into<String>, expires_at: NumericDate) -> Self {
        let (id, issuer) = (id.into(), None);
        Self::new(RevocationTarget::Session { id, issuer }, expires_at)
    }

    /// Binds a token ID or a session to the issuer that gave it that name; what else is revoked stays as it is.
    ///
    /// No two issuers agree on their names: where tokens of several are accepted, one that is free to choose a `jti` or
    /// a `sid` could otherwise have those of the others refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{NumericDate, Revocation};
    ///
    /// let until = NumericDate::from_secs(1_700_000_000);
    /// let logout = Revocation::session("s-1", until).of_issuer("https://id.example");
    /// assert_ne!(logout, Revocation::session("s-1", until));
    /// ```
    #[must_use]
    pub fn of_issuer(mut self, issuer: impl Into<String>) -> Self {
        if let RevocationTarget::TokenId { issuer: bound, .. }
        | RevocationTarget::Session { issuer: bound, .. } = &mut self.target
        {
            *bound = Some(issuer.into());
        }
        self
    }

    /// Revokes the tokens of a subject that were issued before an instant, to be remembered until the last of them has
    /// expired.
    ///
    /// `iat` counts whole seconds. To revoke all that was issued up to now name the next second: a token that is issued
    /// within the present one is then revoked with the others.
    #[must_use]
    pub fn subject(
        issuer: Option<&str>,
        subject: impl Into<String>,
        before: NumericDate,
        expires_at: NumericDate,
    ) -> Self {
        let target = RevocationTarget::Subject {
            issuer: issuer.map(str::to_owned),
            subject: subject.into(),
            before: before.as_secs(),
        };
        Self::new(target, expires_at)
    }

    /// Revokes an API key, for good.
    #[must_use]
    pub fn api_key(id: impl Into<String>) -> Self {
        let never = NumericDate::from_secs(u64::MAX);
        Self::new(RevocationTarget::ApiKey(id.into()), never)
    }

    /// Revokes every token that was issued before an instant, whoever issued it.
    #[must_use]
    pub const fn everything(before: NumericDate, expires_at: NumericDate) -> Self {
        let before = before.as_secs();
        Self::new(RevocationTarget::Everything { before }, expires_at)
    }

    /// Revokes the token of this principal: by its ID, else by its session. `None` if it carries neither.
    ///
    /// Only tokens of the same issuer are concerned, if the token names one. A token ID is remembered until the token
    /// has expired. A session is remembered for good, as nobody knows which of its tokens expires last; whoever knows
    /// how long a session can last, and revokes many, names that to [`session`](Self::session).
    #[must_use]
    pub fn of(principal: &Principal) -> Option<Self> {
        let never = NumericDate::from_secs(u64::MAX);
        let revocation = match (principal.token_id(), principal.session_id()) {
            (Some(id), _) => Self::token_id(id, principal.expires_at().unwrap_or(never)),
            (None, Some(id)) => Self::session(id, never),
            (None, None) => return None,
        };
        Some(match principal.issuer() {
            Some(issuer) => revocation.of_issuer(issuer),
            None => revocation,
        })
    }

    /// What is revoked.
    #[must_use]
    pub const fn target(&self) -> &RevocationTarget {
        &self.target
    }

    /// When the last token that it concerns has expired, without leeway.
    #[must_use]
    pub const fn expires_at(&self) -> NumericDate {
        NumericDate::from_secs(self.expires_at)
    }

    /// Whether it need not be remembered any more, as every token that it concerns is refused for its age.
    #[must_use]
    pub fn is_over(&self, now: Duration) -> bool {
        is_over(self.expires_at, now)
    }
}

/// Whether even the longest leeway after `expires_at` has passed.
pub(super) fn is_over(expires_at: u64, now: Duration) -> bool {
    now.as_secs() >= expires_at.saturating_add(LONGEST_LEEWAY)
}

impl fmt::Debug for Revocation {
    /// Names the kind only: IDs of tokens and people have no place in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation")
            .field("target", &self.target)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

impl fmt::Debug for RevocationTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokenId { .. } => "TokenId",
            Self::Session { .. } => "Session",
            Self::Subject { .. } => "Subject",
            Self::ApiKey(_) => "ApiKey",
            Self::Everything { .. } => "Everything",
        })
    }
}
