//! [`ApiKeysBuilder`]: every setting of [`ApiKeys`], checked at `build()`.

use std::{borrow::Cow, fmt, sync::Arc};

use zeroize::Zeroizing;

use super::{ApiKeyStore, ApiKeys, keys::Shared, text, usage::Usage};
use crate::{
    Clock, ConfigError, CryptoBackend, Keys, Revocations, SigningKey, SystemClock, keys::KeySet,
    watch::Watchers,
};

/// How many keys an owner may have unless it is told otherwise.
const MOST_KEYS: u16 = 100;

/// Collects what [`ApiKeys`] need, by [`ApiKeys::builder`].
#[must_use = "keys can be made and verified once it is built"]
pub struct ApiKeysBuilder {
    store: Arc<dyn ApiKeyStore>,
    /// The present one first.
    peppers: Vec<Zeroizing<Vec<u8>>>,
    prefix: String,
    clock: Arc<dyn Clock>,
    most_keys: u16,
    revocations: Option<Revocations>,
}

impl ApiKeysBuilder {
    pub(super) fn new(store: impl ApiKeyStore, pepper: &[u8]) -> Self {
        Self {
            store: Arc::new(store),
            peppers: vec![pepper.to_vec().into()],
            prefix: String::from("tw"),
            clock: Arc::new(SystemClock),
            most_keys: MOST_KEYS,
            revocations: None,
        }
    }

    /// Sets what keys begin with, `tw` by default: 1 to 16 small letters and digits. It is part of each key, so keys of
    /// another prefix are none of ours.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Goes on taking keys that were made under this pepper, though new ones are hashed under the present one.
    ///
    /// Keys cannot be hashed anew, as nobody has them: the old pepper is needed for as long as its keys are.
    pub fn with_previous_pepper(mut self, pepper: impl AsRef<[u8]>) -> Self {
        self.peppers.push(pepper.as_ref().to_vec().into());
        self
    }

    /// Sets how many keys an owner may have, expired ones included: 1 to 500, 100 by default.
    ///
    /// It keeps a store from being filled, and is no exact bound: several requests at the same instant may go over it.
    pub fn with_max_keys_per_owner(mut self, most: u16) -> Self {
        self.most_keys = most;
        self
    }

    /// Ends the connections of a key when it is [revoked](ApiKeys::revoke), on every node that shares these revocations;
    /// without, a revoked key opens nothing new, and what it had opened goes on.
    ///
    /// They are those of the layers that the keys open: [`with_revocations`](crate::AuthLayerBuilder::with_revocations).
    pub fn with_revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Sets the clock: [`SystemClock`] by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a pepper that is under 32 bytes, is the text of a key, repeats one byte or holds only blanks, for
    /// another prefix than the above, for a bound out of its range, and where no crypto backend was compiled in.
    pub fn build(self) -> Result<ApiKeys, ConfigError> {
        let setting = |name, value: Cow<'_, str>, problem| ConfigError::Setting {
            name,
            value: value.into_owned(),
            problem,
        };
        if !text::is_prefix(&self.prefix) {
            let value = self.prefix.escape_default().to_string();
            let problem = "a prefix has 1 to 16 small letters and digits";
            return Err(setting("with_prefix", value.into(), problem));
        }
        if !(1..=500).contains(&self.most_keys) {
            let value = self.most_keys.to_string();
            let problem = "an owner may have 1 to 500 keys";
            return Err(setting("with_max_keys_per_owner", value.into(), problem));
        }
        let present = self.peppers.first().map_or(&[][..], |pepper| pepper);
        let backend = CryptoBackend::preferred()?;
        let peppers = Keys::hs256(self.peppers.iter().map(|pepper| pepper.as_slice()))?;
        Ok(ApiKeys::with(Shared {
            signer: SigningKey::hs256(present)?.prepare(backend)?,
            peppers: KeySet::prepare(&peppers, None, backend)?,
            store: self.store,
            prefix: self.prefix.into(),
            clock: self.clock,
            most_keys: self.most_keys,
            usage: Usage::default(),
            watchers: Watchers::default(),
            revocations: self.revocations,
        }))
    }
}

impl fmt::Debug for ApiKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeysBuilder").finish_non_exhaustive()
    }
}
