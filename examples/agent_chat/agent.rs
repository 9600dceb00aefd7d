//! The demo agent: it repeats what it hears, slowly enough to be stopped, and remembers it in each place, which is a room
//! or a chat that somebody owns.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::watch;
use tower_warden::ResourceId;

#[derive(Clone, Serialize)]
pub(crate) struct Message {
    pub(crate) role: &'static str,
    pub(crate) text: String,
}

#[derive(Default)]
struct Conversation {
    messages: Vec<Message>,
    /// Rises with each stop; answers that are being streamed watch it.
    stops: watch::Sender<u64>,
}

/// All conversations, each in one place.
#[derive(Default)]
pub(crate) struct Agent {
    conversations: Mutex<HashMap<ResourceId, Conversation>>,
}

/// A pause between words, as a model would make it.
const PAUSE: Duration = Duration::from_millis(20);

impl Agent {
    /// Hears a message and answers word by word, until somebody says stop.
    pub(crate) fn answer(
        self: &Arc<Self>,
        place: ResourceId,
        message: String,
    ) -> impl Stream<Item = String> + use<> {
        let answer = format!("You said: {message}");
        let words: Vec<String> = answer.split_inclusive(' ').map(str::to_owned).collect();
        let mut stops = {
            let mut conversations = self.conversations();
            let conversation = conversations.entry(place.clone()).or_default();
            conversation.messages.push(Message {
                role: "user",
                text: message,
            });
            conversation.stops.subscribe()
        };
        let agent = Arc::clone(self);
        let stopped = async move {
            // The sender lives as long as the agent, so an error means that nothing is left to stop.
            let _ = stops.changed().await;
        };
        stream::iter(words)
            .then(|word| async {
                tokio::time::sleep(PAUSE).await;
                word
            })
            .inspect(move |word| agent.remember(&place, word))
            .take_until(stopped)
    }

    /// Stops what is being answered in this place; tells how many answers that were.
    pub(crate) fn stop(&self, place: &ResourceId) -> usize {
        let conversations = self.conversations();
        let Some(conversation) = conversations.get(place) else {
            return 0;
        };
        conversation.stops.send_modify(|stops| *stops += 1);
        conversation.stops.receiver_count()
    }

    /// What was said in this place, oldest first.
    pub(crate) fn history(&self, place: &ResourceId) -> Vec<Message> {
        let conversations = self.conversations();
        conversations
            .get(place)
            .map(|conversation| conversation.messages.clone())
            .unwrap_or_default()
    }

    /// Appends a word to the agent's last message, which begins after the user's.
    fn remember(&self, place: &ResourceId, word: &str) {
        let mut conversations = self.conversations();
        let Some(conversation) = conversations.get_mut(place) else {
            return;
        };
        match conversation.messages.last_mut() {
            Some(last) if last.role == "agent" => last.text.push_str(word),
            _ => conversation.messages.push(Message {
                role: "agent",
                text: word.to_owned(),
            }),
        }
    }

    fn conversations(&self) -> MutexGuard<'_, HashMap<ResourceId, Conversation>> {
        // Every change is a single push, so a panic elsewhere leaves nothing half done.
        self.conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
