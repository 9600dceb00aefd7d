//! API keys: credentials that an owner makes for a program of theirs, shown once and kept as a keyed hash.
//!
//! 1. [`source`]: where a key travels.
//! 2. [`text`]: how it is written.
//! 3. [`record`], [`store`]: what is kept of it, and where.
//! 4. [`keys`], [`builder`]: who stands behind it; [`create`]: how it is made; [`usage`]: when it was used.
//! 5. [`service`]: by which principals look after their own.

mod builder;
mod create;
mod keys;
mod record;
mod service;
mod source;
mod store;
mod text;
mod usage;

pub use builder::ApiKeysBuilder;
pub use create::{ApiKeyError, CreatedApiKey, NewApiKey};
pub use keys::ApiKeys;
pub use record::{ApiKeyRecord, KeyHash};
pub use service::ApiKeyService;
pub use source::ApiKeyHeader;
pub use store::{ApiKeyStore, Inserted};
