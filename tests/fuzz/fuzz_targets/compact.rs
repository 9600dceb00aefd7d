//! Any header and payload, signed well: never a panic, and what is accepted is what a plain JSON reader reads.
//!
//! The input is the header up to the first zero byte, and the payload behind it.
#![no_main]

use std::sync::LazyLock;

use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto::rust_crypto::DEFAULT_PROVIDER};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_warden::{Algorithm, BearerToken, Keys, Verifier};

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = Keys::hs256([SECRET]).expect("the secret is long");
    Verifier::builder(keys)
        .with_issuer("https://id.example")
        .with_audience("orders")
        .with_roles_claim("realm_access.roles")
        .build()
        .expect("the settings agree")
});

fuzz_target!(|data: &[u8]| {
    let cut = data
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(data.len());
    let (header, payload) = data.split_at(cut);
    let payload = payload.get(1..).unwrap_or_default();
    let input = [header, payload]
        .map(|part| URL_SAFE_NO_PAD.encode_to_string(part))
        .join(".");
    let key = EncodingKey::from_secret(SECRET);
    let signer =
        (DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &key).expect("HMAC takes any key");
    let signature = signer.try_sign(input.as_bytes()).expect("HMAC cannot fail");
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode_to_string(signature));

    let Ok(verified) = VERIFIER.verify(&BearerToken::new(token)) else {
        return;
    };
    let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    let claims: Value = serde_json::from_slice(payload).expect("an accepted payload is JSON");
    assert_eq!(header["alg"], "HS256");
    for name in ["crit", "b64", "zip", "enc"] {
        assert!(header.get(name).is_none(), "{name}");
    }
    assert_eq!(claims["iss"], "https://id.example");
    assert_eq!(claims["sub"].as_str(), verified.subject());
    assert!(
        verified
            .subject()
            .is_some_and(|subject| !subject.is_empty())
    );
    assert!(claims["exp"].is_number());
    assert!(verified.audiences().any(|audience| audience == "orders"));
});
