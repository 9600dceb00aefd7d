//! [`ApiKeys`]: makes keys, and tells who stands behind one.

use std::{
    fmt,
    sync::Arc,
    task::{self, Poll, Waker},
    time::Duration,
};

use serde_json::{Map, Value};

use super::{
    ApiKeyError, ApiKeyRecord, ApiKeyService, ApiKeyStore, ApiKeysBuilder, CreatedApiKey, Inserted,
    KeyHash, NewApiKey,
    text::{self, KeyText},
    usage::Usage,
};
use crate::{
    BearerToken, Clock, ConfigError, CredentialKind, HeadRef, Listing, NumericDate, Page,
    Rejection, RejectionKind, Revocation, RevocationError, RevocationTarget, Revocations,
    StoreError, SubjectId, VerifiedToken,
    http_util::ClientAddress,
    issue::Signer,
    keys::KeySet,
    verify::{Authenticate, Authentication},
    watch::{Watch, Watchers},
};

/// The number of keys that `revoke_all` reads at once.
const PAGE: u16 = 500;

/// How many seconds a revocation may be on its way: longer than any node that missed it goes without reading the whole.
const LONGEST_SPREAD: u64 = 30 * 24 * 60 * 60;

/// The API keys of a service: made, verified, listed, revoked.
///
/// A key looks like `tw_<id>_<secret>_<checksum>`, holds more than 256 bits of the system's randomness, and is shown
/// once, when it is made. The store keeps its HMAC-SHA256 under a *pepper*, a secret that the store does not have: who
/// reads the store cannot make up a key, and who writes to it cannot either.
///
/// A request with a key is a [`Principal`](crate::Principal) like any other: issuer and subject are those of the owner,
/// byte by byte, so that a key opens what its owner owns and nothing of a namesake; the
/// [`token_id`](crate::Principal::token_id) is the key's ID. Mount it by [`ApiKeyLayer`](crate::ApiKeyLayer), or beside
/// other sources by [`with_api_keys`](crate::AuthLayerBuilder::with_api_keys). Cloning it copies a pointer.
///
/// What is no key, by form or by checksum, is refused before the store is asked. A key that is unknown, revoked or has a
/// wrong secret is answered in one way: 401 `api_key_unknown`. A store that does not answer is a 503.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{ApiKeys, MemoryApiKeyStore, NewApiKey, RejectionKind, SubjectId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = ApiKeys::builder(MemoryApiKeyStore::new(), "a pepper of at least thirty-two bytes")
///     .with_prefix("acme")
///     .build()?;
/// let alice = SubjectId::new("https://id.example", "alice")?;
/// let wanted = NewApiKey::new(alice.clone())
///     .with_label("laptop")
///     .with_scopes(["chat:read"])
///     .with_lifetime(Duration::from_secs(90 * 24 * 60 * 60));
/// let created = keys.create(wanted).await?;
/// assert!(created.key().expose().starts_with("acme_"));
///
/// let token = keys.verify(created.key()).await?;
/// assert_eq!(token.subject(), Some("alice"));
/// assert!(token.has_scope("chat:read"));
///
/// assert!(keys.revoke(&alice, &created.record().id).await?);
/// let refused = keys.verify(created.key()).await.unwrap_err();
/// assert_eq!(refused.kind(), RejectionKind::ApiKeyUnknown);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ApiKeys(Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Arc<dyn ApiKeyStore>,
    pub(super) prefix: Box<str>,
    /// Hashes with the present pepper.
    pub(super) signer: Signer,
    /// Compares with the present pepper and those before, in constant time.
    pub(super) peppers: KeySet,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) most_keys: u16,
    pub(super) default_lifetime: Duration,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) usage: Usage,
    pub(super) watchers: Watchers<String>,
    /// By which the connections of revoked keys end, on every node.
    pub(super) revocations: Option<Revocations>,
}

impl ApiKeys {
    pub(super) fn with(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Keeps keys in this store, hashed under a pepper of at least 32 bytes, with the prefix `tw`.
    ///
    /// # Errors
    ///
    /// As for [`ApiKeysBuilder::build`].
    pub fn new(store: impl ApiKeyStore, pepper: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::builder(store, pepper).build()
    }

    /// Begins with a store and a pepper; [`ApiKeysBuilder::build`] ends it.
    pub fn builder(store: impl ApiKeyStore, pepper: impl AsRef<[u8]>) -> ApiKeysBuilder {
        ApiKeysBuilder::new(store, pepper.as_ref())
    }

    /// Makes a key. It is shown this once: what is kept is its hash.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError`] when something about it cannot be granted, or the store does not answer.
    pub async fn create(&self, wanted: NewApiKey) -> Result<CreatedApiKey, ApiKeyError> {
        wanted.check()?;
        let shared = &*self.0;
        let lifetime = wanted.lifetime(shared.default_lifetime, shared.max_lifetime)?;
        let now = self.now();
        // That an ID is taken by chance happens in no lifetime; that a store says so by mistake may.
        for _ in 0..3 {
            let text = KeyText::draw(&shared.prefix).ok_or(ApiKeyError::Randomness)?;
            let key = KeyText::parse(&text, &shared.prefix).ok_or(ApiKeyError::Randomness)?;
            let hash = shared.signer.sign(key.body.as_bytes());
            let hash = hash.as_deref().and_then(KeyHash::from_bytes);
            let record = ApiKeyRecord {
                id: key.id.to_owned(),
                hash: hash.ok_or(ApiKeyError::Randomness)?,
                owner: wanted.owner.clone(),
                label: wanted.label.clone(),
                scopes: wanted.scopes.clone(),
                created_at: now,
                expires_at: lifetime.map(|lifetime| {
                    NumericDate::from_secs(now.as_secs().saturating_add(lifetime.as_secs()))
                }),
                last_used_at: None,
            };
            match shared.store.insert(&record, shared.most_keys).await? {
                Inserted::Kept => {
                    let key = BearerToken::new((*text).clone());
                    return Ok(CreatedApiKey::new(key, record));
                }
                Inserted::LimitReached => return Err(ApiKeyError::TooMany),
                Inserted::IdTaken => {}
            }
        }
        Err(StoreError::new("the store takes no new ID").into())
    }

    /// Tells who stands behind a key.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] of the kind [`ApiKeyMalformed`](RejectionKind::ApiKeyMalformed),
    /// [`ApiKeyUnknown`](RejectionKind::ApiKeyUnknown), [`TokenExpired`](RejectionKind::TokenExpired) or
    /// [`StoreUnavailable`](RejectionKind::StoreUnavailable).
    pub async fn verify(&self, key: &BearerToken<'_>) -> Result<Arc<VerifiedToken>, Rejection> {
        let shared = &*self.0;
        let Some(text) = KeyText::parse(key.expose(), &shared.prefix) else {
            return Err(RejectionKind::ApiKeyMalformed.into());
        };
        let record = shared.store.find(text.id).await;
        let record = record
            .map_err(|error| Rejection::new(RejectionKind::StoreUnavailable).with_source(error))?
            // A store that folds letters has found another key.
            .filter(|record| record.id == text.id);
        // An unknown key costs as much as a wrong one, and is answered alike.
        let hash = record
            .as_ref()
            .map_or(&[0; 32], |record| record.hash.as_bytes());
        let mut peppers = shared.peppers.keys().iter();
        let matches = peppers.any(|pepper| pepper.verifies(text.body.as_bytes(), hash));
        let Some(record) = record.filter(|_| matches) else {
            return Err(RejectionKind::ApiKeyUnknown.into());
        };
        let now = self.now();
        if record.expires_at.is_some_and(|expiry| now >= expiry) {
            return Err(RejectionKind::TokenExpired.into());
        }
        let claims = claims(&record);
        let key = key.clone().into_owned();
        let kind = CredentialKind::ApiKey;
        let token = VerifiedToken::from_claims(kind, key, claims, shared.clock.now())?;
        self.note_use(&record, now).await;
        Ok(Arc::new(token))
    }

    /// Notes that a key was used. The request goes on whatever becomes of it.
    async fn note_use(&self, record: &ApiKeyRecord, now: NumericDate) {
        let shared = &*self.0;
        if shared.usage.note(&record.id, record.last_used_at, now)
            && let Err(error) = shared.store.touch(&record.id, now).await
        {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(target: "tower_warden", error, "the use of an API key could not be noted");
        }
    }

    /// Tells the store of all uses that it does not know yet: before the process ends, for one.
    ///
    /// While it runs, each key's use is told at most once a minute, along with a request.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer; what it was not told is kept for the next time.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let shared = &*self.0;
        for (id, used) in shared.usage.unwritten() {
            shared.store.touch(&id, used).await?;
            shared.usage.wrote(&id, used);
        }
        Ok(())
    }

    /// Revokes a key of this owner, from now on and on every node; says whether there was one.
    ///
    /// With [`with_revocations`](ApiKeysBuilder::with_revocations) the connections that were opened with it end too.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a store does not answer: the key may be good still, or its connections open. It can be tried
    /// again. Where there is [room for no more revocations](crate::RevocationError::Full) the key is gone all the same,
    /// but its connections stay open.
    pub async fn revoke(&self, owner: &SubjectId, id: &str) -> Result<bool, StoreError> {
        if !text::is_id(id) {
            return Ok(false);
        }
        let shared = &*self.0;
        let mut told = Ok(());
        // Before the key goes: once it has gone nobody could say whose connections they are, for another try.
        if let Some(revocations) = &shared.revocations
            && let Some(record) = shared.store.find(id).await?
            && record.owner == *owner
            && record.id == id
        {
            told = revocations.revoke(revocation(&record, self.now())).await;
            // Where there is no room another try would do no better, and the key is not to live for that.
            if matches!(told, Err(RevocationError::Store(_))) {
                return told.map(|()| false).map_err(StoreError::new);
            }
        }
        let revoked = shared.store.revoke(owner, id).await?;
        if revoked {
            shared.usage.forget(id);
            shared.watchers.tell(&id.to_owned());
        }
        told.map_err(StoreError::new)?;
        Ok(revoked)
    }

    /// Revokes all keys of this owner, from now on and on every node, and returns how many there were.
    ///
    /// Call it when the owner's password changes or the account ends. A
    /// [`Revocation::subject`] does not replace it: that one lapses, and keys may live longer.
    ///
    /// It lists and revokes until none is left to revoke. So a key that is created meanwhile goes too.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`revoke`](Self::revoke). Where the store answers, all keys are tried before the first error
    /// is returned. Call it again.
    pub async fn revoke_all(&self, owner: &SubjectId) -> Result<usize, StoreError> {
        let (mut count, mut first_error) = (0, None);
        loop {
            let page = Page::first().with_limit(PAGE);
            let listing = self.0.store.list(owner, &page).await?;
            let mut gone = 0;
            for record in &listing.items {
                match self.revoke(owner, &record.id).await {
                    Ok(true) => gone += 1,
                    // Another node was faster, or only its connections stay open.
                    Ok(false) => {}
                    Err(error) => _ = first_error.get_or_insert(error),
                }
            }
            count += gone;
            if gone == 0 {
                break;
            }
        }
        first_error.map_or(Ok(count), Err)
    }

    /// Has a function told of the ID of each key that is revoked here: it is the
    /// [`token_id`](crate::Principal::token_id) of its principals.
    ///
    /// It is called at once and in the task that revokes: it must be quick, and not block.
    pub fn on_revoke(&self, watcher: impl Fn(&str) + Send + Sync + 'static) -> Watch {
        self.0.watchers.add(move |id: &String| watcher(id))
    }

    /// The keys of an owner: everything but the keys themselves.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer.
    pub async fn list(
        &self,
        owner: &SubjectId,
        page: &Page,
    ) -> Result<Listing<ApiKeyRecord>, StoreError> {
        self.0.store.list(owner, page).await
    }

    /// A service by which principals make, list and revoke their own keys: see [`ApiKeyService`].
    #[must_use]
    pub fn service(&self) -> ApiKeyService {
        ApiKeyService::new(self.clone())
    }

    fn now(&self) -> NumericDate {
        NumericDate::from_secs(self.0.clock.now().as_secs())
    }
}

/// To be remembered until every node has heard of it: the key itself is gone from the store, and opens nothing more. For
/// ever it would fill a table that anybody who may make keys adds to.
fn revocation(record: &ApiKeyRecord, now: NumericDate) -> Revocation {
    let target = RevocationTarget::ApiKey(record.id.clone());
    let heard = NumericDate::from_secs(now.as_secs().saturating_add(LONGEST_SPREAD));
    let end = record.expires_at.map_or(heard, |expiry| expiry.min(heard));
    Revocation::new(target, end)
}

/// What a key says, as the claims of a token would.
fn claims(record: &ApiKeyRecord) -> String {
    let mut claims = Map::new();
    if !record.owner.issuer().is_empty() {
        claims.insert("iss".into(), record.owner.issuer().into());
    }
    claims.insert("sub".into(), record.owner.subject().into());
    claims.insert("jti".into(), record.id.as_str().into());
    claims.insert("iat".into(), record.created_at.as_secs().into());
    if let Some(expiry) = record.expires_at {
        claims.insert("exp".into(), expiry.as_secs().into());
    }
    claims.insert("scope".into(), record.scopes.join(" ").into());
    Value::from(claims).to_string()
}

impl Authenticate for ApiKeys {
    fn authenticate(
        &self,
        token: &BearerToken<'_>,
        _: HeadRef<'_>,
        _: &ClientAddress,
    ) -> Authentication {
        self.verify_renewal(token)
    }

    /// A connection that was opened with a key goes on with a newer one of the same owner.
    fn verify_renewal(&self, token: &BearerToken<'_>) -> Authentication {
        // Most junk is found out here, for nothing.
        if KeyText::parse(token.expose(), &self.0.prefix).is_none() {
            return Authentication::Now(Err(RejectionKind::ApiKeyMalformed.into()));
        }
        let (keys, token) = (self.clone(), token.clone().into_owned());
        let mut answer = Box::pin(async move { keys.verify(&token).await });
        // A store in memory answers at once; the first poll by whoever waits registers its waker for all others.
        match answer
            .as_mut()
            .poll(&mut task::Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => Authentication::Now(answer),
            Poll::Pending => Authentication::Later(answer),
        }
    }

    fn now(&self) -> Duration {
        self.0.clock.now()
    }

    fn accepts_until(&self, token: &VerifiedToken) -> Option<Duration> {
        let expiry = token.expires_at()?;
        Some(Duration::from_secs(expiry.as_secs()))
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys")
            .field("store", &self.0.store)
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}
