//! Where a CORS layer belongs: outside the gate, so that a page of another origin can read a refusal.

use http::{Request, Response, header};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::cors::CorsLayer;
use tower_warden::{JwtAuthLayer, Preflight, RejectionKind};

use crate::support::{Inner, SECRET, refusal, send};

const PAGE: &str = "https://app.example";

fn preflight() -> Request<String> {
    Request::options("/chat")
        .header("origin", PAGE)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
        .body(String::new())
        .unwrap()
}

async fn through_cors(request: Request<String>) -> Response<String> {
    let cors = CorsLayer::new()
        .allow_origin([PAGE.parse().unwrap()])
        .allow_headers([header::AUTHORIZATION])
        .expose_headers([header::WWW_AUTHENTICATE]);
    let service = ServiceBuilder::new()
        .layer(cors)
        .layer(JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap())
        .service(Inner::default());
    service.oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_page_of_another_origin_can_read_the_refusal() {
    let request = Request::post("/chat")
        .header("origin", PAGE)
        .body(String::new())
        .unwrap();
    let response = through_cors(request).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    assert_eq!(
        response.headers()["access-control-expose-headers"],
        "www-authenticate"
    );
    assert!(response.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn the_cors_layer_answers_the_preflight() {
    let response = through_cors(preflight()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["access-control-allow-headers"],
        "authorization"
    );
}

#[test]
fn only_true_preflights_pass_and_only_when_asked() {
    let guarded = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    assert_eq!(
        refusal(&send(&guarded, preflight())),
        Some(RejectionKind::TokenMissing)
    );
    let open = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_preflight(Preflight::PassThrough)
        .build()
        .unwrap();
    assert_eq!(refusal(&send(&open, preflight())), None);
    for missing in ["origin", "access-control-request-method"] {
        let mut request = preflight();
        request.headers_mut().remove(missing);
        assert_eq!(
            refusal(&send(&open, request)),
            Some(RejectionKind::TokenMissing),
            "{missing}"
        );
    }
    let mut request = preflight();
    *request.method_mut() = http::Method::POST;
    assert_eq!(
        refusal(&send(&open, request)),
        Some(RejectionKind::TokenMissing)
    );
}

/// A handler that asks who is there answers a preflight with 401, not with a fault of ours.
#[cfg(feature = "axum")]
#[tokio::test]
async fn a_preflight_that_passes_has_no_principal() {
    let open = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_preflight(Preflight::PassThrough)
        .with_stripped_headers(tower_warden::StrippedHeaders::identity())
        .build()
        .unwrap();
    let who = async |headers: http::HeaderMap, principal: Option<tower_warden::Principal>| {
        format!(
            "{} {}",
            principal.is_some(),
            headers.contains_key("x-user-id")
        )
    };
    let strict = async |principal: tower_warden::Principal| principal.subject().to_owned();
    let app = axum::Router::new()
        .route("/chat", axum::routing::any(who))
        .route("/strict", axum::routing::any(strict))
        .layer(open);
    for (path, status, body) in [
        ("/chat", 200, "false false"),
        ("/strict", 401, "token_missing"),
    ] {
        let mut request = preflight();
        *request.uri_mut() = path.parse().unwrap();
        request
            .headers_mut()
            .insert("x-user-id", "mallory".parse().unwrap());
        let response = app
            .clone()
            .oneshot(request.map(axum::body::Body::from))
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{path}");
        let bytes = http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap()
            .to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains(body), "{path}: {text}");
    }
}
