//! A newer token for a connection that is open, so that nobody has to reconnect because time passes.
//!
//! 1. [`rules`]: [`Lease::renew`](crate::Lease::renew), and which token may follow which.
//! 2. [`message`]: the door within the connection, a JSON message.
//! 3. [`service`]: the door beside it, `POST /auth/refresh`.

mod message;
mod rules;
mod service;

pub use message::RenewalMessages;
pub(crate) use rules::{Renewal, RenewalRule};
pub use service::RenewalService;
