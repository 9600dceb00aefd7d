//! From the name of an issuer to the address of its keys ([OpenID Connect Discovery], [RFC 8414]).
//!
//! [OpenID Connect Discovery]: https://openid.net/specs/openid-connect-discovery-1_0.html
//! [RFC 8414]: https://www.rfc-editor.org/rfc/rfc8414

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    KeyFetchError,
    endpoint::Endpoint,
    fetch::{Document, HttpFetch},
    found::found,
    source::{Fetching, KeyFetcher},
};
use crate::{
    keys::jwk,
    telemetry::{shown, shown_url},
};

/// How long a discovery document is believed that does not say so itself.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The address that is looked for in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "introspection"), allow(dead_code))]
pub(crate) enum Wanted {
    /// The address of the keys.
    Keys,
    /// Where an opaque token is looked up ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).
    Introspection,
    /// Where an access token is exchanged for claims about its user.
    UserInfo,
}

impl Wanted {
    /// The member of the document that names the address.
    const fn member(self) -> &'static str {
        match self {
            Self::Keys => "jwks_uri",
            Self::Introspection => "introspection_endpoint",
            Self::UserInfo => "userinfo_endpoint",
        }
    }
}

/// The metadata of an issuer, as far as it is wanted.
#[derive(Debug)]
pub(super) struct ProviderMetadata {
    /// The address that is wanted.
    pub(super) endpoint: Endpoint,
    /// Those of the stated algorithms that this crate verifies. They are said of ID tokens, so they are a hint only:
    /// for keys that do not say themselves what they are for.
    algorithms: Vec<Algorithm>,
    lifetime: Duration,
}

#[derive(Deserialize)]
struct Published {
    issuer: String,
    id_token_signing_alg_values_supported: Option<Value>,
    /// All other members, of which only the wanted one is looked at.
    #[serde(flatten)]
    others: Map<String, Value>,
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
            places: well_known(&http, name)?,
            http,
            known: Mutex::new(None),
        })
    }

    async fn fetch_keys(&self) -> Result<Document, KeyFetchError> {
        let known = self.known().take();
        let known = match known.filter(|known| Instant::now() < known.until) {
            Some(known) => known,
            None => {
                let metadata = self.discover(Wanted::Keys).await?;
                Known {
                    jwks_uri: metadata.endpoint,
                    algorithms: metadata.algorithms,
                    until: Instant::now() + metadata.lifetime,
                }
            }
        };
        let mut keys = self.http.get(&known.jwks_uri).await?;
        keys.algorithms.clone_from(&known.algorithms);
        // Only an address that answered is kept, and that with keys: another one may have been published since.
        *self.known() = Some(known);
        Ok(keys)
    }

    /// Asks for the document in its three places, and believes the first one that names what is wanted.
    ///
    /// # Errors
    ///
    /// [`KeyFetchError::Discovery`] with the answer of each place that was asked.
    pub(super) async fn discover(&self, wanted: Wanted) -> Result<ProviderMetadata, KeyFetchError> {
        let mut answers = Vec::new();
        for place in &self.places {
            match self.read(place, wanted).await {
                Ok(metadata) => return Ok(metadata),
                Err(error) => {
                    tracing::debug!(target: "tower_warden", url = place.shown(), %error, "no discovery document here");
                    let is_last = !is_elsewhere(&error);
                    answers.push((place, error));
                    if is_last {
                        break;
                    }
                }
            }
        }
        // The sort is stable: of two that tell as much, the place that was asked first stays first.
        answers.sort_by_key(|(_, error)| rank(error));
        let texts = answers
            .iter()
            .map(|(place, error)| format!("{}: {error}", place.shown()));
        let texts: Vec<_> = texts.collect();
        let reason = answers.into_iter().next().map(|(_, error)| error);
        Err(KeyFetchError::Discovery {
            reason: Box::new(reason.unwrap_or(KeyFetchError::Interrupted)),
            answers: texts.join("; "),
        })
    }

    async fn read(
        &self,
        place: &Endpoint,
        wanted: Wanted,
    ) -> Result<ProviderMetadata, KeyFetchError> {
        let document = self.http.get(place).await?;
        let malformed = |problem| KeyFetchError::Malformed {
            wanted: "discovery document",
            problem,
        };
        let published: Published = serde_json::from_slice(&document.body)
            .map_err(|_| malformed(found(&document.body, "issuer")))?;
        if published.issuer != self.issuer {
            return Err(KeyFetchError::IssuerMismatch {
                configured: shown_url(&self.issuer),
                stated: shown_url(&published.issuer),
            });
        }
        let name = wanted.member();
        let url = match published.others.get(name) {
            Some(Value::String(url)) => url,
            Some(Value::Null) | None => {
                return Err(malformed(format!("found one without `{name}`")));
            }
            Some(_) => return Err(malformed(format!("found one whose `{name}` is no text"))),
        };
        let endpoint = self.http.endpoint(url)?;
        // A provider out in the world has no business on our loopback.
        if endpoint.is_plain_loopback() && !place.is_plain_loopback() {
            return Err(KeyFetchError::Address {
                url: shown_url(url),
                problem: "what an issuer names that is not on loopback itself has to be https",
            });
        }
        let algorithms = self.algorithms(published.id_token_signing_alg_values_supported);
        Ok(ProviderMetadata {
            endpoint,
            algorithms,
            lifetime: document.lifetime.unwrap_or(DEFAULT_LIFETIME),
        })
    }

    /// Reads the algorithms that the document states, as far as this crate verifies them.
    fn algorithms(&self, stated: Option<Value>) -> Vec<Algorithm> {
        let stated: Vec<String> = stated
            .and_then(|stated| serde_json::from_value(stated).ok())
            .unwrap_or_default();
        let algorithms: Vec<_> = stated.iter().filter_map(|name| jwk::named(name)).collect();
        if algorithms.is_empty() && !stated.is_empty() {
            tracing::warn!(
                target: "tower_warden",
                issuer = shown_url(&self.issuer), algorithms = shown(&stated.join(", ")),
                "the issuer signs with algorithms that are not known here"
            );
        }
        algorithms
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

/// Orders answers by how much they tell: a document that will not do, a failure, a redirect, another page, nothing.
fn rank(error: &KeyFetchError) -> u8 {
    match error {
        KeyFetchError::Status {
            status: 404 | 405 | 410,
        } => 4,
        KeyFetchError::Malformed { problem, .. } if problem.starts_with("found one") => 0,
        KeyFetchError::Malformed { .. } => 3,
        KeyFetchError::Redirected => 2,
        KeyFetchError::IssuerMismatch { .. } | KeyFetchError::Address { .. } => 0,
        _ => 1,
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
fn well_known(http: &HttpFetch, issuer: &str) -> Result<Vec<Endpoint>, KeyFetchError> {
    let endpoint = http.endpoint(issuer)?;
    let refused = |problem| {
        Err(KeyFetchError::Address {
            url: shown_url(issuer),
            problem,
        })
    };
    if endpoint.url().query().is_some() {
        return refused("the name of an issuer has no query (RFC 8414 §2)");
    }
    if endpoint.url().path().contains("/.well-known/") {
        return refused(
            "is the address of a document: give the issuer, which is what the document states as its `issuer`",
        );
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
        let place = http.endpoint(url.as_str())?;
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
            let places = well_known(&HttpFetch::new().unwrap(), issuer).unwrap();
            let places: Vec<_> = places.iter().map(Endpoint::shown).collect();
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
            "https://id.example/.well-known/openid-configuration",
            "https://id.example/.well-known/oauth-authorization-server/realms/acme",
            "https://u:p@id.example",
        ] {
            let http = HttpFetch::new().unwrap();
            assert!(well_known(&http, issuer).is_err(), "{issuer}");
        }
    }
}
