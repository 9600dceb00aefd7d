//! Owners and grants: a resource is one hash, and each decision about it one script.

use std::sync::LazyLock;

use redis::{Cmd, Value, cmd};

use super::{
    fault::Fault,
    feed::{self, RedisOwnershipFeed},
    index::{self, Listed, read},
    keys::{Index, Names, written},
    script::Script,
    store::RedisStore,
};
use crate::{
    Claim, Listing, OwnerAccess, OwnerStore, OwnershipChange, Page, ResourceId, Role,
    SharedOwnerStore, Standing, StoreError, StoreFuture, SubjectId,
};

/// The field of the owner, beside which each grant has one of its own.
const OWNER: &str = "owner";

static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HSETNX', KEYS[1], 'owner', ARGV[1]) == 1 then
             return 'claimed'
         end
         if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
             return 'yours'
         end
         return 'other'",
    )
});

static TRANSFER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
             return 0
         end
         redis.call('HSET', KEYS[1], 'owner', ARGV[2])
         for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
             if field ~= 'owner' then
                 redis.call('HDEL', KEYS[1], field)
             end
         end
         redis.call('PUBLISH', ARGV[3], ARGV[4])
         return 1",
    )
});

static GRANT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local owner = redis.call('HGET', KEYS[1], 'owner')
         if not owner then
             return 'nobody'
         end
         if owner == ARGV[1] then
             return 'owner'
         end
         redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
         redis.call('PUBLISH', ARGV[4], ARGV[5])
         return 'granted'",
    )
});

static REVOKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
             return 0
         end
         redis.call('PUBLISH', ARGV[2], ARGV[3])
         return 1",
    )
});

/// The field of a grant.
fn grant_field(subject: &SubjectId) -> Result<String, Fault> {
    Ok(format!("grant:{}", written(subject)?))
}

fn subject(text: &str) -> Result<SubjectId, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Foreign)
}

fn news(change: &OwnershipChange) -> Result<String, Fault> {
    serde_json::to_string(change).map_err(|_| Fault::Foreign)
}

impl RedisStore {
    async fn claim_it(
        &self,
        resource: &ResourceId,
        who: &SubjectId,
        most: u32,
    ) -> Result<Claim, Fault> {
        let key = self.names().resource(resource);
        let owner = written(who)?;
        let talk = self.link().talk().await?;
        // Whoever owns it goes on owning it, so most requests need neither the index nor the script.
        let found: Option<String> = talk.ask(cmd("HGET").arg(&key).arg(OWNER)).await?;
        match found {
            Some(found) if found == owner => return Ok(Claim::AlreadyYours),
            Some(_) => return Ok(Claim::Other),
            None => {}
        }
        let entry = resource.as_str();
        if !index::note_within::<ResourceId>(&talk, self.names(), who, entry, most).await? {
            return Ok(Claim::LimitReached);
        }
        let claim: String = talk.decide(&CLAIM.key(key).arg(owner)).await?;
        match &*claim {
            "claimed" => Ok(Claim::Claimed),
            "yours" => Ok(Claim::AlreadyYours),
            "other" => Ok(Claim::Other),
            _ => Err(Fault::Foreign),
        }
    }

    async fn owner_of(&self, resource: &ResourceId) -> Result<Option<SubjectId>, Fault> {
        let key = self.names().resource(resource);
        let talk = self.link().talk().await?;
        let found: Option<String> = talk.ask(cmd("HGET").arg(key).arg(OWNER)).await?;
        found.as_deref().map(subject).transpose()
    }

    async fn access_of(
        &self,
        resource: &ResourceId,
        who: &SubjectId,
    ) -> Result<Option<OwnerAccess>, Fault> {
        let key = self.names().resource(resource);
        let grant = grant_field(who)?;
        let talk = self.link().talk().await?;
        let mut question = cmd("HMGET");
        question.arg(key).arg(OWNER).arg(grant);
        let (owner, role): (Option<String>, Option<String>) = talk.ask(&question).await?;
        let Some(owner) = owner else {
            return Ok(None);
        };
        let role = role.map(|word| Role::parse(&word).ok_or(Fault::Foreign));
        let access = OwnerAccess::new(subject(&owner)?, who, role.transpose()?);
        Ok(Some(access))
    }

    async fn hand_over(
        &self,
        resource: &ResourceId,
        from: &SubjectId,
        to: &SubjectId,
    ) -> Result<bool, Fault> {
        let names = self.names();
        let news = news(&OwnershipChange::Transferred {
            resource: resource.clone(),
            to: to.clone(),
        })?;
        let transfer = TRANSFER
            .key(names.resource(resource))
            .arg(written(from)?)
            .arg(written(to)?)
            .arg(names.ownership_channel())
            .arg(news);
        let talk = self.link().talk().await?;
        index::note::<ResourceId>(&talk, names, to, resource.as_str()).await?;
        let done: bool = talk.decide(&transfer).await?;
        if done && from != to {
            index::forget::<ResourceId>(&talk, names, from, resource.as_str()).await;
        }
        Ok(done)
    }

    async fn share(
        &self,
        resource: &ResourceId,
        who: &SubjectId,
        role: Role,
    ) -> Result<Option<Standing>, Fault> {
        let names = self.names();
        let news = news(&OwnershipChange::Granted {
            resource: resource.clone(),
            subject: who.clone(),
            role,
        })?;
        let grant = GRANT
            .key(names.resource(resource))
            .arg(written(who)?)
            .arg(grant_field(who)?)
            .arg(role.as_str())
            .arg(names.ownership_channel())
            .arg(news);
        let talk = self.link().talk().await?;
        let standing: String = talk.decide(&grant).await?;
        match &*standing {
            "nobody" => Ok(None),
            "owner" => Ok(Some(Standing::Owner)),
            "granted" => Ok(Some(Standing::Granted(role))),
            _ => Err(Fault::Foreign),
        }
    }

    async fn unshare(&self, resource: &ResourceId, who: &SubjectId) -> Result<bool, Fault> {
        let names = self.names();
        let news = news(&OwnershipChange::Revoked {
            resource: resource.clone(),
            subject: who.clone(),
        })?;
        let revoke = REVOKE
            .key(names.resource(resource))
            .arg(grant_field(who)?)
            .arg(names.ownership_channel())
            .arg(news);
        let talk = self.link().talk().await?;
        talk.decide(&revoke).await
    }
}

impl OwnerStore for RedisStore {
    fn claim_within<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        most: u32,
    ) -> StoreFuture<'a, Claim> {
        Box::pin(async move { Ok(self.claim_it(resource, subject, most).await?) })
    }

    fn owner<'a>(&'a self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>> {
        Box::pin(async move { Ok(self.owner_of(resource).await?) })
    }

    fn access<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, Option<OwnerAccess>> {
        Box::pin(async move { Ok(self.access_of(resource, subject).await?) })
    }

    fn transfer<'a>(
        &'a self,
        resource: &'a ResourceId,
        from: &'a SubjectId,
        to: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move { Ok(self.hand_over(resource, from, to).await?) })
    }

    fn grant<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
        role: Role,
    ) -> StoreFuture<'a, Option<Standing>> {
        Box::pin(async move { Ok(self.share(resource, subject, role).await?) })
    }

    fn revoke<'a>(
        &'a self,
        resource: &'a ResourceId,
        subject: &'a SubjectId,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move { Ok(self.unshare(resource, subject).await?) })
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ResourceId>> {
        Box::pin(async move {
            let talk = self.link().talk().await?;
            Ok(index::list(&talk, self.names(), owner, page).await?)
        })
    }
}

impl SharedOwnerStore for RedisStore {
    type Feed = RedisOwnershipFeed;

    async fn subscribe(&self) -> Result<RedisOwnershipFeed, StoreError> {
        let channel = self.names().ownership_channel();
        let feed = feed::Feed::open(self.link(), &channel).await?;
        Ok(RedisOwnershipFeed(feed))
    }
}

impl Listed for ResourceId {
    const INDEX: Index = Index::Owned;

    fn question(names: &Names, entry: &str) -> Cmd {
        let mut question = cmd("HGET");
        // What was never a name stands for nothing, and its key is not there.
        let key = Self::new(entry).map_or_else(|_| String::new(), |id| names.resource(&id));
        question.arg(key).arg(OWNER);
        question
    }

    fn answer(entry: String, answer: Value, owner: &SubjectId) -> Result<Option<Self>, Fault> {
        let found: Option<String> = read(answer)?;
        if found != Some(written(owner)?) {
            return Ok(None);
        }
        Self::new(entry).map(Some).map_err(|_| Fault::Foreign)
    }

    fn entry(&self) -> &str {
        self.as_str()
    }
}
