//! [`Hasher`]: password hashing beside the runtime, a few at a time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::{
    hashing::{HashFault, PasswordHashing, Verified},
    limits::Client,
    password::Password,
};
use crate::{Rejection, RejectionKind};

/// Hashes on blocking threads, as many at once as it was told, while a bounded number waits.
///
/// The queue is fair by client: one client never has more work in line for the threads than there are threads. The work
/// of another client waits for about one turn, however much the first one has asked for.
///
/// A request that is given up leaves the queue. Work that has begun goes on to its end, and keeps its place until then.
#[derive(Debug)]
pub(super) struct Hasher {
    policy: PasswordHashing,
    /// One permit for each thread. Waiters get them in their order.
    places: Arc<Semaphore>,
    /// One permit for each request that works or waits.
    queue: Arc<Semaphore>,
    turns: Turns,
    done: Arc<AtomicU64>,
}

impl Hasher {
    pub(super) fn new(policy: PasswordHashing, places: usize, waiting: usize) -> Self {
        Self {
            policy,
            places: Arc::new(Semaphore::new(places)),
            queue: Arc::new(Semaphore::new(places + waiting)),
            turns: Turns {
                places,
                most: 2 * (places + waiting),
                held: Mutex::default(),
            },
            done: Arc::default(),
        }
    }

    pub(super) const fn policy(&self) -> PasswordHashing {
        self.policy
    }

    /// How many passwords have been hashed or verified.
    pub(super) fn operations(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Hashes a password that was found to fit.
    pub(super) async fn hash(
        &self,
        client: Option<Client>,
        password: Arc<Password>,
    ) -> Result<String, Rejection> {
        let policy = self.policy;
        let hash = self
            .run_counted(client, move || policy.hash(password.as_bytes()))
            .await?;
        hash.map_err(fault)
    }

    /// Verifies a password against the hash of an account, or does the same work where there is none.
    ///
    /// A hash that cannot be believed opens nothing, and is told to the operator.
    pub(super) async fn verify(
        &self,
        client: Option<Client>,
        password: Arc<Password>,
        hash: Option<String>,
    ) -> Result<Verified, Rejection> {
        let policy = self.policy;
        let verified = self
            .run_counted(client, move || policy.verify(&password, hash.as_deref()))
            .await?;
        Ok(verified.unwrap_or_else(|fault| {
            let error: &dyn std::error::Error = &fault;
            tracing::error!(target: "tower_warden", error, "the password hash of an account is refused");
            Verified::Wrong
        }))
    }

    async fn run_counted<T: Send + 'static>(
        &self,
        client: Option<Client>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let done = Arc::clone(&self.done);
        let counted = move || {
            let result = work();
            done.fetch_add(1, Ordering::Relaxed);
            result
        };
        self.run(client, counted).await
    }

    /// Does other work that is too long for the runtime, in the same queue; it is not counted as a password.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        client: Option<Client>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let queued = Arc::clone(&self.queue).try_acquire_owned();
        let queued: OwnedSemaphorePermit = queued.map_err(|_| RejectionKind::Overloaded)?;
        // The client's turn first: the line for the threads then holds few of each client.
        let turn = self.turns.of(client).acquire_owned().await;
        let turn = turn.map_err(|_| RejectionKind::Overloaded)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| RejectionKind::Overloaded)?;
        let work = spawn_blocking(move || {
            let result = work();
            drop((queued, turn, place));
            result
        });
        // What panics, or is shut down with its runtime, has let nobody in.
        work.await
            .map_err(|error| Rejection::new(RejectionKind::Misconfigured).with_source(error))
    }
}

/// The turns of each client that works or waits: as many as there are threads.
#[derive(Debug)]
struct Turns {
    places: usize,
    /// The number of entries above which those without work are removed.
    most: usize,
    held: Mutex<HashMap<Option<Client>, Arc<Semaphore>>>,
}

impl Turns {
    fn of(&self, client: Option<Client>) -> Arc<Semaphore> {
        // Every change is a single one.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= self.most {
            held.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns = held.entry(client);
        let turns = turns.or_insert_with(|| Arc::new(Semaphore::new(self.places)));
        Arc::clone(turns)
    }
}

fn fault(fault: HashFault) -> Rejection {
    Rejection::new(RejectionKind::Misconfigured).with_source(fault)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        net::IpAddr,
        sync::mpsc,
        task::{Context, Poll, Waker},
    };

    use super::*;

    /// One works, one waits, the third is sent away; and who gives up makes room.
    #[tokio::test]
    async fn a_queue_that_is_full_sends_away() {
        let hasher = Hasher::new(PasswordHashing::dangerous_for_tests(), 1, 1);
        let (go, wait) = mpsc::channel::<()>();
        let mut cx = Context::from_waker(Waker::noop());
        let mut working = Box::pin(hasher.run_counted(None, move || wait.recv()));
        assert!(working.as_mut().poll(&mut cx).is_pending());
        let mut waiting = Box::pin(hasher.run_counted(None, || ()));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        for _ in 0..2 {
            let refused = hasher.run_counted(None, || ()).await.unwrap_err();
            assert_eq!(refused.kind(), RejectionKind::Overloaded);
        }
        drop(waiting);
        let mut next = Box::pin(hasher.run_counted(None, || ()));
        assert!(next.as_mut().poll(&mut cx).is_pending());
        go.send(()).unwrap();
        working.await.unwrap().unwrap();
        next.await.unwrap();
        assert_eq!(hasher.operations(), 2);
    }

    /// A client that hangs up while its password is hashed does not make room for the next.
    #[tokio::test]
    async fn work_that_has_begun_keeps_its_place() {
        let hasher = Hasher::new(PasswordHashing::dangerous_for_tests(), 1, 0);
        let (go, wait) = mpsc::channel::<()>();
        let (tell, begun) = mpsc::channel::<()>();
        let mut working = Box::pin(hasher.run_counted(None, move || {
            tell.send(()).unwrap();
            wait.recv()
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(working.as_mut().poll(&mut cx), Poll::Pending));
        begun.recv().unwrap();
        drop(working);
        assert_eq!(
            hasher.run_counted(None, || ()).await.unwrap_err().kind(),
            RejectionKind::Overloaded
        );
        go.send(()).unwrap();
        while hasher.operations() == 0 {
            tokio::task::yield_now().await;
        }
        while hasher.run_counted(None, || ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    /// The work of one client is not behind all that another one has asked for.
    #[tokio::test]
    async fn clients_take_turns() {
        let hasher = Hasher::new(PasswordHashing::dangerous_for_tests(), 1, 10);
        let order = Arc::new(Mutex::new(Vec::new()));
        let (go, wait) = mpsc::channel::<()>();
        let mut wait = Some(wait);
        let mut cx = Context::from_waker(Waker::noop());
        let mut jobs = Vec::new();
        for n in [1, 1, 1, 1, 2] {
            let (order, first) = (Arc::clone(&order), wait.take());
            let client = Client::from(IpAddr::from([192, 0, 2, n]));
            let mut job = Box::pin(hasher.run(Some(client), move || {
                if let Some(wait) = first {
                    wait.recv().unwrap();
                }
                order.lock().unwrap().push(n);
            }));
            assert!(job.as_mut().poll(&mut cx).is_pending());
            jobs.push(job);
        }
        go.send(()).unwrap();
        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|job| async move { job.await.unwrap() })
            .collect();
        futures_util::future::join_all(jobs).await;
        assert_eq!(*order.lock().unwrap(), [1, 2, 1, 1, 1]);
        assert_eq!(hasher.operations(), 0, "no password was hashed");
    }

    /// Clients without work are forgotten.
    #[tokio::test]
    async fn turns_are_bounded() {
        let hasher = Hasher::new(PasswordHashing::dangerous_for_tests(), 1, 1);
        for n in 0..50 {
            let client = Client::from(IpAddr::from([192, 0, 2, n]));
            hasher.run(Some(client), || ()).await.unwrap();
            assert!(hasher.turns.held.lock().unwrap().len() <= 4);
        }
    }

    #[tokio::test]
    async fn a_panic_lets_nobody_in() {
        let hasher = Hasher::new(PasswordHashing::dangerous_for_tests(), 1, 0);
        let panicked = hasher
            .run_counted(None, || -> () { panic!("as a library might") })
            .await;
        assert_eq!(panicked.unwrap_err().kind(), RejectionKind::Misconfigured);
        hasher.run_counted(None, || ()).await.unwrap();
    }
}
