//! What may be seen from outside: one event for each refusal, and never a credential.
//!
//! - [`event`]: what a refusal tells the operator.
//! - [`redact`]: keeps tokens out of the logs of other layers.
//! - [`mod@shown`]: what others wrote, and addresses without their secrets.

mod event;
mod redact;
mod shown;

pub(crate) use event::{connection_ended, mounted_outside, refused};
pub use redact::{
    RedactUri, RedactUriService, RedactedUri, RestoreUriFuture, RestoreUriService, redacted_uri,
};
pub(crate) use shown::{excerpt, shown, shown_url};
