//! A server in a process of its own: where it listens, and what it has taken of processor and memory.

use std::{fs, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    /// Held open, so that what is printed later meets no broken pipe.
    _output: BufReader<ChildStdout>,
    address: String,
}

impl Program {
    /// Starts it, and waits until it says where it listens.
    pub(crate) async fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let listening = async {
            let mut line = String::new();
            while output.read_line(&mut line).await.unwrap() > 0 {
                if let Some(address) = line.trim_end().strip_prefix("listening on http://") {
                    return address.to_owned();
                }
                line.clear();
            }
            panic!("a server ended before it listened");
        };
        let address = timeout(Duration::from_secs(30), listening).await;
        Self {
            address: address.expect("a server listens within 30 s"),
            child,
            _output: output,
        }
    }

    /// This bench's own server.
    pub(crate) async fn serve(gate: &str) -> Self {
        Self::start(myself().args(["serve", gate])).await
    }

    /// The example `agent_chat`, which was built beside this bench.
    pub(crate) async fn agent_chat(folder: &Path) -> Self {
        use crate::tokens::{AUDIENCE, ISSUER, SECRET};

        let own = std::env::current_exe().unwrap();
        let example = own.ancestors().nth(2).unwrap().join("examples/agent_chat");
        let database = format!("sqlite:{}", folder.join("agent_chat.db").display());
        let settings = [
            ("PORT", "0"),
            ("JWT_SECRET", SECRET),
            ("JWT_ISSUER", ISSUER),
            ("JWT_AUDIENCE", AUDIENCE),
            ("DATABASE_URL", &database),
            // A line for each refusal would be read by nobody here.
            ("LOG_LEVEL", "error"),
        ];
        Self::start(Command::new(example).envs(settings)).await
    }

    /// Its host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The time that its threads have had on a processor, in nanoseconds.
    pub(crate) fn time(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        threads
            .map(|thread| fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap())
            .map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    /// Its resident memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    fn id(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }
}

/// This program, for another role.
pub(crate) fn myself() -> Command {
    Command::new(std::env::current_exe().unwrap())
}
