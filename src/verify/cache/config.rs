//! [`CacheConfig`]: how much of what was verified is remembered.

use crate::ConfigError;

/// The least that is of use: some forty tokens.
const MIN_BYTES: usize = 64 * 1024;

/// How much memory a [`Verifier`](crate::Verifier) takes to remember tokens that it has verified.
///
/// A token that comes again is then found by its text instead of being verified again, which costs more than anything
/// else about a request. What may have changed meanwhile is asked anew each time: the time (`exp`, `nbf`, `iat` and the
/// maximum age), [revocations](crate::Revocations) and every [condition](crate::JwtAuthLayer). Keys that change empty
/// the cache.
///
/// # Security
///
/// Only a token whose signature and claims were verified in full gets in. It is found again by a hash of its end that
/// nobody outside of the process can compute, and believed if **all** of its bytes are equal, compared in constant
/// time. Nothing is remembered of tokens that were refused, so junk takes no room. The texts are wiped from memory when
/// their place is needed; [`without_cache`](crate::VerifierBuilder::without_cache) is for services that must not keep
/// any.
///
/// # Examples
///
/// ```
/// use tower_warden::{CacheConfig, JwtAuthLayer};
///
/// # fn main() -> Result<(), tower_warden::ConfigError> {
/// let secret = "a secret of at least thirty-two bytes";
/// let auth = JwtAuthLayer::hs256(secret)?
///     .with_cache(CacheConfig::new().with_max_bytes(64 << 20))
///     .build()?;
///
/// let refused = JwtAuthLayer::hs256(secret)?
///     .with_cache(CacheConfig::new().with_max_bytes(0))
///     .build();
/// assert!(refused.is_err(), "`without_cache` says it better");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CacheConfig {
    pub(super) max_bytes: usize,
}

impl CacheConfig {
    /// The default: 16 MiB, which hold some 10 000 tokens of the usual size.
    pub const fn new() -> Self {
        Self {
            max_bytes: 16 << 20,
        }
    }

    /// Sets how many bytes all remembered tokens and what belongs to them may take: 64 KiB at least, 16 MiB by default.
    ///
    /// A token takes its own length, that of its claims, and about 400 bytes more. What an application's own
    /// [type of claims](crate::VerifiedToken::claims) holds on the heap is not known here, and not counted.
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    pub(in crate::verify) fn check(&self) -> Result<(), ConfigError> {
        if self.max_bytes >= MIN_BYTES {
            return Ok(());
        }
        Err(ConfigError::Setting {
            name: "with_cache",
            value: format!("{} bytes", self.max_bytes),
            problem: "64 KiB is the least: to remember no tokens there is `without_cache`",
        })
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self::new()
    }
}
