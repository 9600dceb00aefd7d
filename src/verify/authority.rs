//! [`Authority`]: one set of keys and its rules, and the order in which they doubt a token.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

#[cfg(feature = "introspection")]
use super::introspection::{Introspector, Question};
#[cfg(feature = "jwks")]
use super::missing::MissingKey;
use super::{
    CryptoBackend,
    claims::Members,
    compact::{Compact, Room},
    rules::Rules,
    snapshot::{HeaderOnce, Snapshot},
    token::{VerifiedToken, Vouched},
};
use crate::{BearerToken, Clock, ConfigError, RejectionKind, keys::Keys};
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
    keys: KeySource,
}

/// Who has the keys.
enum KeySource {
    /// We do, until the next [reload](Authority::reload).
    Given {
        snapshot: ArcSwap<Snapshot>,
        /// Held while keys are replaced, so that those of the last call stay, however long the others take to prepare.
        reloading: Mutex<()>,
    },
    /// A provider, who may change them.
    #[cfg(feature = "jwks")]
    Remote(Refresher<Snapshot>),
    /// There are none: an endpoint knows the tokens.
    #[cfg(feature = "introspection")]
    None(Introspector),
}

/// Why a token is not verified, or not yet.
pub(super) enum Doubt {
    /// It will not do.
    Rejected(RejectionKind),
    /// Its key may be on the way.
    #[cfg(feature = "jwks")]
    KeyMissing(MissingKey),
    /// Its provider is being asked about it.
    #[cfg(feature = "introspection")]
    Asked(Question),
}

/// Whether a provider may be asked for a key that is not at hand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asking {
    Allowed,
    /// It was being asked when the token came: its answer may be older than the token.
    #[cfg_attr(not(feature = "jwks"), allow(dead_code))]
    Again,
    /// It has just been asked.
    #[cfg_attr(not(feature = "jwks"), allow(dead_code))]
    Over,
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
            any.then(|| Snapshot::new(keys, epoch))
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

    /// Replaces keys that were given.
    pub(super) fn reload(&self, keys: &Keys) -> Result<(), ConfigError> {
        match &self.keys {
            KeySource::Given {
                snapshot,
                reloading,
            } => {
                let _turn = reloading.lock().unwrap_or_else(PoisonError::into_inner);
                let epoch = snapshot.load().epoch + 1;
                let fresh = Snapshot::prepare(keys, &self.rules, self.backend, epoch)?;
                snapshot.store(Arc::new(fresh));
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

    /// Verifies with the keys of this moment.
    #[cfg_attr(not(feature = "jwks"), allow(unused_variables))]
    pub(super) fn attempt(
        self: &Arc<Self>,
        token: &BearerToken<'_>,
        asking: Asking,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        #[cfg(feature = "introspection")]
        if let KeySource::None(introspector) = &self.keys {
            return introspector.attempt(self, token);
        }
        let compact = Compact::split(token.expose(), self.rules.max_token_size)?;
        let mut room = Room::<512>::new();
        match &self.keys {
            KeySource::Given { snapshot, .. } => {
                let snapshot = snapshot.load();
                let header = HeaderOnce::read(Some(&snapshot), compact, &mut room)?;
                Ok(self.verify(&snapshot, token, compact, &header, || self.clock.now())?)
            }
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => {
                let now = self.clock.now();
                let current = refresher.current(now);
                let keys = current.get();
                let snapshot = keys.map(|keys| &*keys.value);
                let header = HeaderOnce::read(snapshot, compact, &mut room)?;
                let kind = match snapshot {
                    None => RejectionKind::KeysUnavailable,
                    Some(snapshot) => {
                        match self.verify(snapshot, token, compact, &header, || now) {
                            Ok(verified) => return Ok(verified),
                            Err(kind) => kind,
                        }
                    }
                };
                let keyless = matches!(
                    kind,
                    RejectionKind::KeysUnavailable
                        | RejectionKind::KeyUnknown
                        | RejectionKind::AlgorithmNotAllowed
                );
                if !keyless {
                    return Err(kind.into());
                }
                let seen = keys.map(|keys| (&*keys.value, keys.epoch()));
                Err(self.ask(refresher, header.get(), seen, now, asking))
            }
            #[cfg(feature = "introspection")]
            KeySource::None(_) => Err(RejectionKind::KeysUnavailable.into()),
        }
    }

    fn verify(
        &self,
        snapshot: &Snapshot,
        token: &BearerToken<'_>,
        compact: Compact<'_>,
        header: &HeaderOnce<'_, '_>,
        now: impl FnOnce() -> Duration,
    ) -> Result<Arc<VerifiedToken>, RejectionKind> {
        let rules = &self.rules;
        let mut keys = snapshot.keys_for(header.get(), rules)?;

        let mut room = Room::<2048>::new();
        let payload = room.decode_text(compact.payload)?;
        let members = Members::find(payload, rules)?;
        let now = now();
        members.refuse_expired(rules, now)?;

        let mut room = Room::<1024>::new();
        let signature = room.decode(compact.signature)?;
        if !keys.any(|key| key.verifies(compact.signed.as_bytes(), signature)) {
            return Err(RejectionKind::SignatureInvalid);
        }
        let claims = members.judge(payload, rules, now)?;
        if !rules.token_type.admits(header.get().media_type.as_deref()) {
            return Err(RejectionKind::TypeMismatch);
        }
        Ok(Arc::new(VerifiedToken {
            token: token.clone().into_owned(),
            vouched: Vouched::Issuer,
            header: Some(match header {
                HeaderOnce::Known(known) => Arc::clone(known),
                HeaderOnce::Fresh(fresh) => snapshot.headers.keep(compact.header, fresh.clone()),
            }),
            payload: payload.into(),
            claims,
            typed: OnceLock::new(),
        }))
    }
}

impl Doubt {
    /// What it comes to if nobody waits.
    pub(super) fn kind(&self) -> RejectionKind {
        match self {
            Self::Rejected(kind) => *kind,
            #[cfg(feature = "jwks")]
            Self::KeyMissing(_) => RejectionKind::KeysUnavailable,
            #[cfg(feature = "introspection")]
            Self::Asked(_) => RejectionKind::KeysUnavailable,
        }
    }
}

impl From<RejectionKind> for Doubt {
    fn from(kind: RejectionKind) -> Self {
        Self::Rejected(kind)
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
        let secret = Keys::hs256([[1; 32]]).unwrap();
        let only = Rules {
            algorithms: Some(vec![jsonwebtoken::Algorithm::RS256]),
            ..Rules::default()
        };
        let authority = Authority::given(&one, only, Arc::new(SystemClock), backend).unwrap();
        assert!(authority.reload(&secret).is_err());
        assert_eq!(epoch(&authority), 0);
    }
}
