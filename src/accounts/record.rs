//! What is kept of an account and of its sessions: [`UserRecord`], [`SessionRecord`], [`RefreshHash`].

use std::fmt;

use super::username::Username;
use crate::NumericDate;

/// A row of the table `users`.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// A UUID in its usual form with hyphens: the subject (`sub`) of the user's tokens. It is never used again.
    pub id: String,
    /// The name as it was typed and is shown, after Unicode normalization NFKC. Stores compare
    /// [its folded form](Self::folded_username).
    pub username: String,
    /// The password's hash, in the text form of bcrypt (`$2b$…`) or Argon2id (`$argon2id$…`).
    pub password_hash: String,
    /// When the account was made.
    pub created_at: NumericDate,
}

impl UserRecord {
    /// Returns the name in the form in which names are compared: NFKC and the profile `UsernameCaseMapped` of
    /// [RFC 8265 §3.3], or its lower case where that profile does not take the name.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{NumericDate, accounts::UserRecord};
    ///
    /// let user = UserRecord {
    ///     id: String::from("6f1d3f9e-0f6c-4f0e-8a55-1f0a5a0c7e11"),
    ///     username: String::from("ALICE"),
    ///     password_hash: String::new(),
    ///     created_at: NumericDate::from_secs(1_800_000_000),
    /// };
    /// assert_eq!(user.folded_username(), "alice");
    /// ```
    ///
    /// [RFC 8265 §3.3]: https://www.rfc-editor.org/rfc/rfc8265#section-3.3
    #[must_use]
    pub fn folded_username(&self) -> String {
        let folded = Username::fold(&self.username);
        folded.map_or_else(
            || self.username.to_lowercase(),
            |name| name.as_str().to_owned(),
        )
    }
}

impl fmt::Debug for UserRecord {
    /// Names nobody, and no hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// One session: what a login begins, and a logout ends.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session's name, `sid` in its tokens: 128 random bits in base64url, 22 characters.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// When the login was.
    pub created_at: NumericDate,
    /// When the session was last heard of, to five minutes or so.
    pub seen_at: NumericDate,
    /// From when on it is over, unless it is heard of before.
    pub expires_at: NumericDate,
    /// What the client of the login called itself: at most 256 characters, none of them a control character.
    pub user_agent: String,
    /// The hash of the refresh token that is in force.
    pub refresh_hash: RefreshHash,
    /// When that one took the place of another; `None` for the first.
    pub refreshed_at: Option<NumericDate>,
    /// How many there were before it.
    pub refreshes: u32,
}

impl fmt::Debug for SessionRecord {
    /// Names neither the session nor whose it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("created_at", &self.created_at)
            .field("seen_at", &self.seen_at)
            .field("expires_at", &self.expires_at)
            .field("refreshes", &self.refreshes)
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a refresh token, from which nobody can tell the token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefreshHash([u8; 32]);

impl RefreshHash {
    /// Takes the bytes that a store kept; `None` if they are not 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes, for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RefreshHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshHash([REDACTED])")
    }
}
