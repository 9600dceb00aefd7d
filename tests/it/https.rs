//! `with_required_https`: what comes over plain http goes no further.

use std::net::SocketAddr;

use http::{Method, Request};
use tower_warden::{AuthLayerBuilder, Bearer, ConfigError, JwtAuthLayer, Paths, RejectionKind};

use crate::{
    log_lines::LogLines,
    support::{SECRET, refusal, seen, send, token, upgrade},
};

const PROXY: &str = "10.0.0.7:4711";
const CLIENT: &str = "203.0.113.5:4711";

fn builder() -> AuthLayerBuilder<Bearer> {
    JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().exempt("/health"))
        .with_trusted_proxies(["10.0.0.0/8"])
}

fn request(
    peer: Option<&str>,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
) -> Request<String> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "app.example")
        .header(
            "authorization",
            format!("Bearer {}", token("alice").expose()),
        );
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(peer) = peer {
        request = request.extension(peer.parse::<SocketAddr>().unwrap());
    }
    request.body(String::new()).unwrap()
}

/// `send` of the support proves that the inner service is not called where a request is refused.
#[test]
fn plain_http_is_refused_beyond_loopback() {
    let layer = builder().with_required_https().build().unwrap();
    let plain = Some(RejectionKind::HttpsRequired);
    for (peer, headers, expected) in [
        (PROXY, &[("x-forwarded-proto", "https")][..], None),
        (PROXY, &[("x-forwarded-proto", "HTTPS")], None),
        (PROXY, &[("x-forwarded-proto", "https, https")], None),
        (PROXY, &[("x-forwarded-proto", "wss")], None),
        (PROXY, &[("forwarded", "for=203.0.113.5;proto=https")], None),
        (
            PROXY,
            &[(
                "forwarded",
                "for=\"[2001:db8::1]:1\"; Proto=\"https\", for=10.0.0.8",
            )],
            None,
        ),
        (
            "[::ffff:10.0.0.7]:1",
            &[("x-forwarded-proto", "https")],
            None,
        ),
        (PROXY, &[], plain),
        (PROXY, &[("x-forwarded-proto", "http")], plain),
        (PROXY, &[("x-forwarded-proto", "")], plain),
        (PROXY, &[("x-forwarded-proto", "https, http")], plain),
        (
            PROXY,
            &[
                ("x-forwarded-proto", "http"),
                ("x-forwarded-proto", "https"),
            ],
            plain,
        ),
        (PROXY, &[("forwarded", "proto=http")], plain),
        (PROXY, &[("forwarded", "for=203.0.113.5")], plain),
        (PROXY, &[("forwarded", "for=\"a;proto=https\"")], plain),
        (
            PROXY,
            &[("forwarded", "proto=http"), ("x-forwarded-proto", "https")],
            plain,
        ),
        // A client says what it likes.
        (CLIENT, &[("x-forwarded-proto", "https")], plain),
        (CLIENT, &[("forwarded", "proto=https")], plain),
        (CLIENT, &[], plain),
        // Clients on this machine.
        ("127.0.0.1:4711", &[], None),
        ("[::1]:4711", &[], None),
        // A proxy on this machine that is not trusted: its clients are not on this machine.
        ("127.0.0.1:4711", &[("x-forwarded-proto", "https")], plain),
        (
            "127.0.0.1:4711",
            &[("x-forwarded-for", "203.0.113.5")],
            plain,
        ),
        ("127.0.0.1:4711", &[("forwarded", "for=203.0.113.5")], plain),
    ] {
        for (method, target) in [
            (Method::GET, "/chat"),
            (Method::POST, "/chat"),
            (Method::GET, "/health"),
        ] {
            let response = send(&layer, request(Some(peer), method, target, headers));
            assert_eq!(refusal(&response), expected, "{peer} {target} {headers:?}");
            if expected.is_some() {
                assert_eq!(response.status(), 403);
                assert_eq!(response.headers()["cache-control"], "no-store");
            }
        }
    }
}

#[test]
fn plain_http_is_refused_before_a_token_is_looked_for() {
    let builder = builder().with_required_https();
    #[cfg(feature = "ws")]
    let builder = builder.with_websocket_refusal(tower_warden::WebSocketRefusal::mixin());
    let layer = builder.build().unwrap();
    for headers in [&[("authorization", "Basic x")][..], &[("cookie", "=;")]] {
        let refused = send(&layer, request(Some(CLIENT), Method::GET, "/chat", headers));
        assert_eq!(
            refusal(&refused),
            Some(RejectionKind::HttpsRequired),
            "two header lines are 400"
        );
    }
    // A handshake is refused by its status, whatever the preset: its tokens are not taken out yet.
    let mut handshake = request(Some(CLIENT), Method::GET, "/chat", &[]);
    for (name, value) in upgrade() {
        handshake.headers_mut().append(name, value.parse().unwrap());
    }
    assert_eq!(send(&layer, handshake).status(), 403);
}

#[test]
fn a_proxy_on_this_machine_speaks_for_its_clients() {
    let layer = builder()
        .with_trusted_proxies(["127.0.0.1"])
        .with_required_https()
        .build()
        .unwrap();
    for (headers, expected) in [
        (&[("x-forwarded-proto", "https")][..], None),
        (
            &[("x-forwarded-proto", "http")],
            Some(RejectionKind::HttpsRequired),
        ),
        (&[], Some(RejectionKind::HttpsRequired)),
    ] {
        let response = send(
            &layer,
            request(Some("127.0.0.1:1"), Method::GET, "/chat", headers),
        );
        assert_eq!(refusal(&response), expected, "{headers:?}");
    }
}

#[test]
fn an_unknown_peer_is_our_mistake() {
    let layer = builder().with_required_https().build().unwrap();
    let log = LogLines::capture();
    let response = send(
        &layer,
        request(
            None,
            Method::GET,
            "/chat",
            &[("x-forwarded-proto", "https")],
        ),
    );
    assert_eq!(refusal(&response), Some(RejectionKind::Misconfigured));
    assert!(log.take().contains("with_client_address"));
}

#[test]
fn a_get_is_sent_to_the_public_origin() {
    let layer = builder()
        .with_https_redirect()
        .with_public_origin("https://app.example:8443")
        .build()
        .unwrap();
    for (target, location) in [
        ("/chat?a=%7e", "https://app.example:8443/chat?a=%7e"),
        ("/health", "https://app.example:8443/health"),
        (
            "//evil.example/x",
            "https://app.example:8443//evil.example/x",
        ),
        ("http://evil.example/x", "https://app.example:8443/x"),
    ] {
        let response = send(&layer, request(Some(CLIENT), Method::GET, target, &[]));
        assert_eq!(response.status(), 308, "{target}");
        assert_eq!(response.headers()["location"], location);
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    for method in [Method::POST, Method::HEAD, Method::OPTIONS, Method::CONNECT] {
        let response = send(&layer, request(Some(CLIENT), method.clone(), "/chat", &[]));
        assert_eq!(response.status(), 403, "{method}");
    }
    let mut handshake = request(Some(CLIENT), Method::GET, "/chat", &[]);
    for (name, value) in upgrade() {
        handshake.headers_mut().append(name, value.parse().unwrap());
    }
    assert_eq!(send(&layer, handshake).status(), 403);
    let https = request(
        Some(PROXY),
        Method::GET,
        "/chat",
        &[("x-forwarded-proto", "https")],
    );
    assert!(seen(&send(&layer, https)).principal.is_some());
}

#[test]
fn a_redirect_without_a_public_origin_fails_at_build() {
    let error = builder().with_https_redirect().build().unwrap_err();
    assert!(
        matches!(
            error,
            ConfigError::Missing {
                name: "with_public_origin",
                ..
            }
        ),
        "{error}"
    );
    for origin in [
        "",
        "http://app.example",
        "https://app.example/",
        "app.example",
    ] {
        let error = builder()
            .with_https_redirect()
            .with_public_origin(origin)
            .build()
            .unwrap_err();
        assert!(
            error.to_string().contains(&format!("`{origin}`")),
            "{error}"
        );
    }
    for proxy in ["0.0.0.0/0", "proxy.example"] {
        let error = builder().with_trusted_proxies([proxy]).build().unwrap_err();
        assert!(error.to_string().contains(&format!("`{proxy}`")), "{error}");
    }
}
