//! The pairs of a query string, as the client wrote them: found by name, cut out or replaced, never re-encoded.

use std::borrow::Cow;

use http::{Uri, uri::PathAndQuery};
use memchr::memchr_iter;

/// The parts between the `&` of a query, in order; two `&` in a row hold an empty one.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    memchr_iter(b'&', query.as_bytes())
        .chain([query.len()])
        .filter_map(move |end| {
            let pair = query.get(start..end);
            start = end + 1;
            pair
        })
}

/// How the bytes of a parameter's name are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Case {
    /// Byte by byte: what decides over a token.
    Exact,
    /// Without regard to ASCII case: what hides something from a log.
    Ignored,
}

/// The raw value of the pair, if its name is this one, plainly written or percent-encoded.
///
/// The name is decoded while it is compared, so that `access%5Ftoken` is found where a handler would find it. It has
/// to consist of unreserved characters ([`is_plain_name`]). A pair without `=` has an empty value.
pub(crate) fn value_of<'q>(pair: &'q str, name: &str, case: Case) -> Option<&'q str> {
    let same = |found: u8, wanted: u8| match case {
        Case::Exact => found == wanted,
        Case::Ignored => found.eq_ignore_ascii_case(&wanted),
    };
    let mut rest = pair.as_bytes();
    for &wanted in name.as_bytes() {
        rest = match rest {
            [found, tail @ ..] if same(*found, wanted) => tail,
            [b'%', high, low, tail @ ..]
                if unescape(*high, *low).is_some_and(|found| same(found, wanted)) =>
            {
                tail
            }
            _ => return None,
        };
    }
    match rest {
        [] => Some(""),
        [b'=', value @ ..] => pair.get(pair.len() - value.len()..),
        _ => None,
    }
}

/// A parameter that came twice, or cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The decoded value of the one parameter of that name, or none.
pub(crate) fn single<'q>(
    query: Option<&'q str>,
    name: &str,
) -> Result<Option<Cow<'q, str>>, Unreadable> {
    let values = pairs(query.unwrap_or_default());
    let mut values = values.filter_map(|pair| value_of(pair, name, Case::Exact));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => decode(value).map(Some).ok_or(Unreadable),
        (Some(_), Some(_)) => Err(Unreadable),
    }
}

/// Decodes a value as forms do, `+` for a blank; `None` for a bad escape or bytes that are not UTF-8.
pub(crate) fn decode(value: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr2(b'%', b'+', value.as_bytes()).is_none() {
        return Some(Cow::Borrowed(value));
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, tail @ ..] => {
                decoded.push(unescape(*high, *low)?);
                tail
            }
            [b'%', ..] => return None,
            [b'+', tail @ ..] => {
                decoded.push(b' ');
                tail
            }
            [byte, tail @ ..] => {
                decoded.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Whether a name consists of unreserved characters only (RFC 3986 §2.3), so that it reads the same encoded or not.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// The URI with each pair of its query kept, replaced or cut out; `None` if that leaves every pair as it is.
///
/// What is kept keeps its bytes and its place. A query that ends up empty takes its `?` with it.
pub(crate) fn rewrite<'q>(
    uri: &'q Uri,
    mut change: impl FnMut(&'q str) -> Option<Cow<'q, str>>,
) -> Option<Uri> {
    let query = uri.query()?;
    let mut target = String::with_capacity(uri.path().len() + 1 + query.len());
    target.push_str(uri.path());
    let (mut separator, mut changed) = ('?', false);
    for pair in pairs(query) {
        match change(pair) {
            Some(kept) => {
                changed |= kept != pair;
                target.push(separator);
                target.push_str(&kept);
                separator = '&';
            }
            None => changed = true,
        }
    }
    if !changed {
        return None;
    }
    if target.ends_with('?') && target.len() == uri.path().len() + 1 {
        target.pop();
    }
    Some(with_target(uri, target))
}

/// The URI with another path and query; scheme and authority stay.
fn with_target(uri: &Uri, target: String) -> Uri {
    let path_only = |_| PathAndQuery::try_from(uri.path());
    let Ok(target) = PathAndQuery::try_from(target).or_else(path_only) else {
        // The path came out of a URI, so it goes into one. Were it ever otherwise, no secret may stay behind.
        return Uri::default();
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_default()
}

/// The byte that `%` and two hexadecimal digits stand for.
fn unescape(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_is_found_however_it_is_escaped() {
        for (pair, value) in [
            ("token=a", Some("a")),
            ("token=", Some("")),
            ("token", Some("")),
            ("token=a=b", Some("a=b")),
            ("%74oken=a", Some("a")),
            ("%74%6f%6B%65%6e=a", Some("a")),
            ("token%3d=a", None),
            ("Token=a", None),
            ("tokens=a", None),
            ("toke=a", None),
            ("%7token=a", None),
            ("%=a", None),
            ("%7", None),
            ("xtoken=a", None),
            ("=token", None),
            ("", None),
        ] {
            assert_eq!(value_of(pair, "token", Case::Exact), value, "{pair}");
        }
        assert_eq!(value_of("TOKE%4E=a", "token", Case::Ignored), Some("a"));
    }

    #[test]
    fn a_value_is_decoded_only_where_its_escapes_are_whole() {
        for (value, decoded) in [
            ("abc", Some("abc")),
            ("a+b", Some("a b")),
            ("a%2Bb%2fc", Some("a+b/c")),
            ("%C3%A9", Some("é")),
            ("%C3", None),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%+1", None),
            ("a%", None),
        ] {
            assert_eq!(decode(value).as_deref(), decoded, "{value}");
        }
    }

    #[test]
    fn the_rest_of_a_uri_keeps_its_bytes_when_a_pair_is_cut() {
        for (before, after) in [
            ("/a?t=1", "/a"),
            ("/a?t=1&b=2", "/a?b=2"),
            ("/a?b=2&t=1", "/a?b=2"),
            ("/a?b=2&t=1&c=3", "/a?b=2&c=3"),
            ("/a?t=1&t=2", "/a"),
            ("/a?t", "/a"),
            ("/a?b=2&&t=1&", "/a?b=2&&"),
            ("/a?&t=1", "/a"),
            ("/a?b=%74&%74=1&c=+", "/a?b=%74&c=+"),
            ("/a?b=é&t=1", "/a?b=é"),
            ("http://h:81/a?t=1&b", "http://h:81/a?b"),
            ("http://h?t=1", "http://h/"),
            ("http://u:p@h/a?b&t=1", "http://u:p@h/a?b"),
        ] {
            let uri: Uri = before.parse().unwrap();
            let cut = rewrite(&uri, |pair| {
                value_of(pair, "t", Case::Exact)
                    .is_none()
                    .then_some(Cow::Borrowed(pair))
            });
            assert_eq!(cut.unwrap().to_string(), after, "{before}");
        }
        for untouched in ["/a", "/a?", "/a?b=t", "*", "h:443", "/a?&&"] {
            let uri: Uri = untouched.parse().unwrap();
            assert_eq!(rewrite(&uri, |pair| Some(Cow::Borrowed(pair))), None);
        }
    }
}
