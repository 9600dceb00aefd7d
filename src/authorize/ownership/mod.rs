//! Whose is it? A resource has one owner, who may share it, and nobody else gets near it.
//!
//! 1. [`id`]: what is owned and by whom, compared byte by byte.
//! 2. [`key`]: which resource a request is about.
//! 3. [`store`]: what an engine has to answer, in one atomic step for each decision.
//! 4. [`rules`]: the decision about one request.
//! 5. [`layer`], [`future`]: the middleware that asks for it, [`owned`]: what the inner service finds.
//! 6. [`owners`]: a store around which connections end with their right: [`change`], a right given or taken; [`ties`],
//!    the connections by their resource; [`spread`], the seam for many nodes, and [`follow`], how a node keeps up.

mod change;
mod follow;
mod future;
mod id;
mod key;
mod layer;
mod owned;
mod owners;
mod rules;
mod spread;
mod store;
mod ties;

pub use change::OwnershipChange;
pub use future::OwnershipFuture;
pub use id::{InvalidId, ResourceId, SubjectId};
pub use key::ResourceKey;
pub use layer::{Ownership, OwnershipLayer};
pub use owned::Owned;
pub use owners::{Owners, OwnersBuilder};
pub use spread::{OwnershipFeed, SharedOwnerStore};
pub use store::{Claim, OwnerAccess, OwnerStore, Role, Standing};
pub(crate) use ties::Tied;
