#![allow(clippy::unwrap_used)]
//! Hazards 1 and 2, token format and claims: every hostile token is refused for its own reason, by every backend.

use std::{path::PathBuf, time::Duration};

use jsonwebtoken::{EncodingKey, crypto::aws_lc};
use tower_warden::{
    Algorithm, BearerToken, CryptoBackend, Key, Keys, RejectionKind, SigningKey, Verifier,
    VerifierBuilder,
    testing::{ManualClock, TestTokens},
};

const SECRET: &[u8] = b"a secret of sixty-four bytes, which is enough for each algorithm";
const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "orders";
const NOW: u64 = 1_800_000_000;

/// Each algorithm with the file of its key pair; HMAC has none.
const ALGORITHMS: [(Algorithm, &str); 12] = [
    (Algorithm::HS256, ""),
    (Algorithm::HS384, ""),
    (Algorithm::HS512, ""),
    (Algorithm::RS256, "rsa2048"),
    (Algorithm::RS384, "rsa2048"),
    (Algorithm::RS512, "rsa2048"),
    (Algorithm::PS256, "rsa2048"),
    (Algorithm::PS384, "rsa2048"),
    (Algorithm::PS512, "rsa2048"),
    (Algorithm::ES256, "ec256"),
    (Algorithm::ES384, "ec384"),
    (Algorithm::EdDSA, "ed25519"),
];

fn text(file: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

fn key((algorithm, file): (Algorithm, &str)) -> Key {
    if file.is_empty() {
        Key::secret(SECRET, algorithm).unwrap()
    } else {
        Key::pem(text(&format!("{file}.pub.pem")), algorithm).unwrap()
    }
}

/// Tokens signed by jsonwebtoken, so that no mistake of ours in signing hides one in verifying.
fn tokens((algorithm, file): (Algorithm, &str)) -> TestTokens {
    let private = text_or_none(file);
    let signing = match (algorithm, private.as_deref()) {
        (_, None) => EncodingKey::from_secret(SECRET),
        (Algorithm::ES256 | Algorithm::ES384, Some(pem)) => {
            EncodingKey::from_ec_pem(pem.as_bytes()).unwrap()
        }
        (Algorithm::EdDSA, Some(pem)) => EncodingKey::from_ed_pem(pem.as_bytes()).unwrap(),
        (_, Some(pem)) => EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
    };
    let tokens = TestTokens::signed_by(algorithm, move |message| {
        let signer = (aws_lc::DEFAULT_PROVIDER.signer_factory)(&algorithm, &signing).unwrap();
        signer.try_sign(message).unwrap()
    })
    .with_clock(ManualClock::at(NOW));
    if file.is_empty() {
        return tokens;
    }
    let public = text(&format!("{file}.pub.pem"));
    let body: String = public
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = base64_simd::STANDARD.decode_to_vec(&body).unwrap();
    tokens
        .with_published_key(public.trim_end())
        .with_published_key(body)
        .with_published_key(der)
        .with_published_key(public)
}

fn text_or_none(file: &str) -> Option<String> {
    (!file.is_empty()).then(|| text(&format!("{file}.pem")))
}

fn verifier(keys: impl IntoIterator<Item = Key>) -> VerifierBuilder {
    Verifier::builder(Keys::new(keys).unwrap()).with_clock(ManualClock::at(NOW))
}

#[track_caller]
fn refused(verifier: &Verifier, token: &BearerToken<'_>, name: &str) -> RejectionKind {
    let Err(rejection) = verifier.verify(token) else {
        panic!("{name}: accepted by {verifier:?}");
    };
    assert_eq!(rejection.kind().status(), 401, "{name}");
    rejection.kind()
}

/// What a token with this name may be refused for. Were the signature to blame where it is good, the hazard itself
/// would be untested.
fn reasons(name: &str) -> &'static [RejectionKind] {
    use RejectionKind as Kind;
    match name.split_once(':').unwrap().0 {
        "form" => &[Kind::TokenMalformed, Kind::TokenTooLarge],
        "header" => &[
            Kind::TokenMalformed,
            Kind::AlgorithmNotAllowed,
            Kind::KeyUnknown,
        ],
        "key" => &[
            Kind::AlgorithmNotAllowed,
            Kind::KeyUnknown,
            Kind::SignatureInvalid,
        ],
        "claims" => &[
            Kind::TokenMalformed,
            Kind::ClaimInvalid,
            Kind::TokenExpired,
            Kind::TokenNotYetValid,
            Kind::IssuerMismatch,
            Kind::AudienceMismatch,
        ],
        "signature" => &[Kind::SignatureInvalid, Kind::TokenMalformed],
        _ => &[],
    }
}

#[track_caller]
fn refuses_all(verifier: &Verifier, tokens: &TestTokens, context: &str) {
    verifier
        .verify(&tokens.valid())
        .unwrap_or_else(|error| panic!("{context}: the valid token is refused: {error}"));
    for (name, token) in tokens.hostile() {
        let kind = refused(verifier, &token, name);
        assert!(reasons(name).contains(&kind), "{context}: {name}: {kind:?}");
    }
    verifier
        .verify(&tokens.valid())
        .unwrap_or_else(|error| panic!("{context}: the valid token is refused later: {error}"));
}

#[test]
fn hostile_tokens_are_refused_by_a_verifier_that_names_issuer_and_audience() {
    for algorithm in ALGORITHMS {
        let tokens = tokens(algorithm)
            .with_issuer(ISSUER)
            .with_audience(AUDIENCE);
        for &backend in CryptoBackend::ALL {
            let verifier = verifier([key(algorithm)])
                .with_issuer(ISSUER)
                .with_audience(AUDIENCE)
                .with_backend(backend)
                .build()
                .unwrap();
            refuses_all(&verifier, &tokens, &format!("{algorithm:?} {backend:?}"));
        }
    }
}

#[test]
fn hostile_tokens_are_refused_by_a_verifier_with_nothing_but_a_key() {
    for algorithm in [0, 9].map(|index| ALGORITHMS[index]) {
        let tokens = tokens(algorithm);
        for &backend in CryptoBackend::ALL {
            let verifier = verifier([key(algorithm)])
                .with_backend(backend)
                .build()
                .unwrap();
            refuses_all(&verifier, &tokens, &format!("{algorithm:?} {backend:?}"));
        }
    }
}

#[test]
fn hostile_tokens_are_refused_by_a_verifier_with_keys_of_every_family() {
    // Only here is there an HMAC key for a confused token to meet.
    for algorithm in [0, 3, 6, 9, 11].map(|index| ALGORITHMS[index]) {
        let tokens = tokens(algorithm).with_key_id(format!("{:?}", algorithm.0));
        for &backend in CryptoBackend::ALL {
            let keys = ALGORITHMS.map(|each| key(each).with_id(format!("{:?}", each.0)));
            let verifier = verifier(keys).with_backend(backend).build().unwrap();
            refuses_all(&verifier, &tokens, &format!("{algorithm:?} {backend:?}"));
        }
    }
}

#[test]
fn hostile_tokens_of_a_generated_key_are_refused() {
    for algorithm in [Algorithm::HS512, Algorithm::ES384, Algorithm::EdDSA] {
        let key = SigningKey::generate(algorithm).unwrap();
        let tokens = TestTokens::new(&key)
            .unwrap()
            .with_clock(ManualClock::at(NOW));
        let verifier = verifier([key.verification_key()]).build().unwrap();
        refuses_all(&verifier, &tokens, &format!("{algorithm:?}"));
    }
}

#[test]
fn the_lists_hold_the_hazards_of_each_room() {
    let tokens = tokens(ALGORITHMS[9])
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE);
    let names: Vec<_> = tokens.hostile().map(|(name, _)| name).collect();
    for (room, at_least) in [
        ("form", 40),
        ("header", 60),
        ("key", 15),
        ("claims", 80),
        ("signature", 20),
    ] {
        let found = names
            .iter()
            .filter(|name| name.starts_with(&format!("{room}: ")))
            .count();
        assert!(found >= at_least, "{room}: {found}");
    }
}

#[test]
fn both_edges_of_both_ends_of_a_validity() {
    use RejectionKind::{TokenExpired, TokenNotYetValid};
    let clock = ManualClock::at(1_000);
    let tokens = TestTokens::hs256(SECRET)
        .unwrap()
        .with_clock(clock.clone())
        .with_lifetime(Duration::from_secs(1_000))
        .with_claim("nbf", 1_000)
        .with_claim("iat", 0);
    let token = tokens.valid();
    let verifier = Verifier::builder(Keys::hs256([SECRET]).unwrap())
        .with_clock(clock.clone())
        .build()
        .unwrap();
    for (now, verdict) in [
        (969, Err(TokenNotYetValid)),
        (970, Ok(())),
        (2_029, Ok(())),
        (2_030, Err(TokenExpired)),
    ] {
        clock.set(now);
        let found = verifier
            .verify(&token)
            .map(|_| ())
            .map_err(|error| error.kind());
        assert_eq!(found, verdict, "now = {now}");
    }
}

#[test]
fn tokens_to_order_are_refused_for_what_was_ordered() {
    let tokens = tokens(ALGORITHMS[0])
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE);
    let verifier = verifier([key(ALGORITHMS[0])])
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
        .build()
        .unwrap();
    for (token, kind) in [
        (tokens.expired(), RejectionKind::TokenExpired),
        (tokens.not_yet_valid(), RejectionKind::TokenNotYetValid),
        (tokens.of_another_issuer(), RejectionKind::IssuerMismatch),
        (
            tokens.for_another_audience(),
            RejectionKind::AudienceMismatch,
        ),
        (tokens.without_claim("iss"), RejectionKind::IssuerMismatch),
        (tokens.without_claim("aud"), RejectionKind::AudienceMismatch),
        (tokens.without_claim("sub"), RejectionKind::ClaimInvalid),
        (tokens.without_claim("exp"), RejectionKind::ClaimInvalid),
        (tokens.tampered(), RejectionKind::SignatureInvalid),
    ] {
        assert_eq!(refused(&verifier, &token, "a token to order"), kind);
    }
}
