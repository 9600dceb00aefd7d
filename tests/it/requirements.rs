//! `require`: conditions of the application, after verification and never skipped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::Response;
use tower_warden::{BearerToken, JwtAuthLayer, Paths, Rejection, RejectionKind, Verdict};

use crate::support::{SECRET, get, get_with, issuer, refusal, seen, send, token};

fn builder() -> tower_warden::AuthLayerBuilder<tower_warden::Bearer> {
    JwtAuthLayer::hs256(SECRET).unwrap()
}

#[test]
fn a_condition_admits_or_refuses() {
    let layer = builder()
        .require(|principal, head| head.method == "GET" && principal.subject() == "alice")
        .build()
        .unwrap();
    assert_eq!(refusal(&send(&layer, get("/chat", &token("alice")))), None);
    let response = send(&layer, get("/chat", &token("bob")));
    assert_eq!(refusal(&response), Some(RejectionKind::Forbidden));
    assert_eq!(response.status(), 403);
}

#[test]
fn a_condition_may_answer_by_itself() {
    let layer = builder()
        .require(|principal, _| match principal.subject() {
            "alice" => Verdict::Admit,
            _ => Verdict::Answer(
                Response::builder()
                    .status(402)
                    .body(Bytes::from_static(b"pay first"))
                    .unwrap(),
            ),
        })
        .build()
        .unwrap();
    let inner = crate::support::Inner::default();
    let service = tower::Layer::layer(&layer, inner.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let answer = tower::ServiceExt::oneshot(service, get("/chat", &token("bob")));
    let response = runtime.block_on(answer).unwrap();
    assert_eq!(
        (response.status().as_u16(), response.body().as_str()),
        (402, "pay first")
    );
    assert_eq!(inner.calls(), 0);
}

#[test]
fn conditions_are_asked_in_order_until_one_refuses() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = |verdict: fn() -> Verdict| {
        let asked = Arc::clone(&asked);
        move |_: &tower_warden::Principal, _: &http::request::Parts| {
            asked.fetch_add(1, Ordering::SeqCst);
            verdict()
        }
    };
    let layer = builder()
        .require(count(|| Verdict::Admit))
        .require_async({
            let hook = count(|| Verdict::Admit);
            move |principal, head| {
                let verdict = hook(principal, head);
                async move { verdict }
            }
        })
        .require(count(|| {
            Verdict::Refuse(Rejection::insufficient_scope("a b"))
        }))
        .require(count(|| Verdict::Admit))
        .build()
        .unwrap();
    let response = send(&layer, get("/chat", &token("alice")));
    assert_eq!(refusal(&response), Some(RejectionKind::ScopeInsufficient));
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"scope="a b""#), "{challenge}");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[test]
fn a_condition_meets_verified_principals_only() {
    let asked = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&asked);
    let layer = builder()
        .require(move |_, _| {
            hook.fetch_add(1, Ordering::SeqCst);
            true
        })
        .build()
        .unwrap();
    send(&layer, get_with("/chat", []));
    send(&layer, get("/chat", &BearerToken::new("garbage")));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// The mixin's hole: with optional auth, its checks were skipped for who sent no token.
#[test]
fn a_condition_is_not_skipped_on_an_optional_path() {
    let layer = builder()
        .with_paths(Paths::all().optional("/feed"))
        .require(|_, _| true)
        .build()
        .unwrap();
    assert_eq!(
        refusal(&send(&layer, get_with("/feed", []))),
        Some(RejectionKind::TokenMissing)
    );
    assert_eq!(refusal(&send(&layer, get("/feed", &token("alice")))), None);
}

#[test]
fn a_deferred_condition_finds_the_principal_in_place() {
    let layer = builder()
        .require_async(|principal, _| {
            let admitted = principal.subject() == "alice";
            async move {
                if admitted {
                    Ok(())
                } else {
                    Err(RejectionKind::Forbidden)
                }
            }
        })
        .build()
        .unwrap();
    let response = send(&layer, get("/chat", &token("alice")));
    assert_eq!(
        seen(&response).principal.as_ref().unwrap().subject(),
        "alice"
    );
    assert_eq!(
        refusal(&send(&layer, get("/chat", &token("bob")))),
        Some(RejectionKind::Forbidden)
    );
}

#[test]
fn roles_come_from_the_claim_that_was_named() {
    let keycloak = issuer()
        .mint("alice")
        .with_claim("realm_access", serde_json::json!({ "roles": ["editor"] }))
        .sign()
        .unwrap();
    let auth0 = issuer()
        .mint("alice")
        .with_claim("permissions", serde_json::json!(["editor"]))
        .sign()
        .unwrap();
    for (path, right, wrong) in [
        ("realm_access.roles", &keycloak, &auth0),
        ("permissions", &auth0, &keycloak),
    ] {
        let layer = builder()
            .with_roles_claim(path)
            .require(|principal, _| principal.has_role("editor"))
            .build()
            .unwrap();
        assert_eq!(refusal(&send(&layer, get("/chat", right))), None, "{path}");
        assert_eq!(
            refusal(&send(&layer, get("/chat", wrong))),
            Some(RejectionKind::Forbidden),
            "{path}"
        );
    }
}
