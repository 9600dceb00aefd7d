//! After yes, and just before it: what a connection needs that no header can bring.
//!
//! - [`ticket`]: a value for one handshake, in place of a token in its URL.

mod ticket;

pub use ticket::{
    MemoryTickets, StoreError, StoreFuture, Ticket, TicketHash, TicketOffice, TicketOfficeBuilder,
    TicketRecord, TicketService, TicketServiceFuture, TicketStore,
};
pub(crate) use ticket::{Redeemer, TICKET};
