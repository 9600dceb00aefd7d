//! `ResourceBinding` and connection tokens: a token for agent A does not open agent B.

use std::time::Duration;

use serde_json::json;
use tower_warden::{
    AuthLayerBuilder, Bearer, BearerToken, ConfigError, IssueError, JwtAuthLayer, Mint, Paths,
    Principal, RejectionKind, ResourceBinding, SigningKey, TokenIssuer,
};

use crate::support::{SECRET, get, get_with, issuer, refusal, seen, send, token, upgrade};

const WRONG: Option<RejectionKind> = Some(RejectionKind::ResourceMismatch);

fn builder() -> AuthLayerBuilder<Bearer> {
    JwtAuthLayer::hs256(SECRET).unwrap()
}

fn agents() -> ResourceBinding {
    ResourceBinding::path("/agents/{agent}/{room}")
        .claim("agent", "agent")
        .claim("room", "room")
}

fn minted(finish: impl FnOnce(Mint<'_>) -> Mint<'_>) -> BearerToken<'static> {
    finish(issuer().mint("alice")).sign().unwrap()
}

fn bound(agent: &str, room: &str) -> BearerToken<'static> {
    minted(|mint| mint.with_claim("agent", agent).with_claim("room", room))
}

#[test]
fn a_token_for_one_agent_opens_that_agent_only() {
    let layer = builder().with_resource_binding(agents()).build().unwrap();
    let token = bound("a", "r1");
    for (path, expected) in [
        ("/agents/a/r1", None),
        ("/agents/a/r1/get-messages", None),
        ("/AGENTS/a/r1", None),
        ("/agents/%61/r1", None),
        ("/agents/b/r1", WRONG),
        ("/agents/A/r1", WRONG),
        ("/agents/a/r2", WRONG),
        ("/agents/a/r1x", WRONG),
        ("/AGENTS/b/r1", WRONG),
        ("/agent%73/b/r1", WRONG),
        // Paths of two readings, wherever they seem to lead.
        ("//agents/a/r1", WRONG),
        ("/agents//a/r1", WRONG),
        ("/agents/a/../b/r1", WRONG),
        ("/agents/a%2Fr1", WRONG),
        ("/agents/a/r1%00", WRONG),
        ("/chat/..", WRONG),
        // Not the business of this binding.
        ("/chat", None),
        ("/agents", None),
        ("/agents/b", None),
    ] {
        let response = send(&layer, get(path, &token));
        assert_eq!(refusal(&response), expected, "{path}");
        if expected.is_some() {
            assert_eq!(response.status(), 403);
            assert!(response.body().contains(r#""code":"wrong_resource""#));
            assert!(!response.headers().contains_key("www-authenticate"));
        }
    }
}

#[test]
fn a_claim_that_is_missing_or_of_another_type_binds_to_nothing() {
    let layer = builder().with_resource_binding(agents()).build().unwrap();
    let present = builder()
        .with_resource_binding(agents().when_present())
        .build()
        .unwrap();
    for (claims, strict, lenient) in [
        (json!({"agent": "a", "room": "r"}), None, None),
        (json!({"agent": ["x", "a"], "room": "r"}), None, None),
        (json!({}), WRONG, None),
        (json!({"agent": "a"}), WRONG, None),
        (json!({"room": "r"}), WRONG, None),
        (json!({"agent": "b"}), WRONG, WRONG),
        (json!({"agent": "b", "room": "r"}), WRONG, WRONG),
        (json!({"agent": "", "room": "r"}), WRONG, WRONG),
        (json!({"agent": null, "room": "r"}), WRONG, WRONG),
        (json!({"agent": 7, "room": "r"}), WRONG, WRONG),
        (json!({"agent": ["a", 7], "room": "r"}), WRONG, WRONG),
        (json!({"agent": [], "room": "r"}), WRONG, WRONG),
        (json!({"agent": {"agent": "a"}, "room": "r"}), WRONG, WRONG),
    ] {
        let token = minted(|mint| {
            let claims = claims.as_object().unwrap().iter();
            claims.fold(mint, |mint, (name, value)| mint.with_claim(name, value))
        });
        let request = || get("/agents/a/r", &token);
        assert_eq!(refusal(&send(&layer, request())), strict, "{claims}");
        assert_eq!(refusal(&send(&present, request())), lenient, "{claims}");
    }
}

#[test]
fn a_claim_may_lie_within_others() {
    let binding = ResourceBinding::path("/agents/{agent}").claim("grant.agent", "agent");
    let layer = builder().with_resource_binding(binding).build().unwrap();
    for (grant, expected) in [
        (json!({"agent": "a"}), None),
        (json!({"agent": "b"}), WRONG),
        (json!("a"), WRONG),
    ] {
        let token = minted(|mint| mint.with_claim("grant", &grant));
        let response = send(&layer, get("/agents/a", &token));
        assert_eq!(refusal(&response), expected, "{grant}");
    }
}

#[test]
fn an_audience_may_name_the_agent() {
    let layer = |finish: fn(ResourceBinding) -> ResourceBinding| {
        let binding = ResourceBinding::path("/agents/{agent}/{room}").audience("agent:{agent}");
        builder()
            .with_audience("chat")
            .with_resource_binding(finish(binding))
            .build()
            .unwrap()
    };
    let (strict, lenient) = (layer(|it| it), layer(ResourceBinding::when_present));
    for (audiences, refused, when_present) in [
        (&["chat", "agent:a"][..], None, None),
        (&["chat", "agent:b", "agent:a"], None, None),
        (&["chat", "agent:b"], WRONG, WRONG),
        (&["chat", "agent:"], WRONG, WRONG),
        (&["chat", "agent:A"], WRONG, WRONG),
        (&["chat", "agent:a/"], WRONG, WRONG),
        (&["chat", "xagent:a"], WRONG, None),
        (&["chat"], WRONG, None),
    ] {
        let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
            .with_audiences(audiences.iter().copied())
            .build()
            .unwrap();
        let token = issuer.mint("alice").sign().unwrap();
        let request = || get("/agents/a/r", &token);
        assert_eq!(refusal(&send(&strict, request())), refused, "{audiences:?}");
        assert_eq!(
            refusal(&send(&lenient, request())),
            when_present,
            "{audiences:?}"
        );
    }
}

/// Cloudflare's documentation compares `userId` of the URL with the token's subject, both chosen by the client.
#[test]
fn the_user_in_the_query_is_the_subject_of_the_token() {
    let layer = builder()
        .with_resource_binding(ResourceBinding::query("userId").subject())
        .build()
        .unwrap();
    let token = token("alice");
    for (path, expected) in [
        ("/chat", None),
        ("/chat?room=1", None),
        ("/chat?userId=alice", None),
        ("/chat?room=1&user%49d=%61lice", None),
        ("/chat?userId=bob", WRONG),
        ("/chat?userId=Alice", WRONG),
        ("/chat?userId=alice+", WRONG),
        ("/chat?userId=", WRONG),
        ("/chat?userId", WRONG),
        ("/chat?userId=%", WRONG),
        ("/chat?userId=%C3", WRONG),
        ("/chat?userId=alice&userId=bob", WRONG),
        ("/chat?userId=alice&userId=alice", WRONG),
        ("/chat?userId=alice&user%49d=bob", WRONG),
        // Another parameter, to whoever compares names byte by byte.
        ("/chat?userid=bob", None),
    ] {
        assert_eq!(
            refusal(&send(&layer, get(path, &token))),
            expected,
            "{path}"
        );
    }
}

#[test]
fn several_bindings_hold_together_on_upgrades_too() {
    let layer = builder()
        .with_resource_binding(agents())
        .with_resource_binding(ResourceBinding::query("userId").subject())
        .build()
        .unwrap();
    let token = bound("a", "r");
    for (target, expected) in [
        ("/agents/a/r?userId=alice", None),
        ("/agents/a/r?userId=bob", WRONG),
        ("/agents/b/r?userId=alice", WRONG),
    ] {
        let path = format!("{target}&access_token={}", token.expose());
        assert_eq!(
            refusal(&send(&layer, get_with(&path, upgrade()))),
            expected,
            "{target}"
        );
    }
}

#[test]
fn a_binding_is_not_skipped_where_a_token_is_optional() {
    let layer = builder()
        .with_paths(Paths::all().optional("/agents/*"))
        .with_resource_binding(agents())
        .build()
        .unwrap();
    let response = send(&layer, get_with("/agents/a/r", []));
    assert_eq!(refusal(&response), Some(RejectionKind::TokenMissing));
}

#[test]
fn a_broken_binding_fails_when_the_layer_is_built() {
    let layer = builder()
        .with_resource_binding(ResourceBinding::path("/agents/**").subject())
        .build();
    assert!(matches!(layer, Err(ConfigError::Pattern { .. })));
    let layer = builder()
        .with_resource_binding(ResourceBinding::path("/agents/{agent}"))
        .build();
    assert!(matches!(layer, Err(ConfigError::Missing { .. })));
}

/// The principal behind a token, as a handler finds it.
fn principal(token: &BearerToken<'_>) -> Principal {
    let layer = builder()
        .dangerous_any_audience()
        .with_roles_claim("roles")
        .build()
        .unwrap();
    let response = send(&layer, get("/connect", token));
    seen(&response).principal.clone().unwrap()
}

fn claims(token: &BearerToken<'_>) -> serde_json::Value {
    let principal = principal(token);
    let claims = principal.claims::<serde_json::Value>().unwrap();
    (*claims).clone()
}

#[test]
fn a_connection_token_is_for_one_resource_and_never_wider() {
    let source = minted(|mint| {
        mint.with_scopes(["chat", "history"])
            .with_claim("sid", "s1")
            .with_claim("act", json!({"sub": "bot"}))
            .with_claim("roles", ["admin"])
            .with_claim("agent", ["a", "b"])
            .with_lifetime(Duration::from_secs(3_600))
    });
    let resource = [("agent", "a"), ("room", "r1")];
    let lifetime = TokenIssuer::CONNECTION_LIFETIME;
    let token = issuer()
        .connection_token(&principal(&source), resource, lifetime)
        .unwrap();
    let (before, after) = (claims(&source), claims(&token));
    for (name, expected) in [
        ("sub", json!("alice")),
        ("scope", json!("chat history")),
        ("sid", json!("s1")),
        ("act", json!({"sub": "bot"})),
        ("agent", json!("a")),
        ("room", json!("r1")),
        ("roles", json!(null)),
        ("iss", json!(null)),
        ("aud", json!(null)),
    ] {
        assert_eq!(after[name], expected, "{name}");
    }
    assert_ne!(before["jti"], after["jti"]);
    let life = after["exp"].as_u64().unwrap() - after["iat"].as_u64().unwrap();
    assert_eq!(life, 60);

    let layer = builder().with_resource_binding(agents()).build().unwrap();
    for (path, expected) in [("/agents/a/r1", None), ("/agents/a/r2", WRONG)] {
        assert_eq!(refusal(&send(&layer, get(path, &token))), expected);
    }
}

#[test]
fn a_connection_token_ends_no_later_than_its_source() {
    let source = minted(|mint| mint.with_lifetime(Duration::from_secs(20)));
    let exp = |token: &BearerToken<'_>| claims(token)["exp"].as_u64().unwrap();
    for seconds in [60, 300] {
        let token = issuer()
            .connection_token(
                &principal(&source),
                [("agent", "a")],
                Duration::from_secs(seconds),
            )
            .unwrap();
        assert_eq!(exp(&token), exp(&source));
    }
}

#[test]
fn a_connection_token_that_would_be_wider_is_not_signed() {
    let minute = TokenIssuer::CONNECTION_LIFETIME;
    let alice = principal(&token("alice"));
    let for_a = principal(&bound("a", "r"));
    let foreign = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .with_issuer("https://elsewhere.example")
        .build()
        .unwrap();
    let here = issuer();
    let sign = |issuer: &TokenIssuer, principal, resource: &[(&'static str, &str)], lifetime| {
        let signed = issuer.connection_token(principal, resource.iter().copied(), lifetime);
        signed.map(drop)
    };
    let a = &[("agent", "a")][..];
    assert!(sign(&here, &alice, a, minute).is_ok());
    assert!(sign(&here, &alice, a, Duration::from_secs(300)).is_ok());
    for lifetime in [Duration::ZERO, Duration::from_secs(301)] {
        let refused = sign(&here, &alice, a, lifetime);
        assert!(matches!(refused, Err(IssueError::LifetimeOutOfRange)));
    }
    let refused = sign(&foreign, &alice, a, minute);
    assert!(matches!(refused, Err(IssueError::IssuerForeign)));
    let refused = sign(&here, &for_a, &[("agent", "b")], minute);
    assert!(matches!(
        refused,
        Err(IssueError::ResourceForeign { name: "agent" })
    ));
    for empty in [&[][..], &[("agent", "")], &[("", "a")]] {
        let refused = sign(&here, &alice, empty, minute);
        assert!(matches!(refused, Err(IssueError::ResourceMissing)));
    }
    let refused = sign(&here, &alice, &[("scope", "admin")], minute);
    assert!(matches!(refused, Err(IssueError::ClaimReserved { .. })));
    let refused = sign(&here, &alice, &[("agent", "a"), ("agent", "b")], minute);
    assert!(matches!(refused, Err(IssueError::ClaimRepeated { .. })));
}

#[test]
fn a_connection_token_keeps_the_audiences_of_its_source() {
    let source = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .with_audience("chat")
        .build()
        .unwrap();
    let wider = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .with_audiences(["chat", "billing"])
        .build()
        .unwrap();
    let principal = principal(&source.mint("alice").sign().unwrap());
    let minute = TokenIssuer::CONNECTION_LIFETIME;
    let token = wider
        .connection_token(&principal, [("agent", "a")], minute)
        .unwrap();
    assert_eq!(claims(&token)["aud"], json!("chat"));
}
