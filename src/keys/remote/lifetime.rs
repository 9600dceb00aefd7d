//! How long keys may be used before they are asked for again.

use std::time::Duration;

use http::{HeaderMap, header};

/// The least time between two fetches that are due, whatever the provider says.
const SHORTEST: Duration = Duration::from_secs(60);
/// The most.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// What holds when the provider says nothing: a removed key is refused within ten minutes.
pub(super) const DEFAULT: Duration = Duration::from_secs(10 * 60);

/// Holds a lifetime within 1 min and 24 h.
pub(super) fn clamp(lifetime: Duration) -> Duration {
    lifetime.clamp(SHORTEST, LONGEST)
}

/// Reads the lifetime that a provider states ([RFC 9111 §5.2.2]): `max-age`, less what a cache on the way has used up of
/// it (`Age`); `no-store` and `no-cache` are the shortest.
///
/// [RFC 9111 §5.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2
pub(super) fn stated(headers: &HeaderMap) -> Option<Duration> {
    let mut lifetime: Option<Duration> = None;
    for value in headers.get_all(header::CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            let stated = if name.eq_ignore_ascii_case("max-age") {
                seconds(argument)
            } else if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache")
            {
                Some(Duration::ZERO)
            } else {
                None
            };
            // Of several statements the most careful one counts.
            lifetime = match (lifetime, stated) {
                (Some(known), Some(stated)) => Some(known.min(stated)),
                (known, stated) => known.or(stated),
            };
        }
    }
    let age = headers
        .get(header::AGE)
        .and_then(|age| age.to_str().ok())
        .and_then(seconds)
        .unwrap_or_default();
    lifetime.map(|lifetime| clamp(lifetime.saturating_sub(age)))
}

/// Reads delta-seconds; more than fits is as good as for ever ([RFC 9111 §1.2.2]).
///
/// [RFC 9111 §1.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-1.2.2
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.trim().trim_matches('"');
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_stated_lifetime_is_clamped_to_1_min_and_24_h() {
        for (cache_control, age, wanted) in [
            (&[][..], None, None),
            (&["max-age=600"][..], None, Some(600)),
            (
                &["public, max-age=21600, must-revalidate"],
                None,
                Some(21_600),
            ),
            (&["MAX-AGE=600"], None, Some(600)),
            (&["max-age=\"600\""], None, Some(600)),
            (&["max-age=0"], None, Some(60)),
            (&["max-age=59"], None, Some(60)),
            (&["max-age=61"], None, Some(61)),
            (&["max-age=86401"], None, Some(86_400)),
            (&["max-age=99999999999999999999999"], None, Some(86_400)),
            (&["no-cache"], None, Some(60)),
            (&["no-store, max-age=600"], None, Some(60)),
            (&["max-age=600", "max-age=300"], None, Some(300)),
            (&["max-age=600"], Some("500"), Some(100)),
            (&["max-age=600"], Some("9999"), Some(60)),
            (&["max-age=600"], Some("x"), Some(600)),
            (&["max-age=-1"], None, None),
            (&["max-age="], None, None),
            (&["max-age"], None, None),
            (&["s-maxage=600"], None, None),
            (&["public"], None, None),
            (&[", ,=,"], None, None),
        ] {
            let mut headers = HeaderMap::new();
            for value in cache_control {
                headers.append(header::CACHE_CONTROL, value.parse().unwrap());
            }
            if let Some(age) = age {
                headers.insert(header::AGE, age.parse().unwrap());
            }
            let wanted = wanted.map(Duration::from_secs);
            assert_eq!(stated(&headers), wanted, "{cache_control:?} {age:?}");
        }
    }
}
