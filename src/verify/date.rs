//! Reading a `NumericDate` ([RFC 7519 §2]) so that doubt never lengthens a token's life.
//!
//! [RFC 7519 §2]: https://www.rfc-editor.org/rfc/rfc7519#section-2

use super::json::{Kind, Value, WrongType};
use crate::NumericDate;

/// Where a fraction of a second goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the earlier second: an expiry.
    Down,
    /// To the later second: a beginning.
    Up,
}

/// Reads a JSON number as seconds since the epoch: negative ones are refused, and what exceeds `u64` is held at its end.
pub(super) fn numeric_date(
    value: &Value,
    payload: &str,
    rounding: Rounding,
) -> Result<NumericDate, WrongType> {
    let number = value.span.of(payload);
    // A minus is refused in front of zero too: no issuer means it.
    if value.kind != Kind::Number || number.starts_with('-') {
        return Err(WrongType);
    }
    if let Ok(seconds) = number.parse() {
        return Ok(NumericDate::from_secs(seconds));
    }
    let seconds = if number.contains(['e', 'E']) {
        let number: f64 = number.parse().map_err(|_| WrongType)?;
        // The conversion saturates, and the scanner has refused what is not finite.
        match rounding {
            Rounding::Down => number.floor() as u64,
            Rounding::Up => number.ceil() as u64,
        }
    } else {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        // Only digits are left, so all that can go wrong is a number too large.
        let whole: u64 = whole.parse().unwrap_or(u64::MAX);
        let begun = rounding == Rounding::Up && fraction.bytes().any(|digit| digit != b'0');
        whole.saturating_add(u64::from(begun))
    };
    Ok(NumericDate::from_secs(seconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::verify::json;

    fn date(number: &str, rounding: Rounding) -> Option<u64> {
        let payload = format!(r#"{{"exp":{number}}}"#);
        let mut found = None;
        json::scan(&payload, |_, value| found = Some(value)).unwrap();
        let date = numeric_date(&found.unwrap(), &payload, rounding);
        date.ok().map(NumericDate::as_secs)
    }

    #[test]
    fn fractions_shorten_and_large_values_saturate() {
        for (number, down, up) in [
            ("0", 0, 0),
            ("1700000000", 1_700_000_000, 1_700_000_000),
            ("1700000000.0", 1_700_000_000, 1_700_000_000),
            ("1700000000.5", 1_700_000_000, 1_700_000_001),
            ("0.000000000000000000000000000000001", 0, 1),
            ("1.7e9", 1_700_000_000, 1_700_000_000),
            ("1.5E0", 1, 2),
            ("15e-1", 1, 2),
            ("1e-400", 0, 0),
            (
                "9007199254740993",
                9_007_199_254_740_993,
                9_007_199_254_740_993,
            ),
            ("18446744073709551615", u64::MAX, u64::MAX),
            ("18446744073709551615.9", u64::MAX, u64::MAX),
            ("18446744073709551616", u64::MAX, u64::MAX),
            ("1e30", u64::MAX, u64::MAX),
            ("1e308", u64::MAX, u64::MAX),
        ] {
            assert_eq!(date(number, Rounding::Down), Some(down), "{number}");
            assert_eq!(date(number, Rounding::Up), Some(up), "{number}");
        }
    }

    #[test]
    fn only_a_number_that_is_not_negative_is_a_date() {
        for value in [
            "-1",
            "-0",
            "-0.5",
            "-1e3",
            "null",
            "true",
            "[]",
            "[1]",
            "{}",
            "\"\"",
            "\"1700000000\"",
        ] {
            assert_eq!(date(value, Rounding::Down), None, "{value}");
        }
    }
}
