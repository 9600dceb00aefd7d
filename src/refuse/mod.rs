//! How a refusal is said: a [`RejectionKind`] becomes a status, a challenge and a body.

mod rejection;

pub use rejection::{Rejection, RejectionKind};
