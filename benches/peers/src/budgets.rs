//! The budgets of the project that one run decides: each a ratio, or a difference, within this run.

use tower_warden::Algorithm;

use crate::{case::ALGORITHMS, results::Results, rows::Row};

/// A budget, and what became of it.
pub(crate) struct Budget {
    pub(crate) what: String,
    pub(crate) budget: String,
    pub(crate) measured: String,
    pub(crate) holds: bool,
}

pub(crate) fn all(results: &Results) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        budgets.push(at_most(
            format!("`Verifier::verify` over the signature alone, {algorithm:?}"),
            1.05,
            results.ratio(Row::Verifier, Row::Raw, algorithm).unwrap(),
        ));
    }
    budgets.push(costs(
        "`Verifier::verify` beyond the signature alone, HS256".into(),
        (500.0, 4),
        results.added(Row::Verifier, Algorithm::HS256).unwrap(),
        results
            .allocations_added(Row::Verifier, Algorithm::HS256)
            .unwrap(),
    ));
    for (algorithm, budget) in [(Algorithm::HS256, 0.5), (Algorithm::RS256, 0.8)] {
        budgets.push(first_seen(results, algorithm, budget));
    }
    for (algorithm, budget) in [
        (Algorithm::HS256, 11.0),
        (Algorithm::RS256, 70.0),
        (Algorithm::EdDSA, 130.0),
        (Algorithm::ES256, 200.0),
    ] {
        budgets.push(repeat_token(results, algorithm, budget));
    }
    for (row, baseline, what) in [
        (
            Row::BareRepeat,
            Row::Bare,
            "repeat token, added to a bare service",
        ),
        (
            Row::Repeat,
            Row::RouterLayered,
            "repeat token, added to a layer of axum that does nothing",
        ),
    ] {
        budgets.push(worst(results, row, baseline, what, (130.0, 3)));
    }
    for (row, baseline, what) in [
        (
            Row::BareExempt,
            Row::Bare,
            "exempt path, added to a bare service",
        ),
        (
            Row::Exempt,
            Row::RouterLayered,
            "exempt path, added to a layer of axum that does nothing",
        ),
    ] {
        budgets.push(worst(results, row, baseline, what, (20.0, 0)));
    }
    budgets
}

/// A whole request with a token seen for the first time, over that of the fastest peer.
fn first_seen(results: &Results, algorithm: Algorithm, budget: f64) -> Budget {
    let peer = results
        .best_peer(algorithm, |peer| results.time(peer, algorithm))
        .unwrap();
    at_most(
        format!(
            "first-seen request over that of {}, {algorithm:?}",
            peer.name()
        ),
        budget,
        results.ratio(Row::FirstSeen, peer, algorithm).unwrap(),
    )
}

/// What the peer that adds the least adds to a router, over what a token adds that came before.
fn repeat_token(results: &Results, algorithm: Algorithm, budget: f64) -> Budget {
    let added = |row| results.added(row, algorithm);
    let peer = results.best_peer(algorithm, added).unwrap();
    let measured = added(peer).unwrap() / added(Row::Repeat).unwrap();
    Budget {
        what: format!(
            "what {} adds to a router, over a repeat token, {algorithm:?}",
            peer.name()
        ),
        budget: format!("≥ {budget}"),
        measured: format!("{measured:.1}"),
        holds: measured >= budget,
    }
}

/// The most that a row adds to its baseline, of all algorithms.
fn worst(results: &Results, row: Row, baseline: Row, what: &str, budget: (f64, u64)) -> Budget {
    let of_all = ALGORITHMS.map(|algorithm| {
        let allocations = |row| results.allocations(row, algorithm).unwrap();
        (
            results.difference(row, baseline, algorithm).unwrap(),
            allocations(row).saturating_sub(allocations(baseline)),
        )
    });
    costs(
        format!("{what}, the worst of the four"),
        budget,
        of_all
            .iter()
            .map(|(time, _)| *time)
            .fold(f64::MIN, f64::max),
        of_all
            .iter()
            .map(|(_, allocations)| *allocations)
            .max()
            .unwrap(),
    )
}

fn at_most(what: String, budget: f64, measured: f64) -> Budget {
    Budget {
        what,
        budget: format!("≤ {budget}"),
        measured: format!("{measured:.3}"),
        holds: measured <= budget,
    }
}

fn costs(what: String, budget: (f64, u64), time: f64, allocations: u64) -> Budget {
    Budget {
        what,
        budget: format!("≤ {} ns, {} allocations", budget.0, budget.1),
        measured: format!("{time:.0} ns, {allocations}"),
        holds: time <= budget.0 && allocations <= budget.1,
    }
}
