//! What the layer adds to requests over real sockets.

use std::{path::PathBuf, time::Duration};

use tokio::process::Command;

use crate::{
    program::Program,
    table::{grouped, head, median, row},
    tokens::Tokens,
};

/// How often the rows take turns.
const ROUNDS: usize = 5;

/// How long a row is measured each time, with many connections and with one.
const BUSY: Duration = Duration::from_secs(2);
const ALONE: Duration = Duration::from_secs(1);

/// How many connections ask at a time where the server shall be busy.
const CONNECTIONS: usize = 32;

const ROOM: &str = "/agents/helper/lobby";
/// What answers the same, and is exempt.
const PUBLIC: &str = "/public/helper/lobby";

/// What is guarded in `agent_chat`, and not there.
const NOWHERE: &str = "/nowhere";

struct Row<'p> {
    name: &'static str,
    server: &'p Program,
    path: &'static str,
    tokens: PathBuf,
    is_refused: bool,
    rounds: Vec<Round>,
}

/// Requests each second, times in microseconds, and the server's time for a request.
struct Round {
    busy: Load,
    alone: Load,
}

struct Load {
    rate: f64,
    median: f64,
    slow: f64,
    work: f64,
}

pub(crate) async fn measure() {
    let tokens = Tokens::write();
    let servers = Servers::start(&tokens).await;
    let mut rows = servers.rows(&tokens);
    for row in &rows {
        // The first of all opens connections to the database, and claims the room.
        row.load(1, ALONE).await;
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            let busy = row.load(CONNECTIONS, BUSY).await;
            let alone = row.load(1, ALONE).await;
            row.rounds.push(Round { busy, alone });
        }
    }
    print(&rows);
}

struct Servers {
    open: Program,
    hs256: Program,
    rs256: Program,
    hs256_first: Program,
    rs256_first: Program,
    agent_chat: Program,
}

impl Servers {
    async fn start(tokens: &Tokens) -> Self {
        Self {
            open: Program::serve("open").await,
            hs256: Program::serve("hs256").await,
            rs256: Program::serve("rs256").await,
            hs256_first: Program::serve("hs256-first").await,
            rs256_first: Program::serve("rs256-first").await,
            agent_chat: Program::agent_chat(tokens.folder()).await,
        }
    }

    fn rows(&self, tokens: &Tokens) -> Vec<Row<'_>> {
        let row = |name, server, path, file: &str| Row {
            name,
            server,
            path,
            tokens: tokens.file(file),
            is_refused: path == NOWHERE || file.ends_with("forged"),
            rounds: Vec::new(),
        };
        let (demo, one) = (&self.agent_chat, "hs256-one");
        vec![
            row("no layer", &self.open, ROOM, one),
            row("exempt path", &self.hs256, PUBLIC, one),
            row("HS256, repeat token", &self.hs256, ROOM, one),
            row("HS256, first-seen token", &self.hs256_first, ROOM, "hs256"),
            row("HS256, forged: 401", &self.hs256, ROOM, "hs256-forged"),
            row("RS256, repeat token", &self.rs256, ROOM, "rs256-one"),
            row("RS256, first-seen token", &self.rs256_first, ROOM, "rs256"),
            row("`agent_chat`, exempt path", demo, "/health", one),
            row("`agent_chat`, guarded: 404", demo, NOWHERE, one),
            row("`agent_chat`, a room, repeat token", demo, ROOM, one),
            row("`agent_chat`, a room, many tokens", demo, ROOM, "hs256"),
            row(
                "`agent_chat`, a room, forged: 401",
                demo,
                ROOM,
                "hs256-forged",
            ),
        ]
    }
}

impl Row<'_> {
    async fn load(&self, connections: usize, time: Duration) -> Load {
        let before = self.server.time();
        let output = Command::new("wrk")
            .args(["-t1", &format!("-c{connections}")])
            .arg(format!("-d{}s", time.as_secs()))
            .args(["-s", "benches/end_to_end/requests.lua"])
            .arg(format!("http://{}{}", self.server.address(), self.path))
            .arg("--")
            .arg(&self.tokens)
            .kill_on_drop(true)
            .output()
            .await
            .expect("wrk is installed");
        let work = self.server.time() - before;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("result "));
        let line = line.unwrap_or_else(|| panic!("{}: {text}{output:?}", self.name));
        let numbers: Vec<f64> = line
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        let [requests, duration, median, slow, refused, failed] = numbers[..] else {
            panic!("{line}");
        };
        let expected = if self.is_refused { requests } else { 0.0 };
        assert!(
            requests > 0.0 && refused == expected && failed == 0.0,
            "{}: {line}",
            self.name
        );
        Load {
            rate: requests * 1e6 / duration,
            median,
            slow,
            work: work as f64 / requests,
        }
    }

    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }
}

fn print(rows: &[Row<'_>]) {
    println!(
        "\nRequests: {CONNECTIONS} connections, {} s a round; then one connection, {} s a round; {ROUNDS} rounds that take \
         turns, medians.\n",
        BUSY.as_secs(),
        ALONE.as_secs(),
    );
    head(&[
        "",
        "requests/s",
        "p50, ms",
        "p99, ms",
        "alone: p50, µs",
        "p99, µs",
        "server CPU a request, µs",
        "more than no layer, µs",
    ]);
    let bare = &rows[0].rounds;
    for one in rows {
        let more = one
            .rounds
            .iter()
            .zip(bare)
            .map(|(ours, bare)| ours.busy.work - bare.busy.work);
        row([
            one.name.to_owned(),
            grouped(one.median(|round| round.busy.rate)),
            format!("{:.2}", one.median(|round| round.busy.median) / 1e3),
            format!("{:.2}", one.median(|round| round.busy.slow) / 1e3),
            grouped(one.median(|round| round.alone.median)),
            grouped(one.median(|round| round.alone.slow)),
            format!("{:.1}", one.median(|round| round.busy.work) / 1e3),
            format!("{:.1}", median(more) / 1e3),
        ]);
    }
}
