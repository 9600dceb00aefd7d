//! `RequireScopeLayer` and the scopes of a path rule.

use tower::{Layer, ServiceExt};
use tower_warden::{
    BearerToken, JwtAuthLayer, Paths, Refusals, Rejection, RejectionKind, RequireScopeLayer, Rule,
};

use crate::support::{Inner, SECRET, get, get_with, issuer, refusal, send, token};

fn with_scopes(scopes: &[&str]) -> BearerToken<'static> {
    issuer()
        .mint("alice")
        .with_scopes(scopes.iter().copied())
        .sign()
        .unwrap()
}

/// Sends a request through auth, then scope layer.
fn through(
    auth: &JwtAuthLayer,
    scope: &RequireScopeLayer,
    request: http::Request<String>,
) -> (http::Response<String>, usize) {
    let inner = Inner::default();
    let service = auth.layer(scope.layer(inner.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let response = runtime.block_on(service.oneshot(request)).unwrap();
    (response, inner.calls())
}

#[test]
fn all_or_any_of_the_scopes() {
    let auth = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let all = RequireScopeLayer::all(["read", "write"]).unwrap();
    let any = RequireScopeLayer::any(["read", "write"]).unwrap();
    let table: [(&[&str], bool, bool); 5] = [
        (&[], false, false),
        (&["read"], false, true),
        (&["read", "write"], true, true),
        (&["readwrite", "rea"], false, false),
        (&["READ", "WRITE"], false, false),
    ];
    for (scopes, passes_all, passes_any) in table {
        let token = with_scopes(scopes);
        for (layer, passes) in [(&all, passes_all), (&any, passes_any)] {
            let (response, calls) = through(&auth, layer, get("/chat", &token));
            assert_eq!(calls, usize::from(passes), "{scopes:?}");
            if !passes {
                assert_eq!(response.status(), 403);
                let challenge = response.headers()["www-authenticate"].to_str().unwrap();
                assert!(
                    challenge.contains(r#"error="insufficient_scope""#),
                    "{challenge}"
                );
                assert!(challenge.contains(r#"scope="read write""#), "{challenge}");
            }
        }
    }
}

#[test]
fn it_answers_as_the_layer_outside_it() {
    let auth = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_refusals(Refusals::mixin().with_realm("chat"))
        .build()
        .unwrap();
    let scope = RequireScopeLayer::all(["admin"]).unwrap();
    let (response, _) = through(&auth, &scope, get("/chat", &token("alice")));
    assert_eq!(response.body(), "Forbidden");
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.starts_with(r#"Bearer realm="chat""#),
        "{challenge}"
    );
}

#[test]
fn nobody_has_no_scope() {
    let auth = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().optional("/feed"))
        .build()
        .unwrap();
    let scope = RequireScopeLayer::any(["read"]).unwrap();
    let (response, calls) = through(&auth, &scope, get_with("/feed", []));
    assert_eq!(
        (refusal(&response), calls),
        (Some(RejectionKind::TokenMissing), 0)
    );
}

/// Doubt is a refusal: without an auth layer outside, nothing is known about the request.
#[test]
fn without_an_auth_layer_it_is_our_fault() {
    let inner = Inner::default();
    let service = RequireScopeLayer::any(["read"])
        .unwrap()
        .layer(inner.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let response = runtime
        .block_on(service.oneshot(get("/chat", &token("alice"))))
        .unwrap();
    assert_eq!(response.status(), 500);
    let kind = response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::kind);
    assert_eq!(kind, Some(RejectionKind::Misconfigured));
    assert_eq!(inner.calls(), 0);
}

#[test]
fn a_path_rule_asks_for_scopes() {
    let auth = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().rule(Rule::required("/admin").with_scopes(["admin"])))
        .build()
        .unwrap();
    assert_eq!(refusal(&send(&auth, get("/chat", &token("alice")))), None);
    for path in ["/admin", "/admin/users", "/ADMIN", "//admin"] {
        let response = send(&auth, get(path, &token("alice")));
        assert_eq!(
            refusal(&response),
            Some(RejectionKind::ScopeInsufficient),
            "{path}"
        );
        assert_eq!(
            refusal(&send(&auth, get(path, &with_scopes(&["admin"])))),
            None,
            "{path}"
        );
    }
}
