//! Whether a signature is the key's own: prepared keys over two crypto backends.
//!
//! Lengths are compared here, exactly, before any backend is asked: what follows is constant in size.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "rust-crypto")]
mod rust_crypto;

use std::fmt;

use jsonwebtoken::Algorithm;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc::hmac_with;

use crate::{ConfigError, keys::Material};

/// Which library does the cryptography; by default the fastest that was compiled in.
///
/// Both verify the same signatures. aws-lc-rs (feature `aws-lc-rs`, default) prepares each key once; `RustCrypto`
/// (feature `rust-crypto`) needs no C compiler, reads an RSA key anew for each token, and takes RSA keys of up to
/// 4096 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CryptoBackend {
    /// AWS-LC, by the crate aws-lc-rs.
    #[cfg(feature = "aws-lc-rs")]
    AwsLc,
    /// `RustCrypto`, by its provider in the crate jsonwebtoken.
    #[cfg(feature = "rust-crypto")]
    RustCrypto,
}

impl CryptoBackend {
    /// Every backend that was compiled in, the preferred one first.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "aws-lc-rs")]
        Self::AwsLc,
        #[cfg(feature = "rust-crypto")]
        Self::RustCrypto,
    ];

    /// The backend that is used unless another is chosen.
    ///
    /// # Errors
    /// [`ConfigError::NoCryptoBackend`] if none was compiled in.
    pub fn preferred() -> Result<Self, ConfigError> {
        Self::ALL
            .first()
            .copied()
            .ok_or(ConfigError::NoCryptoBackend)
    }
}

/// One key, prepared to verify the signatures of one algorithm.
pub(crate) struct SignatureVerifier {
    length: usize,
    prepared: Prepared,
}

enum Prepared {
    #[cfg(feature = "aws-lc-rs")]
    AwsLc(aws_lc::Prepared),
    #[cfg(feature = "rust-crypto")]
    RustCrypto(rust_crypto::Prepared),
}

impl SignatureVerifier {
    /// Prepares a key; the error says why this backend cannot use it.
    #[cfg_attr(
        not(any(feature = "aws-lc-rs", feature = "rust-crypto")),
        allow(unused_variables, unreachable_code)
    )]
    pub(crate) fn prepare(
        material: &Material,
        algorithm: Algorithm,
        backend: CryptoBackend,
    ) -> Result<Self, &'static str> {
        if !material.fits(algorithm) {
            return Err("the key does not fit its algorithm");
        }
        let prepared = match backend {
            #[cfg(feature = "aws-lc-rs")]
            CryptoBackend::AwsLc => {
                Prepared::AwsLc(aws_lc::Prepared::new(material, algorithm).ok_or(UNREADABLE)?)
            }
            #[cfg(feature = "rust-crypto")]
            CryptoBackend::RustCrypto => {
                Prepared::RustCrypto(rust_crypto::Prepared::new(material, algorithm)?)
            }
        };
        Ok(Self {
            length: material.signature_length(algorithm),
            prepared,
        })
    }

    /// Whether `signature` is this key's signature over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        // HMAC tags are not shortened, ECDSA has one form of r and s, RSA signatures are as long as the modulus.
        if signature.len() != self.length {
            return false;
        }
        self.prepared.verifies(message, signature)
    }
}

impl Prepared {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        #[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
        let _ = (message, signature);
        match *self {
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLc(ref key) => key.verifies(message, signature),
            #[cfg(feature = "rust-crypto")]
            Self::RustCrypto(ref key) => key.verifies(message, signature),
        }
    }
}

/// What both backends say of a key that passed our own checks: the point is off its curve.
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
const UNREADABLE: &str =
    "is no public key: the point does not lie on its curve, or the modulus is none";

/// The SHA-256 of these bytes.
#[cfg_attr(
    not(any(feature = "aws-lc-rs", feature = "rust-crypto")),
    allow(unused_variables)
)]
pub(crate) fn sha256(bytes: &[u8], backend: CryptoBackend) -> Option<Vec<u8>> {
    match backend {
        #[cfg(feature = "aws-lc-rs")]
        CryptoBackend::AwsLc => Some(aws_lc::sha256(bytes)),
        #[cfg(feature = "rust-crypto")]
        CryptoBackend::RustCrypto => rust_crypto::sha256(bytes),
    }
}

impl fmt::Debug for SignatureVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureVerifier")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests;

#[cfg(all(test, not(any(feature = "aws-lc-rs", feature = "rust-crypto"))))]
mod without_backend {
    use super::*;
    use crate::{SigningKey, TokenIssuer};

    #[test]
    fn a_build_without_backend_says_so_before_it_serves() {
        let no_backend = |error| matches!(error, ConfigError::NoCryptoBackend);
        assert!(CryptoBackend::preferred().is_err_and(no_backend));
        assert!(SigningKey::generate(Algorithm::EdDSA).is_err_and(no_backend));
        let secret = SigningKey::hs256("a secret of at least thirty-two bytes");
        let issuer = secret.and_then(|key| TokenIssuer::builder(key).build());
        assert!(issuer.is_err_and(no_backend));
    }
}
