//! Tokens to order for the tests of verification: signed by the provider of jsonwebtoken, so that nobody checks his
//! own work.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto::aws_lc};
use tower_warden::{
    Algorithm, BearerToken, Clock, Key, Keys, RejectionKind, VerifiedToken, Verifier,
    VerifierBuilder,
};

/// Every algorithm that is verified.
pub(crate) const ALGORITHMS: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

pub(crate) const SECRET: [u8; 64] =
    *b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Another secret for each number.
pub(crate) fn secret<const N: usize>(number: u8) -> [u8; N] {
    std::array::from_fn(|index| number.wrapping_add(index as u8))
}

const RSA: &[u8] = include_bytes!("../keys/rsa2048.pem");
const P256: &[u8] = include_bytes!("../keys/ec256.pem");
const P384: &[u8] = include_bytes!("../keys/ec384.pem");
const ED: &[u8] = include_bytes!("../keys/ed25519.pem");

/// The public half of the key of each algorithm, or the secret.
pub(crate) fn key(algorithm: Algorithm) -> Key {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Key::secret(SECRET, algorithm),
        _ => Key::pem(public_pem(algorithm), algorithm),
    }
    .unwrap()
}

/// The text of the public key of an asymmetric algorithm.
pub(crate) fn public_pem(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => include_str!("../keys/ec256.pub.pem"),
        Algorithm::ES384 => include_str!("../keys/ec384.pub.pem"),
        Algorithm::EdDSA => include_str!("../keys/ed25519.pub.pem"),
        _ => include_str!("../keys/rsa2048.pub.pem"),
    }
}

pub(crate) fn keys(algorithm: Algorithm) -> Keys {
    Keys::new([key(algorithm)]).unwrap()
}

pub(crate) fn signature(message: &[u8], algorithm: Algorithm) -> Vec<u8> {
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(&SECRET),
        Algorithm::ES256 => EncodingKey::from_ec_pem(P256).unwrap(),
        Algorithm::ES384 => EncodingKey::from_ec_pem(P384).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED).unwrap(),
        _ => EncodingKey::from_rsa_pem(RSA).unwrap(),
    };
    let signer = (aws_lc::DEFAULT_PROVIDER.signer_factory)(&algorithm, &key).unwrap();
    signer.try_sign(message).unwrap()
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// A token with this header and payload, whatever they are, signed with the key of the algorithm.
pub(crate) fn token(
    header: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
    algorithm: Algorithm,
) -> String {
    signed(&base64(header), &base64(payload), algorithm)
}

/// The same of parts that are encoded already.
pub(crate) fn signed(header: &str, payload: &str, algorithm: Algorithm) -> String {
    let message = format!("{header}.{payload}");
    let signature = base64(signature(message.as_bytes(), algorithm));
    format!("{message}.{signature}")
}

/// An HS256 token with this payload.
pub(crate) fn hs256(payload: impl AsRef<[u8]>) -> String {
    token(r#"{"alg":"HS256","typ":"JWT"}"#, payload, Algorithm::HS256)
}

/// A verifier of HS256 tokens at 1 000 s after the epoch.
pub(crate) fn verifier() -> VerifierBuilder {
    Verifier::builder(keys(Algorithm::HS256)).with_clock(TestClock::at(1_000))
}

pub(crate) fn verify(
    verifier: &Verifier,
    token: &str,
) -> Result<std::sync::Arc<VerifiedToken>, RejectionKind> {
    let verified = verifier.verify(&BearerToken::new(token));
    verified.map_err(|rejection| rejection.kind())
}

/// Why a token is refused.
#[track_caller]
pub(crate) fn refusal(verifier: &Verifier, token: &str) -> RejectionKind {
    match verify(verifier, token) {
        Ok(verified) => panic!("accepted: {}", verified.claims_text()),
        Err(kind) => kind,
    }
}

/// A clock that stands where it is put, in seconds.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn at(seconds: u64) -> Self {
        Self(AtomicU64::new(seconds))
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}
