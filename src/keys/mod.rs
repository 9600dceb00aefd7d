//! Where keys come from, and what each must prove before it may verify a token.
//!
//! 1. A [`Key`] is read from a secret, PEM, DER or a JWK and checked at once: type, size, curve, use and algorithm.
//! 2. [`Keys`] is a list of them in which no two can be mistaken for each other.
//! 3. A [`KeySet`] holds the same keys prepared for one crypto backend and one allow-list; verification reads it only.
//! 4. What a provider publishes and changes comes from `remote`, set by set.

pub(crate) mod der;
mod from_env;
mod jwk;
mod key;
mod list;
mod material;
pub(crate) mod pem;
#[cfg(feature = "jwks")]
mod remote;
mod secret;
mod set;

pub use from_env::KeysFromEnv;
pub(crate) use from_env::Named;
pub use key::Key;
pub use list::Keys;
#[cfg(feature = "jwks")]
pub use remote::{HttpJwksSource, KeyFetchError, RemoteKeys};

pub(crate) use der::KeyType;
pub(crate) use jwk::{AlgorithmName, thumbprint_input};
#[cfg(test)]
pub(crate) use material::ALGORITHMS;
pub(crate) use material::{Curve, Material, hash_length};
#[cfg(feature = "introspection")]
pub(crate) use remote::{
    Asked, Asker, Awaited, Kept, Lookup, LookupSettings, Place, Questions, Repute, Span, TokenHash,
    Unanswered, Wanted,
};
#[cfg(feature = "jwks")]
pub(crate) use remote::{Missing, Refresher, Waiting};
pub(crate) use secret::has_run_of;
pub(crate) use set::{Fingerprint, KeySet, PreparedKey};
