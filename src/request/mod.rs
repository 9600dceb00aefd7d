//! What a request shows, read and never changed: its path, its token, its origin.

mod path;
mod source;
mod token;

pub use path::{Access, CompiledPaths, Explanation, PathDecision, Paths, Rule};
pub use source::{MalformedCredentials, TokenSource};
pub use token::BearerToken;
