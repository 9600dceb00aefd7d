//! `CookieAuthLayer`: sessions of browsers, and pages that may not use them.

use http::{Method, Request, StatusCode};
use tower_warden::{CookieAuthLayer, MissingOrigin, Paths, RejectionKind};

use crate::support::{SECRET, get_with, refusal, seen, send, token, upgrade};

fn layer() -> CookieAuthLayer {
    CookieAuthLayer::hs256(SECRET)
        .unwrap()
        .with_allowed_origins(["https://app.example"])
        .with_paths(Paths::only([
            "/chat/:path*",
            "/stop/:path*",
            "/history/:path*",
            "/agents/:path*",
        ]))
        .build()
        .unwrap()
}

fn session() -> String {
    format!("jwt_token={}", token("alice").expose())
}

fn request(method: Method, headers: &[(&str, &str)]) -> Request<String> {
    let mut request = Request::builder()
        .method(method)
        .uri("/chat")
        .header("host", "api.example")
        .header("cookie", session());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(String::new()).unwrap()
}

#[test]
fn a_session_reaches_the_inner_service() {
    let response = send(&layer(), request(Method::GET, &[]));
    let principal = seen(&response).principal.as_ref().unwrap();
    assert_eq!(
        (principal.subject(), principal.source()),
        ("alice", "cookie")
    );
    assert_eq!(response.headers()["cache-control"], "private");
    assert_eq!(response.headers()["vary"], "cookie");
}

#[test]
fn only_the_listed_trees_are_guarded() {
    for path in ["/", "/login", "/auth/login", "/chatter"] {
        assert_eq!(refusal(&send(&layer(), get_with(path, []))), None, "{path}");
    }
    for path in [
        "/chat",
        "/chat/",
        "/chat/a/b",
        "/CHAT",
        "//chat",
        "/x/../chat",
        "/%63hat",
        "/stop",
        "/history/1",
        "/agents/a/r",
    ] {
        assert_eq!(
            refusal(&send(&layer(), get_with(path, []))),
            Some(RejectionKind::TokenMissing),
            "{path}"
        );
    }
}

/// Hazards 4: tossing, encoded names, broken values.
#[test]
fn cookies_are_read_raw_and_once() {
    let good = token("alice");
    let good = good.expose();
    let table = [
        (
            "none",
            String::from("theme=dark"),
            Some(RejectionKind::TokenMissing),
        ),
        (
            "empty",
            String::from("jwt_token="),
            Some(RejectionKind::TokenMissing),
        ),
        ("among others", format!("a=b; jwt_token={good}; c=d"), None),
        (
            "two of the name",
            format!("jwt_token={good}; jwt_token={good}"),
            Some(RejectionKind::CredentialsAmbiguous),
        ),
        (
            "encoded name",
            format!("jwt%5Ftoken={good}"),
            Some(RejectionKind::TokenMissing),
        ),
        (
            "other case",
            format!("JWT_TOKEN={good}"),
            Some(RejectionKind::TokenMissing),
        ),
        (
            "a name that ends alike",
            format!("xjwt_token={good}"),
            Some(RejectionKind::TokenMissing),
        ),
        (
            "broken escape",
            String::from("jwt_token=%"),
            Some(RejectionKind::TokenMalformed),
        ),
        (
            "quoted",
            format!("jwt_token=\"{good}\""),
            Some(RejectionKind::TokenMalformed),
        ),
    ];
    for (name, cookie, expected) in table {
        let request = get_with("/chat", [("cookie", cookie)]);
        assert_eq!(refusal(&send(&layer(), request)), expected, "{name}");
    }
}

/// A name, the headers of the request, and why it is refused.
type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Option<RejectionKind>,
);

/// Hazards 4: CSRF with a cookie.
#[test]
fn unsafe_methods_check_the_origin() {
    let foreign = Some(RejectionKind::OriginForeign);
    let table: [Row; 9] = [
        ("no browser", &[], None),
        (
            "own origin",
            &[
                ("origin", "https://api.example"),
                ("sec-fetch-site", "same-origin"),
            ],
            None,
        ),
        (
            "listed origin",
            &[
                ("origin", "https://app.example"),
                ("sec-fetch-site", "same-site"),
            ],
            None,
        ),
        (
            "foreign origin",
            &[("origin", "https://evil.example")],
            foreign,
        ),
        ("sandboxed page", &[("origin", "null")], foreign),
        (
            "two origins",
            &[
                ("origin", "https://app.example"),
                ("origin", "https://app.example"),
            ],
            foreign,
        ),
        (
            "listed host, other scheme",
            &[("origin", "http://app.example")],
            foreign,
        ),
        (
            "no origin, cross-site",
            &[("sec-fetch-site", "cross-site")],
            foreign,
        ),
        ("no origin, typed in", &[("sec-fetch-site", "none")], None),
    ];
    for (name, headers, expected) in table {
        let response = send(&layer(), request(Method::POST, headers));
        assert_eq!(refusal(&response), expected, "{name}");
        if expected.is_some() {
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            assert!(!response.headers().contains_key("www-authenticate"));
        }
    }
}

#[test]
fn safe_methods_are_readable_from_anywhere_that_cors_allows() {
    let response = send(
        &layer(),
        request(Method::GET, &[("origin", "https://evil.example")]),
    );
    assert_eq!(refusal(&response), None);
}

/// Hazards 5: an upgrade is a GET, and no CORS protects it.
#[test]
fn upgrades_check_the_origin() {
    let handshake = |origin: Option<&str>| {
        let mut headers = vec![("cookie", session()), ("host", String::from("api.example"))];
        headers.extend(upgrade());
        headers.extend(origin.map(|origin| ("origin", origin.to_owned())));
        get_with("/chat", headers)
    };
    assert_eq!(
        refusal(&send(&layer(), handshake(Some("https://app.example")))),
        None
    );
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let response = send(&layer(), handshake(origin));
        assert_eq!(
            refusal(&response),
            Some(RejectionKind::OriginForeign),
            "{origin:?}"
        );
    }
    let lenient = CookieAuthLayer::hs256(SECRET)
        .unwrap()
        .with_missing_origin(MissingOrigin::Allow)
        .build()
        .unwrap();
    assert_eq!(refusal(&send(&lenient, handshake(None))), None);
}

#[test]
fn a_forwarded_host_is_not_our_own() {
    let headers = [
        ("origin", "https://evil.example"),
        ("x-forwarded-host", "evil.example"),
    ];
    let response = send(&layer(), request(Method::POST, &headers));
    assert_eq!(refusal(&response), Some(RejectionKind::OriginForeign));
}

#[test]
fn the_cookie_may_have_another_name() {
    let layer = CookieAuthLayer::hs256(SECRET)
        .unwrap()
        .with_cookie_name("__Host-jwt_token")
        .build()
        .unwrap();
    let cookie = |name: &str| {
        get_with(
            "/chat",
            [("cookie", format!("{name}={}", token("alice").expose()))],
        )
    };
    assert_eq!(refusal(&send(&layer, cookie("__Host-jwt_token"))), None);
    for name in ["jwt_token", "__%48ost-jwt_token", "__host-jwt_token"] {
        assert_eq!(
            refusal(&send(&layer, cookie(name))),
            Some(RejectionKind::TokenMissing),
            "{name}"
        );
    }
}
