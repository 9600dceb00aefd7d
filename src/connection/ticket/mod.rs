//! Tickets: a browser cannot send a header along with `new WebSocket(…)` or `new EventSource(…)`, and a token in a URL
//! stays in logs and histories. A ticket stands in its place: drawn with the token, good for one handshake, then spent.
//!
//! ```text
//! POST /auth/ticket ─► service ─► office.mint ─► store.put(hash, record)      the text goes to the client only
//! GET /agents/a/r?ticket=… ─► source ─► redeem ─► store.take(hash) ─► origin? resource? rules? ─► Principal
//! ```
//!
//! 1. [`office`]: the settings, and who may have a ticket for what.
//! 2. [`record`]: what is kept of a ticket; never its text.
//! 3. [`store`]: where records are kept, [`memory`] being one such place.
//! 4. [`service`]: `POST /auth/ticket`.
//! 5. [`source`]: where a ticket travels.
//! 6. [`redeem`]: what stands behind it.

mod memory;
mod office;
mod record;
mod redeem;
mod service;
mod source;
mod store;

pub use memory::MemoryTickets;
pub use office::{Ticket, TicketOffice, TicketOfficeBuilder};
pub use record::{TicketHash, TicketRecord};
pub(crate) use redeem::Redeemer;
pub use service::TicketService;
pub use store::TicketStore;
