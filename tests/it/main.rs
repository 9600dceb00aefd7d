//! One binary for all behaviour seen from outside, a module per behaviour.
#![allow(clippy::unwrap_used)]

mod paths;
