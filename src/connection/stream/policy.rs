//! [`StreamPolicy`]: what the end of a token means for an answer under way.

use std::time::Duration;

/// What the end of a token means for an answer that is under way when it comes.
///
/// It concerns the ends that time brings: the token's expiry, and the layer's cap. A revocation, the loss of ownership
/// and the application's own word end a stream at once, whatever the policy.
///
/// An answer that is cut off ends with `event: auth` and `data: {"code":"token_expired"}` if it is an event stream
/// (`text/event-stream`, not compressed) between two events. Else it fails where the type of the body can say so, so
/// that a part is not taken for the whole, and ends where it cannot.
///
/// # Back-pressure
///
/// A server asks a body for its next frame once there is room for it, so a client that stops reading is sent nothing more,
/// not even the end. What feeds the body, such as a model's paid answer, is not held for it: where the body does not know
/// its size, a task watches over the end beside it and drops the inner body then. The client is told when it reads again.
///
/// Until then the connection itself stays open: it is the server's, out of reach of a layer. A server that lets strangers
/// in bounds how long a write may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamPolicy {
    /// It may be finished, for so long after the deadline at most: to cut an answer off throws away what its model has
    /// been paid for. The default, with 5 min.
    FinishResponse {
        /// How long after the deadline.
        cap: Duration,
    },
    /// It ends at the deadline: for subscriptions, which the client takes up again with a fresh token.
    Close,
    /// As [`FinishResponse`](Self::FinishResponse), and an event stream is told at the deadline: `event: auth`,
    /// `data: {"code":"token_expired","ends_in":30}`, in seconds.
    Grace(Duration),
    /// It may last so long from its beginning, whatever the token says.
    CapOnly(Duration),
}

impl Default for StreamPolicy {
    fn default() -> Self {
        Self::FinishResponse {
            cap: Duration::from_secs(300),
        }
    }
}
