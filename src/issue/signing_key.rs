//! [`SigningKey`]: a secret or private key that signs tokens.

use std::{fmt, sync::Arc};

use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use zeroize::Zeroizing;

use super::signer::{self, Private, Signer};
use crate::{
    ConfigError, CryptoBackend, Key,
    keys::{self, AlgorithmName, Curve, KeyType, Material, der, pem},
    verify::sha256,
};

/// A key that signs tokens with one algorithm.
///
/// A private key gets its thumbprint ([RFC 7638], SHA-256) as its ID unless it is given another; a secret has none
/// unless it is given one. It never prints its bytes, and wipes them from memory when dropped.
///
/// [RFC 7638]: https://www.rfc-editor.org/rfc/rfc7638
///
/// # Examples
/// ```
/// use tower_warden::{Algorithm, ConfigError, SigningKey};
/// # fn main() -> Result<(), ConfigError> {
/// let key = SigningKey::generate(Algorithm::EdDSA)?;
/// assert_eq!(key.id().map(str::len), Some(43));
///
/// // A secret as short as a password is refused.
/// assert!(matches!(
///     SigningKey::hs256("hunter2"),
///     Err(ConfigError::SecretTooShort { minimum: 32, .. })
/// ));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    private: Private,
    verification: Key,
}

impl SigningKey {
    /// Takes a secret of at least 32 bytes, to sign with HS256.
    ///
    /// # Errors
    /// As for [`Key::secret`].
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::secret(secret.as_ref(), Algorithm::HS256)
    }

    /// Takes a secret of at least 48 bytes, to sign with HS384.
    ///
    /// # Errors
    /// As for [`Key::secret`].
    pub fn hs384(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::secret(secret.as_ref(), Algorithm::HS384)
    }

    /// Takes a secret of at least 64 bytes, to sign with HS512.
    ///
    /// # Errors
    /// As for [`Key::secret`].
    pub fn hs512(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::secret(secret.as_ref(), Algorithm::HS512)
    }

    fn secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, ConfigError> {
        Ok(Self {
            algorithm,
            private: Private::Secret(Zeroizing::new(secret.to_vec())),
            verification: Key::secret(secret, algorithm)?,
        })
    }

    /// Reads a private key in PEM: PKCS#8 (`PRIVATE KEY`), or PKCS#1 for RSA (`RSA PRIVATE KEY`).
    ///
    /// # Errors
    /// [`ConfigError::Key`] if the text is no such key, is encrypted, does not fit the algorithm, is weak (RSA under
    /// 2048 bits, a private part that repeats one byte), or if its private and public parts do not belong together;
    /// [`ConfigError::NoCryptoBackend`].
    pub fn pem(text: impl AsRef<str>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        let block = pem::decode(text.as_ref()).map_err(|problem| refused("PEM", problem))?;
        match block.label {
            "PRIVATE KEY" => Self::pkcs8("PEM", block.der, algorithm),
            "RSA PRIVATE KEY" => Self::rsa("PEM", block.der, algorithm),
            "EC PRIVATE KEY" => Err(refused(
                "PEM",
                "is SEC 1: convert it to PKCS#8 with `openssl pkcs8 -topk8 -nocrypt`",
            )),
            "ENCRYPTED PRIVATE KEY" => Err(refused("PEM", "is encrypted: decrypt it first")),
            _ => Err(refused(
                "PEM",
                "is no private key, and only one of those signs",
            )),
        }
    }

    /// Makes a new key from the randomness of the system: RSA of 2048 bits, a secret as long as the hash, or a key on
    /// the curve of the algorithm.
    ///
    /// Tokens signed with it do not outlive the process unless its public part is kept and published.
    ///
    /// # Errors
    /// [`ConfigError::Key`] if the system has no randomness, or for RSA without the feature `aws-lc-rs`;
    /// [`ConfigError::NoCryptoBackend`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        match (algorithm.family(), algorithm) {
            (AlgorithmFamily::Hmac, _) => {
                let mut secret = Zeroizing::new(vec![0; keys::hash_length(algorithm)]);
                fill(&mut secret)?;
                Self::secret(&secret, algorithm)
            }
            (AlgorithmFamily::Rsa, _) => {
                let der = signer::generate_rsa().ok_or_else(|| {
                    refused(
                        GENERATED,
                        "RSA keys are generated with the feature `aws-lc-rs` only: load one with SigningKey::pem",
                    )
                })?;
                Self::pkcs8(GENERATED, der, algorithm)
            }
            (_, Algorithm::ES256) => Self::on_curve(der::PKCS8_P256, Curve::P256),
            (_, Algorithm::ES384) => Self::on_curve(der::PKCS8_P384, Curve::P384),
            (_, Algorithm::EdDSA) => {
                let der = random_after(der::PKCS8_ED25519, 32)?;
                Self::pkcs8(GENERATED, der, algorithm)
            }
            _ => Err(refused(GENERATED, "there is no way to make such a key")),
        }
    }

    /// Draws until the number is below the order of the curve (FIPS 186-5 A.2.2), which one in 2³² is not.
    fn on_curve(prefix: &[u8], curve: Curve) -> Result<Self, ConfigError> {
        let mut key = Err(ConfigError::NoCryptoBackend);
        for _ in 0..4 {
            let der = random_after(prefix, curve.coordinate_length())?;
            key = Self::pkcs8(GENERATED, der, curve.algorithm());
            if key.is_ok() {
                break;
            }
        }
        key
    }

    fn pkcs8(
        name: &str,
        der: Zeroizing<Vec<u8>>,
        algorithm: Algorithm,
    ) -> Result<Self, ConfigError> {
        let (key_type, inner) =
            der::private_key_info(&der).ok_or_else(|| refused(name, "is no readable PKCS#8"))?;
        let unfit = || {
            refused(
                name,
                &format!("{algorithm:?} does not fit this type of key"),
            )
        };
        // The private part of a curve's key has 32 bytes at least, and nothing else in PKCS#8 repeats a byte as often.
        if keys::has_run_of(32, inner) {
            return Err(refused(
                name,
                "repeats one byte in its private part: generate another key",
            ));
        }
        match (key_type, algorithm) {
            (KeyType::Rsa, _) => Self::rsa(name, Zeroizing::new(inner.to_vec()), algorithm),
            (KeyType::Ec(curve), _) if curve.algorithm() == algorithm => {
                Self::private(name, Private::Ec(der), algorithm)
            }
            (KeyType::Ed25519, Algorithm::EdDSA) => {
                Self::private(name, Private::Ed25519(der), algorithm)
            }
            (KeyType::Unknown | KeyType::X25519, _) => Err(refused(
                name,
                "is neither RSA nor ECDSA on P-256 or P-384 nor Ed25519",
            )),
            _ => Err(unfit()),
        }
    }

    fn rsa(name: &str, der: Zeroizing<Vec<u8>>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        if algorithm.family() != AlgorithmFamily::Rsa {
            let problem = format!("{algorithm:?} does not fit an RSA key");
            return Err(refused(name, &problem));
        }
        let (n, e) =
            der::rsa_private_key(&der).ok_or_else(|| refused(name, "is no readable PKCS#1"))?;
        Material::rsa(n, e).map_err(|problem| refused(name, &problem))?;
        Self::private(name, Private::Rsa(der), algorithm)
    }

    fn private(name: &str, private: Private, algorithm: Algorithm) -> Result<Self, ConfigError> {
        let backend = CryptoBackend::preferred()?;
        let (_, public) = Signer::prepare(&private, algorithm, backend)
            .ok_or_else(|| refused(name, UNREADABLE))?;
        let thumbprint = keys::thumbprint_input(&public)
            .and_then(|input| sha256(input.as_bytes(), backend))
            .ok_or_else(|| refused(name, "has no thumbprint"))?;
        let id = URL_SAFE_NO_PAD.encode_to_string(thumbprint);
        Ok(Self {
            algorithm,
            private,
            verification: Key::stated(public, algorithm).with_id(id),
        })
    }

    /// Gives the key its ID, which its tokens name as `kid`: 1 to 256 bytes.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.verification = self.verification.with_id(id);
        self
    }

    /// Names the algorithm `Ed25519` in tokens and in the JWK Set ([RFC 9864 §2.2]), for verifiers that no longer take
    /// `EdDSA`, the default. Only for EdDSA keys.
    ///
    /// [`TokenIssuerBuilder::build`](crate::TokenIssuerBuilder::build) and [`TokenIssuer::rotate`](crate::TokenIssuer::rotate)
    /// refuse a key of another algorithm that was told so.
    ///
    /// [RFC 9864 §2.2]: https://www.rfc-editor.org/rfc/rfc9864#section-2.2
    ///
    /// # Examples
    /// ```
    /// use tower_warden::{Algorithm, ConfigError, SigningKey};
    /// # fn main() -> Result<(), ConfigError> {
    /// let key = SigningKey::generate(Algorithm::EdDSA)?.with_rfc9864_name();
    /// assert!(key.public_jwk().is_some_and(|jwk| jwk.contains(r#""alg":"Ed25519""#)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_rfc9864_name(mut self) -> Self {
        self.verification = self.verification.with_name(AlgorithmName::Rfc9864);
        self
    }

    /// Returns the name of the algorithm on the wire.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for another name of an algorithm that has one only.
    pub(super) fn algorithm_name(&self) -> Result<String, ConfigError> {
        let name = self.verification.name();
        if name == AlgorithmName::Rfc9864 && self.algorithm != Algorithm::EdDSA {
            return Err(ConfigError::Setting {
                name: "with_rfc9864_name",
                value: format!("{:?}", self.algorithm),
                problem: "RFC 9864 has another name for EdDSA only: leave it out",
            });
        }
        Ok(name.of(self.algorithm))
    }

    /// The key ID: what was given, else the thumbprint of a private key.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.verification.id()
    }

    /// The one algorithm that this key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key that verifies what this one signs: its public part, or the same secret.
    #[must_use]
    pub fn verification_key(&self) -> Key {
        self.verification.clone()
    }

    /// The public part as a JSON Web Key; a shared secret has none.
    #[must_use]
    pub fn public_jwk(&self) -> Option<String> {
        self.verification.public_jwk().map(|jwk| jwk.to_string())
    }

    pub(crate) fn prepare(&self, backend: CryptoBackend) -> Result<Signer, ConfigError> {
        let (signer, _) = Signer::prepare(&self.private, self.algorithm, backend)
            .ok_or_else(|| refused(self.id().unwrap_or("secret"), UNREADABLE))?;
        Ok(signer)
    }

    /// Signs raw bytes, for tokens that an issuer would not sign.
    #[cfg(feature = "testing")]
    pub(crate) fn raw_signer(
        &self,
    ) -> Result<impl Fn(&[u8]) -> Vec<u8> + Send + Sync + use<>, ConfigError> {
        let signer = self.prepare(CryptoBackend::preferred()?)?;
        Ok(move |message: &[u8]| signer.sign(message).unwrap_or_default())
    }
}

const GENERATED: &str = "generated";
const UNREADABLE: &str =
    "cannot be read by the crypto backend, or its private and public parts do not belong together";

fn refused(key: &str, problem: &str) -> ConfigError {
    ConfigError::Key {
        key: key.to_owned(),
        problem: problem.to_owned(),
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), ConfigError> {
    getrandom::fill(bytes).map_err(|_| refused(GENERATED, "the system has no randomness"))
}

fn random_after(prefix: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    // Of its final length at once, so that no copy of a half-made key stays behind.
    let mut der = Zeroizing::new(vec![0; prefix.len() + length]);
    let (start, random) = der.split_at_mut(prefix.len());
    start.copy_from_slice(prefix);
    fill(random)?;
    Ok(der)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id())
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
