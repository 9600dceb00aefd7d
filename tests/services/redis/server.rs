//! [`Server`]: a Redis of a test's own, to be stopped, started again and spoken to behind a store's back.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use ::redis::{FromRedisValue, RedisResult};
use tokio::time::{sleep, timeout};

/// So long anything may take that has to come at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis on a free port of loopback, which keeps what it is told in a directory of its own.
pub(crate) struct Server {
    port: u16,
    directory: PathBuf,
    program: &'static str,
    settings: Vec<String>,
    process: Option<Child>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        let settings = [&["--enable-debug-command", "local"], settings].concat();
        Self::start_program("redis-server", &settings).await
    }

    /// Starts the Redis of another version.
    pub(crate) async fn start_program(program: &'static str, settings: &[&str]) -> Self {
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("warden-redis-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        let mut server = Self {
            port,
            directory,
            program,
            settings: settings.iter().map(ToString::to_string).collect(),
            process: None,
        };
        server.resume().await;
        server
    }

    /// Starts a Sentinel that watches a primary as the service `main`.
    pub(crate) async fn start_sentinel(program: &'static str, primary: &Self) -> Self {
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("warden-sentinel-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("sentinel.conf");
        let watched = primary.port;
        let settings = format!(
            "bind 127.0.0.1\nport {port}\nsentinel monitor main 127.0.0.1 {watched} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
        );
        std::fs::write(&file, settings).unwrap();
        let process = Command::new(program)
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let sentinel = Self {
            port,
            directory,
            program,
            settings: Vec::new(),
            process: Some(process),
        };
        sentinel.wait().await;
        sentinel
    }

    /// Starts it (again) with all that it had written down.
    pub(crate) async fn resume(&mut self) {
        let process = Command::new(self.program)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .arg("--dir")
            .arg(&self.directory)
            .args(["--save", "", "--appendonly", "yes"])
            .args(&self.settings)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.process = Some(process);
        self.wait().await;
    }

    async fn wait(&self) {
        let ready = async {
            while self.try_tell::<String>(&["PING"]).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, ready).await.expect("Redis starts");
    }

    /// Kills it, as a crash does.
    pub(crate) fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Gives it a command, as its administrator.
    pub(crate) async fn tell<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_tell(words).await.unwrap()
    }

    pub(crate) async fn try_tell<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        tell(&self.url(), words).await
    }
}

/// A port of loopback on which nobody listens.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Gives a Redis a command, on a connection of its own.
pub(crate) async fn tell<T: FromRedisValue>(url: &str, words: &[&str]) -> RedisResult<T> {
    let client = ::redis::Client::open(url)?;
    let config = ::redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let mut command = ::redis::Cmd::new();
    words.iter().for_each(|word| {
        command.arg(word);
    });
    command.query_async(&mut connection).await
}
