//! The stores on the engines that people run, and what becomes of them when those fail.
//!
//! `tests/run services` starts what is needed; whatever needs a server is ignored by a plain `cargo test`.
#![allow(clippy::unwrap_used)]

mod engines;
mod house;
mod postgres;
mod postgres_accounts;
mod proxy;
mod redis;
mod sqlite;
mod switch_over;
