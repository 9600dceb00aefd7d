//! Signatures by aws-lc-rs: each key is parsed, and each HMAC schedule computed, once.

use aws_lc_rs::{
    constant_time, digest, hmac,
    signature::{
        self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
    },
};
use jsonwebtoken::Algorithm;

use crate::keys::{Curve, Material};

pub(super) enum Prepared {
    // More than a kilobyte of prepared state, where the other is a handful of pointers.
    Secret(Box<hmac::Key>),
    // The message is hashed by a call of its own: one for both sets up more, which takes a hundredth of the whole.
    Rsa(ParsedPublicKey, &'static digest::Algorithm),
    Public(ParsedPublicKey),
}

impl Prepared {
    pub(super) fn new(material: &Material, algorithm: Algorithm) -> Option<Self> {
        let public = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            ParsedPublicKey::new(algorithm, key).ok().map(Self::Public)
        };
        match material {
            Material::Secret(secret) => {
                let key = hmac::Key::new(hmac_with(algorithm)?, secret);
                Some(Self::Secret(Box::new(key)))
            }
            Material::Rsa { n, e } => {
                let (parameters, digest) = rsa_with(algorithm)?;
                let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters);
                Some(Self::Rsa(key.ok()?, digest))
            }
            Material::Ec { curve, point } => match curve {
                Curve::P256 => public(&signature::ECDSA_P256_SHA256_FIXED, point),
                Curve::P384 => public(&signature::ECDSA_P384_SHA384_FIXED, point),
            },
            Material::Ed25519(x) => public(&signature::ED25519, x),
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => {
                // What `hmac::verify` does, which would move its context of 1.2 KB once more on the way.
                let mut tag = [0; digest::MAX_OUTPUT_LEN];
                hmac::sign_to_buffer(key, message, &mut tag)
                    .and_then(|tag| constant_time::verify_slices_are_equal(tag, signature))
                    .is_ok()
            }
            Self::Rsa(key, algorithm) => {
                let digest = digest::digest(algorithm, message);
                key.verify_digest_sig(&digest, signature).is_ok()
            }
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

pub(crate) fn hmac_with(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// PSS with a salt as long as the hash (RFC 7518 §3.5), which is what these parameters mean.
fn rsa_with(algorithm: Algorithm) -> Option<(&'static RsaParameters, &'static digest::Algorithm)> {
    let (sha256, sha384, sha512) = (&digest::SHA256, &digest::SHA384, &digest::SHA512);
    match algorithm {
        Algorithm::RS256 => Some((&signature::RSA_PKCS1_2048_8192_SHA256, sha256)),
        Algorithm::RS384 => Some((&signature::RSA_PKCS1_2048_8192_SHA384, sha384)),
        Algorithm::RS512 => Some((&signature::RSA_PKCS1_2048_8192_SHA512, sha512)),
        Algorithm::PS256 => Some((&signature::RSA_PSS_2048_8192_SHA256, sha256)),
        Algorithm::PS384 => Some((&signature::RSA_PSS_2048_8192_SHA384, sha384)),
        Algorithm::PS512 => Some((&signature::RSA_PSS_2048_8192_SHA512, sha512)),
        _ => None,
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}
