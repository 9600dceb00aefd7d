//! [`Key`]: one key, checked when it is loaded.

use std::{fmt, sync::Arc};

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde_json::Value;

use super::{
    der, jwk,
    jwk::{AlgorithmName, Members},
    material::{Curve, Material},
    pem, secret,
};
use crate::{ConfigError, CryptoBackend, telemetry::shown, verify::SignatureVerifier};

/// One key that verifies tokens, bound to its algorithm and checked when it is loaded.
///
/// | constructor | takes |
/// | --- | --- |
/// | [`secret`](Self::secret) | a shared secret for HS256, HS384 or HS512 |
/// | [`pem`](Self::pem) | a public key or certificate in PEM |
/// | [`der`](Self::der) | the same as DER, or the raw point of ECDSA and Ed25519 |
/// | [`jwk`](Self::jwk) | a JSON Web Key |
///
/// It never prints its bytes, and wipes a secret from memory when dropped.
///
/// # Examples
/// ```
/// use tower_warden::{Algorithm, ConfigError, Key, Keys};
/// # fn main() -> Result<(), ConfigError> {
/// let secret = "a secret of at least 32 bytes, from a safe place";
/// let current = Key::secret(secret, Algorithm::HS256)?.with_id("2026-11");
/// let keys = Keys::new([current])?;
///
/// // Too short for SHA-256, and a public key in the place of a secret: both are refused.
/// assert!(matches!(
///     Key::secret("secret", Algorithm::HS256),
///     Err(ConfigError::SecretTooShort { minimum: 32, .. })
/// ));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Key {
    id: Option<Arc<str>>,
    issuer: Option<Arc<str>>,
    algorithms: Algorithms,
    name: AlgorithmName,
    material: Arc<Material>,
    origin: Origin,
}

/// What a key may be used for.
#[derive(Debug, Clone, PartialEq)]
enum Algorithms {
    /// Its own `alg`, or the one it was loaded for.
    Stated(Algorithm),
    /// The key states none; the allow-list of its loader decides.
    Listed(Vec<Algorithm>),
    /// The key states none; the allow-list of the verifier decides, or else the default of its type.
    Open {
        default: Algorithm,
        /// Those that its provider says it signs with, as far as they fit: they narrow the choice where they leave one.
        hinted: Vec<Algorithm>,
    },
}

/// Where a key came from: one in a set is only found by its ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Hand,
    Set,
}

impl Key {
    /// Takes a shared secret for HS256, HS384 or HS512: at least 32, 48 or 64 bytes ([RFC 7518 §3.2]).
    ///
    /// # Errors
    /// [`ConfigError::SecretTooShort`]; [`ConfigError::SecretIsKey`] for the text of a key (PEM, JWK, DER, SSH);
    /// [`ConfigError::Key`] if the algorithm takes no secret, or if the secret repeats one byte or holds only blanks.
    ///
    /// [RFC 7518 §3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
    pub fn secret(secret: impl AsRef<[u8]>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        let material = secret::check(secret.as_ref(), algorithm)?;
        Ok(Self::stated(material, algorithm))
    }

    /// Reads a public key in PEM: `PUBLIC KEY`, `RSA PUBLIC KEY`, or the key of a `CERTIFICATE`.
    ///
    /// A certificate's signature and dates are not checked: it is trusted because it was given here.
    ///
    /// # Errors
    /// [`ConfigError::Key`] if the text is no such key, holds several or a private one, does not fit the algorithm,
    /// or is weak (RSA under 2048 bits).
    pub fn pem(text: impl AsRef<str>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        Self::pem_called("PEM", text.as_ref(), algorithm)
    }

    /// The same, with the name that an error gives to the key.
    pub(super) fn pem_called(
        name: &str,
        text: &str,
        algorithm: Algorithm,
    ) -> Result<Self, ConfigError> {
        let read = || {
            let block = pem::decode(text)?;
            let material = match block.label {
                "PUBLIC KEY" => der::public_key_info(&block.der).map(Material::public_key_info),
                "CERTIFICATE" => der::certified_key(&block.der).map(Material::public_key_info),
                "RSA PUBLIC KEY" => {
                    der::rsa_public_key(&block.der).map(|(n, e)| Material::rsa(n, e))
                }
                label if label.ends_with("PRIVATE KEY") => {
                    return Err(
                        "is a private key: verification needs the public one only".to_owned()
                    );
                }
                _ => return Err("is PEM, but neither a public key nor a certificate".to_owned()),
            };
            material.ok_or("is PEM whose content cannot be read")?
        };
        Self::asymmetric(name, read(), algorithm)
    }

    /// Reads a public key in DER: `SubjectPublicKeyInfo`, PKCS#1 for RSA, the uncompressed point for ECDSA, or the
    /// 32 bytes for Ed25519.
    ///
    /// # Errors
    /// As for [`pem`](Self::pem).
    pub fn der(bytes: impl AsRef<[u8]>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        let bytes = bytes.as_ref();
        let read = || {
            if let Some(info) = der::public_key_info(bytes) {
                return Material::public_key_info(info);
            }
            if der::is_private_key(bytes) {
                return Err("is a private key: verification needs the public one only".to_owned());
            }
            match (algorithm.family(), algorithm) {
                (AlgorithmFamily::Rsa, _) => match der::rsa_public_key(bytes) {
                    Some((n, e)) => Material::rsa(n, e),
                    None => Err("is neither SubjectPublicKeyInfo nor PKCS#1".to_owned()),
                },
                (_, Algorithm::ES256) => Material::ec(Curve::P256, bytes),
                (_, Algorithm::ES384) => Material::ec(Curve::P384, bytes),
                (_, Algorithm::EdDSA) => Material::ed25519(bytes),
                _ => Err(format!("{algorithm:?} does not use a public key")),
            }
        };
        Self::asymmetric("DER", read(), algorithm)
    }

    /// Reads a JSON Web Key ([RFC 7517]): RSA, EC on P-256 or P-384, OKP on Ed25519, or `oct` with an `alg`.
    ///
    /// `alg` may be `EdDSA` or `Ed25519`, its name in [RFC 9864]. A key without `alg` verifies those of the verifier's algorithms that fit it, or if the verifier names none:
    /// RS256, ES256, ES384 or `EdDSA` by its type and curve. A key that states an `issuer`, as Entra's do, verifies the
    /// tokens of that one alone where the verifier names one. `x5c` and its kin are ignored.
    ///
    /// # Errors
    /// [`ConfigError::Key`] if it is no JWK, is meant for something else (`use`, `key_ops`), holds private members,
    /// has a member twice, or is weak; for `oct` the errors of [`secret`](Self::secret).
    ///
    /// [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517
    /// [RFC 9864]: https://www.rfc-editor.org/rfc/rfc9864
    pub fn jwk(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let members = serde_json::from_slice::<Members>(json.as_ref())
            .map_err(|error| refused("JWK", jwk::not_json(&error)))?;
        Self::from_members("JWK", &members, Origin::Hand)
    }

    /// Reads a JSON Web Key and, if it states no `alg`, binds it to these algorithms.
    ///
    /// # Errors
    /// As for [`jwk`](Self::jwk), and if the list is empty, or does not fit what the key is or states.
    pub fn jwk_for(
        json: impl AsRef<[u8]>,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Result<Self, ConfigError> {
        let mut key = Self::jwk(json)?;
        let mut list = Vec::new();
        for algorithm in algorithms {
            if !key.material.fits(algorithm) {
                let problem = format!("{algorithm:?} does not fit {}", key.material.describe());
                return Err(refused(key.id().unwrap_or("JWK"), problem));
            }
            if !list.contains(&algorithm) {
                list.push(algorithm);
            }
        }
        match key.algorithms {
            Algorithms::Stated(stated) if list.contains(&stated) => {}
            Algorithms::Open { .. } if !list.is_empty() => {
                key.algorithms = Algorithms::Listed(list);
            }
            _ => {
                let problem = "the list of algorithms is empty, or lacks the `alg` of the key";
                return Err(refused(key.id().unwrap_or("JWK"), problem.into()));
            }
        }
        Ok(key)
    }

    /// Reads one key of a set, or one on its own.
    pub(super) fn from_members(
        name: &str,
        members: &Members,
        origin: Origin,
    ) -> Result<Self, ConfigError> {
        let name = members.id().unwrap_or(name);
        let jwk = members.check().map_err(|problem| refused(name, problem))?;
        let mut key = match (&jwk.material, jwk.algorithm) {
            (Material::Secret(_), _) if origin == Origin::Set => {
                let problem = "a shared secret does not belong into a JWK Set of public keys: load it with Key::jwk or Key::secret";
                return Err(refused(name, problem.into()));
            }
            (Material::Secret(secret), Some(algorithm)) => Self::secret(secret, algorithm)?,
            (Material::Secret(_), None) => {
                return Err(refused(
                    name,
                    "a shared secret has to state its `alg`".into(),
                ));
            }
            (_, Some(algorithm)) => Self::asymmetric(name, Ok(jwk.material), algorithm)?,
            (material, None) => {
                let default = material
                    .default_algorithm()
                    .ok_or_else(|| refused(name, "has no algorithm".into()))?;
                let key = Self::asymmetric(name, Ok(jwk.material), default)?;
                Self {
                    algorithms: Algorithms::Open {
                        default,
                        hinted: Vec::new(),
                    },
                    ..key
                }
            }
        };
        key.id = jwk.id.map(Into::into);
        key.issuer = jwk.issuer.map(Into::into);
        key.name = jwk.name;
        key.origin = origin;
        Ok(key)
    }

    /// The public part of a signing key, which its backend has read already.
    pub(crate) fn stated(material: Material, algorithm: Algorithm) -> Self {
        Self {
            id: None,
            issuer: None,
            algorithms: Algorithms::Stated(algorithm),
            name: AlgorithmName::Rfc7518,
            material: Arc::new(material),
            origin: Origin::Hand,
        }
    }

    fn asymmetric(
        name: &str,
        material: Result<Material, String>,
        algorithm: Algorithm,
    ) -> Result<Self, ConfigError> {
        let material = material.map_err(|problem| refused(name, problem))?;
        if !material.fits(algorithm) {
            let problem = format!("{algorithm:?} does not fit {}", material.describe());
            return Err(refused(name, problem));
        }
        // The backend alone can say whether a point lies on its curve.
        if let Ok(backend) = CryptoBackend::preferred() {
            SignatureVerifier::prepare(&material, algorithm, backend)
                .map_err(|problem| refused(name, problem.into()))?;
        }
        Ok(Self::stated(material, algorithm))
    }

    /// Tells a public key without `alg` what its provider signs with.
    #[cfg_attr(not(feature = "jwks"), allow(dead_code))]
    pub(super) fn hint(&mut self, algorithms: &[Algorithm]) {
        if let Algorithms::Open { hinted, .. } = &mut self.algorithms {
            let fitting = algorithms.iter().copied();
            *hinted = fitting
                .filter(|algorithm| self.material.fits(*algorithm))
                .collect();
        }
    }

    /// Gives the key its ID, which a token names as `kid` ([RFC 7515 §4.1.4]): 1 to 256 bytes, compared byte by byte.
    ///
    /// [RFC 7515 §4.1.4]: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.4
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Writes its algorithm under this name where the key is published.
    pub(crate) fn with_name(mut self, name: AlgorithmName) -> Self {
        self.name = name;
        self
    }

    /// The name of its algorithm in a header.
    pub(crate) fn name(&self) -> AlgorithmName {
        self.name
    }

    /// The key ID, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The key ID, shared.
    pub(crate) fn shared_id(&self) -> Option<Arc<str>> {
        self.id.clone()
    }

    /// The issuer whose tokens it signs, if it says so.
    pub(crate) fn shared_issuer(&self) -> Option<Arc<str>> {
        self.issuer.clone()
    }

    /// The key as it is published; a secret never is.
    pub(crate) fn public_jwk(&self) -> Option<Value> {
        let stated = match self.algorithms {
            Algorithms::Stated(algorithm) => Some(self.name.of(algorithm)),
            Algorithms::Listed(_) | Algorithms::Open { .. } => None,
        };
        jwk::publish(&self.material, self.id(), stated)
    }

    /// Whether both are the same public key under the same ID.
    pub(crate) fn is_same_public_key(&self, other: &Self) -> bool {
        let thumbprint = jwk::thumbprint_input(&self.material);
        thumbprint.is_some()
            && thumbprint == jwk::thumbprint_input(&other.material)
            && self.id == other.id
    }

    /// Returns true where both are the same public key in every respect, as where a set names one key twice.
    pub(super) fn is_twin(&self, other: &Self) -> bool {
        self.is_same_public_key(other)
            && self.issuer == other.issuer
            && self.algorithms == other.algorithms
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether this key is a shared secret.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(*self.material, Material::Secret(_))
    }

    /// The algorithms that this key verifies under an allow-list.
    pub(crate) fn algorithms(&self, allowed: Option<&[Algorithm]>) -> Vec<Algorithm> {
        let listed =
            |algorithm: &Algorithm| allowed.is_none_or(|allowed| allowed.contains(algorithm));
        let own = match (&self.algorithms, allowed) {
            (Algorithms::Stated(algorithm), _) => vec![*algorithm],
            (Algorithms::Listed(list), _) => list.clone(),
            (Algorithms::Open { hinted, .. }, _) if hinted.iter().any(listed) => hinted.clone(),
            (Algorithms::Open { default, .. }, None) => vec![*default],
            (Algorithms::Open { .. }, Some(allowed)) => allowed
                .iter()
                .copied()
                .filter(|algorithm| self.material.fits(*algorithm))
                .collect(),
        };
        let mut algorithms = Vec::with_capacity(own.len());
        for algorithm in own {
            if listed(&algorithm) && !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// Whether some allow-list lets this key verify that algorithm.
    pub(super) fn could_verify(&self, algorithm: Algorithm) -> bool {
        match &self.algorithms {
            Algorithms::Stated(stated) => *stated == algorithm,
            Algorithms::Listed(list) => list.contains(&algorithm),
            Algorithms::Open { .. } => self.material.fits(algorithm),
        }
    }
}

pub(super) fn refused(key: &str, problem: String) -> ConfigError {
    ConfigError::Key {
        key: shown(key),
        problem,
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
