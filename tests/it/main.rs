//! What the layers promise, one module per behaviour.
#![allow(clippy::unwrap_used)]

mod support;

mod auto_traits;
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
#[cfg(feature = "testing")]
mod lease;
mod paths;
mod raw_socket;
mod redaction;
#[cfg(feature = "testing")]
mod renewal;
mod requirements;
#[cfg(feature = "testing")]
mod revocation;
mod scopes;
#[cfg(feature = "testing")]
mod silence;
mod sources;
#[cfg(feature = "testing")]
mod stream;
mod tower_contract;
#[cfg(all(feature = "ws", feature = "testing"))]
mod websocket_guard;
#[cfg(all(feature = "axum", feature = "ws", feature = "testing"))]
mod websocket_layer;
#[cfg(all(feature = "ws", feature = "testing"))]
mod websocket_support;
