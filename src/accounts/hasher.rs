//! [`Hasher`]: password hashing beside the runtime, a few at a time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::{
    hashing::{HashFault, PasswordHashing, Verified},
    password::Password,
};
use crate::{Rejection, RejectionKind};

/// Hashes on blocking threads, as many at once as it was told, while a bounded number waits.
///
/// A request that is given up leaves the queue. Work that has begun goes on to its end, and keeps its place until then.
#[derive(Debug)]
pub(super) struct Hasher {
    policy: PasswordHashing,
    /// Who works.
    places: Arc<Semaphore>,
    /// Who works or waits.
    queue: Arc<Semaphore>,
    done: Arc<AtomicU64>,
}

impl Hasher {
    pub(super) fn new(policy: PasswordHashing, places: usize, waiting: usize) -> Self {
        Self {
            policy,
            places: Arc::new(Semaphore::new(places)),
            queue: Arc::new(Semaphore::new(places + waiting)),
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
    pub(super) async fn hash(&self, password: Arc<Password>) -> Result<String, Rejection> {
        let policy = self.policy;
        let hash = self.run(move || policy.hash(password.as_bytes())).await?;
        hash.map_err(fault)
    }

    /// Verifies a password against the hash of an account, or does the same work where there is none.
    ///
    /// A hash that cannot be believed opens nothing, and is told to the operator.
    pub(super) async fn verify(
        &self,
        password: Arc<Password>,
        hash: Option<String>,
    ) -> Result<Verified, Rejection> {
        let policy = self.policy;
        let verified = self
            .run(move || policy.verify(&password, hash.as_deref()))
            .await?;
        Ok(verified.unwrap_or_else(|fault| {
            let error: &dyn std::error::Error = &fault;
            tracing::error!(target: "tower_warden", error, "the password hash of an account is refused");
            Verified::Wrong
        }))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let queued = Arc::clone(&self.queue).try_acquire_owned();
        let queued: OwnedSemaphorePermit = queued.map_err(|_| RejectionKind::Overloaded)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| RejectionKind::Overloaded)?;
        let done = Arc::clone(&self.done);
        let work = spawn_blocking(move || {
            let result = work();
            done.fetch_add(1, Ordering::Relaxed);
            drop((queued, place));
            result
        });
        // What panics, or is shut down with its runtime, has let nobody in.
        work.await
            .map_err(|error| Rejection::new(RejectionKind::Misconfigured).with_source(error))
    }
}

fn fault(fault: HashFault) -> Rejection {
    Rejection::new(RejectionKind::Misconfigured).with_source(fault)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
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
        let mut working = Box::pin(hasher.run(move || wait.recv()));
        assert!(working.as_mut().poll(&mut cx).is_pending());
        let mut waiting = Box::pin(hasher.run(|| ()));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        for _ in 0..2 {
            let refused = hasher.run(|| ()).await.unwrap_err();
            assert_eq!(refused.kind(), RejectionKind::Overloaded);
        }
        drop(waiting);
        let mut next = Box::pin(hasher.run(|| ()));
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
        let mut working = Box::pin(hasher.run(move || {
            tell.send(()).unwrap();
            wait.recv()
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(working.as_mut().poll(&mut cx), Poll::Pending));
        begun.recv().unwrap();
        drop(working);
        assert_eq!(
            hasher.run(|| ()).await.unwrap_err().kind(),
            RejectionKind::Overloaded
        );
        go.send(()).unwrap();
        while hasher.operations() == 0 {
            tokio::task::yield_now().await;
        }
        while hasher.run(|| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_lets_nobody_in() {
        let hasher = Hasher::new(PasswordHashing::dangerous_for_tests(), 1, 0);
        let panicked = hasher.run(|| -> () { panic!("as a library might") }).await;
        assert_eq!(panicked.unwrap_err().kind(), RejectionKind::Misconfigured);
        hasher.run(|| ()).await.unwrap();
    }
}
