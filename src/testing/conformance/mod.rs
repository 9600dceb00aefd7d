//! What every store has to hold to, whichever engine it stands on.
//!
//! Each suite is a row of checks over the trait alone, that panics at the first one that fails and says which. It makes
//! up fresh names at each run, so it may be pointed at a database that is in use by other tests.

#[cfg(feature = "accounts")]
mod accounts;
mod api_keys;
mod owners;
mod ownership_feed;
mod revocations;
mod tickets;

#[cfg(feature = "accounts")]
pub use accounts::account_store;
pub use api_keys::api_key_store;
pub use owners::owner_store;
pub use ownership_feed::shared_owner_store;
pub use revocations::revocation_store;
pub use tickets::ticket_store;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// Drives futures side by side, and gives their answers in order.
async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).map(Running::On).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for one in &mut running {
            if let Running::On(future) = one {
                match future.as_mut().poll(cx) {
                    Poll::Ready(answer) => *one = Running::Done(answer),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    let answers = running.into_iter().filter_map(|one| match one {
        Running::Done(answer) => Some(answer),
        Running::On(_) => None,
    });
    answers.collect()
}

enum Running<F: Future> {
    On(Pin<Box<F>>),
    Done(F::Output),
}

/// A name that nobody has used before.
fn fresh(name: &str) -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the system has randomness");
    format!("{name}-{:016x}", u64::from_le_bytes(random))
}
