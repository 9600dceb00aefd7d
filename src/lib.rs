//! tower-warden
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod error;
mod keys;
mod refuse;
mod request;
mod telemetry;
mod verify;

pub use clock::{Clock, NumericDate, SystemClock};
pub use error::ConfigError;
pub use jsonwebtoken::Algorithm;
pub use refuse::{Rejection, RejectionKind};
pub use request::{
    AuthorizationHeader, BearerToken, ConflictPolicy, CookieToken, MalformedCredentials,
    MissingOrigin, Preflight, QueryParameter, StrippedHeaders, TokenSource,
};
pub use telemetry::{
    RedactUri, RedactUriService, RedactedUri, RestoreUriFuture, RestoreUriService, redacted_uri,
};
