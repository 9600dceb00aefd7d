//! What the library promises, one module per behaviour.
#![allow(clippy::unwrap_used)]

mod support;
mod tokens;

#[cfg(all(feature = "accounts", feature = "axum", feature = "testing"))]
mod accounts_axum;
#[cfg(all(feature = "accounts", feature = "testing"))]
mod accounts_contract;
#[cfg(all(feature = "accounts", feature = "testing"))]
mod accounts_cookies;
#[cfg(all(feature = "accounts", feature = "testing"))]
mod accounts_hazards;
#[cfg(all(feature = "accounts", feature = "testing"))]
mod accounts_sessions;
#[cfg(all(feature = "accounts", feature = "sqlite", feature = "testing"))]
mod accounts_sqlite;
#[cfg(all(feature = "accounts", feature = "testing"))]
mod accounts_support;
mod api_keys;
mod auto_traits;
#[cfg(feature = "axum")]
mod browsers;
mod caches;
mod claims;
mod compact;
mod configuration;
mod cookie_layer;
mod cors;
#[cfg(feature = "testing")]
mod cut_off;
#[cfg(feature = "axum")]
mod extractors;
#[cfg(feature = "testing")]
mod hostile;
mod https;
#[cfg(feature = "introspection")]
mod introspection;
mod issue;
#[cfg(feature = "jwks")]
mod jwks_discovery;
#[cfg(feature = "jwks")]
mod jwks_faults;
#[cfg(feature = "jwks")]
mod jwks_issuers;
#[cfg(feature = "jwks")]
mod jwks_refresh;
#[cfg(feature = "jwks")]
mod jwks_rotation;
mod jwt_layer;
mod keys;
#[cfg(feature = "testing")]
mod lease;
mod log_lines;
mod metadata;
mod minted_elsewhere;
#[cfg(feature = "introspection")]
mod opaque_tokens;
mod ownership;
mod paths;
#[cfg(feature = "jwks")]
mod provider;
#[cfg(feature = "jwks")]
mod providers;
mod raw_socket;
mod recognized;
mod redaction;
mod refusals;
mod refused_claims;
#[cfg(feature = "testing")]
mod renewal;
mod requirements;
mod resource;
#[cfg(feature = "testing")]
mod revocation;
mod rfc9068;
mod rfc_vectors;
#[cfg(feature = "axum")]
mod routers;
mod scopes;
#[cfg(feature = "testing")]
mod silence;
mod sources;
#[cfg(feature = "testing")]
mod spread;
#[cfg(feature = "testing")]
mod stream;
mod ticket;
mod token_cache;
#[cfg(feature = "testing")]
mod tokio_clock;
mod tower_contract;
#[cfg(all(feature = "introspection", feature = "ws", feature = "testing"))]
mod trust;
#[cfg(all(feature = "ws", feature = "testing"))]
mod unread;
#[cfg(feature = "introspection")]
mod userinfo;
mod verify_hazards;
#[cfg(all(feature = "ws", feature = "testing"))]
mod websocket_guard;
#[cfg(all(feature = "axum", feature = "ws", feature = "testing"))]
mod websocket_layer;
#[cfg(all(feature = "ws", feature = "testing"))]
mod websocket_support;
