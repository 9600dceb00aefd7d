#![allow(missing_docs)]

mod issue;
mod keys;
