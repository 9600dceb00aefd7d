//! tower-warden
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod error;
mod keys;
mod refuse;
mod request;
mod verify;

pub use clock::{Clock, NumericDate, SystemClock};
pub use error::ConfigError;
pub use jsonwebtoken::Algorithm;
pub use refuse::{Rejection, RejectionKind};
pub use request::{
    Access, BearerToken, CompiledPaths, Explanation, MalformedCredentials, PathDecision, Paths,
    Rule, TokenSource,
};
