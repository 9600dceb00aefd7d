//! The stores on the engines that people run, and what becomes of them when those fail.
//!
//! `tests/run services` starts what is needed; whatever needs a server is ignored by a plain `cargo test`.
#![allow(clippy::unwrap_used)]

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod engines;
mod house;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(all(feature = "accounts", feature = "postgres", feature = "testing"))]
mod postgres_accounts;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod proxy;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
