//! The gate as the environment describes it, and the errors of a bad one.
//!
//! ```sh
//! cargo run --example from_env --features axum                        # JWT_SECRET is not set
//! JWT_SECRET=short cargo run --example from_env --features axum       # a secret needs at least 32 bytes
//! JWT_SECRET=0123456789abcdef0123456789abcdef JWT_AUDIENCE=orders cargo run --example from_env --features axum
//! curl -i http://127.0.0.1:8790/whoami                                # 401
//! ```

use std::{error::Error, net::Ipv4Addr};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tower_warden::{JwtAuthLayer, Principal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route(
            "/whoami",
            get(async |principal: Principal| principal.subject().to_owned()),
        )
        .layer(JwtAuthLayer::from_env()?.build().await?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 8790)).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
