//! From the settings of a builder to the gate of a layer: every check, and the order in which parts are made.

use std::{env, ffi::OsString, sync::Arc};

use super::{
    AuthLayer, AuthLayerBuilder, Face,
    gate::Gate,
    places::Answered,
    verification::{Verification, absent},
};
#[cfg(feature = "introspection")]
use crate::Introspection;
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{
    ConfigError, CredentialKind, Keys, Verifier,
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

    pub(super) fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(|name| env::var_os(name))
    }

    fn from_variables(value: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let variable = |name| variable(name, value(name));
        let secret = variable("JWT_SECRET")?.ok_or(ConfigError::Missing {
            name: "JWT_SECRET",
            problem: "tokens are verified with it",
        })?;
        let mut builder = Self::with_keys(Keys::hs256([secret])?);
        if let Some(issuer) = variable("JWT_ISSUER")? {
            builder = builder.with_issuer(issuer);
        }
        if let Some(audience) = variable("JWT_AUDIENCE")? {
            builder = builder.with_audience(audience);
        }
        Ok(builder)
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
        self.refusals.check()?;
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
            contexts.push(Arc::new(context));
            sources.push(place.source);
        }
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
            stripped: self.stripped,
            preflight: self.preflight,
            requirements: self.requirements,
            layer,
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

/// An environment variable as text; an empty one counts as not set.
fn variable(name: &'static str, value: Option<OsString>) -> Result<Option<String>, ConfigError> {
    match value.map(OsString::into_string).transpose() {
        Ok(value) => Ok(value.filter(|value| !value.is_empty())),
        // It may be a secret, so it is not shown.
        Err(_) => Err(ConfigError::Setting {
            name,
            value: String::from("(not UTF-8)"),
            problem: "an environment variable is read as UTF-8",
        }),
    }
}

#[cfg(all(test, feature = "aws-lc-rs"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{convert::Infallible, future::ready};

    use http::{Request, Response};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::{Bearer, SigningKey, TokenIssuer};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn from(variables: &[(&str, &str)]) -> Result<AuthLayerBuilder<Bearer>, ConfigError> {
        AuthLayerBuilder::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn what_is_missing_or_weak_is_named() {
        for (variables, named) in [
            (&[][..], "JWT_SECRET"),
            (&[("JWT_SECRET", "")], "JWT_SECRET"),
            (&[("JWT_SECRET", "short")], "has 5"),
        ] {
            let error = from(variables).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_cannot_be_read_is_not_shown() {
        use std::os::unix::ffi::OsStringExt;

        let secret = OsString::from_vec([SECRET.as_bytes(), &[0xff]].concat());
        let builder = AuthLayerBuilder::<Bearer>::from_variables(|_| Some(secret.clone()));
        let error = builder.unwrap_err();
        assert!(error.to_string().contains("JWT_SECRET"), "{error}");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("0123456789"), "{text}");
        }
    }

    #[tokio::test]
    async fn issuer_and_audience_are_demanded_where_they_are_named() {
        let issuer = |name: &str, audience: &str| {
            TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
                .with_issuer(name)
                .with_audience(audience)
                .build()
                .unwrap()
        };
        let named = [
            ("JWT_SECRET", SECRET),
            ("JWT_ISSUER", "us"),
            ("JWT_AUDIENCE", "orders"),
        ];
        let layer = from(&named).unwrap().build().unwrap();
        for (name, audience, status) in [
            ("us", "orders", 200),
            ("them", "orders", 401),
            ("us", "bills", 401),
        ] {
            let token = issuer(name, audience).mint("alice").sign().unwrap();
            let request = Request::get("/")
                .header("authorization", format!("Bearer {}", token.expose()))
                .body(String::new())
                .unwrap();
            let inner = service_fn(|_| ready(Ok::<_, Infallible>(Response::new(String::new()))));
            let response = layer.layer(inner).oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{name} {audience}");
        }
    }
}
