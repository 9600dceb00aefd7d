//! The engines behind the stores of this crate. They use the core; the core has never heard of them.
//!
//! - [`memory`]: within one process, gone with it.
//! - [`sql`]: in a SQLite file, or in PostgreSQL.
//! - `redis` (feature `redis`): in Redis or Valkey, for many nodes.

mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;

#[cfg(feature = "accounts")]
pub use memory::MemoryAccountStore;
pub use memory::{MemoryApiKeyStore, MemoryOwnerStore, MemoryOwnershipFeed};
#[cfg(feature = "redis")]
pub use redis::{RedisOptions, RedisOwnershipFeed, RedisRevocationFeed, RedisStore};
#[cfg(feature = "postgres")]
pub use sql::{PostgresFeed, PostgresStore};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::{SqlOptions, SqlStore};
#[cfg(feature = "sqlite")]
pub use sql::{SqliteFeed, SqliteStore};
