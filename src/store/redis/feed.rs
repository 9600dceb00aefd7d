//! [`Feed`]: what comes over a channel, on a connection of its own.

use std::{
    fmt,
    marker::PhantomData,
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{PushInfo, PushKind, Value};
use serde::de::DeserializeOwned;
use tokio::sync::{
    mpsc::{self, Receiver, Sender},
    watch,
};

use super::{
    fault::Fault,
    link::{Link, Talk},
};
use crate::{
    OwnershipChange, OwnershipFeed, Revocation, RevocationFeed,
    link::{First, first},
};

/// So much news a node may lag behind before its feed is lost.
const LAG: usize = 1_024;

/// Revocations that other nodes published, from a [`RedisStore`](crate::RedisStore).
#[derive(Debug)]
pub struct RedisRevocationFeed(pub(super) Feed<Revocation>);

/// Changes of ownership that other nodes made, from a [`RedisStore`](crate::RedisStore).
#[derive(Debug)]
pub struct RedisOwnershipFeed(pub(super) Feed<OwnershipChange>);

impl RevocationFeed for RedisRevocationFeed {
    async fn next(&mut self) -> Option<Revocation> {
        self.0.next().await
    }

    async fn is_alive(&mut self) -> bool {
        self.0.is_alive().await
    }

    fn has_missed(&mut self) -> bool {
        self.0.has_missed()
    }
}

impl OwnershipFeed for RedisOwnershipFeed {
    async fn next(&mut self) -> Option<OwnershipChange> {
        self.0.next().await
    }

    async fn is_alive(&mut self) -> bool {
        self.0.is_alive().await
    }

    fn has_missed(&mut self) -> bool {
        self.0.has_missed()
    }
}

pub(super) struct Feed<T> {
    news: Receiver<Vec<u8>>,
    /// The connection lasts as long as the feed.
    talk: Talk,
    demotion: watch::Receiver<()>,
    timeout: Duration,
    has_missed: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Feed<T> {
    pub(super) async fn open(link: &Link, channel: &str) -> Result<Self, Fault> {
        let (sender, news) = mpsc::channel(LAG);
        let inlet = Inlet(Mutex::new(Some(sender)));
        let talk = link
            .listen(move |push| {
                inlet.take_in(push);
                Ok(())
            })
            .await?;
        talk.subscribe(channel).await?;
        Ok(Self {
            news,
            demotion: talk.demotion(),
            talk,
            timeout: link.timeout(),
            has_missed: false,
            of: PhantomData,
        })
    }

    /// Waits for a message that can be read. Others are left out, and [noted](Self::has_missed).
    async fn next(&mut self) -> Option<T> {
        loop {
            let text = self.text().await?;
            if let Ok(news) = serde_json::from_slice(&text) {
                return Some(news);
            }
            tracing::warn!(
                target: "tower_warden",
                "a message on a channel of Redis is none that a store of this version writes: it is left out"
            );
            self.has_missed = true;
        }
    }

    async fn text(&mut self) -> Option<Vec<u8>> {
        let heard = {
            let news = pin!(self.news.recv());
            let demotion = pin!(self.demotion.changed());
            first(news, demotion).await
        };
        match heard {
            First::Left(text) => text,
            First::Right(_) => {
                self.news.close();
                None
            }
        }
    }

    fn has_missed(&mut self) -> bool {
        std::mem::take(&mut self.has_missed)
    }

    async fn is_alive(&mut self) -> bool {
        self.talk.again(self.timeout).is_primary().await && !self.news.is_closed()
    }
}

/// Where messages come in. It is empty once one was lost, so that whoever reads on comes to an end.
struct Inlet(Mutex<Option<Sender<Vec<u8>>>>);

impl Inlet {
    fn take_in(&self, push: PushInfo) {
        // Whoever panicked here has left it as it was, or empty.
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match push.kind {
            PushKind::Message => {
                // The channel comes first, then what was published.
                let Some(Value::BulkString(text)) = push.data.into_iter().nth(1) else {
                    *sender = None;
                    return;
                };
                if sender
                    .as_ref()
                    .is_some_and(|sender| sender.try_send(text).is_err())
                {
                    *sender = None;
                }
            }
            PushKind::Disconnection => *sender = None,
            _ => {}
        }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("waiting", &self.news.len())
            .finish_non_exhaustive()
    }
}
