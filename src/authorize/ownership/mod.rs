//! Whose is it? A resource has one owner, who may share it, and nobody else gets near it.
//!
//! 1. [`id`]: what is owned and by whom, compared byte by byte.
//! 2. [`store`]: what an engine has to answer, in one atomic step for each decision.

mod id;
mod store;

pub use id::{InvalidId, ResourceId, SubjectId};
pub use store::{Claim, OwnerAccess, OwnerStore, Role, Standing};
