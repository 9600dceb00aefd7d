//! [`Glance`]: what a source sees of a request before anything is read; [`survey`]: what all of them see.

use std::{fmt, ops::Range, sync::Arc};

use super::{BearerToken, TokenSource};
use crate::HeadRef;

/// What a [`TokenSource`] sees of a request at a [glance](TokenSource::glance). It never prints the bytes that it lends.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Glance<'r> {
    /// The request is none of its business: there is nothing to extract, and nothing to conceal.
    Nothing,
    /// These bytes, in one place and written in the one way. If each of them lies between `-` and `z` in ASCII, as all of a
    /// JWT do, and the first one is no `=`, then just this token is what it would extract. Whatever they are, it would
    /// conceal nothing.
    Token(&'r [u8]),
    /// It has to be asked.
    Unclear,
}

impl fmt::Debug for Glance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Token(_) => "Token([REDACTED])",
            Self::Unclear => "Unclear",
        })
    }
}

/// What a glance at a request tells of all sources.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Survey<'r> {
    /// Among these are all that have to be asked.
    pub(crate) concerned: Range<usize>,
    /// What the one that has to be asked would extract, if it is [plain].
    pub(crate) token: Option<&'r [u8]>,
}

/// The token in bytes that are lent, if their source would [extract just this](Glance::Token).
#[inline]
pub(crate) fn plain(bytes: &[u8]) -> Option<BearerToken<'_>> {
    if matches!(bytes, [] | [b'=', ..]) {
        return None;
    }
    // All of them in any case, so that the compiler looks at many at once.
    let strange = |byte: &u8| !(b'-'..=b'z').contains(byte);
    if bytes.iter().fold(false, |any, byte| any | strange(byte)) {
        return None;
    }
    Some(BearerToken::ascii(bytes))
}

/// Glances at a request, once for each source.
#[inline]
pub(crate) fn survey<'r>(sources: &[Arc<dyn TokenSource>], head: HeadRef<'r>) -> Survey<'r> {
    let mut survey = Survey {
        concerned: 0..0,
        token: None,
    };
    for (index, source) in sources.iter().enumerate() {
        let token = match source.glance(head) {
            Glance::Nothing => continue,
            Glance::Token(bytes) => Some(bytes),
            Glance::Unclear => None,
        };
        survey = if survey.concerned.is_empty() {
            Survey {
                concerned: index..index + 1,
                token,
            }
        } else {
            Survey {
                concerned: survey.concerned.start..index + 1,
                token: None,
            }
        };
    }
    survey
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{ApiKeyHeader, AuthorizationHeader, CookieToken, QueryParameter, SubprotocolToken};
    use http::{HeaderValue, Request, Uri, header, request::Parts};
    use proptest::prelude::*;

    /// A head with these lines, behind which a nested router may keep another target.
    fn head(target: &str, original: Option<&str>, lines: &[(&'static str, Vec<u8>)]) -> Parts {
        let (mut head, ()) = Request::get(target).body(()).unwrap().into_parts();
        for (name, line) in lines {
            let value = HeaderValue::from_bytes(line).unwrap();
            head.headers.append(*name, value);
        }
        #[cfg(feature = "axum")]
        if let Some(original) = original {
            let original = axum::extract::OriginalUri(original.parse().unwrap());
            head.extensions.insert(original);
        }
        let _ = original;
        head
    }

    /// The target of a head, and the one that a nested router keeps beside it.
    fn all_targets(head: &Parts) -> (Uri, Option<Uri>) {
        #[cfg(feature = "axum")]
        let original = head.extensions.get::<axum::extract::OriginalUri>();
        #[cfg(feature = "axum")]
        let original = original.map(|original| original.0.clone());
        #[cfg(not(feature = "axum"))]
        let original = None;
        (head.uri.clone(), original)
    }

    proptest! {
        #[test]
        fn a_glance_never_says_what_a_look_would_not(
            target in "/a(\\?(q=1|access_token=a\\.b|access%5Ftoken=a|ticket=t)(&(access_token=b|q=2))?)?",
            original in prop::option::of("/x/a(\\?(q=1|access_token=a|access%5ftoken=b))?"),
            lines in prop::collection::vec(
                prop_oneof![
                    ("[ ]?([bB]earer|Basic|BEARER)[ \t]{0,2}[a.=,;~]{0,4}([ ,\u{e9}]b)?[ ]?")
                        .prop_map(|line| ("authorization", line)),
                    ("(lang=en; ?)?(jwt_token ?= ?[a.=\"\\\\\u{e9}]{0,3}|x=jwt_token|jwt_tokens=a)(; jwt_token=a)?")
                        .prop_map(|line| ("cookie", line)),
                    "(chat, )?(bearer(, a\\.b)?)?".prop_map(|line| ("sec-websocket-protocol", line)),
                    "[a.]{0,2}".prop_map(|line| ("x-api-key", line)),
                ],
                0..4,
            ),
        ) {
            // An obsolete byte of a header, and not the text of two.
            let bytes = |line: String| line.chars().map(|letter| letter as u8).collect();
            let lines: Vec<_> = lines.into_iter().map(|(name, line)| (name, bytes(line))).collect();
            let seen = head(&target, original.as_deref(), &lines);
            let sources: [Box<dyn TokenSource>; 7] = [
                Box::new(AuthorizationHeader::new()),
                Box::new(AuthorizationHeader::new().removed()),
                Box::new(CookieToken::new("jwt_token").unwrap()),
                Box::new(QueryParameter::access_token()),
                Box::new(QueryParameter::access_token().everywhere()),
                Box::new(SubprotocolToken::bearer()),
                Box::new(ApiKeyHeader::default()),
            ];
            for source in &sources {
                let extracted = source.extract(HeadRef::from(&seen));
                let mut left = seen.clone();
                source.conceal(&mut left);
                let concealed = all_targets(&seen) != all_targets(&left) || seen.headers != left.headers;
                match source.glance(HeadRef::from(&seen)) {
                    Glance::Nothing => {
                        prop_assert!(matches!(extracted, Ok(None)), "{source:?}: {extracted:?}");
                        prop_assert!(!concealed, "{source:?}");
                    }
                    Glance::Token(bytes) => {
                        prop_assert!(!concealed, "{source:?}");
                        if let Some(lent) = plain(bytes) {
                            let token = extracted.unwrap().unwrap();
                            prop_assert_eq!(token.expose(), lent.expose(), "{:?}", source);
                        }
                    }
                    Glance::Unclear => {}
                }
            }
        }
    }

    #[test]
    fn neither_a_glance_nor_a_head_prints_a_token() {
        let lines = [("authorization", b"Bearer s3cret".to_vec())];
        let head = head("/chat?access_token=s3cret", None, &lines);
        let seen = AuthorizationHeader::new().glance(HeadRef::from(&head));
        assert_eq!(seen, Glance::Token(b"s3cret"));
        assert_eq!(format!("{seen:?}"), "Token([REDACTED])");
        let printed = format!("{:?}", HeadRef::from(&head));
        assert!(
            printed.contains("/chat") && !printed.contains("s3cret"),
            "{printed}"
        );
    }

    #[test]
    fn what_may_need_more_than_a_glance_is_not_plain() {
        for byte in 0..=u8::MAX {
            let fits = byte.is_ascii_alphanumeric() || b"-./:;<=>?@[\\]^_`".contains(&byte);
            for length in [1, 15, 16, 17, 100] {
                for at in [0, length / 2, length - 1] {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let expected = fits && !(at == 0 && byte == b'=');
                    let found = plain(&bytes);
                    assert_eq!(found.is_some(), expected, "{byte:#04x} at {at} of {length}");
                    assert!(found.is_none_or(|token| token.expose().as_bytes() == bytes));
                }
            }
        }
        assert!(plain(b"").is_none());
    }

    #[test]
    fn a_token_is_lent_where_it_stands_alone_and_stays() {
        let source = AuthorizationHeader::new();
        let line = |line: &str| (header::AUTHORIZATION.as_str(), line.as_bytes().to_vec());
        for (lines, seen) in [
            (vec![], Glance::Nothing),
            (vec![line("bEaReR a.b.c")], Glance::Token(b"a.b.c")),
            (vec![line("Bearer a"), line("Bearer a")], Glance::Unclear),
            (vec![line("Bearer a"), line("")], Glance::Unclear),
            (vec![line("Basic a")], Glance::Unclear),
        ] {
            let head = head("/", None, &lines);
            assert_eq!(source.glance(HeadRef::from(&head)), seen, "{lines:?}");
            let removed = source.removed().glance(HeadRef::from(&head));
            assert_eq!(removed == Glance::Nothing, lines.is_empty(), "{lines:?}");
            assert!(!matches!(removed, Glance::Token(_)), "{lines:?}");
        }
    }

    #[test]
    fn a_request_is_the_business_of_those_who_may_find_something_in_it() {
        let sources: [Arc<dyn TokenSource>; 4] = [
            Arc::new(AuthorizationHeader::new()),
            Arc::new(QueryParameter::access_token()),
            Arc::new(CookieToken::new("jwt_token").unwrap()),
            Arc::new(SubprotocolToken::bearer()),
        ];
        for (uri, headers, concerned, token) in [
            ("/", &[][..], 0..0, None),
            ("/", &[("authorization", "Bearer a")], 0..1, Some("a")),
            ("/", &[("authorization", "Basic a")], 0..1, None),
            ("/?q=1", &[("authorization", "Bearer a")], 0..1, Some("a")),
            (
                "/",
                &[("authorization", "Bearer a"), ("cookie", "lang=en")],
                0..1,
                Some("a"),
            ),
            ("/", &[("cookie", "lang=en; jwt_token=a")], 2..3, Some("a")),
            (
                "/",
                &[("authorization", "Bearer a"), ("cookie", "jwt_token=a")],
                0..3,
                None,
            ),
            ("/?access_token=a", &[], 1..2, None),
            ("/?access_token=a", &[("cookie", "jwt_token=a")], 1..3, None),
            ("/", &[("sec-websocket-protocol", "chat")], 3..4, None),
            (
                "/",
                &[
                    ("authorization", "Bearer a"),
                    ("sec-websocket-protocol", ""),
                ],
                0..4,
                None,
            ),
        ] {
            let mut request = Request::get(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap();
            let found = survey(&sources, HeadRef::from(&request));
            let token = token.map(str::as_bytes);
            assert_eq!(found, Survey { concerned, token }, "{uri} {headers:?}");
        }
    }
}
