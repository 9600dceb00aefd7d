//! Where keys come from, and what each must prove before it may verify a token.

mod set;

pub(crate) use set::{KeySet, PreparedKey};
