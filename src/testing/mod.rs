//! For the tests of applications (feature `testing`): time and tokens to order.
//!
//! 1. [`ManualClock`]: time that stands still until a test moves it.
//! 2. [`TestTokens`]: good tokens, bad tokens, and hostile ones.

mod clock;
mod forge;
mod hostile;
mod mac;
mod tokens;

pub use clock::ManualClock;
pub use tokens::TestTokens;
