//! [`Closing`]: the last frame of a WebSocket, and why it comes.

use std::borrow::Cow;

use crate::ConfigError;

/// A close frame as the client reads it: a code and a reason ([RFC 6455 §7.4]).
///
/// | code | who comes back |
/// | --- | --- |
/// | 1000 to 1003, 1007, 1009 to 1014 | most clients, the `agents` client among them, reconnect |
/// | 1008 | nobody: "this violates the policy" |
/// | 3000 | clients that can get a fresh token: "unauthorized" in IANA's list |
/// | 4000 to 4999 | as the application and its client agree; the `agents` client never |
///
/// # Examples
///
/// ```
/// use tower_warden::Closing;
///
/// let closing = Closing::new(4001, "Unauthorized")?;
/// assert_eq!((closing.code(), closing.reason()), (4001, "Unauthorized"));
/// assert!(Closing::new(1005, "no code at all").is_err(), "1005 never stands in a frame");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
///
/// [RFC 6455 §7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    code: u16,
    reason: Cow<'static, str>,
}

impl Closing {
    /// A close frame with that code, and a reason of 123 bytes at most.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for a code that must not stand in a frame, or a reason that is too long for one.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Result<Self, ConfigError> {
        let reason = reason.into();
        let refused = |value, problem| {
            Err(ConfigError::Setting {
                name: "Closing",
                value,
                problem,
            })
        };
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            let problem = "a close frame carries 1000 to 1003, 1007 to 1014 or 3000 to 4999";
            return refused(code.to_string(), problem);
        }
        if reason.len() > 123 {
            let problem = "the reason has 123 bytes at most, since a control frame has 125";
            return refused(reason.into_owned(), problem);
        }
        Ok(Self { code, reason })
    }

    /// A frame of our own, whose code and reason are known to fit.
    pub(crate) const fn fixed(code: u16, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The reason, for people and logs.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_stand_in_a_frame() {
        for (code, fits) in [
            (0, false),
            (999, false),
            (1000, true),
            (1003, true),
            (1004, false),
            (1005, false),
            (1006, false),
            (1007, true),
            (1008, true),
            (1014, true),
            (1015, false),
            (2999, false),
            (3000, true),
            (4999, true),
            (5000, false),
        ] {
            assert_eq!(Closing::new(code, "").is_ok(), fits, "{code}");
        }
        assert!(Closing::new(1008, "é".repeat(61)).is_ok());
        assert!(Closing::new(1008, "é".repeat(62)).is_err());
    }
}
