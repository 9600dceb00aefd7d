//! A private key, prepared to sign with one of the crypto backends.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "rust-crypto")]
mod rust_crypto;

use std::fmt;

use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use crate::{CryptoBackend, keys::Material, verify::SignatureVerifier};

/// The bytes of a signing key, in the form that both backends read.
#[derive(Clone)]
#[cfg_attr(
    not(any(feature = "aws-lc-rs", feature = "rust-crypto")),
    expect(dead_code, reason = "nobody signs where no backend was compiled in")
)]
pub(super) enum Private {
    /// A shared secret.
    Secret(Zeroizing<Vec<u8>>),
    /// `RSAPrivateKey` of PKCS#1.
    Rsa(Zeroizing<Vec<u8>>),
    /// PKCS#8, for P-256 and P-384.
    Ec(Zeroizing<Vec<u8>>),
    /// PKCS#8.
    Ed25519(Zeroizing<Vec<u8>>),
}

/// One key, prepared to sign with one algorithm.
pub(crate) struct Signer(Prepared);

enum Prepared {
    #[cfg(feature = "aws-lc-rs")]
    AwsLc(aws_lc::Prepared),
    #[cfg(feature = "rust-crypto")]
    RustCrypto(rust_crypto::Prepared),
}

impl Signer {
    /// Prepares a key, and has it prove itself: what it signs, its own public part verifies.
    ///
    /// `None` if the backend cannot read the key, or if its parts do not belong together.
    #[cfg_attr(
        not(any(feature = "aws-lc-rs", feature = "rust-crypto")),
        allow(unused_variables, unreachable_code)
    )]
    pub(super) fn prepare(
        private: &Private,
        algorithm: Algorithm,
        backend: CryptoBackend,
    ) -> Option<(Self, Material)> {
        let (prepared, public) = match backend {
            #[cfg(feature = "aws-lc-rs")]
            CryptoBackend::AwsLc => {
                let (prepared, public) = aws_lc::Prepared::new(private, algorithm)?;
                (Prepared::AwsLc(prepared), public)
            }
            #[cfg(feature = "rust-crypto")]
            CryptoBackend::RustCrypto => {
                let (prepared, public) = rust_crypto::Prepared::new(private, algorithm)?;
                (Prepared::RustCrypto(prepared), public)
            }
        };
        let signer = Self(prepared);
        let probe = b"tower-warden: do these two halves belong together?";
        let verifier = SignatureVerifier::prepare(&public, algorithm, backend).ok()?;
        verifier
            .verifies(probe, &signer.sign(probe)?)
            .then_some((signer, public))
    }

    /// The signature over `message`, or `None` if the backend failed, which a key that proved itself does not.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        #[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
        let _ = message;
        match self.0 {
            #[cfg(feature = "aws-lc-rs")]
            Prepared::AwsLc(ref key) => key.sign(message),
            #[cfg(feature = "rust-crypto")]
            Prepared::RustCrypto(ref key) => key.sign(message),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer([REDACTED])")
    }
}

/// A new RSA key of 2048 bits in PKCS#8, where a backend offers one: jsonwebtoken's `RustCrypto` does not.
pub(super) fn generate_rsa() -> Option<Zeroizing<Vec<u8>>> {
    #[cfg(feature = "aws-lc-rs")]
    return aws_lc::generate_rsa();
    #[cfg(not(feature = "aws-lc-rs"))]
    None
}
