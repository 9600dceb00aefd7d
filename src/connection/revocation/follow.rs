//! How a node keeps up with a shared store.

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    RevocationFeed, RevocationStore,
    revocations::{Revocations, Shared},
};

/// How often the whole is read, for messages that got lost.
const HEALING: Duration = Duration::from_secs(30);

/// How long a store may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first and the longest pause after a store did not answer.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Keeps up with the store as long as anybody holds the revocations.
pub(super) async fn follow<S: RevocationStore>(
    store: Arc<S>,
    mut feed: Option<S::Feed>,
    node: Weak<Shared>,
) {
    let mut pause = PAUSE.0;
    // A store that does not answer is asked again only for somebody.
    while node.strong_count() > 0 {
        match keep_up(&*store, feed.take(), &node).await {
            Ok(Gone) => return,
            Err(Trouble { lasted, error }) => {
                log(error.as_ref());
                pause = match lasted {
                    Lasted::Yes => PAUSE.0,
                    Lasted::No => (2 * pause).min(PAUSE.1),
                };
                sleep(pause).await;
            }
        }
    }
}

fn log<E: std::error::Error + 'static>(error: Option<&E>) {
    let error = error.map(|error| error as &(dyn std::error::Error + 'static));
    tracing::warn!(target: "tower_warden", error, "revocations of other nodes are late");
}

/// Nobody holds the revocations any more.
struct Gone;

/// The store did not answer, or its feed was lost.
struct Trouble<E> {
    lasted: Lasted,
    /// What it said, unless it said nothing.
    error: Option<E>,
}

/// Whether the store had answered before the trouble came.
enum Lasted {
    Yes,
    No,
}

async fn keep_up<S: RevocationStore>(
    store: &S,
    feed: Option<S::Feed>,
    node: &Weak<Shared>,
) -> Result<Gone, Trouble<S::Error>> {
    let mut feed = match feed {
        // The whole has just been read.
        Some(feed) => feed,
        // To listen comes first: what is published while the whole is read comes out of the feed.
        None => {
            let feed = patiently(store.subscribe(), Lasted::No).await?;
            let all = patiently(store.load(), Lasted::No).await?;
            match Revocations::upgrade(node) {
                Some(node) => node.adopt(&all),
                None => return Ok(Gone),
            }
            feed
        }
    };
    loop {
        let healing = Instant::now() + HEALING;
        while let Ok(news) = timeout_at(healing, feed.next()).await {
            let Some(node) = Revocations::upgrade(node) else {
                return Ok(Gone);
            };
            match news {
                Some(revocation) => node.adopt(&[revocation]),
                None => {
                    return Err(Trouble {
                        lasted: Lasted::Yes,
                        error: None,
                    });
                }
            }
        }
        let Some(node) = Revocations::upgrade(node) else {
            return Ok(Gone);
        };
        node.adopt(&patiently(store.load(), Lasted::Yes).await?);
    }
}

/// Waits for a store, but not for ever.
async fn patiently<T, E>(
    answer: impl Future<Output = Result<T, E>>,
    lasted: Lasted,
) -> Result<T, Trouble<E>> {
    let error = match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    Err(Trouble { lasted, error })
}
