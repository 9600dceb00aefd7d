//! Revocations: one sorted set of them all, by their end.

use std::{collections::HashSet, sync::LazyLock};

use redis::cmd;

use super::{
    fault::Fault,
    feed::{Feed, RedisRevocationFeed},
    script::{GREATEST, Script},
    store::RedisStore,
};
use crate::{Revocation, RevocationStore, StoreError};

/// How many are read at once, so that nobody else waits for long.
const PART: u64 = 5_000;

// What is over goes two hours after its end by the clock of Redis. No leeway is longer, and no clock so wrong.
static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
         local over = tonumber(redis.call('TIME')[1]) - 7200
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', over))
         redis.call('PUBLISH', ARGV[3], ARGV[2])
         return 1",
    )
});

impl RedisStore {
    async fn revoke_everywhere(&self, revocation: &Revocation) -> Result<(), Fault> {
        let names = self.names();
        // What ends later ends never.
        let end = revocation.expires_at().as_secs().min(GREATEST);
        let text = serde_json::to_string(revocation).map_err(|_| Fault::Foreign)?;
        let publish = PUBLISH
            .key(names.revocations())
            .arg(end.to_string())
            .arg(text)
            .arg(names.revocation_channel());
        let talk = self.link().talk().await?;
        talk.decide(&publish).await
    }

    async fn all_revocations(&self) -> Result<Vec<Revocation>, Fault> {
        let key = self.names().revocations();
        let mut talk = self.link().talk().await?;
        let now = self.clock().now();
        // What is there from the beginning to the end of a scan is part of it, some of it twice.
        let mut found = HashSet::new();
        let mut cursor = String::from("0");
        loop {
            let mut scan = cmd("ZSCAN");
            scan.arg(&key).arg(&cursor).arg("COUNT").arg(PART);
            let (next, part): (String, Vec<(String, f64)>) =
                talk.again(self.link().timeout()).ask(&scan).await?;
            for (text, _) in part {
                let revocation: Revocation =
                    serde_json::from_str(&text).map_err(|_| Fault::Foreign)?;
                if !revocation.is_over(now) {
                    found.insert(revocation);
                }
            }
            if next == "0" {
                return Ok(found.into_iter().collect());
            }
            cursor = next;
        }
    }
}

impl RevocationStore for RedisStore {
    type Error = StoreError;
    type Feed = RedisRevocationFeed;

    async fn publish(&self, revocation: &Revocation) -> Result<(), StoreError> {
        Ok(self.revoke_everywhere(revocation).await?)
    }

    async fn load(&self) -> Result<Vec<Revocation>, StoreError> {
        Ok(self.all_revocations().await?)
    }

    async fn subscribe(&self) -> Result<RedisRevocationFeed, StoreError> {
        let channel = self.names().revocation_channel();
        let feed = Feed::open(self.link(), &channel).await?;
        Ok(RedisRevocationFeed(feed))
    }
}
