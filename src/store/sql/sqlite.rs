//! [`SqliteStore`]: every store in one file.

use std::{fs::OpenOptions, path::Path, str::FromStr};

use sqlx::{
    Arguments, Row as _, Sqlite, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Duration, Instant, sleep};

#[cfg(feature = "accounts")]
use super::accounts::{self, Users};
use super::{
    api_keys,
    engine::{Driven, Engine, Value, drive},
    error::SqlError,
    options::SqlOptions,
    owners,
    store::{Shared, SqlStore},
    tickets,
};
use crate::StoreError;

/// How long to wait before a lock is asked for again that SQLite does not wait for by itself.
const PAUSE: Duration = Duration::from_millis(20);

/// Whoever has not read a change before ten thousand others came has to look for itself.
const FORGET_CHANGES: &str = "
    DELETE FROM warden_ownership_changes
    WHERE id <= (SELECT MAX(id) FROM warden_ownership_changes) - 10000";

/// Every store of this crate in one SQLite file, which the processes of one machine may share.
///
/// One handle is all of them: an [`OwnerStore`](crate::OwnerStore) and [`SharedOwnerStore`](crate::SharedOwnerStore), an
/// [`ApiKeyStore`](crate::ApiKeyStore), a [`TicketStore`](crate::TicketStore) and a
/// [`RevocationStore`](crate::RevocationStore). Cloning it copies a pointer.
///
/// # What it promises
///
/// - Each decision is one transaction, which writes from its beginning: of any number of first claims, or of redemptions
///   of one ticket, in whatever processes, exactly one wins. Whoever goes away leaves a whole decision behind, or none.
/// - What was answered is on the disk (`synchronous = FULL`), and survives the process and the machine.
/// - Every wait has its bound: an answer comes within the [timeout](SqlOptions::with_timeout), 5 s by default, or it is a
///   [`StoreError`], and requests that depend on it are answered 503: while another process keeps the file locked, while
///   the disk is full, when the file may only be read. They are served again as soon as that is over.
/// - Names are kept and compared byte by byte. Errors and the `Debug` text hold none.
///
/// # What it depends on
///
/// - A file that the store creates may be read by its owner alone (0600), as may its `-wal` and `-shm`. One that exists
///   keeps its permissions.
/// - The file lies on a local disk: its locks do not work over a network.
/// - One process writes at a time, and each write waits for the disk; reads wait for nobody (WAL).
/// - Other processes hear of revocations and of changes of ownership within a quarter of a second, as they read what is
///   new so often.
///
/// # Tables
///
/// | table | holds |
/// | --- | --- |
/// | `warden_schema` | the versions of the schema; that of a later version of this crate is refused |
/// | `warden_owners` | whose a resource is |
/// | `warden_grants` | with whom it is shared, and as what |
/// | `warden_api_keys` | records of API keys, with hashes in place of the keys |
/// | `warden_tickets` | tickets until they have expired, by their hashes |
/// | `warden_revocations` | revocations until they are over |
/// | `warden_sessions` | sessions of accounts until they are over, with hashes in place of the refresh tokens |
/// | `warden_ownership_changes` | the latest 10 000 changes, for other processes to read |
///
/// They are made when the store is opened, and brought up to date, in one transaction. What is over is swept out a little
/// with every 32nd entry.
///
/// # Examples
///
/// ```
/// use tower_warden::{Claim, OwnerStore, ResourceId, SqliteStore, SubjectId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("warden-doc-{}.sqlite", std::process::id()));
/// let store = SqliteStore::open(&path).await?;
/// let room = ResourceId::new("/agents/support/r1")?;
/// let alice = SubjectId::new("https://id.example", "alice")?;
/// let mallory = SubjectId::new("https://id.example", "mallory")?;
/// assert_eq!(store.claim(&room, &alice).await?, Claim::Claimed);
/// assert_eq!(store.claim(&room, &mallory).await?, Claim::Other);
///
/// // In memory nothing could be shared, not even between connections of one store.
/// assert!(SqliteStore::open(":memory:").await.is_err());
/// # drop(store);
/// # for ending in ["", "-wal", "-shm"] { let _ = std::fs::remove_file(format!("{}{ending}", path.display())); }
/// # Ok(())
/// # }
/// ```
pub type SqliteStore = SqlStore<Sqlite>;

impl SqlStore<Sqlite> {
    /// Opens the file of a URL: `sqlite:chat.db` or `sqlite://chat.db` relative to the working directory,
    /// `sqlite:///var/lib/chat.db` from the root, each with `?mode=rwc` or without.
    ///
    /// The file is created if it is missing, but not with `?mode=rw`. In the path `%3F` stands for `?`, as in every URL.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), and for a URL that does not begin with `sqlite:`, or has a parameter that a store cannot
    /// follow, such as `mode=ro` or `mode=memory`. The error names the part of the URL.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::SqliteStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("chat.db");
    /// # let path = path.display();
    /// let store = SqliteStore::connect(&format!("sqlite://{path}?mode=rwc")).await?;
    /// assert!(SqliteStore::connect(&format!("sqlite://{path}?mode=ro")).await.is_err());
    /// # drop(store);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, SqlOptions::new()).await
    }

    /// Opens the file of a URL, with options of your choice.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect), and for an option out of its range.
    pub async fn connect_with(url: &str, options: SqlOptions) -> Result<Self, StoreError> {
        let missing = missing_file(url)?;
        let parsed = SqliteConnectOptions::from_str(url)
            .map_err(|_| SqlError::Unfit("the path in the URL of the database cannot be read"))?;
        Self::open_file(parsed.get_filename(), missing, options).await
    }

    /// Opens a file, which is created with the permissions 0600 if it is missing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be opened and written, or holds a schema of a later version of this crate.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, SqlOptions::new()).await
    }

    /// Opens a file, with options of your choice.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), and for an option out of its range.
    pub async fn open_with(
        path: impl AsRef<Path>,
        options: SqlOptions,
    ) -> Result<Self, StoreError> {
        Self::open_file(path.as_ref(), MissingFile::Created, options).await
    }

    async fn open_file(
        path: &Path,
        missing: MissingFile,
        options: SqlOptions,
    ) -> Result<Self, StoreError> {
        let options = options.check()?;
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            return Err(SqlError::Unfit(IN_MEMORY).into());
        }
        if missing == MissingFile::Created {
            create(path);
        }
        let file = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(missing == MissingFile::Created)
            .synchronous(SqliteSynchronous::Full)
            // The engine itself says that the file is locked before we give up.
            .busy_timeout(options.timeout * 4 / 5);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(options.acquire_timeout())
                .test_before_acquire(false)
                .connect_lazy_with(file.clone())
        };
        // One at a time can write: those of this process queue for it, rather than try and try again.
        let writers = pool(1);
        prepare(writers.clone(), options.timeout).await?;
        let readers = pool(options.connections);
        let store = Shared::new(readers, writers, options);
        Ok(store.open().await?)
    }

    /// Takes a pool that the application has already; its settings are left as they are.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn from_pool(pool: SqlitePool, options: SqlOptions) -> Result<Self, StoreError> {
        let store = Shared::new(pool.clone(), pool, options.check()?);
        Ok(store.open().await?)
    }

    /// The schema, as a script for people who keep the schemas of their databases themselves.
    ///
    /// A store that finds it in its database creates nothing there. Its versions follow each other, and each ends with its
    /// number in the table `warden_schema`.
    ///
    /// ```
    /// let script = tower_warden::SqliteStore::schema();
    /// assert!(script.contains("CREATE TABLE warden_owners"));
    /// ```
    #[must_use]
    pub fn schema() -> String {
        Sqlite::MIGRATIONS.join("\n")
    }
}

const IN_MEMORY: &str =
    "a store in SQLite needs a file: `MemoryOwnerStore` and its kin are in memory";

/// The treatment of a missing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MissingFile {
    Created,
    Refused,
}

/// Checks all of a URL but its path.
fn missing_file(url: &str) -> Result<MissingFile, SqlError> {
    let Some(rest) = url.strip_prefix("sqlite:") else {
        let why = "the URL of the database does not begin with `sqlite:`";
        return Err(SqlError::Unfit(why));
    };
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if matches!(path, ":memory:" | "//:memory:") {
        return Err(SqlError::Unfit(IN_MEMORY));
    }
    let mut missing = MissingFile::Created;
    if path.len() == rest.len() {
        return Ok(missing);
    }
    for parameter in parameters.split('&') {
        match parameter {
            "mode=rwc" => missing = MissingFile::Created,
            "mode=rw" => missing = MissingFile::Refused,
            "cache=private" => {}
            other => {
                return Err(SqlError::Unfit(match other.split('=').next() {
                    Some("mode") => {
                        "`mode` in the URL of the database is neither `rwc` nor `rw`: a store writes to a file"
                    }
                    Some("cache") => "`cache` in the URL of the database is not `private`",
                    _ => {
                        "a parameter in the URL of the database is none of `mode` and `cache`: a `?` of the path is `%3F`"
                    }
                }));
            }
        }
    }
    Ok(missing)
}

/// Creates the file for its owner alone if it is missing. SQLite gives its `-wal` and `-shm` files the same permissions.
///
/// A file that cannot be created is left to SQLite, which says why.
fn create(path: &Path) {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
}

/// Switches the file to WAL, which it remembers, and makes sure that it can be written.
async fn prepare(pool: SqlitePool, patience: Duration) -> Result<(), SqlError> {
    let deadline = Instant::now() + patience;
    let mut connection = pool.acquire().await?;
    // SQLite does not wait by itself for the lock that the switch needs, and another process may be at it as well.
    let statements = "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; ROLLBACK";
    loop {
        let prepared = Sqlite::run_all(&mut connection, statements).await;
        match prepared.map_err(SqlError::from) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(PAUSE).await,
            prepared => return prepared,
        }
    }
}

/// Whether another process holds the lock that is needed.
fn is_busy(error: &SqlError) -> bool {
    // The lowest byte of a code is the primary one, and SQLITE_BUSY is 5.
    matches!(error, SqlError::Answered { code, .. } if code.parse::<i32>().is_ok_and(|code| code & 0xff == 5))
}

impl Engine for Sqlite {
    const STORE: &'static str = "SqliteStore";

    const MIGRATIONS: &'static [&'static str] = &[
        include_str!("migrations/1.sqlite.sql"),
        include_str!("migrations/2.sqlite.sql"),
        include_str!("migrations/3.sqlite.sql"),
        include_str!("migrations/4.sqlite.sql"),
    ];

    const HAS_SCHEMA: &'static str =
        "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'warden_schema'";

    // A transaction that begins by reading could not become a writer once another one has written.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    const LOCK_SCHEMA: Option<&'static str> = None;

    // It is the only writer while it writes.
    const INSERT_API_KEY: &'static [&'static str] = &[api_keys::INSERT];

    const PUT_TICKET: &'static [&'static str] = &[tickets::PUT];

    const CLAIM_WITHIN: &'static [&'static str] = &[owners::CLAIM_WITHIN];

    const TRANSFER: &'static [&'static str] = &[
        "UPDATE warden_owners SET issuer = $4, subject = $5
        WHERE resource = $1 AND issuer = $2 AND subject = $3 RETURNING tenure",
        "DELETE FROM warden_grants
        WHERE tenure = (SELECT tenure FROM warden_owners WHERE resource = $1)",
        "INSERT INTO warden_ownership_changes (change) VALUES ($6)",
        FORGET_CHANGES,
    ];

    const GRANT: &'static [&'static str] = &[
        "SELECT issuer = $2 AND subject = $3 FROM warden_owners WHERE resource = $1",
        "INSERT INTO warden_grants (tenure, issuer, subject, role)
        SELECT tenure, $2, $3, $4 FROM warden_owners
        WHERE resource = $1 AND NOT (issuer = $2 AND subject = $3)
        ON CONFLICT (tenure, issuer, subject) DO UPDATE SET role = excluded.role",
        "INSERT INTO warden_ownership_changes (change)
        SELECT $5 FROM warden_owners WHERE resource = $1 AND NOT (issuer = $2 AND subject = $3)",
        FORGET_CHANGES,
    ];

    const REVOKE: &'static [&'static str] = &[
        "DELETE FROM warden_grants
        WHERE tenure = (SELECT tenure FROM warden_owners WHERE resource = $1)
            AND issuer = $2 AND subject = $3
        RETURNING tenure",
        "INSERT INTO warden_ownership_changes (change) VALUES ($4)",
        FORGET_CHANGES,
    ];

    // Whoever listens reads it from where it is kept, by its number: one that is published again gets a new one.
    const PUBLISH: &'static [&'static str] = &[
        "INSERT OR REPLACE INTO warden_revocations (digest, revocation, expires_at) VALUES ($1, $2, $3)",
    ];

    #[cfg(feature = "accounts")]
    const USERS: Users = Users {
        script: include_str!("migrations/users.sqlite.sql"),
        scripts: concat!(
            include_str!("migrations/users.sqlite.sql"),
            "\n",
            include_str!("migrations/usernames.sql")
        ),
        exists: "SELECT COUNT(*) FROM sqlite_schema WHERE type IN ('table', 'view') AND name = 'users'",
        has_unique_names: "SELECT COUNT(*) FROM sqlite_schema
            WHERE type = 'index' AND tbl_name = 'users'
                AND replace(lower(sql), ' ', '') LIKE 'createuniqueindex%(lower(username))'",
        names_exist: "SELECT COUNT(*) FROM sqlite_schema
            WHERE type IN ('table', 'view') AND name = 'warden_usernames'",
        free_name: &["DELETE FROM warden_usernames AS n WHERE n.folded = $1 AND NOT EXISTS (
                SELECT 1 FROM users AS u WHERE u.id = n.user_id AND u.username = n.username)"],
        register: &[
            "INSERT INTO warden_usernames (folded, user_id, username)
            SELECT $5, $1, $2 WHERE NOT EXISTS (
                SELECT 1 FROM users AS u WHERE lower(u.username) = $5 AND NOT EXISTS (
                    SELECT 1 FROM warden_usernames AS n WHERE n.user_id = u.id AND n.username = u.username))
            ON CONFLICT DO NOTHING RETURNING user_id",
            "INSERT INTO users (id, username, password_hash, created_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT DO NOTHING RETURNING id",
            accounts::begin_first!("id = $1"),
        ],
        find: "SELECT u.id, u.username, u.password_hash, u.created_at
            FROM warden_usernames AS n JOIN users AS u ON u.id = n.user_id AND u.username = n.username
            WHERE n.folded = $1
            UNION ALL
            SELECT u.id, u.username, u.password_hash, u.created_at
            FROM users AS u WHERE lower(u.username) = $1 AND NOT EXISTS (
                SELECT 1 FROM warden_usernames AS n WHERE n.user_id = u.id AND n.username = u.username)",
        replace_hash: &[
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING id",
        ],
        open_session: &[
            "INSERT INTO warden_sessions
                (id, user_id, created_at, seen_at, expires_at, user_agent, refresh_hash, refreshed_at, refreshes)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
            FROM users WHERE id = $2 AND password_hash = $10
            RETURNING id",
            accounts::FORGET,
        ],
        change_password: &[
            "UPDATE users SET password_hash = $11 WHERE id = $2 AND password_hash = $10 RETURNING id",
            accounts::END_ALL,
            accounts::BEGIN,
        ],
        find_session: "SELECT s.id, s.user_id, s.created_at, s.seen_at, s.expires_at, s.user_agent, s.refresh_hash,
                s.refreshed_at, s.refreshes, u.id, u.username, u.password_hash, u.created_at
            FROM warden_sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.id = $1",
    };

    const LONGEST_NOTICE: usize = usize::MAX;

    drive!();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_whether_the_file_is_created_and_an_error_names_the_part() {
        use MissingFile::{Created, Refused};

        for (url, missing) in [
            ("sqlite:chat.db", Created),
            ("sqlite://chat.db", Created),
            ("sqlite:///var/chat.db?mode=rwc", Created),
            ("sqlite://chat.db?mode=rwc&cache=private", Created),
            ("sqlite://chat.db?mode=rw", Refused),
        ] {
            assert_eq!(missing_file(url).unwrap(), missing, "{url}");
        }
        for (url, part) in [
            ("chat.db", "`sqlite:`"),
            ("postgres://secret@host/db", "`sqlite:`"),
            ("sqlite://chat.db?mode=ro", "`mode`"),
            ("sqlite://chat.db?mode=memory", "`mode`"),
            ("sqlite://chat.db?mode=secret", "`mode`"),
            ("sqlite://chat.db?cache=shared", "`cache`"),
            ("sqlite://chat.db?vfs=secret", "parameter"),
            ("sqlite://chat.db?", "parameter"),
        ] {
            let error = missing_file(url).unwrap_err().to_string();
            assert!(
                error.contains(part) && !error.contains("secret"),
                "{url}: {error}"
            );
        }
    }
}
