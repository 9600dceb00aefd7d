//! Bad configuration fails at `build()`, naming the value and the way out.

use std::time::Duration;

use tower_warden::{
    ConfigError, CookieAuthLayer, CookieToken, JwtAuthLayer, Keys, Paths, RequireScopeLayer, Rule,
    Verifier,
};

use crate::support::SECRET;

fn jwt() -> tower_warden::AuthLayerBuilder<tower_warden::Bearer> {
    JwtAuthLayer::hs256(SECRET).unwrap()
}

fn message<T>(result: Result<T, ConfigError>) -> String {
    match result {
        Ok(_) => String::from("it was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_error_names_the_offending_value() {
    let verifier = Verifier::builder(Keys::hs256([SECRET]).unwrap())
        .build()
        .unwrap();
    let no_source: [CookieToken; 0] = [];
    let table = [
        (message(JwtAuthLayer::hs256("short")), "has 5"),
        (message(JwtAuthLayer::hs256("")), "has 0"),
        (
            message(JwtAuthLayer::hs256("  -----BEGIN PUBLIC KEY-----\nMIIB…")),
            "PEM",
        ),
        (
            message(jwt().with_leeway(Duration::from_secs(301)).build()),
            "301",
        ),
        (message(jwt().with_issuer("").build()), "issuer"),
        (message(jwt().with_audience("").build()), "audience"),
        (
            message(jwt().with_paths(Paths::all().exempt("auth")).build()),
            "auth",
        ),
        (
            message(jwt().with_paths(Paths::all().exempt("/**")).build()),
            "/**",
        ),
        (
            message(
                jwt()
                    .with_paths(Paths::all().rule(Rule::required("/x").on([http::Method::GET])))
                    .build(),
            ),
            "/x",
        ),
        (
            message(jwt().with_allowed_origins(["https://app.example/"]).build()),
            "https://app.example/",
        ),
        (message(jwt().with_allowed_origins(["*"]).build()), "= `*`"),
        (
            message(jwt().with_sources(no_source).build()),
            "with_sources",
        ),
        (
            message(
                jwt()
                    .with_refusals(tower_warden::Refusals::problem().with_realm("a\nb"))
                    .build(),
            ),
            "a\\nb",
        ),
        (
            message(JwtAuthLayer::verifier(verifier).with_issuer("x").build()),
            "with_issuer",
        ),
        (
            message(
                CookieAuthLayer::hs256(SECRET)
                    .unwrap()
                    .with_cookie_name("a b")
                    .build(),
            ),
            "a b",
        ),
        (
            message(RequireScopeLayer::all(Vec::<String>::new())),
            "scope",
        ),
        (message(RequireScopeLayer::any(["a\"b"])), "a\\\"b"),
    ];
    for (text, value) in table {
        assert!(text.contains(value), "`{value}` is not named in: {text}");
        assert!(!text.contains(SECRET), "{text}");
        assert!(
            text.starts_with(|first: char| !first.is_uppercase()) && !text.ends_with('.'),
            "{text}"
        );
    }
}

#[test]
fn two_sources_of_one_place_are_refused() {
    use tower_warden::{
        ApiKeyHeader, ApiKeys, AuthorizationHeader, MemoryApiKeyStore, MemoryTickets,
        QueryParameter, SubprotocolToken, TicketOffice,
    };
    let keys = || ApiKeys::new(MemoryApiKeyStore::new(), SECRET).unwrap();
    let verifier = || {
        let keys = Keys::hs256(["another secret of thirty-two bytes!"]).unwrap();
        Verifier::builder(keys).build().unwrap()
    };
    let cookie = || CookieToken::new("jwt_token").unwrap();
    for (built, place) in [
        (
            jwt().with_source(AuthorizationHeader::new()).build(),
            "header authorization",
        ),
        (
            jwt()
                .with_verified_source(AuthorizationHeader::new().removed(), verifier())
                .build(),
            "header authorization",
        ),
        (
            jwt()
                .with_api_keys_in(AuthorizationHeader::new(), keys())
                .build(),
            "header authorization",
        ),
        (
            jwt()
                .with_source(QueryParameter::named(["token", "access_token"]).unwrap())
                .build(),
            "query access_token",
        ),
        (
            jwt()
                .with_source(SubprotocolToken::new("BEARER").unwrap())
                .build(),
            "subprotocol bearer",
        ),
        (
            jwt().with_source(cookie()).with_source(cookie()).build(),
            "cookie jwt_token",
        ),
        (
            jwt()
                .with_api_keys(keys())
                .with_api_keys_in(ApiKeyHeader::named("X-Api-Key").unwrap(), keys())
                .build(),
            "header x-api-key",
        ),
        (
            jwt()
                .with_source(QueryParameter::new("ticket").unwrap())
                .with_tickets(
                    TicketOffice::builder(MemoryTickets::default())
                        .build()
                        .unwrap(),
                )
                .build(),
            "query ticket",
        ),
    ] {
        let text = message(built);
        assert!(text.contains(&format!("`{place}`")), "{place}: {text}");
    }
    // Different places, names and case are different sources.
    let built = jwt()
        .with_source(cookie())
        .with_source(CookieToken::new("JWT_TOKEN").unwrap())
        .with_source(QueryParameter::new("token").unwrap())
        .with_source(SubprotocolToken::new("token").unwrap())
        .with_api_keys(keys())
        .build();
    assert!(built.is_ok());
}

#[test]
fn the_defaults_build() {
    assert!(jwt().build().is_ok());
    assert!(CookieAuthLayer::hs256(SECRET).unwrap().build().is_ok());
}
