//! Keys that a provider publishes and changes: fetched with care, kept fresh, and never waited for by those who have one.
//!
//! | step | file | what it answers for |
//! | --- | --- | --- |
//! | 1 | `config`, `tenants` | [`RemoteKeys`]: what is asked, whose keys they are, and with how much patience |
//! | 2 | `discovery` | from the name of an issuer to the address of its keys |
//! | 3 | `endpoint`, `http_hosts`, `fetch`, `found`, `lifetime` | one careful GET: https, or http from where it is allowed, no redirects, bounded in time and size |
//! | 4 | `source` | [`HttpJwksSource`], and any `JwksSource` of `jwks_client_rs` |
//! | 5 | `refresh`, `flight`, `schedule` | one fetch at a time, ahead of need; a failed one changes nothing |
//! | 6 | `snapshot` | what a set must be to replace the keys that are there |
//! | 7 | `demand`, `unknown`, `floor` | tokens that name keys nobody has: who waits, who is refused, what is remembered, who may ask |
//! | 8 | `lookup`, `questions`, `kept` | not about keys: what a provider is asked about a single token, and how long it counts |
//! | 9 | `error` | [`KeyFetchError`], for the operator |

mod config;
mod demand;
mod discovery;
mod endpoint;
mod error;
mod fetch;
mod flight;
mod floor;
mod found;
mod http_hosts;
#[cfg(feature = "introspection")]
mod kept;
mod lifetime;
#[cfg(feature = "introspection")]
mod lookup;
#[cfg(feature = "introspection")]
mod questions;
mod refresh;
mod schedule;
mod snapshot;
mod source;
mod tenants;
mod unknown;

pub use config::RemoteKeys;
pub use error::KeyFetchError;
pub use source::HttpJwksSource;

pub(crate) use demand::{Missing, Waiting};
#[cfg(feature = "introspection")]
pub(crate) use discovery::Wanted;
#[cfg(feature = "introspection")]
pub(crate) use kept::{Kept, Span};
#[cfg(feature = "introspection")]
pub(crate) use lookup::{Lookup, LookupSettings, Place};
#[cfg(feature = "introspection")]
pub(crate) use questions::{Asked, Asker, Awaited, Questions, Repute, TokenHash, Unanswered};
pub(crate) use refresh::Refresher;
