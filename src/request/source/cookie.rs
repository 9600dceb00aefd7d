//! [`CookieToken`]: the session cookie of a browser.

use std::{borrow::Cow, fmt, iter, ops::Range};

use http::{HeaderName, header};
use memchr::{memchr, memmem::Finder};

use super::{BearerToken, Glance, MalformedCredentials, TokenSource, header::is_tchar};
use crate::{HeadRef, error::ConfigError};

/// The token of a cookie ([RFC 6265 §5.4]).
///
/// Names are compared byte by byte, in case and without decoding: `jwt%5Ftoken` is another cookie than `jwt_token`.
/// All `Cookie` lines are read, since HTTP/2 may split the header. Two cookies of the name are refused, whatever they
/// hold: the second may have been planted by a neighbouring host. An empty value is no token, as logging out leaves one.
/// Any other text is a token for the verifier to judge, quotes included.
///
/// A browser attaches cookies by itself, so this source [is ambient](TokenSource::is_ambient): the layer checks the
/// request's origin along with it.
///
/// ```
/// use http::Request;
/// use tower_warden::{CookieToken, HeadRef, MalformedCredentials, TokenSource};
///
/// let source = CookieToken::new("jwt_token")?;
/// let (good, ()) = Request::get("/").header("cookie", "theme=dark; jwt_token=a.b.c").body(())?.into_parts();
/// assert_eq!(source.extract(HeadRef::from(&good)).unwrap().unwrap().expose(), "a.b.c");
///
/// let (tossed, ()) = Request::get("/").header("cookie", "jwt_token=evil; jwt_token=a.b.c").body(())?.into_parts();
/// assert_eq!(source.extract(HeadRef::from(&tossed)).unwrap_err(), MalformedCredentials::Repeated);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 6265 §5.4]: https://www.rfc-editor.org/rfc/rfc6265#section-5.4
#[derive(Clone)]
pub struct CookieToken {
    name: Cow<'static, str>,
    finder: Finder<'static>,
}

impl CookieToken {
    /// The cookie of that name; `__Host-` and `__Secure-` belong to the name.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for a name that is no token of RFC 6265 §4.1.1.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, ConfigError> {
        let name = name.into();
        if name.is_empty() || !name.bytes().all(is_tchar) {
            return Err(ConfigError::Setting {
                name: "cookie name",
                value: name.into_owned(),
                problem: "a cookie's name consists of letters, digits and !#$%&'*+-.^_`|~",
            });
        }
        Ok(Self {
            finder: Finder::new(name.as_bytes()).into_owned(),
            name,
        })
    }

    /// Returns the values of every cookie of the name, in order. Empty values and values that are not UTF-8 are skipped.
    #[cfg(feature = "accounts")]
    pub(crate) fn all<'r>(
        &'r self,
        headers: &'r http::HeaderMap,
    ) -> impl Iterator<Item = BearerToken<'r>> {
        let lines = headers.get_all(header::COOKIE).iter();
        let values = lines.flat_map(|line| self.values(line.as_bytes()));
        values
            .filter(|value| !value.is_empty())
            .filter_map(|value| simdutf8::basic::from_utf8(value).ok())
            .map(BearerToken::new)
    }

    /// The values of our cookie in one `Cookie` line, trimmed, in order.
    fn values<'r>(&self, line: &'r [u8]) -> impl Iterator<Item = &'r [u8]> {
        let mut from = 0;
        iter::from_fn(move || {
            loop {
                let at = from + self.finder.find(line.get(from..)?)?;
                from = at + self.name.len();
                if let Some(value) = value_at(line, at, from) {
                    // No pair begins within a value.
                    from = value.end;
                    return Some(line.get(value)?.trim_ascii());
                }
            }
        })
    }
}

/// Where the value stands, if the name that was found at this place is the name of a pair and not a part of something else.
fn value_at(line: &[u8], at: usize, after: usize) -> Option<Range<usize>> {
    match line.get(..at)?.trim_ascii_end() {
        [] | [.., b';'] => {}
        _ => return None,
    }
    let [b'=', value @ ..] = line.get(after..)?.trim_ascii_start() else {
        return None;
    };
    let begin = line.len() - value.len();
    Some(begin..memchr(b';', value).map_or(line.len(), |length| begin + length))
}

impl fmt::Debug for CookieToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CookieToken").field(&self.name).finish()
    }
}

impl TokenSource for CookieToken {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        let mut found = None;
        for line in head.headers.get_all(header::COOKIE) {
            for value in self.values(line.as_bytes()) {
                if found.replace(value).is_some() {
                    return Err(MalformedCredentials::Repeated);
                }
            }
        }
        match found {
            None | Some([]) => Ok(None),
            Some(value) => match simdutf8::basic::from_utf8(value) {
                Ok(text) => Ok(Some(BearerToken::new(text))),
                Err(_) => Err(MalformedCredentials::Unreadable),
            },
        }
    }

    fn glance<'r>(&self, head: HeadRef<'r>) -> Glance<'r> {
        let lines = head.headers.get_all(header::COOKIE).iter();
        let mut values = lines.flat_map(|line| self.values(line.as_bytes()));
        match (values.next(), values.next()) {
            (None, _) => Glance::Nothing,
            (Some(value), None) => Glance::Token(value),
            (Some(_), Some(_)) => Glance::Unclear,
        }
    }

    fn places(&self) -> Vec<String> {
        vec![format!("cookie {}", self.name)]
    }

    fn header(&self) -> Option<HeaderName> {
        Some(header::COOKIE)
    }

    fn name(&self) -> &'static str {
        "cookie"
    }

    fn is_ambient(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use MalformedCredentials::{Repeated, Unreadable};
    use http::{HeaderValue, Request};
    use proptest::prelude::*;

    fn extract(
        name: &'static str,
        lines: &[&[u8]],
    ) -> Result<Option<String>, MalformedCredentials> {
        let (mut head, ()) = Request::new(()).into_parts();
        for line in lines {
            let value = HeaderValue::from_bytes(line).unwrap();
            head.headers.append(header::COOKIE, value);
        }
        let source = CookieToken::new(name).unwrap();
        let token = source.extract(HeadRef::from(&head))?;
        Ok(token.map(|token| token.expose().to_owned()))
    }

    #[test]
    fn the_cookie_is_found_by_its_raw_name() {
        for (line, found) in [
            ("jwt_token=a", Some("a")),
            ("x=1; jwt_token=a; y=2", Some("a")),
            ("x=1;jwt_token=a;y=2", Some("a")),
            ("x=1;  jwt_token = a ; y=2", Some("a")),
            ("jwt_token=a=b", Some("a=b")),
            ("jwt_token=\"a\"", Some("\"a\"")),
            ("jwt_token=a b,c", Some("a b,c")),
            ("x=jwt_token=a", None),
            ("x=1 jwt_token=a", None),
            ("xjwt_token=a", None),
            ("jwt_tokens=a", None),
            ("jwt_token", None),
            ("jwt_token; x=a", None),
            ("JWT_TOKEN=a", None),
            ("jwt%5Ftoken=a", None),
            ("x=jwt_token; jwt_token=a", Some("a")),
            ("jwt_tokenjwt_token=a", None),
            ("; ;jwt_token=a", Some("a")),
            ("jwt_token=", None),
            ("jwt_token= ; x=1", None),
            ("", None),
        ] {
            let found = found.map(str::to_owned);
            assert_eq!(
                extract("jwt_token", &[line.as_bytes()]),
                Ok(found),
                "{line}"
            );
        }
        let prefixed = extract("__Host-jwt_token", &[b"jwt_token=a; __Host-jwt_token=b"]);
        assert_eq!(prefixed, Ok(Some("b".to_owned())));
        let bare = extract("jwt_token", &[b"__Host-jwt_token=b; __%48ost-jwt_token=c"]);
        assert_eq!(bare, Ok(None));
    }

    #[test]
    fn two_cookies_of_the_name_are_refused_wherever_they_stand() {
        for lines in [
            &[&b"jwt_token=a; jwt_token=a"[..]][..],
            &[b"jwt_token=a; x=1; jwt_token=b"],
            &[b"jwt_token=a", b"jwt_token=b"],
            &[b"jwt_token=a; jwt_token="],
            &[b"jwt_token=; jwt_token="],
            &[b"jwt_token=a; jwt_token =b"],
        ] {
            assert_eq!(extract("jwt_token", lines), Err(Repeated), "{lines:?}");
        }
    }

    #[test]
    fn a_header_that_http_2_split_is_read_whole() {
        let found = extract("jwt_token", &[b"x=1", b"jwt_token=a", b"y=2"]);
        assert_eq!(found, Ok(Some("a".to_owned())));
    }

    proptest! {
        #[test]
        fn the_values_are_those_that_a_plain_reading_finds(
            words in prop::collection::vec("jwt_token *=?|; ?|[=a\\t]|jwt_", 0..16),
        ) {
            let line = words.concat();
            let plain = line.split(';').filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                (name.trim_ascii() == "jwt_token").then_some(value.trim_ascii().as_bytes())
            });
            let source = CookieToken::new("jwt_token").unwrap();
            let found: Vec<_> = source.values(line.as_bytes()).collect();
            prop_assert_eq!(found, plain.collect::<Vec<_>>(), "{:?}", line);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_unreadable_only_in_our_cookie() {
        for line in [&b"jwt_token=\xff"[..], b"jwt_token=\xc3; x=1"] {
            assert_eq!(extract("jwt_token", &[line]), Err(Unreadable), "{line:?}");
        }
        let found = extract("jwt_token", &[b"x=\xff; jwt_token=a; y=\xc3"]);
        assert_eq!(found, Ok(Some("a".to_owned())));
    }

    #[test]
    fn a_name_that_no_cookie_can_have_is_refused() {
        for name in ["", "a b", "a=b", "a;b", "é", "a\"", "a,b", "(a)"] {
            let error = CookieToken::new(name).unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
    }
}
