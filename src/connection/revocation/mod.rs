//! What holds no longer although its time is not over: tokens, sessions, subjects, keys.
//!
//! ```text
//! revoke ─► marks, in memory ◄── gate: every request, and every lease as it is opened or renewed
//!    │           └─► connections: open leases end at once
//!    └────► store ─► feed ─► the marks of every other node, healed by a read of the whole every 30 s;
//!                            while that cannot be done, nobody is let in by what may no longer be true
//! ```
//!
//! 1. [`entry`]: one [`Revocation`].
//! 2. [`table`], [`everything`], [`marks`]: all that are in force, to be asked in the time of a hash.
//! 3. [`revocations`]: what an application holds and its layers share.
//! 4. [`store`]: the seam for an engine that many nodes share, [`memory`] the one within a process, [`follow`] what
//!    a node does with what it hears from it.

mod entry;
mod everything;
mod follow;
mod marks;
mod memory;
mod revocations;
mod store;
mod table;

pub use entry::{Revocation, RevocationTarget};
pub use memory::{MemoryRevocationFeed, MemoryRevocationStore};
pub use revocations::{RevocationError, Revocations, RevocationsBuilder};
pub use store::{RevocationFeed, RevocationStore};
