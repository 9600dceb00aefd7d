//! [`Keys`]: a checked list of keys.

use std::{fs, io, path::Path};

use jsonwebtoken::Algorithm;

use super::{
    jwk::{self, JwkSet},
    key::{Key, Origin, refused},
    material::ALGORITHMS,
};
use crate::ConfigError;

/// The longest key ID in bytes; verification refuses longer ones before it looks.
const LONGEST_ID: usize = 256;

/// The keys that verify the tokens of one issuer.
///
/// # Examples
/// ```
/// use tower_warden::{Algorithm, ConfigError, Key, Keys};
/// # fn main() -> Result<(), ConfigError> {
/// # let (current, previous) = ("this month's secret, of at least 32 bytes", "last month's secret, of at least 32 bytes");
/// // Two secrets while one replaces the other.
/// let keys = Keys::hs256([current, previous])?;
///
/// let keys = Keys::jwk_set(
///     r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
/// )?;
///
/// // A shared secret among public keys is refused.
/// assert!(Keys::jwk_set(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Keys {
    keys: Vec<Key>,
    /// Keys from afar are skipped where one given by hand is an error.
    pub(super) lenient: bool,
}

impl Keys {
    /// Takes these keys, which may be of different algorithms.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] without any key; [`ConfigError::Key`] if an ID is empty or over 256 bytes, if two keys
    /// of one algorithm share an ID, or if two public keys of one algorithm have none.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Result<Self, ConfigError> {
        let keys: Vec<Key> = keys.into_iter().collect();
        if keys.is_empty() {
            return Err(ConfigError::Missing {
                name: "Keys",
                problem: "a verifier needs at least one key",
            });
        }
        for (index, key) in keys.iter().enumerate() {
            check_id(key)?;
            if let Some(problem) = keys.iter().take(index).find_map(|other| clash(key, other)) {
                let name = key
                    .id()
                    .map_or_else(|| format!("number {}", index + 1), str::to_owned);
                return Err(refused(&name, problem));
            }
        }
        Ok(Self {
            keys,
            lenient: false,
        })
    }

    /// Takes secrets for HS256, of at least 32 bytes each: the current one and, while they rotate, its predecessors.
    ///
    /// # Errors
    /// As for [`Key::secret`] and [`new`](Self::new).
    pub fn hs256<I: IntoIterator<Item: AsRef<[u8]>>>(secrets: I) -> Result<Self, ConfigError> {
        Self::secrets(secrets, Algorithm::HS256)
    }

    /// Takes secrets for HS384, of at least 48 bytes each.
    ///
    /// # Errors
    /// As for [`Key::secret`] and [`new`](Self::new).
    pub fn hs384<I: IntoIterator<Item: AsRef<[u8]>>>(secrets: I) -> Result<Self, ConfigError> {
        Self::secrets(secrets, Algorithm::HS384)
    }

    /// Takes secrets for HS512, of at least 64 bytes each.
    ///
    /// # Errors
    /// As for [`Key::secret`] and [`new`](Self::new).
    pub fn hs512<I: IntoIterator<Item: AsRef<[u8]>>>(secrets: I) -> Result<Self, ConfigError> {
        Self::secrets(secrets, Algorithm::HS512)
    }

    fn secrets<I: IntoIterator<Item: AsRef<[u8]>>>(
        secrets: I,
        algorithm: Algorithm,
    ) -> Result<Self, ConfigError> {
        let keys: Result<Vec<_>, _> = secrets
            .into_iter()
            .map(|secret| Key::secret(secret, algorithm))
            .collect();
        Self::new(keys?)
    }

    /// Reads a JWK Set of public keys ([RFC 7517 §5]).
    ///
    /// # Errors
    /// [`ConfigError::Key`] for the first key that [`Key::jwk`] refuses, for a shared secret (`oct`), and as for
    /// [`new`](Self::new): a set given by hand is meant to be used whole. A key that stands there twice counts once.
    ///
    /// [RFC 7517 §5]: https://www.rfc-editor.org/rfc/rfc7517#section-5
    pub fn jwk_set(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let mut keys: Vec<Key> = Vec::new();
        for key in parse_set(json.as_ref())? {
            let key = key?;
            if !keys.iter().any(|other| key.is_twin(other)) {
                keys.push(key);
            }
        }
        Self::new(keys)
    }

    /// Reads a JWK Set from a file, once.
    ///
    /// # Errors
    /// [`ConfigError::File`] if it cannot be read, else as for [`jwk_set`](Self::jwk_set).
    pub fn jwk_set_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        Self::jwk_set(fs::read(path).map_err(unreadable(path))?)
    }

    /// Reads one public key or certificate in PEM from a file, once.
    ///
    /// # Errors
    /// [`ConfigError::File`] if it cannot be read, else as for [`Key::pem`].
    pub fn pem_file(path: impl AsRef<Path>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(unreadable(path))?;
        Self::new([Key::pem_called(
            &path.display().to_string(),
            &text,
            algorithm,
        )?])
    }

    /// Reads a JWK Set from afar: each key on its own, what is unusable skipped and reported.
    ///
    /// A key that stands there twice counts once. Other keys that cannot be told apart stay, so that tokens that name them are refused, and are reported too.
    ///
    /// # Errors
    /// Only if the document is no JWK Set at all.
    #[cfg_attr(not(feature = "jwks"), allow(dead_code))]
    pub(crate) fn jwk_set_lenient(
        json: &[u8],
    ) -> Result<(Self, Vec<(String, ConfigError)>), ConfigError> {
        let mut keys: Vec<Key> = Vec::new();
        let mut faults = Vec::new();
        for (index, key) in parse_set(json)?.enumerate() {
            let label = |key: &Key| key.id().map_or_else(|| place(index), str::to_owned);
            match key.and_then(|key| check_id(&key).map(|()| key)) {
                Ok(key) if keys.iter().any(|other| key.is_twin(other)) => {}
                Ok(key) => {
                    if let Some(problem) = keys.iter().find_map(|other| clash(&key, other)) {
                        faults.push((label(&key), refused(&label(&key), problem)));
                    }
                    keys.push(key);
                }
                Err(fault) => faults.push((place(index), fault)),
            }
        }
        let keys = Self {
            keys,
            lenient: true,
        };
        Ok((keys, faults))
    }

    /// Tells the keys without `alg` what their provider signs with; those with one stay alone.
    #[cfg_attr(not(feature = "jwks"), allow(dead_code))]
    pub(crate) fn hinted(mut self, algorithms: &[Algorithm]) -> Self {
        for key in &mut self.keys {
            key.hint(algorithms);
        }
        self
    }

    /// The keys, in the order in which they were given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ConfigError {
    |source| ConfigError::File {
        path: path.to_owned(),
        source,
    }
}

fn place(index: usize) -> String {
    format!("keys[{index}]")
}

fn parse_set(json: &[u8]) -> Result<impl Iterator<Item = Result<Key, ConfigError>>, ConfigError> {
    let set: JwkSet =
        serde_json::from_slice(json).map_err(|error| refused("JWK Set", jwk::not_json(&error)))?;
    let keys = set.keys.into_iter().enumerate();
    Ok(keys.map(|(index, members)| Key::from_members(&place(index), &members, Origin::Set)))
}

fn check_id(key: &Key) -> Result<(), ConfigError> {
    match key.id().map(str::len) {
        Some(0) => Err(refused("", "an empty key ID names nothing".into())),
        Some(length) if length > LONGEST_ID => {
            let start: String = key.id().unwrap_or_default().chars().take(32).collect();
            let problem = format!("a key ID has at most {LONGEST_ID} bytes, this one {length}");
            Err(refused(&format!("{start}…"), problem))
        }
        _ => Ok(()),
    }
}

/// Why two keys cannot be told apart by the tokens that they verify.
fn clash(key: &Key, other: &Key) -> Option<String> {
    let algorithm = ALGORITHMS
        .into_iter()
        .find(|algorithm| key.could_verify(*algorithm) && other.could_verify(*algorithm))?;
    match (key.id(), other.id()) {
        (Some(id), Some(same)) if id == same => Some(format!(
            "another key for {algorithm:?} has the same ID: give each its own"
        )),
        // Secrets without IDs are tried one after the other: that is how they rotate.
        (None, None) if !key.is_secret() => Some(format!(
            "another key for {algorithm:?} has no ID either: give each an ID"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ED: &str =
        r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    #[test]
    fn hazard_one_odd_key_does_not_break_a_set_from_afar() {
        let odd = [
            r#"{"kty":"AKP","alg":"ML-DSA-65","pub":"AA"}"#,
            r#"{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            &format!(r#"{{{ED},"use":"enc"}}"#),
            &format!(r#"{{{ED},"key_ops":["encrypt"]}}"#),
            &format!(r#"{{{ED},"d":"AA"}}"#),
            &format!(r#"{{{ED},"kid":"b","kid":"b"}}"#),
            &format!(r#"{{{ED},"kid":""}}"#),
            "7",
            "null",
            "[]",
            r#""key""#,
            "-1.5",
            "true",
        ];
        let set = format!(r#"{{"keys":[{},{{{ED},"kid":"a"}}]}}"#, odd.join(","));
        let (keys, faults) = Keys::jwk_set_lenient(set.as_bytes()).unwrap();
        assert_eq!(keys.iter().filter_map(Key::id).collect::<Vec<_>>(), ["a"]);
        let places: Vec<_> = faults.iter().map(|(place, _)| place.clone()).collect();
        let wanted: Vec<_> = (0..odd.len()).map(place).collect();
        assert_eq!(places, wanted);
    }

    #[test]
    fn a_document_that_is_no_set_is_an_error_even_from_afar() {
        for json in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"keys":7}"#,
            r#"{"keys":[{]}"#,
            "\u{feff}{\"keys\":[]}",
        ] {
            assert!(Keys::jwk_set_lenient(json.as_bytes()).is_err(), "{json}");
        }
        let (keys, faults) = Keys::jwk_set_lenient(br#"{"keys":[]}"#).unwrap();
        assert_eq!((keys.iter().count(), faults.len()), (0, 0));
    }
}
