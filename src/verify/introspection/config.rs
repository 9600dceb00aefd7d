//! [`Introspection`]: where opaque tokens are looked up, and as whom.

use std::{fmt, time::Duration};

use base64_simd::STANDARD;
use form_urlencoded::byte_serialize;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::Introspector;
use crate::{
    ConfigError,
    keys::{Lookup, LookupSettings, Place, Wanted},
    verify::CryptoBackend,
};

/// The most time that an answer may count: so long a token is accepted that its provider has revoked.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// An endpoint that knows opaque tokens ([RFC 7662]), as a [`Verifier`](crate::Verifier) asks it.
///
/// | what happens | what follows |
/// | --- | --- |
/// | a token comes for the first time | one question, for all requests that carry it; they wait, 5 s at most |
/// | it comes again | nobody is asked for 60 s, but never beyond its `exp` |
/// | it is not active, or not for this service | 401; nobody is asked for 10 s |
/// | one client address asks about more than 8 new tokens at once, all together about more than 96 | the question waits its turn, 500 ms at most; then 503 |
/// | a token that was good before is asked about again | 32 more places are kept for such tokens |
/// | the endpoint is down, slow, or talks nonsense | 503; what is known already goes on |
///
/// What is kept is bounded in bytes, and what was refused has a room of its own, so that made-up tokens push no good one
/// out. What the answer says is then demanded as of a JWT: issuer and audience where they are named, `exp` and `sub`
/// unless waived, every type as it should be. An active token that is no access token is refused.
///
/// # Examples
///
/// ```no_run
/// use tower_warden::{Introspection, JwtAuthLayer};
///
/// # async fn build(secret: &str) -> Result<(), tower_warden::ConfigError> {
/// let auth = JwtAuthLayer::introspect(Introspection::new("https://id.example/introspect", "orders", secret))
///     .with_audience("orders")
///     .build()
///     .await?;
///
/// // The secret goes there, so nobody on the way may read it.
/// let refused = JwtAuthLayer::introspect(Introspection::new("http://id.example/introspect", "orders", secret));
/// assert!(refused.build().await.is_err());
/// # Ok(())
/// # }
/// ```
///
/// [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662
#[must_use = "a verifier has to be built of it"]
pub struct Introspection {
    place: Place,
    client_id: String,
    client_secret: Zeroizing<String>,
    settings: LookupSettings,
    lifetime: Duration,
    refused_lifetime: Duration,
}

impl Introspection {
    /// Asks at this address, https or http on loopback, as this client of the provider (`client_secret_basic`,
    /// [RFC 6749 §2.3.1]).
    ///
    /// [RFC 6749 §2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    pub fn new(
        endpoint: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self::at(Place::Address(endpoint.into()), client_id, client_secret)
    }

    /// Asks at the address that the discovery document of this issuer names, when the verifier is built. What is known
    /// of a token has to name the issuer then, as in a JWT.
    pub fn discover(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self::at(Place::Issuer(issuer.into()), client_id, client_secret)
    }

    fn at(place: Place, client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            place,
            client_id: client_id.into(),
            client_secret: Zeroizing::new(client_secret.into()),
            settings: LookupSettings::default(),
            lifetime: Duration::from_secs(60),
            refused_lifetime: Duration::from_secs(10),
        }
    }

    /// Asks with this HTTP client: see [`RemoteKeys::with_client`](crate::RemoteKeys::with_client).
    ///
    /// # Security
    ///
    /// Give it a client that follows no redirects: an answer that was led elsewhere is refused, but only after the other
    /// place was asked. On a 307 or 308 the form is sent again, with the token in it, to whatever host it names.
    pub fn with_client(mut self, client: reqwest::Client) -> Self {
        self.settings.client = Some(client);
        self
    }

    /// Asks these hosts over http: see [`RemoteKeys::dangerous_http_from`](crate::RemoteKeys::dangerous_http_from).
    ///
    /// # Security
    ///
    /// Tokens and the client's secret travel to such a host in the clear.
    pub fn dangerous_http_from<H: Into<String>>(
        mut self,
        hosts: impl IntoIterator<Item = H>,
    ) -> Self {
        self.settings.http_from = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how long the endpoint may take for one answer, to its last byte: 100 ms to 30 s, 5 s by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets how long an active token is not asked for again: 10 min at most, 60 s by default, never beyond its `exp`.
    /// Zero asks for each request.
    ///
    /// So long a token goes on being accepted that its provider has revoked. An open [`Lease`](crate::Lease) asks again
    /// when the answer expires, once a second at most, and ends if the token is not active any more.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets how long a refused token is not asked for again: 10 min at most, 10 s by default. Zero asks for each request.
    pub fn with_refused_lifetime(mut self, lifetime: Duration) -> Self {
        self.refused_lifetime = lifetime;
        self
    }

    /// The issuer whose document names the address.
    pub(in crate::verify) fn issuer(&self) -> Option<&str> {
        match &self.place {
            Place::Issuer(issuer) => Some(issuer),
            Place::Address(_) => None,
        }
    }

    /// Checks the settings, and looks for the address where it is discovered.
    pub(in crate::verify) async fn open(
        self,
        backend: CryptoBackend,
    ) -> Result<Introspector, ConfigError> {
        for (name, text, problem) in [
            (
                "client_id",
                &self.client_id,
                "the endpoint answers its clients only: give the ID that the provider gave you",
            ),
            (
                "client_secret",
                &*self.client_secret,
                "the endpoint answers its clients only: give the secret that the provider gave you",
            ),
        ] {
            if text.is_empty() {
                return Err(ConfigError::Missing { name, problem });
            }
        }
        for (name, lifetime) in [
            ("with_lifetime", self.lifetime),
            ("with_refused_lifetime", self.refused_lifetime),
        ] {
            if lifetime > LONGEST {
                return Err(ConfigError::Setting {
                    name,
                    value: format!("{lifetime:?}"),
                    problem: "choose 10 min at most: a revoked token is accepted as long",
                });
            }
        }
        let credentials = basic(&self.client_id, &self.client_secret)?;
        let lookup = Lookup::open(&self.place, Wanted::Introspection, self.settings).await?;
        Ok(Introspector::new(
            lookup,
            credentials,
            self.lifetime,
            self.refused_lifetime,
            backend,
        ))
    }
}

/// ID and secret as HTTP Basic wants them, each encoded as in a form before ([RFC 6749 §2.3.1]).
///
/// [RFC 6749 §2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
fn basic(client_id: &str, client_secret: &str) -> Result<HeaderValue, ConfigError> {
    let mut pair = Zeroizing::new(String::new());
    pair.extend(byte_serialize(client_id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(client_secret.as_bytes()));
    let text = Zeroizing::new(format!(
        "Basic {}",
        STANDARD.encode_to_string(pair.as_bytes())
    ));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ConfigError::Setting {
        name: "client_id",
        value: client_id.to_owned(),
        problem: "cannot stand in a header",
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("place", &self.place)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn id_and_secret_are_encoded_as_in_a_form_before_base64() {
        for (id, secret, wanted) in [
            ("orders", "secret", "orders:secret"),
            ("a:b", "p%&+ /", "a%3Ab:p%25%26%2B+%2F"),
            ("ü", "ß", "%C3%BC:%C3%9F"),
        ] {
            let value = basic(id, secret).unwrap();
            assert!(value.is_sensitive());
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            let decoded = STANDARD.decode_to_vec(encoded).unwrap();
            assert_eq!(String::from_utf8(decoded).unwrap(), wanted);
        }
    }

    #[test]
    fn the_secret_is_never_shown() {
        let introspection = Introspection::new("https://id.example", "orders", "hush-hush");
        assert!(!format!("{introspection:?}").contains("hush"));
    }
}
