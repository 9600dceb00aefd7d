//! [`Questions`]: what a provider is being asked about single tokens, each token once at a time.
//!
//! Any client can make up tokens, and each costs a question. So a client has a few places only, and waits a moment for one;
//! and some places are for tokens that were good before. A client that makes up tokens keeps itself waiting, and no other.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

/// The SHA-256 of a token, which stands for it where the token itself is not kept.
pub(crate) type TokenHash = [u8; 32];

/// The most questions in flight about tokens that were not good before.
const MOST: usize = 96;
/// The places beyond these, for tokens that were good before.
const KEPT: usize = 32;
/// The most questions in flight for one client.
const PER_ASKER: usize = 8;
/// The most questions that wait for a place, over all clients.
const MOST_WAITING: usize = 256;
/// The most questions of one client, in flight or waiting.
const MOST_PER_ASKER: usize = PER_ASKER + 16;
/// The longest time that a question waits for a place.
const PATIENCE: Duration = Duration::from_millis(500);

/// The party that causes a question: a client by its address, or the subject of a token that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// An IPv4 address, or the first 64 bits of an IPv6 address.
    Address(u64),
    /// Issuer and subject.
    Subject(Box<str>, Box<str>),
}

impl Asker {
    /// The client at this address. The addresses of an IPv6 network of 64 bits are one client.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(address) => u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        })
    }
}

/// The last answer about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repute {
    Good,
    Unknown,
}

/// Questions that are open. Each runs in a task of its own, so that nobody who stops waiting takes it from the others.
pub(crate) struct Questions<V>(Arc<Inner<V>>);

struct Inner<V> {
    open: Mutex<Open<V>>,
    places: Arc<Semaphore>,
    kept: Arc<Semaphore>,
}

/// Questions in flight or waiting for a place.
struct Open<V> {
    by_token: HashMap<TokenHash, watch::Receiver<Option<Outcome<V>>>>,
    by_asker: HashMap<Asker, Share>,
}

/// The places of one client.
struct Share {
    places: Arc<Semaphore>,
    open: usize,
}

/// The state of a question that was begun.
#[derive(Clone)]
enum Outcome<V> {
    Answered(V),
    /// There was no place for it in time.
    Overloaded,
}

/// What became of a question.
pub(crate) enum Asked<V> {
    /// The answer came in the moment in which it was to be asked.
    Known(V),
    Wait(Awaited<V>),
    /// Too many are open, or there is no runtime to ask in.
    Overloaded,
}

/// An answer on its way.
pub(crate) struct Awaited<V>(watch::Receiver<Option<Outcome<V>>>);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// There was no place for the question in time.
    Overloaded,
    /// The task of the question has ended.
    Interrupted,
}

impl<V: Clone + Send + Sync + 'static> Questions<V> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            open: Mutex::new(Open {
                by_token: HashMap::new(),
                by_asker: HashMap::new(),
            }),
            places: Arc::new(Semaphore::new(MOST)),
            kept: Arc::new(Semaphore::new(KEPT)),
        }))
    }

    /// Joins the question about this token, or begins it for this client.
    ///
    /// A client of unknown address shares the places of all. `known` is looked at once more before, as an answer is kept
    /// by its question before that ends.
    pub(crate) fn ask<Q>(
        &self,
        hash: TokenHash,
        asker: Option<Asker>,
        repute: Repute,
        known: impl FnOnce() -> Option<V>,
        question: impl FnOnce() -> Q,
    ) -> Asked<V>
    where
        Q: Future<Output = V> + Send + 'static,
    {
        // A token that was good before is not made up.
        let asker = asker.filter(|_| repute == Repute::Unknown);
        let mut open = self.0.open();
        if let Some(receiver) = open.by_token.get(&hash) {
            return Asked::Wait(Awaited(receiver.clone()));
        }
        if let Some(known) = known() {
            return Asked::Known(known);
        }
        let Ok(runtime) = Handle::try_current() else {
            return Asked::Overloaded;
        };
        if open.by_token.len() >= MOST + KEPT + MOST_WAITING {
            return Asked::Overloaded;
        }
        let share = match &asker {
            None => None,
            Some(asker) => match open.share(asker) {
                None => return Asked::Overloaded,
                share => share,
            },
        };
        let (sender, receiver) = watch::channel(None);
        open.by_token.insert(hash, receiver.clone());
        let entry = Entry {
            inner: Arc::clone(&self.0),
            hash,
            asker,
        };
        let question = question();
        // A runtime that shuts down drops the task at once, which strikes the question off.
        drop(open);
        runtime.spawn(async move {
            let place = timeout(PATIENCE, entry.inner.place(share, repute)).await;
            let outcome = match place {
                Ok(Some(_held)) => Outcome::Answered(question.await),
                Ok(None) | Err(_) => Outcome::Overloaded,
            };
            drop(entry);
            sender.send_replace(Some(outcome));
        });
        Asked::Wait(Awaited(receiver))
    }
}

impl<V> Inner<V> {
    /// Waits for a place, in the order in which questions came: first for one of the client's own, then for one of all.
    async fn place(
        &self,
        share: Option<Arc<Semaphore>>,
        repute: Repute,
    ) -> Option<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit)> {
        let own = match share {
            None => None,
            Some(share) => Some(share.acquire_owned().await.ok()?),
        };
        let places = Arc::clone(&self.places);
        let place = match repute {
            Repute::Unknown => places.acquire_owned().await.ok()?,
            Repute::Good => match places.try_acquire_owned() {
                Ok(place) => place,
                Err(_) => Arc::clone(&self.kept).acquire_owned().await.ok()?,
            },
        };
        Some((own, place))
    }

    fn open(&self) -> MutexGuard<'_, Open<V>> {
        // Nothing that is done under the lock can leave it half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Open<V> {
    /// Counts one question more for this client, if it may have one.
    fn share(&mut self, asker: &Asker) -> Option<Arc<Semaphore>> {
        let share = self.by_asker.entry(asker.clone()).or_insert_with(|| Share {
            places: Arc::new(Semaphore::new(PER_ASKER)),
            open: 0,
        });
        if share.open >= MOST_PER_ASKER {
            return None;
        }
        share.open += 1;
        Some(Arc::clone(&share.places))
    }
}

impl<V: Clone> Awaited<V> {
    /// Waits for the answer.
    pub(crate) async fn answer(mut self) -> Result<V, Unanswered> {
        let outcome = self.0.wait_for(Option::is_some).await;
        match outcome.as_deref() {
            Ok(Some(Outcome::Answered(answer))) => Ok(answer.clone()),
            Ok(Some(Outcome::Overloaded)) => Err(Unanswered::Overloaded),
            Ok(None) | Err(_) => Err(Unanswered::Interrupted),
        }
    }
}

/// Strikes a question off the list when it ends, however it ends.
struct Entry<V> {
    inner: Arc<Inner<V>>,
    hash: TokenHash,
    asker: Option<Asker>,
}

impl<V> Drop for Entry<V> {
    fn drop(&mut self) {
        let mut open = self.inner.open();
        open.by_token.remove(&self.hash);
        if let Some(asker) = &self.asker
            && let Some(share) = open.by_asker.get_mut(asker)
        {
            share.open -= 1;
            if share.open == 0 {
                open.by_asker.remove(asker);
            }
        }
    }
}

impl<V> fmt::Debug for Questions<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Questions")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future;

    use super::*;

    fn nothing() -> Option<u8> {
        None
    }

    fn hash(number: usize) -> TokenHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    fn at(number: usize) -> Option<Asker> {
        Some(Asker::at(IpAddr::from([10, 0, 0, number as u8])))
    }

    /// Begins a question that is never answered.
    fn hang(questions: &Questions<u8>, number: usize, asker: Option<Asker>) -> Asked<u8> {
        questions.ask(
            hash(number),
            asker,
            Repute::Unknown,
            nothing,
            future::pending,
        )
    }

    async fn answer(asked: Asked<u8>) -> Result<u8, Unanswered> {
        match asked {
            Asked::Wait(waiting) => waiting.answer().await,
            Asked::Known(_) | Asked::Overloaded => Err(Unanswered::Overloaded),
        }
    }

    #[tokio::test]
    async fn one_question_for_each_token_at_a_time() {
        let questions = Questions::new();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let ask = |known: Option<u8>| {
            let known = move || known;
            questions.ask([1; 32], None, Repute::Unknown, known, || async { 8 })
        };
        let first = questions.ask([1; 32], None, Repute::Unknown, nothing, || async {
            receiver.await.unwrap()
        });
        let second = ask(None);
        // Whoever began it may leave.
        drop(first);
        sender.send(7).unwrap();
        assert_eq!(answer(second).await, Ok(7));
        // And then it is over.
        assert_eq!(answer(ask(None)).await, Ok(8));
        assert!(matches!(ask(Some(9)), Asked::Known(9)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_makes_up_tokens_keeps_itself_waiting_and_no_other() {
        let questions = Questions::new();
        for number in 0..1_000 {
            let asked = hang(&questions, number, at(1));
            let has_place = number < MOST_PER_ASKER;
            assert_eq!(matches!(asked, Asked::Wait(_)), has_place, "{number}");
        }
        tokio::task::yield_now().await;
        assert_eq!(questions.0.places.available_permits(), MOST - PER_ASKER);
        let good = questions.ask([9; 32], at(2), Repute::Unknown, nothing, || async { 7 });
        assert_eq!(answer(good).await, Ok(7));
        // Those that found no place in time are told so, and leave nothing behind.
        let late = hang(&questions, PER_ASKER, at(1));
        assert_eq!(answer(late).await, Err(Unanswered::Overloaded));
        tokio::task::yield_now().await;
        assert_eq!(questions.0.open().by_token.len(), PER_ASKER);
        assert_eq!(questions.0.open().by_asker.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_kept_for_tokens_that_were_good_before() {
        let questions = Questions::new();
        for number in 0..MOST {
            assert!(matches!(hang(&questions, number, None), Asked::Wait(_)));
        }
        tokio::task::yield_now().await;
        let unknown = questions.ask([8; 32], at(1), Repute::Unknown, nothing, || async { 7 });
        let good = questions.ask([9; 32], at(1), Repute::Good, nothing, || async { 7 });
        assert_eq!(answer(good).await, Ok(7));
        assert_eq!(answer(unknown).await, Err(Unanswered::Overloaded));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_becomes_free_in_time_is_taken_in_the_order_of_coming() {
        let questions = Questions::new();
        let (sender, receiver) = watch::channel(false);
        for number in 0..PER_ASKER {
            let mut receiver = receiver.clone();
            questions.ask(
                hash(number),
                at(1),
                Repute::Unknown,
                nothing,
                || async move {
                    receiver.wait_for(|free| *free).await.unwrap();
                    7
                },
            );
        }
        let next = questions.ask([9; 32], at(1), Repute::Unknown, nothing, || async { 8 });
        tokio::time::sleep(PATIENCE / 2).await;
        sender.send(true).unwrap();
        assert_eq!(answer(next).await, Ok(8));
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_than_so_many() {
        let questions = Questions::new();
        let all = MOST + KEPT + MOST_WAITING;
        for number in 0..all {
            assert!(matches!(hang(&questions, number, None), Asked::Wait(_)));
        }
        assert!(matches!(hang(&questions, all, None), Asked::Overloaded));
        assert!(matches!(hang(&questions, 0, None), Asked::Wait(_)));
    }

    #[tokio::test]
    async fn a_question_that_panics_leaves_nothing_behind() {
        let questions = Questions::<u8>::new();
        let asked = questions.ask([1; 32], at(1), Repute::Unknown, nothing, || async {
            panic!("on purpose")
        });
        assert_eq!(answer(asked).await, Err(Unanswered::Interrupted));
        assert_eq!(questions.0.open().by_token.len(), 0);
        assert_eq!(questions.0.open().by_asker.len(), 0);
        assert_eq!(questions.0.places.available_permits(), MOST);
    }

    #[test]
    fn without_a_runtime_nobody_is_asked() {
        let asked = hang(&Questions::new(), 1, None);
        assert!(matches!(asked, Asked::Overloaded));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let at = |text: &str| Asker::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.2"), at("10.0.0.1"));
    }
}
