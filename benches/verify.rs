//! What does it cost to verify a token that was never seen before, and to refuse junk?
//!
//! Baseline: `raw`, the bare signature check of aws-lc-rs with a prepared key over the same bytes; beside it, what
//! `jsonwebtoken::decode` takes for the same token and the same demands, for each of the twelve algorithms. Budgets:
//! `warden` over `raw` at most 1.05 for RS256, ES256 and `EdDSA`, and at most 500 ns more for HS256; junk (no dots,
//! unknown kid, expired) at most 25, 150 and 300 ns.
//!
//! `cold over raw` is what the budgets are read from: rounds of both take turns, so that whatever slows the machine slows
//! both, and the medians of the rounds' ratios and differences are printed, with their quartiles.
//!
//! Tokens and keys are fixed; ECDSA signatures differ from run to run, their cost does not. On Linux it is the time of
//! the thread that is measured, so that what else runs on the machine is not.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/thread_time.rs"]
mod thread_time;

#[allow(dead_code)]
#[path = "../tests/it/tokens.rs"]
mod tokens;

use std::{hint::black_box, time::Duration};

use aws_lc_rs::{
    hmac,
    signature::{self as schemes, ParsedPublicKey, VerificationAlgorithm},
};
use criterion::{
    Criterion, criterion_group, criterion_main,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation};
use tower_warden::{Algorithm, BearerToken, Keys, Verifier, VerifierBuilder};

use thread_time::thread_time;
use tokens::{ALGORITHMS, SECRET, base64, key, public_pem, signature, token};

/// About 360 bytes with 11 claims, as an identity provider signs them.
const CLAIMS: &str = r#"{"iss":"https://id.example/realms/acme","sub":"3f1c9a52-7c1e-4b8e-9a70-0d6a4e6f2b11","aud":"https://api.example","exp":99999999999,"iat":1700000000,"jti":"b5c7d0e8-12f4-4a9b-8f6e-5f3d2c1b0a99","scope":"openid profile chat:read chat:write","azp":"web-app","sid":"6d2f7c1a-91b3-4f55","acr":"1","preferred_username":"alice@example.com"}"#;
const EXPIRED: &str = r#"{"iss":"https://id.example/realms/acme","sub":"3f1c9a52-7c1e-4b8e-9a70-0d6a4e6f2b11","aud":"https://api.example","exp":1700000000,"iat":1600000000,"jti":"b5c7d0e8-12f4-4a9b-8f6e-5f3d2c1b0a99","scope":"openid profile chat:read chat:write","azp":"web-app","sid":"6d2f7c1a-91b3-4f55","acr":"1","preferred_username":"alice@example.com"}"#;

/// The time that this thread has had on a processor.
struct ThreadTime;

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        thread_time()
    }

    fn end(&self, start: Duration) -> Duration {
        thread_time() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

#[derive(serde::Deserialize)]
#[allow(dead_code)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    scope: String,
}

fn header(algorithm: Algorithm) -> String {
    format!(r#"{{"alg":"{algorithm:?}","typ":"at+jwt","kid":"2026-11-22-main"}}"#)
}

fn builder(algorithm: Algorithm) -> VerifierBuilder {
    Verifier::builder(Keys::new([key(algorithm).with_id("2026-11-22-main")]).unwrap())
        .with_issuer("https://id.example/realms/acme")
        .with_audience("https://api.example")
}

/// One that meets every token for the first time.
fn verifier(algorithm: Algorithm) -> Verifier {
    builder(algorithm).without_cache().build().unwrap()
}

/// The key as aws-lc-rs holds it prepared.
enum Raw {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Raw {
    fn new(algorithm: Algorithm) -> Self {
        let der = || {
            let text: String = public_pem(algorithm)
                .lines()
                .filter(|line| !line.starts_with("-----"))
                .collect();
            base64_simd::STANDARD.decode_to_vec(text).unwrap()
        };
        let secret = |algorithm| Self::Hmac(Box::new(hmac::Key::new(algorithm, &SECRET)));
        let scheme: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::HS256 => return secret(hmac::HMAC_SHA256),
            Algorithm::HS384 => return secret(hmac::HMAC_SHA384),
            Algorithm::HS512 => return secret(hmac::HMAC_SHA512),
            Algorithm::RS256 => &schemes::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &schemes::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &schemes::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &schemes::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &schemes::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &schemes::RSA_PSS_2048_8192_SHA512,
            Algorithm::ES256 => &schemes::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &schemes::ECDSA_P384_SHA384_FIXED,
            _ => &schemes::ED25519,
        };
        Self::Public(ParsedPublicKey::new(scheme, der()).unwrap())
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn oracle(algorithm: Algorithm) -> (DecodingKey, Validation) {
    let pem = public_pem(algorithm).as_bytes();
    let key = match algorithm.family() {
        AlgorithmFamily::Hmac => DecodingKey::from_secret(&SECRET),
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem).unwrap(),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem).unwrap(),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem).unwrap(),
    };
    let mut validation = Validation::new(algorithm);
    validation.validate_nbf = true;
    validation.set_issuer(&["https://id.example/realms/acme"]);
    validation.set_audience(&["https://api.example"]);
    validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
    (key, validation)
}

fn good(criterion: &mut Criterion<ThreadTime>) {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    for algorithm in ALGORITHMS {
        let mut group = criterion.benchmark_group(format!("verify/{algorithm:?}"));
        let text = token(header(algorithm), CLAIMS, algorithm);
        let message = text.rsplit_once('.').unwrap().0;

        let raw = Raw::new(algorithm);
        let bytes = signature(message.as_bytes(), algorithm);
        assert!(raw.verifies(message.as_bytes(), &bytes));
        group.bench_function("raw", |bench| {
            bench.iter(|| raw.verifies(black_box(message.as_bytes()), black_box(&bytes)));
        });

        let verifier = verifier(algorithm);
        let bearer = BearerToken::new(text.as_str());
        assert!(verifier.verify(&bearer).is_ok());
        group.bench_function("warden", |bench| {
            bench.iter(|| verifier.verify(black_box(&bearer)));
        });

        let (key, validation) = oracle(algorithm);
        assert!(jsonwebtoken::decode::<Claims>(&text, &key, &validation).is_ok());
        group.bench_function("jsonwebtoken", |bench| {
            bench.iter(|| jsonwebtoken::decode::<Claims>(black_box(&text), &key, &validation));
        });
        group.finish();
    }
}

fn junk(criterion: &mut Criterion<ThreadTime>) {
    // With the cache, as by default: what it takes to look for junk in vain is a part of the price.
    let verifier = builder(Algorithm::RS256).build().unwrap();
    let text = token(header(Algorithm::RS256), CLAIMS, Algorithm::RS256);
    let message = text.rsplit_once('.').unwrap().0.to_owned();
    assert!(verifier.verify(&BearerToken::new(text.as_str())).is_ok());
    let unknown = r#"{"alg":"RS256","typ":"at+jwt","kid":"2026-11-23-none"}"#;
    let mut group = criterion.benchmark_group("verify/junk");
    for (name, text) in [
        ("no dots", text.replace('.', "-")),
        ("four dots", "eyJhbGciOiJkaXIifQ.".repeat(4) + &text),
        ("unknown kid", token(unknown, CLAIMS, Algorithm::RS256)),
        (
            "expired",
            token(header(Algorithm::RS256), EXPIRED, Algorithm::RS256),
        ),
        ("forged, short", format!("{message}.{}", base64([1; 32]))),
        ("forged", format!("{message}.{}", base64([1; 256]))),
    ] {
        let bearer = BearerToken::new(text);
        assert!(verifier.verify(&bearer).is_err(), "{name}");
        group.bench_function(name, |bench| {
            bench.iter(|| verifier.verify(black_box(&bearer)));
        });
    }
    group.finish();
}

/// What verification takes over the bare signature check, by rounds that take turns.
fn ratios(_: &mut Criterion<ThreadTime>) {
    const ROUNDS: usize = 401;

    fn round(times: u32, mut call: impl FnMut() -> bool) -> f64 {
        let begun = thread_time();
        for _ in 0..times {
            assert!(call());
        }
        (thread_time() - begun).as_nanos() as f64 / f64::from(times)
    }

    fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
        values.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| values[quarter * ROUNDS / 4])
    }

    for algorithm in ALGORITHMS {
        let text = token(header(algorithm), CLAIMS, algorithm);
        let message = text.rsplit_once('.').unwrap().0.as_bytes();
        let (raw, bytes) = (Raw::new(algorithm), signature(message, algorithm));
        let (verifier, bearer) = (verifier(algorithm), BearerToken::new(text.as_str()));
        let expired = BearerToken::new(token(header(algorithm), EXPIRED, algorithm));
        let times = match algorithm.family() {
            AlgorithmFamily::Hmac => 400,
            _ => 60,
        };
        let (mut ratios, mut more, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let bare = round(times, || {
                raw.verifies(black_box(message), black_box(&bytes))
            });
            let whole = round(times, || verifier.verify(black_box(&bearer)).is_ok());
            refused.push(round(400, || verifier.verify(black_box(&expired)).is_err()));
            ratios.push(whole / bare);
            more.push(whole - bare);
        }
        let [low, median, high] = quartiles(ratios);
        println!("cold over raw, {algorithm:?}: {median:.3} (quartiles {low:.3} to {high:.3})");
        let [low, median, high] = quartiles(more);
        println!("    that is {median:.0} ns more ({low:.0} to {high:.0})");
        let [low, median, high] = quartiles(refused);
        println!("    expired: {median:.0} ns ({low:.0} to {high:.0})");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ThreadTime);
    targets = good, junk, ratios
}
criterion_main!(benches);
