#![allow(clippy::unwrap_used)]
//! Every vector against every backend that was compiled in.

use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto::aws_lc};

use super::*;
use crate::{
    Key,
    keys::{ALGORITHMS, Curve},
};

const RSA: &str = include_str!("../../../tests/keys/rsa2048.pem");
const RSA_PUBLIC: &str = include_str!("../../../tests/keys/rsa2048.pub.pem");
const P256: &str = include_str!("../../../tests/keys/ec256.pem");
const P256_PUBLIC: &str = include_str!("../../../tests/keys/ec256.pub.pem");
const P384: &str = include_str!("../../../tests/keys/ec384.pem");
const P384_PUBLIC: &str = include_str!("../../../tests/keys/ec384.pub.pem");
const ED: &str = include_str!("../../../tests/keys/ed25519.pem");
const ED_PUBLIC: &str = include_str!("../../../tests/keys/ed25519.pub.pem");
const SECRET: [u8; 64] = *b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const MESSAGE: &[u8] = b"eyJhbGciOiJYIn0.eyJzdWIiOiJhbGljZSJ9";

fn key(algorithm: Algorithm) -> Key {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Key::secret(SECRET, algorithm),
        Algorithm::ES256 => Key::pem(P256_PUBLIC, algorithm),
        Algorithm::ES384 => Key::pem(P384_PUBLIC, algorithm),
        Algorithm::EdDSA => Key::pem(ED_PUBLIC, algorithm),
        _ => Key::pem(RSA_PUBLIC, algorithm),
    }
    .unwrap()
}

/// Signs with jsonwebtoken's own provider, so that nobody checks his own work.
fn sign(message: &[u8], algorithm: Algorithm) -> Vec<u8> {
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(&SECRET),
        Algorithm::ES256 => EncodingKey::from_ec_pem(P256.as_bytes()).unwrap(),
        Algorithm::ES384 => EncodingKey::from_ec_pem(P384.as_bytes()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED.as_bytes()).unwrap(),
        _ => EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap(),
    };
    let signer = (aws_lc::DEFAULT_PROVIDER.signer_factory)(&algorithm, &key).unwrap();
    signer.try_sign(message).unwrap()
}

fn verifiers(key: &Key, algorithm: Algorithm) -> Vec<(CryptoBackend, SignatureVerifier)> {
    CryptoBackend::ALL
        .iter()
        .map(|&backend| {
            let verifier = SignatureVerifier::prepare(key.material(), algorithm, backend).unwrap();
            (backend, verifier)
        })
        .collect()
}

/// Every bit with aws-lc-rs, some seventy with `RustCrypto`, which takes milliseconds each unoptimised.
fn step(backend: CryptoBackend, bits: usize) -> usize {
    match backend {
        #[cfg(feature = "aws-lc-rs")]
        CryptoBackend::AwsLc => 1.min(bits),
        #[cfg(feature = "rust-crypto")]
        CryptoBackend::RustCrypto => bits / 70 + 1,
    }
}

#[track_caller]
fn assert_refused(algorithm: Algorithm, signature: &[u8], case: &str) {
    for (backend, verifier) in verifiers(&key(algorithm), algorithm) {
        assert!(
            !verifier.verifies(MESSAGE, signature),
            "{algorithm:?} {backend:?}: {case}"
        );
    }
}

#[test]
fn rfc_vectors_verify() {
    const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    for (rfc, algorithm, jwk, header, payload, signature) in [
        (
            "RFC 7515 A.1",
            Algorithm::HS256,
            r#"{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            CLAIMS,
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            "RFC 7515 A.2",
            Algorithm::RS256,
            r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
            "eyJhbGciOiJSUzI1NiJ9",
            CLAIMS,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "RFC 7515 A.3",
            Algorithm::ES256,
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9",
            CLAIMS,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            "RFC 8037 A.4",
            Algorithm::EdDSA,
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let key = Key::jwk(jwk).unwrap();
        let message = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.decode_to_vec(signature).unwrap();
        for (backend, verifier) in verifiers(&key, algorithm) {
            assert!(
                verifier.verifies(message.as_bytes(), &signature),
                "{rfc} {backend:?}"
            );
            assert!(
                !verifier.verifies(payload.as_bytes(), &signature),
                "{rfc} {backend:?}"
            );
        }
    }
}

#[test]
fn every_algorithm_verifies_its_own_signature_and_no_other() {
    let signatures: Vec<_> = ALGORITHMS.map(|algorithm| sign(MESSAGE, algorithm)).into();
    for algorithm in ALGORITHMS {
        for (backend, verifier) in verifiers(&key(algorithm), algorithm) {
            for (other, signature) in ALGORITHMS.into_iter().zip(&signatures) {
                // PKCS#1 v1.5 is not PSS, SHA-256 is not SHA-384, whatever the key.
                assert_eq!(
                    verifier.verifies(MESSAGE, signature),
                    algorithm == other,
                    "{backend:?}: {other:?} at a key for {algorithm:?}"
                );
            }
        }
    }
}

#[test]
fn a_key_is_prepared_for_no_algorithm_but_its_own() {
    for algorithm in ALGORITHMS {
        let key = key(algorithm);
        for other in ALGORITHMS {
            for &backend in CryptoBackend::ALL {
                let prepared = SignatureVerifier::prepare(key.material(), other, backend);
                assert_eq!(
                    prepared.is_ok(),
                    key.material().fits(other),
                    "{algorithm:?} {other:?}"
                );
            }
        }
    }
}

#[test]
fn one_flipped_bit_of_the_signature_never_verifies() {
    for algorithm in ALGORITHMS {
        let good = sign(MESSAGE, algorithm);
        for (backend, verifier) in verifiers(&key(algorithm), algorithm) {
            assert!(verifier.verifies(MESSAGE, &good));
            let step = step(backend, good.len() * 8);
            for bit in (0..good.len() * 8).step_by(step) {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    !verifier.verifies(MESSAGE, &bad),
                    "{algorithm:?} {backend:?} bit {bit}"
                );
            }
        }
    }
}

#[test]
fn one_flipped_bit_of_the_message_never_verifies() {
    for algorithm in ALGORITHMS {
        let signature = sign(MESSAGE, algorithm);
        for (backend, verifier) in verifiers(&key(algorithm), algorithm) {
            let step = step(backend, MESSAGE.len() * 8);
            for bit in (0..MESSAGE.len() * 8).step_by(step) {
                let mut bad = MESSAGE.to_vec();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    !verifier.verifies(&bad, &signature),
                    "{algorithm:?} {backend:?} bit {bit}"
                );
            }
        }
    }
}

#[test]
fn hazard_truncated_extended_and_empty_signatures() {
    for algorithm in ALGORITHMS {
        let good = sign(MESSAGE, algorithm);
        for length in [0, 1, good.len() / 2, good.len() - 1] {
            assert_refused(algorithm, &good[..length], "truncated");
        }
        for more in [&b"\0"[..], b"=", &good] {
            assert_refused(algorithm, &[&good, more].concat(), "extended");
            assert_refused(algorithm, &[more, &good].concat(), "prefixed");
        }
        assert_refused(algorithm, &vec![0; good.len()], "all zero");
        assert_refused(algorithm, &vec![0xff; good.len()], "all ones");
    }
}

#[test]
fn hazard_psychic_signatures() {
    // CVE-2022-21449: r or s that is zero, or no less than the order of the curve.
    const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    const P384_ORDER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
        581a0db248b0a77aecec196accc52973";
    for (algorithm, curve, order) in [
        (Algorithm::ES256, Curve::P256, P256_ORDER),
        (Algorithm::ES384, Curve::P384, P384_ORDER),
    ] {
        let length = curve.coordinate_length();
        let order: Vec<u8> = (0..length)
            .map(|index| u8::from_str_radix(&order[2 * index..][..2], 16).unwrap())
            .collect();
        let good = sign(MESSAGE, algorithm);
        let (r, s) = good.split_at(length);
        let zero = vec![0; length];
        for (r, s) in [
            (&zero[..], &zero[..]),
            (&zero, s),
            (r, &zero),
            (&order, &order),
            (r, &order),
            (&order, s),
            (&zero, &order),
        ] {
            assert_refused(algorithm, &[r, s].concat(), "r or s out of range");
        }
    }
}

#[test]
fn hazard_der_encoded_ecdsa() {
    for (algorithm, length) in [(Algorithm::ES256, 32), (Algorithm::ES384, 48)] {
        let good = sign(MESSAGE, algorithm);
        let integer = |bytes: &[u8]| {
            let mut content = bytes.to_vec();
            if content[0] >= 0x80 {
                content.insert(0, 0);
            }
            [
                &[2, u8::try_from(content.len()).unwrap()],
                content.as_slice(),
            ]
            .concat()
        };
        let content = [integer(&good[..length]), integer(&good[length..])].concat();
        let der = [
            &[0x30, u8::try_from(content.len()).unwrap()],
            content.as_slice(),
        ]
        .concat();
        assert_refused(algorithm, &der, "DER");
        // The same, cut or filled to the length that passes the first test.
        let mut filled = der;
        filled.resize(2 * length, 0);
        assert_refused(algorithm, &filled, "DER of the right length");
    }
}

#[test]
fn hazard_hmac_keyed_with_the_public_key() {
    let key = EncodingKey::from_secret(RSA_PUBLIC.as_bytes());
    let signer = (aws_lc::DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &key).unwrap();
    let forged = signer.try_sign(MESSAGE).unwrap();
    for algorithm in ALGORITHMS {
        assert_refused(algorithm, &forged, "HMAC with the text of a public key");
    }
}

#[test]
fn a_point_off_its_curve_is_refused_by_every_backend() {
    for (curve, length) in [(Curve::P256, 65), (Curve::P384, 97)] {
        let mut point = vec![1; length];
        point[0] = 4;
        let material = Material::ec(curve, &point).unwrap();
        for &backend in CryptoBackend::ALL {
            let prepared = SignatureVerifier::prepare(&material, curve.algorithm(), backend);
            assert!(prepared.is_err(), "{curve:?} {backend:?}");
        }
    }
}

#[cfg(feature = "rust-crypto")]
#[test]
fn rust_crypto_says_that_its_rsa_ends_at_4096_bits() {
    let text = include_str!("../../../tests/keys/rsa4104.pub.pem");
    match Key::pem(text, Algorithm::RS256) {
        Ok(key) => {
            let prepared = SignatureVerifier::prepare(
                key.material(),
                Algorithm::RS256,
                CryptoBackend::RustCrypto,
            );
            assert!(prepared.is_err_and(|problem| problem.contains("4096")));
        }
        Err(error) => assert!(error.to_string().contains("4096"), "{error}"),
    }
}

#[test]
fn nothing_about_a_prepared_key_is_printed() {
    for (_, verifier) in verifiers(&key(Algorithm::HS256), Algorithm::HS256) {
        assert_eq!(
            format!("{verifier:?}"),
            "SignatureVerifier { length: 32, .. }"
        );
    }
}

#[cfg(feature = "aws-lc-rs")]
/// A cube root, which anybody can take: what it stands for begins as a padded hash does, with two hundred bytes of garbage
/// behind the hash, and no modulus is reached (CVE-2006-4339).
#[test]
fn hazard_cube_root_forged_for_the_exponent_three() {
    const ROOT: &str = "Msv9SnrceQVYPXZ1IPUWQHWRdtN4JvLvY649x63Y88REHSvH8IhorG8WX2l4AfHfatNQjdsYcwh75Zk7TF09iUOSVq_dEOlgZqJ6L4gyOldjynaoOw";
    let Material::Rsa { n, .. } = key(Algorithm::RS256).material().clone() else {
        unreachable!("it is an RSA key");
    };
    let jwk = format!(
        r#"{{"kty":"RSA","alg":"RS256","e":"Aw","n":"{}"}}"#,
        URL_SAFE_NO_PAD.encode_to_string(&n)
    );
    let root = URL_SAFE_NO_PAD.decode_to_vec(ROOT).unwrap();
    let forged = [vec![0; n.len() - root.len()], root].concat();
    for (backend, verifier) in verifiers(&Key::jwk(jwk).unwrap(), Algorithm::RS256) {
        assert!(!verifier.verifies(MESSAGE, &forged), "{backend:?}");
    }
}

#[test]
fn hazard_pss_salt_of_another_length() {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{RSA_PSS_SHA256, RsaKeyPair, RsaPssSaltLength, RsaSignatureEncoding},
    };
    static DIGEST: RsaSignatureEncoding =
        RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Digest);
    static NONE: RsaSignatureEncoding =
        RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(0));
    static SHA1: RsaSignatureEncoding =
        RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(20));
    static MAX: RsaSignatureEncoding = RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
    let block = crate::keys::pem::decode(RSA).unwrap();
    let pair = RsaKeyPair::from_pkcs8(&block.der).unwrap();
    // RFC 7518 §3.5: the salt is as long as the hash.
    for (encoding, wanted) in [
        (&DIGEST, true),
        (&NONE, false),
        (&SHA1, false),
        (&MAX, false),
    ] {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), MESSAGE, &mut signature)
            .unwrap();
        for (backend, verifier) in verifiers(&key(Algorithm::PS256), Algorithm::PS256) {
            assert_eq!(
                verifier.verifies(MESSAGE, &signature),
                wanted,
                "{backend:?}"
            );
        }
    }
}
