//! Where a CORS layer belongs: outside the gate, so that a page of another origin can read a refusal.

use http::{Request, Response, header};
use tower::{Layer, ServiceBuilder, ServiceExt};
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
    // The layer is there to show that nothing else of it is needed.
    let _ = open.layer(Inner::default());
}
