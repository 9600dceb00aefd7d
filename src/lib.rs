//! tower-warden
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod error;
mod keys;
mod refuse;
mod request;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod verify;

pub use clock::{Clock, NumericDate, SystemClock};
pub use error::ConfigError;
pub use jsonwebtoken::Algorithm;
pub use keys::{Key, Keys};
pub use refuse::{Rejection, RejectionKind};
pub use request::{
    AuthorizationHeader, BearerToken, ConflictPolicy, CookieToken, MalformedCredentials,
    QueryParameter, TokenSource,
};
pub use verify::{
    Actor, ClaimPath, CryptoBackend, TokenType, VerifiedToken, Verifier, VerifierBuilder,
};
