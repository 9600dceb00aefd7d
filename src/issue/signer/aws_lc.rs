//! Signing by aws-lc-rs.

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::{self, KeySize},
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, RsaSignatureEncoding},
};
use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use super::Private;
use crate::{
    keys::{Curve, Material, der},
    verify::hmac_with,
};

pub(super) enum Prepared {
    // More than a kilobyte of prepared state, where the others are pointers.
    Secret(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static RsaSignatureEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Prepared {
    pub(super) fn new(private: &Private, algorithm: Algorithm) -> Option<(Self, Material)> {
        match private {
            Private::Secret(secret) => {
                let key = hmac::Key::new(hmac_with(algorithm)?, secret);
                Some((
                    Self::Secret(Box::new(key)),
                    Material::Secret(secret.clone()),
                ))
            }
            Private::Rsa(key) => {
                let pair = RsaKeyPair::from_der(key).ok()?;
                let (n, e) = der::rsa_public_key(pair.public_key().as_ref())?;
                let public = Material::rsa(n, e).ok()?;
                Some((Self::Rsa(pair, rsa_with(algorithm)?), public))
            }
            Private::Ec(key) => {
                let (signing, curve) = match algorithm {
                    Algorithm::ES256 => (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, Curve::P256),
                    Algorithm::ES384 => (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, Curve::P384),
                    _ => return None,
                };
                let pair = EcdsaKeyPair::from_pkcs8(signing, key).ok()?;
                let public = Material::ec(curve, pair.public_key().as_ref()).ok()?;
                Some((Self::Ec(pair), public))
            }
            Private::Ed25519(key) => {
                let pair = Ed25519KeyPair::from_pkcs8(key).ok()?;
                let public = Material::ed25519(pair.public_key().as_ref()).ok()?;
                Some((Self::Ed25519(pair), public))
            }
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature)
                    .ok()?;
                Some(signature)
            }
            Self::Ec(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// PSS with a salt as long as the hash (RFC 7518 §3.5), which is what these encodings mean.
fn rsa_with(algorithm: Algorithm) -> Option<&'static RsaSignatureEncoding> {
    match algorithm {
        Algorithm::RS256 => Some(&signature::RSA_PKCS1_SHA256),
        Algorithm::RS384 => Some(&signature::RSA_PKCS1_SHA384),
        Algorithm::RS512 => Some(&signature::RSA_PKCS1_SHA512),
        Algorithm::PS256 => Some(&signature::RSA_PSS_SHA256),
        Algorithm::PS384 => Some(&signature::RSA_PSS_SHA384),
        Algorithm::PS512 => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}

/// A new RSA key of 2048 bits in PKCS#8.
pub(in crate::issue) fn generate_rsa() -> Option<Zeroizing<Vec<u8>>> {
    let pair = rsa::KeyPair::generate(KeySize::Rsa2048).ok()?;
    let der = pair.as_der().ok()?;
    Some(Zeroizing::new(der.as_ref().to_vec()))
}
