//! [`AuthLayerBuilder`]: what a layer guards, where it looks for tokens, and how it answers.
//!
//! Nothing here can fail but [`build`](AuthLayerBuilder::build), which names the offending value.

use std::{fmt, marker::PhantomData, net::IpAddr, sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, request::Parts};

use super::{Face, https::HttpsSetting, places::Place, verification::Verification};
use crate::{
    ConfigError, ConflictPolicy, Keys, MissingOrigin, Paths, Preflight, Principal, Refusals,
    ResourceBinding, ResourceMetadata, Revocations, StrippedHeaders, Verdict,
    authorize::Requirement, connection::RenewalRule, http_util::ClientAddress,
};

/// Configures a [`JwtAuthLayer`](crate::JwtAuthLayer) or a [`CookieAuthLayer`](crate::CookieAuthLayer).
#[must_use = "a builder does nothing until `build` is called"]
pub struct AuthLayerBuilder<F, K = Keys> {
    pub(super) verification: Verification<K>,
    pub(super) paths: Paths,
    pub(super) sources: Vec<Place>,
    pub(super) conflict: ConflictPolicy,
    pub(super) conflicts_on: Vec<(String, ConflictPolicy)>,
    pub(super) origins: Vec<String>,
    pub(super) missing_origin: MissingOrigin,
    pub(super) stripped: StrippedHeaders,
    pub(super) preflight: Preflight,
    pub(super) requirements: Vec<Requirement>,
    /// Set where the application has conditions of its own, which a renewal cannot ask.
    pub(super) own_requirements: bool,
    pub(super) refusals: Refusals,
    #[cfg(feature = "ws")]
    pub(super) websocket_refusal: Option<crate::WebSocketRefusal>,
    pub(super) metadata: Option<ResourceMetadata>,
    pub(super) connection_cap: Option<Duration>,
    pub(super) bindings: Vec<Arc<ResourceBinding>>,
    pub(super) renewal_rules: Vec<RenewalRule>,
    pub(super) revocations: Revocations,
    pub(super) clients: ClientAddress,
    pub(super) https: HttpsSetting,
    pub(super) public_origin: Option<String>,
    pub(super) failure: Option<ConfigError>,
    pub(super) face: PhantomData<fn() -> F>,
}

impl<F: Face, K> AuthLayerBuilder<F, K> {
    pub(super) fn new(verification: Verification<K>) -> Self {
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
            own_requirements: false,
            refusals: Refusals::default(),
            #[cfg(feature = "ws")]
            websocket_refusal: None,
            metadata: None,
            connection_cap: None,
            bindings: Vec::new(),
            renewal_rules: Vec::new(),
            revocations: Revocations::default(),
            clients: ClientAddress::default(),
            https: HttpsSetting::default(),
            public_origin: None,
            failure: None,
            face: PhantomData,
        }
    }

    /// Sets which paths are guarded; by default all of them.
    pub fn with_paths(mut self, paths: Paths) -> Self {
        self.paths = paths;
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
    /// Issuer, subject, scopes and roles are compared anyway. What [`require`](Self::require) asks of the request has to
    /// be asked here too, as a renewal has no request. A layer that has conditions of `require` and none of these refuses
    /// every renewal as [`Forbidden`](crate::RejectionKind::Forbidden), and the connection ends with its first token.
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

    /// Sets the proxies whose `X-Forwarded-For` is believed, by address or network: `10.0.0.7`, `10.0.0.0/8`. None by
    /// default: then the client is the peer of the connection.
    ///
    /// An entry that is no IP address counts as the address of the trusted proxy that passed it on; the log says so once.
    ///
    /// # Security
    ///
    /// Name proxies only that append to the header or write it anew. A network of the clients would let them choose their
    /// address. [`build`](Self::build) fails where an entry is neither, or is a network of all addresses.
    pub fn with_trusted_proxies<'p>(mut self, proxies: impl IntoIterator<Item = &'p str>) -> Self {
        for proxy in proxies {
            if let Err(error) = self.clients.trust(proxy) {
                self = self.failed(error);
            }
        }
        self
    }

    /// Sets how the peer of the connection is found: by default as a `SocketAddr` in the extensions, or with axum as its
    /// `ConnectInfo<SocketAddr>`. A request without one has no client address.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::JwtAuthLayer;
    ///
    /// # fn main() -> Result<(), tower_warden::ConfigError> {
    /// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?
    ///     .with_client_address(|headers, _| headers.get("fly-client-ip")?.to_str().ok()?.parse().ok())
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_client_address(
        mut self,
        address: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.clients.set_peer(address);
        self
    }

    /// Refuses requests over plain http with 403, before a token is looked for. Plain http is allowed by default.
    ///
    /// A request came over https where a [trusted proxy](Self::with_trusted_proxies) says so by `X-Forwarded-Proto` or
    /// `Forwarded`; one hop over http is enough for a refusal. Clients on this machine may use plain http: the peer is
    /// loopback, is no trusted proxy, and sends no forwarding header. A request whose peer is unknown is answered 500, and
    /// the log says what to do.
    ///
    /// Exempt paths and preflights are refused too. Mount a health check over plain http outside the layer.
    ///
    /// # Security
    ///
    /// A client that used plain http has sent its token in the clear: treat the token as known to others.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::JwtAuthLayer;
    ///
    /// # fn main() -> Result<(), tower_warden::ConfigError> {
    /// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?
    ///     .with_trusted_proxies(["10.0.0.0/8"])
    ///     .with_required_https()
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_required_https(mut self) -> Self {
        if self.https == HttpsSetting::Optional {
            self.https = HttpsSetting::Required;
        }
        self
    }

    /// Requires https as [`with_required_https`](Self::with_required_https) does, and answers a `GET` over plain http with
    /// 308 to the same path and query at the [public origin](Self::with_public_origin). WebSocket handshakes and other
    /// methods are refused with 403.
    ///
    /// [`build`](Self::build) fails without a public origin.
    pub fn with_https_redirect(mut self) -> Self {
        self.https = HttpsSetting::Redirected;
        self
    }

    /// Sets the origin at which clients find the service: `https://app.example`, without a slash at its end. None by
    /// default. [`build`](Self::build) fails where it is not an origin of https.
    pub fn with_public_origin(mut self, origin: impl Into<String>) -> Self {
        self.public_origin = Some(origin.into());
        self
    }

    /// Takes over the trusted proxies and the peer of another builder.
    #[cfg(feature = "accounts")]
    pub(crate) fn with_clients(mut self, clients: ClientAddress) -> Self {
        self.clients = clients;
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
    /// A renewal of a connection has no request to ask about. So a layer with conditions refuses renewals until
    /// [`require_renewal`](Self::require_renewal) says what to ask then.
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
        self.own_requirements = true;
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
        self.own_requirements = true;
        self
    }

    /// Demands that a token is for the resource that the request names: see [`ResourceBinding`].
    ///
    /// It is a condition among those of [`require`](Self::require), and as they are never skipped. A newer token of a
    /// connection has to be tied to the same resource.
    pub fn with_resource_binding(mut self, binding: ResourceBinding) -> Self {
        match binding.checked() {
            Ok(binding) => {
                let binding = Arc::new(binding);
                self.bindings.push(Arc::clone(&binding));
                let hook =
                    move |principal: &Principal, head: &Parts| binding.check(principal, head);
                self.requirements.push(Requirement::new(hook));
                self
            }
            Err(error) => self.failed(error),
        }
    }

    /// Keeps the first failure for [`build`](Self::build).
    pub(super) fn failed(mut self, error: ConfigError) -> Self {
        self.failure.get_or_insert(error);
        self
    }
}

impl<F, K> fmt::Debug for AuthLayerBuilder<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayerBuilder").finish_non_exhaustive()
    }
}
