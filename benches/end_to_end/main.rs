//! What does the gate cost end to end: over real sockets on loopback, with servers and clients in processes of their own?
//!
//! Run it with `benches/end_to_end/run`, which brings `wrk` and builds `agent_chat`; with `requests` or `sockets` it does
//! only that part. It prints tables in Markdown.
//!
//! | part | question | baseline |
//! | --- | --- | --- |
//! | `requests` | throughput, latency, and the server's processor time for a request | the same route without the layer |
//! | `sockets` | memory for each of 10 000 open WebSockets | the same handler without layer and guard |
//!
//! The load comes from the same machine and takes its share of the processors, so that requests each second say less than
//! the server's own time for one, which the kernel counts. Rows take turns, and medians are printed.
#![allow(clippy::unwrap_used, missing_docs)]

mod hold;
mod program;
mod requests;
mod serve;
mod sockets;
mod table;
mod tokens;

use std::env;

use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", gate] => serve::serve(gate).await,
        ["hold", url, tokens] => hold::hold(url, tokens).await,
        // `cargo bench` adds it; `cargo test --benches` only wants to know that it builds.
        [ref parts @ .., "--bench"] => {
            let mut terminated = signal(SignalKind::terminate()).unwrap();
            let mut interrupted = signal(SignalKind::interrupt()).unwrap();
            // Whatever ends it, the servers are dropped and with that stopped.
            tokio::select! {
                () = measure(parts) => {}
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
        }
        _ => {}
    }
}

async fn measure(parts: &[&str]) {
    if parts.is_empty() {
        println!("benches/end_to_end/run measures what the gate costs over real sockets");
    }
    if parts.contains(&"requests") {
        requests::measure().await;
    }
    if parts.contains(&"sockets") {
        sockets::measure().await;
    }
}
