#![allow(clippy::unwrap_used)]
//! What an issuer signs, others accept; what it publishes holds no secret.

use std::{collections::BTreeSet, time::Duration};

use base64_simd::URL_SAFE_NO_PAD;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_warden::{
    Algorithm, Clock, ConfigError, CryptoBackend, IssueError, Key, Keys, NumericDate, SigningKey,
    TokenIssuer, Verifier,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ALGORITHMS: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

#[derive(Debug)]
struct At(u64);

impl Clock for At {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0 * 1000 + 999)
    }
}

fn signing_key(algorithm: Algorithm) -> SigningKey {
    let pem = |text| SigningKey::pem(text, algorithm);
    match algorithm {
        Algorithm::HS256 => SigningKey::hs256(&SECRET[..32]),
        Algorithm::HS384 => SigningKey::hs384(&SECRET[..48]),
        Algorithm::HS512 => SigningKey::hs512(SECRET),
        Algorithm::ES256 => pem(include_str!("../keys/ec256.pem")),
        Algorithm::ES384 => pem(include_str!("../keys/ec384.pem")),
        Algorithm::EdDSA => pem(include_str!("../keys/ed25519.pem")),
        _ => pem(include_str!("../keys/rsa2048.pem")),
    }
    .unwrap()
}

fn secret(algorithm: Algorithm) -> Option<&'static [u8]> {
    match algorithm {
        Algorithm::HS256 => Some(&SECRET.as_bytes()[..32]),
        Algorithm::HS384 => Some(&SECRET.as_bytes()[..48]),
        Algorithm::HS512 => Some(SECRET.as_bytes()),
        _ => None,
    }
}

/// Decodes with jsonwebtoken, whose keys come from the published set alone.
fn decode(
    token: &str,
    issuer: &TokenIssuer,
    algorithm: Algorithm,
) -> jsonwebtoken::errors::Result<Value> {
    crate::support::install_oracle();
    let key = if let Some(secret) = secret(algorithm) {
        DecodingKey::from_secret(secret)
    } else {
        let set: JwkSet = serde_json::from_str(&issuer.jwk_set()).unwrap();
        let header = jsonwebtoken::decode_header(token)?;
        let jwk = set.find(header.kid.as_deref().unwrap()).unwrap();
        assert_eq!(jwk.common.key_algorithm, Some(algorithm.into()));
        DecodingKey::from_jwk(jwk).unwrap()
    };
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&["https://id.example"]);
    validation.set_audience(&["orders"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    jsonwebtoken::decode(token, &key, &validation).map(|token| token.claims)
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode_to_vec(part).unwrap()).unwrap()
}

#[test]
fn jsonwebtoken_accepts_tokens_of_every_algorithm_and_backend() {
    for &backend in CryptoBackend::ALL {
        for algorithm in ALGORITHMS {
            let issuer = TokenIssuer::builder(signing_key(algorithm))
                .with_issuer("https://id.example")
                .with_audience("orders")
                .with_crypto_backend(backend)
                .build()
                .unwrap();
            let token = issuer
                .mint("alice")
                .with_claim("room", "r1")
                .sign()
                .unwrap();
            let claims = decode(token.expose(), &issuer, algorithm)
                .unwrap_or_else(|error| panic!("{algorithm:?} {backend:?}: {error}"));
            assert_eq!(
                (&claims["sub"], &claims["room"]),
                (&json!("alice"), &json!("r1"))
            );
            let mut forged = token.expose().to_owned();
            let flipped = if forged.ends_with('A') { "E" } else { "A" };
            forged.replace_range(forged.len() - 1.., flipped);
            assert!(
                decode(&forged, &issuer, algorithm).is_err(),
                "{algorithm:?} {backend:?}"
            );
        }
    }
}

#[test]
fn generated_keys_sign_and_differ() {
    for algorithm in ALGORITHMS {
        let key = match SigningKey::generate(algorithm) {
            Ok(key) => key,
            Err(error) if error.to_string().contains("feature `aws-lc-rs`") => continue,
            Err(error) => panic!("{algorithm:?}: {error}"),
        };
        let other = SigningKey::generate(algorithm).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        if secret(algorithm).is_some() {
            assert_eq!((key.id(), key.public_jwk()), (None, None));
        } else {
            assert_ne!(key.id(), other.id());
            assert!(Key::jwk(key.public_jwk().unwrap()).is_ok());
        }
        for &backend in CryptoBackend::ALL {
            let issuer = TokenIssuer::builder(key.clone())
                .with_issuer("https://id.example")
                .with_audience("orders")
                .with_crypto_backend(backend)
                .build()
                .unwrap();
            let token = issuer.mint("alice").sign().unwrap();
            if secret(algorithm).is_none() {
                decode(token.expose(), &issuer, algorithm).unwrap();
            }
        }
    }
}

#[test]
fn a_token_says_what_its_issuer_and_its_minter_said() {
    let issuer = TokenIssuer::builder(signing_key(Algorithm::ES256).with_id("2026-11"))
        .with_issuer("https://id.example")
        .with_audiences(["orders", "chat"])
        .with_lifetime(Duration::from_millis(60_999))
        .with_token_type("at+jwt")
        .with_clock(At(1_000))
        .build()
        .unwrap();
    let token = issuer
        .mint("alice")
        .with_claim("room", json!({"id": 1}))
        .with_scopes(["chat", "stop", "chat"])
        .with_not_before(NumericDate::from_secs(1_010))
        .sign()
        .unwrap();
    assert_eq!(
        part(token.expose(), 0),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "2026-11"})
    );
    let mut claims = part(token.expose(), 1);
    let token_id = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD
            .decode_to_vec(token_id.as_str().unwrap())
            .unwrap()
            .len(),
        16
    );
    assert_eq!(
        claims,
        json!({
            "iss": "https://id.example", "aud": ["orders", "chat"], "sub": "alice",
            "iat": 1_000, "nbf": 1_010, "exp": 1_060, "scope": "chat stop", "room": {"id": 1},
        })
    );

    let bare = TokenIssuer::builder(signing_key(Algorithm::HS256))
        .with_clock(At(0))
        .build()
        .unwrap();
    let token = bare
        .mint("é")
        .with_lifetime(Duration::from_secs(1))
        .sign()
        .unwrap();
    assert_eq!(
        part(token.expose(), 0),
        json!({"alg": "HS256", "typ": "JWT"})
    );
    let mut claims = part(token.expose(), 1);
    claims.as_object_mut().unwrap().remove("jti");
    assert_eq!(claims, json!({"sub": "é", "iat": 0, "exp": 1}));
}

#[test]
fn every_token_has_its_own_id() {
    let issuer = TokenIssuer::builder(signing_key(Algorithm::HS256))
        .build()
        .unwrap();
    let ids: BTreeSet<_> = (0..100)
        .map(|_| part(issuer.mint("alice").sign().unwrap().expose(), 1)["jti"].to_string())
        .collect();
    assert_eq!(ids.len(), 100);
}

#[test]
fn what_the_issuer_answers_for_cannot_be_overwritten() {
    let issuer = TokenIssuer::builder(signing_key(Algorithm::HS256))
        .build()
        .unwrap();
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"] {
        assert!(matches!(
            issuer.mint("alice").with_claim(name, 1).with_claim("room", 1).sign(),
            Err(IssueError::ClaimReserved { name: told }) if told == name
        ));
    }
    let mint = || issuer.mint("alice");
    assert!(matches!(
        mint().with_claim("a", 1).with_claim("a", 1).sign(),
        Err(IssueError::ClaimRepeated { .. })
    ));
    assert!(matches!(
        mint()
            .with_claim("a", std::collections::BTreeMap::from([((1, 2), 3)]))
            .sign(),
        Err(IssueError::ClaimUnwritable { .. })
    ));
    assert!(matches!(
        issuer.mint("").sign(),
        Err(IssueError::SubjectEmpty)
    ));
    for scope in ["", "a b", "a\"", "a\\", "a\n", "é", "\u{7f}"] {
        assert!(
            matches!(
                mint().with_scopes(["chat", scope]).sign(),
                Err(IssueError::ScopeMalformed { .. })
            ),
            "{scope:?}"
        );
    }
    for lifetime in [
        Duration::ZERO,
        Duration::from_millis(999),
        Duration::from_secs(366 * 86_400),
        Duration::MAX,
    ] {
        assert!(
            matches!(
                mint().with_lifetime(lifetime).sign(),
                Err(IssueError::LifetimeOutOfRange)
            ),
            "{lifetime:?}"
        );
    }
    assert!(matches!(
        mint()
            .with_not_before(NumericDate::from_secs(u64::MAX))
            .sign(),
        Err(IssueError::LifetimeOutOfRange)
    ));
}

#[test]
fn a_bad_setting_is_named() {
    let builder = || TokenIssuer::builder(signing_key(Algorithm::HS256));
    for (built, wanted) in [
        (builder().with_issuer("").build(), "with_issuer"),
        (builder().with_audience("").build(), "with_audience"),
        (builder().with_audiences(["a", ""]).build(), "with_audience"),
        (
            builder().with_lifetime(Duration::ZERO).build(),
            "with_lifetime",
        ),
        (
            builder().with_lifetime(Duration::from_millis(999)).build(),
            "with_lifetime",
        ),
        (
            builder().with_lifetime(Duration::MAX).build(),
            "with_lifetime",
        ),
        (builder().with_token_type("").build(), "with_token_type"),
        (
            builder().with_token_type("J\"WT").build(),
            "with_token_type",
        ),
    ] {
        assert!(
            matches!(built, Err(ConfigError::Setting { name, .. }) if name == wanted),
            "{wanted}"
        );
    }
    assert!(
        builder()
            .with_lifetime(Duration::from_secs(365 * 86_400))
            .build()
            .is_ok()
    );
}

#[test]
fn a_key_that_must_not_sign_is_refused() {
    let pem = |text, algorithm| SigningKey::pem(text, algorithm).unwrap_err().to_string();
    let rsa = include_str!("../keys/rsa2048.pem");
    let ed = include_str!("../keys/ed25519.pem");
    for (told, reason) in [
        (pem(rsa, Algorithm::ES256), "does not fit"),
        (pem(rsa, Algorithm::HS256), "does not fit"),
        (
            pem(include_str!("../keys/rsa2048.pkcs1.pem"), Algorithm::EdDSA),
            "does not fit",
        ),
        (
            pem(include_str!("../keys/ec256.pem"), Algorithm::ES384),
            "does not fit",
        ),
        (pem(ed, Algorithm::RS256), "does not fit"),
        (
            pem(include_str!("../keys/ec256.sec1.pem"), Algorithm::ES256),
            "PKCS#8",
        ),
        (
            pem(include_str!("../keys/rsa2048.pub.pem"), Algorithm::RS256),
            "no private key",
        ),
        (pem("", Algorithm::RS256), "no PEM"),
        (
            pem(&ed.replace("MC4CAQ", "MC4CAR"), Algorithm::EdDSA),
            "no readable PKCS#8",
        ),
    ] {
        assert!(told.contains(reason), "{told}\nshould say: {reason}");
    }
    assert!(SigningKey::pem(include_str!("../keys/rsa2048.pkcs1.pem"), Algorithm::PS256).is_ok());
    assert!(matches!(
        SigningKey::hs512(&SECRET[..63]),
        Err(ConfigError::SecretTooShort { minimum: 64, .. })
    ));
    assert!(matches!(
        SigningKey::hs256(rsa),
        Err(ConfigError::SecretIsKey { format: "PEM" })
    ));
}

#[test]
fn ed25519_is_minted_and_verified_under_both_of_its_names() {
    let built = |key: SigningKey| TokenIssuer::builder(key).build();
    let old = built(signing_key(Algorithm::EdDSA)).unwrap();
    let new = built(signing_key(Algorithm::EdDSA).with_rfc9864_name()).unwrap();
    for (issuer, name) in [(&old, "EdDSA"), (&new, "Ed25519")] {
        let token = issuer.mint("alice").sign().unwrap();
        assert_eq!(part(token.expose(), 0)["alg"], name);
        let set: Value = serde_json::from_str(&issuer.jwk_set()).unwrap();
        assert_eq!(set["keys"][0]["alg"], name);
    }
    // Whatever the key calls its algorithm, and whatever the token does.
    for published in [old.jwk_set(), new.jwk_set()] {
        for &backend in CryptoBackend::ALL {
            for list in [None, Some([Algorithm::EdDSA])] {
                let mut verifier = Verifier::builder(Keys::jwk_set(&published).unwrap());
                if let Some(list) = list {
                    verifier = verifier.with_algorithms(list);
                }
                let verifier = verifier.with_backend(backend).build().unwrap();
                for issuer in [&old, &new] {
                    let token = issuer.mint("alice").sign().unwrap();
                    let verified = verifier.verify(&token).unwrap();
                    assert_eq!(verified.algorithm(), Some(Algorithm::EdDSA));
                }
            }
        }
    }
    // The names are exact, and the curve is the key's own.
    for alg in ["ed25519", "ED25519", "Ed448"] {
        let jwk = new
            .jwk_set()
            .replace(r#""alg":"Ed25519""#, &format!(r#""alg":"{alg}""#));
        assert!(Keys::jwk_set(jwk).is_err(), "{alg}");
    }
    let crossed = r#"{"kty":"EC","crv":"P-256","alg":"Ed25519","x":"AA","y":"AA"}"#;
    assert!(tower_warden::Key::jwk(crossed).is_err());
    // No other algorithm has a second name.
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::HS256] {
        let error = built(signing_key(algorithm).with_rfc9864_name()).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("with_rfc9864_name") && told.contains(&format!("{algorithm:?}")));
    }
    let misnamed = signing_key(Algorithm::ES256).with_rfc9864_name();
    assert!(old.rotate(misnamed).is_err());
}

#[test]
fn a_private_key_of_one_repeated_byte_is_refused() {
    for byte in [0, 7, 255] {
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend([byte; 32]);
        let pem = |der: &[u8]| {
            let text = base64_simd::STANDARD.encode_to_string(der);
            let text = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
            SigningKey::pem(text, Algorithm::EdDSA)
        };
        match pem(&der) {
            Err(error) => assert!(error.to_string().contains("repeats one byte"), "{error}"),
            Ok(_) => panic!("accepted {byte}"),
        }
        *der.last_mut().unwrap() = 1;
        assert!(pem(&der).is_ok());
    }
    let repeated = SigningKey::hs256([b'z'; 32]).unwrap_err().to_string();
    assert!(
        repeated.contains("repeats one byte") && !repeated.contains("zz"),
        "{repeated}"
    );
}

#[test]
fn a_rotated_key_signs_at_once_and_the_old_one_verifies_until_retired() {
    let issuer = TokenIssuer::builder(signing_key(Algorithm::ES256).with_id("a"))
        .with_issuer("https://id.example")
        .with_audience("orders")
        .build()
        .unwrap();
    let clone = issuer.clone();
    let before = issuer.mint("alice").sign().unwrap();
    issuer
        .rotate(SigningKey::generate(Algorithm::ES256).unwrap().with_id("b"))
        .unwrap();
    let after = clone.mint("alice").sign().unwrap();
    assert_eq!(part(after.expose(), 0)["kid"], "b");
    assert_eq!(clone.key_id().as_deref(), Some("b"));
    for token in [&before, &after] {
        decode(token.expose(), &issuer, Algorithm::ES256).unwrap();
    }

    let error = issuer
        .rotate(SigningKey::generate(Algorithm::ES256).unwrap().with_id("a"))
        .unwrap_err();
    assert!(error.to_string().contains("same ID"), "{error}");
    assert_eq!(
        issuer.key_id().as_deref(),
        Some("b"),
        "a refused rotation changes nothing"
    );

    assert!(
        issuer
            .retire("b")
            .unwrap_err()
            .to_string()
            .contains("signs at present")
    );
    assert!(
        issuer
            .retire("c")
            .unwrap_err()
            .to_string()
            .contains("not published")
    );
    issuer.retire("a").unwrap();
    assert_eq!(kids(&clone), ["b"]);
    issuer
        .rotate(signing_key(Algorithm::EdDSA).with_id("c"))
        .unwrap();
    assert_eq!(kids(&clone), ["c", "b"]);
    issuer.retire_all().unwrap();
    assert_eq!(kids(&clone), ["c"]);
}

fn kids(issuer: &TokenIssuer) -> Vec<String> {
    let set: Value = serde_json::from_str(&issuer.jwk_set()).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_key_published_ahead_takes_its_turn() {
    let next = SigningKey::generate(Algorithm::ES256).unwrap();
    let issuer = TokenIssuer::builder(signing_key(Algorithm::ES256))
        .with_published_keys([next.verification_key()])
        .build()
        .unwrap();
    let [first, second] = &kids(&issuer)[..] else {
        panic!("two keys are published");
    };
    assert_eq!(Some(second.as_str()), next.id());
    issuer.rotate(next).unwrap();
    assert_eq!(kids(&issuer), [second.clone(), first.clone()]);
}

#[test]
fn secrets_rotate_but_are_never_published() {
    let issuer = TokenIssuer::builder(signing_key(Algorithm::HS256))
        .build()
        .unwrap();
    issuer
        .rotate(SigningKey::hs256("another secret of thirty-two bytes!").unwrap())
        .unwrap();
    issuer
        .rotate(signing_key(Algorithm::HS512).with_id("s"))
        .unwrap();
    assert_eq!(issuer.jwk_set(), r#"{"keys":[]}"#);
    let printed = format!("{issuer:?} {:?}", issuer.verification_keys());
    assert!(printed.contains("HS512"), "{printed}");
    assert!(
        !printed.contains("0123456789")
            && !printed.contains("48, 49, 50")
            && !printed.contains("9, 9, 9")
    );
    let key = signing_key(Algorithm::EdDSA).with_id("a");
    assert_eq!(
        format!("{key:?}"),
        r#"SigningKey { id: Some("a"), algorithm: EdDSA, .. }"#
    );
    let issuer = TokenIssuer::builder(key).build().unwrap();
    let printed = format!("{:?}", issuer.mint("alice"));
    assert!(
        printed.contains("alice") && !printed.contains("private"),
        "{printed}"
    );
}

#[test]
fn the_published_set_holds_no_private_member() {
    let issuer = TokenIssuer::builder(signing_key(Algorithm::RS256))
        .with_published_keys([
            signing_key(Algorithm::ES384).verification_key(),
            signing_key(Algorithm::EdDSA).verification_key(),
            signing_key(Algorithm::HS256).verification_key(),
        ])
        .build()
        .unwrap();
    let set: Value = serde_json::from_str(&issuer.jwk_set()).unwrap();
    let members: Vec<BTreeSet<&str>> = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            key.as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect()
        })
        .collect();
    assert_eq!(
        members,
        [
            BTreeSet::from(["kty", "n", "e", "use", "alg", "kid"]),
            BTreeSet::from(["kty", "crv", "x", "y", "use", "alg", "kid"]),
            BTreeSet::from(["kty", "crv", "x", "use", "alg", "kid"]),
        ]
    );
    // Our own reader takes what our writer wrote.
    tower_warden::Keys::jwk_set(issuer.jwk_set()).unwrap();
}

#[test]
fn rfc_8037_thumbprint_is_the_default_id() {
    // RFC 8037 A.1 in PKCS#8, and its thumbprint in A.3.
    let seed = URL_SAFE_NO_PAD
        .decode_to_vec("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .unwrap();
    let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let der = base64_simd::STANDARD.encode_to_string([&prefix[..], &seed].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let key = SigningKey::pem(pem, Algorithm::EdDSA).unwrap();
    assert_eq!(
        key.id(),
        Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
    );
    let jwk: Value = serde_json::from_str(&key.public_jwk().unwrap()).unwrap();
    assert_eq!(jwk["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
}

#[tokio::test]
async fn the_service_answers_get_and_head_with_the_keys_of_the_moment() {
    let issuer = TokenIssuer::builder(signing_key(Algorithm::EdDSA).with_id("a"))
        .build()
        .unwrap();
    let service = issuer.jwk_set_service();
    issuer
        .rotate(signing_key(Algorithm::ES256).with_id("b"))
        .unwrap();
    for method in [Method::GET, Method::HEAD] {
        let request = Request::builder().method(&method).body(()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], "application/jwk-set+json");
        assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=300");
        assert_eq!(
            headers[header::CONTENT_LENGTH],
            issuer.jwk_set().len().to_string().as_str()
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let wanted = if method == Method::GET {
            issuer.jwk_set()
        } else {
            String::new()
        };
        assert_eq!(body, wanted);
    }
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
    ] {
        let request = Request::builder()
            .method(&method)
            .body("never read")
            .unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method}"
        );
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
        assert!(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }
}

#[test]
fn rotation_under_load_never_shows_a_half_made_state() {
    let issuer = TokenIssuer::builder(signing_key(Algorithm::EdDSA))
        .with_issuer("https://id.example")
        .with_audience("orders")
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let token = issuer.mint("alice").sign().unwrap();
                    // Nothing is retired here, so each token has to find its key.
                    decode(token.expose(), &issuer, Algorithm::EdDSA).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..20 {
                issuer
                    .rotate(SigningKey::generate(Algorithm::EdDSA).unwrap())
                    .unwrap();
            }
        });
    });
    assert_eq!(kids(&issuer).len(), 21);
}
