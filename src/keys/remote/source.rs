//! [`KeyFetcher`]: where a key set comes from; [`HttpJwksSource`], and any [`JwksSource`] beside it.

use std::{fmt, pin::Pin};

use jsonwebtoken::errors::ErrorKind;
use jwks_client_rs::{JsonWebKey, JsonWebKeySet, JwksClientError, source::JwksSource};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    KeyFetchError,
    endpoint::Endpoint,
    error::chain,
    fetch::{Document, HttpFetch},
    found::found,
};
use crate::ConfigError;

pub(super) type Fetching<'f> =
    Pin<Box<dyn Future<Output = Result<Document, KeyFetchError>> + Send + 'f>>;

/// Brings the text of a JWK Set, which nobody has checked yet, and how long it may be used.
pub(super) trait KeyFetcher: fmt::Debug + Send + Sync + 'static {
    fn fetch(&self) -> Fetching<'_>;

    /// Hears that what it brought last is no set that can be used.
    fn rejected(&self) {}

    /// What is asked, for the log of the operator.
    fn origin(&self) -> &str;
}

/// A JWK Set at a fixed address, fetched with care: https except on loopback, no redirects, 5 s in all, 512 KiB at most.
///
/// It is a [`JwksSource`], so that the client of `jwks_client_rs` may use it too. Unlike the crate's own `WebSource` it
/// skips a key that is not understood instead of refusing the whole set.
///
/// # Examples
/// ```
/// use tower_warden::HttpJwksSource;
///
/// # fn main() -> Result<(), tower_warden::ConfigError> {
/// let source = HttpJwksSource::new("https://id.example/.well-known/jwks.json")?;
///
/// assert!(HttpJwksSource::new("http://id.example/.well-known/jwks.json").is_err());
/// # let _ = source;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpJwksSource {
    endpoint: Endpoint,
    http: HttpFetch,
}

impl HttpJwksSource {
    /// A source at this address.
    ///
    /// # Errors
    /// [`ConfigError::Keys`] if the address is neither https nor on loopback, or no client can be made.
    pub fn new(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let url = url.as_ref();
        HttpFetch::new()
            .and_then(|http| Self::over(http, url))
            .map_err(|source| ConfigError::keys(url, source))
    }

    /// A source at this address, asked with a client of the application.
    ///
    /// # Errors
    /// [`ConfigError::Keys`] if the address is neither https nor on loopback.
    ///
    /// # Security
    /// Give it a client that follows no redirects: an answer that was led elsewhere is refused, but only after the
    /// other place was asked.
    pub fn with_client(url: impl AsRef<str>, client: reqwest::Client) -> Result<Self, ConfigError> {
        let url = url.as_ref();
        Self::over(HttpFetch::with_client(client), url)
            .map_err(|source| ConfigError::keys(url, source))
    }

    pub(super) fn over(http: HttpFetch, url: &str) -> Result<Self, KeyFetchError> {
        let endpoint = http.endpoint(url)?;
        Ok(Self { endpoint, http })
    }
}

impl KeyFetcher for HttpJwksSource {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.http.get(&self.endpoint))
    }

    fn origin(&self) -> &str {
        self.endpoint.shown()
    }
}

impl JwksSource for HttpJwksSource {
    fn fetch_keys<'s, 'f>(
        &'s self,
    ) -> Pin<Box<dyn Future<Output = Result<JsonWebKeySet, JwksClientError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async {
            let document = self.http.get(&self.endpoint).await.map_err(foreign)?;
            let set: Set = serde_json::from_slice(&document.body)
                .map_err(|_| foreign(no_set(&document.body)))?;
            let keys: Vec<JsonWebKey> = set
                .keys
                .into_iter()
                .filter_map(|key| serde_json::from_value(key).ok())
                .collect();
            Ok(keys.into())
        })
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The one door that `jwks_client_rs` leaves for the errors of others.
fn foreign(error: KeyFetchError) -> JwksClientError {
    jsonwebtoken::errors::Error::from(ErrorKind::Provider(error.to_string())).into()
}

/// The error for a body that is no JWK Set.
pub(super) fn no_set(body: &[u8]) -> KeyFetchError {
    KeyFetchError::Malformed {
        wanted: "JWK Set",
        problem: found(body, "keys"),
    }
}

/// A [`JwksSource`] of another crate.
///
/// Its keys pass through the same checks as all others, but `jwks_client_rs` has dropped some of what is checked: `use`
/// of EC and OKP keys, and `key_ops` of all.
pub(super) struct ForeignSource<S>(pub(super) S);

impl<S: JwksSource + Send + Sync + 'static> KeyFetcher for ForeignSource<S> {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let set = self.0.fetch_keys().await;
            let set = set.map_err(|error| KeyFetchError::Source {
                cause: chain(&error),
            })?;
            let keys: Vec<Value> = set.keys().iter().map(rewritten).collect();
            Ok(Document {
                body: json!({ "keys": keys }).to_string().into_bytes(),
                lifetime: None,
                media_type: None,
                algorithms: Vec::new(),
            })
        })
    }

    fn origin(&self) -> &str {
        std::any::type_name::<S>()
    }
}

impl<S> fmt::Debug for ForeignSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForeignSource")
            .field(&std::any::type_name::<S>())
            .finish()
    }
}

/// Writes a key down again as it was read.
fn rewritten(key: &JsonWebKey) -> Value {
    let mut members = match key {
        JsonWebKey::Rsa(rsa) => json!({
            "kty": "RSA", "n": rsa.modulus(), "e": rsa.exponent(),
            "use": rsa.r#use().map(|usage| format!("{usage:?}").to_lowercase()),
        }),
        JsonWebKey::Ec(ec) => {
            json!({ "kty": "EC", "crv": ec.curve(), "x": ec.x(), "y": ec.y() })
        }
        JsonWebKey::Okp(okp) => json!({ "kty": "OKP", "crv": okp.curve(), "x": okp.x() }),
    };
    if let Some(members) = members.as_object_mut() {
        members.insert("kid".to_owned(), key.key_id().into());
        members.insert("alg".to_owned(), key.alg().into());
        members.retain(|_, value| !value.is_null());
    }
    members
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_of_another_crate_is_written_down_as_it_was_read() {
        for text in [
            r#"{"alg":"RS256","e":"AQAB","kid":"a","kty":"RSA","n":"xyz","use":"sig"}"#,
            r#"{"e":"AQAB","kid":"a","kty":"RSA","n":"xyz","use":"enc"}"#,
            r#"{"crv":"P-256","kid":"b","kty":"EC","x":"x","y":"y"}"#,
            r#"{"alg":"EdDSA","crv":"X25519","kid":"c","kty":"OKP","x":"x"}"#,
        ] {
            let key: JsonWebKey = serde_json::from_str(text).unwrap();
            assert_eq!(rewritten(&key).to_string(), text);
        }
    }
}
