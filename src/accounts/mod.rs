//! Accounts: registration, login and sessions, for a service that is its own identity provider.
//!
//! ```text
//!            ┌─ origin ─ address ─ limits ─┐
//! request ─► service ──────────────────────┴─► sign_in ──► hasher ──► hashing      ┌─► cookies ─► response
//!            │                                 │  username, password               │
//!            │                                 └─► store: users ──┐               │
//!            └─► sessions: who asks, sliding renewal, refresh ────┴─► sessions ─► token (TokenIssuer), refresh token
//!                     └─► ended: Revocations ─► every gate, every open connection
//! ```
//!
//! A login begins a **session**. Its ID (`sid`) is in every token that the session is given, so that ending the session
//! ends them all, and whatever they keep open, wherever the [`Revocations`](crate::Revocations) are shared. The gate knows
//! nothing of accounts: it verifies tokens, as from any other issuer.
//!
//! 1. `username`, `password`: what was typed, in one spelling, and for as short a time as possible.
//! 2. `hashing`, `hasher`: how passwords are hashed, and how many at once.
//! 3. `limits`: how often a client may try.
//! 4. `record`, `store`: what is kept, and where.
//! 5. `refresh`, `cookies`: what the browser is given.
//! 6. `handle`, `builder`: what an application holds, and how it is made.
//! 7. `sign_in`, `sessions`, `ended`, `change`: what can be asked for.
//! 8. `service`: by which requests; `router` (feature `axum`) mounts it.

mod builder;
mod change;
mod cookies;
mod ended;
mod handle;
mod hasher;
mod hashing;
mod limits;
mod password;
mod record;
mod refresh;
#[cfg(feature = "axum")]
mod router;
mod service;
mod sessions;
mod sign_in;
mod store;
mod username;

pub use builder::AccountsBuilder;
pub use handle::Accounts;
pub use hashing::PasswordHashing;
pub use record::{RefreshHash, SessionRecord, UserRecord};
pub use service::AccountService;
pub use store::AccountStore;
