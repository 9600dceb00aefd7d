//! [`TicketStore`]: where the records of tickets are kept.

use std::{fmt, sync::Arc, time::Duration};

use super::{TicketHash, TicketRecord};
use crate::StoreFuture;

/// Keeps tickets until they are taken, once, or expire.
///
/// Each method is **one atomic decision**, so that of a thousand redemptions of one ticket, on whatever nodes, exactly
/// one takes it. A store that fails, is full or does not know says so: the office then mints and admits nothing.
///
/// Time comes from the office's clock, in both methods, as the time since the Unix epoch.
///
/// # Implementing it
///
/// `testing::conformance::ticket_store` holds your own to all of this. In SQL, `take` is one statement:
///
/// ```sql
/// UPDATE tickets SET
///     client = CASE WHEN uses = 0 THEN $client ELSE client END,
///     taken_at = COALESCE(taken_at, $now),
///     uses = uses + 1
/// WHERE hash = $hash AND expires_at > $now
///     AND (uses = 0 OR (uses = 1 AND client = $client AND $now < taken_at + 2))
/// RETURNING record
/// ```
///
/// with `uses` 0 at first and the times in seconds; or, where repeats are not wanted,
/// `DELETE … WHERE hash = $hash AND expires_at > $now RETURNING record`. In Redis it is one `GETDEL`, or one script: the
/// first use keeps the record and the client ID for two more seconds, the repeat deletes both; `put` is `SET … NX PX`.
pub trait TicketStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps a record under a hash that must be new, until [`expires_at`](TicketRecord::expires_at) at the latest.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError) if it cannot be kept.
    fn put(&self, hash: TicketHash, record: TicketRecord, now: Duration) -> StoreFuture<'_, ()>;

    /// Takes a record: the first who asks gets it, and nobody after.
    ///
    /// With one exception: who asks again with the client ID of the first, within
    /// [`REPEAT_WINDOW`](TicketRecord::REPEAT_WINDOW) of it and before the ticket expires, gets it too, **once**; after
    /// that it is gone. `None` is no client ID, and has no repeat. An ID is chosen by the client, so it decides about
    /// nothing else.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError) if it cannot be known whether the record was there.
    fn take<'a>(
        &'a self,
        hash: TicketHash,
        client: Option<&'a str>,
        now: Duration,
    ) -> StoreFuture<'a, Option<TicketRecord>>;
}

impl<S: TicketStore + ?Sized> TicketStore for Arc<S> {
    fn put(&self, hash: TicketHash, record: TicketRecord, now: Duration) -> StoreFuture<'_, ()> {
        (**self).put(hash, record, now)
    }

    fn take<'a>(
        &'a self,
        hash: TicketHash,
        client: Option<&'a str>,
        now: Duration,
    ) -> StoreFuture<'a, Option<TicketRecord>> {
        (**self).take(hash, client, now)
    }
}
