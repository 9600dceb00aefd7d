//! [`KeySet`]: the prepared keys of one moment, as verification sees them.

use std::{fmt, sync::Arc};

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use zeroize::Zeroizing;

use super::{
    Keys, Material,
    jwk::thumbprint_input,
    key::{Origin, refused},
};
use crate::{
    ConfigError, CryptoBackend,
    verify::{SignatureVerifier, sha256},
};

/// A snapshot of prepared keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<PreparedKey>,
}

/// One key, prepared once for its one algorithm.
pub(crate) struct PreparedKey {
    algorithm: Algorithm,
    id: Option<Arc<str>>,
    issuer: Option<Arc<str>>,
    origin: Origin,
    verifier: SignatureVerifier,
    fingerprint: Option<Fingerprint>,
}

/// The digest of a key, or of an endpoint that is asked about tokens. It is never kept or shown as it is: that of a
/// shared secret would let a reader try out secrets.
pub(crate) type Fingerprint = [u8; 32];

impl KeySet {
    /// Prepares each key for its algorithm, or for each of the allowed ones if the key states none.
    ///
    /// # Errors
    /// [`ConfigError::Key`] if this backend cannot use a key, [`ConfigError::Setting`] if no key serves an allowed
    /// algorithm. Keys from afar are left out instead: such a set may be empty.
    pub(crate) fn prepare(
        keys: &Keys,
        allowed: Option<&[Algorithm]>,
        backend: CryptoBackend,
    ) -> Result<Self, ConfigError> {
        let mut prepared = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let fingerprint = fingerprint(key.material(), backend);
            for algorithm in key.algorithms(allowed) {
                match SignatureVerifier::prepare(key.material(), algorithm, backend) {
                    Ok(verifier) => prepared.push(PreparedKey {
                        algorithm,
                        id: key.shared_id(),
                        issuer: key.shared_issuer(),
                        origin: key.origin(),
                        verifier,
                        fingerprint,
                    }),
                    Err(_) if keys.lenient => {}
                    Err(problem) => {
                        let name = key
                            .id()
                            .map_or_else(|| format!("number {}", index + 1), str::to_owned);
                        return Err(refused(&name, problem.into()));
                    }
                }
            }
        }
        if prepared.is_empty() && !keys.lenient {
            return Err(ConfigError::Setting {
                name: "with_algorithms",
                value: format!("{:?}", allowed.unwrap_or_default()),
                problem: "none of the keys serves one of these algorithms",
            });
        }
        Ok(Self { keys: prepared })
    }

    /// The keys, in the order in which they were given; callers refer to them by index.
    pub(crate) fn keys(&self) -> &[PreparedKey] {
        &self.keys
    }

    /// The keys that may have signed a token with this algorithm and key ID, in order.
    ///
    /// A key with an ID fits a token with the same ID (byte-equal), or one without ID. A key without ID that was given
    /// by hand (secret, PEM, DER) fits any token unless some other key has exactly the token's ID; one from a JWK Set
    /// fits only tokens without ID. Where several public keys fit, none does: which of them is meant is not ours to
    /// guess, nor ours to pay for. Several secrets are tried one after the other.
    pub(crate) fn candidates(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> impl Iterator<Item = usize> {
        let named = key_id.is_some() && self.keys.iter().any(|key| key.id() == key_id);
        let fits = move |key: &PreparedKey| {
            key.algorithm == algorithm
                && match (key_id, key.id()) {
                    (None, _) => true,
                    (Some(wanted), Some(id)) => wanted == id,
                    (Some(_), None) => !named && key.origin == Origin::Hand,
                }
        };
        let ambiguous = algorithm.family() != AlgorithmFamily::Hmac
            && self.keys.iter().filter(|key| fits(key)).nth(1).is_some();
        self.keys
            .iter()
            .enumerate()
            .filter(move |(_, key)| !ambiguous && fits(key))
            .map(|(index, _)| index)
    }
}

impl PreparedKey {
    /// The one algorithm this key verifies.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key ID, for the log of the operator only.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The issuer whose tokens it signs, if it says so.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns the digest of the key, where the backend could make one.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Whether `signature` (raw bytes, already base64url-decoded) is this key's signature over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verifies(message, signature)
    }
}

fn fingerprint(material: &Material, backend: CryptoBackend) -> Option<Fingerprint> {
    let digest = match (material, thumbprint_input(material)) {
        (Material::Secret(secret), _) => {
            let labelled = Zeroizing::new([b"oct ".as_slice(), secret].concat());
            sha256(&labelled, backend)
        }
        (_, Some(input)) => sha256(input.as_bytes(), backend),
        (_, None) => None,
    };
    digest?.try_into().ok()
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Key;

    const RSA: &str = include_str!("../../tests/keys/rsa2048.pub.pem");
    const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn prepare(keys: &Keys, allowed: Option<&[Algorithm]>) -> Result<KeySet, ConfigError> {
        KeySet::prepare(keys, allowed, CryptoBackend::preferred().unwrap())
    }

    fn ed(members: &str) -> String {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}"{members}}}"#)
    }

    #[track_caller]
    fn assert_candidates(set: &KeySet, algorithm: Algorithm, id: Option<&str>, wanted: &[usize]) {
        let found: Vec<_> = set.candidates(algorithm, id).collect();
        assert_eq!(found, wanted, "{algorithm:?} {id:?}");
    }

    #[test]
    fn a_key_with_an_id_is_found_by_it_or_by_none() {
        let keys = Keys::jwk_set(format!(r#"{{"keys":[{}]}}"#, ed(r#","kid":"a""#))).unwrap();
        let set = prepare(&keys, None).unwrap();
        for (id, wanted) in [
            (Some("a"), &[0][..]),
            (None, &[0]),
            (Some("A"), &[]),
            (Some("a "), &[]),
            (Some(""), &[]),
        ] {
            assert_candidates(&set, Algorithm::EdDSA, id, wanted);
            assert_candidates(&set, Algorithm::HS256, id, &[]);
        }
    }

    #[test]
    fn a_key_without_id_fits_any_token_only_if_given_by_hand() {
        let by_hand = prepare(
            &Keys::new([Key::pem(RSA, Algorithm::RS256).unwrap()]).unwrap(),
            None,
        )
        .unwrap();
        assert_candidates(&by_hand, Algorithm::RS256, Some("a"), &[0]);
        assert_candidates(&by_hand, Algorithm::RS256, None, &[0]);
        let from_set = Keys::jwk_set(format!(r#"{{"keys":[{}]}}"#, ed(""))).unwrap();
        let from_set = prepare(&from_set, None).unwrap();
        assert_candidates(&from_set, Algorithm::EdDSA, Some("a"), &[]);
        assert_candidates(&from_set, Algorithm::EdDSA, None, &[0]);
    }

    #[test]
    fn an_exact_id_takes_the_token_from_keys_without_id() {
        let keys = Keys::new([
            Key::secret("the first secret of thirty-two bytes", Algorithm::HS256).unwrap(),
            Key::secret("the second secret of thirty-two bytes", Algorithm::HS256)
                .unwrap()
                .with_id("b"),
            Key::pem(RSA, Algorithm::RS256).unwrap().with_id("r"),
        ])
        .unwrap();
        let set = prepare(&keys, None).unwrap();
        assert_candidates(&set, Algorithm::HS256, Some("b"), &[1]);
        assert_candidates(&set, Algorithm::HS256, Some("c"), &[0]);
        assert_candidates(&set, Algorithm::HS256, None, &[0, 1]);
        // The ID names an RSA key: no secret may answer for it.
        assert_candidates(&set, Algorithm::HS256, Some("r"), &[]);
    }

    #[test]
    fn hazard_ambiguous_public_keys_verify_nothing() {
        let keys = Keys::new([
            Key::jwk(ed(r#","kid":"a""#)).unwrap(),
            Key::jwk(ed(r#","kid":"b""#)).unwrap(),
        ])
        .unwrap();
        let set = prepare(&keys, None).unwrap();
        assert_candidates(&set, Algorithm::EdDSA, None, &[]);
        assert_candidates(&set, Algorithm::EdDSA, Some("b"), &[1]);

        let (one, other) = (ed(r#","kid":"a""#), ed(r#","kid":"a","alg":"EdDSA""#));
        let twice = format!(r#"{{"keys":[{one},{other}]}}"#);
        let (keys, faults) = Keys::jwk_set_lenient(twice.as_bytes()).unwrap();
        assert_eq!(faults.len(), 1);
        let set = prepare(&keys, None).unwrap();
        for id in [Some("a"), None] {
            assert_candidates(&set, Algorithm::EdDSA, id, &[]);
        }
    }

    #[test]
    fn the_same_key_twice_in_a_set_is_one_key() {
        for members in [r#","kid":"a""#, ""] {
            let twice = format!(r#"{{"keys":[{0},{0}]}}"#, ed(members));
            let (lenient, faults) = Keys::jwk_set_lenient(twice.as_bytes()).unwrap();
            assert_eq!(faults.len(), 0);
            for keys in [lenient, Keys::jwk_set(&twice).unwrap()] {
                let set = prepare(&keys, None).unwrap();
                assert_candidates(&set, Algorithm::EdDSA, None, &[0]);
            }
        }
    }

    #[test]
    fn hazard_alg_missing_on_the_jwk() {
        use Algorithm::{ES256, HS256, PS256, RS256};
        let n = jwk_modulus();
        let open = format!(r#"{{"keys":[{{"kty":"RSA","kid":"a","e":"AQAB","n":"{n}"}}]}}"#);
        let stated = open.replace(r#""kid""#, r#""alg":"RS256","kid""#);
        for (json, allowed, wanted) in [
            (&open, None, Some(&[RS256][..])),
            (
                &open,
                Some(&[PS256, HS256, RS256, PS256][..]),
                Some(&[PS256, RS256][..]),
            ),
            (&open, Some(&[HS256, ES256][..]), None),
            (&open, Some(&[][..]), None),
            (&stated, None, Some(&[RS256][..])),
            (&stated, Some(&[PS256, RS256][..]), Some(&[RS256][..])),
            (&stated, Some(&[PS256][..]), None),
        ] {
            let set = prepare(&Keys::jwk_set(json).unwrap(), allowed).ok();
            let found = set.map(|set| {
                set.keys()
                    .iter()
                    .map(PreparedKey::algorithm)
                    .collect::<Vec<_>>()
            });
            assert_eq!(found.as_deref(), wanted, "{allowed:?}");
        }
    }

    fn jwk_modulus() -> String {
        use crate::keys::material::Material;
        let Material::Rsa { n, .. } = Key::pem(RSA, Algorithm::RS256).unwrap().material().clone()
        else {
            panic!("no RSA key");
        };
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(n)
    }
}
