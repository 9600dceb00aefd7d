//! [`TokenCookie`]: the `Set-Cookie` header that gives a browser its session, or takes it back.

use std::{borrow::Cow, time::Duration};

use cookie::{Cookie, SameSite, time};
use http::HeaderValue;

use crate::{BearerToken, ConfigError, CookieToken, Rejection, RejectionKind};

/// Writes the session cookie that a [`CookieAuthLayer`](crate::CookieAuthLayer) reads: `HttpOnly`, `Secure`,
/// `SameSite=Lax`, for the whole site.
///
/// No script can read it, it never travels over plain http, and no other site's page sends it along but by a link. A name
/// that begins with `__Host-` makes the browser hold to that too ([RFC 6265bis §4.1.3]).
///
/// [RFC 6265bis §4.1.3]: https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{BearerToken, TokenCookie};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cookie = TokenCookie::new("__Host-jwt_token")?;
/// assert_eq!(
///     cookie.set(&BearerToken::new("a.b.c"), Duration::from_secs(3_600))?,
///     "__Host-jwt_token=a.b.c; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600",
/// );
/// assert!(TokenCookie::new("jwt token").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TokenCookie {
    name: Cow<'static, str>,
    path: Cow<'static, str>,
    same_site: SameSite,
    secure: Secure,
}

/// Beginnings of a name that bind the browser to demand `Secure`.
const PREFIXES: [&str; 2] = ["__Host-", "__Secure-"];

/// Browsers compare these beginnings without regard to case.
fn begins_with(name: &str, prefix: &str) -> bool {
    let start = name.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether the cookie travels over https only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secure {
    Always,
    Never,
}

impl TokenCookie {
    /// The cookie of that name.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] when the name is no cookie name ([RFC 6265 §4.1.1]).
    ///
    /// [RFC 6265 §4.1.1]: https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, ConfigError> {
        let name = name.into();
        // The source that reads it knows which names are cookie names.
        CookieToken::new(name.clone())?;
        Ok(Self {
            name,
            path: Cow::Borrowed("/"),
            same_site: SameSite::Lax,
            secure: Secure::Always,
        })
    }

    /// Keeps the cookie from every request that begins on another site, links included.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.same_site = SameSite::Strict;
        self
    }

    /// Sends the cookie along to this path and those beneath it only; to the whole site by default.
    ///
    /// It keeps a cookie from services that have no use for it. It is no wall: pages of one site can reach each other
    /// whatever their paths are.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for what is no path, and for any but `/` under a name that begins with `__Host-`: browsers
    /// drop such a cookie.
    pub fn with_path(mut self, path: impl Into<Cow<'static, str>>) -> Result<Self, ConfigError> {
        let path = path.into();
        let plain = |byte: u8| (b'!'..=b'~').contains(&byte) && byte != b';';
        let problem = if !path.starts_with('/') || !path.bytes().all(plain) {
            "a path begins with a slash, and holds no blank and no semicolon"
        } else if *path != *"/" && begins_with(&self.name, "__Host-") {
            "browsers drop a cookie of that name for any path but `/`: name it without __Host-"
        } else {
            self.path = path;
            return Ok(self);
        };
        Err(ConfigError::Setting {
            name: "with_path",
            value: path.into_owned(),
            problem,
        })
    }

    /// Lets the cookie travel over plain http: for a service on loopback, while it is being developed.
    ///
    /// # Security
    ///
    /// Whoever listens on the way then has the session.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] under a name that begins with `__Host-` or `__Secure-`, in letters of either case:
    /// browsers drop such a cookie without `Secure`, and nobody would be signed in.
    pub fn dangerous_without_secure(mut self) -> Result<Self, ConfigError> {
        if PREFIXES
            .iter()
            .any(|prefix| begins_with(&self.name, prefix))
        {
            return Err(ConfigError::Setting {
                name: "dangerous_without_secure",
                value: self.name.into_owned(),
                problem: "browsers drop a cookie of that name without Secure: name it without __Host- or __Secure-",
            });
        }
        self.secure = Secure::Never;
        Ok(self)
    }

    /// The value of `Set-Cookie` that signs a browser in, for as long as the token is good.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::TokenMalformed`] for a token with characters that have a meaning in a cookie or a header.
    pub fn set(
        &self,
        token: &BearerToken<'_>,
        lifetime: Duration,
    ) -> Result<HeaderValue, Rejection> {
        let text = token.expose();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if !text.bytes().all(plain) {
            return Err(RejectionKind::TokenMalformed.into());
        }
        self.value(text, lifetime)
    }

    /// The value of `Set-Cookie` that takes the cookie back. The token itself is good until it expires or is
    /// [revoked](crate::Revocations).
    ///
    /// # Errors
    ///
    /// None in practice: a cookie's name can stand in a header.
    pub fn clear(&self) -> Result<HeaderValue, Rejection> {
        self.value("", Duration::ZERO)
    }

    fn value(&self, value: &str, lifetime: Duration) -> Result<HeaderValue, Rejection> {
        // A lifetime beyond what a cookie can say is as good as the longest one.
        let max_age = time::Duration::try_from(lifetime).unwrap_or(time::Duration::MAX);
        let cookie = Cookie::build((&*self.name, value))
            .http_only(true)
            .secure(self.secure == Secure::Always)
            .same_site(self.same_site)
            .path(&*self.path)
            .max_age(max_age);
        let value = HeaderValue::try_from(cookie.to_string());
        let mut value = value
            .map_err(|error| Rejection::new(RejectionKind::TokenMalformed).with_source(error))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_session_is_given_and_taken_back_by_the_same_name_and_path() {
        let cookie = TokenCookie::new("jwt_token").unwrap().strict();
        let lifetime = Duration::from_secs(60);
        let set = cookie.set(&BearerToken::new("a.b.c"), lifetime).unwrap();
        assert_eq!(
            set,
            "jwt_token=a.b.c; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            cookie.clear().unwrap(),
            "jwt_token=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
        );
        assert!(
            !format!("{set:?}").contains("a.b.c"),
            "the value prints as sensitive"
        );
    }

    #[test]
    fn plain_http_has_to_be_asked_for() {
        let cookie = TokenCookie::new("jwt_token")
            .unwrap()
            .dangerous_without_secure()
            .unwrap();
        assert!(!cookie.clear().unwrap().to_str().unwrap().contains("Secure"));
    }

    /// RFC 6265bis §5.7: a browser drops what is named so and is not `Secure`.
    #[test]
    fn no_cookie_is_written_that_browsers_drop() {
        for (name, accepted) in [
            ("__Host-jwt_token", false),
            ("__Secure-jwt_token", false),
            ("__host-jwt_token", false),
            ("__SECURE-jwt_token", false),
            ("__Secure-", false),
            ("__Host", true),
            ("__Hostjwt_token", true),
            ("x__Host-jwt_token", true),
            ("jwt_token", true),
        ] {
            let cookie = TokenCookie::new(name).unwrap();
            let always = cookie.clear().unwrap();
            assert!(always.to_str().unwrap().contains("Secure; "), "{name}");
            match cookie.dangerous_without_secure() {
                Ok(_) => assert!(accepted, "{name}"),
                Err(error) => {
                    assert!(!accepted, "{name}");
                    assert!(error.to_string().contains(name), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_path_is_one_that_browsers_keep() {
        for (name, path, accepted) in [
            ("refresh", "/auth", true),
            ("__Secure-refresh", "/auth", true),
            ("__Host-refresh", "/auth", false),
            ("__host-refresh", "/auth", false),
            ("__Host-refresh", "/", true),
            ("refresh", "", false),
            ("refresh", "auth", false),
            ("refresh", "/a; Domain=evil.example", false),
            ("refresh", "/a b", false),
        ] {
            let cookie = TokenCookie::new(name).unwrap().with_path(path);
            assert_eq!(cookie.is_ok(), accepted, "{name} {path}");
            if let Ok(cookie) = cookie {
                let clear = cookie.clear().unwrap();
                let expected = format!("; Path={path}; ");
                assert!(clear.to_str().unwrap().contains(&expected), "{clear:?}");
            }
        }
    }

    /// Hazards 4: `Max-Age` overflow.
    #[test]
    fn no_lifetime_is_too_long() {
        let cookie = TokenCookie::new("jwt_token").unwrap();
        let set = cookie
            .set(&BearerToken::new("a.b.c"), Duration::MAX)
            .unwrap();
        assert!(set.to_str().unwrap().contains("Max-Age="));
    }

    /// What would end the value, or the header, is no token and signs nobody in.
    #[test]
    fn a_token_cannot_inject_attributes_or_headers() {
        let cookie = TokenCookie::new("jwt_token").unwrap();
        for text in [
            "a; Domain=evil.example",
            "a\r\nSet-Cookie: x=1",
            "a\0b",
            "a,b",
            "\"a\"",
            "é",
        ] {
            let refused = cookie
                .set(&BearerToken::new(text), Duration::ZERO)
                .unwrap_err();
            assert_eq!(refused.kind(), RejectionKind::TokenMalformed, "{text}");
        }
    }
}
