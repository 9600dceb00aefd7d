//! A plain hyper service behind the gate, without a framework.
//!
//! ```sh
//! JWT_SECRET=0123456789abcdef0123456789abcdef cargo run --example hyper_service
//! curl -i http://127.0.0.1:8789/                                      # 401, a bare challenge
//! curl -i http://127.0.0.1:8789/ -H "Authorization: Bearer $TOKEN"    # 200, or 401 invalid_token
//! ```

use std::{convert::Infallible, error::Error, net::Ipv4Addr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_warden::{JwtAuthLayer, Principal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = ServiceBuilder::new()
        .layer(JwtAuthLayer::from_env()?.build().await?)
        .service(service_fn(greet));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 8789)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("connection ended: {error}");
            }
        });
    }
}

async fn greet(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let subject = request
        .extensions()
        .get::<Principal>()
        .map_or("nobody", Principal::subject);
    Ok(Response::new(Full::from(format!("hello {subject}\n"))))
}
