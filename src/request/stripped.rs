//! [`StrippedHeaders`]: headers in which somebody outside could claim to be somebody.

use http::{HeaderMap, HeaderName};

use crate::error::ConfigError;

/// Headers that are taken off every request before the inner service sees it.
///
/// Services behind a gate have been fooled by clients that sent the header in which the gate tells who they are. This
/// crate tells it in the request's extensions alone; what older handlers read from headers is stripped when asked. None
/// is by default.
///
/// Names are compared without regard to case, and `_` counts as `-`, since CGI and its heirs make both the same.
///
/// ```
/// use tower_warden::StrippedHeaders;
///
/// // Everything that is commonly trusted, and what this application trusts besides.
/// let stripped = StrippedHeaders::identity().and_prefix("x-acme-").and_name("x-tenant");
/// # let _ = stripped;
/// ```
///
/// # Errors
///
/// What cannot be part of a header's name is a [`ConfigError`] when the layer is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StrippedHeaders {
    prefixes: Vec<String>,
    names: Vec<String>,
}

impl StrippedHeaders {
    /// No header.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The headers in which gateways and agent hosts tell who the client is.
    ///
    /// All that begin with `x-user-`, `x-agents-`, `x-partykit-` or `x-auth-`, and `x-user`, `remote-user`,
    /// `x-remote-user`, `x-webauth-user`, `x-authenticated-user`, `x-authenticated-userid`, `x-forwarded-user`,
    /// `x-forwarded-email`, `x-forwarded-groups`, `x-forwarded-preferred-username` and `x-forwarded-access-token`.
    #[must_use]
    pub fn identity() -> Self {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self {
            prefixes: owned(&["x-user-", "x-agents-", "x-partykit-", "x-auth-"]),
            names: owned(&[
                "x-user",
                "remote-user",
                "x-remote-user",
                "x-webauth-user",
                "x-authenticated-user",
                "x-authenticated-userid",
                "x-forwarded-user",
                "x-forwarded-email",
                "x-forwarded-groups",
                "x-forwarded-preferred-username",
                "x-forwarded-access-token",
            ]),
        }
    }

    /// Strips all headers whose name begins so.
    #[must_use]
    pub fn and_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefixes.push(normal(prefix.into()));
        self
    }

    /// Strips the header of that name.
    #[must_use]
    pub fn and_name(mut self, name: impl Into<String>) -> Self {
        self.names.push(normal(name.into()));
        self
    }

    /// Refuses what could never match, or would match what no request can do without.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let bad = |value: &String, problem| {
            Err(ConfigError::Setting {
                name: "with_stripped_headers",
                value: value.clone(),
                problem,
            })
        };
        for name in self.prefixes.iter().chain(&self.names) {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return bad(name, "a header's name consists of letters, digits and `-`");
            }
        }
        for needed in ["host", "authorization", "cookie", "origin", "upgrade"] {
            if let Some(prefix) = self.prefixes.iter().find(|it| needed.starts_with(*it)) {
                return bad(
                    prefix,
                    "so short a prefix would strip `host`, `cookie` or the like",
                );
            }
        }
        Ok(())
    }

    /// Takes them off, with all their values.
    #[inline]
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        if !self.is_none() {
            self.strip(headers);
        }
    }

    #[inline]
    pub(crate) const fn is_none(&self) -> bool {
        self.prefixes.is_empty() && self.names.is_empty()
    }

    fn strip(&self, headers: &mut HeaderMap) {
        let stripped: Vec<_> = headers
            .keys()
            .filter(|it| self.strips(it))
            .cloned()
            .collect();
        for name in stripped {
            headers.remove(name);
        }
    }

    fn strips(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        let begins = |wanted: &String| {
            name.len() >= wanted.len()
                && name
                    .iter()
                    .zip(wanted.bytes())
                    .all(|(&found, wanted)| found == wanted || (found == b'_' && wanted == b'-'))
        };
        self.prefixes.iter().any(begins)
            || self
                .names
                .iter()
                .any(|it| it.len() == name.len() && begins(it))
    }
}

/// Lower-case, and with dashes only.
fn normal(mut name: String) -> String {
    name.make_ascii_lowercase();
    name.replace('_', "-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::HeaderValue;

    fn left(stripped: &StrippedHeaders, names: &[&str]) -> Vec<String> {
        stripped.validate().unwrap();
        let mut headers = HeaderMap::new();
        for name in names {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name.clone(), HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
        }
        stripped.apply(&mut headers);
        let mut left: Vec<_> = headers.keys().map(ToString::to_string).collect();
        left.sort();
        left
    }

    #[test]
    fn identity_headers_go_in_every_spelling_and_all_others_stay() {
        let gone = [
            "x-user-id",
            "X-User-Id",
            "x_user_id",
            "x-user_id",
            "X_USER-ID",
            "x-user",
            "x_user",
            "x-user-",
            "x-agents-user",
            "x-partykit-room",
            "x-auth-subject",
            "remote-user",
            "remote_user",
            "x-remote-user",
            "x-forwarded-user",
            "x-forwarded-email",
        ];
        assert!(left(&StrippedHeaders::identity(), &gone).is_empty());
        let mut kept = [
            "x-username",
            "x-userx",
            "user-agent",
            "authorization",
            "cookie",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-request-id",
            "x-authority",
            "x-api-key",
            "host",
            "ax-user-id",
        ];
        kept.sort_unstable();
        assert_eq!(left(&StrippedHeaders::identity(), &kept), kept);
        assert_eq!(
            left(&StrippedHeaders::none(), &["x-user-id"]),
            ["x-user-id"]
        );
    }

    #[test]
    fn own_names_and_prefixes_are_added() {
        let stripped = StrippedHeaders::none()
            .and_prefix("X_Acme-")
            .and_name("X-Tenant");
        let names = [
            "x-acme-id",
            "x_acme_id",
            "x-tenant",
            "x_tenant",
            "x-tenant-id",
            "x-user-id",
        ];
        assert_eq!(left(&stripped, &names), ["x-tenant-id", "x-user-id"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_at_build() {
        for stripped in [
            StrippedHeaders::none().and_name(""),
            StrippedHeaders::none().and_prefix(""),
            StrippedHeaders::none().and_name("x user"),
            StrippedHeaders::none().and_name("x-user:"),
            StrippedHeaders::none().and_prefix("x-é"),
            StrippedHeaders::none().and_prefix("a"),
            StrippedHeaders::none().and_prefix("Cookie"),
        ] {
            assert!(stripped.validate().is_err(), "{stripped:?}");
        }
    }
}
