//! The server: the room of `agent_chat` without its stores, behind the layer or without it.
//!
//! | gate | its layer |
//! | --- | --- |
//! | `open` | none; all else is the same |
//! | `hs256`, `rs256` | one key, and the defaults |
//! | `hs256-first`, `rs256-first` | the same, and every token is a new one to it |

use std::net::Ipv4Addr;

use axum::{
    Json, Router,
    extract::{Path, WebSocketUpgrade, ws::Message},
    response::Response,
    routing::{any, get},
};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_warden::{CacheConfig, JwtAuthLayer, Lease, Paths, Principal, RenewalMessages};

use crate::tokens::{self, AUDIENCE, ISSUER, SUBJECT};

/// What a socket reads into: axum's 128 KiB are filled with zeros at its first read, and hide all else that it takes.
const READ_BUFFER: usize = 4 * 1024;

type Room = Path<(String, String)>;

/// Serves on a free port, which it prints, until it is killed.
pub(crate) async fn serve(gate: &str) {
    let app = match gate {
        "open" => open(),
        _ => guarded().layer(layer(gate)),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

fn layer(gate: &str) -> JwtAuthLayer {
    let (algorithm, first) = match gate.strip_suffix("-first") {
        Some(algorithm) => (algorithm, true),
        None => (gate, false),
    };
    let auth = JwtAuthLayer::keys(tokens::issuer(algorithm).verification_keys())
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
        .with_paths(Paths::all().exempt("/public/*"));
    if !first {
        return auth.build().unwrap();
    }
    // Too small for the tokens that take turns: each is looked up in vain, is kept, and takes the place of another.
    let cache = CacheConfig::new().with_max_bytes(64 * 1024);
    auth.with_cache(cache).build().unwrap()
}

fn open() -> Router {
    let room = async |Path((agent, room)): Room| greeting(SUBJECT, Some(ISSUER), &agent, &room);
    Router::new()
        .route("/agents/{agent}/{room}", get(room))
        .route("/unwatched/{number}", any(unwatched))
        .route("/wide/{number}", any(wide))
}

fn guarded() -> Router {
    let room = async |principal: Principal, Path((agent, room)): Room| {
        greeting(principal.subject(), principal.issuer(), &agent, &room)
    };
    let watched = async |lease: Lease, upgrade: WebSocketUpgrade| {
        let upgrade = upgrade.read_buffer_size(READ_BUFFER);
        upgrade.on_upgrade(move |socket| echo(lease.guard(socket)))
    };
    let renewing = async |lease: Lease, upgrade: WebSocketUpgrade| {
        let messages = RenewalMessages::default();
        let upgrade = upgrade.read_buffer_size(READ_BUFFER);
        upgrade.on_upgrade(move |socket| echo(lease.guard(socket).with_renewal(messages)))
    };
    Router::new()
        .route("/agents/{agent}/{room}", get(room))
        .route("/unwatched/{number}", any(unwatched))
        .route("/watched/{number}", any(watched))
        .route("/renewing/{number}", any(renewing))
        .route("/public/{agent}/{room}", get(room_for_all))
}

/// A socket that nobody watches once it is open.
async fn unwatched(upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(READ_BUFFER).on_upgrade(echo)
}

/// The same, as axum has it by itself.
async fn wide(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

/// The same answer, whoever asks.
async fn room_for_all(Path((agent, room)): Room) -> Json<Value> {
    greeting(SUBJECT, Some(ISSUER), &agent, &room)
}

fn greeting(subject: &str, issuer: Option<&str>, agent: &str, room: &str) -> Json<Value> {
    Json(json!({ "subject": subject, "issuer": issuer, "agent": agent, "room": room }))
}

/// Sends back whatever comes.
async fn echo<S>(mut socket: S)
where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}
