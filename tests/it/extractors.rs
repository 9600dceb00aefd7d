//! axum: what a handler may ask for, and what happens where a layer is missing.

use axum::{Router, body::Body, http::Request, routing::get};
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;
use tower_warden::{Claims, Credentials, JwtAuthLayer, Paths, Principal};

use crate::support::{SECRET, issuer, token};

#[derive(Deserialize)]
struct User {
    username: String,
}

fn app() -> Router {
    let auth = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().optional("/feed").exempt("/open/*"))
        .build()
        .unwrap();
    let name = async |principal: Option<Principal>| {
        principal.map_or(String::from("nobody"), |principal| {
            principal.subject().to_owned()
        })
    };
    Router::new()
        .route(
            "/who",
            get(async |principal: Principal| principal.subject().to_owned()),
        )
        .route(
            "/user",
            get(async |Claims(user): Claims<User>| user.username.clone()),
        )
        .route("/feed", get(name))
        .route("/open/feed", get(name))
        .route(
            "/open/who",
            get(async |principal: Principal| principal.subject().to_owned()),
        )
        .route(
            "/credentials",
            get(async |credentials: Credentials| {
                let id_token = credentials
                    .unverified_id_token()
                    .map(|token| token.expose().to_owned());
                format!("{} {id_token:?}", credentials.access_token().expose())
            }),
        )
        .layer(auth)
}

async fn answer(app: Router, request: http::request::Builder) -> (u16, String) {
    let response = app
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn with_token(path: &str) -> http::request::Builder {
    let token = issuer()
        .mint("alice")
        .with_claim("username", "Alice")
        .sign()
        .unwrap();
    Request::get(path).header("authorization", format!("Bearer {}", token.expose()))
}

#[tokio::test]
async fn principal_and_claims() {
    assert_eq!(
        answer(app(), with_token("/who")).await,
        (200, "alice".into())
    );
    assert_eq!(
        answer(app(), with_token("/user")).await,
        (200, "Alice".into())
    );
    assert_eq!(answer(app(), Request::get("/who")).await.0, 401);
}

#[tokio::test]
async fn claims_of_another_shape_are_an_invalid_token() {
    let request = Request::get("/user").header(
        "authorization",
        format!("Bearer {}", token("alice").expose()),
    );
    let (status, body) = answer(app(), request).await;
    assert_eq!(status, 401);
    assert!(body.contains("claim_invalid"), "{body}");
}

#[tokio::test]
async fn nobody_is_an_answer_on_an_optional_path_only() {
    assert_eq!(
        answer(app(), Request::get("/feed")).await,
        (200, "nobody".into())
    );
    assert_eq!(
        answer(app(), with_token("/feed")).await,
        (200, "alice".into())
    );
    // An exempt path never has a principal: asking for one is a mistake, and is told as one.
    assert_eq!(answer(app(), with_token("/open/feed")).await.0, 500);
    assert_eq!(answer(app(), with_token("/open/who")).await.0, 500);
}

#[tokio::test]
async fn a_missing_layer_is_our_fault_and_the_log_says_which() {
    let app = Router::new().route("/who", get(async |_: Principal| "never"));
    let (log, answered) = crate::silence::capture(answer(app, with_token("/who"))).await;
    assert_eq!(answered.0, 500);
    assert!(log.contains("JwtAuthLayer or CookieAuthLayer"), "{log}");
    assert!(
        !answered.1.contains("Layer"),
        "the client learns nothing of it"
    );
}

#[tokio::test]
async fn credentials_hold_what_came_along() {
    let request = with_token("/credentials").header("x-id-token", "an-id-token");
    let (status, body) = answer(app(), request).await;
    assert_eq!(status, 200);
    assert!(
        body.starts_with("eyJ") && body.ends_with(r#"Some("an-id-token")"#),
        "{body}"
    );
}

/// Hazards 6: nested routers strip the prefix, so the layer judges both paths, and the stricter decision counts.
#[tokio::test]
async fn a_nested_layer_judges_the_whole_path_and_the_routed_one() {
    let app = |paths: Paths| {
        let auth = JwtAuthLayer::hs256(SECRET).unwrap().with_paths(paths);
        let api = Router::new()
            .route("/open", get(async || "open"))
            .route("/chat", get(async || "chat"))
            .layer(auth.build().unwrap());
        Router::new().nest("/api", api)
    };
    let both = Paths::all().exempt("/api/open").exempt("/open");
    for (paths, path, expected) in [
        (both.clone().exempt("/chat"), "/api/open", 200),
        (both.exempt("/chat"), "/api/chat", 401),
        (Paths::all().exempt("/api/open"), "/api/open", 401),
        (Paths::only(["/chat/:path*"]), "/api/chat", 401),
        (Paths::only(["/api/chat"]), "/api/chat", 401),
        (Paths::only(["/chat/:path*"]), "/api/open", 200),
    ] {
        let (status, body) = answer(app(paths), Request::get(path)).await;
        assert_eq!(status, expected, "{path}");
        assert!(
            expected == 200 || !["open", "chat"].contains(&&*body),
            "{body}"
        );
    }
}

/// An outer router keeps the path that the client asked for, and a rewrite behind it leads elsewhere.
#[tokio::test]
async fn a_rewrite_behind_an_outer_router_opens_nothing() {
    let auth = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().exempt("/public/*"))
        .build()
        .unwrap();
    let inner = Router::new()
        .route("/admin", get(async || "admin"))
        .layer(auth);
    let rewrite = tower::util::MapRequestLayer::new(|mut request: Request<axum::body::Body>| {
        *request.uri_mut() = "/admin".parse().unwrap();
        request
    });
    let inner = tower::Layer::layer(&rewrite, inner);
    let app = Router::new().fallback_service(inner);
    assert_eq!(answer(app, Request::get("/public/x")).await.0, 401);
}

/// Hazards 6: the fallback and the wrong method are covered too.
#[tokio::test]
async fn unknown_paths_and_methods_are_guarded() {
    assert_eq!(answer(app(), Request::get("/nowhere")).await.0, 401);
    assert_eq!(answer(app(), Request::post("/who")).await.0, 401);
    assert_eq!(answer(app(), with_token("/nowhere")).await.0, 404);
}

/// A query token is gone from `OriginalUri` as well.
#[tokio::test]
async fn the_original_uri_does_not_hold_the_token() {
    use axum::extract::OriginalUri;
    let auth = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let app = Router::new()
        .route(
            "/live",
            get(async |OriginalUri(uri): OriginalUri| uri.to_string()),
        )
        .layer(auth);
    let mut request = Request::get(format!(
        "/live?a=1&access_token={}",
        token("alice").expose()
    ));
    for (name, value) in crate::support::upgrade() {
        request = request.header(name, value);
    }
    assert_eq!(answer(app, request).await, (200, "/live?a=1".into()));
}
