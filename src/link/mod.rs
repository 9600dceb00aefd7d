//! The link between a node and the store that it shares with others.
//!
//! A node that judges from memory, or keeps connections open by what it was told, is right only as long as it hears what
//! the others do. So it follows the store's feed, asks for a sign of life now and then, and reads the whole from time to
//! time; and when none of that succeeds any more, it knows that it does not know.
//!
//! ```text
//!            what was lost is back within 1 s: nobody notices
//!          ┌────────────────────────────────────────────────┐
//! in touch ─► lost ─► cut off: logged, `ready()` says so ─► requests refused ─► connections end
//!          ▲                │        FailClosed: at once          │  after as long as the whole takes to be read again
//!          │                └─────── FailOpen: once it knows nothing younger than that ──┘
//!          └── the feed stands again, and the whole has been read: logged
//! ```
//!
//! 1. [`policy`]: what a node does that is cut off, and how it says so.
//! 2. [`state`]: how it stands at the moment, for whoever asks: an atomic.
//! 3. [`follow`](mod@follow): the task that keeps up.

mod follow;
mod policy;
mod state;

#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) use follow::{First, first};
pub(crate) use follow::{Followed, Heard, NoAnswer, follow, patiently};
pub use policy::{CutOff, CutOffPolicy};
pub(crate) use state::Link;

use std::time::Duration;

/// How often the whole is read unless it is told otherwise.
pub(crate) const HEALING: Duration = Duration::from_secs(30);
