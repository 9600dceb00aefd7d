//! The behaviour of tower-warden, seen from outside: one module per behaviour.
#![allow(clippy::unwrap_used)]

mod redaction;
mod sources;
