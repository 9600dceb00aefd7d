//! [`TokenIssuer`]: one key that signs, and those that it used before.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use base64_simd::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{IssueError, JwkSetService, Mint, SigningKey, signer::Signer};
use crate::{
    BearerToken, Clock, ConfigError, CredentialKind, CryptoBackend, Key, Keys, SystemClock,
    verify::{CONNECTION_TYPE, is_media_type},
};

/// The longest life of a token.
pub(super) const LONGEST_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The longest signature in bytes, by an RSA key of 8192 bits.
const LONGEST_SIGNATURE: usize = 1024;

/// Mints tokens, rotates its keys, and publishes those that verify.
///
/// A clone shares the keys: a rotation is seen by all.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tower_warden::{Algorithm, SigningKey, TokenIssuer};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let issuer = TokenIssuer::builder(SigningKey::generate(Algorithm::ES256)?)
///     .with_issuer("https://id.example")
///     .with_audience("orders")
///     .with_lifetime(Duration::from_secs(900))
///     .build()?;
/// let token = issuer.mint("alice").with_claim("room", "r1").with_scopes(["chat"]).sign()?;
///
/// // What the issuer answers for cannot be overwritten.
/// assert!(issuer.mint("alice").with_claim("sub", "bob").sign().is_err());
///
/// // The new key signs at once; tokens of the old one verify until it is retired.
/// let old = issuer.key_id();
/// issuer.rotate(SigningKey::generate(Algorithm::ES256)?)?;
/// issuer.retire(&old.unwrap_or_default())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenIssuer(Arc<Shared>);

struct Shared {
    settings: Settings,
    backend: CryptoBackend,
    active: Arc<ArcSwap<Active>>,
    /// Held while keys change, never while a token is signed.
    change: Mutex<()>,
}

/// What every token of the issuer has in common.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) clock: Arc<dyn Clock>,
    lifetime: Duration,
    token_type: String,
}

/// The keys of one moment.
pub(super) struct Active {
    signer: Arc<Signer>,
    /// The header of each token, encoded, with its dot.
    header: Arc<str>,
    /// The prepared header of a connection token.
    connection_header: Arc<str>,
    /// The verifying half of the signing key first, then those published beside it.
    keys: Keys,
    /// The JWK Set of these keys.
    pub(super) jwk_set: Bytes,
}

impl Active {
    fn new(
        key: &SigningKey,
        others: impl IntoIterator<Item = Key>,
        settings: &Settings,
        backend: CryptoBackend,
    ) -> Result<Self, ConfigError> {
        let verifying = key.verification_key();
        // A key that was published ahead is not its own rival when its turn comes.
        let others = others
            .into_iter()
            .filter(|other| !other.is_same_public_key(&verifying));
        let keys = Keys::new([verifying.clone()].into_iter().chain(others))?;
        let algorithm = key.algorithm_name()?;
        let header = |token_type: &str| {
            let mut header = Map::new();
            header.insert("alg".into(), algorithm.as_str().into());
            header.insert("typ".into(), token_type.into());
            if let Some(id) = key.id() {
                header.insert("kid".into(), id.into());
            }
            let header = Value::from(header).to_string();
            URL_SAFE_NO_PAD.encode_to_string(header) + "."
        };
        Ok(Self {
            signer: Arc::new(key.prepare(backend)?),
            header: header(&settings.token_type).into(),
            connection_header: header(CONNECTION_TYPE).into(),
            jwk_set: publish(&keys),
            keys,
        })
    }

    /// The key that signs and, of the others, those that are wanted.
    fn keeping(&self, wanted: impl Fn(&Key) -> bool) -> Result<Self, ConfigError> {
        let keys = self.keys.iter().enumerate();
        let keys = Keys::new(
            keys.filter(|(index, key)| *index == 0 || wanted(key))
                .map(|(_, key)| key.clone()),
        )?;
        Ok(Self {
            signer: Arc::clone(&self.signer),
            header: Arc::clone(&self.header),
            connection_header: Arc::clone(&self.connection_header),
            jwk_set: publish(&keys),
            keys,
        })
    }

    fn key_id(&self) -> Option<&str> {
        self.keys.iter().next()?.id()
    }
}

/// The JWK Set of the public ones among these keys.
fn publish(keys: &Keys) -> Bytes {
    let public: Vec<Value> = keys.iter().filter_map(Key::public_jwk).collect();
    json!({ "keys": public }).to_string().into()
}

impl TokenIssuer {
    /// Starts from the key that signs.
    pub fn builder(key: SigningKey) -> TokenIssuerBuilder {
        TokenIssuerBuilder {
            key,
            published: Vec::new(),
            backend: None,
            settings: Settings {
                issuer: None,
                audiences: Vec::new(),
                clock: Arc::new(SystemClock),
                lifetime: Duration::from_secs(60 * 60),
                token_type: "JWT".to_owned(),
            },
        }
    }

    /// Starts a token for this subject (`sub`), which must not be empty.
    pub fn mint(&self, subject: impl Into<String>) -> Mint<'_> {
        Mint::new(self, subject.into(), self.0.settings.lifetime)
    }

    /// Signs with this key from now on, and goes on publishing the old one until it is [retired](Self::retire).
    ///
    /// A verifier elsewhere meets the new key when it next reads the JWK Set. Where that may take a while, publish the
    /// new key ahead, by [`with_published_keys`](TokenIssuerBuilder::with_published_keys).
    ///
    /// # Errors
    /// [`ConfigError::Key`] if the new key cannot be told from one that is published already: the old key stays.
    pub fn rotate(&self, key: SigningKey) -> Result<(), ConfigError> {
        let _held = self.hold();
        let others = self.verification_keys();
        let others = others.iter().cloned();
        let active = Active::new(&key, others, &self.0.settings, self.0.backend)?;
        self.0.active.store(Arc::new(active));
        Ok(())
    }

    /// Stops publishing a key: tokens that it signed are refused by whoever reads the keys anew.
    ///
    /// # Errors
    /// [`ConfigError::Key`] if this key signs at present, or is none of ours.
    pub fn retire(&self, key_id: &str) -> Result<(), ConfigError> {
        let _held = self.hold();
        let active = self.0.active.load_full();
        let refused = |problem: &str| ConfigError::Key {
            key: key_id.to_owned(),
            problem: problem.to_owned(),
        };
        if active.key_id() == Some(key_id) {
            return Err(refused("signs at present: rotate to another first"));
        }
        if !active.keys.iter().any(|key| key.id() == Some(key_id)) {
            return Err(refused("is not published by this issuer"));
        }
        let active = active.keeping(|key| key.id() != Some(key_id))?;
        self.0.active.store(Arc::new(active));
        Ok(())
    }

    /// Stops publishing every key but the one that signs.
    ///
    /// # Errors
    /// None that is known of: the key that signs has been checked already.
    pub fn retire_all(&self) -> Result<(), ConfigError> {
        let _held = self.hold();
        let active = self.0.active.load().keeping(|_| false)?;
        self.0.active.store(Arc::new(active));
        Ok(())
    }

    /// The ID of the key that signs at present.
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        self.0.active.load().key_id().map(str::to_owned)
    }

    /// The keys that verify the tokens of this issuer at present, secrets included: for a verifier in the same service.
    #[must_use]
    pub fn verification_keys(&self) -> Keys {
        self.0.active.load().keys.clone()
    }

    /// The public keys as a JWK Set ([RFC 7517 §5]); secrets are never part of it.
    ///
    /// [RFC 7517 §5]: https://www.rfc-editor.org/rfc/rfc7517#section-5
    #[must_use]
    pub fn jwk_set(&self) -> String {
        String::from_utf8_lossy(&self.0.active.load().jwk_set).into_owned()
    }

    /// A service that answers with the JWK Set of the moment, to be mounted at `/.well-known/jwks.json`.
    #[must_use]
    pub fn jwk_set_service(&self) -> JwkSetService {
        JwkSetService::new(Arc::clone(&self.0.active))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Signs these claims with the key of the moment, under the header of such tokens.
    pub(super) fn sign(
        &self,
        kind: CredentialKind,
        claims: &str,
    ) -> Result<BearerToken<'static>, IssueError> {
        let active = self.0.active.load();
        let header = match kind {
            CredentialKind::ConnectionToken => &active.connection_header,
            _ => &active.header,
        };
        // Room for the longest signature too: a text that had to move would leave a copy behind, unwiped.
        let room = header.len() + 2 * claims.len() + 2 * LONGEST_SIGNATURE;
        let mut token = String::with_capacity(room);
        token.push_str(header);
        URL_SAFE_NO_PAD.encode_append(claims, &mut token);
        let signature = active
            .signer
            .sign(token.as_bytes())
            .ok_or(IssueError::SigningFailed)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_append(signature, &mut token);
        Ok(BearerToken::new(token))
    }

    fn hold(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data: a change that panicked has changed nothing.
        self.0.change.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects what an issuer needs, by [`TokenIssuer::builder`].
#[must_use = "an issuer exists once it is built"]
pub struct TokenIssuerBuilder {
    key: SigningKey,
    published: Vec<Key>,
    backend: Option<CryptoBackend>,
    settings: Settings,
}

impl TokenIssuerBuilder {
    /// Sets the issuer (`iss`) of every token: none by default.
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.settings.issuer = Some(issuer.into());
        self
    }

    /// Adds an audience (`aud`) of every token: one is written as a string, several as an array.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.audiences.push(audience.into());
        self
    }

    /// Adds several audiences.
    pub fn with_audiences<S: Into<String>>(
        mut self,
        audiences: impl IntoIterator<Item = S>,
    ) -> Self {
        let audiences = audiences.into_iter().map(Into::into);
        self.settings.audiences.extend(audiences);
        self
    }

    /// Sets how long a token lives: from a second to a year, one hour by default; fractions of a second are cut off.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.lifetime = lifetime;
        self
    }

    /// Sets the header `typ`: `JWT` by default, `at+jwt` for access tokens by [RFC 9068 §2.1].
    ///
    /// `connection+jwt` is refused: [connection tokens](TokenIssuer::connection_token) have it.
    ///
    /// [RFC 9068 §2.1]: https://www.rfc-editor.org/rfc/rfc9068#section-2.1
    pub fn with_token_type(mut self, token_type: impl Into<String>) -> Self {
        self.settings.token_type = token_type.into();
        self
    }

    /// Sets the clock that `iat` and `exp` are read from: [`SystemClock`] by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Adds keys that are published without signing: those of before a restart, or the next one ahead of its turn.
    pub fn with_published_keys(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.published.extend(keys);
        self
    }

    /// Chooses the crypto backend: [`CryptoBackend::preferred`] by default.
    pub fn with_crypto_backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Builds the issuer.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for an empty issuer, audience or type, or a lifetime out of its range;
    /// [`ConfigError::Key`] for published keys that cannot be told apart; [`ConfigError::NoCryptoBackend`].
    pub fn build(self) -> Result<TokenIssuer, ConfigError> {
        let Settings {
            issuer,
            audiences,
            lifetime,
            token_type,
            ..
        } = &self.settings;
        let setting = |name, value: String, problem| ConfigError::Setting {
            name,
            value,
            problem,
        };
        if issuer.as_deref() == Some("") {
            let problem = "an empty issuer names nobody: leave the call out";
            return Err(setting("with_issuer", String::new(), problem));
        }
        if audiences.iter().any(String::is_empty) {
            let problem = "an empty audience names nobody: leave the call out";
            return Err(setting("with_audience", format!("{audiences:?}"), problem));
        }
        if lifetime.as_secs() == 0 || *lifetime > LONGEST_LIFETIME {
            let problem = "a token lives for at least a second and at most a year";
            return Err(setting("with_lifetime", format!("{lifetime:?}"), problem));
        }
        let media_type = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
        if token_type.is_empty() || !token_type.bytes().all(media_type) {
            let problem = "a type is a media type such as `JWT` or `at+jwt`";
            return Err(setting("with_token_type", token_type.clone(), problem));
        }
        if is_media_type(Some(token_type), CONNECTION_TYPE) {
            let problem = "this type is that of `connection_token`, which layers accept with its binding only";
            return Err(setting("with_token_type", token_type.clone(), problem));
        }
        let backend = match self.backend {
            Some(backend) => backend,
            None => CryptoBackend::preferred()?,
        };
        let active = Active::new(&self.key, self.published, &self.settings, backend)?;
        Ok(TokenIssuer(Arc::new(Shared {
            settings: self.settings,
            backend,
            active: Arc::new(ArcSwap::from_pointee(active)),
            change: Mutex::new(()),
        })))
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("settings", &self.0.settings)
            .field("keys", &self.0.active.load().keys)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuerBuilder")
            .field("key", &self.key)
            .field("published", &self.published)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
