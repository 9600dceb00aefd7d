//! Whose is it? A resource has one owner, who may share it, and nobody else gets near it.
//!
//! 1. [`id`]: what is owned and by whom, compared byte by byte.
//! 2. [`key`]: which resource a request is about.
//! 3. [`store`]: what an engine has to answer, in one atomic step for each decision.
//! 4. [`rules`]: the decision about one request.
//! 5. [`layer`], [`future`]: the middleware that asks for it, [`owned`]: what the inner service finds.
//! 6. [`events`]: how an open connection learns that its right has gone, [`spread`]: on every node.

mod events;
mod future;
mod id;
mod key;
mod layer;
mod owned;
mod rules;
mod spread;
mod store;

pub use events::{Owners, OwnershipChange};
pub use future::OwnershipFuture;
pub use id::{InvalidId, ResourceId, SubjectId};
pub use key::ResourceKey;
pub use layer::{Ownership, OwnershipLayer};
pub use owned::Owned;
pub use spread::{OwnershipFeed, SharedOwnerStore};
pub use store::{Claim, OwnerAccess, OwnerStore, Role, Standing};
