//! From a [`BearerToken`](crate::BearerToken) to a [`VerifiedToken`]: doubts in the order of their price.
//!
//! | step | file | refuses |
//! | --- | --- | --- |
//! | 1 | `compact` | more than `with_max_token_size`, not three parts, base64url that is not canonical |
//! | 2 | `header` | `crit`, `b64`, `zip`, `enc`, duplicate members, an algorithm beyond the twelve |
//! | 3 | `attempt`, `snapshot` | an algorithm that is not allowed, a key that is not at hand |
//! | 4 | `json`, `claims` | a payload that is not one JSON object, duplicate members; a token that has expired, where it says so |
//! | 5 | `signature` | a signature that is not the key's |
//! | 6 | `claims`, `date`, `strings`, `actor`, `rules` | claims that are missing, of the wrong type, or not as configured |
//!
//! Up to the signature nothing is believed and nothing allocated: the parts are decoded on the stack, and claims are
//! places in the payload. What passes all doubts stays in the `cache`, and passes by it the next time: a token that one of
//! the keys may have signed is looked up there before step 4. With several `issuers` the payload is looked at first, for the name of one; where a key is
//! `missing` and its provider is asked, the caller may `wait`, and the token starts again. What nobody but its provider
//! can read, `introspection` looks up. `builder` and `build` fix the [rules](rules::Rules) once, `token` is what the rest of the
//! house sees, `remembered` what stays of it where a ticket stands in its place.

mod authenticate;
mod build;
mod builder;
mod grounds;
mod issuers;
mod verifier;

mod attempt;
mod authority;
mod cache;
#[cfg(feature = "introspection")]
mod introspection;
#[cfg(feature = "jwks")]
mod missing;
mod snapshot;
mod wait;

mod compact;
mod header;
mod json;
mod signature;

mod actor;
mod claims;
mod date;
mod path;
mod rules;
mod strings;

mod remembered;
mod token;

pub use actor::Actor;
pub(crate) use authenticate::{Authenticate, Authenticated, Authentication, Changed};
pub use builder::VerifierBuilder;
pub use cache::CacheConfig;
pub(crate) use grounds::Standing;
#[cfg(feature = "introspection")]
pub use introspection::Introspection;
#[cfg(feature = "introspection")]
pub(crate) use json::string_member;
pub use path::ClaimPath;
pub(crate) use remembered::Remembered;
pub use rules::TokenType;
pub(crate) use rules::{CONNECTION_TYPE, is_media_type};
pub use signature::CryptoBackend;
#[cfg(feature = "aws-lc-rs")]
pub(crate) use signature::hmac_with;
pub(crate) use signature::{SignatureVerifier, sha256};
pub(crate) use token::BOUND_CLAIMS;
#[cfg(feature = "introspection")]
pub(crate) use token::Vouched;
pub use token::{CredentialKind, VerifiedToken};
pub use verifier::Verifier;
pub use wait::{KeyWait, Verification};
