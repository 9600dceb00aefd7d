//! [`ApiKeyLayer`]: API keys, for programs.

use std::sync::Arc;

use super::{Auth, AuthLayer, AuthLayerBuilder, Face, verification::Verification};
use crate::{ApiKeyHeader, ApiKeys, ConfigError, TokenSource};

/// Layer that applies the [`ApiKeyAuth`] middleware: keys in the header `X-API-Key`, and nothing else.
///
/// Where programs and people come to the same routes, add the keys to their layer instead, by
/// [`with_api_keys`](AuthLayerBuilder::with_api_keys).
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{ApiKeyLayer, ApiKeys, MemoryApiKeyStore, NewApiKey, SubjectId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = ApiKeys::new(MemoryApiKeyStore::new(), "a pepper of at least thirty-two bytes")?;
/// let alice = SubjectId::new("https://id.example", "alice")?;
/// let created = keys.create(NewApiKey::new(alice)).await?;
///
/// let auth = ApiKeyLayer::new(keys).build()?;
/// let service = auth.layer(service_fn(async |_: Request<String>| {
///     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// }));
/// for (key, status) in [(created.key().expose(), 200), ("tw_mistyped", 401)] {
///     let request = Request::get("/chat").header("x-api-key", key).body(String::new())?;
///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(())
/// # }
/// ```
pub type ApiKeyLayer = AuthLayer<ApiKeyFace>;

/// Middleware that lets requests with a valid API key through. See [`ApiKeyLayer`].
pub type ApiKeyAuth<S> = Auth<S>;

/// Marks the [`AuthLayer`] that reads API keys.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ApiKeyFace;

impl Face for ApiKeyFace {
    /// A key is no token of a verifier: the layer begins with [`ApiKeyLayer::new`].
    fn default_sources() -> Result<Vec<Arc<dyn TokenSource>>, ConfigError> {
        Err(ConfigError::Missing {
            name: "ApiKeyLayer::new",
            problem: "API keys are verified by `ApiKeys`, not by a key or a verifier",
        })
    }
}

impl AuthLayer<ApiKeyFace> {
    /// Verifies API keys with these.
    #[expect(
        clippy::new_ret_no_self,
        reason = "it begins a builder, as its siblings do"
    )]
    pub fn new(keys: ApiKeys) -> AuthLayerBuilder<ApiKeyFace> {
        let mut builder = AuthLayerBuilder::new(Verification::absent());
        builder.place_keys(ApiKeyHeader::default(), keys);
        builder
    }
}
