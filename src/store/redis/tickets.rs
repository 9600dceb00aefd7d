//! Tickets: each is one hash that Redis drops when its time is over.

use std::{sync::LazyLock, time::Duration};

use super::{
    fault::Fault,
    script::{GREATEST, Script},
    store::RedisStore,
};
use crate::{StoreFuture, TicketHash, TicketRecord, TicketStore};

/// Redis drops a ticket so long after its end, in milliseconds: what decides is the time of the office.
const GRACE: u64 = 1_000;

static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('EXISTS', KEYS[1]) == 1 then
             return 0
         end
         redis.call('HSET', KEYS[1], 'record', ARGV[1], 'ends', ARGV[2])
         redis.call('PEXPIRE', KEYS[1], ARGV[3])
         return 1",
    )
});

// ARGV: the time, the window of a repeat, the grace, and the client if it has an ID.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local kept = redis.call('HMGET', KEYS[1], 'record', 'ends', 'client')
         local record, ends, first = kept[1], tonumber(kept[2] or 0), kept[3]
         local now, window, client = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[4]
         if not record or now >= ends then
             return false
         end
         if first then
             if first ~= client then
                 return false
             end
             redis.call('DEL', KEYS[1])
         elseif client then
             local left = math.min(window, ends - now)
             redis.call('HSET', KEYS[1], 'client', client, 'ends', string.format('%.0f', now + left))
             redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left + tonumber(ARGV[3])))
         else
             redis.call('DEL', KEYS[1])
         end
         return record",
    )
});

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(GREATEST)
        .min(GREATEST)
}

impl RedisStore {
    async fn put_ticket(
        &self,
        hash: TicketHash,
        record: &TicketRecord,
        now: Duration,
    ) -> Result<(), Fault> {
        let (ends, now) = (millis(record.expires_at()), millis(now));
        let text = record.to_text().map_err(|_| Fault::Foreign)?;
        let put = PUT
            .key(self.names().ticket(hash))
            .arg(text)
            .arg(ends.to_string())
            .arg((ends.saturating_sub(now) + GRACE).to_string());
        let talk = self.link().talk().await?;
        if talk.decide(&put).await? {
            Ok(())
        } else {
            Err(Fault::KnownTicket)
        }
    }

    async fn take_ticket(
        &self,
        hash: TicketHash,
        client: Option<&str>,
        now: Duration,
    ) -> Result<Option<TicketRecord>, Fault> {
        let mut take = TAKE
            .key(self.names().ticket(hash))
            .arg(millis(now).to_string())
            .arg(millis(TicketRecord::REPEAT_WINDOW).to_string())
            .arg(GRACE.to_string());
        if let Some(client) = client {
            take = take.arg(client);
        }
        let talk = self.link().talk().await?;
        let taken: Option<String> = talk.decide(&take).await?;
        let taken = taken.as_deref().map(TicketRecord::from_text).transpose();
        taken.map_err(|_| Fault::Foreign)
    }
}

impl TicketStore for RedisStore {
    fn put(&self, hash: TicketHash, record: TicketRecord, now: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move { Ok(self.put_ticket(hash, &record, now).await?) })
    }

    fn take<'a>(
        &'a self,
        hash: TicketHash,
        client: Option<&'a str>,
        now: Duration,
    ) -> StoreFuture<'a, Option<TicketRecord>> {
        Box::pin(async move { Ok(self.take_ticket(hash, client, now).await?) })
    }
}
