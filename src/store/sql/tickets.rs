//! Tickets, in the table `warden_tickets`.

use std::time::Duration;

use super::{engine::Engine, error::SqlError, store::SqlStore};
use crate::{CryptoBackend, StoreFuture, TicketHash, TicketRecord, TicketStore, verify::sha256};

/// Keeps a ticket (1 to 3) of a subject (4) unless that has so many (6) at this time (5).
pub(super) const PUT: &str = "
    INSERT INTO warden_tickets (hash, record, expires_at, holder)
    SELECT $1, $2, $3, $4
    WHERE (SELECT COUNT(*) FROM warden_tickets WHERE holder = $4 AND expires_at > $5 AND uses = 0) < $6
    ON CONFLICT (hash) DO NOTHING RETURNING uses";

/// The most unused tickets of one subject of one issuer at once.
const PER_SUBJECT: i64 = 64;

// The row is changed by one at a time, so of many takes one finds it unused. What is spent stays until it has expired, for
// the one repeat, and then is swept.
const TAKE: &str = "
    UPDATE warden_tickets SET
        client = CASE WHEN uses = 0 THEN $2 ELSE client END,
        taken_at = COALESCE(taken_at, $3),
        uses = uses + 1
    WHERE hash = $1 AND expires_at > $3
        AND (uses = 0 OR (uses = 1 AND client = $2 AND $3 < taken_at + $4))
    RETURNING record";

const SWEEP: &str = "
    DELETE FROM warden_tickets WHERE hash IN
        (SELECT hash FROM warden_tickets WHERE expires_at < $1 ORDER BY expires_at LIMIT 256)";

/// How long an expired ticket is left alone: another node may not know the time so well.
const GRACE: Duration = Duration::from_secs(60);

impl<DB: Engine> TicketStore for SqlStore<DB> {
    fn put(&self, hash: TicketHash, record: TicketRecord, now: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let text = record.to_text()?;
            // A name may be longer than what an index takes.
            let holder = record.holder_text()?;
            let backend = CryptoBackend::preferred().map_err(SqlError::from)?;
            let holder = sha256(holder.as_bytes(), backend).ok_or(SqlError::Driver)?;
            let values = [
                hash.as_bytes().as_slice().into(),
                text.as_str().into(),
                milliseconds(record.expires_at()).into(),
                holder.as_slice().into(),
                milliseconds(now).into(),
                PER_SUBJECT.into(),
            ];
            // Each statement gives one row, the last one if the ticket was kept.
            let rows = self.0.decide(DB::PUT_TICKET, &values).await?;
            if rows.len() < DB::PUT_TICKET.len() {
                let problem = "the subject has too many tickets already, or the ticket is known";
                return Err(SqlError::Unfit(problem).into());
            }
            let over = now.saturating_sub(GRACE);
            self.0.sweep(&self.0.tickets, &[SWEEP], milliseconds(over));
            Ok(())
        })
    }

    fn take<'a>(
        &'a self,
        hash: TicketHash,
        client: Option<&'a str>,
        now: Duration,
    ) -> StoreFuture<'a, Option<TicketRecord>> {
        Box::pin(async move {
            let values = [
                hash.as_bytes().as_slice().into(),
                // As bytes: a client may call itself whatever it likes.
                client.map(str::as_bytes).into(),
                milliseconds(now).into(),
                milliseconds(TicketRecord::REPEAT_WINDOW).into(),
            ];
            let taken = self.0.decide(&[TAKE], &values).await?;
            match taken.first() {
                Some(row) => Ok(Some(TicketRecord::from_text(&row.text(0)?)?)),
                None => Ok(None),
            }
        })
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
