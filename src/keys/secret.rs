//! What a shared secret must prove before it is used with HMAC.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::{
    der,
    material::{Material, hash_length},
};
use crate::ConfigError;

/// Checks a secret: right algorithm, no public key in disguise, at least as long as the hash (RFC 7518 §3.2), neither one
/// byte repeated nor blanks only.
pub(crate) fn check(secret: &[u8], algorithm: Algorithm) -> Result<Material, ConfigError> {
    if algorithm.family() != AlgorithmFamily::Hmac {
        return Err(ConfigError::Key {
            key: "secret".into(),
            problem: format!(
                "{algorithm:?} does not use a shared secret: give HS256, HS384 or HS512, or load a public key"
            ),
        });
    }
    if let Some(format) = disguise(secret) {
        return Err(ConfigError::SecretIsKey { format });
    }
    let minimum = hash_length(algorithm);
    if secret.len() < minimum {
        return Err(ConfigError::SecretTooShort {
            algorithm,
            length: secret.len(),
            minimum,
        });
    }
    if let Some(problem) = trivial(secret) {
        return Err(ConfigError::Key {
            key: "secret".into(),
            problem: problem.into(),
        });
    }
    Ok(Material::Secret(Zeroizing::new(secret.to_vec())))
}

/// Returns the reason why a secret of sufficient length is guessed at once: a placeholder, or memory that was never filled.
fn trivial(secret: &[u8]) -> Option<&'static str> {
    if secret.iter().all(u8::is_ascii_whitespace) {
        return Some("consists of blanks only: draw it at random, with `openssl rand -base64 48`");
    }
    has_run_of(secret.len(), secret)
        .then_some("repeats one byte: draw it at random, with `openssl rand -base64 48`")
}

/// Checks whether one byte stands at least `length` times in a row.
pub(crate) fn has_run_of(length: usize, bytes: &[u8]) -> bool {
    bytes
        .chunk_by(|one, next| one == next)
        .any(|run| run.len() >= length)
}

/// The format of a key that was given where a secret belongs.
///
/// A public key is public: whoever knows it could sign with it (CVE-2016-10555), and white space before it hides it
/// from a naive test (CVE-2026-34950).
fn disguise(secret: &[u8]) -> Option<&'static str> {
    let text = secret.strip_prefix(b"\xef\xbb\xbf").unwrap_or(secret);
    let start = text
        .iter()
        .position(|&byte| byte > b' ')
        .unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    if memchr::memmem::find(text, b"-----BEGIN ").is_some() {
        return Some("PEM");
    }
    if [&b"ssh-"[..], b"ecdsa-sha2-"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
    {
        return Some("SSH key");
    }
    if der::is_key(secret) {
        return Some("DER key");
    }
    let members: BTreeMap<String, IgnoredAny> = serde_json::from_slice(text).ok()?;
    if members.contains_key("keys") {
        Some("JWK Set")
    } else if members.contains_key("kty") {
        Some("JWK")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_least_length_is_that_of_the_hash() {
        for (algorithm, minimum) in [
            (Algorithm::HS256, 32),
            (Algorithm::HS384, 48),
            (Algorithm::HS512, 64),
        ] {
            let secret: Vec<u8> = (0..minimum as u8).collect();
            assert!(check(&secret, algorithm).is_ok());
            for length in [0, minimum - 1] {
                let Err(ConfigError::SecretTooShort {
                    length: told,
                    minimum: least,
                    ..
                }) = check(&vec![7; length], algorithm)
                else {
                    panic!("{algorithm:?} took {length} bytes");
                };
                assert_eq!((told, least), (length, minimum));
            }
        }
    }

    #[test]
    fn a_secret_of_one_byte_or_of_blanks_is_refused_and_never_shown() {
        let blanks = b" \t\r\n".repeat(16);
        for secret in [
            vec![0; 64],
            vec![7; 64],
            vec![b'x'; 64],
            vec![b' '; 64],
            vec![0xff; 64],
            blanks,
        ] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let error = match check(&secret, algorithm) {
                    Err(error @ ConfigError::Key { .. }) => error.to_string(),
                    other => panic!("{algorithm:?} {:?}: {:?}", secret[0], other.is_ok()),
                };
                assert!(error.contains("at random"), "{error}");
                assert!(!error.contains("xxx") && !error.contains("7, 7"), "{error}");
            }
        }
        let mut nearly = vec![b'x'; 64];
        nearly[63] = b'y';
        assert!(check(&nearly, Algorithm::HS512).is_ok());
    }

    #[test]
    fn hazard_public_key_as_hmac_secret() {
        let pem = include_str!("../../tests/keys/rsa2048.pub.pem");
        let jwk =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let set = format!(r#"{{"keys":[{jwk}]}}"#);
        let der = crate::keys::pem::decode(pem).unwrap().der.to_vec();
        for (secret, format) in [
            (pem.as_bytes(), "PEM"),
            (include_bytes!("../../tests/keys/ed25519.pem"), "PEM"),
            (include_bytes!("../../tests/keys/rsa2048.cert.pem"), "PEM"),
            (jwk.as_bytes(), "JWK"),
            (set.as_bytes(), "JWK Set"),
            (&der, "DER key"),
            (
                b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample someone@example",
                "SSH key",
            ),
        ] {
            let mut spellings = vec![secret.to_vec()];
            if format != "DER key" {
                for before in [
                    &b" \t\r\n"[..],
                    b"\xef\xbb\xbf",
                    b"\xef\xbb\xbf\n",
                    b"\x0b\x0c\0",
                ] {
                    spellings.push([before, secret].concat());
                }
            }
            for spelling in spellings {
                match check(&spelling, Algorithm::HS256) {
                    Err(ConfigError::SecretIsKey { format: told }) => assert_eq!(told, format),
                    other => panic!("{format} {:?}: {:?}", &spelling[..8], other.is_ok()),
                }
            }
        }
    }

    #[test]
    fn only_hmac_takes_a_secret() {
        for algorithm in [
            Algorithm::RS256,
            Algorithm::PS512,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ] {
            assert!(matches!(
                check(&[7; 64], algorithm),
                Err(ConfigError::Key { .. })
            ));
        }
    }
}
