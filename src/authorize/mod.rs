//! May they? What is asked of a principal once it is known who they are.
//!
//! - [`requirement`]: the application's own conditions, over principal and request head.
//! - [`scope`]: scopes, as a layer of its own for single routes.

mod requirement;
mod scope;

pub use requirement::Verdict;
pub(crate) use requirement::{Answer, PendingVerdict, Requirement};
pub use scope::{RequireScope, RequireScopeFuture, RequireScopeLayer};
