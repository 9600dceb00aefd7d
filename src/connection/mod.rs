//! After yes: the [`Lease`] that watches over an accepted request until it ends.
//!
//! 1. [`lease`]: what an application holds; [`open`], what its clones share; [`ended`], to wait for the end.
//! 2. [`registry`]: all connections that are open; [`id`], their names; [`end`], why they end.
//! 3. [`renewal`]: a newer token for a connection that is open.
//! 4. [`revocation`]: what holds no longer, on every request and on every open connection.
//! 5. `websocket` (feature `ws`): a socket that ends with its lease; [`stream`]: an answer that does.
//! 6. [`ticket`]: a value for one handshake, in place of a token in its URL.

mod end;
mod ended;
mod id;
mod lease;
mod open;
mod registry;
mod renewal;
mod revocation;
mod stream;
mod ticket;
#[cfg(feature = "ws")]
mod websocket;

pub use end::LeaseEnd;
pub use ended::Ended;
pub use id::{ConnectionId, MalformedConnectionId};
pub use lease::Lease;
use registry::Connections;
pub(crate) use renewal::RenewalRule;
pub use renewal::{RenewalFuture, RenewalMessages, RenewalService};
pub use revocation::{
    MemoryRevocationFeed, MemoryRevocationStore, Revocation, RevocationError, RevocationFeed,
    RevocationStore, RevocationTarget, Revocations, RevocationsBuilder,
};
pub use stream::{
    LeasedBody, StreamBody, StreamBound, StreamEnded, StreamLease, StreamLeaseFuture,
    StreamLeaseLayer, StreamPolicy,
};
pub use ticket::{
    MemoryTickets, Ticket, TicketHash, TicketOffice, TicketOfficeBuilder, TicketRecord,
    TicketService, TicketServiceFuture, TicketStore,
};
pub(crate) use ticket::{Redeemer, TICKET};
#[cfg(feature = "ws")]
pub use websocket::{GuardedSocket, MessageSocket, WebSocketPolicy};
