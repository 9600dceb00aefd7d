//! [`PostgresStore`]: every store in a PostgreSQL database.

use std::str::FromStr;

use sqlx::{
    Arguments, Connection, Executor, PgConnection, PgPool, Postgres, Row as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgSslMode},
};
use tokio::time::{Duration, timeout};

#[cfg(feature = "accounts")]
use super::accounts::{self, Users};
use super::{
    api_keys,
    engine::{Driven, Engine, Row, Value, drive},
    error::SqlError,
    options::SqlOptions,
    owners,
    store::{Shared, SqlStore},
    tickets,
};
use crate::StoreError;

/// A connection that was idle for so long shows that it is alive before it is used.
const TRUSTED: Duration = Duration::from_secs(1);

/// How long that may take.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// 2 for a standby, 1 for a server or a user that may only read, else 0. `target_session_attrs=read-write` asks the same.
const STANDING: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN 2::bigint
    WHEN current_setting('default_transaction_read_only')::bool THEN 1 ELSE 0 END";

/// Every store of this crate in a PostgreSQL database, 12 or later, for any number of nodes.
///
/// One handle is all of them: an [`OwnerStore`](crate::OwnerStore) and [`SharedOwnerStore`](crate::SharedOwnerStore), an
/// [`ApiKeyStore`](crate::ApiKeyStore), a [`TicketStore`](crate::TicketStore) and a
/// [`RevocationStore`](crate::RevocationStore). Cloning it copies a pointer.
///
/// # Examples
///
/// ```no_run
/// use tower_warden::{ApiKeys, Owners, PostgresStore, Revocations, TicketOffice};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect(&std::env::var("DATABASE_URL")?).await?;
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
/// use tower_warden::PostgresStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert!(PostgresStore::connect("mysql://db.example/app").await.is_err());
/// # }
/// ```
///
/// # What it promises
///
/// - Each decision is one statement at `READ COMMITTED`, or one transaction where something is counted: of any number of
///   first claims, or of redemptions of one ticket, on whatever nodes, exactly one wins, and none goes over a limit. What a
///   change tells other nodes (`NOTIFY`) is part of the same statement. Whoever
///   goes away leaves a whole decision behind, or none.
/// - Every wait has its bound: an answer comes within the [timeout](SqlOptions::with_timeout), 5 s by default, or it is a
///   [`StoreError`], and requests that depend on it are answered 503. The server is told it too (`statement_timeout`), and
///   does not do later what nobody waits for.
/// - It comes back by itself: after a restart, a cut or a silent death of connections requests are served as soon as the
///   server is there, without a restart of ours. No statement is sent twice on its own, as nobody knows whether the first
///   one was done.
/// - Names are kept and compared byte by byte, and lists are in the order of bytes, whatever the locale of the database.
///   Errors and the `Debug` text name neither address nor user, and no password or value.
///
/// # What it depends on
///
/// - What was answered is as durable as the server makes a commit: with `synchronous_commit = on`, its default, it is on
///   the disk. After a failover it is there if the replica was a synchronous one.
/// - It asks the primary: a replica, which lags behind, and a server that accepts no writes are refused when a connection
///   is opened. After a failover one of the addresses in the URL has to lead to the new primary. A server that answers `25006`
///   (read-only) is left: all connections to it are closed, those of the feeds too, and the next request connects anew.
/// - The encoding of the database is UTF-8.
/// - Each [feed](crate::PostgresFeed) has a connection of its own beside the pool. Through a pooler it needs session mode;
///   the rest needs one that knows prepared statements, or `?statement-cache-capacity=0` in the URL.
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
///
/// They are in the first schema of the `search_path`, made when the store is opened, and brought up to date, in one
/// transaction; of several nodes that do so at once, one does it and the others wait. What is over is swept out a little
/// with every 32nd entry. Other nodes hear of changes by the channels `warden_revocations_…` and `warden_ownership_…`,
/// which end with the number of a table.
pub type PostgresStore = SqlStore<Postgres>;

impl SqlStore<Postgres> {
    /// Connects to the database of a URL, `postgres://user:password@host:5432/database`.
    ///
    /// Several hosts are separated by commas, `postgres://user@one:5432,two:5432/database?target_session_attrs=read-write`.
    /// The store connects to the first one that accepts writes, and looks for it again after a failover.
    ///
    /// `?sslmode=` says whether the way is secured: `prefer`, the default, takes TLS if the server has it and believes any
    /// certificate. Beyond loopback use `verify-full`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the URL cannot be read, the server cannot be reached, is a replica, or holds a schema of a
    /// later version of this crate. It says which part of a URL cannot be read, and quotes none of it.
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
        let servers = servers(url)?;
        // The first connection tells at once and in clear words what a pool would try again until its time is over.
        let primary = find_primary(&servers, options.timeout).await?;

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
            .connect_lazy_with(primary);
        let patience = options.timeout;
        let mut store = Shared::new(pool.clone(), pool.clone(), options);
        if servers.len() > 1 {
            store.search = Some(Box::new(move || {
                let (servers, pool) = (servers.clone(), pool.clone());
                Box::pin(async move {
                    if let Ok(primary) = find_primary(&servers, patience).await {
                        pool.set_connect_options(primary);
                    }
                })
            }));
        }
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

/// Reads a URL. An error names the part, and quotes nothing, as a password may stand in it.
fn server(url: &str) -> Result<PgConnectOptions, SqlError> {
    let known = ["postgres://", "postgresql://"];
    if !known.iter().any(|scheme| url.starts_with(scheme)) {
        let why = "the URL of the database does not begin with `postgres://`";
        return Err(SqlError::Unfit(why));
    }
    let server = PgConnectOptions::from_str(url).map_err(|_| SqlError::Unfit(unfit_part(url)))?;
    Ok(match server.get_application_name() {
        Some(_) => server,
        None => server.application_name("tower-warden"),
    })
}

/// Reads a URL that may name several hosts, separated by commas, each with a port or without.
fn servers(url: &str) -> Result<Vec<PgConnectOptions>, SqlError> {
    let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
    let mut others = Vec::new();
    for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
        match parameter.split_once('=') {
            Some(("target_session_attrs", "read-write" | "primary")) => {}
            Some(("target_session_attrs", _)) => {
                let why = "`target_session_attrs` in the URL of the database is neither `read-write` nor `primary`: \
                    a store writes";
                return Err(SqlError::Unfit(why));
            }
            _ => others.push(parameter),
        }
    }
    let parameters = others.join("&");
    let single = |address: &str| server(&format!("{address}?{parameters}"));
    let Some((scheme, rest)) = address.split_once("://") else {
        return Ok(vec![single(address)?]);
    };
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let each = hosts.split(',');
    each.map(|host| single(&format!("{scheme}://{user}{host}/{database}")))
        .collect()
}

/// Returns the first of these servers that accepts writes; without one, the error of the first server.
async fn find_primary(
    servers: &[PgConnectOptions],
    patience: Duration,
) -> Result<PgConnectOptions, SqlError> {
    let mut first_error = None;
    for server in servers {
        let reached = timeout(patience, async {
            let mut connection = PgConnection::connect_with(server).await?;
            refuse_replica(&mut connection).await?;
            let _ = connection.close().await;
            Ok::<_, SqlError>(())
        });
        match reached.await.unwrap_or(Err(SqlError::TimedOut)) {
            Ok(()) => return Ok(server.clone()),
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(_) => {}
        }
    }
    Err(first_error.unwrap_or(SqlError::NoConnection))
}

/// Names the part of a URL that cannot be read.
fn unfit_part(url: &str) -> &'static str {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if host.contains('[') != host.contains(']') {
        return "the host in the URL of the database has a bracket too few";
    }
    let port = host.rsplit(']').next().unwrap_or(host).split_once(':');
    if port.is_some_and(|(_, port)| !port.is_empty() && port.parse::<u16>().is_err()) {
        return "the port in the URL of the database is no number up to 65535: \
            in a password `/`, `?`, `#`, `@` and `%` are percent-encoded";
    }
    for parameter in parameters.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode" | "ssl-mode", mode)) if mode.parse::<PgSslMode>().is_err() => {
                return "`sslmode` in the URL of the database is none of `disable`, `allow`, `prefer`, `require`, \
                    `verify-ca`, `verify-full`";
            }
            Some(("statement-cache-capacity", capacity)) if capacity.parse::<usize>().is_err() => {
                return "`statement-cache-capacity` in the URL of the database is no number";
            }
            _ => {}
        }
    }
    "the URL of the database cannot be read: expected `postgres://user:password@host:port/database`"
}

async fn refuse_replica(connection: &mut PgConnection) -> Result<(), SqlError> {
    let rows = Postgres::run(connection, STANDING, Postgres::arguments(&[])?).await?;
    let row = rows.into_iter().next().ok_or(SqlError::Foreign)?;
    judge_standing(&Row(row))
}

/// Asks a listener the same.
pub(super) async fn refuse_replica_of(listener: &mut PgListener) -> Result<(), SqlError> {
    let row = listener.fetch_optional(sqlx::query(STANDING)).await?;
    judge_standing(&Row(row.ok_or(SqlError::Foreign)?))
}

fn judge_standing(row: &Row<Postgres>) -> Result<(), SqlError> {
    match row.number(0)? {
        0 => Ok(()),
        1 => Err(SqlError::ReadOnly),
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
        include_str!("migrations/3.postgres.sql"),
        include_str!("migrations/4.postgres.sql"),
    ];

    // `to_regclass` may not have heard yet of a table that another node has just made.
    const HAS_SCHEMA: &'static str = "SELECT COUNT(*) FROM pg_catalog.pg_class
        WHERE relname = 'warden_schema' AND pg_catalog.pg_table_is_visible(oid)";

    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED";

    // The number is `warden` in ASCII.
    const LOCK_SCHEMA: Option<&'static str> =
        Some("SET LOCAL statement_timeout = '60s'; SELECT pg_advisory_xact_lock(131260414715246)");

    // The second statement counts by a snapshot of its own, which has what was committed before the lock was free.
    const INSERT_API_KEY: &'static [&'static str] = &[
        "SELECT pg_advisory_xact_lock(hashtextextended($3 || ' ' || $4, 131260414715246))::text",
        api_keys::INSERT,
    ];

    const PUT_TICKET: &'static [&'static str] = &[
        "SELECT pg_advisory_xact_lock(hashtextextended(encode($4, 'hex'), 131260414715246))::text",
        tickets::PUT,
    ];

    const CLAIM_WITHIN: &'static [&'static str] = &[
        "SELECT pg_advisory_xact_lock(hashtextextended($2 || ' ' || $3, 131260414715247))::text",
        owners::CLAIM_WITHIN,
    ];

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

    // A session begins only under a hash that nobody is about to change: the lock that it takes on the user waits for a
    // change of the password, and a change waits for it, and then sees the session.
    #[cfg(feature = "accounts")]
    const USERS: Users = Users {
        script: include_str!("migrations/users.postgres.sql"),
        scripts: concat!(
            include_str!("migrations/users.postgres.sql"),
            "\n",
            include_str!("migrations/usernames.sql")
        ),
        exists: "SELECT COUNT(*) FROM pg_class WHERE relname = 'users' AND pg_table_is_visible(oid)",
        has_unique_names: "SELECT COUNT(*) FROM pg_index
            WHERE indrelid = 'users'::regclass AND indisunique AND indisvalid AND indpred IS NULL
                AND indnkeyatts = 1 AND pg_get_expr(indexprs, indrelid) ~ '^lower\\(\\(?username(\\)::text)?\\)$'",
        names_exist: "SELECT COUNT(*) FROM pg_class
            WHERE relname = 'warden_usernames' AND pg_table_is_visible(oid)",
        free_name: &["DELETE FROM warden_usernames AS n WHERE n.folded = $1 AND NOT EXISTS (
                SELECT 1 FROM users AS u WHERE u.id = n.user_id::uuid AND u.username = n.username)"],
        register: &[
            "INSERT INTO warden_usernames (folded, user_id, username)
            SELECT $5, $1, $2 WHERE NOT EXISTS (
                SELECT 1 FROM users AS u WHERE lower(u.username) = $5 AND NOT EXISTS (
                    SELECT 1 FROM warden_usernames AS n WHERE n.user_id = u.id::text AND n.username = u.username))
            ON CONFLICT DO NOTHING RETURNING user_id",
            "INSERT INTO users (id, username, password_hash, created_at)
            VALUES ($1::uuid, $2, $3, to_timestamp($4)) ON CONFLICT DO NOTHING RETURNING id::text",
            accounts::begin_first!("id = $1::uuid"),
        ],
        find: "SELECT u.id::text, u.username::text, u.password_hash::text,
                floor(extract(epoch FROM u.created_at))::bigint
            FROM warden_usernames AS n JOIN users AS u ON u.id = n.user_id::uuid AND u.username = n.username
            WHERE n.folded = $1
            UNION ALL
            SELECT u.id::text, u.username::text, u.password_hash::text,
                floor(extract(epoch FROM u.created_at))::bigint
            FROM users AS u WHERE lower(u.username) = $1 AND NOT EXISTS (
                SELECT 1 FROM warden_usernames AS n WHERE n.user_id = u.id::text AND n.username = u.username)",
        replace_hash: &[
            "UPDATE users SET password_hash = $3 WHERE id = $1::uuid AND password_hash = $2 RETURNING id::text",
        ],
        open_session: &[
            "INSERT INTO warden_sessions
                (id, user_id, created_at, seen_at, expires_at, user_agent, refresh_hash, refreshed_at, refreshes)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
            FROM users WHERE id = $2::uuid AND password_hash = $10 FOR SHARE
            RETURNING id",
            accounts::FORGET,
        ],
        change_password: &[
            "UPDATE users SET password_hash = $11 WHERE id = $2::uuid AND password_hash = $10 RETURNING id::text",
            accounts::END_ALL,
            accounts::BEGIN,
        ],
        find_session: "SELECT s.id, s.user_id, s.created_at, s.seen_at, s.expires_at, s.user_agent, s.refresh_hash,
                s.refreshed_at, s.refreshes, u.id::text, u.username::text, u.password_hash::text,
                floor(extract(epoch FROM u.created_at))::bigint
            FROM warden_sessions AS s JOIN users AS u ON u.id = s.user_id::uuid WHERE s.id = $1",
    };

    // What is longer is an error in PostgreSQL.
    const LONGEST_NOTICE: usize = 7_999;

    drive!();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_are_tried_in_their_order() {
        let url = "postgres://me:p%2Cw@one.example,two.example:5433,[::1]:5434/app?sslmode=require\
            &target_session_attrs=read-write";
        let servers = servers(url).unwrap();
        let found: Vec<_> = servers
            .iter()
            .map(|server| (server.get_host(), server.get_port()))
            .collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], ("one.example", 5432));
        assert_eq!(found[1], ("two.example", 5433));
        assert_eq!(found[2].1, 5434);
        assert!(
            servers
                .iter()
                .all(|server| server.get_database() == Some("app"))
        );
        assert!(
            servers
                .iter()
                .all(|server| matches!(server.get_ssl_mode(), PgSslMode::Require))
        );
    }

    #[test]
    fn an_error_names_the_part_of_a_url_and_quotes_nothing() {
        for good in [
            "postgres://user:password@db.example/app",
            "postgresql://user@db.example:5433/app?sslmode=require",
            "postgres://user@[::1]:5433/app",
        ] {
            assert!(servers(good).is_ok(), "{good}");
        }
        for (url, part) in [
            (
                "mysql://me:secret@db.example/app",
                "begin with `postgres://`",
            ),
            ("postgres://me:secret@db.example:99999/app", "port"),
            ("postgres://me:secret@db.example:secret/app", "port"),
            ("postgres://me:sec/ret@db.example/app", "port"),
            ("postgres://me:secret@[::1/app", "bracket"),
            (
                "postgres://me:secret@db.example/app?sslmode=secret",
                "`sslmode`",
            ),
            (
                "postgres://me:secret@db.example/app?statement-cache-capacity=secret",
                "capacity",
            ),
            (
                "postgres://me:secret@one.example:5432,two.example:secret/app",
                "port",
            ),
            (
                "postgres://me:secret@db.example/app?target_session_attrs=any",
                "`target_session_attrs`",
            ),
        ] {
            let error = servers(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
            for private in ["secret", "db.example", "me:"] {
                assert!(!error.contains(private), "{url}: {error}");
            }
        }
    }
}
