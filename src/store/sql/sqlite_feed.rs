//! [`SqliteFeed`]: what other processes have written, read again and again.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use sqlx::Sqlite;
use tokio::time::sleep;

use super::{
    engine::Row,
    error::SqlError,
    store::{Shared, SqlStore},
};
use crate::{
    OwnershipChange, OwnershipFeed, Revocation, RevocationFeed, RevocationStore, SharedOwnerStore,
    StoreError,
};

/// How often it is read: so long a change is on its way at most.
const INTERVAL: Duration = Duration::from_millis(250);

/// A table whose rows are numbered in the order in which they came.
struct Journal {
    /// The number of the last row there ever was.
    last: &'static str,
    /// The rows behind a number.
    news: &'static str,
    /// Whether a number that is missing is a change that was missed.
    gaps: Gaps,
}

#[derive(PartialEq)]
enum Gaps {
    AreNothing,
    AreLosses,
}

// What is over is swept, so numbers are missing.
const REVOCATIONS: Journal = Journal {
    last: "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'warden_revocations'), 0)",
    news: "SELECT id, revocation FROM warden_revocations WHERE id > $1 ORDER BY id LIMIT 500",
    gaps: Gaps::AreNothing,
};

const OWNERSHIP: Journal = Journal {
    last: "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'warden_ownership_changes'), 0)",
    news: "SELECT id, change FROM warden_ownership_changes WHERE id > $1 ORDER BY id LIMIT 500",
    gaps: Gaps::AreLosses,
};

/// The feed of a [`SqliteStore`](crate::SqliteStore), of revocations or of changes of ownership.
///
/// It reads what is new four times a second, and keeps the file open while it lasts.
pub struct SqliteFeed<T> {
    store: Arc<Shared<Sqlite>>,
    journal: &'static Journal,
    /// The number of the last row that was read.
    seen: i64,
    read: VecDeque<T>,
    has_missed: bool,
}

impl<T: DeserializeOwned> SqliteFeed<T> {
    async fn subscribe(
        store: &Arc<Shared<Sqlite>>,
        journal: &'static Journal,
    ) -> Result<Self, SqlError> {
        let rows = store.ask(journal.last, &[]).await?;
        let last = rows.first().ok_or(SqlError::Foreign)?;
        Ok(Self {
            store: Arc::clone(store),
            journal,
            seen: last.number(0)?,
            read: VecDeque::new(),
            has_missed: false,
        })
    }

    /// Whoever stops to wait loses nothing: a row counts as seen when it is in `read`.
    async fn next(&mut self) -> Result<T, SqlError> {
        loop {
            if let Some(news) = self.read.pop_front() {
                return Ok(news);
            }
            let rows = self
                .store
                .ask(self.journal.news, &[self.seen.into()])
                .await?;
            if rows.is_empty() {
                sleep(INTERVAL).await;
            }
            for row in &rows {
                self.take_in(row)?;
            }
        }
    }

    fn take_in(&mut self, row: &Row<Sqlite>) -> Result<(), SqlError> {
        let number = row.number(0)?;
        if self.journal.gaps == Gaps::AreLosses && number != self.seen + 1 {
            return Err(SqlError::Unfit("changes are gone that were not read"));
        }
        self.seen = number;
        match serde_json::from_str(&row.text(1)?) {
            Ok(news) => self.read.push_back(news),
            Err(_) => {
                tracing::warn!(
                    target: "tower_warden",
                    "a row is none that a store of this version writes: it is left out"
                );
                self.has_missed = true;
            }
        }
        Ok(())
    }

    async fn is_alive(&self) -> bool {
        self.store.ask(self.journal.last, &[]).await.is_ok()
    }
}

impl RevocationStore for SqlStore<Sqlite> {
    type Error = StoreError;
    type Feed = SqliteFeed<Revocation>;

    async fn publish(&self, revocation: &Revocation) -> Result<(), StoreError> {
        Ok(self.0.publish_revocation(revocation).await?)
    }

    async fn load(&self) -> Result<Vec<Revocation>, StoreError> {
        Ok(self.0.load_revocations().await?)
    }

    async fn subscribe(&self) -> Result<SqliteFeed<Revocation>, StoreError> {
        Ok(SqliteFeed::subscribe(&self.0, &REVOCATIONS).await?)
    }
}

impl RevocationFeed for SqliteFeed<Revocation> {
    async fn next(&mut self) -> Option<Revocation> {
        self.next().await.ok()
    }

    async fn is_alive(&mut self) -> bool {
        Self::is_alive(self).await
    }

    fn has_missed(&mut self) -> bool {
        std::mem::take(&mut self.has_missed)
    }
}

impl SharedOwnerStore for SqlStore<Sqlite> {
    type Feed = SqliteFeed<OwnershipChange>;

    async fn subscribe(&self) -> Result<SqliteFeed<OwnershipChange>, StoreError> {
        Ok(SqliteFeed::subscribe(&self.0, &OWNERSHIP).await?)
    }
}

impl OwnershipFeed for SqliteFeed<OwnershipChange> {
    async fn next(&mut self) -> Option<OwnershipChange> {
        self.next().await.ok()
    }

    async fn is_alive(&mut self) -> bool {
        Self::is_alive(self).await
    }

    fn has_missed(&mut self) -> bool {
        std::mem::take(&mut self.has_missed)
    }
}

impl<T> fmt::Debug for SqliteFeed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteFeed")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}
