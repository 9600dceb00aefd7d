//! A WebSocket under a lease: [`Lease::guard`](crate::Lease::guard) makes a [`GuardedSocket`] of one.
//!
//! 1. [`adapter`]: what a socket has to offer: [`MessageSocket`], for axum's and tokio-tungstenite's.
//! 2. [`guard`]: the socket that hands out no message after its lease has ended.
//! 3. [`goodbye`]: the bounded time after the end; [`bell`]: what wakes both halves then.
//! 4. [`policy`]: which end is told by which close frame; [`inband`]: a newer token in a message.

mod adapter;
mod bell;
mod goodbye;
mod guard;
mod inband;
mod policy;

pub use adapter::MessageSocket;
pub use guard::GuardedSocket;
pub use policy::WebSocketPolicy;
