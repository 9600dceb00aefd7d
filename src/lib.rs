//! tower-warden
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod error;
mod keys;
mod refuse;
mod request;
mod verify;

pub use clock::{Clock, NumericDate, SystemClock};
pub use error::ConfigError;
pub use jsonwebtoken::Algorithm;
#[cfg(feature = "jwks")]
pub use keys::{HttpJwksSource, KeyFetchError, RemoteKeys};
pub use keys::{Key, Keys};
pub use refuse::{Rejection, RejectionKind};
pub use request::{
    AuthorizationHeader, BearerToken, ConflictPolicy, CookieToken, MalformedCredentials,
    QueryParameter, TokenSource,
};
pub use verify::{
    Actor, ClaimPath, CryptoBackend, TokenType, VerifiedToken, Verifier, VerifierBuilder,
};
