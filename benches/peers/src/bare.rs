//! Without a layer: the signature alone, and what decodes a token.

use std::hint::black_box;

use aws_lc_rs::{
    digest, hmac,
    signature::{self, ParsedPublicKey, VerificationAlgorithm},
};
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use jwks_client_rs::{JwksClient, source::WebSource};
use tower_warden::Algorithm;

use crate::{
    case::{AUDIENCE, Case, Claims, ISSUER},
    harness::{Subject, call, now},
    provider::Provider,
    tokens::{SECRET, public_pem},
};

/// aws-lc-rs with a key that was prepared once, over the signed part of the token.
pub(crate) fn raw(case: &Case) -> Subject {
    let (message, signature) = case.token.rsplit_once('.').unwrap();
    let message = message.as_bytes().to_vec();
    let signature = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(signature)
        .unwrap();
    let scheme: &'static dyn VerificationAlgorithm = match case.algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::EdDSA => &signature::ED25519,
        _ => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
            return call(move || hmac::verify(&key, black_box(&message), &signature).is_ok());
        }
    };
    let pem = public_pem(case.algorithm).lines();
    let der: String = pem.filter(|line| !line.starts_with("-----")).collect();
    let der = base64_simd::STANDARD.decode_to_vec(der).unwrap();
    let key = ParsedPublicKey::new(scheme, der).unwrap();
    if case.algorithm == Algorithm::RS256 {
        // Faster than one call for both.
        return call(move || {
            let digest = digest::digest(&digest::SHA256, black_box(&message));
            key.verify_digest_sig(&digest, &signature).is_ok()
        });
    }
    call(move || key.verify_sig(black_box(&message), &signature).is_ok())
}

pub(crate) fn jsonwebtoken(case: &Case) -> Subject {
    let set: JwkSet = serde_json::from_str(&case.jwk_set).unwrap();
    let key = DecodingKey::from_jwk(&set.keys[0]).unwrap();
    let mut validation = Validation::new(case.algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let decode = move |token: &str| jsonwebtoken::decode::<Claims>(token, &key, &validation);
    assert!(decode(&case.forged).is_err());
    let token = case.token.clone();
    call(move || decode(black_box(&token)).is_ok())
}

pub(crate) async fn jwks_client(case: &Case, provider: &Provider) -> Result<Subject, &'static str> {
    if case.algorithm == Algorithm::HS256 {
        return Err("it reads no secrets");
    }
    let source = WebSource::builder().build(provider.keys(case).parse().unwrap());
    let client = JwksClient::builder().build(source.unwrap());
    let refused = client.decode::<Claims>(&case.forged, &[AUDIENCE]).await;
    assert!(refused.is_err());
    let token = case.token.clone();
    Ok(call(move || {
        now(client.decode::<Claims>(black_box(&token), &[AUDIENCE])).is_ok()
    }))
}
