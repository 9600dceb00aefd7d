//! May they? What is asked of a principal once it is known who they are.
//!
//! - [`requirement`]: the application's own conditions, over principal and request head.
//! - [`resource`]: tokens that are for one resource, held against the one that is asked for.
//! - [`scope`]: scopes, as a layer of its own for single routes.
//! - [`ownership`]: whose resource it is.

mod ownership;
mod requirement;
mod resource;
mod scope;

pub(crate) use ownership::Tied;
pub use ownership::{
    Claim, InvalidId, Owned, OwnerAccess, OwnerStore, Owners, OwnersBuilder, Ownership,
    OwnershipChange, OwnershipFeed, OwnershipFuture, OwnershipLayer, ResourceId, ResourceKey, Role,
    SharedOwnerStore, Standing, SubjectId,
};
pub use requirement::Verdict;
pub(crate) use requirement::{Answer, PendingVerdict, Requirement};
pub use resource::ResourceBinding;
pub(crate) use scope::check_scope;
pub use scope::{RequireScope, RequireScopeFuture, RequireScopeLayer};
