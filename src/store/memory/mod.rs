//! Stores within one process: for tests, and for services of one node that may forget at a restart.

mod api_keys;
mod owners;

pub use api_keys::MemoryApiKeyStore;
pub use owners::MemoryOwnerStore;
