//! The demo agent: it repeats what it hears, slowly enough to be stopped, and remembers it in each place, which is a room
//! or a chat that somebody owns.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{Stream, stream};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tower_warden::ResourceId;

use crate::history::{History, Message};

/// Talks in all places at once.
pub(crate) struct Agent {
    history: History,
    /// Where something is being answered, and how it is stopped: the number rises with each stop.
    stops: Mutex<HashMap<ResourceId, watch::Sender<u64>>>,
}

/// A pause between words, as a model would make it.
const PAUSE: Duration = Duration::from_millis(20);

impl Agent {
    pub(crate) fn new(history: History) -> Self {
        Self {
            history,
            stops: Mutex::default(),
        }
    }

    /// Hears a message and answers word by word, until somebody says stop or nobody listens any more.
    ///
    /// The message is kept before the first word comes, and what came of the answer is kept before the stream ends.
    pub(crate) async fn answer(
        &self,
        place: ResourceId,
        subject: &str,
        message: String,
    ) -> Result<impl Stream<Item = String> + use<>, sqlx::Error> {
        let mut stops = self.stops().entry(place.clone()).or_default().subscribe();
        let history = self.history.clone();
        history
            .append(place.as_str(), &Message::user(subject, &message))
            .await?;
        let (speaker, listener) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut said = String::new();
            for word in format!("You said: {message}").split_inclusive(' ') {
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    // An error would mean that nobody is left who could stop it.
                    _ = stops.changed() => break,
                }
                if speaker.send(word.to_owned()).await.is_err() {
                    break;
                }
                said.push_str(word);
            }
            if let Err(error) = history.append(place.as_str(), &Message::agent(&said)).await {
                tracing::error!(%error, "an answer was not kept");
            }
        });
        Ok(stream::unfold(listener, async |mut listener| {
            Some((listener.recv().await?, listener))
        }))
    }

    /// Stops what is being answered in this place; tells how many answers that were.
    pub(crate) fn stop(&self, place: &ResourceId) -> usize {
        let stops = self.stops();
        let Some(stop) = stops.get(place) else {
            return 0;
        };
        stop.send_modify(|number| *number += 1);
        stop.receiver_count()
    }

    /// What was said in this place, oldest first.
    pub(crate) async fn history(&self, place: &ResourceId) -> Result<Vec<Message>, sqlx::Error> {
        self.history.read(place.as_str()).await
    }

    fn stops(&self) -> MutexGuard<'_, HashMap<ResourceId, watch::Sender<u64>>> {
        // Every change is a single step, so a panic elsewhere leaves nothing half done.
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
