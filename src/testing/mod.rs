//! For the tests of applications (feature `testing`): time and tokens to order.
//!
//! 1. [`ManualClock`]: time that stands still until a test moves it.
//! 2. [`TestTokens`]: good tokens, bad tokens, and hostile ones.
//! 3. [`PrincipalLayer`]: a principal without any token.
//! 4. [`conformance`]: what every store has to hold to, yours included.

mod clock;
pub mod conformance;
mod forge;
mod hostile;
mod mac;
mod principal;
mod tokens;

pub use clock::ManualClock;
pub use principal::{AsPrincipal, PrincipalLayer};
pub use tokens::TestTokens;
