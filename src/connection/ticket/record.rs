//! [`TicketRecord`]: what a store keeps of a ticket; [`TicketHash`]: under which name.

use std::{collections::BTreeMap, fmt, time::Duration};

use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    BearerToken, CryptoBackend, StoreError, VerifiedToken,
    keys::Fingerprint,
    verify::{Remembered, sha256},
};

/// The length of a ticket: 256 bits in base64url.
const TEXT_LENGTH: usize = 43;

/// The SHA-256 of a ticket: its name in the store, from which nobody can tell the ticket.
///
/// It prints itself in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketHash([u8; 32]);

impl TicketHash {
    /// The hash of a ticket as it came with a request; `None` if it cannot be one of ours.
    pub(super) fn of(ticket: &BearerToken<'_>, backend: CryptoBackend) -> Option<Self> {
        let text = ticket.expose();
        if text.len() != TEXT_LENGTH {
            return None;
        }
        // The decoder takes the one canonical form only, so two texts are never one ticket.
        let mut random = [0; 32];
        let decoded = URL_SAFE_NO_PAD
            .decode(
                text.as_bytes(),
                base64_simd::Out::from_slice(random.as_mut_slice()),
            )
            .ok()?;
        Self::from_bytes(&sha256(decoded, backend)?)
    }

    /// Takes the bytes of a hash, as a test of a store makes them up; `None` if they are not 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TicketHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TicketHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketHash({self})")
    }
}

/// The content of a ticket: the claims of the token that it was drawn with, the authority that verified it, one
/// resource, one origin, and an end.
///
/// A store keeps it as [text](Self::to_text) and reads nothing of it but its [end](Self::expires_at).
///
/// # Security
///
/// No token can be made of a record. But whoever writes into the store can make one: it has to be as trusted as the
/// keys.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketRecord {
    pub(super) token: Remembered,
    pub(super) holder: Holder,
    pub(super) resource: BTreeMap<String, String>,
    pub(super) origin: Option<String>,
    /// Names the authority and key that verified the token, for who has the ticket.
    pub(super) authority: String,
    /// In milliseconds since the Unix epoch.
    expires_at: u64,
}

/// Whose ticket it is: the issuer and the subject of its token, as far as it names them.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Holder {
    issuer: Option<Box<str>>,
    subject: Option<Box<str>>,
}

impl Holder {
    pub(super) fn of(token: &VerifiedToken) -> Self {
        Self {
            issuer: token.issuer().map(Into::into),
            subject: token.subject().map(Into::into),
        }
    }
}

impl TicketRecord {
    /// How long after a ticket was taken the same client may come with it once more, and only once, because it did
    /// not hear the answer.
    pub const REPEAT_WINDOW: Duration = Duration::from_secs(2);

    pub(crate) fn new(
        token: &VerifiedToken,
        resource: BTreeMap<String, String>,
        origin: Option<String>,
        authority: String,
        expires_at: Duration,
    ) -> Self {
        Self {
            token: token.remember(),
            holder: Holder::of(token),
            resource,
            origin,
            authority,
            expires_at: u64::try_from(expires_at.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Returns the name of an authority and its key in the record of this ticket.
    ///
    /// The store cannot tell a key by it, as it does not have the ticket.
    pub(super) fn authority(
        ticket: &BearerToken<'_>,
        fingerprint: Fingerprint,
        backend: CryptoBackend,
    ) -> Option<String> {
        let text = Zeroizing::new([ticket.expose().as_bytes(), &fingerprint].concat());
        Some(URL_SAFE_NO_PAD.encode_to_string(sha256(&text, backend)?))
    }

    /// When the ticket expires, since the Unix epoch. It is never later than the token's own `exp`.
    #[must_use]
    pub const fn expires_at(&self) -> Duration {
        Duration::from_millis(self.expires_at)
    }

    /// Returns the issuer and the subject as JSON: one text for each holder.
    #[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
    pub(crate) fn holder_text(&self) -> Result<String, StoreError> {
        serde_json::to_string(&self.holder).map_err(StoreError::new)
    }

    /// The record as one line of JSON.
    ///
    /// # Errors
    ///
    /// None that is known of.
    pub fn to_text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(StoreError::new)
    }

    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`StoreError`] for anything that [`to_text`](Self::to_text) has not written.
    pub fn from_text(text: &str) -> Result<Self, StoreError> {
        // What serde says would repeat a claim.
        serde_json::from_str(text).map_err(|_| StoreError::new("the text is no record of a ticket"))
    }
}

impl fmt::Debug for TicketRecord {
    /// Names neither the subject nor any other claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketRecord")
            .field("resource", &self.resource)
            .field("origin", &self.origin)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hash(text: &str) -> Option<TicketHash> {
        TicketHash::of(&BearerToken::new(text), CryptoBackend::preferred().unwrap())
    }

    #[test]
    fn only_the_one_spelling_of_256_bits_can_be_a_ticket() {
        let zeros = "A".repeat(43);
        let known = hash(&zeros).unwrap();
        // SHA-256 of 32 zero bytes.
        let digest = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        assert_eq!(known.to_string(), digest);
        for text in [
            String::new(),
            "A".repeat(42),
            "A".repeat(44),
            "A".repeat(10_240),
            "A".repeat(42) + "B",
            "A".repeat(42) + "=",
            "A".repeat(42) + "\0",
            "A".repeat(42) + "+",
            "A".repeat(41) + "é",
            "A".repeat(42) + " ",
        ] {
            assert_eq!(hash(&text), None, "{text}");
        }
    }
}
