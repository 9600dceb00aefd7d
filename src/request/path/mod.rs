//! Which requests must carry credentials: the path is read here, and nothing else of the request but its method.
//!
//! 1. [`rules`] holds what the application says: [`Paths`], [`Rule`] and [`Access`].
//! 2. [`pattern`] reads the dialect of one pattern, once, when the layer is built.
//! 3. [`tree`] files the rules by segment, so the first rule found is the most specific one.
//! 4. [`canonical`] says whether a path can be read in one way only.
//! 5. [`readings`] lists every way in which a path of doubtful form might be read by some server.
//! 6. [`compiled`] decides: [`CompiledPaths::decide`].
//! 7. [`explain`] says in words what was decided, and prints the table of rules.
//! 8. [`template`] reads which resource a path names.
//!
//! Two rules hold everywhere. *Protecting widens, exempting narrows*: a protected pattern covers its whole subtree,
//! ignores case and is compared with every reading of a path; an exempt one is compared exactly, with the raw text.
//! *Doubt protects*: a path that is not canonical never meets an exemption.

mod canonical;
mod compiled;
mod explain;
mod pattern;
mod readings;
mod rules;
mod template;
mod tree;

pub use compiled::{CompiledPaths, PathDecision};
pub use explain::Explanation;
pub use rules::{Access, Paths, Rule};
pub(crate) use template::{Found, PathTemplate};
