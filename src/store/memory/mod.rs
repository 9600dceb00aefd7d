//! Stores within one process: for tests, and for services of one node that may forget at a restart.
//!
//! - [`shelf`]: what they share: a lock, and an index by owner.
//! - [`owners`] and [`api_keys`](mod@api_keys): the stores.

#[cfg(feature = "accounts")]
mod accounts;
mod api_keys;
mod owners;
mod shelf;

#[cfg(feature = "accounts")]
pub use accounts::MemoryAccountStore;
pub use api_keys::MemoryApiKeyStore;
pub use owners::{MemoryOwnerStore, MemoryOwnershipFeed};
