//! [`Challenge`]: the `WWW-Authenticate` header of a refusal.

use http::{HeaderValue, StatusCode};

use super::{Rejection, RejectionKind};
use crate::ConfigError;

/// What a challenge says about this service, whichever the refusal ([RFC 6750 §3], [RFC 9728 §5.1]).
///
/// Realm and metadata come from the configuration only, never from the request, and are quoted as
/// [RFC 9110 §5.6.4] wants it.
///
/// [RFC 6750 §3]: https://www.rfc-editor.org/rfc/rfc6750#section-3
/// [RFC 9110 §5.6.4]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.4
/// [RFC 9728 §5.1]: https://www.rfc-editor.org/rfc/rfc9728#section-5.1
#[derive(Debug, Clone)]
pub struct Challenge {
    realm: String,
    resource_metadata: Option<String>,
}

impl Default for Challenge {
    /// The realm `api`, and no metadata.
    fn default() -> Self {
        Self {
            realm: String::from("api"),
            resource_metadata: None,
        }
    }
}

impl Challenge {
    /// Sets the realm; `api` by default.
    #[must_use]
    pub fn with_realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// Names the document that describes this protected resource ([RFC 9728]); none by default.
    ///
    /// [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728
    #[must_use]
    pub fn with_resource_metadata(mut self, url: impl Into<String>) -> Self {
        self.resource_metadata = Some(url.into());
        self
    }

    /// Checks that every text can stand in a quoted string.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] with the text that holds a control character or leaves ASCII.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let metadata = self.resource_metadata.as_deref().unwrap_or_default();
        for (name, value) in [
            ("with_realm", &*self.realm),
            ("with_resource_metadata", metadata),
        ] {
            if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return Err(ConfigError::Setting {
                    name,
                    value: value.escape_default().to_string(),
                    problem: "only printable ASCII can stand in a challenge",
                });
            }
        }
        Ok(())
    }

    /// The header value for a refusal, or `None` where a challenge has no place.
    ///
    /// It carries no error code when no credentials came (RFC 6750 §3.1), so probing learns nothing.
    #[must_use]
    pub fn for_rejection(&self, rejection: &Rejection) -> Option<HeaderValue> {
        let kind = rejection.kind();
        let error = match kind.status() {
            // No other credentials would mend the body.
            _ if matches!(
                kind,
                RejectionKind::RequestMalformed
                    | RejectionKind::UsernameInvalid
                    | RejectionKind::PasswordInvalid
            ) =>
            {
                return None;
            }
            StatusCode::BAD_REQUEST => Some("invalid_request"),
            // What is wrong at a login is no token.
            StatusCode::UNAUTHORIZED
                if matches!(
                    kind,
                    RejectionKind::TokenMissing | RejectionKind::CredentialsInvalid
                ) =>
            {
                None
            }
            StatusCode::UNAUTHORIZED => Some("invalid_token"),
            _ if kind == RejectionKind::ScopeInsufficient => Some("insufficient_scope"),
            _ => return None,
        };
        // Room for all but long scopes.
        let mut text = String::with_capacity(256);
        text.push_str("Bearer ");
        param(&mut text, "realm", &self.realm);
        if let Some(error) = error {
            param(&mut text, "error", error);
            param(&mut text, "error_description", kind.detail());
        }
        if let Some(scopes) = rejection.scopes() {
            param(&mut text, "scope", scopes);
        }
        if let Some(url) = &self.resource_metadata {
            param(&mut text, "resource_metadata", url);
        }
        // A scope that no header can hold was named by a hook: the refusal stands, without a challenge.
        HeaderValue::try_from(text).ok()
    }
}

/// Appends `name="value"`, after a comma where it is not the first; `"` and `\` are escaped (RFC 9110 §5.6.4).
fn param(text: &mut String, name: &str, value: &str) {
    if text.ends_with('"') {
        text.push_str(", ");
    }
    text.push_str(name);
    text.push_str("=\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn challenge(rejection: &Rejection) -> Option<String> {
        let challenge = Challenge::default().for_rejection(rejection)?;
        Some(challenge.to_str().unwrap().to_owned())
    }

    #[test]
    fn no_credentials_get_a_bare_challenge() {
        let text = challenge(&RejectionKind::TokenMissing.into());
        assert_eq!(text.as_deref(), Some(r#"Bearer realm="api""#));
    }

    #[test]
    fn each_status_has_its_error_code() {
        let table = [
            (RejectionKind::TokenExpired, Some("error=\"invalid_token\"")),
            (
                RejectionKind::SignatureInvalid,
                Some("error=\"invalid_token\""),
            ),
            (
                RejectionKind::CredentialsMalformed,
                Some("error=\"invalid_request\""),
            ),
            (
                RejectionKind::CredentialsAmbiguous,
                Some("error=\"invalid_request\""),
            ),
            (
                RejectionKind::ScopeInsufficient,
                Some("error=\"insufficient_scope\""),
            ),
            (RejectionKind::Forbidden, None),
            (RejectionKind::OriginForeign, None),
            (RejectionKind::KeysUnavailable, None),
            (
                RejectionKind::ApiKeyUnknown,
                Some("error=\"invalid_token\""),
            ),
            (RejectionKind::StoreUnavailable, None),
            (RejectionKind::RequestMalformed, None),
            (RejectionKind::NotOwner, None),
            (RejectionKind::ResourceUnnamed, None),
            (RejectionKind::NotFound, None),
            (RejectionKind::Misconfigured, None),
        ];
        for (kind, expected) in table {
            let text = challenge(&kind.into());
            match expected {
                Some(error) => assert!(text.unwrap().contains(error), "{kind:?}"),
                None => assert_eq!(text, None, "{kind:?}"),
            }
        }
    }

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        let challenge = Challenge::default().with_realm(r#"a "b" \c"#);
        let value = challenge
            .for_rejection(&RejectionKind::TokenMissing.into())
            .unwrap();
        assert_eq!(value.to_str().unwrap(), r#"Bearer realm="a \"b\" \\c""#);
    }

    #[test]
    fn scopes_and_metadata_are_named() {
        let challenge =
            Challenge::default().with_resource_metadata("https://api.example/.well-known/x");
        let value = challenge
            .for_rejection(&Rejection::insufficient_scope("chat:read chat:write"))
            .unwrap();
        let text = value.to_str().unwrap();
        assert!(text.contains(
            r#"scope="chat:read chat:write", resource_metadata="https://api.example/.well-known/x""#
        ));
    }

    #[test]
    fn a_realm_cannot_inject_a_header() {
        for realm in ["a\r\nSet-Cookie: x=1", "a\0", "é"] {
            let error = Challenge::default().with_realm(realm).check().unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&realm.escape_default().to_string()),
                "{error}"
            );
        }
    }
}
