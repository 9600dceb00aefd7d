//! Signing by `RustCrypto`, through the public provider of jsonwebtoken, never through its process-wide one.

use jsonwebtoken::{
    Algorithm, EncodingKey, crypto::rust_crypto::DEFAULT_PROVIDER, jwk::EllipticCurve,
};

use super::Private;
use crate::keys::{Curve, Material};

pub(super) struct Prepared {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Prepared {
    pub(super) fn new(private: &Private, algorithm: Algorithm) -> Option<(Self, Material)> {
        let utils = &DEFAULT_PROVIDER.key_utils;
        let (key, public) = match private {
            Private::Secret(secret) => (
                EncodingKey::from_secret(secret),
                Material::Secret(secret.clone()),
            ),
            Private::Rsa(der) => {
                let (n, e) = (utils.rsa_pub_components_from_private_key)(der).ok()?;
                (EncodingKey::from_rsa_der(der), Material::rsa(&n, &e).ok()?)
            }
            Private::Ec(der) => {
                let (curve, x, y) =
                    (utils.ec_pub_components_from_private_key)(der, algorithm).ok()?;
                let curve = match curve {
                    EllipticCurve::P256 => Curve::P256,
                    EllipticCurve::P384 => Curve::P384,
                    _ => return None,
                };
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                (
                    EncodingKey::from_ec_der(der),
                    Material::ec(curve, &point).ok()?,
                )
            }
            Private::Ed25519(der) => {
                let x = (utils.ed_pub_components_from_private_key)(der, &EllipticCurve::Ed25519)
                    .ok()?;
                (EncodingKey::from_ed_der(der), Material::ed25519(&x).ok()?)
            }
        };
        Some((Self { algorithm, key }, public))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &self.key).ok()?;
        signer.try_sign(message).ok()
    }
}
