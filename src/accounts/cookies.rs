//! [`Cookies`]: the three cookies of a session, their names, and for which paths they are.
//!
//! | | over https | on loopback without it |
//! | --- | --- | --- |
//! | the token, for the whole site | `__Host-jwt_token`, `SameSite=Lax` | `jwt_token` |
//! | the refresh token, for `/auth` | `__Secure-refresh_token`, `SameSite=Strict` | `refresh_token` |
//! | the session ID, for the whole site | `__Host-refresh_session`, `SameSite=Strict` | `refresh_session` |
//!
//! A neighbouring host can plant a `__Secure-` cookie, but no `__Host-` cookie (RFC 6265bis §4.1.3). The session ID binds the
//! refresh token to this host: a refresh token counts only beside the ID of its own session. The ID is no credential.

use std::{borrow::Cow, time::Duration};

use http::{HeaderValue, request::Parts};

use super::refresh::RefreshToken;
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
    id: TokenCookie,
    session_source: CookieToken,
    refresh_source: CookieToken,
    id_source: CookieToken,
}

impl Cookies {
    /// The cookies for this scheme; the name of the session's may be another one, and `base` is where the service stands.
    pub(super) fn new(
        scheme: Scheme,
        name: Option<Cow<'static, str>>,
        base: &str,
    ) -> Result<Self, ConfigError> {
        let (default_name, refresh_name, id_name) = match scheme {
            Scheme::Https => (
                "__Host-jwt_token",
                "__Secure-refresh_token",
                "__Host-refresh_session",
            ),
            Scheme::PlainOnLoopback => ("jwt_token", "refresh_token", "refresh_session"),
        };
        let name = name.unwrap_or(Cow::Borrowed(default_name));
        if [refresh_name, id_name].contains(&&*name) {
            return Err(ConfigError::Setting {
                name: "with_cookie_name",
                value: name.into_owned(),
                problem: "the refresh token or its session ID has a cookie of this name",
            });
        }
        let mut session = TokenCookie::new(name.clone())?;
        let mut refresh = TokenCookie::new(refresh_name)?
            .strict()
            .with_path(base.to_owned())?;
        let mut id = TokenCookie::new(id_name)?.strict();
        if scheme == Scheme::PlainOnLoopback {
            session = session.dangerous_without_secure()?;
            refresh = refresh.dangerous_without_secure()?;
            id = id.dangerous_without_secure()?;
        }
        Ok(Self {
            session,
            refresh,
            id,
            session_source: CookieToken::new(name.clone())?,
            refresh_source: CookieToken::new(refresh_name)?,
            id_source: CookieToken::new(id_name)?,
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

    /// Returns every token that a cookie of the session's name holds.
    pub(super) fn all_sessions<'r>(
        &'r self,
        head: &'r Parts,
    ) -> impl Iterator<Item = BearerToken<'r>> {
        self.session_source.all(&head.headers)
    }

    /// Returns every refresh token, also those that a neighbouring host may have planted.
    pub(super) fn all_refreshes<'r>(
        &'r self,
        head: &'r Parts,
    ) -> impl Iterator<Item = RefreshToken> {
        let tokens = self.refresh_source.all(&head.headers);
        tokens.filter_map(|text| RefreshToken::read(&text))
    }

    /// Returns the ID of the session that this browser signed in to; `None` if the cookie is absent or repeated.
    pub(super) fn session_id<'r>(&self, head: &'r Parts) -> Option<BearerToken<'r>> {
        extract(&self.id_source, head).ok().flatten()
    }

    /// Returns whether any cookie of the refresh token's name is there.
    pub(super) fn has_refresh(&self, head: &Parts) -> bool {
        self.refresh_source.all(&head.headers).next().is_some()
    }

    pub(super) fn set_session(
        &self,
        token: &BearerToken<'_>,
        lifetime: Duration,
    ) -> Result<HeaderValue, Rejection> {
        self.session.set(token, lifetime)
    }

    /// Sets the refresh token, and the ID of its session beside it.
    pub(super) fn set_refresh(
        &self,
        token: &RefreshToken,
        lifetime: Duration,
    ) -> Result<[HeaderValue; 2], Rejection> {
        let id = BearerToken::new(token.session());
        Ok([
            self.refresh.set(&token.text(), lifetime)?,
            self.id.set(&id, lifetime)?,
        ])
    }

    /// Clears all three.
    pub(super) fn clear(&self) -> Result<[HeaderValue; 3], Rejection> {
        Ok([
            self.session.clear()?,
            self.refresh.clear()?,
            self.id.clear()?,
        ])
    }

    /// Logs a warning if the request has several cookies of the session's name: the gate refuses such requests, so the
    /// browser stays signed out although the login succeeds.
    pub(super) fn warn_of_twins(&self, head: &Parts) {
        if self.all_sessions(head).nth(1).is_some() {
            tracing::warn!(
                target: "tower_warden",
                cookie = %self.name,
                "the browser sends several session cookies of this name, and every request with them is refused: another \
                 host or path has set one; delete it, or choose a cookie name with `__Host-`",
            );
        }
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
        let text = BearerToken::new("A".repeat(64));
        let [refresh, id] = https
            .set_refresh(&RefreshToken::read(&text).unwrap(), hour)
            .unwrap();
        assert_eq!(
            refresh,
            format!(
                "__Secure-refresh_token={}; HttpOnly; SameSite=Strict; Secure; Path=/auth; Max-Age=3600",
                text.expose()
            )
        );
        assert_eq!(
            id,
            format!(
                "__Host-refresh_session={}; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=3600",
                &text.expose()[..22]
            )
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
            (Scheme::Https, "__Host-refresh_session"),
            (Scheme::PlainOnLoopback, "refresh_session"),
            (Scheme::Https, "jwt token"),
        ] {
            assert!(
                Cookies::new(scheme, Some(name.into()), "/auth").is_err(),
                "{name}"
            );
        }
    }
}
