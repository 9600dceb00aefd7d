//! HMAC under secrets that no key of this crate accepts: empty ones, and the text of a public key.

/// HMAC with SHA-256. Without a crypto backend there is no key to be confused with, and the answer is empty.
#[cfg(feature = "aws-lc-rs")]
pub(super) fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    use aws_lc_rs::hmac;

    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, message).as_ref().to_vec()
}

/// HMAC with SHA-256. Without a crypto backend there is no key to be confused with, and the answer is empty.
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
pub(super) fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    use jsonwebtoken::{Algorithm, EncodingKey, crypto::rust_crypto::DEFAULT_PROVIDER};

    (DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &EncodingKey::from_secret(secret))
        .ok()
        .and_then(|signer| signer.try_sign(message).ok())
        .unwrap_or_default()
}

/// HMAC with SHA-256. Without a crypto backend there is no key to be confused with, and the answer is empty.
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
pub(super) fn hs256(_secret: &[u8], _message: &[u8]) -> Vec<u8> {
    Vec::new()
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;

    #[test]
    fn rfc_4231_case_2_and_an_empty_secret() {
        let hex = |bytes: Vec<u8>| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert_eq!(
            hex(hs256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(hs256(b"", b"")),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        );
    }
}
