//! [`NewApiKey`] and [`CreatedApiKey`]: a key before and after it is made.

use std::{fmt, ops::RangeInclusive, time::Duration};

use super::ApiKeyRecord;
use crate::{BearerToken, StoreError, SubjectId, authorize::check_scope};

/// The bounds of a lifetime: a second and ten years.
pub(super) const LIFETIMES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The longest label, in characters.
const LONGEST_LABEL: usize = 100;

/// The most scopes of a key, and the longest one, in bytes.
const MOST_SCOPES: usize = 50;
const LONGEST_SCOPE: usize = 200;

/// A key that is wanted: for whom, and what for.
#[derive(Debug, Clone)]
#[must_use = "a key is made by `ApiKeys::create`"]
pub struct NewApiKey {
    pub(super) owner: SubjectId,
    pub(super) label: String,
    pub(super) scopes: Vec<String>,
    pub(super) life: Life,
}

/// The lifetime of a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Life {
    /// As long as the builder says.
    Default,
    For(Duration),
    WithoutEnd,
}

impl NewApiKey {
    /// A key that acts for this subject: without a label, without scopes, for the
    /// [default lifetime](super::ApiKeysBuilder::with_default_lifetime).
    pub fn new(owner: SubjectId) -> Self {
        Self {
            owner,
            label: String::new(),
            scopes: Vec::new(),
            life: Life::Default,
        }
    }

    /// Sets what the owner calls it: up to 100 characters, none of them a control character.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets what it allows ([RFC 6749 §3.3]): up to 50 scopes of up to 200 bytes.
    ///
    /// Whoever makes keys on behalf of a principal sees to it that they are no wider than the principal's own;
    /// [`ApiKeyService`](super::ApiKeyService) does.
    ///
    /// [RFC 6749 §3.3]: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how long it is good: from a second to ten years; fractions of a second are cut off.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.life = Life::For(lifetime);
        self
    }

    /// Lets the key have no end.
    ///
    /// Only the application can ask for that: [`ApiKeyService`](super::ApiKeyService) never does.
    ///
    /// # Security
    ///
    /// A lost key without end stays good until it is revoked.
    pub fn without_expiry(mut self) -> Self {
        self.life = Life::WithoutEnd;
        self
    }

    pub(super) fn check(&self) -> Result<(), ApiKeyError> {
        if self.label.chars().count() > LONGEST_LABEL || self.label.contains(char::is_control) {
            return Err(ApiKeyError::Label);
        }
        let fits = |scope: &String| scope.len() <= LONGEST_SCOPE && check_scope(scope).is_ok();
        if self.scopes.len() > MOST_SCOPES || !self.scopes.iter().all(fits) {
            return Err(ApiKeyError::Scopes);
        }
        if let Life::For(lifetime) = self.life
            && !LIFETIMES.contains(&lifetime)
        {
            return Err(ApiKeyError::Lifetime);
        }
        Ok(())
    }

    /// Returns the lifetime by these settings, or `None` for a key without end.
    pub(super) fn lifetime(
        &self,
        default: Duration,
        most: Option<Duration>,
    ) -> Result<Option<Duration>, ApiKeyError> {
        let lifetime = match self.life {
            Life::Default => Some(default),
            Life::For(lifetime) => Some(lifetime),
            Life::WithoutEnd => None,
        };
        match most {
            Some(most) if lifetime.is_none_or(|lifetime| lifetime > most) => {
                Err(ApiKeyError::Lifetime)
            }
            _ => Ok(lifetime),
        }
    }
}

/// A key that was made, and what is kept of it.
pub struct CreatedApiKey {
    key: BearerToken<'static>,
    record: ApiKeyRecord,
}

impl CreatedApiKey {
    pub(super) fn new(key: BearerToken<'static>, record: ApiKeyRecord) -> Self {
        Self { key, record }
    }

    /// The key itself, to be shown to its owner now and never again.
    #[must_use]
    pub fn key(&self) -> &BearerToken<'static> {
        &self.key
    }

    /// What is kept of it.
    #[must_use]
    pub fn record(&self) -> &ApiKeyRecord {
        &self.record
    }
}

impl fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedApiKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The label is too long, or holds a control character.
    #[error("a label has at most {LONGEST_LABEL} characters, none of them a control character")]
    Label,
    /// A scope is no word of RFC 6749, or there are too many.
    #[error(
        "a key has at most {MOST_SCOPES} scopes, each one word of at most {LONGEST_SCOPE} bytes"
    )]
    Scopes,
    /// The lifetime is out of its range.
    #[error("a key lives from a second to ten years, or to the configured maximum")]
    Lifetime,
    /// The owner has as many keys as one may have.
    #[error("this owner has as many keys as one may have")]
    TooMany,
    /// The system has no randomness, or the crypto backend failed.
    #[error("no key could be drawn")]
    Randomness,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
