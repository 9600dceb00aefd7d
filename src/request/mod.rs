//! What a request shows, read and never changed: its path, its token, its origin.

mod source;
mod token;

pub use source::{MalformedCredentials, TokenSource};
pub use token::BearerToken;
