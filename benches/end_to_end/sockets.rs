//! What an open WebSocket takes of the server's memory, guarded or not.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    time::sleep,
};

use crate::{
    program::{Program, myself},
    table::{grouped, head, median, row},
    tokens::Tokens,
};

/// How often the rows take turns, each time with a server of its own.
const ROUNDS: usize = 3;

/// How many are held, and after how many the memory is looked at first: what the first of them cause is not theirs.
const SOCKETS: usize = 10_000;
const FIRST: usize = 2_000;

/// What it is called, the server's gate and route, and the client's tokens.
const ROWS: [[&str; 3]; 6] = [
    ["no layer", "open/unwatched", "hs256"],
    ["behind the layer, not guarded", "hs256/unwatched", "hs256"],
    ["guarded, one token for all", "hs256/watched", "hs256-one"],
    ["guarded, a token each", "hs256/watched", "hs256"],
    ["the same, with renewal", "hs256/renewing", "hs256"],
    ["no layer, axum's 128 KiB buffer", "open/wide", "hs256"],
];

struct Round {
    bytes: f64,
    rate: f64,
}

pub(crate) async fn measure() {
    let tokens = Tokens::write();
    let mut rounds: [Vec<Round>; ROWS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for ([_, place, file], rounds) in ROWS.iter().zip(&mut rounds) {
            let (gate, route) = place.split_once('/').unwrap();
            rounds.push(round(gate, route, &tokens.file(file)).await);
        }
    }
    println!(
        "\nWebSockets: {} held open, {ROUNDS} rounds that take turns, medians.\n",
        grouped(SOCKETS as f64)
    );
    head(&[
        "",
        "server memory (RSS) a socket, bytes",
        "more than no layer",
        "opened each second",
    ]);
    for ([name, ..], ours) in ROWS.iter().zip(&rounds) {
        let more = ours
            .iter()
            .zip(&rounds[0])
            .map(|(ours, bare)| ours.bytes - bare.bytes);
        row([
            (*name).to_owned(),
            grouped(median(ours.iter().map(|round| round.bytes))),
            grouped(median(more)),
            grouped(median(ours.iter().map(|round| round.rate))),
        ]);
    }
}

async fn round(gate: &str, route: &str, tokens: &Path) -> Round {
    let server = Program::serve(gate).await;
    let mut client = Client::start(&format!("{}/{route}", server.address()), tokens);
    client.open(FIRST).await;
    let before = settled(&server).await;
    let begun = Instant::now();
    client.open(SOCKETS - FIRST).await;
    let took = begun.elapsed().as_secs_f64();
    let more = settled(&server).await.saturating_sub(before);
    let count = (SOCKETS - FIRST) as f64;
    Round {
        bytes: more as f64 / count,
        rate: count / took,
    }
}

/// The server's memory, once what the last handshakes took has been given back.
async fn settled(server: &Program) -> u64 {
    sleep(Duration::from_millis(300)).await;
    server.memory()
}

/// The process that holds the other ends.
struct Client {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    held: usize,
}

impl Client {
    fn start(url: &str, tokens: &Path) -> Self {
        let mut child = myself()
            .args(["hold", url])
            .arg(tokens)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            _child: child,
            held: 0,
        }
    }

    /// Opens so many more.
    async fn open(&mut self, count: usize) {
        self.held += count;
        self.input
            .write_all(format!("{count}\n").as_bytes())
            .await
            .unwrap();
        let line = self.lines.next_line().await.unwrap();
        let line = line.expect("the client goes on: are there enough file descriptors and ports?");
        assert_eq!(line, self.held.to_string());
    }
}
