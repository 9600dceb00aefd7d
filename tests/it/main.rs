#![allow(missing_docs)]

mod keys;
