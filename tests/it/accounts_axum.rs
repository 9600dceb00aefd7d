//! Accounts as routes of axum, over a real socket.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use serde_json::json;
use tower_warden::{MemoryAccountStore, Principal, testing::ManualClock};

use crate::accounts_support::{NOW, PASSWORD, builder};

/// The address of the connection reaches the limits; the gate stands beside the routes; `nest` keeps their paths.
#[tokio::test]
async fn the_whole_of_it_over_a_socket() {
    let clock = ManualClock::at(NOW);
    for (base, nested) in [("/auth", false), ("/api/auth", true)] {
        let accounts = builder(MemoryAccountStore::new(), &clock)
            .with_public_origin("http://127.0.0.1")
            .with_base_path(base)
            .with_address_limit(4, std::time::Duration::from_secs(60))
            .build()
            .unwrap();
        let gate = accounts.auth_layer().build().unwrap();
        let chat = Router::new()
            .route(
                "/chat",
                get(async |principal: Principal| principal.subject().to_owned()),
            )
            .layer(gate);
        let routes: Router = match nested {
            false => accounts.router(),
            true => Router::new().nest_service("/api", accounts.service()),
        };
        let app = chat.merge(routes);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, app).await.unwrap();
        });
        let client = reqwest::Client::new();
        let url = |path: &str| format!("http://{address}{path}");
        let body = json!({ "username": "alice", "password": PASSWORD }).to_string();
        let post = |path: &str| {
            client
                .post(url(path))
                .header("content-type", "application/json")
                .body(body.clone())
        };
        let response = post(&format!("{base}/register")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert!(
            cookies[1]
                .to_str()
                .unwrap()
                .contains(&format!("; Path={base};"))
        );
        let cookie = cookies[0].to_str().unwrap().split(';').next().unwrap();
        let chat = client.get(url("/chat")).header("cookie", cookie);
        let response = chat.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.text().await.unwrap().len(), 36);
        assert_eq!(client.get(url("/chat")).send().await.unwrap().status(), 401);
        for status in [200, 200, 200, 429] {
            let response = post(&format!("{base}/login")).send().await.unwrap();
            assert_eq!(response.status(), status);
        }
        serving.abort();
    }
}

/// Without the address of the connection nobody is let try passwords, and the log says what to do.
#[tokio::test]
async fn a_server_that_tells_no_address_is_told_so() {
    use http_body_util::Full;
    use tower::ServiceExt;

    let accounts = builder(MemoryAccountStore::new(), &ManualClock::at(NOW))
        .build()
        .unwrap();
    let request = http::Request::post("/auth/login")
        .header("content-type", "application/json")
        .body(Full::<bytes::Bytes>::from(
            r#"{"username":"alice","password":"x"}"#,
        ))
        .unwrap();
    let (log, response) = crate::silence::capture(accounts.service().oneshot(request)).await;
    assert_eq!(response.unwrap().status(), 500);
    assert!(log.contains("into_make_service_with_connect_info"), "{log}");
    assert_eq!(accounts.password_operations(), 0);
}
