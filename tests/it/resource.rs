//! `ResourceBinding` and connection tokens: a token for agent A does not open agent B.

use std::time::Duration;

use serde_json::json;
use tower_warden::{
    ApiKeys, AuthLayerBuilder, Bearer, BearerToken, ConfigError, CredentialKind, IssueError,
    JwtAuthLayer, Keys, MemoryApiKeyStore, MemoryTickets, Mint, NewApiKey, Paths, Principal,
    RejectionKind, ResourceBinding, SigningKey, SubjectId, TicketOffice, TokenIssuer, TokenType,
    Verifier,
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

/// Inside a `nest`, and behind a rewrite, the binding holds on the path that is routed as well.
#[cfg(feature = "axum")]
#[test]
fn of_the_path_asked_for_and_the_path_routed_both_are_bound() {
    let layer = builder().with_resource_binding(agents()).build().unwrap();
    let token = minted(|mint| mint.with_claim("agent", "a").with_claim("room", "r"));
    for (requested, routed, expected) in [
        ("/agents/a/r", "/agents/a/r", None),
        ("/api/agents/a/r", "/agents/a/r", None),
        ("/agents/a/r", "/a/r", None),
        ("/api/agents/b/r", "/agents/b/r", WRONG),
        ("/agents/b/r", "/b/r", WRONG),
        ("/agents/a/r", "/agents/b/r", WRONG),
        ("/agents/b/r", "/agents/a/r", WRONG),
        ("/api/x", "//agents/b/r", WRONG),
    ] {
        let mut request = get(routed, &token);
        let original = axum::extract::OriginalUri(requested.parse().unwrap());
        request.extensions_mut().insert(original);
        let response = send(&layer, request);
        assert_eq!(refusal(&response), expected, "{requested} {routed}");
    }
}

/// A router may match a parameter with an empty segment, and a gateway may drop dots and blanks.
#[test]
fn no_empty_or_trimmed_segment_leads_around_a_binding() {
    let layer = builder()
        .with_resource_binding(agents().when_present())
        .build()
        .unwrap();
    let token = minted(|mint| mint.with_claim("agent", "a").with_claim("room", "r"));
    for path in [
        "/agents/b/",
        "/agents/",
        "/agents//r",
        "/agents./b/r",
        "/agents%20/b/r",
        "/%20agents/b/r",
    ] {
        assert_eq!(refusal(&send(&layer, get(path, &token))), WRONG, "{path}");
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

/// One part of a token, decoded.
fn part(token: &BearerToken<'_>, index: usize) -> serde_json::Value {
    let part = token.expose().split('.').nth(index).unwrap();
    let text = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn claims(token: &BearerToken<'_>) -> serde_json::Value {
    part(token, 1)
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

/// A layer of one agent for each token that names one, and of all for the others.
fn lenient() -> AuthLayerBuilder<Bearer> {
    let agent = ResourceBinding::path("/agents/{agent}").claim("agent", "agent");
    builder().with_resource_binding(agent.when_present())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn keys() -> ApiKeys {
    ApiKeys::new(
        MemoryApiKeyStore::new(),
        "a pepper of at least thirty-two bytes",
    )
    .unwrap()
}

/// What the service of API keys says to this credential.
fn at_keys(
    keys: &ApiKeys,
    method: &str,
    path: &str,
    (name, value): (&str, String),
) -> (u16, serde_json::Value) {
    use http_body_util::{BodyExt, Full};
    use tower::{Layer, ServiceExt};

    let layer = lenient().with_api_keys(keys.clone()).build().unwrap();
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(name, value)
        .header("content-type", "application/json")
        .body(Full::<bytes::Bytes>::from("{}"))
        .unwrap();
    block_on(async {
        let response = layer.layer(keys.service()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    })
}

fn bearer(token: &BearerToken<'_>) -> (&'static str, String) {
    ("authorization", format!("Bearer {}", token.expose()))
}

/// A token for agent `support` made itself a key without end, and the key opened `payroll`.
#[test]
fn a_narrowed_credential_is_not_exchanged_for_a_wide_one() {
    let keys = keys();
    let layer = lenient().with_api_keys(keys.clone()).build().unwrap();
    let owner = SubjectId::new("", "alice").unwrap();
    let made = block_on(keys.create(NewApiKey::new(owner))).unwrap();
    let support = minted(|mint| mint.with_claim("agent", "support"));
    let connection = issuer()
        .connection_token(
            &principal(&token("alice")),
            [("agent", "support")],
            TokenIssuer::CONNECTION_LIFETIME,
        )
        .unwrap();
    for narrow in [&support, &connection] {
        assert_eq!(refusal(&send(&layer, get("/agents/support", narrow))), None);
        let refused = refusal(&send(&layer, get("/agents/payroll", narrow)));
        assert_eq!(refused, WRONG);
        let delete = format!("/keys/{}", made.record().id);
        for (method, path) in [("POST", "/keys"), ("DELETE", &*delete)] {
            let (status, _) = at_keys(&keys, method, path, bearer(narrow));
            assert_eq!(status, 403, "{method}");
        }
    }
    block_on(keys.verify(made.key())).unwrap();

    // A token that is bound to nothing makes one, with an end. Bindings refuse the key, as it names no agent.
    let (status, created) = at_keys(&keys, "POST", "/keys", bearer(&token("alice")));
    assert_eq!(status, 201);
    assert!(created["expires_at"].is_u64());
    let key = created["key"].as_str().unwrap();
    for (path, expected) in [
        ("/chat", None),
        ("/agents/support", WRONG),
        ("/agents/payroll", WRONG),
    ] {
        let response = send(&layer, get_with(path, [("x-api-key", key.to_owned())]));
        assert_eq!(refusal(&response), expected, "{path}");
    }
    // The subject is what a key has.
    let own = ResourceBinding::query("userId").subject().when_present();
    let layer = builder()
        .with_resource_binding(own)
        .with_api_keys(keys)
        .build()
        .unwrap();
    for (path, expected) in [("/chat?userId=alice", None), ("/chat?userId=bob", WRONG)] {
        let response = send(&layer, get_with(path, [("x-api-key", key.to_owned())]));
        assert_eq!(refusal(&response), expected, "{path}");
    }
}

#[test]
fn a_subject_in_the_query_binds_nobody_to_a_resource() {
    use http_body_util::Full;
    use tower::{Layer, ServiceExt};

    let own = ResourceBinding::query("userId").subject();
    let layer = builder().with_resource_binding(own).build().unwrap();
    let request = http::Request::post("/keys")
        .header("authorization", bearer(&token("alice")).1)
        .header("content-type", "application/json")
        .body(Full::<bytes::Bytes>::from("{}"))
        .unwrap();
    let response = block_on(layer.layer(keys().service()).oneshot(request)).unwrap();
    assert_eq!(response.status(), 201);
}

#[test]
fn a_connection_token_is_accepted_only_where_its_claims_are_compared() {
    let wrong_type = Some(RejectionKind::TypeMismatch);
    let resource = [("agent", "a"), ("room", "r1")];
    let minute = TokenIssuer::CONNECTION_LIFETIME;
    let token = issuer()
        .connection_token(&principal(&token("alice")), resource, minute)
        .unwrap();
    assert_eq!(part(&token, 0)["typ"], "connection+jwt");
    let agent = || ResourceBinding::path("/agents/{agent}").claim("agent", "agent");
    let room = || ResourceBinding::path("/agents/{agent}/{room}").claim("room", "room");
    let user = || ResourceBinding::query("userId").subject();
    let both = || builder().with_resource_binding(agents());
    for (name, layer, path, expected) in [
        ("no binding", builder(), "/agents/a/r1", wrong_type),
        ("the binding", both(), "/agents/a/r1", None),
        ("beneath", both(), "/agents/a/r1/get-messages", None),
        ("another room", both(), "/agents/a/r2", WRONG),
        ("no resource", both(), "/chat", WRONG),
        ("too few segments", both(), "/agents/a", WRONG),
        (
            "two bindings",
            builder()
                .with_resource_binding(agent())
                .with_resource_binding(room()),
            "/agents/a/r1",
            None,
        ),
        (
            "one of two claims",
            builder().with_resource_binding(agent()),
            "/agents/a/r1",
            WRONG,
        ),
        (
            "one of two claims, when present",
            builder().with_resource_binding(agent().when_present()),
            "/agents/a/r2",
            WRONG,
        ),
        (
            "another binding",
            builder().with_resource_binding(user()),
            "/agents/a/r1?userId=alice",
            WRONG,
        ),
        (
            "a layer of access tokens",
            both().with_token_type(TokenType::AccessToken),
            "/agents/a/r1",
            None,
        ),
    ] {
        let response = send(&layer.build().unwrap(), get(path, &token));
        assert_eq!(refusal(&response), expected, "{name}");
        if expected.is_none() {
            let kind = seen(&response)
                .principal
                .as_ref()
                .unwrap()
                .credential_kind();
            assert_eq!(kind, CredentialKind::ConnectionToken, "{name}");
        }
    }

    let verifier = Verifier::builder(Keys::hs256([SECRET]).unwrap())
        .build()
        .unwrap();
    let refused = verifier.verify(&token).unwrap_err();
    assert_eq!(Some(refused.kind()), wrong_type);
    // A layer has met it, and the verifier remembers it.
    let layer = JwtAuthLayer::verifier(verifier.clone()).with_resource_binding(agents());
    let layer = layer.build().unwrap();
    for _ in 0..3 {
        assert_eq!(refusal(&send(&layer, get("/agents/a/r1", &token))), None);
    }
    let without = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    assert_eq!(
        refusal(&send(&without, get("/agents/a/r1", &token))),
        wrong_type
    );
    let refused = block_on(verifier.check(&token).settled()).unwrap_err();
    assert_eq!(Some(refused.kind()), wrong_type);
    // No issuer signs other tokens of that type.
    let builder = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap());
    for token_type in ["connection+jwt", "application/Connection+JWT"] {
        assert!(builder_of(token_type).build().is_err(), "{token_type}");
    }
    assert!(builder.build().is_ok());
}

fn builder_of(token_type: &str) -> tower_warden::TokenIssuerBuilder {
    TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap()).with_token_type(token_type)
}

#[test]
fn a_connection_token_keeps_what_ties_its_source() {
    let minute = TokenIssuer::CONNECTION_LIFETIME;
    // A token of one agent, where the application asks for a room only.
    let support = minted(|mint| mint.with_claim("agent", "support"));
    let layer = lenient().build().unwrap();
    let response = send(&layer, get("/agents/support", &support));
    let source = seen(&response).principal.clone().unwrap();
    let token = issuer()
        .connection_token(&source, [("room", "r1")], minute)
        .unwrap();
    assert_eq!(claims(&token)["agent"], "support");
    assert_eq!(claims(&token)["room"], "r1");

    // A connection token of a room, where it asks for an agent only.
    let layer = builder().with_resource_binding(agents()).build().unwrap();
    let resource = [("agent", "a"), ("room", "r1")];
    let first = issuer()
        .connection_token(
            &principal(&crate::support::token("alice")),
            resource,
            minute,
        )
        .unwrap();
    let response = send(&layer, get("/agents/a/r1", &first));
    let source = seen(&response).principal.clone().unwrap();
    let second = issuer()
        .connection_token(&source, [("agent", "a")], minute)
        .unwrap();
    assert_eq!(claims(&second)["room"], "r1");
    assert_eq!(refusal(&send(&layer, get("/agents/a/r1", &second))), None);
    assert_eq!(refusal(&send(&layer, get("/agents/a/r2", &second))), WRONG);
    for other in [[("agent", "b")], [("room", "r2")]] {
        let refused = issuer().connection_token(&source, other, minute);
        assert!(matches!(refused, Err(IssueError::ResourceForeign { .. })));
    }

    // And it draws no ticket.
    let office = TicketOffice::builder(MemoryTickets::default())
        .build()
        .unwrap();
    let room = resource.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let drawn = block_on(office.mint(&source, room, &http::HeaderMap::new()));
    assert_eq!(drawn.unwrap_err().kind(), RejectionKind::Forbidden);
}
