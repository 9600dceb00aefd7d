//! [`Questions`]: what a provider is being asked about single tokens, each token once at a time.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, sync::watch};

/// The SHA-256 of a token, which stands for it where the token itself is not kept.
pub(crate) type TokenHash = [u8; 32];

/// The most questions that are open at a time. Whoever makes up tokens can take up no more of the provider, or of us.
const MOST: usize = 128;

type Running<V> = Mutex<HashMap<TokenHash, watch::Receiver<Option<V>>>>;

/// Questions that are open. Each runs in a task of its own, so that nobody who stops waiting takes it from the others.
pub(crate) struct Questions<V>(Arc<Running<V>>);

/// What became of a question.
pub(crate) enum Asked<V> {
    /// The answer came in the moment in which it was to be asked.
    Known(V),
    Wait(Awaited<V>),
    /// Too many are open, or there is no runtime to ask in.
    Overloaded,
}

/// An answer on its way.
pub(crate) struct Awaited<V>(watch::Receiver<Option<V>>);

impl<V: Clone + Send + Sync + 'static> Questions<V> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Joins the question about this token, or begins it.
    ///
    /// `known` is looked at once more before, as an answer is kept by its question before that ends.
    pub(crate) fn ask<Q>(
        &self,
        hash: TokenHash,
        known: impl FnOnce() -> Option<V>,
        question: impl FnOnce() -> Q,
    ) -> Asked<V>
    where
        Q: Future<Output = V> + Send + 'static,
    {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = running.get(&hash) {
            return Asked::Wait(Awaited(receiver.clone()));
        }
        if let Some(known) = known() {
            return Asked::Known(known);
        }
        let Ok(runtime) = Handle::try_current() else {
            return Asked::Overloaded;
        };
        if running.len() >= MOST {
            return Asked::Overloaded;
        }
        let (sender, receiver) = watch::channel(None);
        running.insert(hash, receiver.clone());
        let open = Open {
            running: Arc::clone(&self.0),
            hash,
        };
        let question = question();
        // A runtime that shuts down drops the task at once, which strikes the question off.
        drop(running);
        runtime.spawn(async move {
            let answer = question.await;
            drop(open);
            sender.send_replace(Some(answer));
        });
        Asked::Wait(Awaited(receiver))
    }
}

impl<V: Clone> Awaited<V> {
    /// The answer, or `None` if nobody works on it any more.
    pub(crate) async fn answer(mut self) -> Option<V> {
        let answer = self.0.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }
}

/// Strikes a question off the list when it ends, however it ends.
struct Open<V> {
    running: Arc<Running<V>>,
    hash: TokenHash,
}

impl<V> Drop for Open<V> {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.hash);
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

    #[tokio::test]
    async fn one_question_for_each_token_at_a_time() {
        let questions = Questions::new();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let first = questions.ask([1; 32], nothing, || async { receiver.await.unwrap() });
        let second = questions.ask([1; 32], nothing, || async { unreachable!("joined") });
        let (Asked::Wait(first), Asked::Wait(second)) = (first, second) else {
            panic!("both wait");
        };
        // Whoever began it may leave.
        drop(first);
        sender.send(7).unwrap();
        assert_eq!(second.answer().await, Some(7));
        // And then it is over.
        let Asked::Wait(third) = questions.ask([1; 32], nothing, || async { 8 }) else {
            panic!("waits");
        };
        assert_eq!(third.answer().await, Some(8));
        let known = questions.ask([1; 32], || Some(9), future::pending);
        assert!(matches!(known, Asked::Known(9)));
    }

    #[tokio::test]
    async fn there_are_never_more_than_so_many() {
        let questions = Questions::new();
        for number in 0..MOST {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            let asked = questions.ask(hash, nothing, future::pending);
            assert!(matches!(asked, Asked::Wait(_)));
        }
        let refused = questions.ask([9; 32], nothing, future::pending);
        assert!(matches!(refused, Asked::Overloaded));
        let joined = questions.ask([0; 32], nothing, future::pending);
        assert!(matches!(joined, Asked::Wait(_)));
    }

    #[tokio::test]
    async fn a_question_that_panics_leaves_nothing_behind() {
        let questions = Questions::<u8>::new();
        let asked = questions.ask([1; 32], nothing, || async { panic!("on purpose") });
        let Asked::Wait(waiting) = asked else {
            panic!("waits");
        };
        assert_eq!(waiting.answer().await, None);
        assert_eq!(questions.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn without_a_runtime_nobody_is_asked() {
        let asked = Questions::<u8>::new().ask([1; 32], nothing, future::pending);
        assert!(matches!(asked, Asked::Overloaded));
    }
}
