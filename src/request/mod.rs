//! What a request shows, read and never changed: its path, its token, its origin.

pub(crate) mod source;
mod token;
mod upgrade;

pub use source::{
    AuthorizationHeader, ConflictPolicy, CookieToken, MalformedCredentials, QueryParameter,
    TokenSource,
};
pub(crate) use source::{Selected, select};
pub use token::BearerToken;
