//! How a layer verifies: the settings of its [`Verifier`], at hand on the layer's own builder.

use std::time::Duration;

use super::{AuthLayerBuilder, Face};
#[cfg(feature = "introspection")]
use crate::Introspection;
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{
    Algorithm, CacheConfig, ClaimPath, Clock, ConfigError, Keys, KeysFromEnv, TokenType, Verifier,
    VerifierBuilder,
};

/// A verifier of the layer's own, or one that was made elsewhere.
#[derive(Debug)]
pub(super) enum Verification<K = Keys> {
    Fresh(Box<VerifierBuilder<K>>),
    Shared {
        verifier: Verifier,
        /// The first setting that was tried on it: too late, others may use it already.
        late: Option<&'static str>,
    },
    /// None: every place of the layer has somebody else who answers for it.
    Absent {
        /// The first setting that was tried on it.
        late: Option<&'static str>,
    },
}

impl Verification {
    pub(super) fn fresh(keys: Keys) -> Self {
        Self::Fresh(Box::new(Verifier::builder(keys)))
    }

    pub(super) fn build(self) -> Result<Option<Verifier>, ConfigError> {
        match self {
            Self::Fresh(builder) => builder.build().map(Some),
            other => other.made_elsewhere(),
        }
    }
}

impl Verification<KeysFromEnv> {
    /// Verifies with these keys, and demands the issuer by whose name they are found.
    pub(super) fn from_env(keys: KeysFromEnv, issuer: Option<&str>) -> Self {
        let builder = VerifierBuilder::new(keys);
        Self::Fresh(Box::new(match issuer {
            Some(issuer) => builder.with_issuer(issuer),
            None => builder,
        }))
    }

    pub(super) async fn build(self) -> Result<Option<Verifier>, ConfigError> {
        match self {
            Self::Fresh(builder) => builder.build().await.map(Some),
            other => other.made_elsewhere(),
        }
    }
}

#[cfg(feature = "jwks")]
impl Verification<RemoteKeys> {
    pub(super) fn remote(keys: RemoteKeys) -> Self {
        Self::Fresh(Box::new(Verifier::remote(keys)))
    }

    pub(super) async fn build(self) -> Result<Option<Verifier>, ConfigError> {
        match self {
            Self::Fresh(builder) => builder.build().await.map(Some),
            other => other.made_elsewhere(),
        }
    }
}

#[cfg(feature = "introspection")]
impl Verification<Introspection> {
    pub(super) fn introspecting(introspection: Introspection) -> Self {
        Self::Fresh(Box::new(Verifier::introspect(introspection)))
    }

    pub(super) async fn build(self) -> Result<Option<Verifier>, ConfigError> {
        match self {
            Self::Fresh(builder) => builder.build().await.map(Some),
            other => other.made_elsewhere(),
        }
    }
}

/// What is wrong where nobody answers for a token.
pub(super) const fn absent() -> ConfigError {
    ConfigError::Missing {
        name: "verifier",
        problem: "this layer verifies API keys only: give other sources theirs by `with_verified_source`",
    }
}

impl<K> Verification<K> {
    /// The verifier that was made elsewhere, if there is one: nothing may be set on it here.
    fn made_elsewhere(self) -> Result<Option<Verifier>, ConfigError> {
        match self {
            Self::Fresh(_) | Self::Absent { late: None } => Ok(None),
            Self::Absent { late: Some(_) } => Err(absent()),
            Self::Shared {
                verifier,
                late: None,
            } => Ok(Some(verifier)),
            Self::Shared {
                late: Some(name), ..
            } => Err(ConfigError::Setting {
                name,
                value: String::from("(on a shared verifier)"),
                problem: "set it where the verifier is built",
            }),
        }
    }

    pub(super) const fn absent() -> Self {
        Self::Absent { late: None }
    }

    pub(super) fn shared(verifier: Verifier) -> Self {
        Self::Shared {
            verifier,
            late: None,
        }
    }

    fn set(
        self,
        name: &'static str,
        setting: impl FnOnce(VerifierBuilder<K>) -> VerifierBuilder<K>,
    ) -> Self {
        match self {
            Self::Fresh(builder) => Self::Fresh(Box::new(setting(*builder))),
            Self::Shared { verifier, late } => Self::Shared {
                verifier,
                late: late.or(Some(name)),
            },
            Self::Absent { late } => Self::Absent {
                late: late.or(Some(name)),
            },
        }
    }
}

impl<F: Face, K> AuthLayerBuilder<F, K> {
    fn verify(
        mut self,
        name: &'static str,
        setting: impl FnOnce(VerifierBuilder<K>) -> VerifierBuilder<K>,
    ) -> Self {
        self.verification = self.verification.set(name, setting);
        self
    }

    /// Demands this issuer: see [`VerifierBuilder::with_issuer`].
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        self.verify("with_issuer", |verifier| verifier.with_issuer(issuer))
    }

    /// Demands this audience, or one of those named before: see [`VerifierBuilder::with_audience`].
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        self.verify("with_audience", |verifier| verifier.with_audience(audience))
    }

    /// Allows these algorithms only: see [`VerifierBuilder::with_algorithms`].
    pub fn with_algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.verify("with_algorithms", |verifier| {
            verifier.with_algorithms(algorithms)
        })
    }

    /// Sets the clock skew that is tolerated: see [`VerifierBuilder::with_leeway`].
    pub fn with_leeway(self, leeway: Duration) -> Self {
        self.verify("with_leeway", |verifier| verifier.with_leeway(leeway))
    }

    /// Demands a type of token: see [`VerifierBuilder::with_token_type`].
    pub fn with_token_type(self, token_type: TokenType) -> Self {
        self.verify("with_token_type", |verifier| {
            verifier.with_token_type(token_type)
        })
    }

    /// Demands access tokens as RFC 9068 has them: see [`VerifierBuilder::with_access_token_profile`].
    pub fn with_access_token_profile(self) -> Self {
        self.verify(
            "with_access_token_profile",
            VerifierBuilder::with_access_token_profile,
        )
    }

    /// Refuses older tokens: see [`VerifierBuilder::with_max_age`].
    pub fn with_max_age(self, age: Duration) -> Self {
        self.verify("with_max_age", |verifier| verifier.with_max_age(age))
    }

    /// Refuses longer tokens: see [`VerifierBuilder::with_max_token_size`].
    pub fn with_max_token_size(self, bytes: usize) -> Self {
        self.verify("with_max_token_size", |verifier| {
            verifier.with_max_token_size(bytes)
        })
    }

    /// Sets the claim that holds the roles: see [`VerifierBuilder::with_roles_claim`].
    pub fn with_roles_claim(self, path: impl Into<ClaimPath>) -> Self {
        self.verify("with_roles_claim", |verifier| {
            verifier.with_roles_claim(path)
        })
    }

    /// Sets how much memory verified tokens may take: see [`VerifierBuilder::with_cache`].
    pub fn with_cache(self, config: CacheConfig) -> Self {
        self.verify("with_cache", |verifier| verifier.with_cache(config))
    }

    /// Remembers no tokens: see [`VerifierBuilder::without_cache`].
    pub fn without_cache(self) -> Self {
        self.verify("without_cache", VerifierBuilder::without_cache)
    }

    /// Sets the clock: see [`VerifierBuilder::with_clock`].
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.verify("with_clock", |verifier| verifier.with_clock(clock))
    }

    /// Accepts tokens that name no audience: see [`VerifierBuilder::dangerous_without_audience`].
    pub fn dangerous_without_audience(self) -> Self {
        self.verify(
            "dangerous_without_audience",
            VerifierBuilder::dangerous_without_audience,
        )
    }

    /// Accepts tokens that never expire: see [`VerifierBuilder::dangerous_without_expiry`].
    pub fn dangerous_without_expiry(self) -> Self {
        self.verify(
            "dangerous_without_expiry",
            VerifierBuilder::dangerous_without_expiry,
        )
    }

    /// Accepts tokens without a subject: see [`VerifierBuilder::dangerous_without_subject`].
    pub fn dangerous_without_subject(self) -> Self {
        self.verify(
            "dangerous_without_subject",
            VerifierBuilder::dangerous_without_subject,
        )
    }

    /// Accepts tokens for anybody: see [`VerifierBuilder::dangerous_any_audience`].
    pub fn dangerous_any_audience(self) -> Self {
        self.verify(
            "dangerous_any_audience",
            VerifierBuilder::dangerous_any_audience,
        )
    }
}

#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
impl<F: Face> AuthLayerBuilder<F, RemoteKeys> {
    /// Builds without waiting for the first keys: see [`VerifierBuilder::with_lazy_keys`].
    pub fn with_lazy_keys(self) -> Self {
        self.verify("with_lazy_keys", VerifierBuilder::with_lazy_keys)
    }

    /// Accepts tokens of any issuer whom the keys belong to: see [`VerifierBuilder::dangerous_any_issuer`].
    pub fn dangerous_any_issuer(self) -> Self {
        self.verify(
            "dangerous_any_issuer",
            VerifierBuilder::dangerous_any_issuer,
        )
    }
}
