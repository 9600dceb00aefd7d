//! Opaque tokens of oidc-provider, looked up there: `tests/run oidc` starts it and gets the tokens.

use std::env;

use base64_simd::STANDARD;
use form_urlencoded::Serializer;
use serde_json::Value;
use tower::{Layer, ServiceExt};
use tower_warden::{
    BearerToken, Introspection, JwtAuthLayer, Principal, RejectionKind, UserInfo, UserInfoError,
    Verifier, VerifierBuilder,
};

use crate::support::{Inner, get, refusal, seen};

const API: &str = "https://opaque.example";
const SECRET: &str = "secret";

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is set by tests/clients/opaque.mjs"))
}

fn issuer() -> String {
    variable("OPAQUE_ISSUER")
}

/// Verifies what the provider knows, asked as this client.
fn asking(client_id: &str, secret: &str) -> VerifierBuilder<Introspection> {
    Verifier::introspect(Introspection::discover(issuer(), client_id, secret))
}

/// Who stands behind a token, by a layer with this verifier; or why nobody does.
async fn send(
    verifier: VerifierBuilder<Introspection>,
    token: &str,
) -> Result<Principal, RejectionKind> {
    let layer = JwtAuthLayer::verifier(verifier.build().await.unwrap());
    let inner = Inner::default();
    let service = layer.build().unwrap().layer(inner.clone());
    let response = service
        .oneshot(get("/chat", &BearerToken::new(token)))
        .await
        .unwrap();
    match refusal(&response) {
        Some(kind) => {
            assert_eq!(inner.calls(), 0);
            Err(kind)
        }
        None => Ok(seen(&response).principal.clone().unwrap()),
    }
}

#[tokio::test]
#[ignore = "needs oidc-provider: tests/run oidc"]
async fn a_provider_that_is_not_ours_tells_what_it_knows_of_a_token() {
    let machine = variable("MACHINE_TOKEN");
    let known = || asking("resource-server", SECRET).with_audience(API);

    // It acts for nobody, which has to be asked for.
    assert_eq!(
        send(known(), &machine).await.unwrap_err(),
        RejectionKind::ClaimInvalid
    );
    let principal = send(known().dangerous_without_subject(), &machine)
        .await
        .unwrap();
    let token = principal.token();
    assert_eq!(token.client_id(), Some("ES256"));
    assert_eq!(token.issuer(), Some(&*issuer()));
    assert!(token.has_scope("read") && !token.has_scope("write"));
    assert!(token.expires_at().is_some() && token.algorithm().is_none());

    for (name, verifier, token, wanted) in [
        (
            "another audience",
            asking("resource-server", SECRET).with_audience("https://api.example"),
            &*machine,
            RejectionKind::AudienceMismatch,
        ),
        (
            "one character less",
            known(),
            &machine[1..],
            RejectionKind::TokenInactive,
        ),
        (
            "a client that may not ask",
            asking("ES256", SECRET).with_audience(API),
            &machine,
            RejectionKind::TokenInactive,
        ),
        (
            "a wrong secret",
            asking("resource-server", "wrong").with_audience(API),
            &machine,
            RejectionKind::KeysUnavailable,
        ),
    ] {
        let verifier = verifier.dangerous_without_subject();
        assert_eq!(send(verifier, token).await.unwrap_err(), wanted, "{name}");
    }
}

#[tokio::test]
#[ignore = "needs oidc-provider: tests/run oidc"]
async fn a_provider_that_is_not_ours_tells_who_the_user_is() {
    #[derive(serde::Deserialize)]
    struct User {
        name: String,
    }
    let token = variable("USER_TOKEN");
    // It is for the provider's own endpoints, and so for no audience.
    let principal = send(asking("resource-server", SECRET), &token)
        .await
        .unwrap();
    assert_eq!(principal.subject(), "alice");
    assert!(principal.has_scope("openid") && principal.has_scope("profile"));

    let userinfo = UserInfo::discover(issuer()).build().await.unwrap();
    let profile = userinfo.get(&principal).await.unwrap();
    assert_eq!(profile.subject(), "alice");
    assert_eq!(profile.claims::<User>().unwrap().name, "Alice");

    // Once it is revoked, its provider says so; what was known stays known for a while, as it is documented.
    revoke(&token).await;
    assert!(userinfo.get(&principal).await.is_ok());
    let refused = userinfo.refresh(&principal).await.map(drop);
    assert_eq!(refused, Err(UserInfoError::Refused { status: 401 }));
    let kind = send(asking("resource-server", SECRET), &token)
        .await
        .unwrap_err();
    assert_eq!(kind, RejectionKind::TokenInactive);
}

/// Takes a token back at its provider (RFC 7009), as the client that it was issued to.
async fn revoke(token: &str) {
    let client = reqwest::Client::new();
    let document = format!("{}/.well-known/openid-configuration", issuer());
    let document: Value = client
        .get(document)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let credentials = STANDARD.encode_to_string(format!("web:{SECRET}"));
    let form = Serializer::new(String::new())
        .append_pair("token", token)
        .finish();
    let answer = client
        .post(document["revocation_endpoint"].as_str().unwrap())
        .header("authorization", format!("Basic {credentials}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    assert_eq!(answer.send().await.unwrap().status(), 200);
}
