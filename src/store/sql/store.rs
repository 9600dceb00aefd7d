//! [`SqlStore`]: a pool of connections, and how statements run on it.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use sqlx::{Pool, pool::PoolConnection};
use tokio::{
    sync::{oneshot, watch},
    time::{Duration, Instant, timeout, timeout_at},
};

use super::{
    engine::{Engine, Row, Value},
    error::SqlError,
    options::SqlOptions,
    schema,
};

/// How long a connection may take to say that it is well, before it goes back to the others.
const RETURN: Duration = Duration::from_secs(1);

/// A store in an SQL database: [`SqliteStore`](crate::SqliteStore) or [`PostgresStore`](crate::PostgresStore).
///
/// Cloning it copies a pointer.
pub struct SqlStore<DB: sqlx::Database>(pub(super) Arc<Shared<DB>>);

pub(super) struct Shared<DB: sqlx::Database> {
    pub(super) readers: Pool<DB>,
    pub(super) writers: Pool<DB>,
    pub(super) options: SqlOptions,
    pub(super) tickets: Sweeps,
    pub(super) revocations: Sweeps,
    /// Changes when the server of the open connections accepts no writes any more. Each of them is closed then.
    pub(super) demotion: watch::Sender<()>,
    /// Looks for the primary among several hosts, and leads the pools there.
    pub(super) search: Option<Search>,
    is_searching: Arc<AtomicBool>,
}

/// Begins a search for the primary.
pub(super) type Search = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Counts what is put into a table, so that each time some is put in some of what is over is swept out.
#[derive(Default)]
pub(super) struct Sweeps(AtomicU32);

impl Sweeps {
    /// One sweep takes away more than comes in between two of them.
    const EVERY: u32 = 32;

    fn are_due(&self) -> bool {
        self.0
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(Self::EVERY)
    }
}

impl<DB: Engine> Shared<DB> {
    /// Takes pools of connections to one database.
    pub(super) fn new(readers: Pool<DB>, writers: Pool<DB>, options: SqlOptions) -> Self {
        Self {
            readers,
            writers,
            options,
            tickets: Sweeps::default(),
            revocations: Sweeps::default(),
            demotion: watch::Sender::new(()),
            search: None,
            is_searching: Arc::default(),
        }
    }

    /// Brings the schema of the database up to date, and makes a store of it.
    pub(super) async fn open(self) -> Result<SqlStore<DB>, SqlError> {
        schema::migrate(self.writers.clone()).await?;
        Ok(SqlStore(Arc::new(self)))
    }

    /// Asks, without changing anything.
    pub(super) async fn ask(
        &self,
        question: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row<DB>>, SqlError> {
        let question = vec![(question, DB::arguments(values)?)];
        self.run(&self.readers, question).await
    }

    /// Decides; see [`Engine`].
    pub(super) async fn decide(
        &self,
        statements: &'static [&'static str],
        values: &[Value<'_>],
    ) -> Result<Vec<Row<DB>>, SqlError> {
        let with_values = |statement| Ok((statement, DB::arguments(values)?));
        let statements: Result<_, SqlError> = statements.iter().copied().map(with_values).collect();
        self.run(&self.writers, statements?).await
    }

    /// From time to time sweeps out some of what is over, while nobody waits for it.
    pub(super) fn sweep(
        self: &Arc<Self>,
        sweeps: &Sweeps,
        statement: &'static [&'static str],
        over: i64,
    ) {
        if !sweeps.are_due() {
            return;
        }
        let store = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = store.decide(statement, &[over.into()]).await {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::debug!(target: "tower_warden", error, "what is over in a table was not swept out");
            }
        });
    }

    /// Closes all connections: the idle ones now, the others once their statement has ended.
    pub(super) fn leave_server(&self) {
        self.demotion.send_replace(());
        close_idle(&self.readers);
        close_idle(&self.writers);
        self.search();
    }

    /// Begins to look for the primary, where there are several hosts and no search is under way.
    pub(super) fn search(&self) {
        let Some(search) = &self.search else { return };
        if self.is_searching.swap(true, Ordering::AcqRel) {
            return;
        }
        let searching = search();
        let is_searching = Arc::clone(&self.is_searching);
        tokio::spawn(async move {
            searching.await;
            is_searching.store(false, Ordering::Release);
        });
    }

    /// Runs statements in a task of its own, so that whoever goes away leaves no connection behind in the midst of one.
    async fn run(
        &self,
        pool: &Pool<DB>,
        statements: Vec<(&'static str, DB::Arguments)>,
    ) -> Result<Vec<Row<DB>>, SqlError> {
        let options = &self.options;
        let deadline = Instant::now() + options.timeout;
        let demotion = self.demotion.subscribe();
        let acquired = timeout(options.acquire_timeout(), pool.acquire()).await;
        let acquired = acquired.map_err(|_| SqlError::NoConnection);
        let acquired = acquired.and_then(|acquired| Ok::<_, SqlError>(acquired?));
        let mut connection = acquired.inspect_err(|_| self.search())?;
        let (sender, answer) = oneshot::channel();
        tokio::spawn(async move {
            let ran = timeout_at(deadline, run_on::<DB>(&mut connection, statements)).await;
            // A time-out leaves the state of the connection unknown.
            let spoilt = match &ran {
                Ok(Ok(_)) => false,
                Ok(Err(error)) => error.spoils(),
                Err(_) => true,
            };
            // Nobody may wait for it any more.
            let _ = sender.send(ran.unwrap_or(Err(SqlError::TimedOut)));
            if spoilt || demotion.has_changed().unwrap_or(true) {
                connection.close_on_drop();
            } else {
                give_back(connection).await;
            }
        });
        // A task that ends without an answer has panicked.
        let answer = answer.await.unwrap_or(Err(SqlError::Driver));
        if let Err(error) = &answer
            && error.is_read_only()
        {
            tracing::warn!(
                target: "tower_warden",
                "the database accepts no writes: all connections to it are closed, and the next request connects anew"
            );
            self.leave_server();
        } else if answer.as_ref().is_err_and(SqlError::spoils) {
            self.search();
        }
        answer
    }
}

fn close_idle<DB: sqlx::Database>(pool: &Pool<DB>) {
    while let Some(mut idle) = pool.try_acquire() {
        idle.close_on_drop();
    }
}

/// Returns a connection to its pool, but does not wait for one that is dead without having said so: it would keep its
/// place in the pool until the system gives it up, a quarter of an hour later.
async fn give_back<DB: Engine>(mut connection: PoolConnection<DB>) {
    let _ = timeout(RETURN, connection.return_to_pool()).await;
}

async fn run_on<DB: Engine>(
    connection: &mut DB::Connection,
    mut statements: Vec<(&'static str, DB::Arguments)>,
) -> Result<Vec<Row<DB>>, SqlError> {
    if statements.len() < 2 {
        let (statement, arguments) = statements.pop().ok_or(SqlError::Driver)?;
        let rows = DB::run(connection, statement, arguments).await?;
        return Ok(rows.into_iter().map(Row).collect());
    }
    let mut transaction = DB::begin(connection).await?;
    let mut statements = statements.into_iter();
    let mut answer = Vec::new();
    if let Some((decision, arguments)) = statements.next() {
        answer = DB::run(&mut transaction, decision, arguments).await?;
    }
    if !answer.is_empty() {
        for (statement, arguments) in statements {
            answer.extend(DB::run(&mut transaction, statement, arguments).await?);
        }
    }
    transaction.commit().await?;
    Ok(answer.into_iter().map(Row).collect())
}

impl<DB: sqlx::Database> Clone for SqlStore<DB> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<DB: Engine> fmt::Debug for SqlStore<DB> {
    /// Names neither the host nor the user, nor any secret of the connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(DB::STORE)
            .field("connections", &self.0.readers.size())
            .field("timeout", &self.0.options.timeout)
            .finish_non_exhaustive()
    }
}
