//! [`RedisStore`]: one handle to a Redis, that implements every trait of stores.

use std::{fmt, sync::Arc};

use super::{fault::Fault, keys::Names, link::Link, options::RedisOptions};
use crate::{Clock, StoreError};

/// Owners, API keys, tickets and revocations in Redis or Valkey, 6.2 or later, for many nodes.
///
/// One handle is all four: an [`OwnerStore`](crate::OwnerStore) and [`SharedOwnerStore`](crate::SharedOwnerStore), an
/// [`ApiKeyStore`](crate::ApiKeyStore), a [`TicketStore`](crate::TicketStore) and a
/// [`RevocationStore`](crate::RevocationStore). Cloning it copies a pointer.
///
/// # Examples
///
/// ```no_run
/// use tower_warden::{ApiKeys, Owners, RedisStore, Revocations, TicketOffice};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
/// let owners = Owners::shared(store.clone()).await?;
/// let revocations = Revocations::shared(store.clone()).await?;
/// let tickets = TicketOffice::builder(store).build()?;
/// # drop((owners, revocations, tickets));
/// # Ok(())
/// # }
/// ```
///
/// What cannot be served is refused:
///
/// ```
/// use tower_warden::{RedisOptions, RedisStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert!(RedisStore::connect("https://redis.example").await.is_err());
/// let braces = RedisOptions::new().with_prefix("{warden}");
/// assert!(RedisStore::connect_with("redis://127.0.0.1:6379", braces).await.is_err());
/// # }
/// ```
///
/// # What it promises
///
/// - Each decision is one command or one script, which Redis runs in one step: of any number of first claims, or of
///   redemptions of one ticket, on whatever nodes, exactly one wins. What a change tells other nodes is published in
///   the same step.
/// - Every wait has its bound: an answer comes within 5 s, of which opening a connection may take 2 s, or it is a
///   [`StoreError`], and requests that depend on it are answered 503. A connection that was lost is opened again by the
///   first who asks; no command is sent twice on its own, as nobody knows whether the first one was done.
/// - Names are kept byte by byte, and escaped in keys: none reaches beyond its own key.
/// - Errors and the `Debug` text name neither address nor user, and no password, key or value.
///
/// # What it depends on
///
/// Redis answers before it has written to disk, and before any replica has heard of it. How much that is depends on
/// its settings:
///
/// | setting | lost when Redis or its machine fails |
/// | --- | --- |
/// | `appendonly no`, without snapshots | everything: owned chats are nobody's again, revoked tokens hold again |
/// | `appendonly no`, with snapshots | what came after the last one, which may be an hour |
/// | `appendonly yes`, `appendfsync everysec` | nothing when Redis ends, about a second when the machine does |
/// | `appendonly yes`, `appendfsync always` | nothing |
/// | failover to a replica | what the replica had not heard of yet, whatever the settings; `min-replicas-to-write` bounds it |
///
/// A claim that is lost can be made by somebody else, and a ticket whose use is lost can be used again within its
/// seconds; a revocation that is lost goes on holding at the nodes that know it, until they restart. Where a chat must
/// never change hands by accident, keep owners in PostgreSQL, and tickets and revocations here.
///
/// A Redis that throws keys away when it is full (`maxmemory` with `maxmemory-policy allkeys-…`) is refused when a
/// connection is opened, since the owner that it throws away is nobody's; other policies than `noeviction` are logged.
/// A Redis that is a replica is refused, too. One that becomes a replica while connections to it are open answers
/// `READONLY` or `MASTERDOWN`, before Redis 7 inside the error of a script. All connections to it are then closed, those
/// of the feeds too, and the next request connects anew. `LOADING` is treated alike.
///
/// # Keys
///
/// Each begins with the [prefix](RedisOptions::with_prefix), here `warden`. In names everything but ASCII letters,
/// digits and `- . _ ~ / @` stands as `%` and two hexadecimal digits for each byte.
///
/// | key | type | what it holds |
/// | --- | --- | --- |
/// | `warden:resource:<resource>` | hash | `owner`, and `grant:<subject>` for each role |
/// | `warden:{<issuer>\|<subject>}:owned` | sorted set | resources that the subject may own; each is asked before it is listed |
/// | `warden:{<issuer>\|<subject>}:owned:<resource>` | string, for 60 s | that an entry there is young |
/// | `warden:api_key:<id>` | hash | `record`, `owner`, and `used`, when the key was last used |
/// | `warden:{<issuer>\|<subject>}:api_keys` | sorted set | IDs, as above; and `…:api_keys:<id>` for 60 s |
/// | `warden:ticket:<SHA-256>` | hash, for seconds | `record`, `ends`, and `client`, who took it |
/// | `warden:tickets:<issuer and subject>` | sorted set, for seconds | the SHA-256 of each unused ticket, by its end |
/// | `warden:revocations` | sorted set | every revocation as JSON, by its end; two hours after it they go |
///
/// Channels are `warden@<database>:revocations` and `warden@<database>:ownership`. Owners, grants and API keys never
/// expire. [`with_claim_limit`](crate::OwnershipLayer::with_claim_limit) bounds what first use claims.
///
/// A script touches one key, or two of one hash tag, so the keys are fit for a cluster. The client is one of a single
/// address, or of the primary that Sentinels name. Use it also with a cluster that shows itself as one address, not with
/// the nodes of a Redis Cluster.
///
/// What a subject owns is counted by its list, in which a resource that was handed over may stand for a minute more.
///
/// # Permissions
///
/// It speaks RESP3. An ACL user needs `~warden:*`, `&warden@*`, and `+hello +select +ping +info
/// +eval +evalsha +hget +hmget +hset +hsetnx +hdel +hkeys +exists +del +set +pexpire +pttl +zadd +zcard +zrem
/// +zrangebylex +zscan +zremrangebyscore +time +publish +subscribe`. Without `info` nothing is checked when a connection is
/// opened, and the log says so.
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

struct Shared {
    link: Link,
    names: Names,
    clock: Arc<dyn Clock>,
}

impl RedisStore {
    /// Connects to the Redis of this URL: `redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS
    /// (feature `aws-lc-rs`), or `unix:///path[?db=…]`.
    ///
    /// `redis+sentinel://[user:password@]host[:26379][,host…]/service[/database]`, or `rediss+sentinel://…`, names Sentinels.
    /// All are asked at once for the primary of the service, each time that a connection is opened. User and password are
    /// those of the Redis.
    ///
    /// With TLS it trusts the authorities that the system does, or [those that are
    /// given](RedisOptions::with_authorities). A build in which rustls has two crypto providers names its default before:
    /// `CryptoProvider::install_default`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] for a URL that is none, and when this Redis cannot be reached or cannot be entrusted with owners.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, RedisOptions::new()).await
    }

    /// Connects with settings of its own.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect); and for settings out of their range, with a
    /// [`ConfigError`](crate::ConfigError) as the source.
    pub async fn connect_with(url: &str, options: RedisOptions) -> Result<Self, StoreError> {
        let options = options.check().map_err(Fault::from)?;
        let link = Link::new(url, &options)?;
        let names = Names::new(&options.prefix, link.database());
        // Whoever starts learns now whether it can be used.
        link.talk().await?;
        Ok(Self(Arc::new(Shared {
            link,
            names,
            clock: options.clock,
        })))
    }

    pub(super) fn link(&self) -> &Link {
        &self.0.link
    }

    pub(super) fn names(&self) -> &Names {
        &self.0.names
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }
}

impl fmt::Debug for RedisStore {
    /// Names neither the address nor the user, nor any secret of the connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("timeout", &self.0.link.timeout())
            .finish_non_exhaustive()
    }
}
