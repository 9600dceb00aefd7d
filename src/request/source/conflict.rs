//! [`ConflictPolicy`]: what happens when a request carries more than one token.

use std::sync::Arc;

use super::{BearerToken, MalformedCredentials, TokenSource};
use crate::{HeadRef, refuse::RejectionKind};

/// What happens when more than one [source](TokenSource) finds a token.
///
/// Two tokens in one place, such as two cookies of the name, are refused whatever the policy. A token that is present
/// and turns out bad is never replaced by one from another source.
///
/// One pair is no conflict under any policy: a [ticket](crate::TicketOffice) beside a cookie. The ticket was drawn for
/// exactly this handshake, and a browser attaches its cookies by itself: so the ticket decides, good or bad, and the
/// cookie is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// A second token is refused, even an equal one or one that cannot be read ([RFC 6750 §2]). The default.
    ///
    /// [RFC 6750 §2]: https://www.rfc-editor.org/rfc/rfc6750#section-2
    #[default]
    RejectAny,
    /// A second token is refused unless it is the same one.
    RejectDifferent,
    /// The first source, in the order they were given, that finds something decides, good or bad. What others find is
    /// passed over, unless it stands twice in one place.
    ///
    /// For services whose browsers send a session cookie along with everything.
    First,
}

/// The one token of a request, and the place in the list of the source that found it.
#[derive(Debug)]
pub(crate) struct Selected<'r> {
    pub(crate) token: BearerToken<'r>,
    pub(crate) source: usize,
}

/// Asks every source, and settles what they found.
///
/// `Ok(None)` means that the request carries no credentials.
pub(crate) fn select<'r>(
    sources: &[Arc<dyn TokenSource>],
    policy: ConflictPolicy,
    head: HeadRef<'r>,
) -> Result<Option<Selected<'r>>, RejectionKind> {
    let ambient_yields = sources.iter().any(|source| {
        source.outranks_ambient()
            && !matches!(
                source.extract(head),
                Ok(None) | Err(MalformedCredentials::Misplaced)
            )
    });
    let mut first: Option<Result<Selected<'r>, RejectionKind>> = None;
    let mut misplaced = false;
    for (index, source) in sources.iter().enumerate() {
        let found = match source.extract(head) {
            Ok(None) => continue,
            Err(MalformedCredentials::Repeated) => return Err(RejectionKind::CredentialsAmbiguous),
            _ if ambient_yields && source.is_ambient() => continue,
            Ok(Some(token)) => Ok(Selected {
                token,
                source: index,
            }),
            Err(MalformedCredentials::Misplaced) => {
                misplaced = true;
                continue;
            }
            Err(MalformedCredentials::Unreadable) => Err(unreadable(&**source)),
        };
        first = Some(match (first, policy) {
            (None, _) => found,
            (Some(first), ConflictPolicy::First) => first,
            (Some(Ok(first)), ConflictPolicy::RejectDifferent)
                if found
                    .as_ref()
                    .is_ok_and(|found| found.token.expose() == first.token.expose()) =>
            {
                Ok(first)
            }
            (Some(_), _) => return Err(RejectionKind::CredentialsAmbiguous),
        });
    }
    // A token in the wrong place is none; beside another it is the second one.
    if misplaced && first.is_some() && policy != ConflictPolicy::First {
        return Err(RejectionKind::CredentialsAmbiguous);
    }
    first.transpose()
}

/// A header or a query that cannot be read is the client's own fault. A cookie is not: nobody but a new login can mend
/// it, and a browser goes to log in when it is told 401.
fn unreadable(source: &dyn TokenSource) -> RejectionKind {
    if source.is_ambient() {
        RejectionKind::TokenMalformed
    } else {
        RejectionKind::CredentialsMalformed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::{AuthorizationHeader, CookieToken, QueryParameter},
        ConflictPolicy::{First, RejectAny, RejectDifferent},
        *,
    };
    use RejectionKind::{CredentialsAmbiguous, CredentialsMalformed, TokenMalformed};
    use http::{HeaderValue, Request};

    /// Header, cookie and query in that order; what each holds is told by `-` (nothing) or its raw value.
    fn found(
        policy: ConflictPolicy,
        [header, cookie, query]: [&str; 3],
    ) -> Result<Option<(usize, String)>, RejectionKind> {
        let sources: [Arc<dyn TokenSource>; 3] = [
            Arc::new(AuthorizationHeader::new()),
            Arc::new(CookieToken::new("jwt_token").unwrap()),
            Arc::new(QueryParameter::access_token()),
        ];
        let uri = match query {
            "-" => "/a".to_owned(),
            query => format!("/a?access_token={}", query.trim_start_matches("ws:")),
        };
        let mut request = Request::get(uri);
        if query.starts_with("ws:") {
            request = request
                .header("connection", "upgrade")
                .header("upgrade", "websocket");
        }
        if header != "-" {
            request = request.header("authorization", header);
        }
        if cookie != "-" {
            let mut bytes = b"jwt_token=".to_vec();
            // The sign for something that is no text stands for a byte that is none.
            bytes.extend(if cookie == "\u{fffd}" {
                b"\xff"
            } else {
                cookie.as_bytes()
            });
            request = request.header("cookie", HeaderValue::from_bytes(&bytes).unwrap());
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let selected = select(&sources, policy, HeadRef::from(&head))?;
        Ok(selected.map(|selected| (selected.source, selected.token.expose().to_owned())))
    }

    #[test]
    fn several_tokens_are_settled_by_the_policy() {
        let token = |source, text: &str| Ok(Some((source, text.to_owned())));
        let ambiguous = || Err(CredentialsAmbiguous);
        for (request, any, different, first) in [
            (["-", "-", "-"], Ok(None), Ok(None), Ok(None)),
            (
                ["Bearer a", "-", "-"],
                token(0, "a"),
                token(0, "a"),
                token(0, "a"),
            ),
            (["-", "a", "-"], token(1, "a"), token(1, "a"), token(1, "a")),
            (
                ["-", "-", "ws:a"],
                token(2, "a"),
                token(2, "a"),
                token(2, "a"),
            ),
            // A token in the wrong place is none when alone, and the second one beside another.
            (["-", "-", "a"], Ok(None), Ok(None), Ok(None)),
            (
                ["Bearer a", "-", "a"],
                ambiguous(),
                ambiguous(),
                token(0, "a"),
            ),
            (["-", "b", "a"], ambiguous(), ambiguous(), token(1, "b")),
            // Equal and different ones.
            (
                ["Bearer a", "a", "-"],
                ambiguous(),
                token(0, "a"),
                token(0, "a"),
            ),
            (
                ["Bearer a", "b", "-"],
                ambiguous(),
                ambiguous(),
                token(0, "a"),
            ),
            (
                ["Bearer a", "a", "ws:a"],
                ambiguous(),
                token(0, "a"),
                token(0, "a"),
            ),
            (
                ["Bearer a", "a", "ws:b"],
                ambiguous(),
                ambiguous(),
                token(0, "a"),
            ),
            // What is present and bad is not rescued by what is good.
            (
                ["Bearer", "a", "-"],
                ambiguous(),
                ambiguous(),
                Err(CredentialsMalformed),
            ),
            (
                ["Bearer a", "", "-"],
                token(0, "a"),
                token(0, "a"),
                token(0, "a"),
            ),
            (
                ["Bearer a", "\u{fffd}", "-"],
                ambiguous(),
                ambiguous(),
                token(0, "a"),
            ),
            (
                ["-", "\u{fffd}", "ws:a"],
                ambiguous(),
                ambiguous(),
                Err(TokenMalformed),
            ),
            // Another scheme is nothing of ours.
            (
                ["Basic a", "b", "-"],
                token(1, "b"),
                token(1, "b"),
                token(1, "b"),
            ),
            // Broken ones alone.
            (
                ["Bearer a b", "-", "-"],
                Err(CredentialsMalformed),
                Err(CredentialsMalformed),
                Err(CredentialsMalformed),
            ),
            (
                ["-", "-", "ws:"],
                Err(CredentialsMalformed),
                Err(CredentialsMalformed),
                Err(CredentialsMalformed),
            ),
            (
                ["-", "\u{fffd}", "-"],
                Err(TokenMalformed),
                Err(TokenMalformed),
                Err(TokenMalformed),
            ),
            // Two in one place, under every policy and beside whatever else.
            (
                ["-", "a; jwt_token=a", "-"],
                ambiguous(),
                ambiguous(),
                ambiguous(),
            ),
            (
                ["Bearer a", "a; jwt_token=a", "-"],
                ambiguous(),
                ambiguous(),
                ambiguous(),
            ),
            (
                ["Bearer a", "-", "ws:a&access_token=a"],
                ambiguous(),
                ambiguous(),
                ambiguous(),
            ),
        ] {
            for (policy, expected) in [
                (RejectAny, any),
                (RejectDifferent, different),
                (First, first),
            ] {
                assert_eq!(found(policy, request), expected, "{policy:?} {request:?}");
            }
        }
    }

    /// What an office of tickets has, in the query `ticket` of handshakes.
    #[derive(Debug)]
    struct Drawn(QueryParameter);

    impl TokenSource for Drawn {
        fn extract<'r>(
            &self,
            head: HeadRef<'r>,
        ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
            self.0.extract(head)
        }

        fn name(&self) -> &'static str {
            "ticket"
        }

        fn outranks_ambient(&self) -> bool {
            true
        }
    }

    /// Header, cookie, query and ticket in that order, or the other way round.
    fn with_ticket(reversed: bool) -> Vec<Arc<dyn TokenSource>> {
        let mut sources: Vec<Arc<dyn TokenSource>> = vec![
            Arc::new(AuthorizationHeader::new()),
            Arc::new(CookieToken::new("jwt_token").unwrap()),
            Arc::new(QueryParameter::access_token()),
            Arc::new(Drawn(QueryParameter::new("ticket").unwrap())),
        ];
        if reversed {
            sources.reverse();
        }
        sources
    }

    #[test]
    fn a_ticket_decides_beside_a_cookie_and_conflicts_with_all_else() {
        let token = |source: &str, text: &str| Ok(Some((source.to_owned(), text.to_owned())));
        let ambiguous = || Err(CredentialsAmbiguous);
        let malformed = || Err(CredentialsMalformed);
        let alike =
            |expected: Result<_, RejectionKind>| [expected.clone(), expected.clone(), expected];
        let fine = b"jwt_token=c".as_slice();
        let decides = alike(token("ticket", "t"));
        for (query, header, cookie, expected) in [
            ("ws:ticket=t", "-", fine, decides.clone()),
            ("ws:ticket=c", "-", fine, alike(token("ticket", "c"))),
            ("ws:ticket=t", "-", b"jwt_token=\xff", decides),
            // A bad ticket is not rescued by the cookie, and two in one place are two.
            ("ws:ticket=", "-", fine, alike(malformed())),
            ("ws:ticket=t&ticket=t", "-", fine, alike(ambiguous())),
            (
                "ws:ticket=t",
                "-",
                b"jwt_token=c; jwt_token=c",
                alike(ambiguous()),
            ),
            // Explicit credentials stay a conflict, with the cookie or without it.
            (
                "ws:ticket=t",
                "Bearer h",
                b"",
                [ambiguous(), ambiguous(), token("header", "h")],
            ),
            (
                "ws:ticket=t",
                "Bearer h",
                fine,
                [ambiguous(), ambiguous(), token("header", "h")],
            ),
            (
                "ws:ticket=t",
                "Bearer t",
                fine,
                [ambiguous(), token("header", "t"), token("header", "t")],
            ),
            (
                "ws:ticket=t",
                "Bearer",
                fine,
                [ambiguous(), ambiguous(), malformed()],
            ),
            (
                "ws:access_token=q&ticket=t",
                "-",
                fine,
                [ambiguous(), ambiguous(), token("query", "q")],
            ),
            // Nothing else outranks the cookie, nor does a ticket where none may travel.
            (
                "ws:access_token=q",
                "-",
                fine,
                [ambiguous(), ambiguous(), token("cookie", "c")],
            ),
            (
                "ticket=t",
                "-",
                fine,
                [ambiguous(), ambiguous(), token("cookie", "c")],
            ),
            ("ws:", "-", fine, alike(token("cookie", "c"))),
        ] {
            let mut request = Request::get(format!("/a?{}", query.trim_start_matches("ws:")));
            if query.starts_with("ws:") {
                request = request
                    .header("connection", "upgrade")
                    .header("upgrade", "websocket");
            }
            if header != "-" {
                request = request.header("authorization", header);
            }
            let cookies = HeaderValue::from_bytes(cookie).unwrap();
            let (head, ()) = request
                .header("cookie", cookies)
                .body(())
                .unwrap()
                .into_parts();
            let found = |policy, reversed| {
                let sources = with_ticket(reversed);
                let selected = select(&sources, policy, HeadRef::from(&head))?;
                Ok(selected.map(|found| {
                    let name = sources[found.source].name().to_owned();
                    (name, found.token.expose().to_owned())
                }))
            };
            for (policy, expected) in [RejectAny, RejectDifferent, First]
                .into_iter()
                .zip(&expected)
            {
                assert_eq!(
                    found(policy, false),
                    *expected,
                    "{policy:?} {query} {header}"
                );
            }
            // The order of the sources changes nothing where the policy does not go by it.
            assert_eq!(found(RejectAny, true), expected[0], "{query} {header}");
        }
    }

    #[test]
    fn no_source_finds_no_token() {
        let (head, ()) = Request::get("/")
            .header("authorization", "Bearer a")
            .body(())
            .unwrap()
            .into_parts();
        assert!(
            select(&[], RejectAny, HeadRef::from(&head))
                .unwrap()
                .is_none()
        );
    }
}
