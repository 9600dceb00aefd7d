//! [`RemoteKeys`]: which provider is asked for keys, and with how much patience.

use std::{fmt, sync::Arc, time::Duration};

use jwks_client_rs::source::JwksSource;

use super::{
    KeyFetchError,
    discovery::DiscoveredSource,
    fetch::HttpFetch,
    http_hosts::HttpHosts,
    refresh::{Policy, Refresher},
    source::{ForeignSource, HttpJwksSource, KeyFetcher},
    tenants::Tenants,
};
use crate::{Clock, ConfigError, Keys, telemetry::shown_url};

/// Keys that a provider publishes and changes, as a [`Verifier`](crate::Verifier) uses them.
///
/// They are fetched when the verifier is built, and again in the background at 80 % of the lifetime that the provider
/// states (`Cache-Control`, held within 1 min and 24 h; 10 min if it states none). Verification never waits for that.
///
/// | what happens | what follows |
/// | --- | --- |
/// | a token names a key that is not there | one fetch, and the request waits for it, 2 s at most |
/// | such a fetch brings no new key | its token is refused; the next one of its kind is 30 s away, and until then a token with another unknown key is a 503 |
/// | a token came while a fetch was running, which did not bring its key | one more fetch, on the same terms |
/// | a key is gone from the set | tokens signed with it are refused from then on |
/// | a fetch fails | the keys stay; it is repeated after 1 s, 2 s, 4 s … 5 min |
/// | the keys are older than 24 h | 503 until they can be fetched again |
///
/// A provider may rotate as often as it likes, and sign with a key from the moment in which it publishes it: a fetch that
/// brings a key which was never there before does not count. One that signs before it publishes, or under a flood of
/// tokens with made-up keys, has to wait for the [floor](Self::with_refetch_floor). If its tokens have no `kid`, nothing
/// tells a new key from a forged signature: a rotation is noticed at the next refresh only.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tower_warden::{RemoteKeys, Verifier};
///
/// # async fn build() -> Result<(), tower_warden::ConfigError> {
/// let keys = RemoteKeys::jwks("https://id.example/.well-known/jwks.json")
///     .with_stale_limit(Duration::from_secs(60 * 60));
/// let verifier = Verifier::remote(keys)
///     .with_issuer("https://id.example")
///     .with_audience("orders")
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a verifier has to be built of it"]
pub struct RemoteKeys {
    place: Place,
    tenants: Option<Tenants>,
    client: Option<reqwest::Client>,
    http_from: Vec<String>,
    policy: Policy,
}

enum Place {
    Issuer(String),
    Address(String),
    Foreign(Arc<dyn KeyFetcher>),
}

impl RemoteKeys {
    /// Finds the keys of this issuer by its discovery document ([OpenID Connect Discovery], [RFC 8414]).
    ///
    /// The document is looked for in the three well-known places of an issuer with a path, and has to name the issuer
    /// exactly as it is given here, final slash included.
    ///
    /// Keys that state no `alg` serve those algorithms of `id_token_signing_alg_values_supported` that fit them and that
    /// [`with_algorithms`](crate::VerifierBuilder::with_algorithms) allows, if there is one; otherwise as if the document
    /// stated none.
    ///
    /// [OpenID Connect Discovery]: https://openid.net/specs/openid-connect-discovery-1_0.html
    /// [RFC 8414]: https://www.rfc-editor.org/rfc/rfc8414
    pub fn discover(issuer: impl Into<String>) -> Self {
        Self::new(Place::Issuer(issuer.into()))
    }

    /// Takes the JWK Set at this address: https, or http on loopback or from
    /// [hosts of a private network](Self::dangerous_http_from).
    pub fn jwks(url: impl Into<String>) -> Self {
        Self::new(Place::Address(url.into()))
    }

    /// Takes the keys of a source written for `jwks_client_rs`.
    ///
    /// They pass through the same checks as all others, as far as that crate hands over what they check: it keeps `use`
    /// of RSA keys only, and `key_ops` and `issuer` of none, so that another key in the set that is meant for encryption
    /// is taken for one that signs. Its `WebSource` refuses a whole set for one key that it cannot read. Prefer
    /// [`jwks`](Self::jwks) where the keys come over HTTP.
    pub fn source(source: impl JwksSource + Send + Sync + 'static) -> Self {
        Self::new(Place::Foreign(Arc::new(ForeignSource(source))))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            tenants: None,
            client: None,
            http_from: Vec::new(),
            policy: Policy::default(),
        }
    }

    /// Accepts the tokens of several issuers who share their keys, and whose names are this template with one of these
    /// tenants in the place of the open segment. Nobody else's: there is no wildcard.
    ///
    /// It takes the place of [`with_issuer`](crate::VerifierBuilder::with_issuer). `iss` has to equal the template with one
    /// of the tenants byte by byte, and a discovery document has to state the template itself, as it is given here. One
    /// document and one key set serve all tenants.
    ///
    /// Microsoft Entra publishes such a document for its [multi-tenant applications], and states for each key whose
    /// tokens it signs: a key whose `issuer` is the template serves every tenant, one that names an issuer serves that one
    /// alone.
    ///
    /// [multi-tenant applications]: https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-issuer
    ///
    /// # Examples
    /// ```
    /// use tower_warden::{ConfigError, JwtAuthLayer, RemoteKeys};
    ///
    /// async fn auth() -> Result<JwtAuthLayer, ConfigError> {
    ///     let keys = RemoteKeys::discover("https://login.microsoftonline.com/common/v2.0").with_tenants(
    ///         "https://login.microsoftonline.com/{tenantid}/v2.0",
    ///         ["8a6fbb1c-6c1c-4b6e-9c0e-0d9e6a1f2b3c", "f2f8b6f0-91a5-4a3f-8d0e-6c2a7b9d1e4f"],
    ///     );
    ///     JwtAuthLayer::remote(keys).with_audience("6e74172b-be56-4843-9ff4-e66a39bb12e3").build().await
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// // A template without an open segment, and a tenant that is a pattern, are refused before anybody is asked.
    /// for (template, tenant) in [
    ///     ("https://login.microsoftonline.com/common/v2.0", "8a6fbb1c-6c1c-4b6e-9c0e-0d9e6a1f2b3c"),
    ///     ("https://login.microsoftonline.com/{tenantid}/v2.0", "*"),
    /// ] {
    ///     let keys = RemoteKeys::discover("https://login.microsoftonline.com/common/v2.0");
    ///     let built = JwtAuthLayer::remote(keys.with_tenants(template, [tenant])).build().await;
    ///     assert!(matches!(built, Err(ConfigError::Setting { name: "with_tenants", .. })));
    /// }
    /// # }
    /// ```
    pub fn with_tenants<T: Into<String>>(
        mut self,
        template: impl Into<String>,
        tenants: impl IntoIterator<Item = T>,
    ) -> Self {
        let tenants = tenants.into_iter().map(Into::into).collect();
        self.tenants = Some(Tenants::new(template.into(), tenants));
        self
    }

    /// Asks with this client: for a proxy, a private certificate authority, or another TLS.
    ///
    /// By default one is made that follows no redirects, uses no proxy and takes 2 s to connect. Time and size of an
    /// answer are bounded whichever client it is.
    ///
    /// # Security
    /// Give it a client that follows no redirects: an answer that was led elsewhere is refused, but only after the
    /// other place was asked.
    pub fn with_client(mut self, client: reqwest::Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Asks these hosts over http, for a provider inside of a cluster: names (`keycloak`), ends of names
    /// (`*.svc.cluster.local`), addresses and networks (`10.0.0.0/8`). None by default.
    ///
    /// It covers the issuer, the address of the keys, and an address of the keys that the discovery document names. Each
    /// address of such a host has to be loopback, of RFC 1918 (`10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`) or of
    /// `fc00::/7`. Link-local addresses are refused, so a name can never lead to the metadata service of a cloud. The
    /// address that was checked is the one that is dialled. Such hosts are asked with the client of this crate, and not
    /// with that of [`with_client`](Self::with_client).
    ///
    /// An entry that is no host, or a network that is not private, is a [`ConfigError::Setting`] when the verifier is
    /// built.
    ///
    /// # Security
    /// A host on the way can replace the keys, and sign any token with a key of their own. Use it in a
    /// network that you trust as you trust the provider.
    ///
    /// # Examples
    /// ```no_run
    /// use tower_warden::{ConfigError, RemoteKeys, Verifier};
    ///
    /// # async fn build() -> Result<(), ConfigError> {
    /// let issuer = "http://keycloak:8080/realms/acme";
    /// let keys = RemoteKeys::discover(issuer).dangerous_http_from(["keycloak"]);
    /// let verifier = Verifier::remote(keys).with_audience("orders").build().await?;
    ///
    /// // Without it, http is for loopback only.
    /// assert!(Verifier::discover(issuer).build().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn dangerous_http_from<H: Into<String>>(
        mut self,
        hosts: impl IntoIterator<Item = H>,
    ) -> Self {
        self.http_from = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how long the provider may take for one answer, to its last byte: 100 ms to 30 s, 5 s by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.policy.timeout = timeout;
        self
    }

    /// Sets how long keys are used after the fetch that brought them, if all later ones fail: 1 min to 30 days, 24 h by
    /// default. A key that was withdrawn in that time goes on being accepted. A limit that is shorter than the lifetime
    /// of the keys takes its place, so that they are fetched at 80 % of it.
    pub fn with_stale_limit(mut self, limit: Duration) -> Self {
        self.policy.stale_limit = limit;
        self
    }

    /// Sets the least time between two fetches in vain that tokens with unknown keys may cause: 1 s to 10 min, 30 s by
    /// default. Tokens whose key the provider has withdrawn are counted apart, with the same time between their fetches.
    ///
    /// A fetch that brings a new key is not in vain, and the next may follow at once. A provider that signs with a key
    /// before it publishes it should be asked more often.
    pub fn with_refetch_floor(mut self, floor: Duration) -> Self {
        self.policy.floor = floor;
        self
    }

    /// Sets how long a request waits for a fetch that may bring its key: 10 s at most, 2 s by default.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.policy.patience = patience;
        self
    }

    /// The issuer whose keys they are, as its document states it: for tenants a template.
    pub(crate) fn issuer(&self) -> Option<&str> {
        if let Some(tenants) = &self.tenants {
            return Some(tenants.template());
        }
        match &self.place {
            Place::Issuer(issuer) => Some(issuer),
            Place::Address(_) | Place::Foreign(_) => None,
        }
    }

    /// Returns true where the issuers are the tenants of a template.
    pub(crate) fn has_tenants(&self) -> bool {
        self.tenants.is_some()
    }

    /// Returns the template and the names of all tenants, if there are any.
    ///
    /// # Errors
    /// As for [`Tenants::issuers`], and for an entry of [`dangerous_http_from`](Self::dangerous_http_from).
    pub(crate) fn tenants(&self) -> Result<Option<(&str, Vec<String>)>, ConfigError> {
        let hosts = HttpHosts::read(&self.http_from)?;
        let Some(tenants) = &self.tenants else {
            return Ok(None);
        };
        Ok(Some((tenants.template(), tenants.issuers(&hosts)?)))
    }

    /// Checks the settings, and begins without keys.
    pub(crate) fn open<T: Send + Sync + 'static>(
        self,
        clock: Arc<dyn Clock>,
        prepare: impl Fn(&Keys, u64) -> Option<T> + Send + Sync + 'static,
    ) -> Result<Refresher<T>, ConfigError> {
        self.policy.check()?;
        let hosts = HttpHosts::read(&self.http_from)?;
        let source = match self.place {
            Place::Foreign(source) => source,
            Place::Address(url) => {
                open(self.client, hosts, &self.policy, &url, HttpJwksSource::over)?
            }
            Place::Issuer(name) => {
                let template = self.tenants.as_ref().map(Tenants::template);
                open(self.client, hosts, &self.policy, &name, |http, name| {
                    DiscoveredSource::over(http, name, template.unwrap_or(name))
                })?
            }
        };
        Ok(Refresher::new(
            source,
            self.policy,
            clock,
            Box::new(prepare),
        ))
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            Place::Issuer(text) | Place::Address(text) => shown_url(text),
            Place::Foreign(source) => source.origin().to_owned(),
        };
        f.debug_struct("RemoteKeys")
            .field("place", &place)
            .field("tenants", &self.tenants)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

fn open<F: KeyFetcher>(
    client: Option<reqwest::Client>,
    hosts: HttpHosts,
    policy: &Policy,
    place: &str,
    over: impl FnOnce(HttpFetch, &str) -> Result<F, KeyFetchError>,
) -> Result<Arc<dyn KeyFetcher>, ConfigError> {
    client
        .map_or_else(HttpFetch::new, |client| Ok(HttpFetch::with_client(client)))
        .and_then(|http| http.within(policy.timeout).with_http_hosts(hosts))
        .and_then(|http| over(http, place))
        .map(|source| Arc::new(source) as Arc<dyn KeyFetcher>)
        .map_err(|error| ConfigError::keys(place, error))
}

impl Policy {
    fn check(&self) -> Result<(), ConfigError> {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        for (name, value, bounds, problem) in [
            (
                "with_timeout",
                self.timeout,
                second / 10..=30 * second,
                "choose between 100 ms and 30 s",
            ),
            (
                "with_stale_limit",
                self.stale_limit,
                minute..=30 * 24 * 60 * minute,
                "choose between 1 min and 30 days",
            ),
            (
                "with_refetch_floor",
                self.floor,
                second..=10 * minute,
                "choose between 1 s and 10 min",
            ),
            (
                "with_patience",
                self.patience,
                Duration::ZERO..=10 * second,
                "choose 10 s at most: clients do not wait longer either",
            ),
        ] {
            if !bounds.contains(&value) {
                return Err(ConfigError::Setting {
                    name,
                    value: format!("{value:?}"),
                    problem,
                });
            }
        }
        Ok(())
    }
}
