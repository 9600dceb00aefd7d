//! Guards what the layer adds to a request, by numbers that no clock and no neighbour on the machine can move: the
//! instructions and allocations of a guarded service, less those of the same service without a guard, for each request.
//!
//! 1. [`rows`]: what is counted, and what it may allocate.
//! 2. [`samples`], [`tokens`]: the requests, and the guards that know their tokens.
//! 3. [`in_place`]: a tower service, and axum's router; [`connection`]: hyper; [`alone`]: no service.
//! 4. [`measure`]: a row, counted: [`callgrind`] counts its instructions, allocation-counter its allocations.
//! 5. [`values`]: the file of values, and how new ones compare with it.
//! 6. [`memory`]: what is held within ten million tokens, which is no row of the file.
//!
//! `counts` counts and compares, `counts write` counts and writes the file anew, `counts memory` is the last of these.
//! `counts under-callgrind` is what valgrind runs.
#![allow(clippy::unwrap_used)]

mod alone;
mod callgrind;
mod connection;
mod in_place;
mod measure;
mod memory;
mod rows;
mod samples;
mod tokens;
mod values;

use std::{env, process::ExitCode};

use values::Values;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/expected.txt");

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        None | Some("compare") => compare(),
        Some("write") => write(),
        Some("memory") => {
            memory::within_bounds();
            ExitCode::SUCCESS
        }
        Some("under-callgrind") => {
            measure::under_callgrind();
            ExitCode::SUCCESS
        }
        Some(other) => {
            eprintln!("no command {other}: there are `compare`, `write` and `memory`");
            ExitCode::from(2)
        }
    }
}

fn compare() -> ExitCode {
    let (found, file) = (Values::count(), Values::read(FILE));
    print!("{found}");
    let beyond = found.beyond_budget();
    let differences = found.differences(&file);
    for line in beyond.iter().chain(&differences) {
        eprintln!("{line}");
    }
    if let Some(note) = found.other_compiler(&file) {
        eprintln!("{note}");
    }
    if !differences.is_empty() {
        // What got better without the file would be free to get as bad again.
        eprintln!(
            "where that is as it shall be, better or worse: `COUNTS=write tests/run counts` writes the file anew"
        );
    }
    if beyond.is_empty() && differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn write() -> ExitCode {
    let found = Values::count();
    print!("{found}");
    let beyond = found.beyond_budget();
    for line in &beyond {
        eprintln!("{line}");
    }
    if !callgrind::IS_COMPARABLE {
        eprintln!("the file is written on x86-64, where instructions are counted");
        return ExitCode::FAILURE;
    }
    if !beyond.is_empty() {
        return ExitCode::FAILURE;
    }
    found.write(FILE);
    ExitCode::SUCCESS
}
