//! Tokens, who signs them, and who believes them: fixed keys, and a clock that stands still.

use std::time::Duration;

use tower_warden::{
    Algorithm, CacheConfig, Clock, CookieToken, JwtAuthLayer, Paths, QueryParameter, SigningKey,
    TokenIssuer, Verifier, VerifierBuilder,
};

use crate::samples::Place;

/// The layer that is measured.
pub type Guard = JwtAuthLayer;

pub const NOW: u64 = 1_700_000_000;
pub const ISSUER: &str = "https://id.example/realms/acme";
pub const AUDIENCE: &str = "https://api.example";
pub const KEY_ID: &str = "2026-11-22-main";
/// What tokens of HS256 are signed with.
pub const SECRET: [u8; 64] =
    *b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The guard of the tokens of one algorithm in one place, which has seen none of them yet.
pub fn guard(algorithm: Algorithm, place: Place) -> Guard {
    let builder = trusting(&issuer(algorithm, KEY_ID, NOW), ISSUER);
    guard_by(remembering_few(builder), place)
}

/// The same for ten issuers, of whom one issues what [`good`] returns.
pub fn guard_of_ten(algorithm: Algorithm) -> Guard {
    let others = (1..10).map(|number| {
        let key = SigningKey::hs256([[number; 32], [0x5a; 32]].concat()).unwrap();
        let name = format!("https://id.example/realms/{number}");
        trusting(&issuer_with(key, NOW), &name)
    });
    let builders = others.chain([trusting(&issuer(algorithm, KEY_ID, NOW), ISSUER)]);
    let verifier = Verifier::issuers(builders.map(remembering_few)).unwrap();
    guard_by(verifier, Place::Header)
}

/// The verifier of tokens of HS256, whose cache is the default one.
pub fn verifier_of_hs256() -> Verifier {
    let builder = trusting(&issuer(Algorithm::HS256, KEY_ID, NOW), ISSUER);
    builder.build().unwrap()
}

/// Tokens that are good, each with an ID of its own.
pub fn good(algorithm: Algorithm, count: usize) -> Vec<String> {
    let issuer = issuer(algorithm, KEY_ID, NOW);
    (0..count).map(|_| mint(&issuer)).collect()
}

/// A token of a key that nobody has heard of.
pub fn of_unknown_key(algorithm: Algorithm) -> String {
    mint(&issuer(algorithm, "2026-11-23-none", NOW))
}

/// A token that was good a day ago.
pub fn expired(algorithm: Algorithm) -> String {
    mint(&issuer(algorithm, KEY_ID, NOW - 86_400))
}

fn guard_by(verifier: Verifier, place: Place) -> Guard {
    let paths = [
        "/health",
        "/ready",
        "/metrics",
        "/favicon.ico",
        "/login",
        "/docs/*",
        "/auth/*",
    ];
    let paths = paths.into_iter().fold(Paths::all(), Paths::exempt);
    let builder = JwtAuthLayer::verifier(verifier).with_paths(paths.protect("/auth/ticket"));
    match place {
        Place::Header => builder,
        Place::Cookie => builder.with_sources([CookieToken::new("jwt_token").unwrap()]),
        Place::Query => builder.with_sources([QueryParameter::access_token().everywhere()]),
    }
    .build()
    .unwrap()
}

/// The cache is the smallest one, so that the first requests fill it: it has then made all of its places, and whatever
/// gets in takes the place of others, as in a service that has run for long.
fn remembering_few(builder: VerifierBuilder) -> Verifier {
    let smallest = CacheConfig::new().with_max_bytes(64 << 10);
    builder.with_cache(smallest).build().unwrap()
}

/// Begins a verifier of the tokens that this issuer signs under that name.
fn trusting(issuer: &TokenIssuer, name: &str) -> VerifierBuilder {
    Verifier::builder(issuer.verification_keys())
        .with_issuer(name)
        .with_audience(AUDIENCE)
        .with_clock(Still(NOW))
}

fn issuer(algorithm: Algorithm, key_id: &str, now: u64) -> TokenIssuer {
    let key = match algorithm {
        Algorithm::HS256 => SigningKey::hs256(SECRET),
        Algorithm::RS256 => SigningKey::pem(include_str!("../../keys/rsa2048.pem"), algorithm),
        Algorithm::ES256 => SigningKey::pem(include_str!("../../keys/ec256.pem"), algorithm),
        _ => SigningKey::pem(include_str!("../../keys/ed25519.pem"), algorithm),
    };
    issuer_with(key.unwrap().with_id(key_id), now)
}

fn issuer_with(key: SigningKey, now: u64) -> TokenIssuer {
    TokenIssuer::builder(key)
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
        .with_clock(Still(now))
        .build()
        .unwrap()
}

/// About 360 bytes with 11 claims, as an identity provider signs them.
fn mint(issuer: &TokenIssuer) -> String {
    let mint = issuer
        .mint("3f1c9a52-7c1e-4b8e-9a70-0d6a4e6f2b11")
        .with_scopes(["openid", "profile", "chat:read", "chat:write"])
        .with_claim("acr", "1")
        .with_claim("azp", "web-app")
        .with_claim("preferred_username", "alice@example.com")
        .with_claim("sid", "6d2f7c1a-91b3-4f55");
    mint.sign().unwrap().expose().to_owned()
}

/// A clock that stands where it was put, in seconds.
#[derive(Debug)]
struct Still(u64);

impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}
