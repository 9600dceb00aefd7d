//! The demo agent: it repeats what it hears, slowly enough to be stopped, and remembers it for each owner.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::watch;
use tower_warden::Principal;

/// Whose conversation it is: a subject is unique within its issuer only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    issuer: Option<String>,
    subject: String,
}

impl Owner {
    pub(crate) fn of(principal: &Principal) -> Self {
        Self {
            issuer: principal.issuer().map(str::to_owned),
            subject: principal.subject().to_owned(),
        }
    }
}

#[derive(Clone, Serialize)]
pub(crate) struct Message {
    role: &'static str,
    text: String,
}

#[derive(Default)]
struct Conversation {
    messages: Vec<Message>,
    /// Rises with each stop; answers that are being streamed watch it.
    stops: watch::Sender<u64>,
}

/// All conversations, each of one owner.
#[derive(Default)]
pub(crate) struct Agent {
    conversations: Mutex<HashMap<Owner, Conversation>>,
}

/// A pause between words, as a model would make it.
const PAUSE: Duration = Duration::from_millis(20);

impl Agent {
    /// Hears a message and answers word by word, until the owner says stop.
    pub(crate) fn answer(
        self: &Arc<Self>,
        owner: Owner,
        message: String,
    ) -> impl Stream<Item = String> + use<> {
        let answer = format!("You said: {message}");
        let words: Vec<String> = answer.split_inclusive(' ').map(str::to_owned).collect();
        let mut stops = {
            let mut conversations = self.conversations();
            let conversation = conversations.entry(owner.clone()).or_default();
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
            .inspect(move |word| agent.remember(&owner, word))
            .take_until(stopped)
    }

    /// Stops what is being answered to this owner; tells how many answers that were.
    pub(crate) fn stop(&self, owner: &Owner) -> usize {
        let conversations = self.conversations();
        let Some(conversation) = conversations.get(owner) else {
            return 0;
        };
        conversation.stops.send_modify(|stops| *stops += 1);
        conversation.stops.receiver_count()
    }

    /// What this owner and the agent have said, oldest first.
    pub(crate) fn history(&self, owner: &Owner) -> Vec<Message> {
        let conversations = self.conversations();
        conversations
            .get(owner)
            .map(|conversation| conversation.messages.clone())
            .unwrap_or_default()
    }

    /// Appends a word to the agent's last message, which begins after the user's.
    fn remember(&self, owner: &Owner, word: &str) {
        let mut conversations = self.conversations();
        let Some(conversation) = conversations.get_mut(owner) else {
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

    fn conversations(&self) -> MutexGuard<'_, HashMap<Owner, Conversation>> {
        // Every change is a single push, so a panic elsewhere leaves nothing half done.
        self.conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
