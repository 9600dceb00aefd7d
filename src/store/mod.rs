//! The engines behind the stores of this crate. They use the core; the core has never heard of them.
//!
//! - [`memory`]: within one process, gone with it.

mod memory;

pub use memory::{MemoryApiKeyStore, MemoryOwnerStore, MemoryOwnershipFeed};
