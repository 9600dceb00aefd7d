//! [`AuthorizationHeader`]: `Authorization: Bearer <token>`.

use http::{HeaderName, header, request::Parts};
use memchr::memchr3;

use super::{BearerToken, Carrier, Glance, MalformedCredentials, TokenSource};
use crate::HeadRef;

/// The token of `Authorization: Bearer <token>` ([RFC 6750 §2.1]): the way every client should take.
///
/// The scheme is compared without regard to case, and one blank or more may follow it. Another scheme alone is no token
/// for us. A second `Authorization` line is refused whatever it holds, and so is a header that is empty, holds a blank
/// or a comma where the token should be, or other than visible ASCII anywhere. Each character of the token is for the
/// verifier to judge, which looks at them in any case.
///
/// ```
/// use http::Request;
/// use tower_warden::{AuthorizationHeader, HeadRef, MalformedCredentials, TokenSource};
///
/// let source = AuthorizationHeader::new();
/// let (good, ()) = Request::get("/").header("authorization", "Bearer mF_9.B5f-4.1JqM").body(())?.into_parts();
/// assert_eq!(source.extract(HeadRef::from(&good)).unwrap().unwrap().expose(), "mF_9.B5f-4.1JqM");
///
/// let (list, ()) = Request::get("/").header("authorization", "Bearer one, Bearer two").body(())?.into_parts();
/// assert_eq!(source.extract(HeadRef::from(&list)).unwrap_err(), MalformedCredentials::Unreadable);
/// # Ok::<(), http::Error>(())
/// ```
///
/// [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
#[derive(Debug, Clone, Copy, Default)]
pub struct AuthorizationHeader {
    afterwards: Afterwards,
}

/// What becomes of the header once its token was read.
#[derive(Debug, Clone, Copy, Default)]
enum Afterwards {
    #[default]
    Kept,
    Removed,
}

impl AuthorizationHeader {
    /// The header stays where it is, so that the inner service may pass it on.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            afterwards: Afterwards::Kept,
        }
    }

    /// Takes the header off the request before the inner service sees it.
    #[must_use]
    pub const fn removed(mut self) -> Self {
        self.afterwards = Afterwards::Removed;
        self
    }
}

impl TokenSource for AuthorizationHeader {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        let mut lines = head.headers.get_all(header::AUTHORIZATION).iter();
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        if lines.next().is_some() {
            return Err(MalformedCredentials::Repeated);
        }
        let line = line
            .to_str()
            .map_err(|_| MalformedCredentials::Unreadable)?;
        bearer(line)
    }

    fn glance<'r>(&self, head: HeadRef<'r>) -> Glance<'r> {
        const SCHEME: &[u8] = b"Bearer ";
        let mut lines = head.headers.get_all(header::AUTHORIZATION).iter();
        let line = match (lines.next(), lines.next()) {
            (None, _) => return Glance::Nothing,
            (Some(line), None) => line.as_bytes(),
            (Some(_), Some(_)) => return Glance::Unclear,
        };
        match (self.afterwards, line.split_at_checked(SCHEME.len())) {
            (Afterwards::Kept, Some((scheme, token))) if scheme.eq_ignore_ascii_case(SCHEME) => {
                Glance::Token(token)
            }
            _ => Glance::Unclear,
        }
    }

    fn carrier(&self) -> Carrier {
        Carrier::Authorization
    }

    fn places(&self) -> Vec<String> {
        vec![String::from("header authorization")]
    }

    fn header(&self) -> Option<HeaderName> {
        Some(header::AUTHORIZATION)
    }

    fn name(&self) -> &'static str {
        "header"
    }

    fn conceal(&self, head: &mut Parts) {
        if let Afterwards::Removed = self.afterwards {
            head.headers.remove(header::AUTHORIZATION);
        }
    }
}

/// Reads one header value; `Ok(None)` if it speaks another scheme.
fn bearer(line: &str) -> Result<Option<BearerToken<'_>>, MalformedCredentials> {
    let line = line.trim_ascii();
    let end = line.bytes().position(|byte| !is_tchar(byte));
    let (scheme, rest) = line
        .split_at_checked(end.unwrap_or(line.len()))
        .unwrap_or_default();
    if scheme.is_empty() {
        return Err(MalformedCredentials::Unreadable);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    // A tab is no separator here, and so it is found as part of the token.
    let token = rest.trim_start_matches(' ');
    if token.len() == rest.len()
        || token.trim_end_matches('=').is_empty()
        || memchr3(b' ', b'\t', b',', token.as_bytes()).is_some()
    {
        return Err(MalformedCredentials::Unreadable);
    }
    Ok(Some(BearerToken::new(token)))
}

/// A character of a `token`, and so of a scheme's name ([RFC 9110 §5.6.2]).
///
/// [RFC 9110 §5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
pub(super) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::{HeaderValue, Request};

    fn extract(lines: &[&[u8]]) -> Result<Option<String>, MalformedCredentials> {
        let (mut head, ()) = Request::new(()).into_parts();
        for line in lines {
            let value = HeaderValue::from_bytes(line).unwrap();
            head.headers.append(header::AUTHORIZATION, value);
        }
        AuthorizationHeader::new()
            .extract(HeadRef::from(&head))
            .map(|token| token.map(|token| token.expose().to_owned()))
    }

    #[test]
    fn one_bearer_token_is_read_as_it_stands() {
        for line in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER a.b.c",
            "Bearer    a.b.c",
            "  Bearer a.b.c \t",
        ] {
            assert_eq!(extract(&[line.as_bytes()]), Ok(Some("a.b.c".to_owned())));
        }
        for token in ["-._~+/09AZaz==", "A", "a="] {
            let line = format!("Bearer {token}");
            assert_eq!(extract(&[line.as_bytes()]), Ok(Some(token.to_owned())));
        }
    }

    #[test]
    fn no_header_or_another_scheme_is_no_token() {
        assert_eq!(extract(&[]), Ok(None));
        for line in [
            "Basic YTpi",
            "Bearerx a.b.c",
            "Bearer-2 a.b.c",
            "Digest a=b, c=\"d\"",
            "eyJ.e30.x",
            "B",
            "DPoP a.b.c",
        ] {
            assert_eq!(extract(&[line.as_bytes()]), Ok(None), "{line}");
        }
    }

    #[test]
    fn a_broken_header_is_unreadable_and_never_none() {
        for line in [
            &b""[..],
            b" ",
            b"Bearer",
            b"Bearer ",
            b"Bearer  \t",
            b"Bearer \ta.b.c",
            b"Bearer  \ta.b.c",
            b"Bearer\ta.b.c",
            b"Bearer,a.b.c",
            b"Bearer=a.b.c",
            b"Bearer: a.b.c",
            b"Bearer a b",
            b"Bearer a\tb",
            b"Bearer a.b.c, Bearer d.e.f",
            b"Bearer a,b",
            b"Bearer ==",
            b"Bearer a.b.\xc3\xa9",
            b"Bearer \xff",
            b"\"Bearer\" a.b.c",
            b"\xff",
        ] {
            let found = extract(&[line]);
            assert_eq!(found, Err(MalformedCredentials::Unreadable), "{line:?}");
        }
    }

    #[test]
    fn two_lines_are_refused_whatever_they_hold() {
        for lines in [
            [&b"Bearer a"[..], &b"Bearer a"[..]],
            [b"Bearer a", b"Bearer b"],
            [b"Basic a", b"Bearer b"],
            [b"Bearer a", b""],
            [b"Basic a", b"Basic a"],
        ] {
            assert_eq!(extract(&lines), Err(MalformedCredentials::Repeated));
        }
    }

    #[test]
    fn a_strange_character_is_left_to_the_verifier() {
        for token in ["\"a.b.c\"", "a=b", "a%20b", "a:b", "a@b", "a{b"] {
            let line = format!("Bearer {token}");
            assert_eq!(extract(&[line.as_bytes()]), Ok(Some(token.to_owned())));
        }
    }

    #[test]
    fn the_header_goes_only_when_that_was_asked() {
        for (source, left) in [
            (AuthorizationHeader::new(), 1),
            (AuthorizationHeader::new().removed(), 0),
        ] {
            let (mut head, ()) = Request::get("/")
                .header("authorization", "Bearer a")
                .body(())
                .unwrap()
                .into_parts();
            source.conceal(&mut head);
            assert_eq!(head.headers.len(), left);
        }
    }
}
