//! [`Everything`]: before which second whatever was issued is revoked.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{entry, table::Mark};

/// The revocations of everything that are in force.
#[derive(Debug, Default)]
pub(super) struct Everything {
    /// The latest `before` of `marks`, for whoever asks; zero without any.
    before: AtomicU64,
    /// None that another one outdoes: whichever revokes less is remembered longer.
    marks: Mutex<Vec<Mark>>,
}

impl Everything {
    /// Whatever was issued before that second is revoked.
    #[inline]
    pub(super) fn before(&self) -> u64 {
        self.before.load(Ordering::Acquire)
    }

    /// Adds these, and drops what is over.
    pub(super) fn add(&self, fresh: impl IntoIterator<Item = Mark>, now: Duration) {
        // Whoever panicked has left nothing half done.
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.retain(|mark| !entry::is_over(mark.expires_at, now));
        for mark in fresh {
            if !marks.iter().any(|known| outdoes(known, &mark)) {
                marks.retain(|known| !outdoes(&mark, known));
                marks.push(mark);
            }
        }
        let before = marks.iter().map(|mark| mark.before).max();
        self.before.store(before.unwrap_or(0), Ordering::Release);
    }
}

/// Whether one revokes all that the other does, for as long.
fn outdoes(one: &Mark, other: &Mark) -> bool {
    one.before >= other.before && one.expires_at >= other.expires_at
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_until_it_is_over_and_no_longer() {
        // The second column is when the entry is over, less the longest leeway.
        let marks = [(100, 5_000), (200, 1_000), (150, 2_000), (90, 4_000)];
        for reversed in [false, true] {
            let everything = Everything::default();
            let mut marks = marks.map(|(before, expires_at)| Mark { before, expires_at });
            if reversed {
                marks.reverse();
            }
            for mark in marks {
                everything.add([mark], Duration::from_secs(500));
            }
            assert_eq!(everything.marks.lock().unwrap().len(), 3);
            for (now, before) in [
                (500, 200),
                (1_299, 200),
                (1_300, 150),
                (2_299, 150),
                (2_300, 100),
                (5_299, 100),
                (5_300, 0),
            ] {
                everything.add([], Duration::from_secs(now));
                assert_eq!(everything.before(), before, "now = {now}");
            }
        }
    }
}
