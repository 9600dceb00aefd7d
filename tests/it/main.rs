//! The behaviour of tower-warden, a module per subject.
#![allow(clippy::unwrap_used)]

mod tokens;

mod claims;
mod compact;
mod issue;
mod keys;
mod rfc_vectors;
mod verify_hazards;
