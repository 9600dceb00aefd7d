//! [`Link`]: the one connection of a store, which opens again by itself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, PushInfo, PushKind,
    RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection,
};
use tokio::{
    sync::{Mutex, watch},
    time::{Duration, Instant, timeout_at},
};

use super::{
    fault::Fault,
    options::{Eviction, RedisOptions},
    script::Call,
    server::Server,
};

/// Whoever asks shares one connection, on which questions follow each other without waiting for answers. It is opened
/// by the first who asks, and again by the first who asks after it was lost; nobody else has to wait for longer than
/// that one attempt.
pub(super) struct Link {
    server: Server,
    timeout: Duration,
    connect_timeout: Duration,
    eviction: Eviction,
    open: ArcSwapOption<Open>,
    dialling: Mutex<()>,
    /// Attempts that failed: whoever waited for one does not make another.
    failures: AtomicU64,
    demotion: Demotion,
}

struct Open {
    connection: MultiplexedConnection,
    /// It has ended, or is of no more use.
    lost: Arc<AtomicBool>,
    /// Created before the connection is opened.
    demotion: Demotion,
}

/// The signal that the server of the open connections is not the primary any more.
///
/// A clone marks the signals before it as seen. Every connection is closed by the signals after its own clone was made.
struct Demotion {
    sender: watch::Sender<()>,
    seen: watch::Receiver<()>,
}

impl Demotion {
    fn new() -> Self {
        let (sender, seen) = watch::channel(());
        Self { sender, seen }
    }

    fn signal(&self) {
        self.sender.send_replace(());
    }

    fn has_come(&self) -> bool {
        self.seen.has_changed().unwrap_or(true)
    }
}

impl Clone for Demotion {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            seen: self.sender.subscribe(),
        }
    }
}

impl Link {
    pub(super) fn new(url: &str, options: &RedisOptions) -> Result<Self, Fault> {
        Ok(Self {
            server: Server::of(url, options)?,
            timeout: options.timeout,
            connect_timeout: options.connect_timeout.min(options.timeout),
            eviction: options.eviction,
            open: ArcSwapOption::empty(),
            dialling: Mutex::new(()),
            failures: AtomicU64::new(0),
            demotion: Demotion::new(),
        })
    }

    pub(super) fn database(&self) -> i64 {
        self.server.database()
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Begins to ask: whatever is asked has to be answered before the time is over.
    pub(super) async fn talk(&self) -> Result<Talk, Fault> {
        let deadline = Instant::now() + self.timeout;
        let open = match self.usable() {
            Some(open) => open,
            None => self.dial(deadline).await?,
        };
        Ok(Talk { open, deadline })
    }

    /// A connection for somebody alone, whose messages go to `listener`.
    pub(super) async fn listen(
        &self,
        listener: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<Talk, Fault> {
        let deadline = Instant::now() + self.timeout;
        let lost = Arc::new(AtomicBool::new(false));
        let opened = timeout_at(
            self.connect_deadline(deadline),
            self.connect(listener, lost),
        );
        let open = opened.await.map_err(|_| Fault::Unreachable)??;
        let open = Arc::new(open);
        Ok(Talk { open, deadline })
    }

    fn usable(&self) -> Option<Arc<Open>> {
        let open = self.open.load_full();
        open.filter(|open| !open.lost.load(Ordering::Acquire) && !open.demotion.has_come())
    }

    fn connect_deadline(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.connect_timeout)
    }

    async fn dial(&self, deadline: Instant) -> Result<Arc<Open>, Fault> {
        let failures = self.failures.load(Ordering::Acquire);
        let dialling = timeout_at(deadline, self.dialling.lock()).await;
        let _dialling = dialling.map_err(|_| Fault::Unreachable)?;
        if let Some(open) = self.usable() {
            return Ok(open);
        }
        if self.failures.load(Ordering::Acquire) != failures {
            return Err(Fault::Closed);
        }
        let lost = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&lost);
        let listener = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ended.store(true, Ordering::Release);
            }
            Ok(())
        };
        let opened = timeout_at(
            self.connect_deadline(deadline),
            self.connect(listener, lost),
        );
        match opened.await.unwrap_or(Err(Fault::Unreachable)) {
            Ok(open) => {
                let open = Arc::new(open);
                self.open.store(Some(Arc::clone(&open)));
                Ok(open)
            }
            Err(fault) => {
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(fault)
            }
        }
    }

    async fn connect(
        &self,
        listener: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
        lost: Arc<AtomicBool>,
    ) -> Result<Open, Fault> {
        let demotion = self.demotion.clone();
        // Time is kept by whoever waits for this.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(listener);
        let client = self.server.client().await?;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        self.inspect(&mut connection).await?;
        Ok(Open {
            connection,
            lost,
            demotion,
        })
    }

    /// Whether this is a Redis to entrust owners to. Where it may not be asked, nobody knows, and the log says so.
    async fn inspect(&self, connection: &mut MultiplexedConnection) -> Result<(), Fault> {
        let mut answers = String::new();
        for section in ["replication", "memory"] {
            let mut question = redis::cmd("INFO");
            match question
                .arg(section)
                .query_async::<String>(connection)
                .await
            {
                Ok(answer) => answers.push_str(&answer),
                Err(error) if Fault::spoils(&error) => return Err(error.into()),
                Err(_) => tracing::warn!(
                    target: "tower_warden",
                    section,
                    "whether this Redis is a primary, and keeps what it is given, could not be asked"
                ),
            }
        }
        let said = |name| member(&answers, name);
        if said("role").is_some_and(|role| role != "master") {
            return Err(Fault::Replica);
        }
        let policy = said("maxmemory_policy").unwrap_or("noeviction");
        if policy == "noeviction" || said("maxmemory") == Some("0") {
            return Ok(());
        }
        if policy.starts_with("allkeys") && self.eviction == Eviction::Refused {
            return Err(Fault::Evicting(policy.to_owned()));
        }
        tracing::warn!(
            target: "tower_warden",
            policy,
            "this Redis throws keys away when it is full: set its maxmemory-policy to noeviction"
        );
        Ok(())
    }
}

/// Returns a member of an answer to `INFO`.
fn member<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Some questions in a row, within one time.
pub(super) struct Talk {
    open: Arc<Open>,
    deadline: Instant,
}

impl Talk {
    /// Asks one thing.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let mut connection = self.open.connection.clone();
        self.judge(command.query_async(&mut connection)).await
    }

    /// Asks several things at once.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &self,
        questions: &Pipeline,
    ) -> Result<T, Fault> {
        let mut connection = self.open.connection.clone();
        self.judge(questions.query_async(&mut connection)).await
    }

    /// Has a script decide.
    pub(super) async fn decide<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, Fault> {
        let mut connection = self.open.connection.clone();
        self.judge(async {
            match call.known().query_async(&mut connection).await {
                // It has not run, so nothing is done twice.
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    call.whole().query_async(&mut connection).await
                }
                decided => decided,
            }
        })
        .await
    }

    /// Listens to a channel; whatever is published once this has returned is heard.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<(), Fault> {
        let mut connection = self.open.connection.clone();
        self.judge(connection.subscribe(channel)).await
    }

    /// Checks that the server answers, and is still the primary. If it is not, all connections of the store are closed.
    pub(super) async fn is_primary(&self) -> bool {
        let mut question = redis::cmd("INFO");
        match self.ask::<String>(question.arg("replication")).await {
            Ok(answer) if member(&answer, "role").is_none_or(|role| role == "master") => true,
            Ok(_) => {
                self.open.demotion.signal();
                false
            }
            // An ACL may forbid `INFO`.
            Err(Fault::Answered(_)) => self.ask::<Value>(&redis::cmd("PING")).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Returns a receiver that changes when the server answers that it is not the primary.
    pub(super) fn demotion(&self) -> watch::Receiver<()> {
        self.open.demotion.seen.clone()
    }

    /// Gives it so much time from now on, for whoever keeps the connection.
    pub(super) fn again(&mut self, timeout: Duration) -> &Self {
        self.deadline = Instant::now() + timeout;
        self
    }

    async fn judge<T>(&self, answer: impl Future<Output = RedisResult<T>>) -> Result<T, Fault> {
        match timeout_at(self.deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if Fault::spoils(&error) {
                    self.open.lost.store(true, Ordering::Release);
                }
                // The feed of this node may still listen to the same server.
                if Fault::demotes(&error) {
                    self.open.demotion.signal();
                }
                Err(error.into())
            }
            // It may be dead without having said so; the next one who asks opens another.
            Err(_) => {
                self.open.lost.store(true, Ordering::Release);
                Err(Fault::Silent)
            }
        }
    }
}
