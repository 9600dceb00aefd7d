//! After yes: the [`Lease`] that watches over an accepted request until it ends.
//!
//! The gate has let a request in because its token was good at that moment. A WebSocket, a streamed answer, a long job
//! goes on for hours. Nothing is done for a connection until somebody asks for its lease; from then on it lives so:
//!
//! ```text
//!                            a newer token: RenewalMessages within, RenewalService beside
//!                                          │ refused: nothing changes
//!                                          ▼
//! gate ─► Principal ──lease()──► open ─ deadline = min(exp + leeway, cap) ──────────► ended, for one reason
//!   ▲                             │ ▲                                                   │
//!   │                      check()│ │ended().await        Expired, CapReached ◄── clock │
//!   │                             ▼ │                     Revoked ◄── Revocations       │
//!   │               before each message, between them     NotOwner ◄── Owners           │
//!   │                             │                       StoreUnavailable ◄── either   │
//!   │                             │                       Closed ◄── end()              ▼
//!   └── Revocations: asked for    └─ dropped: finished, and forgotten        guard: no message is handled
//!       each request too                                                     body: a last event, by StreamPolicy
//! ```
//!
//! An end is final, whichever reason came first. [`Lease::check`] looks at the clock of this very moment, so nothing
//! is handled after the deadline however the clock was set; [`Lease::ended`] only wakes whoever waits, and one task looks
//! at the clock for all of them. A revocation marks first and looks for open connections then; a lease enters the register
//! first and asks for marks then: so none slips through between the two. With the loss of ownership it is alike: a change
//! is counted first, and a lease that enters later sees that the count is another than when its request was decided, and
//! has the store asked again.
//!
//! 1. [`lease`]: what an application holds; [`open`], what its clones share; [`ended`], [`watchers`] and [`timer`], to
//!    wait for the end.
//! 2. [`registry`]: all connections that are open; [`id`], their names; [`end`], why they end.
//! 3. [`review`]: tokens that are verified again when keys change or an answer of the provider expires. [`renewal`]: a newer token for a connection that is open.
//! 4. [`revocation`]: what holds no longer, on every request and on every open connection.
//! 5. [`stream`]: streamed answers that end with their token, by a policy; `websocket` (feature `ws`): a socket that
//!    does.
//! 6. [`ticket`]: a value for one handshake, in place of a token in its URL.

mod end;
mod ended;
mod id;
mod lease;
mod open;
mod registry;
mod renewal;
mod review;
mod revocation;
mod stream;
mod ticket;
mod timer;
mod watchers;
#[cfg(feature = "ws")]
mod websocket;

pub use end::LeaseEnd;
pub use ended::Ended;
pub use id::{ConnectionId, MalformedConnectionId};
pub use lease::Lease;
use registry::Connections;
pub(crate) use renewal::{Renewal, RenewalRule};
pub use renewal::{RenewalMessages, RenewalService};
pub(crate) use review::Reviewer;
pub use revocation::{
    MemoryRevocationFeed, MemoryRevocationStore, Revocation, RevocationError, RevocationFeed,
    RevocationStore, RevocationTarget, Revocations, RevocationsBuilder,
};
pub use stream::{
    LeasedBody, StreamBody, StreamBound, StreamEnded, StreamLease, StreamLeaseFuture,
    StreamLeaseLayer, StreamPolicy,
};
pub(crate) use ticket::Redeemer;
pub use ticket::{
    MemoryTickets, Ticket, TicketHash, TicketOffice, TicketOfficeBuilder, TicketRecord,
    TicketService, TicketStore,
};
pub(crate) use timer::Timer;
#[cfg(feature = "ws")]
pub use websocket::{GuardedSocket, MessageSocket, WebSocketPolicy};
