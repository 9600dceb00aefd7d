//! From a [`BearerToken`](crate::BearerToken) to a [`VerifiedToken`](crate::VerifiedToken).

mod signature;

pub use signature::CryptoBackend;
#[cfg(feature = "aws-lc-rs")]
pub(crate) use signature::hmac_with;
pub(crate) use signature::{SignatureVerifier, sha256};
