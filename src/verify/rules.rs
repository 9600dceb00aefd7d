//! [`Rules`]: what a token must say to be let in; [`TokenType`], one of them.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;

use super::{CacheConfig, path::ClaimPath};
use crate::{
    Rejection, RejectionKind,
    keys::PreparedKey,
    refuse::{Claim, Found},
};

/// The type a token must declare in its header (`typ`, [RFC 8725 §3.11]).
///
/// Media types are compared without regard to case, and `application/` in front of them may be missing
/// ([RFC 7515 §4.1.9]).
///
/// [RFC 8725 §3.11]: https://www.rfc-editor.org/rfc/rfc8725#section-3.11
/// [RFC 7515 §4.1.9]: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenType {
    /// Whatever it declares, or nothing: many issuers sign access tokens without a type. The default.
    #[default]
    Any,
    /// `JWT`, which must be there ([RFC 7519 §5.1]).
    ///
    /// [RFC 7519 §5.1]: https://www.rfc-editor.org/rfc/rfc7519#section-5.1
    Jwt,
    /// `at+jwt`, which must be there, so that no ID token passes for an access token ([RFC 9068 §4]).
    ///
    /// [RFC 9068 §4]: https://www.rfc-editor.org/rfc/rfc9068#section-4
    AccessToken,
}

impl TokenType {
    /// Checks the type that a header declares.
    pub(super) fn check(self, media_type: Option<&str>) -> Result<(), Rejection> {
        if self.admits(media_type) {
            return Ok(());
        }
        let refused = |found| Rejection::of_claim(RejectionKind::TypeMismatch, Claim::Type, found);
        // The signature has held, so what the header declares may be logged.
        Err(match media_type {
            Some(media_type) => refused(Found::OtherValue).with_found(media_type),
            None => refused(Found::Absent),
        })
    }

    fn admits(self, media_type: Option<&str>) -> bool {
        let wanted = match self {
            Self::Any => return true,
            Self::Jwt => "jwt",
            Self::AccessToken => "at+jwt",
        };
        is_media_type(media_type, wanted)
    }
}

/// The `typ` of a connection token, which tells it from every other token of the same issuer.
pub(crate) const CONNECTION_TYPE: &str = "connection+jwt";

/// Compares a `typ` as [RFC 7515 §4.1.9] has it: without regard to case, and `application/` may be missing.
///
/// [RFC 7515 §4.1.9]: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9
pub(crate) fn is_media_type(found: Option<&str>, wanted: &str) -> bool {
    found.is_some_and(|found| {
        let (prefix, rest) = found
            .split_at_checked("application/".len())
            .unwrap_or_default();
        let bare = if prefix.eq_ignore_ascii_case("application/") {
            rest
        } else {
            found
        };
        bare.eq_ignore_ascii_case(wanted)
    })
}

/// Whether a claim that is safe to demand must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Waived,
}

/// What a token must say beyond what all must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    Any,
    /// What [RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2) demands of access tokens.
    AccessToken,
}

/// For whom a token must be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Audience {
    /// For nobody in particular: without a name of our own, a token that names its audience is not for us
    /// ([RFC 7519 §4.1.3]).
    ///
    /// [RFC 7519 §4.1.3]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
    Unnamed,
    /// For one of these at least.
    OneOf(Vec<String>),
    /// For anybody: the check is off.
    Anybody,
}

/// Everything a token is measured against, fixed when the verifier is built.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) max_token_size: usize,
    /// `None` leaves the choice to the keys, each of which has its one algorithm.
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) issuer: Option<String>,
    /// How a key names its issuer that is this one's and others' too: `{tenantid}` in the place of the tenant.
    pub(super) issuer_template: Option<Arc<str>>,
    pub(super) audience: Audience,
    /// Whether a token may leave it open whom it is for, where we have a name.
    pub(super) audience_presence: Presence,
    pub(super) subject: Presence,
    pub(super) expiry: Presence,
    pub(super) leeway: Duration,
    pub(super) max_age: Option<Duration>,
    pub(super) token_type: TokenType,
    pub(super) profile: Profile,
    /// `None` means `scope`, else `scp`.
    pub(super) scopes: Option<ClaimPath>,
    pub(super) roles: Option<ClaimPath>,
    /// How much is remembered of tokens that fulfilled all that.
    pub(super) cache: Option<CacheConfig>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_token_size: 8 * 1024,
            algorithms: None,
            issuer: None,
            issuer_template: None,
            audience: Audience::Unnamed,
            audience_presence: Presence::Required,
            subject: Presence::Required,
            expiry: Presence::Required,
            leeway: Duration::from_secs(30),
            max_age: None,
            token_type: TokenType::Any,
            profile: Profile::Any,
            scopes: None,
            roles: None,
            cache: Some(CacheConfig::new()),
        }
    }
}

impl Rules {
    /// Whether a key may verify tokens of this issuer: unless it says that it is somebody else's.
    pub(super) fn admit_key(&self, key: &PreparedKey) -> bool {
        match (key.issuer(), &self.issuer) {
            (Some(stated), Some(issuer)) => {
                stated == issuer || self.issuer_template.as_deref() == Some(stated)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_compared_as_a_media_type() {
        use TokenType::{AccessToken, Any, Jwt};
        for (media_type, admitted) in [
            (None, vec![Any]),
            (Some(""), vec![Any]),
            (Some("JWT"), vec![Any, Jwt]),
            (Some("jwt"), vec![Any, Jwt]),
            (Some("application/jwt"), vec![Any, Jwt]),
            (Some("at+jwt"), vec![Any, AccessToken]),
            (Some("AT+JWT"), vec![Any, AccessToken]),
            (Some("Application/AT+jwt"), vec![Any, AccessToken]),
            (Some("application/application/jwt"), vec![Any]),
            (Some("application/"), vec![Any]),
            (Some("text/jwt"), vec![Any]),
            (Some("dpop+jwt"), vec![Any]),
            (Some(" JWT"), vec![Any]),
            (Some("éapplicatio/jwt"), vec![Any]),
        ] {
            let found: Vec<_> = [Any, Jwt, AccessToken]
                .into_iter()
                .filter(|wanted| wanted.admits(media_type))
                .collect();
            assert_eq!(found, admitted, "{media_type:?}");
        }
    }
}
