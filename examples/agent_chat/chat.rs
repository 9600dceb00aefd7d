//! A chat: a message is answered by server-sent events, which can be stopped, and all of it is remembered.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_warden::Owned;

use crate::{agent::Agent, history::Unavailable};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chat {
    message: String,
}

/// Answers word by word: each is an event `message`, the last event is `done`.
pub(crate) async fn chat(
    State(agent): State<Arc<Agent>>,
    owned: Owned,
    Json(chat): Json<Chat>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Unavailable> {
    let place = owned.resource().clone();
    let words = agent
        .answer(place, owned.subject().subject(), chat.message)
        .await?;
    let done = stream::once(async { Event::default().event("done").data("") });
    let events = words
        .map(|word| Event::default().data(word))
        .chain(done)
        .map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Stops the answers that are being streamed in this chat.
pub(crate) async fn stop(State(agent): State<Arc<Agent>>, owned: Owned) -> Json<Value> {
    Json(json!({ "stopped": agent.stop(owned.resource()) }))
}

/// What was said in this chat.
pub(crate) async fn history(
    State(agent): State<Arc<Agent>>,
    owned: Owned,
) -> Result<Json<Value>, Unavailable> {
    let messages = agent.history(owned.resource()).await?;
    Ok(Json(json!({ "messages": messages })))
}
