//! Streamed answers: Server-Sent Events, or any body that takes longer than a token lives.
//!
//! 1. [`policy`]: what the end of a token means for an answer under way.
//! 2. [`bound`]: a lease and a policy, about to be laid over a body; [`watch`], the two as one clock.
//! 3. [`body`]: the body that ends in time, also when nobody reads it, and the bodies of others that can become one;
//!    [`answer`], what it does for each frame; [`place`], where a last event may stand.
//! 4. [`layer`]: what a route is wrapped in.

mod answer;
mod body;
mod bound;
mod layer;
mod place;
mod policy;
mod watch;

pub use body::{LeasedBody, StreamBody, StreamEnded};
pub use bound::StreamBound;
pub use layer::{StreamLease, StreamLeaseFuture, StreamLeaseLayer};
pub use policy::StreamPolicy;
