//! [`KeysFromEnv`]: the keys that the environment names, a secret or those of a provider.

use super::Keys;
#[cfg(feature = "jwks")]
use super::RemoteKeys;

/// The keys that the environment names: see [`JwtAuthLayer::from_env`](crate::JwtAuthLayer::from_env).
#[derive(Debug)]
#[must_use = "a verifier has to be built of it"]
pub struct KeysFromEnv(pub(crate) Named);

/// Which of the two sets of variables is set.
#[derive(Debug)]
pub(crate) enum Named {
    /// `JWT_SECRET`.
    Secret(Keys),
    /// `OIDC_ISSUER_URL`.
    #[cfg(feature = "jwks")]
    Provider(Box<RemoteKeys>),
}
