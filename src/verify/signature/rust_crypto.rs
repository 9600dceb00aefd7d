//! Signatures by `RustCrypto`, through the public provider of jsonwebtoken, never through its process-wide one.
//!
//! That provider hands out verifiers that cannot be shared between threads, so each token gets a new one; what is
//! kept is the key in the provider's own form.

use jsonwebtoken::{
    Algorithm, DecodingKey, crypto::rust_crypto::DEFAULT_PROVIDER, jwk::ThumbprintHash,
};

use super::UNREADABLE;
use crate::keys::Material;

/// The largest modulus in bytes that the `rsa` crate verifies with.
const LONGEST_MODULUS: usize = 512;

pub(super) struct Prepared {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Prepared {
    pub(super) fn new(material: &Material, algorithm: Algorithm) -> Result<Self, &'static str> {
        let key = match material {
            Material::Secret(secret) => DecodingKey::from_secret(secret),
            Material::Rsa { n, .. } if n.len() > LONGEST_MODULUS => {
                return Err(
                    "the backend rust-crypto takes RSA keys of up to 4096 bits: use the feature `aws-lc-rs`",
                );
            }
            Material::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Material::Ec { point, .. } => DecodingKey::from_ec_der(point),
            Material::Ed25519(x) => DecodingKey::from_ed_der(x),
        };
        // Reads the point, and fails where it is off its curve.
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key).map_err(|_| UNREADABLE)?;
        Ok(Self { algorithm, key })
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.key)
            .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Option<Vec<u8>> {
    (DEFAULT_PROVIDER.key_utils.compute_digest)(bytes, ThumbprintHash::SHA256).ok()
}
