//! [`Server`]: a PostgreSQL of a test's own, to be stopped, started again and spoken to behind a store's back.

use std::{
    fs::Permissions,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Who runs it where root runs the tests: Debian's package brings that user.
const USER: &str = "postgres";

/// A PostgreSQL on a free port of loopback, in a directory of its own.
pub(crate) struct Server {
    port: u16,
    programs: PathBuf,
    directory: PathBuf,
    settings: &'static str,
    runs: bool,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut server = Self::new();
        server.resume();
        server
    }

    /// One that speaks TLS as well, with this certificate and its key.
    pub(crate) fn start_with_tls(certificate: &str, key: &str) -> Self {
        let mut server = Self::new();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = server.directory.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                let owned = Command::new("chown").arg(USER).arg(&path).status();
                assert!(owned.unwrap().success());
            }
        }
        server.settings = "-c ssl=on";
        server.resume();
        server
    }

    fn without_data() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self {
            port,
            programs: programs(),
            directory: std::env::temp_dir().join(format!("warden-postgres-{port}")),
            settings: "",
            runs: false,
        }
    }

    fn new() -> Self {
        let server = Self::without_data();
        server.run(
            "initdb",
            &[
                "--username",
                "warden",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--no-sync",
            ],
        );
        server
    }

    /// Starts it (again) with all that it has.
    pub(crate) fn resume(&mut self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c fsync=off {}",
            self.port, self.settings
        );
        let log = self.directory.join("server.log");
        let log = log.to_str().unwrap().to_owned();
        self.run(
            "pg_ctl",
            &[
                "start",
                "--wait",
                "--silent",
                "--log",
                &log,
                "--options",
                &options,
            ],
        );
        self.runs = true;
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn crash(&mut self) {
        self.runs = false;
        self.run(
            "pg_ctl",
            &["stop", "--wait", "--silent", "--mode", "immediate"],
        );
    }

    /// Has it follow nobody, as a replica whose primary is gone, when it is started again.
    pub(crate) fn make_replica(&self) {
        std::fs::write(self.directory.join("standby.signal"), "").unwrap();
    }

    /// Makes a replica a primary.
    pub(crate) fn promote(&self) {
        self.run("pg_ctl", &["promote", "--wait", "--silent"]);
    }

    /// Starts a standby that follows this one.
    pub(crate) fn start_standby(&self) -> Self {
        let mut standby = Self::without_data();
        standby.run(
            "pg_basebackup",
            &[
                "--dbname",
                &self.url(),
                "--checkpoint",
                "fast",
                "--write-recovery-conf",
            ],
        );
        standby.resume();
        standby
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://warden@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs one of its programs on its directory.
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        // It refuses to run as root.
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["--user", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let status = command
            .arg("--pgdata")
            .arg(&self.directory)
            .args(arguments)
            .current_dir("/")
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{arguments:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.runs {
            self.crash();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Where the programs of the latest PostgreSQL are, which Debian keeps off the path.
fn programs() -> PathBuf {
    let found = Command::new("sh")
        .args([
            "-c",
            "ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1",
        ])
        .output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    Path::new(found.trim()).to_owned()
}

fn is_root() -> bool {
    let user = Command::new("id").arg("-u").output().unwrap();
    user.stdout.trim_ascii() == b"0"
}
