//! How a layer verifies: the settings of its [`Verifier`], at hand on the layer's own builder.

use std::time::Duration;

use super::{AuthLayerBuilder, Face};
use crate::{Algorithm, ClaimPath, Clock, ConfigError, Keys, TokenType, Verifier, VerifierBuilder};

/// A verifier of the layer's own, or one that was made elsewhere.
#[derive(Debug)]
pub(super) enum Verification {
    Fresh(Box<VerifierBuilder>),
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

    pub(super) fn shared(verifier: Verifier) -> Self {
        Self::Shared {
            verifier,
            late: None,
        }
    }

    fn set(
        self,
        name: &'static str,
        setting: impl FnOnce(VerifierBuilder) -> VerifierBuilder,
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

    /// What is wrong with a place that nobody answers for.
    pub(super) const fn absent() -> ConfigError {
        ConfigError::Missing {
            name: "verifier",
            problem: "this layer verifies API keys only: give other sources theirs by `with_verified_source`",
        }
    }

    pub(super) fn build(self) -> Result<Option<Verifier>, ConfigError> {
        match self {
            Self::Fresh(builder) => builder.build().map(Some),
            Self::Shared {
                verifier,
                late: None,
            } => Ok(Some(verifier)),
            Self::Absent { late: None } => Ok(None),
            Self::Absent { late: Some(_) } => Err(Self::absent()),
            Self::Shared {
                late: Some(name), ..
            } => Err(ConfigError::Setting {
                name,
                value: String::from("(on a shared verifier)"),
                problem: "set it where the verifier is built",
            }),
        }
    }
}

impl<F: Face> AuthLayerBuilder<F> {
    fn verify(
        mut self,
        name: &'static str,
        setting: impl FnOnce(VerifierBuilder) -> VerifierBuilder,
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

    /// Sets the clock: see [`VerifierBuilder::with_clock`].
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.verify("with_clock", |verifier| verifier.with_clock(clock))
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
