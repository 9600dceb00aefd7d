//! From the name of an issuer to the address of its keys ([OpenID Connect Discovery], [RFC 8414]).
//!
//! [OpenID Connect Discovery]: https://openid.net/specs/openid-connect-discovery-1_0.html
//! [RFC 8414]: https://www.rfc-editor.org/rfc/rfc8414

use std::{
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    KeyFetchError,
    endpoint::Endpoint,
    fetch::{Document, HttpFetch},
    source::{Fetching, KeyFetcher, malformed},
};
use crate::keys::shown::shown;

/// How long a discovery document is believed that does not say so itself.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What an issuer publishes about itself, as far as a resource server needs it.
#[derive(Debug)]
#[cfg_attr(not(feature = "introspection"), allow(dead_code))]
pub(crate) struct ProviderMetadata {
    jwks_uri: Endpoint,
    /// Where an access token is exchanged for claims about its user.
    pub(crate) userinfo_endpoint: Option<String>,
    /// Where an opaque token is looked up ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).
    pub(crate) introspection_endpoint: Option<String>,
    /// Those of the stated algorithms that this crate verifies. They are said of ID tokens, so they are a hint only:
    /// for keys that do not say themselves what they are for.
    pub(crate) algorithms: Vec<Algorithm>,
}

#[derive(Deserialize)]
struct Published {
    issuer: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
}

/// The keys of an issuer, found by its name.
///
/// The document is asked for at the first fetch, and again when its lifetime is over or its address of keys fails or
/// answers with something else.
#[derive(Debug)]
pub(super) struct DiscoveredSource {
    /// Whose document is asked for.
    name: String,
    /// What it has to state as its issuer.
    issuer: String,
    places: Vec<Endpoint>,
    http: HttpFetch,
    known: Mutex<Option<Known>>,
}

/// What a discovery document said about the keys.
#[derive(Debug)]
struct Known {
    jwks_uri: Endpoint,
    algorithms: Vec<Algorithm>,
    until: Instant,
}

impl DiscoveredSource {
    /// Checks the name; nothing is asked yet. Where one document speaks for several issuers, `issuer` is not its name.
    pub(super) fn over(http: HttpFetch, name: &str, issuer: &str) -> Result<Self, KeyFetchError> {
        Ok(Self {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            places: well_known(name)?,
            http,
            known: Mutex::new(None),
        })
    }

    async fn fetch_keys(&self) -> Result<Document, KeyFetchError> {
        let known = self.known().take();
        let known = match known.filter(|known| Instant::now() < known.until) {
            Some(known) => known,
            None => {
                let (metadata, lifetime) = self.discover().await?;
                Known {
                    jwks_uri: metadata.jwks_uri,
                    algorithms: metadata.algorithms,
                    until: Instant::now() + lifetime,
                }
            }
        };
        let mut keys = self.http.get(&known.jwks_uri).await?;
        keys.algorithms.clone_from(&known.algorithms);
        // Only an address that answered is kept, and that with keys: another one may have been published since.
        *self.known() = Some(known);
        Ok(keys)
    }

    /// Asks for the document in its three places, and believes the first one that answers.
    pub(super) async fn discover(&self) -> Result<(ProviderMetadata, Duration), KeyFetchError> {
        let mut first = None;
        for place in &self.places {
            match self.read(place).await {
                Err(error) if is_elsewhere(&error) => {
                    tracing::debug!(target: "tower_warden", url = place.as_str(), %error, "no discovery document here");
                    first.get_or_insert(error);
                }
                answer => return answer,
            }
        }
        Err(first.unwrap_or(KeyFetchError::Interrupted))
    }

    async fn read(&self, place: &Endpoint) -> Result<(ProviderMetadata, Duration), KeyFetchError> {
        let document = self.http.get(place).await?;
        let published: Published = serde_json::from_slice(&document.body)
            .map_err(|error| malformed("discovery document", &error))?;
        if published.issuer != self.issuer {
            return Err(KeyFetchError::IssuerMismatch {
                configured: self.issuer.clone(),
                stated: shown(&published.issuer),
            });
        }
        let jwks_uri = Endpoint::parse(&published.jwks_uri)?;
        // A provider out in the world has no business on our loopback.
        if place.url().scheme() == "https" && jwks_uri.url().scheme() != "https" {
            return Err(KeyFetchError::Address {
                url: shown(&published.jwks_uri),
                problem: "the `jwks_uri` of an https issuer has to be https",
            });
        }
        let stated = published.id_token_signing_alg_values_supported;
        let stated = stated.unwrap_or_default();
        let algorithms: Vec<_> = stated
            .iter()
            .filter_map(|name| Algorithm::from_str(name).ok())
            .collect();
        if algorithms.is_empty() && !stated.is_empty() {
            tracing::warn!(
                target: "tower_warden",
                issuer = self.issuer, algorithms = shown(&stated.join(", ")),
                "the issuer signs with algorithms that are not known here"
            );
        }
        let metadata = ProviderMetadata {
            jwks_uri,
            userinfo_endpoint: published.userinfo_endpoint,
            introspection_endpoint: published.introspection_endpoint,
            algorithms,
        };
        Ok((metadata, document.lifetime.unwrap_or(DEFAULT_LIFETIME)))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyFetcher for DiscoveredSource {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.fetch_keys())
    }

    fn rejected(&self) {
        *self.known() = None;
    }

    fn origin(&self) -> &str {
        &self.name
    }
}

/// Whether the document may stand in another place: nothing stood in this one, or a page for people.
fn is_elsewhere(error: &KeyFetchError) -> bool {
    match error {
        KeyFetchError::Status { status } => (400..500).contains(status) && *status != 429,
        KeyFetchError::Redirected | KeyFetchError::Malformed { .. } => true,
        _ => false,
    }
}

/// The places where the document of an issuer may stand, in the order in which they are asked:
///
/// 1. behind the issuer's path ([OpenID Connect Discovery §4.1]), as Keycloak, Okta and Entra have it;
/// 2. between host and path, for OAuth 2.0 ([RFC 8414 §3.1]);
/// 3. the same for OpenID Connect ([RFC 8414 §5]).
///
/// [OpenID Connect Discovery §4.1]: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationRequest
/// [RFC 8414 §3.1]: https://www.rfc-editor.org/rfc/rfc8414#section-3.1
/// [RFC 8414 §5]: https://www.rfc-editor.org/rfc/rfc8414#section-5
fn well_known(issuer: &str) -> Result<Vec<Endpoint>, KeyFetchError> {
    let endpoint = Endpoint::parse(issuer)?;
    if endpoint.url().query().is_some() {
        return Err(KeyFetchError::Address {
            url: issuer.to_owned(),
            problem: "the name of an issuer has no query (RFC 8414 §2)",
        });
    }
    let path = endpoint.url().path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut places: Vec<Endpoint> = Vec::new();
    for place in [
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ] {
        let mut url = endpoint.url().clone();
        url.set_path(&place);
        let place = Endpoint::parse(url.as_str())?;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_document_of_an_issuer_with_a_path_may_stand_in_three_places() {
        for (issuer, wanted) in [
            (
                "https://id.example/realms/acme",
                &[
                    "https://id.example/realms/acme/.well-known/openid-configuration",
                    "https://id.example/.well-known/oauth-authorization-server/realms/acme",
                    "https://id.example/.well-known/openid-configuration/realms/acme",
                ][..],
            ),
            (
                "https://id.example:8443/a%2Fb/",
                &[
                    "https://id.example:8443/a%2Fb/.well-known/openid-configuration",
                    "https://id.example:8443/.well-known/oauth-authorization-server/a%2Fb",
                    "https://id.example:8443/.well-known/openid-configuration/a%2Fb",
                ],
            ),
            (
                "https://tenant.example/",
                &[
                    "https://tenant.example/.well-known/openid-configuration",
                    "https://tenant.example/.well-known/oauth-authorization-server",
                ],
            ),
            (
                "https://accounts.example",
                &[
                    "https://accounts.example/.well-known/openid-configuration",
                    "https://accounts.example/.well-known/oauth-authorization-server",
                ],
            ),
        ] {
            let places = well_known(issuer).unwrap();
            let places: Vec<_> = places.iter().map(Endpoint::as_str).collect();
            assert_eq!(places, wanted, "{issuer}");
        }
    }

    #[test]
    fn the_name_of_an_issuer_is_an_address_without_query() {
        for issuer in [
            "",
            "id.example",
            "http://id.example",
            "https://id.example?a=b",
            "https://id.example#a",
            "https://u:p@id.example",
        ] {
            assert!(well_known(issuer).is_err(), "{issuer}");
        }
    }
}
