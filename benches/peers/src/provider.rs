//! An identity provider on loopback, for the peers that take their keys from nowhere else.

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::case::Case;

/// Where the provider listens, such as `http://127.0.0.1:40123`; it has one realm for each algorithm.
pub(crate) struct Provider(String);

impl Provider {
    pub(crate) fn url(&self) -> &str {
        &self.0
    }

    /// Where the key of this case is published.
    pub(crate) fn keys(&self, case: &Case) -> String {
        format!("{}/realms/{}/certs", self.0, case.realm())
    }
}

/// Starts the provider; it ends with its runtime.
pub(crate) async fn serve(cases: &[Case]) -> Provider {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider = Provider(format!("http://{}", listener.local_addr().unwrap()));
    let mut router = Router::new();
    for case in cases {
        let keys: Value = serde_json::from_str(&case.jwk_set).unwrap();
        let path = format!("/realms/{}", case.realm());
        let document = json!({
            "issuer": format!("{}{path}", provider.url()),
            "authorization_endpoint": format!("{}{path}/auth", provider.url()),
            "jwks_uri": provider.keys(case),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [case.realm()],
        });
        router = router
            .route(
                &format!("{path}/.well-known/openid-configuration"),
                get(async move || Json(document)),
            )
            .route(&format!("{path}/certs"), get(async move || Json(keys)));
    }
    tokio::spawn(async move { axum::serve(listener, router).await });
    provider
}
