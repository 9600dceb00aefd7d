//! [`Claim`]: the fixed list of claims that a refusal may name; [`Found`]: what stood there instead of what was expected.

use crate::telemetry::excerpt;

/// A claim, or the header parameter `typ`, that a token is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Issuer,
    Subject,
    Audience,
    ExpiresAt,
    NotBefore,
    IssuedAt,
    TokenId,
    SessionId,
    ClientId,
    Actor,
    Scope,
    Scp,
    Roles,
    Type,
    #[cfg_attr(not(feature = "introspection"), allow(dead_code))]
    TokenType,
    #[cfg_attr(not(feature = "introspection"), allow(dead_code))]
    TokenUse,
}

impl Claim {
    /// Returns the name on the wire; `roles` stands for the claim that was configured, whatever its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "iss",
            Self::Subject => "sub",
            Self::Audience => "aud",
            Self::ExpiresAt => "exp",
            Self::NotBefore => "nbf",
            Self::IssuedAt => "iat",
            Self::TokenId => "jti",
            Self::SessionId => "sid",
            Self::ClientId => "client_id",
            Self::Actor => "act",
            Self::Scope => "scope",
            Self::Scp => "scp",
            Self::Roles => "roles",
            Self::Type => "typ",
            Self::TokenType => "token_type",
            Self::TokenUse => "token_use",
        }
    }
}

/// The kind of value that stood in the place of the claim. It says nothing of the value itself, so it may be logged before the signature held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Absent,
    WrongType,
    OtherValue,
}

impl Found {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::WrongType => "wrong type",
            Self::OtherValue => "other value",
        }
    }
}

/// The most characters of a value that are logged.
const LONGEST: usize = 64;

/// Cuts a value for the log, and escapes it.
pub(super) fn shown_value(value: &str) -> String {
    excerpt(value, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_has_64_characters_and_none_that_moves_the_cursor() {
        assert_eq!(shown_value("https://id.example"), "https://id.example");
        assert_eq!(shown_value(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(shown_value(&"é".repeat(65)), "é".repeat(64) + "…");
        assert_eq!(
            shown_value("a\n\u{1b}[2J\u{202e}b"),
            r"a\n\u{1b}[2J\u{202e}b"
        );
        assert_eq!(shown_value(r#""a\b""#), r#""a\b""#);
    }
}
