//! A room of an agent over a WebSocket, in the words of Cloudflare's npm client `agents`.
//!
//! | who | frame |
//! | --- | --- |
//! | service | `{"type":"cf_agent_identity","agent","name"}`, and `auth_ok` with the time that is left |
//! | client | `{"type":"cf_agent_use_chat_request","id","init":{"body"}}`, with the conversation in `body` |
//! | service | `{"type":"cf_agent_use_chat_response","id","body","done"}`, a chunk of the answer each |
//! | client | `{"type":"cf_agent_chat_request_cancel","id"}` |

use std::{pin::Pin, sync::Arc};

use axum::{
    Json,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{Message as Frame, WebSocket},
    },
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_warden::{GuardedSocket, Lease, Owned, Principal, RenewalMessages};

use crate::{
    agent::Agent,
    history::{Message, Unavailable},
};

/// Upgrades a handshake; a plain request is told who stands before which agent.
pub(crate) async fn room(
    State(talker): State<Arc<Agent>>,
    principal: Principal,
    owned: Owned,
    lease: Lease,
    Path((agent, room)): Path<(String, String)>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return Json(json!({
            "subject": principal.subject(),
            "issuer": principal.issuer(),
            "source": principal.source(),
            "agent": agent,
            "room": room,
        }))
        .into_response();
    };
    upgrade.protocols(["chat"]).on_upgrade(async move |socket| {
        // The lease ends with the right to the room.
        let socket = lease.guard(socket).with_renewal(RenewalMessages::default());
        let identity = json!({ "type": "cf_agent_identity", "agent": agent, "name": room });
        Talk {
            socket,
            talker,
            owned,
            answer: None,
        }
        .run(identity)
        .await;
    })
}

/// What was said in the room, as `useAgentChat` reads it.
pub(crate) async fn messages(
    State(talker): State<Arc<Agent>>,
    owned: Owned,
) -> Result<Json<Value>, Unavailable> {
    let shown = |(number, message): (usize, Message)| {
        let Message {
            role,
            subject,
            text,
        } = message;
        let role = if role == "agent" { "assistant" } else { &role };
        json!({
            "id": number.to_string(),
            "role": role,
            "metadata": { "from": subject },
            "parts": [{ "type": "text", "text": text }],
        })
    };
    let messages = talker.history(owned.resource()).await?;
    Ok(Json(messages.into_iter().enumerate().map(shown).collect()))
}

/// What a client may say; whatever else it sends is left unanswered.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Request {
    #[serde(rename = "cf_agent_use_chat_request")]
    Chat { id: String, init: Init },
    #[serde(rename = "cf_agent_chat_request_cancel")]
    Cancel { id: String },
    #[serde(rename = "cf_agent_stream_resume_request")]
    Resume,
}

#[derive(Deserialize)]
struct Init {
    /// JSON in JSON: `{"messages":[{"role","parts":[{"type":"text","text"}]}]}`.
    body: String,
}

/// An answer that is being streamed.
struct Answer {
    id: String,
    words: Pin<Box<dyn Stream<Item = String> + Send>>,
}

struct Talk {
    socket: GuardedSocket<WebSocket>,
    talker: Arc<Agent>,
    owned: Owned,
    answer: Option<Answer>,
}

impl Talk {
    /// Talks until the client goes or the lease ends.
    async fn run(mut self, identity: Value) {
        let mut open = self.say(&identity).await;
        while open {
            open = tokio::select! {
                frame = self.socket.recv() => match frame {
                    Some(Ok(Frame::Text(text))) => self.hear(text.as_str()).await,
                    Some(Ok(_)) => true,
                    Some(Err(_)) | None => false,
                },
                word = next_word(&mut self.answer) => self.go_on(word).await,
            };
        }
        if let Some(end) = self.socket.end() {
            tracing::info!(reason = %end, "a room was closed");
        }
    }

    /// Takes a frame; `false` once the socket is gone.
    async fn hear(&mut self, text: &str) -> bool {
        match serde_json::from_str(text) {
            Ok(Request::Chat { id, init }) => {
                let Some(message) = last_text(&init.body) else {
                    return true;
                };
                // The answer before is done with, so that nobody waits for the rest of it.
                if self.answer.is_some() && !self.finish().await {
                    return false;
                }
                let (place, subject) = (self.owned.resource(), self.owned.subject());
                let answer = self
                    .talker
                    .answer(place.clone(), subject.subject(), message);
                let words = match answer.await {
                    Ok(words) => Box::pin(words),
                    Err(error) => return self.fail(&id, &error).await,
                };
                self.answer = Some(Answer { id, words });
                self.chunk(json!({ "type": "text-start", "id": "answer" }))
                    .await
            }
            Ok(Request::Cancel { id }) => {
                if self.answer.as_ref().is_some_and(|answer| answer.id == id) {
                    return self.finish().await;
                }
                true
            }
            Ok(Request::Resume) => {
                self.say(&json!({ "type": "cf_agent_stream_resume_none" }))
                    .await
            }
            Err(_) => true,
        }
    }

    async fn go_on(&mut self, word: Option<String>) -> bool {
        match word {
            Some(word) => {
                self.chunk(json!({ "type": "text-delta", "id": "answer", "delta": word }))
                    .await
            }
            None => self.finish().await,
        }
    }

    async fn finish(&mut self) -> bool {
        let open = self
            .chunk(json!({ "type": "text-end", "id": "answer" }))
            .await;
        let Some(Answer { id, .. }) = self.answer.take() else {
            return open;
        };
        let done =
            json!({ "type": "cf_agent_use_chat_response", "id": id, "body": "", "done": true });
        open && self.say(&done).await
    }

    /// Says that there is no answer.
    async fn fail(&mut self, id: &str, error: &sqlx::Error) -> bool {
        tracing::error!(%error, "the history cannot be reached");
        let failed = json!({
            "type": "cf_agent_use_chat_response",
            "id": id,
            "body": "nothing can be kept at present: try again in a moment",
            "done": true,
            "error": true,
        });
        self.say(&failed).await
    }

    /// Sends a chunk of the answer.
    async fn chunk(&mut self, chunk: Value) -> bool {
        let Some(answer) = &self.answer else {
            return true;
        };
        let frame = json!({
            "type": "cf_agent_use_chat_response",
            "id": answer.id,
            "body": chunk.to_string(),
            "done": false,
        });
        self.say(&frame).await
    }

    async fn say(&mut self, frame: &Value) -> bool {
        self.socket
            .send(Frame::text(frame.to_string()))
            .await
            .is_ok()
    }
}

/// The next word of the answer; for ever silent where there is none.
async fn next_word(answer: &mut Option<Answer>) -> Option<String> {
    match answer {
        Some(answer) => answer.words.next().await,
        None => std::future::pending().await,
    }
}

/// The text of the last message of a conversation.
fn last_text(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let parts = body["messages"].as_array()?.last()?["parts"].as_array()?;
    let texts = parts.iter().filter_map(|part| part["text"].as_str());
    Some(texts.collect())
}
