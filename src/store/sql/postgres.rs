//! [`PostgresStore`]: every store in a PostgreSQL database.

use std::str::FromStr;

use sqlx::{
    Arguments, Connection, PgConnection, PgPool, Postgres, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Duration, timeout};

use super::{
    engine::{Driven, Engine, Row, Value, drive},
    error::SqlError,
    options::SqlOptions,
    store::{Shared, SqlStore},
};
use crate::StoreError;

/// A connection that was idle for so long shows that it is alive before it is used.
const TRUSTED: Duration = Duration::from_secs(1);

/// How long that may take.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

const IS_131260414715246ICA: &str = "SELECT pg_is_in_recovery()::int::bigint";

/// Every store of this crate in a PostgreSQL database (12 or later), for any number of nodes.
///
/// # Guarantees
///
/// - Each decision is one statement at `READ COMMITTED`: of many first claims, on whatever nodes, exactly one wins. What
///   was answered is as durable as the server makes a commit (`synchronous_commit`).
/// - An answer comes within the [timeout](SqlOptions::with_timeout), 5 s by default, which the server is told too
///   (`statement_timeout`). While it is down, cut off, too slow or has no connection left it is a [`StoreError`]: requests
///   are refused with 503, and served again as soon as it is back, without a restart. A connection that turns out to be
///   dead takes the requests along that were using it, and no others.
/// - Names are kept and compared byte by byte, whatever the locale of the database; its encoding has to be UTF-8.
///
/// # Limits
///
/// - It asks one server, the primary: a replica is refused, as it would lag behind. After a failover the same address has
///   to lead to the new primary, which without synchronous replication may have lost the last decisions.
/// - Through a pooler in transaction mode prepared statements have to be supported, or switched off by
///   `?statement-cache-capacity=0`.
///
/// # Tables
///
/// `warden_schema`, `warden_owners`, `warden_grants`, `warden_api_keys`, `warden_tickets` and `warden_revocations`, in the first schema of the `search_path`.
/// They are made when the store is opened, and brought up to date; of several nodes that do so at once, one does it.
///
/// # Examples
///
/// ```no_run
/// use tower_warden::{OwnershipLayer, Owners, PostgresStore, ResourceKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url = std::env::var("DATABASE_URL")?;
/// let store = PostgresStore::connect(&url).await?;
/// let key = ResourceKey::path("/agents/{agent}/{room}")?;
/// let owned = OwnershipLayer::new(Owners::new(store), key).claim_on_first_use();
///
/// assert!(PostgresStore::connect("mysql://db.example/app").await.is_err());
/// # drop(owned);
/// # Ok(())
/// # }
/// ```
pub type PostgresStore = SqlStore<Postgres>;

impl SqlStore<Postgres> {
    /// Connects to the database of a URL, `postgres://user:password@host:5432/database`.
    ///
    /// Without TLS in the way it is chosen by `?sslmode=`: `prefer` by default, `verify-full` for anything but loopback.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the URL cannot be read, the server cannot be reached, is a replica, or holds a schema of a
    /// later version of this crate. It names no part of the URL.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, SqlOptions::new()).await
    }

    /// Connects, with options of your choice.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect), and for an option out of its range.
    pub async fn connect_with(url: &str, options: SqlOptions) -> Result<Self, StoreError> {
        let options = options.check()?;
        let server = server(url)?;
        // The first connection tells at once and in clear words what a pool would try again until its time is over.
        let first = async {
            let mut first = PgConnection::connect_with(&server).await?;
            refuse_replica(&mut first).await?;
            let _ = first.close().await;
            Ok::<_, SqlError>(())
        };
        let reached = timeout(options.timeout, first).await;
        reached.map_err(|_| SqlError::TimedOut)??;

        let limit = options.timeout.as_millis().to_string();
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(options.acquire_timeout())
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for < TRUSTED {
                        return Ok(true);
                    }
                    let alive = timeout(SIGN_OF_LIFE, connection.ping()).await;
                    Ok(alive.is_ok_and(|alive| alive.is_ok()))
                })
            })
            .after_connect(move |connection, _| {
                let limit = limit.clone();
                Box::pin(async move {
                    let settings = "SELECT set_config('statement_timeout', $1, false),
                        set_config('default_transaction_isolation', 'read committed', false)";
                    sqlx::query(settings)
                        .bind(limit)
                        .execute(&mut *connection)
                        .await?;
                    let refused = |error: SqlError| sqlx::Error::Protocol(error.to_string());
                    refuse_replica(connection).await.map_err(refused)
                })
            })
            .connect_lazy_with(server);
        let store = Shared::new(pool.clone(), pool, options);
        Ok(store.open().await?)
    }

    /// Takes a pool that the application has already; its settings are left as they are.
    ///
    /// Give its connections a `statement_timeout`, so that the server too gives up what nobody waits for any more.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub async fn from_pool(pool: PgPool, options: SqlOptions) -> Result<Self, StoreError> {
        let options = options.check()?;
        let first = async { refuse_replica(&mut *pool.acquire().await?).await };
        let reached = timeout(options.timeout, first).await;
        reached.map_err(|_| SqlError::TimedOut)??;
        let store = Shared::new(pool.clone(), pool, options);
        Ok(store.open().await?)
    }

    /// The schema, as a script for people who keep the schemas of their databases themselves.
    ///
    /// A store that finds it in its database creates nothing there. Its versions follow each other, and each ends with its
    /// number in the table `warden_schema`.
    ///
    /// ```
    /// let script = tower_warden::PostgresStore::schema();
    /// assert!(script.contains("CREATE TABLE warden_owners"));
    /// ```
    #[must_use]
    pub fn schema() -> String {
        Postgres::MIGRATIONS.join("\n")
    }
}

/// Reads a URL. What is wrong with it is not told, as a password may stand in it.
fn server(url: &str) -> Result<PgConnectOptions, SqlError> {
    let known = ["postgres://", "postgresql://"];
    if !known.iter().any(|scheme| url.starts_with(scheme)) {
        let why = "the URL of the database does not begin with `postgres://`";
        return Err(SqlError::Unfit(why));
    }
    let server = PgConnectOptions::from_str(url)
        .map_err(|_| SqlError::Unfit("the URL of the database cannot be read"))?;
    Ok(match server.get_application_name() {
        Some(_) => server,
        None => server.application_name("tower-warden"),
    })
}

async fn refuse_replica(connection: &mut PgConnection) -> Result<(), SqlError> {
    let rows = Postgres::run(connection, IS_131260414715246ICA, Postgres::arguments(&[])?).await?;
    let row = rows.into_iter().next().ok_or(SqlError::Foreign)?;
    match Row::<Postgres>(row).number(0)? {
        0 => Ok(()),
        _ => Err(SqlError::Unfit(
            "the database is a replica, which lags behind: connect to the primary",
        )),
    }
}

impl Engine for Postgres {
    const STORE: &'static str = "PostgresStore";

    const MIGRATIONS: &'static [&'static str] = &[
        include_str!("migrations/1.postgres.sql"),
        include_str!("migrations/2.postgres.sql"),
    ];

    const HAS_SCHEMA: &'static str =
        "SELECT (to_regclass('warden_schema') IS NOT NULL)::int::bigint";

    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED";

    // The number is `warden` in ASCII.
    const LOCK_SCHEMA: Option<&'static str> =
        Some("SET LOCAL statement_timeout = '60s'; SELECT pg_advisory_xact_lock(131260414715246)");

    // Grants belong to a tenure, so none outlives a transfer, not even one that is made at the same moment. Those that
    // can be seen are cleared away.
    const TRANSFER: &'static [&'static str] = &["
        WITH moved AS (
            UPDATE warden_owners SET tenure = DEFAULT, issuer = $4, subject = $5
            WHERE resource = $1 AND issuer = $2 AND subject = $3
            RETURNING resource
        ), ended AS (
            DELETE FROM warden_grants AS g USING warden_owners AS o, moved
            WHERE o.resource = moved.resource AND g.tenure = o.tenure
        )
        SELECT pg_notify('warden_ownership_' || 'warden_owners'::regclass::oid::text, $6) FROM moved"];

    const GRANT: &'static [&'static str] = &["
        WITH found AS (
            SELECT tenure, issuer = $2 AND subject = $3 AS owns FROM warden_owners WHERE resource = $1
        ), granted AS (
            INSERT INTO warden_grants (tenure, issuer, subject, role)
            SELECT tenure, $2, $3, $4 FROM found WHERE NOT owns
            ON CONFLICT (tenure, issuer, subject) DO UPDATE SET role = EXCLUDED.role
            RETURNING role
        ), told AS (
            SELECT pg_notify('warden_ownership_' || 'warden_owners'::regclass::oid::text, $5) FROM granted
        )
        SELECT owns::int::bigint, (SELECT COUNT(*) FROM told) FROM found"];

    const REVOKE: &'static [&'static str] = &["
        WITH ended AS (
            DELETE FROM warden_grants AS g USING warden_owners AS o
            WHERE o.resource = $1 AND g.tenure = o.tenure AND g.issuer = $2 AND g.subject = $3
            RETURNING g.tenure
        )
        SELECT pg_notify('warden_ownership_' || 'warden_owners'::regclass::oid::text, $4) FROM ended"];

    const PUBLISH: &'static [&'static str] = &["
        WITH kept AS (
            INSERT INTO warden_revocations (digest, revocation, expires_at) VALUES ($1, $2, $3)
            ON CONFLICT (digest) DO UPDATE SET expires_at = EXCLUDED.expires_at
            RETURNING digest
        )
        SELECT pg_notify('warden_revocations_' || 'warden_revocations'::regclass::oid::text, $4) FROM kept"];

    // What is longer is an error in PostgreSQL.
    const LONGEST_NOTICE: usize = 7_999;

    drive!();
}
