//! The stores on the engines that people run, and what becomes of them when those fail.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "postgres")]
mod postgres;
