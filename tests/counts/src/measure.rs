//! A row, counted: request after request, each made beforehand, so that nothing but its answer is counted.

use std::hint::black_box;

use http::StatusCode;

use crate::{
    rows::{Row, rows},
    samples::Sample,
};

/// As many requests of each row are counted.
pub const REQUESTS: i64 = 1_000;
/// As many go before them, until nothing happens for the first time any more.
const WARM_UP: i64 = 200;
/// As many requests are sent in all.
pub const REQUESTS_IN_ALL: usize = (WARM_UP + REQUESTS) as usize;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    Allocations,
    Instructions,
}

/// Something that answers requests one by one.
pub trait Face {
    /// Takes the next request.
    fn prepare(&mut self, sample: &Sample);

    /// Answers it, and says with which status.
    fn answer(&mut self) -> StatusCode;
}

/// The names of the rows, how many allocations each adds to [`REQUESTS`] requests, and how many it may add to one.
pub fn allocations() -> Vec<(String, i64, Option<i64>)> {
    let added = |mut row: Row| {
        let [bare, measured] = [Side::Bare, Side::Measured].map(|side| {
            let mut total = 0;
            send(&mut row, side, &mut |face| {
                let mut status = StatusCode::OK;
                let info = allocation_counter::measure(|| status = face.answer());
                total += i64::try_from(info.count_total).expect("a request allocates little");
                status
            });
            total
        });
        (row.name, measured - bare, row.budget)
    };
    rows(Counting::Allocations).into_iter().map(added).collect()
}

/// Has callgrind count the instructions of each row, the bare side before the measured one, and prints its name.
pub fn under_callgrind() {
    for mut row in rows(Counting::Instructions) {
        for side in [Side::Bare, Side::Measured] {
            send(&mut row, side, &mut counted);
            counted_so_far();
        }
        println!("{}", row.name);
    }
}

/// Callgrind counts from the first instruction of this function to the last, whatever it calls.
#[inline(never)]
fn counted(face: &mut dyn Face) -> StatusCode {
    black_box(face.answer())
}

/// Callgrind writes down what it has counted, and begins anew, when this returns.
#[inline(never)]
fn counted_so_far() {
    black_box(());
}

/// Who answers the requests of a row.
#[derive(Debug, Clone, Copy)]
enum Side {
    Bare,
    Measured,
}

/// Sends the requests of a row, those that count by way of `answer`.
fn send(row: &mut Row, side: Side, answer: &mut dyn FnMut(&mut dyn Face) -> StatusCode) {
    let face = match side {
        Side::Bare => &mut *row.bare,
        Side::Measured => &mut *row.measured,
    };
    let samples = row.samples.iter().cycle().take(REQUESTS_IN_ALL);
    for (number, sample) in (0..).zip(samples) {
        face.prepare(sample);
        let status = if number < WARM_UP {
            face.answer()
        } else {
            answer(face)
        };
        assert_eq!(status, row.status, "{}: {side:?}", row.name);
    }
}
