//! [`ApiKeysBuilder`]: every setting of [`ApiKeys`], checked at `build()`.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::{ApiKeyStore, ApiKeys, create::LIFETIMES, keys::Shared, text, usage::Usage};
use crate::{
    Clock, ConfigError, CryptoBackend, Keys, Revocations, SigningKey, SystemClock, keys::KeySet,
    watch::Watchers,
};

/// How many keys an owner may have unless it is told otherwise.
const MOST_KEYS: u16 = 100;

/// The life of a key that names no other.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Collects what [`ApiKeys`] need, by [`ApiKeys::builder`].
#[must_use = "keys can be made and verified once it is built"]
pub struct ApiKeysBuilder {
    store: Arc<dyn ApiKeyStore>,
    /// The present one first.
    peppers: Vec<Zeroizing<Vec<u8>>>,
    prefix: String,
    clock: Arc<dyn Clock>,
    most_keys: u16,
    default_lifetime: Duration,
    max_lifetime: Option<Duration>,
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
            default_lifetime: DEFAULT_LIFETIME,
            max_lifetime: None,
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
    /// It keeps a store from being filled. The store counts and keeps in one step, so requests at the same instant do not go
    /// over it.
    pub fn with_max_keys_per_owner(mut self, most: u16) -> Self {
        self.most_keys = most;
        self
    }

    /// Sets the life of a key that is created without a lifetime: from a second to ten years, 90 days by default.
    pub fn with_default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = lifetime;
        self
    }

    /// Sets the longest life of a key: from a second to ten years, ten years by default.
    ///
    /// [`ApiKeys::create`] refuses a longer lifetime, and a key [without end](super::NewApiKey::without_expiry) too.
    /// [`build`](Self::build) fails if the default lifetime is longer.
    pub fn with_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Some(lifetime);
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
    /// another prefix than the above, for a bound or a lifetime out of its range, for a default lifetime beyond the longest
    /// one, and where no crypto backend was compiled in.
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
        for (name, lifetime) in [
            ("with_default_lifetime", Some(self.default_lifetime)),
            ("with_max_lifetime", self.max_lifetime),
        ] {
            if let Some(lifetime) = lifetime.filter(|lifetime| !LIFETIMES.contains(lifetime)) {
                let problem = "a key lives from a second to ten years";
                return Err(setting(name, format!("{lifetime:?}").into(), problem));
            }
        }
        if self
            .max_lifetime
            .is_some_and(|most| most < self.default_lifetime)
        {
            let value = format!("{:?}", self.default_lifetime);
            let problem = "the default lifetime is longer than `with_max_lifetime`";
            return Err(setting("with_default_lifetime", value.into(), problem));
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
            default_lifetime: self.default_lifetime,
            max_lifetime: self.max_lifetime,
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
