//! [`follow`]: the task by which a node keeps up with a store.

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Link, policy::Reason};

/// How long a store may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a link may be silent before it is asked for a sign of life, and how long it may take to give one.
const SILENCE: Duration = Duration::from_secs(5);

/// The first and the longest pause after a store did not answer.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The pause before a feed is taken up again that had lasted for less than the longest pause.
const BREATH: Duration = Duration::from_millis(500);

/// The number of such feeds in a row after which the pause doubles each time, up to the longest.
const SHORT_FEEDS: u32 = 4;

/// The least time between two reads of the whole, where the second one is for a message that could not be read.
const EARLY: Duration = Duration::from_secs(5);

/// What a node follows, and what it does with what it hears.
pub(crate) trait Followed: Send + Sync + 'static {
    type Feed: Send + 'static;
    type Error: Error + Send + Sync + 'static;

    /// Begins to listen.
    fn subscribe(&self) -> impl Future<Output = Result<Self::Feed, Self::Error>> + Send;

    /// Waits for news, and takes them over. Cancel safe.
    fn hear(&self, feed: &mut Self::Feed) -> impl Future<Output = Heard> + Send;

    /// Asks the feed for a sign of life.
    fn is_alive(&self, feed: &mut Self::Feed) -> impl Future<Output = bool> + Send;

    /// Reports a message that the feed could not read since the last call.
    fn has_missed(&self, feed: &mut Self::Feed) -> bool;

    /// Reads the whole, and takes it over, for what the feed has lost.
    fn read(&self) -> impl Future<Output = Result<(), NoAnswer<Self::Error>>> + Send;

    /// Ends what must not go on while nobody knows. Says how many there were.
    fn end_connections(&self) -> usize;

    /// The task ends before its time: its runtime does, or the store's own code panicked. Says whether another one will
    /// take its place.
    fn is_succeeded(&self) -> bool {
        false
    }
}

/// What came out of a feed.
pub(crate) enum Heard {
    News,
    Lost,
}

/// A store did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer<E> {
    /// It did, but with this.
    #[error("the store answered with an error")]
    Error(#[source] E),
    /// It said nothing for that long.
    #[error("the store has not answered for {PATIENCE:?}")]
    Silence,
}

/// Why the feed is not listened to any more.
#[derive(Debug, thiserror::Error)]
enum FeedLost {
    #[error("the feed was lost, or some of it")]
    Broken,
    #[error("the feed gave no sign of life")]
    Silent,
}

/// Nobody holds the link any more.
struct Gone;

/// Keeps up with the store as long as anybody holds the link.
pub(crate) fn follow<F: Followed>(
    followed: F,
    feed: F::Feed,
    link: Weak<Link>,
) -> impl Future<Output = ()> + Send {
    // It stands before the task is polled for the first time, which may never happen.
    let follower = Follower { followed, link };
    async move { follower.run(feed).await }
}

struct Follower<F: Followed> {
    followed: F,
    link: Weak<Link>,
}

impl<F: Followed> Follower<F> {
    async fn run(&self, mut feed: F::Feed) {
        let mut short_feeds = 0;
        loop {
            let began = Instant::now();
            let Err(reason) = keep_up(&self.followed, &mut feed, &self.link).await;
            let Some(lost) = reason else { return };
            match self.link.upgrade() {
                Some(link) => link.lose(lost),
                None => return,
            }
            // A feed that keeps breaking is not taken up again in one breath.
            let pause = if began.elapsed() < PAUSE.1 {
                short_feeds += 1;
                pause_after(short_feeds)
            } else {
                short_feeds = 0;
                Duration::ZERO
            };
            feed = match regain(&self.followed, &self.link, pause).await {
                Ok(feed) => feed,
                Err(Gone) => return,
            };
        }
    }
}

/// Returns the pause after so many short feeds in a row.
fn pause_after(short_feeds: u32) -> Duration {
    let doublings = short_feeds.saturating_sub(SHORT_FEEDS).min(8);
    (BREATH * (1 << doublings)).min(PAUSE.1)
}

impl<F: Followed> Drop for Follower<F> {
    /// If somebody still holds the link, the task ends in a way that nobody meant.
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade()
            && !self.followed.is_succeeded()
        {
            link.abandon();
            self.followed.end_connections();
        }
    }
}

/// Listens until the feed is lost, or nobody holds the link any more; then there is no reason.
async fn keep_up<F: Followed>(
    followed: &F,
    feed: &mut F::Feed,
    link: &Weak<Link>,
) -> Result<Infallible, Option<Reason>> {
    loop {
        let began = Instant::now();
        let mut reading = began + heard(link)?.healing();
        while Instant::now() < reading {
            let silent = (Instant::now() + SILENCE).min(reading);
            match timeout_at(silent, followed.hear(feed)).await {
                Ok(Heard::News) => heard(link)?.note_contact(),
                Ok(Heard::Lost) => return Err(Some(Arc::new(FeedLost::Broken))),
                Err(_) => {
                    let deadline = heard(link)?.deadline(SILENCE).max(Instant::now() + PAUSE.0);
                    let alive = timeout_at(deadline, followed.is_alive(feed)).await;
                    if !alive.unwrap_or(false) {
                        return Err(Some(Arc::new(FeedLost::Silent)));
                    }
                }
            }
            if followed.has_missed(feed) {
                // Each such message could have the whole read otherwise.
                reading = reading.min(began + EARLY);
            }
        }
        heard(link)?;
        // What comes meanwhile is not left waiting.
        let mut read = pin!(followed.read());
        loop {
            let news = pin!(followed.hear(feed));
            let outcome = first(read.as_mut(), news);
            // A read of many connections takes its time. Only a node that fails open has to know by a certain moment.
            let window = heard(link)?.window();
            let outcome = match window {
                Some(end) => timeout_at(end.max(Instant::now() + PAUSE.0), outcome).await,
                None => Ok(outcome.await),
            };
            match outcome {
                Ok(First::Left(Ok(()))) => break,
                Ok(First::Left(Err(error))) => return Err(Some(Arc::new(error))),
                Ok(First::Right(Heard::News)) => heard(link)?.note_contact(),
                Ok(First::Right(Heard::Lost)) => return Err(Some(Arc::new(FeedLost::Broken))),
                Err(_) => return Err(Some(Arc::new(FeedLost::Silent))),
            }
        }
        heard(link)?.note_contact();
    }
}

/// The link, unless nobody holds it any more.
fn heard(link: &Weak<Link>) -> Result<Arc<Link>, Option<Reason>> {
    link.upgrade().ok_or(None)
}

/// Listens again and reads the whole, however long that takes. The link goes through its stages meanwhile.
async fn regain<F: Followed>(
    followed: &F,
    link: &Weak<Link>,
    mut pause: Duration,
) -> Result<F::Feed, Gone> {
    loop {
        minding(followed, link, sleep(pause)).await?;
        let error = match minding(followed, link, begin(followed)).await? {
            Ok(feed) => {
                link.upgrade().ok_or(Gone)?.regain();
                return Ok(feed);
            }
            Err(error) => error,
        };
        link.upgrade().ok_or(Gone)?.lose(Arc::new(error));
        pause = (2 * pause).clamp(PAUSE.0, PAUSE.1);
    }
}

async fn begin<F: Followed>(followed: &F) -> Result<F::Feed, NoAnswer<F::Error>> {
    // To listen comes first: what is published while the whole is read comes out of the feed.
    let feed = patiently(followed.subscribe()).await?;
    followed.read().await?;
    Ok(feed)
}

/// Waits for something, and sees to it that the link goes through its stages in time.
async fn minding<F: Followed, T>(
    followed: &F,
    link: &Weak<Link>,
    future: impl Future<Output = T>,
) -> Result<T, Gone> {
    let mut future = pin!(future);
    loop {
        let advance = link.upgrade().ok_or(Gone)?.advance();
        if advance.ends {
            let connections = followed.end_connections();
            if connections > 0 {
                tracing::warn!(
                    target: "tower_warden",
                    connections,
                    "connections have ended, as nobody could tell whether they may go on",
                );
            }
        }
        let Some(next) = advance.next else {
            return Ok(future.await);
        };
        if let Ok(answer) = timeout_at(next, future.as_mut()).await {
            return Ok(answer);
        }
    }
}

/// Waits for a store, but not for ever.
pub(crate) async fn patiently<T, E>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, NoAnswer<E>> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(NoAnswer::Error),
        Err(_) => Err(NoAnswer::Silence),
    }
}

/// The output of the future that was ready first.
pub(crate) enum First<L, R> {
    Left(L),
    Right(R),
}

/// Polls two futures, the left one first, until one of them is ready.
pub(crate) async fn first<L: Future, R: Future>(
    mut left: Pin<&mut L>,
    mut right: Pin<&mut R>,
) -> First<L::Output, R::Output> {
    poll_fn(|cx| {
        if let Poll::Ready(left) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(left));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}
