//! Records of API keys: each is one hash.

use std::sync::LazyLock;

use base64_simd::URL_SAFE_NO_PAD;
use redis::{Cmd, Value, cmd};
use serde::{Deserialize, Serialize};

use super::{
    fault::Fault,
    index::{self, Listed, read},
    keys::{Index, Names, written},
    script::Script,
    store::RedisStore,
};
use crate::{
    ApiKeyRecord, ApiKeyStore, Inserted, KeyHash, Listing, NumericDate, Page, StoreFuture,
    SubjectId,
};

static INSERT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('EXISTS', KEYS[1]) == 1 then
             return 0
         end
         redis.call('HSET', KEYS[1], 'record', ARGV[1], 'owner', ARGV[2])
         if ARGV[3] then
             redis.call('HSET', KEYS[1], 'used', ARGV[3])
         end
         return 1",
    )
});

static REVOKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
             return 0
         end
         return redis.call('DEL', KEYS[1])",
    )
});

// The later of two numbers, as text, is the longer one, or the one that stands behind the other.
static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('EXISTS', KEYS[1]) == 0 then
             return 0
         end
         local used, now = redis.call('HGET', KEYS[1], 'used'), ARGV[1]
         if not used or #used < #now or (#used == #now and used < now) then
             redis.call('HSET', KEYS[1], 'used', now)
         end
         return 1",
    )
});

/// How a record is kept; its ID is its key, and when it was used stands beside it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The keyed hash, in base64url.
    hash: String,
    owner: SubjectId,
    label: String,
    scopes: Vec<String>,
    created_at: u64,
    expires_at: Option<u64>,
}

impl Kept {
    fn text(record: &ApiKeyRecord) -> Result<String, Fault> {
        let kept = Self {
            hash: URL_SAFE_NO_PAD.encode_to_string(record.hash.as_bytes()),
            owner: record.owner.clone(),
            label: record.label.clone(),
            scopes: record.scopes.clone(),
            created_at: record.created_at.as_secs(),
            expires_at: record.expires_at.map(NumericDate::as_secs),
        };
        serde_json::to_string(&kept).map_err(|_| Fault::Foreign)
    }

    fn read(text: &str, id: String, used: Option<&str>) -> Result<ApiKeyRecord, Fault> {
        let kept: Self = serde_json::from_str(text).map_err(|_| Fault::Foreign)?;
        let hash = URL_SAFE_NO_PAD.decode_to_vec(&kept.hash);
        let hash = hash.ok().and_then(|hash| KeyHash::from_bytes(&hash));
        let used = used.map(str::parse).transpose();
        Ok(ApiKeyRecord {
            id,
            hash: hash.ok_or(Fault::Foreign)?,
            owner: kept.owner,
            label: kept.label,
            scopes: kept.scopes,
            created_at: NumericDate::from_secs(kept.created_at),
            expires_at: kept.expires_at.map(NumericDate::from_secs),
            last_used_at: used
                .map_err(|_| Fault::Foreign)?
                .map(NumericDate::from_secs),
        })
    }
}

impl RedisStore {
    async fn keep_key(&self, record: &ApiKeyRecord, most: u16) -> Result<Inserted, Fault> {
        let names = self.names();
        let mut insert = INSERT
            .key(names.api_key(&record.id))
            .arg(Kept::text(record)?)
            .arg(written(&record.owner)?);
        if let Some(used) = record.last_used_at {
            insert = insert.arg(used.as_secs().to_string());
        }
        let talk = self.link().talk().await?;
        let (owner, id) = (&record.owner, &record.id);
        if !index::note_within::<ApiKeyRecord>(&talk, names, owner, id, most.into()).await? {
            return Ok(Inserted::LimitReached);
        }
        Ok(match talk.decide(&insert).await? {
            true => Inserted::Kept,
            false => Inserted::IdTaken,
        })
    }

    async fn find_key(&self, id: &str) -> Result<Option<ApiKeyRecord>, Fault> {
        let talk = self.link().talk().await?;
        let answer = talk.ask(&ApiKeyRecord::question(self.names(), id)).await?;
        record(id.to_owned(), answer)
    }

    async fn revoke_key(&self, owner: &SubjectId, id: &str) -> Result<bool, Fault> {
        let names = self.names();
        let talk = self.link().talk().await?;
        let revoke = REVOKE.key(names.api_key(id)).arg(written(owner)?);
        let done = talk.decide(&revoke).await?;
        if done {
            // No other key ever gets its ID.
            index::drop_entry::<ApiKeyRecord>(&talk, names, owner, id).await;
        }
        Ok(done)
    }

    async fn touch_key(&self, id: &str, used_at: NumericDate) -> Result<(), Fault> {
        let talk = self.link().talk().await?;
        let used_at = used_at.as_secs().to_string();
        let touch = TOUCH.key(self.names().api_key(id)).arg(used_at);
        talk.decide(&touch).await
    }
}

impl ApiKeyStore for RedisStore {
    fn insert<'a>(&'a self, record: &'a ApiKeyRecord, most: u16) -> StoreFuture<'a, Inserted> {
        Box::pin(async move { Ok(self.keep_key(record, most).await?) })
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(async move { Ok(self.find_key(id).await?) })
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ApiKeyRecord>> {
        Box::pin(async move {
            let talk = self.link().talk().await?;
            Ok(index::list(&talk, self.names(), owner, page).await?)
        })
    }

    fn revoke<'a>(&'a self, owner: &'a SubjectId, id: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move { Ok(self.revoke_key(owner, id).await?) })
    }

    fn touch<'a>(&'a self, id: &'a str, used_at: NumericDate) -> StoreFuture<'a, ()> {
        Box::pin(async move { Ok(self.touch_key(id, used_at).await?) })
    }
}

/// The record of an ID, of what Redis knows about it.
fn record(id: String, answer: Value) -> Result<Option<ApiKeyRecord>, Fault> {
    let (kept, used): (Option<String>, Option<String>) = read(answer)?;
    kept.map(|kept| Kept::read(&kept, id, used.as_deref()))
        .transpose()
}

impl Listed for ApiKeyRecord {
    const INDEX: Index = Index::ApiKeys;

    fn question(names: &Names, entry: &str) -> Cmd {
        let mut question = cmd("HMGET");
        question.arg(names.api_key(entry)).arg("record").arg("used");
        question
    }

    fn answer(entry: String, answer: Value, owner: &SubjectId) -> Result<Option<Self>, Fault> {
        let found = record(entry, answer)?;
        Ok(found.filter(|found| found.owner == *owner))
    }

    fn entry(&self) -> &str {
        &self.id
    }
}
