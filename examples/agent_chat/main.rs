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
//! | `GET /api/users/me` with a token | 200, the subject, the issuer and the end of the token |
//! | `POST /auth/revoke` with a token | 200, and the token opens nothing any more |
//! | a room, or a chat, of somebody else | 403 `not_owner`; its handshake 101, then close 1008 |
//! | `POST /agents/{agent}/{room}/share`, `{"subject": …, "role": …}`, by who may share | 204; `"role": null` takes it back |
//! | `POST /agents/{agent}/{room}/transfer`, `{"subject": …}`, by the owner | 204, and the owner is out |
//! | `POST`, `GET`, `DELETE /keys` with a token | 201, 200, 204: API keys, for the header `X-API-Key` |
//! | `GET /ready` | exempt: 200, or 503 while the stores are out of reach |
//!
//! A room and all that is said there belong to whoever enters it first, and to whom they share it with. So does a chat that
//! the header `makers-conversation-id` names; without it a chat is the caller's own.
//!
//! Settings are environment variables, or lines of a file `.env` in the working directory, over which the environment wins:
//! `PORT` (8787), `JWT_SECRET` (random), `JWT_ISSUER` and `JWT_AUDIENCE` (demanded in bearer tokens when
//! set), `JWT_LEEWAY` in seconds (30), `SESSION_TOKEN`, the life of a session's token in seconds (900), `PUBLIC_ORIGIN`, where
//! browsers find the service (`http://localhost`), `ALLOWED_ORIGINS` separated by commas (the page's own), `LOG_LEVEL` (info),
//! `DATABASE_URL` (`sqlite:agent_chat.db`, `sqlite://agent_chat.db?mode=rwc`, or `postgres://…`), `REDIS_URL` (none; then it
//! keeps tickets and revocations),
//! `API_KEY_PEPPER` (`JWT_SECRET`). Several processes with the same of the last three and of the secret are one service.

mod accounts;
mod agent;
mod chat;
mod config;
mod gate;
mod history;
mod live;
mod page;
mod sharing;
mod sign_out;
mod stores;

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{any, get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_warden::{
    NumericDate, Owners, Principal, RedactUri, RenewalService, Revocations, StreamLeaseLayer,
};

use crate::{agent::Agent, config::Config, gate::Gate, history::History, stores::Stores};

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("agent_chat: {error}");
            let mut source = error.source();
            while let Some(reason) = source {
                eprint!(": {reason}");
                source = reason.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let config = Config::from_env()?;
    tracing_subscriber::fmt()
        .with_max_level(config.log_level)
        .init();
    let stores = Stores::open(&config).await?;
    let history = History::open(&config.database_url).await?;
    let gate = Gate::new(&config, &stores)?;
    let Stores {
        accounts,
        owners,
        keys,
        tickets,
        revocations,
    } = stores;
    let ready = {
        let (owners, revocations) = (owners.clone(), revocations.clone());
        async move || ready(&owners, &revocations)
    };
    let revoke = move |principal| sign_out::revoke(revocations.clone(), principal);
    let chats = Router::new()
        // What is being answered may be finished when the token ends, and stops when it is revoked.
        .route("/chat", post(chat::chat).layer(StreamLeaseLayer::default()))
        .route("/stop", post(chat::stop))
        .route("/history", get(chat::history))
        .route_layer(gate.chats);
    let rooms = Router::new()
        .route("/agents/{agent}/{room}", any(live::room))
        .route("/agents/{agent}/{room}/get-messages", get(live::messages))
        .merge(sharing::routes(owners))
        .route_layer(gate.rooms);
    let app = Router::new()
        .route("/", get(page::page))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .merge(chats)
        .merge(rooms)
        .route_service("/keys", keys.service())
        .route_service("/keys/{id}", keys.service())
        .route_service("/auth/ticket", tickets.service())
        .route_service("/auth/refresh", RenewalService::new())
        .route("/auth/revoke", post(revoke))
        .route("/api/users/me", get(me))
        .merge(accounts.router())
        .with_state(Arc::new(Agent::new(history)))
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

/// Tells a client who its token stands for, as Cloudflare's clients ask before they reconnect.
async fn me(principal: Principal) -> Json<Value> {
    Json(json!({
        "subject": principal.subject(),
        "issuer": principal.issuer(),
        "expires_at": principal.expires_at().map(NumericDate::as_secs),
    }))
}

/// Whether this process hears what others revoke, share and hand over.
fn ready(owners: &Owners, revocations: &Revocations) -> (StatusCode, Json<Value>) {
    let trouble = [revocations.ready(), owners.ready()];
    let trouble: Vec<_> = trouble.into_iter().filter_map(Result::err).collect();
    if trouble.is_empty() {
        return (StatusCode::OK, Json(json!({ "status": "ready" })));
    }
    let reasons: Vec<_> = trouble.iter().map(ToString::to_string).collect();
    let answer = json!({ "status": "cut off", "reasons": reasons });
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer))
}
