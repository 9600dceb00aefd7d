//! [`KeySet`]: the prepared keys of one moment, as verification sees them.

use jsonwebtoken::Algorithm;

/// A snapshot of prepared keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<PreparedKey>,
}

/// One key, prepared once for its one algorithm.
#[derive(Debug)]
pub(crate) struct PreparedKey {
    algorithm: Algorithm,
}

impl KeySet {
    /// The keys, in the order in which they were given; [`HeaderMemo`] and callers refer to them by index.
    pub(crate) fn keys(&self) -> &[PreparedKey] {
        &self.keys
    }

    /// The keys that may have signed a token with this algorithm and key ID, in order.
    ///
    /// A key with an ID fits a token with the same ID (byte-equal), or one without ID. A key without ID that was given
    /// by hand (secret, PEM, DER) fits any token unless some other key has exactly the token's ID; one from a JWK Set
    /// fits only tokens without ID.
    pub(crate) fn candidates(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> impl Iterator<Item = usize> {
        let _ = key_id;
        self.keys
            .iter()
            .enumerate()
            .filter(move |(_, key)| key.algorithm == algorithm)
            .map(|(index, _)| index)
    }
}

impl PreparedKey {
    /// The one algorithm this key verifies.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key ID, for the log of the operator only.
    pub(crate) fn id(&self) -> Option<&str> {
        None
    }

    /// Whether `signature` (raw bytes, already base64url-decoded) is this key's signature over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let _ = (message, signature);
        false
    }
}
