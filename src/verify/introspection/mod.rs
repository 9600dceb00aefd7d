//! Tokens that nobody can read but their provider ([RFC 7662]): opaque ones, looked up one by one.
//!
//! 1. `config`: [`Introspection`], where they are looked up, and as whom.
//! 2. `introspector`: what is known already, what is asked, and how long the answer counts.
//! 3. `answer`: an active token, or not, or no answer at all.
//!
//! An active token is then measured against the same [rules](super::rules::Rules) as a JWT, by the same reader of claims.
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662

mod answer;
mod config;
mod introspector;

pub use config::Introspection;

pub(super) use introspector::Introspector;
pub(super) use introspector::Question;
