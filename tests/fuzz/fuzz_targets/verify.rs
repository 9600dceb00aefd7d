//! Any text as a token: never a panic, and nothing but the one good token is accepted.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tower_warden::{BearerToken, Keys, Verifier};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = Keys::hs256([b"a secret that the fuzzer cannot guess"]).expect("the secret is long");
    Verifier::builder(keys)
        .dangerous_any_audience()
        .dangerous_without_expiry()
        .dangerous_without_subject()
        .build()
        .expect("the settings agree")
});

fuzz_target!(|text: &str| {
    let rejection = VERIFIER
        .verify(&BearerToken::new(text))
        .expect_err("a token that nobody signed was accepted");
    assert_eq!(rejection.kind().status(), 401);
});
