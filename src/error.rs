//! What the developer meets at `build()`: a setting that is missing, weak or contradictory; and what a store says when it
//! cannot answer.

use std::{error::Error, io, path::PathBuf, pin::Pin};

use jsonwebtoken::Algorithm;

/// A configuration that cannot be served safely.
///
/// It is raised while a layer, a verifier or an issuer is built, never by a request, and every variant holds the
/// offending value, so that the message tells what to change. Secret bytes are never part of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A path pattern that the dialect of [`Paths`](crate::Paths) does not know.
    #[error("path pattern `{pattern}`: {problem}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it, and the way out.
        problem: &'static str,
    },
    /// A key that must not verify or sign tokens.
    #[error("key `{key}`: {problem}")]
    Key {
        /// The key ID, the file, or the place in the set.
        key: String,
        /// What is wrong with it, and the way out.
        problem: String,
    },
    /// A shared secret that is shorter than the hash of its algorithm ([RFC 7518 §3.2]).
    ///
    /// [RFC 7518 §3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
    #[error("a secret for {algorithm:?} needs at least {minimum} bytes, this one has {length}")]
    SecretTooShort {
        /// The algorithm the secret was given for.
        algorithm: Algorithm,
        /// Its length in bytes.
        length: usize,
        /// The least length in bytes.
        minimum: usize,
    },
    /// The text of a public or private key, given where a shared secret belongs.
    #[error("the secret is the text of a {format}: load it as a key, not as a secret")]
    SecretIsKey {
        /// `PEM`, `JWK` or `JWK Set`.
        format: &'static str,
    },
    /// A setting out of its range, or at odds with another.
    #[error("{name} = `{value}`: {problem}")]
    Setting {
        /// The method or environment variable that set it.
        name: &'static str,
        /// The value as it was given.
        value: String,
        /// What is wrong with it, and the way out.
        problem: &'static str,
    },
    /// A setting that has no default and was not given.
    #[error("{name} is not set: {problem}")]
    Missing {
        /// The method or environment variable that sets it.
        name: &'static str,
        /// What it is needed for.
        problem: &'static str,
    },
    /// A file that could not be read.
    #[error("cannot read `{path}`")]
    File {
        /// The path as it was given.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Keys that could not be had from their provider when the verifier was built.
    #[cfg(feature = "jwks")]
    #[error("cannot get the keys of `{origin}`: {source}")]
    Keys {
        /// The issuer or the address that was asked, without user, password and the values of its query.
        origin: String,
        /// Why not.
        source: crate::KeyFetchError,
    },
    /// Neither `aws-lc-rs` nor `rust-crypto` was compiled in.
    #[error("no crypto backend: switch on the feature `aws-lc-rs` or `rust-crypto`")]
    NoCryptoBackend,
}

#[cfg(feature = "jwks")]
impl ConfigError {
    pub(crate) fn keys(origin: &str, source: crate::KeyFetchError) -> Self {
        Self::Keys {
            origin: crate::telemetry::shown_url(origin),
            source,
        }
    }
}

/// A store that cannot answer: it is down, cut off, too slow, or holds what it should not.
///
/// It is our trouble and never the client's: requests that depend on it are refused with 503. Its
/// [`source`](Error::source) goes to the log, so it must hold neither a credential nor a name.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot answer")]
pub struct StoreError(#[source] Box<dyn Error + Send + Sync>);

impl StoreError {
    /// Takes what the driver said, or a sentence.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// What a store answers, later. It must not block a thread, and bounds its own waiting.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;
