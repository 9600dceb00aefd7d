//! A service that hosts a chatting agent, behind one gate.
//!
//! ```sh
//! cargo run --example agent_chat --features full
//! ```
//!
//! It prints `curl` lines with a fresh token. What they answer:
//!
//! | request | status |
//! | --- | --- |
//! | `GET /`, `/health`, `/auth/*` | exempt: no token needed |
//! | `POST /chat` without a token | 401, and a challenge without error code |
//! | `POST /chat` with an expired or forged token | 401 `invalid_token` |
//! | `POST /chat` with a token in the header and one in the cookie | 400 `invalid_request` |
//! | `POST /chat`, `{"message": "hello"}`, with a token | 200, the answer as server-sent events |
//! | `POST /stop`, `GET /history`, `GET /agents/{agent}/{room}` with a token | 200 |
//!
//! Environment: `PORT` (8787), `JWT_SECRET` (random), `JWT_ISSUER` and `JWT_AUDIENCE` (demanded in bearer tokens when
//! set), `JWT_LEEWAY` in seconds (30), `ALLOWED_ORIGINS` separated by commas (the page's own).

mod agent;
mod config;
mod gate;

use std::{convert::Infallible, error::Error, net::Ipv4Addr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    response::{
        Html,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_warden::Principal;

use crate::{
    agent::{Agent, Owner},
    config::Config,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let config = Config::from_env()?;
    let app = Router::new()
        .route("/", get(page))
        .route("/health", get(health))
        .route("/chat", post(chat))
        .route("/stop", post(stop))
        .route("/history", get(history))
        .route("/agents/{agent}/{room}", get(room))
        .with_state(Arc::new(Agent::default()))
        .layer(gate::auth(&config)?)
        // Outside the gate, so that a page of another origin can read a refusal too.
        .layer(gate::cors(&config)?);

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
    print!("{}", config.greeting(listener.local_addr()?)?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn page() -> Html<&'static str> {
    Html(
        "<!doctype html><title>agent_chat</title><p>The gate is open for this page, and shut for /chat.</p>",
    )
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
    let words = agent.answer(Owner::of(&principal), chat.message);
    let done = futures_util::stream::once(async { Event::default().event("done").data("") });
    let events = words
        .map(|word| Event::default().data(word))
        .chain(done)
        .map(Ok);
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Stops the answer that is being streamed to the same user.
async fn stop(State(agent): State<Arc<Agent>>, principal: Principal) -> Json<Value> {
    Json(json!({ "stopped": agent.stop(&Owner::of(&principal)) }))
}

/// What the user and the agent have said to each other.
async fn history(State(agent): State<Arc<Agent>>, principal: Principal) -> Json<Value> {
    Json(json!({ "messages": agent.history(&Owner::of(&principal)) }))
}

/// Who stands before which agent.
async fn room(principal: Principal, Path((agent, room)): Path<(String, String)>) -> Json<Value> {
    Json(json!({
        "subject": principal.subject(),
        "issuer": principal.issuer(),
        "source": principal.source(),
        "agent": agent,
        "room": room,
    }))
}
