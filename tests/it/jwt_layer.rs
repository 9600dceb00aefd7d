//! `JwtAuthLayer`: who gets through, what the inner service finds, how the rest is answered.

use http::{Method, Request, StatusCode};
use tower::ServiceBuilder;
use tower_warden::{
    AuthorizationHeader, BearerToken, ConflictPolicy, CookieToken, JwtAuthLayer, Keys, Paths,
    Preflight, QueryParameter, Refusals, RejectionKind, StrippedHeaders, Verifier,
};

use crate::support::{SECRET, get, get_with, issuer, refusal, seen, send, token, upgrade};

fn layer() -> JwtAuthLayer {
    JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap()
}

fn bearer(token: &BearerToken<'_>) -> String {
    format!("Bearer {}", token.expose())
}

#[test]
fn a_valid_token_reaches_the_inner_service_with_its_principal() {
    let response = send(&layer(), get("/chat", &token("alice")));
    assert_eq!(response.status(), StatusCode::OK);
    let principal = seen(&response).principal.as_ref().unwrap();
    assert_eq!(principal.subject(), "alice");
    assert_eq!(principal.source(), "header");
}

#[test]
fn no_token_gets_a_bare_challenge() {
    let response = send(&layer(), get_with("/chat", []));
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer realm="api""#
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(
        response.body().contains(r#""code":"token_missing""#),
        "{}",
        response.body()
    );
}

#[test]
fn a_bad_token_is_invalid_token() {
    let forged = {
        let mut text = token("alice").expose().to_owned();
        let flipped = if text.ends_with('A') { 'B' } else { 'A' };
        text.pop();
        text.pop();
        text.push(flipped);
        text.push('A');
        text
    };
    let foreign = tower_warden::TokenIssuer::builder(
        tower_warden::SigningKey::hs256("another secret of thirty-two bytes!").unwrap(),
    )
    .build()
    .unwrap()
    .mint("alice")
    .sign()
    .unwrap();
    for text in ["garbage", "a.b.c", &forged, foreign.expose()] {
        let response = send(&layer(), get("/chat", &BearerToken::new(text)));
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{text}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(
            challenge.contains(r#"error="invalid_token""#),
            "{text}: {challenge}"
        );
        assert!(
            !response.body().contains(text),
            "the body repeats the token"
        );
    }
}

/// Hazards 3: header and query together, several lines, other schemes, empty and broken credentials.
#[test]
fn carriers_are_counted_before_one_is_chosen() {
    let good = token("alice");
    let query = format!("/chat?access_token={}", good.expose());
    let table: [(&str, Request<String>, Option<RejectionKind>); 9] = [
        (
            "another scheme",
            get_with("/chat", [("authorization", "Basic YTpi".into())]),
            Some(RejectionKind::TokenMissing),
        ),
        (
            "empty token",
            get_with("/chat", [("authorization", "Bearer ".into())]),
            Some(RejectionKind::CredentialsMalformed),
        ),
        (
            "comma list",
            get_with(
                "/chat",
                [("authorization", format!("{}, Bearer x", bearer(&good)))],
            ),
            Some(RejectionKind::CredentialsMalformed),
        ),
        (
            "scheme in lower case",
            get_with(
                "/chat",
                [("authorization", format!("bearer {}", good.expose()))],
            ),
            None,
        ),
        (
            "two lines",
            get_with(
                "/chat",
                [
                    ("authorization", bearer(&good)),
                    ("authorization", bearer(&good)),
                ],
            ),
            Some(RejectionKind::CredentialsAmbiguous),
        ),
        (
            "query on plain HTTP",
            get_with(&query, []),
            Some(RejectionKind::TokenMissing),
        ),
        (
            "header and query",
            get_with(&query, [("authorization", bearer(&good))]),
            Some(RejectionKind::CredentialsAmbiguous),
        ),
        ("query on an upgrade", get_with(&query, upgrade()), None),
        (
            "query twice on an upgrade",
            get_with(
                &format!("{query}&access_token={}", good.expose()),
                upgrade(),
            ),
            Some(RejectionKind::CredentialsAmbiguous),
        ),
    ];
    for (name, request, expected) in table {
        assert_eq!(refusal(&send(&layer(), request)), expected, "{name}");
    }
}

#[test]
fn ambiguous_credentials_are_a_bad_request() {
    let good = token("alice");
    let request = get_with(
        "/chat",
        [
            ("authorization", bearer(&good)),
            ("authorization", bearer(&good)),
        ],
    );
    let response = send(&layer(), request);
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.contains(r#"error="invalid_request""#),
        "{challenge}"
    );
}

#[test]
fn a_query_token_is_cut_out_and_the_rest_keeps_its_bytes() {
    let good = token("alice");
    let path = format!("/chat?b=%7e+x&access_token={}&a=1", good.expose());
    let response = send(&layer(), get_with(&path, upgrade()));
    assert_eq!(seen(&response).uri, "/chat?b=%7e+x&a=1");
    assert_eq!(response.headers()["cache-control"], "private");
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    assert_eq!(response.headers()["vary"], "authorization");
}

#[test]
fn a_bad_token_never_falls_back_to_a_good_one() {
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_source(CookieToken::new("jwt_token").unwrap())
        .with_conflict(ConflictPolicy::First)
        .build()
        .unwrap();
    let cookie = format!("jwt_token={}", token("alice").expose());
    for bad in ["Bearer garbage", "Bearer ", "Bearer a b"] {
        let request = get_with(
            "/chat",
            [
                ("authorization", bad.to_owned()),
                ("cookie", cookie.clone()),
            ],
        );
        assert!(refusal(&send(&layer, request)).is_some(), "{bad}");
    }
}

#[test]
fn conflict_policies() {
    let (alice, bob) = (token("alice"), token("bob"));
    let both = |first: &BearerToken<'_>, second: &BearerToken<'_>| {
        get_with(
            "/chat",
            [
                ("authorization", bearer(first)),
                ("cookie", format!("jwt_token={}", second.expose())),
            ],
        )
    };
    let ambiguous = Some(RejectionKind::CredentialsAmbiguous);
    let table = [
        (ConflictPolicy::RejectAny, ambiguous, ambiguous),
        (ConflictPolicy::RejectDifferent, None, ambiguous),
        (ConflictPolicy::First, None, None),
    ];
    for (policy, same, different) in table {
        let layer = JwtAuthLayer::hs256(SECRET)
            .unwrap()
            .with_source(CookieToken::new("jwt_token").unwrap())
            .with_conflict(policy)
            .build()
            .unwrap();
        assert_eq!(
            refusal(&send(&layer, both(&alice, &alice))),
            same,
            "{policy:?}"
        );
        let response = send(&layer, both(&alice, &bob));
        assert_eq!(refusal(&response), different, "{policy:?}");
        if different.is_none() {
            assert_eq!(
                seen(&response).principal.as_ref().unwrap().subject(),
                "alice"
            );
        }
    }
}

/// What caches are told hangs on what the token travels in, and not on what a source calls itself.
#[test]
fn a_source_of_ones_own_keeps_answers_private() {
    #[derive(Debug)]
    struct Device;

    impl tower_warden::TokenSource for Device {
        fn extract<'r>(
            &self,
            head: tower_warden::HeadRef<'r>,
        ) -> Result<Option<BearerToken<'r>>, tower_warden::MalformedCredentials> {
            let value = head
                .headers
                .get("x-device")
                .map(|value| value.to_str().unwrap());
            Ok(value.map(BearerToken::new))
        }

        fn name(&self) -> &'static str {
            "header"
        }
    }

    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_sources([Device])
        .build()
        .unwrap();
    let device = token("alice").expose().to_owned();
    let response = send(&layer, get_with("/chat", [("x-device", device)]));
    assert_eq!(response.headers()["cache-control"], "private");
    assert!(!response.headers().contains_key("referrer-policy"));
    let bearer = send(&self::layer(), get("/chat", &token("alice")));
    assert!(!bearer.headers().contains_key("cache-control"));
}

/// Cloudflare's `useAgentChat` sends header and query to one path: that path alone may be told to bear it.
#[test]
fn a_conflict_policy_may_be_for_one_path() {
    let place = "/agents/{agent}/{room}/get-messages";
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_sources([QueryParameter::new("token")
            .unwrap()
            .also_on(place)
            .unwrap()])
        .with_source(AuthorizationHeader::default())
        .with_conflict_on(place, ConflictPolicy::RejectDifferent)
        .build()
        .unwrap();
    let (alice, bob) = (token("alice"), token("bob"));
    let ambiguous = Some(RejectionKind::CredentialsAmbiguous);
    for (path, second, expected) in [
        ("/agents/a/r/get-messages", &alice, None),
        ("/agents/a/r/get-messages", &bob, ambiguous),
        ("/agents/a/r", &alice, ambiguous),
        ("/agents/a//r/get-messages", &alice, ambiguous),
        ("/x/../agents/a/r/get-messages", &alice, ambiguous),
    ] {
        let uri = format!("{path}?token={}", second.expose());
        let response = send(&layer, get_with(&uri, [("authorization", bearer(&alice))]));
        assert_eq!(refusal(&response), expected, "{path}");
        if expected.is_none() {
            assert_eq!(seen(&response).uri, path, "the token is cut out");
        }
    }
}

#[test]
fn a_source_may_have_a_verifier_of_its_own() {
    let session_secret = "the secret of our own sessions, 32+ bytes";
    let sessions = Verifier::builder(Keys::hs256([session_secret]).unwrap())
        .build()
        .unwrap();
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_verified_source(CookieToken::new("jwt_token").unwrap(), sessions)
        .build()
        .unwrap();
    let session = tower_warden::TokenIssuer::builder(
        tower_warden::SigningKey::hs256(session_secret).unwrap(),
    )
    .build()
    .unwrap()
    .mint("alice")
    .sign()
    .unwrap();
    let cookie = |text: &str| get_with("/chat", [("cookie", format!("jwt_token={text}"))]);
    assert_eq!(refusal(&send(&layer, cookie(session.expose()))), None);
    let wrong_door = Some(RejectionKind::SignatureInvalid);
    assert_eq!(
        refusal(&send(&layer, cookie(token("alice").expose()))),
        wrong_door
    );
    assert_eq!(refusal(&send(&layer, get("/chat", &session))), wrong_door);
}

#[test]
fn exempt_paths_pass_and_what_is_not_exempt_does_not() {
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().exempt("/auth/*").exempt("/health"))
        .build()
        .unwrap();
    for path in ["/health", "/auth/login", "/auth/a/b"] {
        assert_eq!(refusal(&send(&layer, get_with(path, []))), None, "{path}");
    }
    for path in [
        "/chat",
        "/auth",
        "/auth/",
        "/auth/../chat",
        "/auth/%2e%2e/chat",
        "//health",
        "/health/",
        "/HEALTH",
    ] {
        assert_eq!(
            refusal(&send(&layer, get_with(path, []))),
            Some(RejectionKind::TokenMissing),
            "{path}"
        );
    }
}

#[test]
fn protection_does_not_depend_on_the_method() {
    for method in [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::OPTIONS,
        Method::TRACE,
        Method::from_bytes(b"BREW").unwrap(),
    ] {
        let request = Request::builder()
            .method(&method)
            .uri("/chat")
            .body(String::new())
            .unwrap();
        assert_eq!(
            refusal(&send(&layer(), request)),
            Some(RejectionKind::TokenMissing),
            "{method}"
        );
    }
}

#[test]
fn an_optional_path_lets_nobody_pass_but_refuses_a_bad_token() {
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().optional("/feed"))
        .build()
        .unwrap();
    let anonymous = send(&layer, get_with("/feed", []));
    assert!(seen(&anonymous).principal.is_none());
    let known = send(&layer, get("/feed", &token("alice")));
    assert_eq!(seen(&known).principal.as_ref().unwrap().subject(), "alice");
    let bad = send(&layer, get("/feed", &BearerToken::new("garbage")));
    assert_eq!(refusal(&bad), Some(RejectionKind::TokenMalformed));
}

#[test]
fn hazard_a_stale_principal_is_no_answer_where_the_token_is_optional() {
    let session = token("bob");
    let outer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_source(CookieToken::new("session").unwrap())
        .with_allowed_origins(["https://app.example"])
        .with_conflict(ConflictPolicy::First)
        .build()
        .unwrap();
    let inner = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().optional("/feed").exempt("/open"))
        .with_preflight(Preflight::PassThrough)
        .build()
        .unwrap();
    let found = |path: &str, method: Method, bearer: Option<&BearerToken<'_>>| {
        let mut request = get_with(path, [("cookie", format!("session={}", session.expose()))]);
        *request.method_mut() = method;
        let headers = request.headers_mut();
        headers.insert("origin", "https://app.example".parse().unwrap());
        headers.insert("access-control-request-method", "GET".parse().unwrap());
        if let Some(token) = bearer {
            let value = format!("Bearer {}", token.expose());
            headers.insert("authorization", value.parse().unwrap());
        }
        let both = ServiceBuilder::new().layer(&outer).layer(&inner);
        let response = send(&both, request);
        let principal = seen(&response).principal.as_ref();
        principal.map(|principal| principal.subject().to_owned())
    };
    let alice = token("alice");
    // The session was good for the layer outside; the one inside looks at the header only, and nobody is there.
    assert_eq!(found("/feed", Method::GET, None), None);
    assert_eq!(found("/chat", Method::OPTIONS, None), None);
    assert_eq!(
        found("/feed", Method::GET, Some(&alice)).as_deref(),
        Some("alice")
    );
    // An exempt path is none of its business: it has nothing to say about who asks.
    assert_eq!(found("/open", Method::GET, None).as_deref(), Some("bob"));
}

#[test]
fn identity_headers_from_outside_never_arrive() {
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_stripped_headers(StrippedHeaders::identity())
        .with_paths(Paths::all().exempt("/health"))
        .build()
        .unwrap();
    for path in ["/chat", "/health"] {
        let mut request = get(path, &token("alice"));
        for name in [
            "x-user-id",
            "x-agents-lifecycle-props",
            "x-partykit-props",
            "x-forwarded-for",
        ] {
            request
                .headers_mut()
                .insert(name, "mallory".parse().unwrap());
        }
        let response = send(&layer, request);
        let headers = &seen(&response).headers;
        assert!(headers.contains_key("x-forwarded-for"), "{path}");
        for name in ["x-user-id", "x-agents-lifecycle-props", "x-partykit-props"] {
            assert!(!headers.contains_key(name), "{path}: {name}");
        }
    }
}

#[test]
fn no_header_of_the_client_skips_the_check() {
    for name in [
        "x-middleware-subrequest",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-uri",
        "x-http-method-override",
    ] {
        let response = send(&layer(), get_with("/chat", [(name, "/health".to_owned())]));
        assert_eq!(
            refusal(&response),
            Some(RejectionKind::TokenMissing),
            "{name}"
        );
    }
}

#[test]
fn the_body_passes_untouched() {
    let mut request = get("/chat", &token("alice"));
    *request.body_mut() = String::from("as it is");
    assert_eq!(send(&layer(), request).body(), "as it is");
}

#[test]
fn refusals_speak_as_configured() {
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_refusals(Refusals::edgeone().with_realm("chat"))
        .build()
        .unwrap();
    let response = send(&layer, get_with("/chat", []));
    assert_eq!(
        response.body(),
        r#"{"error":"unauthorized","reason":"no auth cookie"}"#
    );
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer realm="chat""#
    );
}

#[test]
fn sources_can_be_replaced() {
    let layer = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_sources([QueryParameter::new("token").unwrap().everywhere()])
        .build()
        .unwrap();
    let good = token("alice");
    let response = send(
        &layer,
        get_with(&format!("/chat?token={}", good.expose()), []),
    );
    assert_eq!(seen(&response).uri, "/chat");
    assert_eq!(
        refusal(&send(&layer, get("/chat", &good))),
        Some(RejectionKind::TokenMissing)
    );
    let header_only = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_sources([AuthorizationHeader::default()])
        .build()
        .unwrap();
    let query = format!("/chat?access_token={}", good.expose());
    assert_eq!(
        refusal(&send(&header_only, get_with(&query, upgrade()))),
        Some(RejectionKind::TokenMissing)
    );
}

#[test]
fn a_secret_can_be_rotated_while_the_layer_serves() {
    let verifier = Verifier::builder(Keys::hs256([SECRET]).unwrap())
        .build()
        .unwrap();
    let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    let old = token("alice");
    assert_eq!(refusal(&send(&layer, get("/chat", &old))), None);
    let next = "the next secret, of thirty-two bytes or so";
    verifier
        .reload(Keys::hs256([next, SECRET]).unwrap())
        .unwrap();
    assert_eq!(refusal(&send(&layer, get("/chat", &old))), None);
    verifier.reload(Keys::hs256([next]).unwrap()).unwrap();
    assert_eq!(
        refusal(&send(&layer, get("/chat", &old))),
        Some(RejectionKind::SignatureInvalid)
    );
}

#[test]
fn a_token_minted_by_the_layers_own_issuer_carries_what_it_was_given() {
    let token = issuer()
        .mint("alice")
        .with_scopes(["chat:read", "chat:write"])
        .sign()
        .unwrap();
    let response = send(&layer(), get("/chat", &token));
    let principal = seen(&response).principal.clone().unwrap();
    assert!(principal.has_scope("chat:read") && !principal.has_scope("chat"));
    assert_eq!(
        principal.scopes().collect::<Vec<_>>(),
        ["chat:read", "chat:write"]
    );
    assert!(principal.token_id().is_some_and(|id| !id.is_empty()));
}
