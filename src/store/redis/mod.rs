//! Stores in Redis or Valkey, for many nodes; changes travel by its pub/sub.
//!
//! 1. [`options`]: what may be chosen, and [`store`]: the handle that implements every trait.
//! 2. [`link`]: the one connection, which opens again by itself; [`server`], where it leads; [`fault`], what may go wrong
//!    with it.
//! 3. [`keys`]: what everything is called in there, and why no name reaches beyond its own key.
//! 4. [`owners`], [`api_keys`], [`tickets`], [`revocations`]: one script or one command for each decision.
//! 5. [`index`]: what lists read, which is a hint and never a proof.
//! 6. [`feed`]: what other nodes changed.

mod api_keys;
mod fault;
mod feed;
mod index;
mod keys;
mod link;
mod options;
mod owners;
mod revocations;
mod script;
mod server;
mod store;
mod tickets;

pub use feed::{RedisOwnershipFeed, RedisRevocationFeed};
pub use options::RedisOptions;
pub use store::RedisStore;
