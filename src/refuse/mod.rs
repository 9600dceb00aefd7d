//! How a refusal is said: a [`RejectionKind`] becomes a status, a challenge and a body.
//!
//! 1. [`rejection`]: the kinds, and the one table from kind to status, code and sentence.
//!    [`claim`]: the claims that it may name.
//! 2. [`challenge`]: `WWW-Authenticate` as RFC 6750 and RFC 9110 want it.
//! 3. [`refusals`]: how a layer answers.
//! 4. [`presets`]: in our words, or in those of the systems that this crate replaces.
//! 5. [`metadata`]: the document that tells a refused client where to get a token.
//! 6. [`body`]: a refusal in the body type of the wrapped service.
//! 7. `websocket`, `closing`, `upgrade` (feature `ws`): a refused handshake, said by status or by close frame.

mod body;
mod challenge;
mod claim;
#[cfg(feature = "ws")]
mod closing;
mod metadata;
mod presets;
mod refusals;
mod rejection;
#[cfg(feature = "ws")]
mod upgrade;
#[cfg(feature = "ws")]
mod websocket;

pub use body::ResponseBody;
pub use challenge::Challenge;
pub(crate) use claim::{Claim, Found};
#[cfg(feature = "ws")]
pub use closing::Closing;
pub use metadata::{ResourceMetadata, ResourceMetadataBuilder, ResourceMetadataService};
pub use refusals::{Refusals, Responder};
pub use rejection::{Rejection, RejectionKind};
#[cfg(feature = "ws")]
pub use websocket::{CloseMap, WebSocketRefusal};
