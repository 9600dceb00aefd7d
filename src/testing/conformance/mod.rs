//! What every store has to hold to, whichever engine it stands on.
//!
//! Each suite is a row of checks over the trait alone, that panics at the first one that fails and says which. It makes
//! up fresh names at each run, so it may be pointed at a database that is in use by other tests.

mod api_keys;
mod owners;

pub use api_keys::api_key_store;
pub use owners::owner_store;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// Drives futures side by side, and gives their answers in order.
async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<(Pin<Box<F>>, Option<F::Output>)> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    poll_fn(move |cx| {
        let mut pending = false;
        for (future, answer) in &mut running {
            if answer.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(ready) => *answer = Some(ready),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return Poll::Pending;
        }
        let answers = running.iter_mut().filter_map(|(_, answer)| answer.take());
        Poll::Ready(answers.collect())
    })
    .await
}

/// A name that nobody has used before.
fn fresh(name: &str) -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the system has randomness");
    format!("{name}-{:016x}", u64::from_le_bytes(random))
}
