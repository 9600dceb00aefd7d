//! What a request shows, read and never changed: its path, its token, its origin.

mod head;
mod origin;
mod path;
mod preflight;
pub(crate) mod source;
mod stripped;
mod target;
mod token;
mod upgrade;

pub use head::HeadRef;
pub use origin::MissingOrigin;
pub(crate) use origin::{AllowedOrigins, Page};
pub use path::{Access, CompiledPaths, Explanation, PathDecision, Paths, Rule};
pub(crate) use path::{Found, PathTemplate};
pub use preflight::Preflight;
pub(crate) use preflight::is_preflight;
pub use source::{
    AuthorizationHeader, Carrier, ConflictPolicy, CookieToken, Glance, MalformedCredentials,
    QueryParameter, SubprotocolToken, TokenSource,
};
pub(crate) use source::{Survey, plain, select, survey};
pub use stripped::StrippedHeaders;
pub(crate) use target::requested;
pub use token::BearerToken;
pub(crate) use upgrade::may_open_a_socket;
#[cfg(feature = "ws")]
pub(crate) use {source::first_protocol, upgrade::is_websocket_handshake};
