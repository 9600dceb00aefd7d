//! From the settings of a builder to the gate of a layer: every check, and the order in which parts are made.

use std::sync::Arc;

use super::{
    AuthLayer, AuthLayerBuilder, Face,
    gate::Gate,
    https::HttpsSetting,
    passage::vary,
    places::Answered,
    verification::{Verification, absent},
};
#[cfg(feature = "introspection")]
use crate::Introspection;
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{
    ConfigError, CredentialKind, Keys, KeysFromEnv, Verifier,
    connection::{Redeemer, Renewal},
    principal::{Context, LayerContext},
    request::{AllowedOrigins, PathTemplate},
    verify::Authenticate,
};

impl<F: Face> AuthLayerBuilder<F> {
    pub(super) fn with_keys(keys: Keys) -> Self {
        Self::new(Verification::fresh(keys))
    }

    pub(super) fn with_verifier(verifier: Verifier) -> Self {
        Self::new(Verification::shared(verifier))
    }
}

#[cfg(feature = "jwks")]
impl<F: Face> AuthLayerBuilder<F, RemoteKeys> {
    pub(super) fn with_remote_keys(keys: RemoteKeys) -> Self {
        Self::new(Verification::remote(keys))
    }
}

#[cfg(feature = "introspection")]
impl<F: Face> AuthLayerBuilder<F, Introspection> {
    pub(super) fn with_introspection(introspection: Introspection) -> Self {
        Self::new(Verification::introspecting(introspection))
    }
}

impl<F: Face, K> AuthLayerBuilder<F, K> {
    /// Everything that has to be in order before a verifier is built.
    fn check(&mut self) -> Result<(), ConfigError> {
        self.add_defaults();
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.check_places()?;
        self.refusals.check()?;
        self.https.settle(self.public_origin.as_deref())?;
        self.stripped.validate()
    }

    fn assemble(mut self, verifier: Option<&Verifier>) -> Result<AuthLayer<F>, ConfigError> {
        // Last, whatever order the settings came in: other paths or refusals may have been set since.
        if let Some(metadata) = &self.metadata {
            self.paths = metadata.exempted(self.paths);
            self.refusals = self.refusals.naming(metadata.url());
        }
        let refusals = self.refusals;
        #[cfg(feature = "ws")]
        let refusals = match self.websocket_refusal {
            Some(refusal) => refusals.with_websocket_refusal(refusal),
            None => refusals,
        };
        if self.https != HttpsSetting::Optional && !self.clients.has_proxies() {
            tracing::warn!(
                target: "tower_warden",
                "https is required and no proxy is trusted, so every request from beyond this machine is refused: name \
                 the proxies with `with_trusted_proxies`",
            );
        }
        let paths = self.paths.compile()?;
        tracing::info!(target: "tower_warden", paths = %paths.table(), "auth layer built");
        let layer = Arc::new(LayerContext {
            refusals,
            connection_cap: self.connection_cap,
            renewal: match self.own_requirements && self.renewal_rules.is_empty() {
                true => Renewal::Refused,
                false => Renewal::By(self.renewal_rules),
            },
            bindings: self.bindings,
            revocations: self.revocations,
            clients: self.clients,
        });
        let verifiers: Arc<[Verifier]> = verifier
            .into_iter()
            .cloned()
            .chain(
                self.sources
                    .iter()
                    .filter_map(|place| match &place.answered {
                        Answered::By(verifier) => Some(verifier.clone()),
                        Answered::ByLayer | Answered::ByOffice(_) | Answered::ByKeys(_) => None,
                    }),
            )
            .collect();
        let mut sources = Vec::with_capacity(self.sources.len());
        let mut contexts = Vec::with_capacity(self.sources.len());
        for place in self.sources {
            let authenticator: Arc<dyn Authenticate> = match place.answered {
                Answered::ByLayer => Arc::new(verifier.ok_or_else(absent)?.clone()),
                Answered::By(verifier) => Arc::new(verifier),
                Answered::ByOffice(office) => {
                    Arc::new(Redeemer::new(office, Arc::clone(&verifiers)))
                }
                Answered::ByKeys(keys) => Arc::new(keys),
            };
            let token_kind = match place.source.is_ambient() {
                true => CredentialKind::Session,
                false => CredentialKind::Token,
            };
            let name = place.source.name();
            let context = Context::new(name, token_kind, authenticator, Arc::clone(&layer));
            contexts.push(context);
            sources.push(place.source);
        }
        let vary = vary(&sources);
        let https = self.https.settle(self.public_origin.as_deref())?;
        Ok(AuthLayer::over(Gate {
            paths,
            sources,
            contexts,
            conflict: self.conflict,
            conflicts_on: self
                .conflicts_on
                .iter()
                .map(|(pattern, policy)| Ok((PathTemplate::parse(pattern)?, *policy)))
                .collect::<Result<_, ConfigError>>()?,
            origins: AllowedOrigins::new(self.origins)?.with_missing(self.missing_origin),
            passes_as_it_came: self.stripped.is_none() && https.is_none(),
            https,
            stripped: self.stripped,
            preflight: self.preflight,
            requirements: self.requirements,
            layer,
            vary,
        }))
    }
}

impl<F: Face> AuthLayerBuilder<F> {
    /// Checks all settings and makes the layer.
    ///
    /// What the layer guards is logged once, here.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first setting that cannot be served safely.
    pub fn build(mut self) -> Result<AuthLayer<F>, ConfigError> {
        self.check()?;
        let verifier = self.verification.build()?;
        self.verification = Verification::absent();
        self.assemble(verifier.as_ref())
    }
}

impl<F: Face> AuthLayerBuilder<F, KeysFromEnv> {
    /// Checks all settings, fetches the keys where they are a provider's, and makes the layer.
    ///
    /// It has to be awaited in a tokio runtime where the keys are a provider's. What the layer guards is logged once, here.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first setting that cannot be served safely, or if the provider does not answer with keys
    /// that can be used.
    pub async fn build(mut self) -> Result<AuthLayer<F>, ConfigError> {
        self.check()?;
        let verifier = self.verification.build().await?;
        self.verification = Verification::absent();
        self.assemble(verifier.as_ref())
    }
}

#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
impl<F: Face> AuthLayerBuilder<F, RemoteKeys> {
    /// Checks all settings, fetches the keys, and makes the layer.
    ///
    /// It has to be awaited in a tokio runtime. What the layer guards is logged once, here.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Keys`] if the provider does not answer with keys that can be used, otherwise the first setting
    /// that cannot be served safely.
    pub async fn build(mut self) -> Result<AuthLayer<F>, ConfigError> {
        self.check()?;
        let verifier = self.verification.build().await?;
        self.verification = Verification::absent();
        self.assemble(verifier.as_ref())
    }
}

#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
impl<F: Face> AuthLayerBuilder<F, Introspection> {
    /// Checks all settings, finds the endpoint if it has to be discovered, and makes the layer.
    ///
    /// It has to be awaited in a tokio runtime. What the layer guards is logged once, here.
    ///
    /// # Errors
    ///
    /// As for [`VerifierBuilder::build`](crate::VerifierBuilder::build), otherwise the first setting that cannot be served
    /// safely.
    pub async fn build(mut self) -> Result<AuthLayer<F>, ConfigError> {
        self.check()?;
        let verifier = self.verification.build().await?;
        self.verification = Verification::absent();
        self.assemble(verifier.as_ref())
    }
}
