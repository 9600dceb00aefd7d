//! A service that hosts a chatting agent, behind one gate.
//!
//! ```sh
//! cargo run --example agent_chat --features full
//! ```
//!
//! Open `http://127.0.0.1:8787` in a browser: the page signs up and in, chats, and shows what the gate decides. For programs
//! it prints `curl` lines with a fresh token. What they answer:
//!
//! | request | status |
//! | --- | --- |
//! | `GET /`, `/health` | exempt: no token needed |
//! | `POST /auth/register`, `/auth/login`, `/auth/logout`, … | exempt: the accounts, which set and read the session's cookie |
//! | `POST /chat` without a token | 401, and a challenge without error code |
//! | `POST /chat` with an expired or forged token | 401 `invalid_token` |
//! | `POST /chat` with a token in the header and one in the cookie | 400 `invalid_request` |
//! | `POST /chat`, `{"message": "hello"}`, with a token | 200, the answer as server-sent events |
//! | `POST /stop`, `GET /history`, `GET /agents/{agent}/{room}` with a token | 200 |
//! | `GET /agents/{agent}/{room}` as a WebSocket handshake | 101; the token in header, query, subprotocol, cookie or ticket |
//! | `POST /auth/ticket`, `{"agent": …, "room": …}`, with a token | 200, a ticket for one handshake |
//! | `POST /auth/refresh`, `{"connection_id": …}`, with a newer token | 200, the open connection goes on |
//! | `POST /auth/revoke` with a token | 200, and the token opens nothing any more |
//!
//! Environment: `PORT` (8787), `JWT_SECRET` (random), `JWT_ISSUER` and `JWT_AUDIENCE` (demanded in bearer tokens when
//! set), `JWT_LEEWAY` in seconds (30), `SESSION_TOKEN`, the life of a session's token in seconds (900), `PUBLIC_ORIGIN`, where
//! browsers find the service (`http://localhost`), `ALLOWED_ORIGINS` separated by commas (the page's own), `LOG_LEVEL` (info).

mod accounts;
mod agent;
mod config;
mod gate;
mod live;
mod page;
mod sign_out;

use std::{
    convert::Infallible,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
    routing::{any, get, post},
};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_warden::{Principal, RedactUri, RenewalService, StreamLeaseLayer};

use crate::{
    agent::{Agent, Place},
    config::Config,
    gate::Gate,
};

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent_chat: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let config = Config::from_env()?;
    tracing_subscriber::fmt()
        .with_max_level(config.log_level)
        .init();
    let accounts = accounts::accounts(&config)?;
    let gate = Gate::new(&config, &accounts)?;
    let revocations = accounts.revocations().clone();
    let revoke = move |principal| sign_out::revoke(revocations.clone(), principal);
    let app = Router::new()
        .route("/", get(page::page))
        .route("/health", get(health))
        // What is being answered may be finished when the token ends, and stops when it is revoked.
        .route("/chat", post(chat).layer(StreamLeaseLayer::default()))
        .route("/stop", post(stop))
        .route("/history", get(history))
        .route("/agents/{agent}/{room}", any(live::room))
        .route("/agents/{agent}/{room}/get-messages", get(live::messages))
        .route_service("/auth/ticket", gate.tickets.service())
        .route_service("/auth/refresh", RenewalService::new())
        .route("/auth/revoke", post(revoke))
        .merge(accounts.router())
        .with_state(Arc::new(Agent::default()))
        .layer(gate.auth)
        // Outside the gate, so that a page of another origin can read a refusal too.
        .layer(gate.cors)
        .layer(RedactUri::around(
            tower_http::trace::TraceLayer::new_for_http(),
        ));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
    print!("{}", config.greeting(listener.local_addr()?)?);
    // The accounts count tries for each address.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chat {
    message: String,
}

/// Answers word by word: each is an event `message`, the last event is `done`.
async fn chat(
    State(agent): State<Arc<Agent>>,
    principal: Principal,
    Json(chat): Json<Chat>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let words = agent.answer(Place::of(&principal), chat.message);
    let done = futures_util::stream::once(async { Event::default().event("done").data("") });
    let events = words
        .map(|word| Event::default().data(word))
        .chain(done)
        .map(Ok);
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Stops the answer that is being streamed to the same user.
async fn stop(State(agent): State<Arc<Agent>>, principal: Principal) -> Json<Value> {
    Json(json!({ "stopped": agent.stop(&Place::of(&principal)) }))
}

/// What the user and the agent have said to each other.
async fn history(State(agent): State<Arc<Agent>>, principal: Principal) -> Json<Value> {
    Json(json!({ "messages": agent.history(&Place::of(&principal)) }))
}
