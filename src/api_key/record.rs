//! [`ApiKeyRecord`]: what is kept of a key, which is everything but the key.

use std::fmt;

use crate::{NumericDate, SubjectId};

/// The length of a [`KeyHash`] in bytes.
const HASH_LENGTH: usize = 32;

/// What a store keeps of an API key. The key itself cannot be made of it.
///
/// A store keeps and returns every field as it is; it neither reads nor changes any but
/// [`last_used_at`](Self::last_used_at).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// The public part of the key, unique among all keys: letters and digits, at most 32.
    pub id: String,
    /// The keyed hash of the whole key.
    pub hash: KeyHash,
    /// Whom a request with this key acts for.
    pub owner: SubjectId,
    /// What the owner calls the key: at most 100 characters.
    pub label: String,
    /// What the key allows ([RFC 6749 §3.3]); each is one word.
    ///
    /// [RFC 6749 §3.3]: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
    pub scopes: Vec<String>,
    /// When the key was made.
    pub created_at: NumericDate,
    /// From when on the key is refused, if ever.
    pub expires_at: Option<NumericDate>,
    /// When the key was last used, to the minute or so; `None` if it never was.
    pub last_used_at: Option<NumericDate>,
}

/// HMAC-SHA256 of an API key, under a secret that no store has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; HASH_LENGTH]);

impl KeyHash {
    /// Takes the bytes that a store kept; `None` if they are not 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes, for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash([REDACTED])")
    }
}
