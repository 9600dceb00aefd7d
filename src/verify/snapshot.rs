//! [`Snapshot`]: the keys of one moment, and the headers and tokens that were verified with them.

use std::sync::Arc;

use super::{
    CacheConfig, CryptoBackend,
    cache::{Place, TokenCache},
    compact::{Compact, Room},
    grounds::KeySetNumber,
    header::{Header, HeaderMemo},
    rules::Rules,
    token::VerifiedToken,
};
use crate::{
    ConfigError, RejectionKind,
    keys::{Fingerprint, KeySet, Keys, PreparedKey},
};

/// The keys of one moment, and what may be remembered as long as they hold.
pub(super) struct Snapshot {
    pub(super) keys: KeySet,
    pub(super) headers: HeaderMemo,
    cache: Option<TokenCache>,
    /// Another one for each reload, so that what was verified with other keys can be told apart.
    pub(super) epoch: u64,
    /// The number by which accepted tokens refer to these keys.
    pub(super) number: KeySetNumber,
}

impl Snapshot {
    pub(super) fn prepare(
        keys: &Keys,
        rules: &Rules,
        backend: CryptoBackend,
        epoch: u64,
    ) -> Result<Self, ConfigError> {
        let keys = KeySet::prepare(keys, rules.algorithms.as_deref(), backend)?;
        Ok(Self::new(keys, rules.cache.as_ref(), epoch))
    }

    pub(super) fn new(keys: KeySet, cache: Option<&CacheConfig>, epoch: u64) -> Self {
        Self {
            keys,
            headers: HeaderMemo::default(),
            cache: cache.map(TokenCache::new),
            epoch,
            number: KeySetNumber::next(),
        }
    }

    /// Where a token stands that was verified with these keys before, if it may be remembered.
    #[inline]
    pub(super) fn place(&self, token: &[u8]) -> Option<Place<'_>> {
        self.cache.as_ref()?.place(token)
    }

    /// Returns the fingerprint of the key that signed this token.
    pub(super) fn signed_by(
        &self,
        header: &Header<'_>,
        token: &VerifiedToken,
        rules: &Rules,
    ) -> Option<Fingerprint> {
        let compact = Compact::split(token.token.bytes(), usize::MAX).ok()?;
        let mut room = Room::<1024>::new();
        let signature = room.decode(compact.signature).ok()?;
        let mut keys = self.keys_for(header, rules).ok()?;
        keys.find(|key| key.verifies(compact.signed, signature))?
            .fingerprint()
    }

    /// The keys that may have signed a token with this header: one at least. Keys are prepared for allowed algorithms
    /// only, so an algorithm without a key is one that is not allowed.
    pub(super) fn keys_for<'s>(
        &'s self,
        header: &Header<'_>,
        rules: &Rules,
    ) -> Result<impl Iterator<Item = &'s PreparedKey>, RejectionKind> {
        let algorithm = header.algorithm;
        let keys = self.keys.keys();
        if !keys.iter().any(|key| key.algorithm() == algorithm) {
            return Err(RejectionKind::AlgorithmNotAllowed);
        }
        let mut candidates = self
            .keys
            .candidates(algorithm, header.key_id.as_deref())
            .filter_map(|index| keys.get(index))
            .filter(|key| rules.admit_key(key))
            .peekable();
        match candidates.peek() {
            Some(_) => Ok(candidates),
            None => Err(RejectionKind::KeyUnknown),
        }
    }
}

/// A header that was met before, or one that was read just now.
pub(super) enum HeaderOnce<'s, 'h> {
    Known(&'s Arc<Header<'static>>),
    Fresh(Header<'h>),
}

impl<'h> HeaderOnce<'_, 'h> {
    pub(super) fn get(&self) -> &Header<'h> {
        match self {
            Self::Known(known) => known,
            Self::Fresh(fresh) => fresh,
        }
    }
}
