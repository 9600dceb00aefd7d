//! What the library promises, one module per behaviour.
#![allow(clippy::unwrap_used)]

mod support;
mod tokens;

mod api_keys;
mod auto_traits;
mod claims;
mod compact;
mod configuration;
mod cookie_layer;
mod cors;
#[cfg(feature = "axum")]
mod extractors;
#[cfg(feature = "testing")]
mod hostile;
mod issue;
mod jwt_layer;
mod keys;
mod ownership;
mod paths;
mod raw_socket;
mod redaction;
mod requirements;
mod rfc_vectors;
mod scopes;
#[cfg(feature = "testing")]
mod silence;
mod sources;
mod tower_contract;
mod verify_hazards;
