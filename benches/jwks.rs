//! What do keys that a provider may change cost a request, over keys that were given?
//!
//! Baseline: the same token and key, given. The source answers from memory, so nothing here waits for a network.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jwks_client_rs::{JsonWebKeySet, JwksClientError, source::JwksSource};
use tower_warden::{
    Algorithm, BearerToken, RejectionKind, RemoteKeys, SigningKey, TokenIssuer, Verifier,
};

const ISSUER: &str = "https://id.example";

struct Memory(String);

#[async_trait::async_trait]
impl JwksSource for Memory {
    async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
        Ok(serde_json::from_str(&self.0).unwrap())
    }
}

fn issuer(id: &str) -> TokenIssuer {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap().with_id(id);
    let issuer = TokenIssuer::builder(key)
        .with_issuer(ISSUER)
        .with_audience("api");
    issuer.build().unwrap()
}

fn compare(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let (known, stranger) = (issuer("a"), issuer("b"));
    let given = Verifier::builder(known.verification_keys())
        .with_issuer(ISSUER)
        .with_audience("api")
        .build()
        .unwrap();
    let remote = RemoteKeys::source(Memory(known.jwk_set()));
    let remote = Verifier::remote(remote)
        .with_issuer(ISSUER)
        .with_audience("api");
    let remote = runtime.block_on(remote.build()).unwrap();
    let listed = Verifier::issuers([remote.clone()]).unwrap();

    let good = known.mint("alice").sign().unwrap();
    let unknown = stranger.mint("alice").sign().unwrap();
    // The first one makes us fetch; from then on its key is known to be unknown.
    let kind = |verifier: &Verifier, token: &BearerToken<'_>| {
        verifier
            .verify(token)
            .err()
            .map(|rejection| rejection.kind())
    };
    while kind(&remote, &unknown) != Some(RejectionKind::KeyUnknown) {
        std::thread::yield_now();
    }
    for (name, token) in [("good", &good), ("unknown kid", &unknown)] {
        let mut group = criterion.benchmark_group(format!("jwks/{name}"));
        for (name, verifier) in [
            ("given", &given),
            ("remote", &remote),
            ("of issuers", &listed),
        ] {
            group.bench_function(name, |bench| {
                bench.iter(|| kind(verifier, black_box(token)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
