//! Tickets: each is one hash that Redis drops when its time is over.
//!
//! A ticket and the set that counts those of its holder lie in different slots of a cluster, so no script writes both.
//! The set is written **before** the ticket, and after a ticket was taken. A crash in between counts a ticket too many
//! until that would have ended, and never one too few.

use std::{sync::LazyLock, time::Duration};

use super::{
    fault::Fault,
    script::{GREATEST, Script},
    store::RedisStore,
};
use crate::{StoreFuture, TicketHash, TicketRecord, TicketStore};

/// Redis drops a ticket so long after its end, in milliseconds: what decides is the time of the office.
const GRACE: u64 = 1_000;

/// The most unused tickets of one subject of one issuer at once.
const PER_SUBJECT: &str = "64";

// ARGV: the hash, its end, the time, the longest life of the set from now on, and the most entries.
static ADMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
         if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[5]) then
             return 0
         end
         redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
         if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then
             redis.call('PEXPIRE', KEYS[1], ARGV[4])
         end
         return 1",
    )
});

static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('ZREM', KEYS[1], ARGV[1])"));

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
        let life = (ends.saturating_sub(now) + GRACE).to_string();
        let admit = ADMIT
            .key(self.tickets_of(record)?)
            .arg(hash.to_string())
            .arg(ends.to_string())
            .arg(now.to_string())
            .arg(life.as_str())
            .arg(PER_SUBJECT);
        let put = PUT
            .key(self.names().ticket(hash))
            .arg(text)
            .arg(ends.to_string())
            .arg(life);
        let talk = self.link().talk().await?;
        if !talk.decide::<bool>(&admit).await? {
            return Err(Fault::TooManyTickets);
        }
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
        let taken = taken.map_err(|_| Fault::Foreign)?;
        if let Some(record) = &taken {
            let release = RELEASE.key(self.tickets_of(record)?).arg(hash.to_string());
            // The ticket is taken, whatever becomes of its place: that is free when the ticket would have ended.
            let _: Result<bool, _> = talk.decide(&release).await;
        }
        Ok(taken)
    }

    /// Returns the name of the set that counts the tickets of the holder.
    fn tickets_of(&self, record: &TicketRecord) -> Result<String, Fault> {
        let holder = record.holder_text().map_err(|_| Fault::Foreign)?;
        Ok(self.names().tickets_of(&holder))
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
