//! From a [`BearerToken`](crate::BearerToken) to a [`VerifiedToken`](crate::VerifiedToken).

mod signature;

pub use signature::CryptoBackend;
pub(crate) use signature::{SignatureVerifier, sha256};
