//! When the next fetch is due: pure decisions over durations.

use std::time::Duration;

/// The first pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// A draw between 0 and 1, so that many processes do not fetch in step.
pub(super) fn draw() -> f64 {
    // Without randomness all is well but for the crowd.
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

/// How long to wait after a good fetch: 72 to 80 % of the lifetime.
pub(super) fn ahead(lifetime: Duration, draw: f64) -> Duration {
    lifetime.mul_f64(0.72 + 0.08 * draw)
}

/// How long to wait after so many failures in a row: half of 1 s, 2 s, 4 s … 5 min, and a random part of the other half.
pub(super) fn pause(failures: u32, draw: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + 0.5 * draw)
}

/// Whether less than `span` has passed since then. A clock that was set back counts as having passed.
pub(super) fn within(since: Duration, span: Duration, now: Duration) -> bool {
    now.checked_sub(since).is_some_and(|passed| passed < span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn keys_are_asked_for_ahead_of_their_end() {
        assert_eq!(ahead(secs(1_000), 0.0).as_secs_f64().round(), 720.0);
        assert_eq!(ahead(secs(1_000), 1.0).as_secs_f64().round(), 800.0);
    }

    #[test]
    fn pauses_double_up_to_5_min() {
        for (failures, most) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (9, 256),
            (10, 300),
            (11, 300),
            (u32::MAX, 300),
        ] {
            assert_eq!(pause(failures, 1.0), secs(most), "{failures}");
            assert_eq!(pause(failures, 0.0), secs(most) / 2, "{failures}");
        }
    }

    #[test]
    fn draws_lie_between_0_and_1() {
        assert!((0..100).all(|_| (0.0..=1.0).contains(&draw())));
    }

    #[test]
    fn a_span_has_two_edges_and_a_clock_set_back_ends_it() {
        for (now, inside) in [(99, false), (100, true), (129, true), (130, false)] {
            assert_eq!(within(secs(100), secs(30), secs(now)), inside, "{now}");
        }
    }
}
