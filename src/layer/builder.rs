//! [`AuthLayerBuilder`]: what a layer guards, where it looks for tokens, and how it answers.
//!
//! Nothing here can fail but [`build`](AuthLayerBuilder::build), which names the offending value.

use std::{env, fmt, iter, marker::PhantomData, sync::Arc, time::Duration};

use http::request::Parts;

use super::{AuthLayer, Face, gate::Gate, verification::Verification};
#[cfg(feature = "introspection")]
use crate::Introspection;
#[cfg(feature = "jwks")]
use crate::RemoteKeys;
use crate::{
    ConfigError, ConflictPolicy, Keys, MissingOrigin, Paths, Preflight, Principal, Refusals,
    ResourceBinding, ResourceMetadata, Revocations, StrippedHeaders, TicketOffice, TokenSource,
    Verdict, Verifier,
    authorize::Requirement,
    connection::{Redeemer, RenewalRule},
    principal::{Context, LayerContext},
    request::{AllowedOrigins, PathTemplate},
    verify::Authenticate,
};

/// A place where the token may travel, and who answers for it.
struct Place {
    source: Arc<dyn TokenSource>,
    answered: Answered,
}

/// Who answers for the tokens of a place.
enum Answered {
    ByLayer,
    By(Verifier),
    ByOffice(TicketOffice),
}

impl Place {
    fn new(source: impl TokenSource) -> Self {
        Self {
            source: Arc::new(source),
            answered: Answered::ByLayer,
        }
    }
}

/// Configures a [`JwtAuthLayer`](crate::JwtAuthLayer) or a [`CookieAuthLayer`](crate::CookieAuthLayer).
#[must_use = "a builder does nothing until `build` is called"]
pub struct AuthLayerBuilder<F, K = Keys> {
    pub(super) verification: Verification<K>,
    paths: Paths,
    sources: Vec<Place>,
    conflict: ConflictPolicy,
    conflicts_on: Vec<(String, ConflictPolicy)>,
    origins: Vec<String>,
    missing_origin: MissingOrigin,
    stripped: StrippedHeaders,
    preflight: Preflight,
    requirements: Vec<Requirement>,
    refusals: Refusals,
    #[cfg(feature = "ws")]
    websocket_refusal: Option<crate::WebSocketRefusal>,
    metadata: Option<ResourceMetadata>,
    connection_cap: Option<Duration>,
    renewal_rules: Vec<RenewalRule>,
    revocations: Revocations,
    failure: Option<ConfigError>,
    face: PhantomData<fn() -> F>,
}

impl<F: Face> AuthLayerBuilder<F> {
    pub(super) fn with_keys(keys: Keys) -> Self {
        Self::new(Verification::fresh(keys))
    }

    pub(super) fn with_verifier(verifier: Verifier) -> Self {
        Self::new(Verification::shared(verifier))
    }

    pub(super) fn from_env() -> Result<Self, ConfigError> {
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
    fn new(verification: Verification<K>) -> Self {
        Self {
            verification,
            paths: Paths::default(),
            sources: Vec::new(),
            conflict: ConflictPolicy::default(),
            conflicts_on: Vec::new(),
            origins: Vec::new(),
            missing_origin: MissingOrigin::default(),
            stripped: StrippedHeaders::default(),
            preflight: Preflight::default(),
            requirements: Vec::new(),
            refusals: Refusals::default(),
            #[cfg(feature = "ws")]
            websocket_refusal: None,
            metadata: None,
            connection_cap: None,
            renewal_rules: Vec::new(),
            revocations: Revocations::default(),
            failure: None,
            face: PhantomData,
        }
    }

    /// Sets which paths are guarded; by default all of them.
    pub fn with_paths(mut self, paths: Paths) -> Self {
        self.paths = paths;
        self
    }

    /// Adds a place where the token may travel, beside the layer's own and those added before.
    pub fn with_source(mut self, source: impl TokenSource) -> Self {
        self.add_defaults();
        self.sources.push(Place::new(source));
        self
    }

    /// Adds a place whose tokens have a verifier of their own, such as session cookies beside a provider's tokens.
    pub fn with_verified_source(mut self, source: impl TokenSource, verifier: Verifier) -> Self {
        self.add_defaults();
        self.sources.push(Place {
            source: Arc::new(source),
            answered: Answered::By(verifier),
        });
        self
    }

    /// Takes the tickets of this office too, in the query of WebSocket handshakes: see [`TicketOffice`].
    ///
    /// A ticket is as good here as the token that it was drawn with would be: one of this layer's verifiers has to accept
    /// the token's issuer, audience, type and age.
    pub fn with_tickets(mut self, office: TicketOffice) -> Self {
        self.add_defaults();
        self.sources.push(Place {
            source: Arc::new(office.source()),
            answered: Answered::ByOffice(office),
        });
        self
    }

    /// Sets the only places where the token may travel, in place of the layer's own and those added before.
    pub fn with_sources<T: TokenSource>(mut self, sources: impl IntoIterator<Item = T>) -> Self {
        self.sources = sources.into_iter().map(Place::new).collect();
        if self.sources.is_empty() {
            return self.failed(ConfigError::Missing {
                name: "with_sources",
                problem: "without a source no token can ever be found",
            });
        }
        self
    }

    /// Sets what happens when tokens come in several places; by default such a request is refused
    /// ([RFC 6750 §2]).
    ///
    /// [RFC 6750 §2]: https://www.rfc-editor.org/rfc/rfc6750#section-2
    pub fn with_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.conflict = policy;
        self
    }

    /// Sets the same for one path and all below it, such as `/agents/{agent}/{room}/get-messages`, where Cloudflare's
    /// clients send their token twice. The first path that fits decides.
    pub fn with_conflict_on(mut self, pattern: impl Into<String>, policy: ConflictPolicy) -> Self {
        self.conflicts_on.push((pattern.into(), policy));
        self
    }

    /// Sets the origins, beside the service's own, whose pages may use cookies for unsafe methods and upgrades:
    /// `https://app.example`, scheme and port included, no path. None by default.
    pub fn with_allowed_origins<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Sets whether an upgrade with a cookie may come without `Origin`; by default it is refused, as browsers always
    /// send one.
    pub fn with_missing_origin(mut self, policy: MissingOrigin) -> Self {
        self.missing_origin = policy;
        self
    }

    /// Sets which headers of a request never reach the inner service, exempt paths included; none by default.
    pub fn with_stripped_headers(mut self, headers: StrippedHeaders) -> Self {
        self.stripped = headers;
        self
    }

    /// Sets whether true CORS preflights pass without a token; by default they are guarded like any request, as a CORS
    /// layer outside this one answers them.
    pub fn with_preflight(mut self, preflight: Preflight) -> Self {
        self.preflight = preflight;
        self
    }

    /// Sets how refusals are answered; by default as `application/problem+json`.
    pub fn with_refusals(mut self, refusals: Refusals) -> Self {
        self.refusals = refusals;
        self
    }

    /// Adds a condition over the present principal of a connection and the one that a newer token names, asked when a
    /// connection is [renewed](crate::Lease::renew).
    ///
    /// Issuer, subject and scopes are compared anyway. Whatever else the request was let in for by
    /// [`require`](Self::require) has to be asked here, as a renewal has no request.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::JwtAuthLayer;
    ///
    /// # fn main() -> Result<(), tower_warden::ConfigError> {
    /// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?
    ///     .with_roles_claim("roles")
    ///     .require(|principal, _| principal.has_role("editor"))
    ///     .require_renewal(|_, next| next.has_role("editor"))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn require_renewal<R, V>(mut self, rule: R) -> Self
    where
        R: Fn(&Principal, &Principal) -> V + Send + Sync + 'static,
        V: Into<Verdict>,
    {
        self.renewal_rules.push(RenewalRule::new(rule));
        self
    }

    /// Describes this resource to its clients ([RFC 9728]): every challenge names the document, and the two paths at which
    /// it may be read are exempt for `GET`, `HEAD` and `OPTIONS`. See [`ResourceMetadata`], which has the service for them.
    ///
    /// [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728
    pub fn with_resource_metadata(mut self, metadata: &ResourceMetadata) -> Self {
        self.metadata = Some(metadata.clone());
        self
    }

    /// Sets what holds no longer although its time is not over: asked for every token, and able to end every open
    /// [`Lease`](crate::Lease). Layers may share it; none by default.
    pub fn with_revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = revocations;
        self
    }

    /// Sets how refused WebSocket handshakes are answered; by default as
    /// [`WebSocketRefusal::agents`](crate::WebSocketRefusal::agents) does.
    ///
    /// It outdoes what [`with_refusals`](Self::with_refusals) says about it.
    #[cfg(feature = "ws")]
    #[cfg_attr(docsrs, doc(cfg(feature = "ws")))]
    pub fn with_websocket_refusal(mut self, refusal: crate::WebSocketRefusal) -> Self {
        self.websocket_refusal = Some(refusal);
        self
    }

    /// Sets the longest life of a connection, however often it is [renewed](crate::Lease::renew); none by default.
    ///
    /// It counts from the moment the [`Lease`](crate::Lease) is opened. Without it a connection lasts as long as newer
    /// tokens come.
    pub fn with_connection_cap(mut self, cap: Duration) -> Self {
        self.connection_cap = Some(cap);
        self
    }

    /// Adds a condition over principal and request head, asked after verification and before the inner service.
    ///
    /// It may return a [`Verdict`], a `bool`, or a `Result<(), Rejection>`. Conditions are asked in their order, until
    /// one does not admit. They are never skipped: where there is one, a request without a token is refused even on an
    /// [optional](crate::Access::Optional) path.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::JwtAuthLayer;
    ///
    /// # fn main() -> Result<(), tower_warden::ConfigError> {
    /// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?
    ///     .with_roles_claim("realm_access.roles")
    ///     .require(|principal, head| head.method == "GET" || principal.has_role("editor"))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn require<H, V>(mut self, hook: H) -> Self
    where
        H: Fn(&Principal, &Parts) -> V + Send + Sync + 'static,
        V: Into<Verdict>,
    {
        self.requirements.push(Requirement::new(hook));
        self
    }

    /// Adds a condition that has to be waited for, such as a question to a database. See [`require`](Self::require).
    ///
    /// The future takes along what it needs of principal and head: a principal is cheap to clone.
    pub fn require_async<H, V>(mut self, hook: H) -> Self
    where
        H: Fn(&Principal, &Parts) -> V + Send + Sync + 'static,
        V: Future<Output: Into<Verdict>> + Send + 'static,
    {
        self.requirements.push(Requirement::deferred(hook));
        self
    }

    /// Demands that a token is for the resource that the request names: see [`ResourceBinding`].
    ///
    /// It is a condition among those of [`require`](Self::require), and as they are never skipped.
    pub fn with_resource_binding(mut self, binding: ResourceBinding) -> Self {
        match binding.checked() {
            Ok(binding) => {
                let binding = Arc::new(binding);
                let renewed = Arc::clone(&binding);
                let hook =
                    move |principal: &Principal, head: &Parts| binding.check(principal, head);
                self.requirements.push(Requirement::new(hook));
                self.require_renewal(move |present, next| {
                    renewed.check_renewal(present.token(), next.token())
                })
            }
            Err(error) => self.failed(error),
        }
    }

    /// Everything that has to be in order before a verifier is built.
    fn check(&mut self) -> Result<(), ConfigError> {
        self.add_defaults();
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.refusals.check()?;
        self.stripped.validate()
    }

    fn assemble(mut self, verifier: &Verifier) -> Result<AuthLayer<F>, ConfigError> {
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
            renewal_rules: self.renewal_rules,
            revocations: self.revocations,
        });
        let verifiers: Arc<[Verifier]> = iter::once(verifier.clone())
            .chain(
                self.sources
                    .iter()
                    .filter_map(|place| match &place.answered {
                        Answered::By(verifier) => Some(verifier.clone()),
                        Answered::ByLayer | Answered::ByOffice(_) => None,
                    }),
            )
            .collect();
        let (sources, contexts) = self
            .sources
            .into_iter()
            .map(|place| {
                let authenticator: Arc<dyn Authenticate> = match place.answered {
                    Answered::ByLayer => Arc::new(verifier.clone()),
                    Answered::By(verifier) => Arc::new(verifier),
                    Answered::ByOffice(office) => {
                        Arc::new(Redeemer::new(office, Arc::clone(&verifiers)))
                    }
                };
                let context = Context {
                    source: place.source.name(),
                    authenticator,
                    layer: Arc::clone(&layer),
                };
                (place.source, Arc::new(context))
            })
            .unzip();
        Ok(AuthLayer::new(Gate {
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

    /// The layer's own sources come first, unless [`with_sources`](Self::with_sources) replaced them.
    fn add_defaults(&mut self) {
        if !self.sources.is_empty() || self.failure.is_some() {
            return;
        }
        match F::default_sources() {
            Ok(sources) => {
                let places = sources.into_iter().map(|source| Place {
                    source,
                    answered: Answered::ByLayer,
                });
                self.sources.extend(places);
            }
            Err(error) => self.failure = Some(error),
        }
    }

    /// Keeps the first failure for [`build`](Self::build).
    pub(super) fn failed(mut self, error: ConfigError) -> Self {
        self.failure.get_or_insert(error);
        self
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
        self.verification = Verification::shared(verifier.clone());
        self.assemble(&verifier)
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
        self.verification = Verification::shared(verifier.clone());
        self.assemble(&verifier)
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
        self.verification = Verification::shared(verifier.clone());
        self.assemble(&verifier)
    }
}

impl<F, K> fmt::Debug for AuthLayerBuilder<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayerBuilder").finish_non_exhaustive()
    }
}

/// The value of an environment variable; an empty one counts as not set.
fn variable(name: &'static str) -> Result<Option<String>, ConfigError> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(value)) => Err(ConfigError::Setting {
            name,
            value: value.to_string_lossy().into_owned(),
            problem: "the value is not UTF-8",
        }),
    }
}
