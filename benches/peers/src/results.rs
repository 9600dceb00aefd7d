//! What was measured, and the questions it answers.

use std::collections::HashMap;

use tower_warden::Algorithm;

use crate::{harness::Series, rows::Row};

#[derive(Default)]
pub(crate) struct Results {
    series: HashMap<(Row, Algorithm), Series>,
    notes: Vec<(Row, Algorithm, &'static str)>,
}

impl Results {
    /// Adds what was measured now to what was before.
    pub(crate) fn add(&mut self, algorithm: Algorithm, measured: Vec<(Row, Series)>) {
        for (row, mut measured) in measured {
            let series = self.series.entry((row, algorithm)).or_default();
            series.rounds.append(&mut measured.rounds);
            series.allocations = series.allocations.max(measured.allocations);
        }
    }

    /// Why a row has nothing for an algorithm.
    pub(crate) fn note(&mut self, row: Row, algorithm: Algorithm, reason: &'static str) {
        let note = (row, algorithm, reason);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(crate) fn notes(&self) -> &[(Row, Algorithm, &'static str)] {
        &self.notes
    }

    /// The time of one call, in nanoseconds.
    pub(crate) fn time(&self, row: Row, algorithm: Algorithm) -> Option<f64> {
        Some(median(&self.series(row, algorithm)?.rounds))
    }

    pub(crate) fn allocations(&self, row: Row, algorithm: Algorithm) -> Option<u64> {
        Some(self.series(row, algorithm)?.allocations)
    }

    /// What a row takes beyond its baseline, in nanoseconds.
    pub(crate) fn added(&self, row: Row, algorithm: Algorithm) -> Option<f64> {
        self.difference(row, row.baseline(), algorithm)
    }

    /// What a row takes beyond another, in nanoseconds.
    pub(crate) fn difference(&self, row: Row, other: Row, algorithm: Algorithm) -> Option<f64> {
        self.paired(row, other, algorithm, |row, other| row - other)
    }

    /// The allocations of a row beyond those of its baseline.
    pub(crate) fn allocations_added(&self, row: Row, algorithm: Algorithm) -> Option<u64> {
        let baseline = self.series(row.baseline(), algorithm)?.allocations;
        Some(
            self.series(row, algorithm)?
                .allocations
                .saturating_sub(baseline),
        )
    }

    /// How many times `other` a row takes.
    pub(crate) fn ratio(&self, row: Row, other: Row, algorithm: Algorithm) -> Option<f64> {
        self.paired(row, other, algorithm, |row, other| row / other)
    }

    /// The peer that takes the least.
    pub(crate) fn best_peer(
        &self,
        algorithm: Algorithm,
        takes: impl Fn(Row) -> Option<f64>,
    ) -> Option<Row> {
        let peers = Row::PEERS
            .into_iter()
            .filter(|&peer| self.series(peer, algorithm).is_some());
        peers.min_by(|&one, &other| {
            takes(one)
                .unwrap_or(f64::MAX)
                .total_cmp(&takes(other).unwrap_or(f64::MAX))
        })
    }

    /// Compared round by round.
    fn paired(
        &self,
        row: Row,
        other: Row,
        algorithm: Algorithm,
        compare: impl Fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let (row, other) = (self.series(row, algorithm)?, self.series(other, algorithm)?);
        let pairs = row.rounds.iter().zip(&other.rounds);
        let values: Vec<_> = pairs.map(|(row, other)| compare(*row, *other)).collect();
        Some(median(&values))
    }

    fn series(&self, row: Row, algorithm: Algorithm) -> Option<&Series> {
        self.series.get(&(row, algorithm))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
