//! [`Cookies`]: the two cookies of a session, their names, and for which paths they are.
//!
//! | | over https | on loopback without it |
//! | --- | --- | --- |
//! | the token, for the whole site | `__Host-jwt_token`, `SameSite=Lax` | `jwt_token` |
//! | the refresh token, for `/auth` | `__Secure-refresh_token`, `SameSite=Strict` | `refresh_token` |

use std::{borrow::Cow, time::Duration};

use http::{HeaderValue, request::Parts};

use crate::{
    BearerToken, ConfigError, CookieToken, HeadRef, MalformedCredentials, Rejection, RejectionKind,
    TokenCookie, TokenSource,
};

/// Whether browsers reach the service by https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    /// Plain http on loopback, while the service is being developed.
    PlainOnLoopback,
}

impl Scheme {
    /// Reads the origin at which browsers find the service.
    pub(super) fn of(origin: &str) -> Result<Self, ConfigError> {
        let refused = |problem| ConfigError::Setting {
            name: "with_public_origin",
            value: origin.to_owned(),
            problem,
        };
        let uri: http::Uri = origin
            .parse()
            .map_err(|_| refused("an origin is a scheme, a host and perhaps a port"))?;
        if uri
            .path_and_query()
            .is_some_and(|path| path.as_str() != "/")
        {
            return Err(refused("an origin has no path"));
        }
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => Ok(Self::Https),
            (Some("http"), Some("localhost" | "127.0.0.1" | "[::1]")) => Ok(Self::PlainOnLoopback),
            (Some("http"), _) => Err(refused(
                "over plain http whoever listens has every session: use https, or http on localhost to develop",
            )),
            _ => Err(refused("an origin begins with https://")),
        }
    }
}

/// The cookies of a session.
#[derive(Debug)]
pub(super) struct Cookies {
    name: Cow<'static, str>,
    session: TokenCookie,
    refresh: TokenCookie,
    session_source: CookieToken,
    refresh_source: CookieToken,
}

impl Cookies {
    /// The cookies for this scheme; the name of the session's may be another one, and `base` is where the service stands.
    pub(super) fn new(
        scheme: Scheme,
        name: Option<Cow<'static, str>>,
        base: &str,
    ) -> Result<Self, ConfigError> {
        let (default_name, refresh_name) = match scheme {
            Scheme::Https => ("__Host-jwt_token", "__Secure-refresh_token"),
            Scheme::PlainOnLoopback => ("jwt_token", "refresh_token"),
        };
        let name = name.unwrap_or(Cow::Borrowed(default_name));
        if *name == *refresh_name {
            return Err(ConfigError::Setting {
                name: "with_cookie_name",
                value: name.into_owned(),
                problem: "the refresh token has a cookie of this name",
            });
        }
        let mut session = TokenCookie::new(name.clone())?;
        let mut refresh = TokenCookie::new(refresh_name)?
            .strict()
            .with_path(base.to_owned())?;
        if scheme == Scheme::PlainOnLoopback {
            session = session.dangerous_without_secure()?;
            refresh = refresh.dangerous_without_secure()?;
        }
        Ok(Self {
            session,
            refresh,
            session_source: CookieToken::new(name.clone())?,
            refresh_source: CookieToken::new(refresh_name)?,
            name,
        })
    }

    /// The name of the session's cookie.
    pub(super) fn name(&self) -> &Cow<'static, str> {
        &self.name
    }

    /// Where a layer looks for the session's token.
    pub(super) fn source(&self) -> &CookieToken {
        &self.session_source
    }

    pub(super) fn session<'r>(
        &self,
        head: &'r Parts,
    ) -> Result<Option<BearerToken<'r>>, Rejection> {
        extract(&self.session_source, head)
    }

    pub(super) fn refresh<'r>(
        &self,
        head: &'r Parts,
    ) -> Result<Option<BearerToken<'r>>, Rejection> {
        extract(&self.refresh_source, head)
    }

    pub(super) fn set_session(
        &self,
        token: &BearerToken<'_>,
        lifetime: Duration,
    ) -> Result<HeaderValue, Rejection> {
        self.session.set(token, lifetime)
    }

    pub(super) fn set_refresh(
        &self,
        token: &BearerToken<'_>,
        lifetime: Duration,
    ) -> Result<HeaderValue, Rejection> {
        self.refresh.set(token, lifetime)
    }

    /// Takes both back.
    pub(super) fn clear(&self) -> Result<[HeaderValue; 2], Rejection> {
        Ok([self.session.clear()?, self.refresh.clear()?])
    }
}

/// One cookie of the name, none, or 400: the second may have been planted by a neighbouring host.
fn extract<'r>(
    source: &CookieToken,
    head: &'r Parts,
) -> Result<Option<BearerToken<'r>>, Rejection> {
    source.extract(HeadRef::from(head)).map_err(|malformed| {
        let kind = match malformed {
            MalformedCredentials::Repeated => RejectionKind::CredentialsAmbiguous,
            MalformedCredentials::Unreadable | MalformedCredentials::Misplaced => {
                RejectionKind::CredentialsMalformed
            }
        };
        kind.into()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn plain_http_is_for_loopback() {
        for (origin, scheme) in [
            ("https://app.example", Some(Scheme::Https)),
            ("https://localhost:8443", Some(Scheme::Https)),
            ("http://localhost:8787", Some(Scheme::PlainOnLoopback)),
            ("http://127.0.0.1", Some(Scheme::PlainOnLoopback)),
            ("http://[::1]:8787/", Some(Scheme::PlainOnLoopback)),
            ("http://app.example", None),
            ("http://localhost.example", None),
            ("http://0.0.0.0:8787", None),
            ("https://app.example/app", None),
            ("ftp://app.example", None),
            ("app.example", None),
            ("", None),
        ] {
            assert_eq!(Scheme::of(origin).ok(), scheme, "{origin}");
        }
    }

    #[test]
    fn the_two_have_their_names_and_paths() {
        let (token, hour) = (BearerToken::new("a.b.c"), Duration::from_secs(3_600));
        let https = Cookies::new(Scheme::Https, None, "/auth").unwrap();
        assert_eq!(
            https.set_session(&token, hour).unwrap(),
            "__Host-jwt_token=a.b.c; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600"
        );
        assert_eq!(
            https.set_refresh(&token, hour).unwrap(),
            "__Secure-refresh_token=a.b.c; HttpOnly; SameSite=Strict; Secure; Path=/auth; Max-Age=3600"
        );
        assert_eq!(
            https.clear().unwrap()[1],
            "__Secure-refresh_token=; HttpOnly; SameSite=Strict; Secure; Path=/auth; Max-Age=0"
        );
        let plain = Cookies::new(Scheme::PlainOnLoopback, None, "/auth").unwrap();
        assert_eq!(
            plain.set_session(&token, hour).unwrap(),
            "jwt_token=a.b.c; HttpOnly; SameSite=Lax; Path=/; Max-Age=3600"
        );
        for (scheme, name) in [
            (Scheme::PlainOnLoopback, "__Host-jwt_token"),
            (Scheme::Https, "__Secure-refresh_token"),
            (Scheme::Https, "jwt token"),
        ] {
            assert!(
                Cookies::new(scheme, Some(name.into()), "/auth").is_err(),
                "{name}"
            );
        }
    }
}
