//! tower-warden
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod error;
mod issue;
mod keys;
mod refuse;
mod request;
mod verify;

pub use clock::{Clock, NumericDate, SystemClock};
pub use error::ConfigError;
pub use issue::{IssueError, JwkSetService, Mint, SigningKey, TokenIssuer, TokenIssuerBuilder};
pub use jsonwebtoken::Algorithm;
pub use keys::{Key, Keys};
pub use refuse::{Rejection, RejectionKind};
pub use request::{BearerToken, MalformedCredentials, TokenSource};
pub use verify::{
    Actor, ClaimPath, CryptoBackend, TokenType, VerifiedToken, Verifier, VerifierBuilder,
};
