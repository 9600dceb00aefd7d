//! Minting tokens: what a service needs that is its own identity provider.
//!
//! 1. A [`SigningKey`] is a secret or a private key, checked when it is loaded or generated.
//! 2. A [`TokenIssuer`] signs with one of them and goes on publishing those that it used before.
//! 3. [`Mint`] collects what one token says and signs it.
//! 4. [`connection`] makes short tokens for one resource out of a principal.
//! 5. [`TokenCookie`] hands a token to a browser.
//! 6. [`JwkSetService`] tells verifiers elsewhere the public keys.

mod connection;
mod cookie;
mod issuer;
mod jwk_set;
mod mint;
mod signer;
mod signing_key;

pub use cookie::TokenCookie;
pub use issuer::{TokenIssuer, TokenIssuerBuilder};
pub use jwk_set::JwkSetService;
pub use mint::{IssueError, Mint};
pub(crate) use signer::Signer;
pub use signing_key::SigningKey;
