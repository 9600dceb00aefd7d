//! [`Authority`]: one set of keys and its rules.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{
    CryptoBackend,
    authenticate::Changed,
    grounds::{Grounds, KeySetNumber},
    header::Header,
    rules::Rules,
    snapshot::Snapshot,
    token::VerifiedToken,
};
#[cfg(feature = "introspection")]
use super::{attempt::Doubt, introspection::Introspector};
use crate::{
    Clock, ConfigError,
    keys::{Fingerprint, Keys, PreparedKey},
    watch::{Watch, Watchers},
};
#[cfg(feature = "jwks")]
use crate::{
    RemoteKeys,
    keys::{KeySet, Refresher},
};

/// One set of keys and its rules.
pub(super) struct Authority {
    pub(super) rules: Rules,
    pub(super) clock: Arc<dyn Clock>,
    backend: CryptoBackend,
    pub(super) keys: KeySource,
}

/// Who has the keys.
pub(super) enum KeySource {
    /// We do, until the next [reload](Authority::reload).
    Given {
        snapshot: ArcSwap<Snapshot>,
        /// Held while keys are replaced, so that those of the last call stay, however long the others take to prepare.
        reloading: Mutex<()>,
        /// Told after each replacement.
        watchers: Watchers<()>,
    },
    /// A provider, who may change them.
    #[cfg(feature = "jwks")]
    Remote(Refresher<Snapshot>),
    /// There are none: an endpoint knows the tokens.
    #[cfg(feature = "introspection")]
    None(Introspector),
}

impl Authority {
    /// Trusts these keys, prepared for the rules.
    pub(super) fn given(
        keys: &Keys,
        rules: Rules,
        clock: Arc<dyn Clock>,
        backend: CryptoBackend,
    ) -> Result<Self, ConfigError> {
        let snapshot = Snapshot::prepare(keys, &rules, backend, 0)?;
        Ok(Self {
            rules,
            clock,
            backend,
            keys: KeySource::Given {
                snapshot: ArcSwap::from_pointee(snapshot),
                reloading: Mutex::new(()),
                watchers: Watchers::default(),
            },
        })
    }

    /// Trusts the keys of a provider, which has not been asked yet: by one set of rules for each issuer who shares them.
    #[cfg(feature = "jwks")]
    pub(super) fn remote(
        keys: RemoteKeys,
        issuers: Vec<Rules>,
        clock: &Arc<dyn Clock>,
        backend: CryptoBackend,
    ) -> Result<Vec<Self>, ConfigError> {
        let rules = issuers.clone();
        let refresher = keys.open(Arc::clone(clock), move |keys, epoch| {
            // The issuers differ in their names only.
            let allowed = rules.first().and_then(|rules| rules.algorithms.as_deref());
            let keys = KeySet::prepare(keys, allowed, backend).ok()?;
            let usable = |key| rules.iter().any(|rules| rules.admit_key(key));
            let any = keys.keys().iter().any(usable);
            let cache = rules.first().and_then(|rules| rules.cache.as_ref());
            any.then(|| Snapshot::new(keys, cache, epoch))
        })?;
        let authorities = issuers.into_iter().map(|rules| Self {
            rules,
            clock: Arc::clone(clock),
            backend,
            keys: KeySource::Remote(refresher.clone()),
        });
        Ok(authorities.collect())
    }

    /// Trusts what an endpoint says of tokens.
    #[cfg(feature = "introspection")]
    pub(super) fn introspecting(
        introspector: Introspector,
        rules: Rules,
        clock: Arc<dyn Clock>,
        backend: CryptoBackend,
    ) -> Self {
        Self {
            rules,
            clock,
            backend,
            keys: KeySource::None(introspector),
        }
    }

    /// Whether tokens are looked up rather than read.
    pub(super) const fn introspects(&self) -> bool {
        match &self.keys {
            KeySource::Given { .. } => false,
            #[cfg(feature = "jwks")]
            KeySource::Remote(_) => false,
            #[cfg(feature = "introspection")]
            KeySource::None(_) => true,
        }
    }

    /// Returns the fingerprint of the key that this token was signed with, if it is one of this authority's.
    pub(super) fn fingerprint_of(&self, token: &VerifiedToken) -> Option<Fingerprint> {
        let header = token.header.as_deref();
        match &self.keys {
            KeySource::Given { snapshot, .. } => {
                snapshot.load().signed_by(header?, token, &self.rules)
            }
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => {
                let current = refresher.current(self.clock.now());
                let keys = &current.get()?.value;
                keys.signed_by(header?, token, &self.rules)
            }
            #[cfg(feature = "introspection")]
            KeySource::None(introspector) => match header {
                None => introspector.fingerprint(),
                Some(_) => None,
            },
        }
    }

    /// Returns the grounds on which a token with such a header is accepted now, if this authority has its key, by the
    /// fingerprint that `is_it` knows. `answered` are the grounds of a token that its provider was asked about.
    #[cfg_attr(not(feature = "introspection"), allow(unused_variables))]
    pub(super) fn grounds_of(
        &self,
        header: Option<&Header<'_>>,
        answered: Option<Grounds>,
        is_it: impl Fn(Fingerprint) -> bool,
    ) -> Option<Grounds> {
        let in_snapshot = |snapshot: &Snapshot| {
            let mut keys = snapshot.keys_for(header?, &self.rules).ok()?;
            let key = keys.find(|key| key.fingerprint().is_some_and(&is_it))?;
            Some(Grounds::Keys {
                set: snapshot.number,
                key: key.fingerprint(),
            })
        };
        match &self.keys {
            KeySource::Given { snapshot, .. } => in_snapshot(&snapshot.load()),
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => {
                let current = refresher.current(self.clock.now());
                in_snapshot(&current.get()?.value)
            }
            #[cfg(feature = "introspection")]
            KeySource::None(introspector) => {
                let is_asked = header.is_none() && introspector.fingerprint().is_some_and(is_it);
                answered.filter(|_| is_asked)
            }
        }
    }

    /// Replaces keys that were given.
    pub(super) fn reload(&self, keys: &Keys) -> Result<(), ConfigError> {
        match &self.keys {
            KeySource::Given {
                snapshot,
                reloading,
                watchers,
            } => {
                let turn = reloading.lock().unwrap_or_else(PoisonError::into_inner);
                let epoch = snapshot.load().epoch + 1;
                let fresh = Snapshot::prepare(keys, &self.rules, self.backend, epoch)?;
                snapshot.store(Arc::new(fresh));
                drop(turn);
                watchers.tell(&());
                Ok(())
            }
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => Err(ConfigError::Setting {
                name: "reload",
                value: refresher.origin().to_owned(),
                problem: "the keys are a provider's: refresh them",
            }),
            #[cfg(feature = "introspection")]
            KeySource::None(_) => Err(ConfigError::Setting {
                name: "reload",
                value: String::from("(introspection)"),
                problem: "opaque tokens are verified without keys",
            }),
        }
    }

    /// Returns the number of the present key set; `None` as long as there is none.
    pub(super) fn key_set(&self) -> Option<KeySetNumber> {
        match &self.keys {
            KeySource::Given { snapshot, .. } => Some(snapshot.load().number),
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => refresher.last().map(|keys| keys.number),
            #[cfg(feature = "introspection")]
            KeySource::None(_) => None,
        }
    }

    /// Asks about a token once more that was accepted here before; `None` if that is not possible.
    #[cfg(feature = "introspection")]
    pub(super) fn ask_again(
        self: &Arc<Self>,
        hash: &[u8; 32],
    ) -> Option<Result<Arc<VerifiedToken>, Doubt>> {
        match &self.keys {
            KeySource::None(introspector) => introspector.ask_again(self, hash),
            KeySource::Given { .. } | KeySource::Remote(_) => None,
        }
    }

    /// Has a function called after each change of keys.
    pub(super) fn watch(&self, changed: &Changed) -> Option<Watch> {
        let changed = Arc::clone(changed);
        match &self.keys {
            KeySource::Given { watchers, .. } => Some(watchers.add(move |()| changed())),
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => Some(refresher.watch(move || changed())),
            #[cfg(feature = "introspection")]
            KeySource::None(_) => None,
        }
    }

    /// Whether there are keys to verify with.
    pub(super) fn ready(&self) -> bool {
        match &self.keys {
            KeySource::Given { .. } => true,
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => refresher.ready(),
            #[cfg(feature = "introspection")]
            KeySource::None(_) => true,
        }
    }

    /// How long ago keys were fetched.
    pub(super) fn keys_age(&self) -> Option<Duration> {
        match &self.keys {
            KeySource::Given { .. } => None,
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => refresher.age(),
            #[cfg(feature = "introspection")]
            KeySource::None(_) => None,
        }
    }

    /// Whether one fetch serves both.
    #[cfg(feature = "jwks")]
    pub(super) fn shares_keys_with(&self, other: &Self) -> bool {
        match (&self.keys, &other.keys) {
            (KeySource::Remote(one), KeySource::Remote(other)) => one.is_same(other),
            _ => false,
        }
    }

    /// Checks whether both have a key, or a provider, in common. Secrets without an ID are not compared.
    pub(super) fn shares_a_key_with(&self, other: &Self) -> bool {
        match (&self.keys, &other.keys) {
            (
                KeySource::Given { snapshot: one, .. },
                KeySource::Given {
                    snapshot: other, ..
                },
            ) => {
                let (one, other) = (one.load(), other.load());
                let same = |key: &PreparedKey| {
                    let twin = |other: &PreparedKey| {
                        key.id().is_some()
                            && key.id() == other.id()
                            && key.algorithm() == other.algorithm()
                    };
                    other.keys.keys().iter().any(twin)
                };
                one.keys.keys().iter().any(same)
            }
            #[cfg(feature = "jwks")]
            (KeySource::Remote(one), KeySource::Remote(other)) => one.is_same(other),
            #[cfg(any(feature = "jwks", feature = "introspection"))]
            _ => false,
        }
    }

    /// Fetches keys now.
    #[cfg(feature = "jwks")]
    pub(super) async fn refresh(&self) -> Result<(), ConfigError> {
        match &self.keys {
            KeySource::Given { .. } => Ok(()),
            #[cfg(feature = "introspection")]
            KeySource::None(_) => Ok(()),
            KeySource::Remote(refresher) => {
                let answer = refresher.refresh().await;
                answer.map_err(|error| ConfigError::keys(refresher.origin(), error))
            }
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shared = f.debug_struct("Verifier");
        shared.field("rules", &self.rules);
        match &self.keys {
            KeySource::Given { snapshot, .. } => {
                let snapshot = snapshot.load();
                shared
                    .field("keys", &snapshot.keys)
                    .field("epoch", &snapshot.epoch);
            }
            #[cfg(feature = "jwks")]
            KeySource::Remote(keys) => {
                shared.field("keys", keys);
            }
            #[cfg(feature = "introspection")]
            KeySource::None(introspector) => {
                shared.field("introspector", introspector);
            }
        }
        shared.finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;
    use crate::{Key, SystemClock};

    /// That many keys, of which each takes its time to be prepared.
    fn keys(count: u8) -> Keys {
        let pem = include_str!("../../tests/keys/rsa2048.pub.pem");
        let key = Key::pem(pem, jsonwebtoken::Algorithm::RS256).unwrap();
        let named = |id: u8| key.clone().with_id(id.to_string());
        Keys::new((0..count).map(named)).unwrap()
    }

    fn epoch(authority: &Authority) -> u64 {
        match &authority.keys {
            KeySource::Given { snapshot, .. } => snapshot.load().epoch,
            #[cfg(any(feature = "jwks", feature = "introspection"))]
            _ => unreachable!("its keys were given"),
        }
    }

    #[test]
    fn of_reloads_at_once_the_last_one_stays() {
        let backend = CryptoBackend::preferred().unwrap();
        let clock = Arc::new(SystemClock);
        let authority = Authority::given(&keys(1), Rules::default(), clock, backend).unwrap();
        let (many, one) = (keys(64), keys(1));
        for round in 1..=16 {
            let begin = Barrier::new(2);
            thread::scope(|scope| {
                for keys in [&many, &one] {
                    scope.spawn(|| {
                        begin.wait();
                        authority.reload(keys).unwrap();
                    });
                }
            });
            // Whichever it was: the one that took longer must not end up with the older number.
            assert_eq!(epoch(&authority), 2 * round);
        }
        // Keys that cannot be used change nothing.
        let secret = Keys::hs256(["a secret of at least 32 bytes, all the same"]).unwrap();
        let only = Rules {
            algorithms: Some(vec![jsonwebtoken::Algorithm::RS256]),
            ..Rules::default()
        };
        let authority = Authority::given(&one, only, Arc::new(SystemClock), backend).unwrap();
        assert!(authority.reload(&secret).is_err());
        assert_eq!(epoch(&authority), 0);
    }
}
