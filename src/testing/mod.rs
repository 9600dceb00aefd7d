//! For the tests of applications (feature `testing`): time, tokens and principals to order.
//!
//! 1. [`ManualClock`]: time that stands still until a test moves it.

mod clock;

pub use clock::ManualClock;
