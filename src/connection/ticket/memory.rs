//! [`MemoryTickets`]: the tickets of one process.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{TicketHash, TicketRecord, TicketStore, record::Holder};
use crate::{StoreError, StoreFuture};

/// Keeps tickets in the memory of one process, up to a number; each goes when it is taken or expires.
///
/// A store that is full keeps those it has and refuses new ones, so that nobody pushes out the tickets of others; and each
/// subject of an issuer has a number of its own, so that nobody fills it alone. Who has as many as that draws the next one
/// (until then 503) when one of them is taken or expires.
/// A record takes about half a kilobyte more than the claims of its token.
///
/// # Examples
///
/// ```
/// use tower_warden::{MemoryTickets, TicketOffice};
///
/// # fn main() -> Result<(), tower_warden::ConfigError> {
/// let office = TicketOffice::builder(MemoryTickets::with_capacity(1_000).with_capacity_per_subject(16)).build()?;
/// # Ok(())
/// # }
/// ```
pub struct MemoryTickets {
    capacity: usize,
    per_subject: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    tickets: HashMap<TicketHash, Held>,
    /// Every ticket by its end, the next one first.
    ends: BTreeSet<(Duration, TicketHash)>,
    /// How many each subject has; nobody has none.
    counts: HashMap<Holder, usize>,
}

struct Held {
    record: TicketRecord,
    end: Duration,
    /// Whoever took it, while they may repeat themselves; by that it goes.
    taken_by: Option<Box<str>>,
}

impl MemoryTickets {
    /// A store for that many tickets at once.
    #[must_use]
    pub fn with_capacity(tickets: usize) -> Self {
        Self {
            capacity: tickets,
            per_subject: 64,
            shelf: Mutex::default(),
        }
    }

    /// Sets how many of them one subject of one issuer may have at once, 64 by default. Tokens that name no subject
    /// count as one.
    #[must_use]
    pub fn with_capacity_per_subject(mut self, tickets: usize) -> Self {
        self.per_subject = tickets;
        self
    }

    fn shelf(&self, now: Duration) -> MutexGuard<'_, Shelf> {
        // Nothing that is done under the lock can stop half-way.
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.sweep(now);
        shelf
    }
}

impl Default for MemoryTickets {
    /// A store for 16 384 tickets at once.
    fn default() -> Self {
        Self::with_capacity(16 * 1024)
    }
}

impl Shelf {
    /// Drops what has expired.
    fn sweep(&mut self, now: Duration) {
        while let Some(&(end, hash)) = self.ends.first()
            && end <= now
        {
            self.drop_held(hash, end);
        }
    }

    fn put(&mut self, hash: TicketHash, record: TicketRecord) {
        let end = record.expires_at();
        self.ends.insert((end, hash));
        *self.counts.entry(record.holder.clone()).or_default() += 1;
        let held = Held {
            record,
            end,
            taken_by: None,
        };
        self.tickets.insert(hash, held);
    }

    fn take(
        &mut self,
        hash: TicketHash,
        client: Option<&str>,
        now: Duration,
    ) -> Option<TicketRecord> {
        let held = self.tickets.get_mut(&hash)?;
        match (&held.taken_by, client) {
            (Some(first), Some(client)) if **first == *client => {
                let end = held.end;
                self.drop_held(hash, end)
            }
            (Some(_), _) => None,
            (None, Some(client)) => {
                let until = now.saturating_add(TicketRecord::REPEAT_WINDOW);
                self.ends.remove(&(held.end, hash));
                held.end = held.end.min(until);
                held.taken_by = Some(client.into());
                self.ends.insert((held.end, hash));
                Some(held.record.clone())
            }
            (None, None) => {
                let end = held.end;
                self.drop_held(hash, end)
            }
        }
    }

    fn drop_held(&mut self, hash: TicketHash, end: Duration) -> Option<TicketRecord> {
        self.ends.remove(&(end, hash));
        let record = self.tickets.remove(&hash)?.record;
        if let Some(count) = self.counts.get_mut(&record.holder) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&record.holder);
            }
        }
        Some(record)
    }
}

impl TicketStore for MemoryTickets {
    fn put(&self, hash: TicketHash, record: TicketRecord, now: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut shelf = self.shelf(now);
            if shelf.tickets.len() >= self.capacity {
                return Err(StoreError::new("the store of tickets is full"));
            }
            let count = shelf.counts.get(&record.holder).copied();
            if count.unwrap_or_default() >= self.per_subject {
                return Err(StoreError::new("the subject has too many tickets already"));
            }
            if shelf.tickets.contains_key(&hash) {
                return Err(StoreError::new("the ticket is known already"));
            }
            shelf.put(hash, record);
            Ok(())
        })
    }

    fn take<'a>(
        &'a self,
        hash: TicketHash,
        client: Option<&'a str>,
        now: Duration,
    ) -> StoreFuture<'a, Option<TicketRecord>> {
        Box::pin(async move { Ok(self.shelf(now).take(hash, client, now)) })
    }
}

impl fmt::Debug for MemoryTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTickets")
            .field("capacity", &self.capacity)
            .field("per_subject", &self.per_subject)
            .finish_non_exhaustive()
    }
}
