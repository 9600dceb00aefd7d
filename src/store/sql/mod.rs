//! Stores in SQL databases: one file for one machine, or a server for many nodes.
//!
//! 1. [`store`]: [`SqlStore`], a pool of connections to one database, which is every store of this crate at once.
//! 2. [`engine`]: what differs between databases; [`sqlite`] and [`postgres`] say it, and how each is opened.
//! 3. [`schema`]: the tables, brought up to date at opening from the scripts in `migrations`.
//! 4. [`owners`], [`api_keys`], [`tickets`], [`revocations`]: each store, in SQL that every database understands.
//! 5. [`sqlite_feed`], [`postgres_feed`]: how nodes hear of what others do.
//! 6. [`notice`]: how a change of ownership is written for other nodes.
//! 7. [`options`]: what may be chosen; [`error`]: what may be said of a failure.

#[cfg(feature = "accounts")]
mod accounts;
mod api_keys;
mod engine;
mod error;
mod notice;
mod options;
mod owners;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_feed;
mod revocations;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_feed;
mod store;
mod tickets;

pub use options::SqlOptions;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "postgres")]
pub use postgres_feed::PostgresFeed;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
#[cfg(feature = "sqlite")]
pub use sqlite_feed::SqliteFeed;
pub use store::SqlStore;
