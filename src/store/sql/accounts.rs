//! Accounts: the application's table `users`, and sessions in the table `warden_sessions`.

use sqlx::Connection;
use tokio::time::timeout;

use super::{
    api_keys::{date, seconds},
    engine::{Engine, Row, Value},
    error::SqlError,
    schema,
    store::SqlStore,
};
use crate::{
    NumericDate, StoreError, StoreFuture,
    accounts::{AccountStore, RefreshHash, SessionRecord, UserRecord},
};

/// What differs between databases: the types of the table `users`, and its locks.
pub(super) struct Users {
    /// Makes the table.
    pub(super) script: &'static str,
    /// Makes it, and the table of folded names.
    pub(super) scripts: &'static str,
    /// How many tables or views of the name there are.
    pub(super) exists: &'static str,
    /// How many unique indexes it has on the lower case of the name.
    pub(super) has_unique_names: &'static str,
    /// Counts the tables of folded names.
    pub(super) names_exist: &'static str,
    /// Frees a folded name (1) whose user has been deleted or renamed.
    pub(super) free_name: &'static [&'static str],
    /// Keeps a user (1 to 4) under a folded name (5) with a session (6 to 14): a row for each of the three, or the name or
    /// the ID is taken.
    pub(super) register: &'static [&'static str],
    /// ID, name, hash and age of the user of a folded name (1). A user without an entry among the folded names is another
    /// system's, and found by the lower case of the name.
    pub(super) find: &'static str,
    /// Replaces a hash (2) of a user (1) by another (3).
    pub(super) replace_hash: &'static [&'static str],
    /// Keeps a session (1 to 9) of a user who has this hash (10), and forgets what is over.
    pub(super) open_session: &'static [&'static str],
    /// Replaces a hash (10) by another (11), ends all sessions of the user (2), and keeps one (1 to 9).
    pub(super) change_password: &'static [&'static str],
    /// The session of an ID (1), and its user as above.
    pub(super) find_session: &'static str,
}

/// Forgets what was over when this session was made; it has the values of a session.
pub(super) const FORGET: &str =
    "DELETE FROM warden_sessions WHERE user_id = $2 AND expires_at <= $3";

/// Ends every session of a user; it has the values of a session.
pub(super) const END_ALL: &str = "DELETE FROM warden_sessions WHERE user_id = $2 RETURNING id";

/// Keeps a session.
pub(super) const BEGIN: &str = "
    INSERT INTO warden_sessions
        (id, user_id, created_at, seen_at, expires_at, user_agent, refresh_hash, refreshed_at, refreshes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Makes the table of folded names. An entry counts while its user has the name as it was typed then.
const NAMES: &str = include_str!("migrations/usernames.sql");

/// The same behind the values of a user, if that user was kept. It returns the ID.
macro_rules! begin_first {
    ($user:literal) => {
        concat!(
            "INSERT INTO warden_sessions
                (id, user_id, created_at, seen_at, expires_at, user_agent, refresh_hash, refreshed_at, refreshes)
            SELECT $6, $7, $8, $9, $10, $11, $12, $13, $14 WHERE EXISTS (SELECT 1 FROM users WHERE ",
            $user,
            " AND username = $2) RETURNING id"
        )
    };
}
pub(super) use begin_first;

const LIST: &str = "
    SELECT id, user_id, created_at, seen_at, expires_at, user_agent, refresh_hash, refreshed_at, refreshes
    FROM warden_sessions WHERE user_id = $1 AND expires_at > $2
    ORDER BY created_at DESC, id LIMIT 500";

const REFRESH: &str = "
    UPDATE warden_sessions SET
        refresh_hash = $3, refreshed_at = $4, refreshes = refreshes + 1,
        seen_at = CASE WHEN seen_at < $4 THEN $4 ELSE seen_at END,
        expires_at = CASE WHEN expires_at < $5 THEN $5 ELSE expires_at END
    WHERE id = $1 AND refresh_hash = $2 RETURNING id";

const TOUCH: &str = "
    UPDATE warden_sessions SET
        seen_at = CASE WHEN seen_at < $2 THEN $2 ELSE seen_at END,
        expires_at = CASE WHEN expires_at < $3 THEN $3 ELSE expires_at END
    WHERE id = $1";

const END: &str = "DELETE FROM warden_sessions WHERE id = $1 AND user_id = $2 RETURNING id";

const END_OF_USER: &str = "DELETE FROM warden_sessions WHERE user_id = $1 RETURNING id";

const SWEEP: &str = "
    DELETE FROM warden_sessions WHERE id IN
        (SELECT id FROM warden_sessions WHERE expires_at <= $1 LIMIT 1000)
    RETURNING id";

#[expect(
    private_bounds,
    reason = "the databases are those that this crate knows"
)]
impl<DB: Engine> SqlStore<DB> {
    /// Prepares the database for [`Accounts`](crate::accounts::Accounts): makes the table `users` where there is none, and
    /// checks that one which is there can be used: by its columns, and by a unique index on `lower(username)`. The names as
    /// they are compared stand in a table of their own, `warden_usernames`, which is made where there is none.
    ///
    /// Whatever else stands in such a table is left alone. In PostgreSQL it takes version 13 or later to make it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_warden::{SqliteStore, accounts::{AccountStore, Accounts}};
    ///
    /// # let path = std::env::temp_dir().join(format!("warden-doc-accounts-{}.sqlite", std::process::id()));
    /// let store = SqliteStore::open(&path).await?.with_accounts().await?;
    /// assert_eq!(store.find_user("alice").await?, None);
    /// let accounts = Accounts::builder(store, "0123456789abcdef0123456789abcdef").build()?;
    ///
    /// // Without it nobody is found, not even nobody: requests would be answered 503.
    /// # let other = path.with_extension("other");
    /// let store = SqliteStore::open(&other).await?;
    /// assert!(store.find_user("alice").await.is_err());
    /// # drop((accounts, store));
    /// # for path in [path, other] {
    /// #     for ending in ["", "-wal", "-shm"] { let _ = std::fs::remove_file(format!("{}{ending}", path.display())); }
    /// # }
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database does not answer, or has another table of that name.
    #[cfg_attr(docsrs, doc(cfg(feature = "accounts")))]
    pub async fn with_accounts(self) -> Result<Self, StoreError> {
        let mut connection = self.0.writers.acquire().await.map_err(SqlError::from)?;
        match timeout(schema::LONGEST, prepare_users::<DB>(&mut connection)).await {
            Ok(prepared) => prepared?,
            Err(_) => {
                connection.close_on_drop();
                return Err(SqlError::TimedOut.into());
            }
        }
        Ok(self)
    }

    /// Returns the script that makes the tables `users` and `warden_usernames`, for people who keep the schemas of their
    /// databases themselves.
    #[cfg_attr(docsrs, doc(cfg(feature = "accounts")))]
    #[must_use]
    pub fn users_sql() -> &'static str {
        DB::USERS.scripts
    }
}

impl<DB: Engine> AccountStore for SqlStore<DB> {
    fn register<'a>(
        &'a self,
        user: &'a UserRecord,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let folded = user.folded_username();
            let mut values = vec![
                user.id.as_str().into(),
                user.username.as_str().into(),
                user.password_hash.as_str().into(),
                seconds(user.created_at)?.into(),
                folded.as_str().into(),
            ];
            values.extend(values_of(session)?);
            let name = [folded.as_str().into()];
            self.0.decide(DB::USERS.free_name, &name).await?;
            let kept = self.0.decide(DB::USERS.register, &values).await?;
            Ok(kept.len() == DB::USERS.register.len())
        })
    }

    fn find_user<'a>(&'a self, username: &'a str) -> StoreFuture<'a, Option<UserRecord>> {
        Box::pin(async move {
            let rows = self.0.ask(DB::USERS.find, &[username.into()]).await?;
            Ok(rows.first().map(|row| user(row, 0)).transpose()?)
        })
    }

    fn replace_hash<'a>(
        &'a self,
        user_id: &'a str,
        present: &'a str,
        next: &'a str,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let values = [user_id, present, next].map(Into::into);
            let replaced = self.0.decide(DB::USERS.replace_hash, &values).await?;
            Ok(!replaced.is_empty())
        })
    }

    fn change_password<'a>(
        &'a self,
        present: &'a str,
        next: &'a str,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, Option<Vec<String>>> {
        Box::pin(async move {
            let mut values = values_of(session)?;
            values.extend([present, next].map(Value::from));
            let rows = self.0.decide(DB::USERS.change_password, &values).await?;
            // The first row says that the hash was the one; each other is a session that ended.
            let Some((_, ended)) = rows.split_first() else {
                return Ok(None);
            };
            let ended: Result<_, SqlError> = ended.iter().map(|row| row.text(0)).collect();
            Ok(Some(ended?))
        })
    }

    fn open_session<'a>(
        &'a self,
        session: &'a SessionRecord,
        password_hash: &'a str,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut values = values_of(session)?;
            values.push(password_hash.into());
            let opened = self.0.decide(DB::USERS.open_session, &values).await?;
            Ok(!opened.is_empty())
        })
    }

    fn find_session<'a>(
        &'a self,
        id: &'a str,
    ) -> StoreFuture<'a, Option<(SessionRecord, UserRecord)>> {
        Box::pin(async move {
            let rows = self.0.ask(DB::USERS.find_session, &[id.into()]).await?;
            let found = rows.first().map(|row| Ok((session(row)?, user(row, 9)?)));
            Ok(found.transpose().map_err(|error: SqlError| error)?)
        })
    }

    fn list_sessions<'a>(
        &'a self,
        user_id: &'a str,
        now: NumericDate,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        Box::pin(async move {
            let values = [user_id.into(), seconds(now)?.into()];
            let rows = self.0.ask(LIST, &values).await?;
            Ok(rows.iter().map(session).collect::<Result<_, _>>()?)
        })
    }

    fn refresh<'a>(
        &'a self,
        id: &'a str,
        present: RefreshHash,
        next: RefreshHash,
        now: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let values = [
                id.into(),
                present.as_bytes().as_slice().into(),
                next.as_bytes().as_slice().into(),
                seconds(now)?.into(),
                seconds(expires_at)?.into(),
            ];
            Ok(!self.0.decide(&[REFRESH], &values).await?.is_empty())
        })
    }

    fn touch<'a>(
        &'a self,
        id: &'a str,
        seen_at: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let values = [
                id.into(),
                seconds(seen_at)?.into(),
                seconds(expires_at)?.into(),
            ];
            self.0.decide(&[TOUCH], &values).await?;
            Ok(())
        })
    }

    fn end_session<'a>(&'a self, user_id: &'a str, id: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let values = [id, user_id].map(Into::into);
            Ok(!self.0.decide(&[END], &values).await?.is_empty())
        })
    }

    fn end_sessions<'a>(&'a self, user_id: &'a str) -> StoreFuture<'a, Vec<String>> {
        Box::pin(async move {
            let rows = self.0.decide(&[END_OF_USER], &[user_id.into()]).await?;
            let ended: Result<_, SqlError> = rows.iter().map(|row| row.text(0)).collect();
            Ok(ended?)
        })
    }

    fn sweep_sessions(&self, now: NumericDate) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let now = seconds(now)?;
            let mut swept = 0;
            // A thousand at a time, so that nobody waits for all of them.
            loop {
                let rows = self.0.decide(&[SWEEP], &[now.into()]).await?;
                swept += rows.len() as u64;
                if rows.len() < 1_000 {
                    return Ok(swept);
                }
            }
        })
    }
}

/// Makes the table `users` or checks it, once others who do so are done.
async fn prepare_users<DB: Engine>(connection: &mut DB::Connection) -> Result<(), SqlError> {
    let mut transaction = connection.begin_with(DB::BEGIN).await?;
    if let Some(lock) = DB::LOCK_SCHEMA {
        DB::run_all(&mut transaction, lock).await?;
    }
    if schema::number::<DB>(&mut transaction, DB::USERS.exists).await? == 0 {
        DB::run_all(&mut transaction, DB::USERS.script).await?;
    }
    let columns = "SELECT COUNT(*) FROM users
            WHERE id IS NULL AND username IS NULL AND password_hash IS NULL AND created_at IS NULL";
    schema::number::<DB>(&mut transaction, columns)
        .await
        .map_err(|error| match error {
            SqlError::Answered { .. } => SqlError::Unfit(
                "the table `users` lacks one of id, username, password_hash and created_at",
            ),
            error => error,
        })?;
    if schema::number::<DB>(&mut transaction, DB::USERS.names_exist).await? == 0 {
        DB::run_all(&mut transaction, NAMES).await?;
    }
    if schema::number::<DB>(&mut transaction, DB::USERS.has_unique_names).await? == 0 {
        return Err(SqlError::Unfit(
            "the table `users` has no unique index on lower(username): two could have one name",
        ));
    }
    transaction.commit().await?;
    Ok(())
}

/// A session in the order of its columns.
fn values_of(session: &SessionRecord) -> Result<Vec<Value<'_>>, SqlError> {
    Ok(vec![
        session.id.as_str().into(),
        session.user_id.as_str().into(),
        seconds(session.created_at)?.into(),
        seconds(session.seen_at)?.into(),
        seconds(session.expires_at)?.into(),
        session.user_agent.as_str().into(),
        session.refresh_hash.as_bytes().as_slice().into(),
        session.refreshed_at.map(seconds).transpose()?.into(),
        i64::from(session.refreshes).into(),
    ])
}

fn session<DB: Engine>(row: &Row<DB>) -> Result<SessionRecord, SqlError> {
    Ok(SessionRecord {
        id: row.text(0)?,
        user_id: row.text(1)?,
        created_at: date(row.number(2)?)?,
        seen_at: date(row.number(3)?)?,
        expires_at: date(row.number(4)?)?,
        user_agent: row.text(5)?,
        refresh_hash: RefreshHash::from_bytes(&row.bytes(6)?).ok_or(SqlError::Foreign)?,
        refreshed_at: row.number_or_none(7)?.map(date).transpose()?,
        refreshes: u32::try_from(row.number(8)?).unwrap_or(u32::MAX),
    })
}

/// A user in four columns.
fn user<DB: Engine>(row: &Row<DB>, first: usize) -> Result<UserRecord, SqlError> {
    Ok(UserRecord {
        id: row.text(first)?,
        username: row.text(first + 1)?,
        password_hash: row.text(first + 2)?,
        created_at: date(row.number(first + 3)?)?,
    })
}
