//! A service behind an identity provider: any that publishes a discovery document.
//!
//! ```sh
//! OIDC_ISSUER_URL=https://id.example/realms/acme OIDC_AUDIENCE=https://api.example \
//!     cargo run --example oidc --features axum
//! curl -i http://127.0.0.1:8788/whoami                                        # 401, and a challenge without error code
//! curl -i http://127.0.0.1:8788/whoami -H "Authorization: Bearer $TOKEN"      # 200, the verified claims
//! curl -i http://127.0.0.1:8788/health                                        # {"keys_age":12,"ready":true}
//! ```
//!
//! Environment: `OIDC_ISSUER_URL` as the provider writes it in `iss`, `OIDC_AUDIENCE` as it writes this service in `aud`,
//! `PORT` (8788). Set `OIDC_TOKEN_TYPE=at+jwt` where the provider marks access tokens so (RFC 9068): an ID token is
//! then never taken for one.

use std::{env, error::Error, net::Ipv4Addr};

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_warden::{Claims, JwtAuthLayer, Paths, TokenType, Verifier};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let mut verifier =
        Verifier::discover(variable("OIDC_ISSUER_URL")?).with_audience(variable("OIDC_AUDIENCE")?);
    match env::var("OIDC_TOKEN_TYPE").as_deref() {
        Ok("at+jwt") => verifier = verifier.with_token_type(TokenType::AccessToken),
        Ok("") | Err(_) => {}
        Ok(other) => return Err(format!("OIDC_TOKEN_TYPE = `{other}`: only at+jwt").into()),
    }
    // It fails here, and not at the first request, if the provider does not answer as it should.
    let verifier = verifier.build().await?;
    let auth = JwtAuthLayer::verifier(verifier.clone())
        .with_paths(Paths::all().exempt("/health"))
        .build()?;

    let app = Router::new()
        .route("/whoami", get(whoami))
        .route("/health", get(async move || health(&verifier)))
        .layer(auth);
    let port = env::var("PORT").map_or(Ok(8788), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Everything that the token says, now that it is known to be true.
async fn whoami(Claims(claims): Claims<Value>) -> Json<Value> {
    Json(Value::clone(&claims))
}

/// Whether tokens can be verified, and how many seconds ago the keys were fetched.
fn health(verifier: &Verifier) -> Json<Value> {
    let keys_age = verifier.keys_age().map(|age| age.as_secs());
    Json(json!({ "ready": verifier.ready(), "keys_age": keys_age }))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}
