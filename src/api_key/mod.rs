//! API keys: credentials that an owner makes for a program of theirs, shown once and kept as a keyed hash.
//!
//! 1. [`record`]: what is kept of a key.
//! 2. [`store`]: where it is kept.

mod record;
mod store;

pub use record::{ApiKeyRecord, KeyHash};
pub use store::ApiKeyStore;
