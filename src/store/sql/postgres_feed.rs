//! [`PostgresFeed`]: what other nodes have done, as the server tells it.

use std::{fmt, marker::PhantomData, pin::pin, sync::Arc};

use base64_simd::URL_SAFE_NO_PAD;
use sqlx::{
    Executor, Postgres,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{runtime::Handle, sync::watch, time::timeout};

use super::{
    engine::Row,
    error::SqlError,
    notice,
    postgres::refuse_replica_of,
    revocations::revocation,
    store::{Shared, SqlStore},
};
use crate::{
    OwnershipChange, OwnershipFeed, Revocation, RevocationFeed, RevocationStore, SharedOwnerStore,
    StoreError,
    link::{First, first},
};

// Channels belong to a whole database, and the number of a table to one schema of it.
const REVOCATIONS: &str =
    "SELECT 'warden_revocations_' || 'warden_revocations'::regclass::oid::text";
const OWNERSHIP: &str = "SELECT 'warden_ownership_' || 'warden_owners'::regclass::oid::text";

const FIND: &str = "SELECT revocation FROM warden_revocations WHERE digest = $1";

/// The feed of a [`PostgresStore`](crate::PostgresStore), of revocations or of changes of ownership.
///
/// It has a connection of its own that listens (`LISTEN`), and ends when that is lost.
pub struct PostgresFeed<T> {
    store: Arc<Shared<Postgres>>,
    /// Gone with its connection.
    listener: Option<PgListener>,
    /// What was told of, and has yet to be read.
    told: Option<String>,
    has_missed: bool,
    demotion: watch::Receiver<()>,
    /// Where the listener says goodbye, wherever it is dropped.
    runtime: Handle,
    news: PhantomData<fn() -> T>,
}

impl<T> PostgresFeed<T> {
    async fn subscribe(
        store: &Arc<Shared<Postgres>>,
        channel: &'static str,
    ) -> Result<Self, SqlError> {
        let options = &store.options;
        let demotion = store.demotion.subscribe();
        let listening = async {
            // A pool of one: the listener wants one, and the others need theirs.
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(options.timeout)
                .max_lifetime(None)
                .connect_lazy_with((*store.readers.connect_options()).clone());
            let mut listener = PgListener::connect_with(&pool).await?;
            // What comes while it is gone would be lost without a word.
            listener.eager_reconnect(false);
            refuse_replica_of(&mut listener).await?;
            let question = sqlx::query(channel);
            let row = listener.fetch_optional(question).await?;
            let row = row.ok_or(SqlError::Foreign)?;
            listener.listen(&Row::<Postgres>(row).text(0)?).await?;
            Ok::<_, SqlError>(listener)
        };
        let listener = timeout(options.timeout, listening).await;
        if !matches!(listener, Ok(Ok(_))) {
            store.search();
        }
        Ok(Self {
            store: Arc::clone(store),
            listener: Some(listener.map_err(|_| SqlError::TimedOut)??),
            told: None,
            has_missed: false,
            demotion,
            runtime: Handle::current(),
            news: PhantomData,
        })
    }

    /// Waits for a notice. It stays until it is [done](Self::told) with, so whoever stops to wait loses none.
    async fn notice(&mut self) -> Option<&str> {
        if self.told.is_none() {
            let listener = self.listener.as_mut()?;
            let heard = {
                let notice = pin!(listener.try_recv());
                let demotion = pin!(self.demotion.changed());
                match first(notice, demotion).await {
                    First::Left(heard) => heard.ok().flatten(),
                    First::Right(_) => None,
                }
            };
            match heard {
                Some(notice) => self.told = Some(notice.payload().to_owned()),
                // The next call would connect again.
                None => self.listener = None,
            }
        }
        self.told.as_deref()
    }

    /// Leaves out a notice, and has the node read the whole.
    fn miss(&mut self) {
        tracing::warn!(
            target: "tower_warden",
            "a notice of PostgreSQL is none that a store of this version writes: it is left out"
        );
        self.has_missed = true;
    }

    async fn is_alive(&mut self) -> bool {
        let patience = self.store.options.timeout;
        let Some(listener) = self.listener.as_mut() else {
            return false;
        };
        let answered = timeout(patience, refuse_replica_of(listener)).await;
        let alive = matches!(answered, Ok(Ok(())));
        if matches!(answered, Ok(Err(SqlError::ReadOnly | SqlError::Unfit(_)))) {
            self.store.leave_server();
        }
        if !alive {
            self.listener = None;
        }
        alive
    }
}

impl PostgresFeed<Revocation> {
    /// Reads a notice; `None` if it names no revocation.
    async fn find(&self, notice: &str) -> Result<Option<Revocation>, SqlError> {
        if notice.starts_with('{') {
            return Ok(serde_json::from_str(notice).ok());
        }
        // A revocation that is too long for a notice is named by its digest.
        let Ok(digest) = URL_SAFE_NO_PAD.decode_to_vec(notice) else {
            return Ok(None);
        };
        let rows = self.store.ask(FIND, &[digest.as_slice().into()]).await?;
        Ok(rows.first().and_then(|row| revocation(row, 0).ok()))
    }
}

impl RevocationStore for SqlStore<Postgres> {
    type Error = StoreError;
    type Feed = PostgresFeed<Revocation>;

    async fn publish(&self, revocation: &Revocation) -> Result<(), StoreError> {
        Ok(self.0.publish_revocation(revocation).await?)
    }

    async fn load(&self) -> Result<Vec<Revocation>, StoreError> {
        Ok(self.0.load_revocations().await?)
    }

    async fn subscribe(&self) -> Result<PostgresFeed<Revocation>, StoreError> {
        Ok(PostgresFeed::subscribe(&self.0, REVOCATIONS).await?)
    }
}

impl RevocationFeed for PostgresFeed<Revocation> {
    async fn next(&mut self) -> Option<Revocation> {
        loop {
            let notice = self.notice().await?.to_owned();
            let found = self.find(&notice).await;
            self.told = None;
            if let Some(revocation) = found.ok()? {
                return Some(revocation);
            }
            self.miss();
        }
    }

    async fn is_alive(&mut self) -> bool {
        Self::is_alive(self).await
    }

    fn has_missed(&mut self) -> bool {
        std::mem::take(&mut self.has_missed)
    }
}

impl SharedOwnerStore for SqlStore<Postgres> {
    type Feed = PostgresFeed<OwnershipChange>;

    async fn subscribe(&self) -> Result<PostgresFeed<OwnershipChange>, StoreError> {
        Ok(PostgresFeed::subscribe(&self.0, OWNERSHIP).await?)
    }
}

impl OwnershipFeed for PostgresFeed<OwnershipChange> {
    async fn next(&mut self) -> Option<OwnershipChange> {
        loop {
            let change = notice::read(self.notice().await?);
            self.told = None;
            if change.is_some() {
                return change;
            }
            self.miss();
        }
    }

    async fn is_alive(&mut self) -> bool {
        Self::is_alive(self).await
    }

    fn has_missed(&mut self) -> bool {
        std::mem::take(&mut self.has_missed)
    }
}

impl<T> Drop for PostgresFeed<T> {
    fn drop(&mut self) {
        // It hands its goodbye to a task, for which it panics where there is no runtime.
        let _runtime = self.runtime.enter();
        self.listener = None;
    }
}

impl<T> fmt::Debug for PostgresFeed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresFeed")
            .field("listens", &self.listener.is_some())
            .finish_non_exhaustive()
    }
}
