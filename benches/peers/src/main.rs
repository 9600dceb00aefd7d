//! What does authentication cost a request: here, and with the peers?
//!
//! ```sh
//! benches/peers/run            # prints the table and the budgets
//! benches/peers/run node       # the same of two libraries for Node, and keeps their rows for the next line
//! benches/peers/run --write    # writes the table into README.md and the chart beside this
//! ```
//!
//! Everything runs in one process. For each algorithm every subject is measured in each round, one after the other, so
//! that whatever slows the machine slows all of them; medians of a thousand rounds are told, and ratios are taken round
//! by round. After each hundred the subjects are made anew, so that none of them is lucky with its place in memory
//! throughout. What is measured is the time of the thread on a processor. A request is made before its time begins; each
//! answer has to be a 200, and a token with a forged signature has been refused before.
#![allow(clippy::unwrap_used)]

mod allocations;
mod bare;
mod baselines;
mod budgets;
mod by_hand;
mod case;
mod chart;
mod crypto;
mod harness;
mod machine;
mod ours;
mod peers;
mod provider;
mod report;
mod results;
mod rows;
#[allow(dead_code)]
#[path = "../../support/thread_time.rs"]
mod thread_time;
#[path = "../../../tests/it/tokens.rs"]
mod tokens;

use std::{env, process::ExitCode};

use crate::{
    case::{ALGORITHMS, Case},
    results::Results,
    rows::Row,
};

const ROUNDS: usize = 1_000;
/// How often the subjects are made.
const TIMES: usize = 10;

/// What the command line asks for.
struct Wishes {
    rounds: usize,
    write: bool,
}

fn main() -> ExitCode {
    let Some(Wishes { rounds, write }) = wishes(env::args().skip(1)) else {
        eprintln!("usage: benches/peers/run [--rounds NUMBER] [--write]");
        return ExitCode::from(2);
    };
    let results = measure(rounds);
    println!("{}", report::table(&results));
    println!("{}", report::budgets(&budgets::all(&results)));
    if write {
        report::write(&results).unwrap();
    }
    ExitCode::SUCCESS
}

fn wishes(mut arguments: impl Iterator<Item = String>) -> Option<Wishes> {
    let mut wishes = Wishes {
        rounds: ROUNDS,
        write: false,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => {
                wishes.rounds = arguments
                    .next()?
                    .parse()
                    .ok()
                    .filter(|&rounds| rounds > 0)?
            }
            "--write" => wishes.write = true,
            _ => return None,
        }
    }
    Some(wishes)
}

/// Every row of every algorithm.
fn measure(rounds: usize) -> Results {
    crypto::install();
    // The peers fetch their keys here, and look after them meanwhile on a thread whose time is not measured.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let cases = ALGORITHMS.map(Case::new);
    let provider = runtime.block_on(provider::serve(&cases));
    let mut results = Results::default();
    for case in &cases {
        eprintln!("{:?}", case.algorithm);
        for _ in 0..TIMES {
            let mut subjects = Vec::new();
            for row in Row::ALL {
                match runtime.block_on(row.subject(case, &provider)) {
                    Ok(subject) => subjects.push((row, subject)),
                    Err(reason) => results.note(row, case.algorithm, reason),
                }
            }
            let _entered = runtime.enter();
            let measured = harness::measure(subjects, rounds.div_ceil(TIMES));
            results.add(case.algorithm, measured);
        }
    }
    results
}
