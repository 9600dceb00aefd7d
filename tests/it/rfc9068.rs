//! The profile of access tokens ([RFC 9068]): `at+jwt`, and what such a token has to say.
//!
//! [RFC 9068]: https://www.rfc-editor.org/rfc/rfc9068

use serde_json::{Value, json};
use tower_warden::{
    Algorithm, ConfigError, JwtAuthLayer, RejectionKind, TokenType, Verifier, VerifierBuilder,
};

use crate::{
    support::{get, refusal, seen, send},
    tokens::{TestClock, keys, token, verifier, verify},
};

fn profile() -> VerifierBuilder {
    verifier()
        .with_access_token_profile()
        .with_issuer("https://id.example")
        .with_audience("orders")
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "exp": 2_000, "aud": "orders", "sub": "alice",
        "client_id": "web", "iat": 900, "jti": "t1", "scope": "read",
    })
}

fn signed(media_type: Option<&str>, claims: &Value) -> String {
    let mut header = json!({ "alg": "HS256" });
    if let Some(media_type) = media_type {
        header["typ"] = json!(media_type);
    }
    token(header.to_string(), claims.to_string(), Algorithm::HS256)
}

#[test]
fn an_access_token_says_all_that_it_has_to() {
    let verifier = profile().build().unwrap();
    let verified = verify(&verifier, &signed(Some("at+jwt"), &claims())).unwrap();
    assert_eq!(verified.client_id(), Some("web"));
    for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
        let wrong_values = [None, Some(Value::Null), Some(json!({})), Some(json!(""))];
        for value in wrong_values {
            let mut claims = claims();
            match &value {
                None => _ = claims.as_object_mut().unwrap().remove(name),
                Some(value) => claims[name] = value.clone(),
            }
            let refused = verify(&verifier, &signed(Some("at+jwt"), &claims));
            assert!(refused.is_err(), "{name} = {value:?}");
        }
    }
    for name in ["client_id", "iat", "jti", "sub", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let refused = verify(&verifier, &signed(Some("at+jwt"), &claims)).unwrap_err();
        assert_eq!(refused, RejectionKind::ClaimInvalid, "{name}");
    }
}

#[test]
fn a_token_of_another_type_is_none() {
    let verifier = profile().build().unwrap();
    for (media_type, accepted) in [
        (Some("at+jwt"), true),
        (Some("AT+JWT"), true),
        (Some("application/at+jwt"), true),
        (Some("JWT"), false),
        (Some("logout+jwt"), false),
        (Some(""), false),
        (None, false),
    ] {
        let found = verify(&verifier, &signed(media_type, &claims())).map(drop);
        let wanted = if accepted {
            Ok(())
        } else {
            Err(RejectionKind::TypeMismatch)
        };
        assert_eq!(found, wanted, "{media_type:?}");
    }
}

#[test]
fn without_the_profile_none_of_it_is_asked_but_types_are() {
    let verifier = verifier().with_audience("orders").build().unwrap();
    let least = json!({ "sub": "alice", "exp": 2_000, "aud": "orders" });
    assert_eq!(
        verify(&verifier, &signed(None, &least))
            .unwrap()
            .client_id(),
        None
    );
    let mut odd = least;
    odd["client_id"] = json!(["web"]);
    let refused = verify(&verifier, &signed(None, &odd)).unwrap_err();
    assert_eq!(refused, RejectionKind::ClaimInvalid);
}

#[test]
fn the_profile_has_no_holes() {
    let start = || Verifier::builder(keys(Algorithm::HS256)).with_access_token_profile();
    for (builder, wanted) in [
        (start(), "with_issuer"),
        (start().with_audience("orders"), "with_issuer"),
        (start().with_issuer("i"), "with_audience"),
        (
            start().with_issuer("i").dangerous_any_audience(),
            "dangerous_any_audience",
        ),
        (
            profile().dangerous_without_expiry(),
            "dangerous_without_expiry",
        ),
        (
            profile().dangerous_without_subject(),
            "dangerous_without_subject",
        ),
        (profile().with_token_type(TokenType::Any), "with_token_type"),
    ] {
        match builder.build() {
            Err(ConfigError::Missing { name, .. } | ConfigError::Setting { name, .. }) => {
                assert_eq!(name, wanted);
            }
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

#[test]
fn a_layer_has_the_profile_too() {
    let layer = JwtAuthLayer::keys(keys(Algorithm::HS256))
        .with_access_token_profile()
        .with_issuer("https://id.example")
        .with_audience("orders")
        .with_clock(TestClock::at(1_000))
        .build()
        .unwrap();
    let good = signed(Some("at+jwt"), &claims());
    let response = send(&layer, get("/", &tower_warden::BearerToken::new(good)));
    let principal = seen(&response).principal.clone().unwrap();
    assert_eq!(principal.client_id(), Some("web"));
    let id_token = signed(Some("JWT"), &claims());
    let response = send(&layer, get("/", &tower_warden::BearerToken::new(id_token)));
    assert_eq!(refusal(&response), Some(RejectionKind::TypeMismatch));

    let builder = JwtAuthLayer::keys(keys(Algorithm::HS256)).with_access_token_profile();
    assert!(builder.build().is_err());
}
