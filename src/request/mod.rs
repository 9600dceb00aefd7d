//! What a request shows, read and never changed: its path, its token, its origin.

mod origin;
mod preflight;
pub(crate) mod source;
mod stripped;
mod token;
mod upgrade;

pub(crate) use origin::AllowedOrigins;
pub use origin::MissingOrigin;
pub use preflight::Preflight;
pub(crate) use preflight::is_preflight;
pub use source::{
    AuthorizationHeader, ConflictPolicy, CookieToken, MalformedCredentials, QueryParameter,
    TokenSource,
};
pub(crate) use source::{Selected, select};
pub use stripped::StrippedHeaders;
pub use token::BearerToken;
