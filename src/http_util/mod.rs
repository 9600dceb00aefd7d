//! Helpers over the parts of a request that several rooms read.
//!
//! - [`lists`] splits the lists of headers.
//! - [`proxies`] holds the trusted proxies; [`client`] finds the client's address through them,
//!   [`scheme`] tells https from plain http.
//!
//! They take headers and extensions, so that every room may use them, whether it owns the head of a request or borrows it.

mod client;
mod lists;
mod proxies;
mod scheme;

pub(crate) use client::ClientAddress;
pub(crate) use lists::split;
pub(crate) use proxies::TrustedProxies;
pub(crate) use scheme::Transport;
