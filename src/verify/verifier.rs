//! [`Verifier`]: the order in which a token is doubted.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
#[cfg(feature = "jwks")]
use jsonwebtoken::AlgorithmFamily;

#[cfg(feature = "jwks")]
use super::wait::KeyWait;
use super::{
    CryptoBackend,
    builder::VerifierBuilder,
    claims::Members,
    compact::{Compact, Room},
    header::{Header, HeaderMemo},
    issuers::Issuers,
    rules::Rules,
    token::VerifiedToken,
    wait::Verification,
};
#[cfg(feature = "jwks")]
use crate::keys::{Missing, Refresher, RemoteKeys, Waiting};
use crate::{
    BearerToken, Clock, ConfigError, Rejection, RejectionKind,
    keys::{KeySet, Keys, PreparedKey},
};

/// Verifies tokens: one set of keys, one set of rules.
///
/// Cloning it costs a pointer, and every clone sees a [`reload`](Self::reload).
///
/// # Examples
///
/// ```
/// use tower_warden::{BearerToken, Keys, RejectionKind, Verifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let verifier = Verifier::builder(Keys::hs256(["a secret of at least 32 bytes, from a safe place"])?)
///     .with_issuer("https://id.example")
///     .with_audience("orders")
///     .build()?;
///
/// # let claims = r#"{"iss":"https://id.example","aud":"orders","sub":"alice","exp":99999999999,"scope":"read"}"#;
/// # let key = jsonwebtoken::EncodingKey::from_secret(b"a secret of at least 32 bytes, from a safe place");
/// # let claims: serde_json::Value = serde_json::from_str(claims)?;
/// # let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
/// # let text = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?;
/// let token = verifier.verify(&BearerToken::new(text))?;
/// assert_eq!(token.subject(), Some("alice"));
/// assert!(token.has_scope("read"));
///
/// let refused = verifier.verify(&BearerToken::new("a.b.c")).unwrap_err();
/// assert_eq!(refused.kind(), RejectionKind::TokenMalformed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Verifier {
    trust: Trust,
}

#[derive(Clone)]
enum Trust {
    One(Arc<Shared>),
    Many(Arc<Issuers>),
}

/// One set of keys and its rules.
pub(super) struct Shared {
    pub(super) rules: Rules,
    clock: Arc<dyn Clock>,
    backend: CryptoBackend,
    keys: KeySource,
}

/// Who has the keys.
enum KeySource {
    /// We do, until the next [reload](Verifier::reload).
    Given {
        snapshot: ArcSwap<Snapshot>,
        /// The last epoch given out.
        epochs: AtomicU64,
    },
    /// A provider, who may change them.
    #[cfg(feature = "jwks")]
    Remote(Refresher<Snapshot>),
}

/// The keys of one moment, and what may be remembered as long as they hold.
pub(super) struct Snapshot {
    keys: KeySet,
    headers: HeaderMemo,
    /// Another one for each reload, so that what was verified with other keys can be told apart.
    epoch: u64,
}

/// Why a token is not verified, or not yet.
pub(super) enum Doubt {
    /// It will not do.
    Rejected(RejectionKind),
    /// Its key may be on the way.
    #[cfg(feature = "jwks")]
    KeyMissing(MissingKey),
}

/// A key that somebody is being asked for.
#[cfg(feature = "jwks")]
pub(super) struct MissingKey {
    id: Option<Box<str>>,
    waiting: Waiting<Snapshot>,
}

impl Verifier {
    /// Begins a verifier that trusts these keys; [`VerifierBuilder::build`] ends it.
    pub fn builder(keys: Keys) -> VerifierBuilder {
        VerifierBuilder::new(keys)
    }

    /// Begins a verifier that trusts this issuer, whose keys are found by its discovery document and kept fresh; see
    /// [`RemoteKeys::discover`]. Tokens have to name the issuer.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn discover(issuer: impl Into<String>) -> VerifierBuilder<RemoteKeys> {
        Self::remote(RemoteKeys::discover(issuer))
    }

    /// Begins a verifier that trusts the keys of the JWK Set at this address, kept fresh; see [`RemoteKeys::jwks`].
    ///
    /// Whose keys they are has to be said by [`with_issuer`](VerifierBuilder::with_issuer).
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn jwks(url: impl Into<String>) -> VerifierBuilder<RemoteKeys> {
        Self::remote(RemoteKeys::jwks(url))
    }

    /// Begins a verifier that trusts the keys of a provider.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn remote(keys: RemoteKeys) -> VerifierBuilder<RemoteKeys> {
        let issuer = keys.issuer().map(str::to_owned);
        let builder = VerifierBuilder::new(keys);
        match issuer {
            Some(issuer) => builder.with_issuer(issuer),
            None => builder,
        }
    }

    /// Trusts several issuers: a token is verified by the one of these verifiers whose issuer it names in `iss`, with
    /// the keys, audiences and rules of that one alone. Whoever is not in the list is refused.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] without any verifier, or for one without [issuer](VerifierBuilder::with_issuer);
    /// [`ConfigError::Setting`] if two name the same.
    ///
    /// # Examples
    ///
    /// The tenants of one provider, each by its name:
    ///
    /// ```
    /// # #[cfg(feature = "jwks")]
    /// # async fn build() -> Result<(), tower_warden::ConfigError> {
    /// use tower_warden::Verifier;
    ///
    /// let mut verifiers = Vec::new();
    /// for tenant in ["8a6fbb1c-6c1c-4b6e-9c0e-0d9e6a1f2b3c", "f2f8b6f0-91a5-4a3f-8d0e-6c2a7b9d1e4f"] {
    ///     let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    ///     verifiers.push(Verifier::discover(issuer).with_audience("orders").build().await?);
    /// }
    /// let verifier = Verifier::issuers(verifiers)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn issuers(verifiers: impl IntoIterator<Item = Self>) -> Result<Self, ConfigError> {
        let mut issuers = Issuers::default();
        for verifier in verifiers {
            match verifier.trust {
                Trust::One(shared) => issuers.add(shared)?,
                Trust::Many(others) => {
                    for shared in others.all() {
                        issuers.add(Arc::clone(shared))?;
                    }
                }
            }
        }
        Ok(Self {
            trust: Trust::Many(Arc::new(issuers.checked()?)),
        })
    }

    pub(super) fn new(
        keys: &Keys,
        rules: Rules,
        clock: Arc<dyn Clock>,
        backend: CryptoBackend,
    ) -> Result<Self, ConfigError> {
        let snapshot = Snapshot::prepare(keys, &rules, backend, 0)?;
        let keys = KeySource::Given {
            snapshot: ArcSwap::from_pointee(snapshot),
            epochs: AtomicU64::new(0),
        };
        Ok(Self::over(keys, rules, clock, backend))
    }

    #[cfg(feature = "jwks")]
    pub(super) fn with_remote(
        keys: RemoteKeys,
        rules: Rules,
        clock: Arc<dyn Clock>,
        backend: CryptoBackend,
    ) -> Result<Self, ConfigError> {
        let allowed = rules.algorithms.clone();
        let refresher = keys.open(Arc::clone(&clock), move |keys, epoch| {
            let keys = KeySet::prepare(keys, allowed.as_deref(), backend).ok()?;
            let usable = !keys.keys().is_empty();
            usable.then(|| Snapshot::new(keys, epoch))
        })?;
        Ok(Self::over(
            KeySource::Remote(refresher),
            rules,
            clock,
            backend,
        ))
    }

    fn over(keys: KeySource, rules: Rules, clock: Arc<dyn Clock>, backend: CryptoBackend) -> Self {
        let shared = Shared {
            rules,
            clock,
            backend,
            keys,
        };
        Self {
            trust: Trust::One(Arc::new(shared)),
        }
    }

    /// Verifies a token, cheapest doubt first: size, form, header, algorithm and key, claims that can be read, expiry,
    /// signature, and then what the claims say ([RFC 8725], [RFC 7519 §7.2]).
    ///
    /// It waits for nobody. If a provider has to be asked for the key, that begins in the background, and the token is
    /// refused as [`KeysUnavailable`](RejectionKind::KeysUnavailable) until then: [`check`](Self::check) can wait.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] whose [kind](Rejection::kind) says which doubt remained. It never holds a part of the token.
    ///
    /// [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725
    /// [RFC 7519 §7.2]: https://www.rfc-editor.org/rfc/rfc7519#section-7.2
    pub fn verify(&self, token: &BearerToken<'_>) -> Result<Arc<VerifiedToken>, Rejection> {
        let shared = self.shared_for(token)?;
        // The cache of verified tokens will be asked here, before anything is read, and filled below, once everything
        // is: under the epoch of the keys, so that a change of theirs empties it.
        match shared.attempt(token, Asking::Allowed) {
            Ok(verified) => Ok(verified),
            Err(doubt) => Err(doubt.kind().into()),
        }
    }

    /// Verifies a token on the spot if its key is at hand, and says so if it has to be waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{BearerToken, Rejection, VerifiedToken, Verification, Verifier};
    /// # use std::sync::Arc;
    ///
    /// async fn verify(verifier: &Verifier, token: &BearerToken<'_>) -> Result<Arc<VerifiedToken>, Rejection> {
    ///     match verifier.check(token) {
    ///         Verification::Verified(token) => Ok(token),
    ///         Verification::Rejected(rejection) => Err(rejection),
    ///         // A provider is being asked: 2 s at most by default.
    ///         Verification::KeyMissing(wait) => wait.await,
    ///     }
    /// }
    /// ```
    pub fn check(&self, token: &BearerToken<'_>) -> Verification {
        let shared = match self.shared_for(token) {
            Ok(shared) => shared,
            Err(kind) => return Verification::Rejected(kind.into()),
        };
        match shared.attempt(token, Asking::Allowed) {
            Ok(verified) => Verification::Verified(verified),
            Err(Doubt::Rejected(kind)) => Verification::Rejected(kind.into()),
            #[cfg(feature = "jwks")]
            Err(Doubt::KeyMissing(missing)) => {
                let (shared, token) = (Arc::clone(shared), token.clone().into_owned());
                Verification::KeyMissing(KeyWait::new(missing.settle(shared, token)))
            }
        }
    }

    /// Whether tokens can be verified: for the health check of a service. Only keys of a provider can be missing.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.all().all(|shared| match &shared.keys {
            KeySource::Given { .. } => true,
            #[cfg(feature = "jwks")]
            KeySource::Remote(keys) => keys.ready(),
        })
    }

    /// How long ago the keys were fetched, the oldest ones if there are several issuers. `None` as long as there are
    /// none, and for keys that were given.
    #[must_use]
    pub fn keys_age(&self) -> Option<Duration> {
        self.all()
            .filter_map(|shared| match &shared.keys {
                KeySource::Given { .. } => None,
                #[cfg(feature = "jwks")]
                KeySource::Remote(keys) => keys.age(),
            })
            .max()
    }

    /// Fetches the keys of all providers now, whenever they would be due. Keys that were given stay.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Keys`] with the first provider that did not answer as it should; its former keys stay in use.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub async fn refresh(&self) -> Result<(), ConfigError> {
        let mut answer = Ok(());
        for shared in self.all() {
            if let KeySource::Remote(keys) = &shared.keys
                && let Err(error) = keys.refresh().await
            {
                answer = answer.and(Err(ConfigError::keys(keys.origin(), error)));
            }
        }
        answer
    }

    /// Begins to fetch, and lets nobody wait for it.
    #[cfg(feature = "jwks")]
    pub(super) fn begin(&self) {
        for shared in self.all() {
            if let KeySource::Remote(keys) = &shared.keys {
                keys.current(shared.clock.now());
            }
        }
    }

    /// Replaces the keys, for this verifier and all its clones, from the next token on. The rules stay.
    ///
    /// # Errors
    ///
    /// As for [`VerifierBuilder::build`]; the former keys then stay in use. [`ConfigError::Setting`] if the keys are a
    /// provider's, or if there are several issuers.
    pub fn reload(&self, keys: Keys) -> Result<(), ConfigError> {
        let refused = |problem| ConfigError::Setting {
            name: "reload",
            value: String::from("(keys)"),
            problem,
        };
        let Trust::One(shared) = &self.trust else {
            return Err(refused("reload the verifier of the issuer"));
        };
        match &shared.keys {
            KeySource::Given { snapshot, epochs } => {
                let epoch = epochs.fetch_add(1, Ordering::Relaxed) + 1;
                let fresh = Snapshot::prepare(&keys, &shared.rules, shared.backend, epoch)?;
                snapshot.store(Arc::new(fresh));
                Ok(())
            }
            #[cfg(feature = "jwks")]
            KeySource::Remote(_) => Err(refused("the keys are a provider's: refresh them")),
        }
    }

    #[inline]
    fn shared_for(&self, token: &BearerToken<'_>) -> Result<&Arc<Shared>, RejectionKind> {
        match &self.trust {
            Trust::One(shared) => Ok(shared),
            Trust::Many(issuers) => issuers.choose(token),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Shared>> {
        let (one, many) = match &self.trust {
            Trust::One(shared) => (Some(shared), None),
            Trust::Many(issuers) => (None, Some(issuers.all())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// Whether a provider may be asked for a key that is not at hand.
#[derive(Clone, Copy)]
pub(super) enum Asking {
    Allowed,
    /// It has just been asked.
    #[cfg(feature = "jwks")]
    Over,
}

impl Shared {
    /// Verifies with the keys of this moment.
    #[cfg_attr(not(feature = "jwks"), allow(unused_variables))]
    pub(super) fn attempt(
        &self,
        token: &BearerToken<'_>,
        asking: Asking,
    ) -> Result<Arc<VerifiedToken>, Doubt> {
        let compact = Compact::split(token.expose(), self.rules.max_token_size)?;
        match &self.keys {
            KeySource::Given { snapshot, .. } => {
                Ok(self.verify(&snapshot.load(), token, compact, || self.clock.now())?)
            }
            #[cfg(feature = "jwks")]
            KeySource::Remote(refresher) => {
                let now = self.clock.now();
                let current = refresher.current(now);
                let keys = current.get();
                let kind = match keys {
                    None => RejectionKind::KeysUnavailable,
                    Some(keys) => match self.verify(&keys.value, token, compact, || now) {
                        Ok(verified) => return Ok(verified),
                        Err(kind) => kind,
                    },
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
                Err(self.ask(refresher, compact, seen, now, asking))
            }
        }
    }

    /// Decides whether a provider is asked for the key of a token that found none.
    #[cfg(feature = "jwks")]
    #[cold]
    fn ask(
        &self,
        refresher: &Refresher<Snapshot>,
        compact: Compact<'_>,
        seen: Option<(&Snapshot, u64)>,
        now: Duration,
        asking: Asking,
    ) -> Doubt {
        let mut room = Room::<512>::new();
        let header = match room.decode_text(compact.header).and_then(Header::parse) {
            Ok(header) => header,
            Err(kind) => return kind.into(),
        };
        // Whether a provider has other keys or not: theirs are public ones, and the list of algorithms is ours.
        let algorithm = header.algorithm;
        let listed = self.rules.algorithms.as_ref();
        if algorithm.family() == AlgorithmFamily::Hmac
            || listed.is_some_and(|allowed| !allowed.contains(&algorithm))
        {
            return RejectionKind::AlgorithmNotAllowed.into();
        }
        let id = header.key_id.as_deref();
        let same_id = |key: &PreparedKey| id.is_some() && key.id() == id;
        if let Some((snapshot, _)) = seen
            && snapshot.keys.keys().iter().any(same_id)
        {
            // The key is here, but it is another algorithm's, or there are two of the name.
            return RejectionKind::KeyUnknown.into();
        }
        if let Asking::Over = asking {
            return match seen {
                Some(_) => RejectionKind::KeyUnknown.into(),
                None => RejectionKind::KeysUnavailable.into(),
            };
        }
        match refresher.missing(id, seen.map(|(_, epoch)| epoch), now) {
            Missing::Unknown => RejectionKind::KeyUnknown.into(),
            Missing::Unavailable => RejectionKind::KeysUnavailable.into(),
            Missing::Wait(waiting) => Doubt::KeyMissing(MissingKey {
                id: id.map(Into::into),
                waiting,
            }),
        }
    }

    fn verify(
        &self,
        snapshot: &Snapshot,
        token: &BearerToken<'_>,
        compact: Compact<'_>,
        now: impl FnOnce() -> Duration,
    ) -> Result<Arc<VerifiedToken>, RejectionKind> {
        let rules = &self.rules;

        let mut room = Room::<512>::new();
        let header = match snapshot.headers.find(compact.header) {
            Some(known) => HeaderOnce::Known(known),
            None => HeaderOnce::Fresh(Header::parse(room.decode_text(compact.header)?)?),
        };
        let mut keys = snapshot.keys_for(header.get())?;

        let mut room = Room::<2048>::new();
        let payload = room.decode_text(compact.payload)?;
        let members = Members::find(payload, rules)?;
        let now = now();
        members.refuse_expired(payload, rules, now)?;

        let mut room = Room::<1024>::new();
        let signature = room.decode(compact.signature)?;
        if !keys.any(|key| key.verifies(compact.signed.as_bytes(), signature)) {
            return Err(RejectionKind::SignatureInvalid);
        }
        // They borrow from the header, which the token now takes along.
        drop(keys);

        let claims = members.judge(payload, rules, now)?;
        if !rules.token_type.admits(header.get().media_type.as_deref()) {
            return Err(RejectionKind::TypeMismatch);
        }
        Ok(Arc::new(VerifiedToken {
            token: token.clone().into_owned(),
            header: match header {
                HeaderOnce::Known(known) => Arc::clone(known),
                HeaderOnce::Fresh(fresh) => snapshot.headers.keep(compact.header, fresh),
            },
            payload: payload.into(),
            claims,
            typed: OnceLock::new(),
        }))
    }
}

/// A header that was met before, or one that was read just now.
enum HeaderOnce<'s, 'h> {
    Known(&'s Arc<Header<'static>>),
    Fresh(Header<'h>),
}

impl<'h> HeaderOnce<'_, 'h> {
    fn get(&self) -> &Header<'h> {
        match self {
            Self::Known(known) => known,
            Self::Fresh(fresh) => fresh,
        }
    }
}

impl Snapshot {
    fn prepare(
        keys: &Keys,
        rules: &Rules,
        backend: CryptoBackend,
        epoch: u64,
    ) -> Result<Self, ConfigError> {
        let keys = KeySet::prepare(keys, rules.algorithms.as_deref(), backend)?;
        Ok(Self::new(keys, epoch))
    }

    fn new(keys: KeySet, epoch: u64) -> Self {
        Self {
            keys,
            headers: HeaderMemo::default(),
            epoch,
        }
    }

    /// The keys that may have signed a token with this header: one at least. Keys are prepared for allowed algorithms
    /// only, so an algorithm without a key is one that is not allowed.
    fn keys_for<'s>(
        &'s self,
        header: &Header<'_>,
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
            .peekable();
        match candidates.peek() {
            Some(_) => Ok(candidates),
            None => Err(RejectionKind::KeyUnknown),
        }
    }
}

impl Doubt {
    /// What it comes to if nobody waits.
    fn kind(&self) -> RejectionKind {
        match self {
            Self::Rejected(kind) => *kind,
            #[cfg(feature = "jwks")]
            Self::KeyMissing(_) => RejectionKind::KeysUnavailable,
        }
    }
}

impl From<RejectionKind> for Doubt {
    fn from(kind: RejectionKind) -> Self {
        Self::Rejected(kind)
    }
}

#[cfg(feature = "jwks")]
impl MissingKey {
    /// Waits for the provider, and verifies once more with what it answered.
    async fn settle(
        mut self,
        shared: Arc<Shared>,
        token: BearerToken<'static>,
    ) -> Result<Arc<VerifiedToken>, Rejection> {
        if !self.waiting.fetched().await {
            return Err(RejectionKind::KeysUnavailable.into());
        }
        let doubt = match shared.attempt(&token, Asking::Over) {
            Ok(verified) => return Ok(verified),
            Err(doubt) => doubt.kind(),
        };
        if doubt == RejectionKind::KeyUnknown {
            self.waiting.not_found(self.id.as_deref());
        }
        Err(doubt.into())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

impl fmt::Debug for Shared {
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
        }
        shared.finish_non_exhaustive()
    }
}
