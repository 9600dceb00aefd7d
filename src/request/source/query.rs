//! [`QueryParameter`]: `?access_token=<token>`, for handshakes that cannot send a header.

use std::borrow::Cow;

use http::request::Parts;

use super::{BearerToken, Carrier, Glance, MalformedCredentials, TokenSource, pairs};
use crate::{
    HeadRef,
    error::ConfigError,
    request::{Found, PathTemplate, upgrade::is_websocket_handshake},
};

/// The token of a query parameter ([RFC 6750 §2.3]), by default of WebSocket handshakes only.
///
/// A browser cannot send a header along with `new WebSocket(…)`; nobody else needs this way, and a URI ends in logs and
/// histories. So a plain request that carries the parameter is treated as one without it, unless
/// [`everywhere`](Self::everywhere) was called. The parameter is cut out of the URI before the inner service sees it;
/// the others keep their bytes and their order.
///
/// The name is compared in case, and found percent-encoded too. The value is decoded as forms are. Two of the name, or
/// of the names, are refused, as is a value that is empty, badly escaped or no UTF-8. Its characters are for the
/// verifier to judge.
///
/// ```
/// use http::Request;
/// use tower_warden::{HeadRef, MalformedCredentials, QueryParameter, TokenSource};
///
/// let source = QueryParameter::new("token")?.everywhere();
/// let (mut good, ()) = Request::get("/chat?room=1&token=a.b.c").body(())?.into_parts();
/// assert_eq!(source.extract(HeadRef::from(&good)).unwrap().unwrap().expose(), "a.b.c");
/// source.conceal(&mut good);
/// assert_eq!(good.uri, "/chat?room=1");
///
/// let (twice, ()) = Request::get("/chat?token=a.b.c&token=a.b.c").body(())?.into_parts();
/// assert_eq!(source.extract(HeadRef::from(&twice)).unwrap_err(), MalformedCredentials::Repeated);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
///
/// Whatever stands outside the layer still sees the whole URI: [`RedactUri`](crate::RedactUri) hides it from logs.
///
/// [RFC 6750 §2.3]: https://www.rfc-editor.org/rfc/rfc6750#section-2.3
#[derive(Debug, Clone)]
pub struct QueryParameter {
    names: Vec<Cow<'static, str>>,
    scope: Scope,
    /// Where a plain request may carry it too.
    paths: Vec<PathTemplate>,
}

/// Which requests may carry a token in their query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Handshakes,
    Everywhere,
}

impl QueryParameter {
    /// The parameter of that name; Cloudflare's clients say `token`, RFC 6750 says [`access_token`](Self::access_token).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for a name with other than letters, digits and `-._~`.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, ConfigError> {
        Self::named([name])
    }

    /// The parameter `access_token`.
    #[must_use]
    pub fn access_token() -> Self {
        Self {
            names: vec![Cow::Borrowed("access_token")],
            scope: Scope::Handshakes,
            paths: Vec::new(),
        }
    }

    /// One parameter under any of several names; two of them in one request are two tokens.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for a name with other than letters, digits and `-._~`, or [`ConfigError::Missing`] for
    /// no name at all.
    pub fn named<N: Into<Cow<'static, str>>>(
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, ConfigError> {
        let names: Vec<_> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(ConfigError::Missing {
                name: "QueryParameter::named",
                problem: "name at least one parameter",
            });
        }
        if let Some(name) = names.iter().find(|name| !pairs::is_plain_name(name)) {
            return Err(ConfigError::Setting {
                name: "QueryParameter",
                value: name.to_string(),
                problem: "a parameter's name consists of letters, digits, `-`, `.`, `_` and `~`",
            });
        }
        Ok(Self {
            names,
            scope: Scope::Handshakes,
            paths: Vec::new(),
        })
    }

    /// Takes the token from plain requests too, not only from WebSocket handshakes.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.scope = Scope::Everywhere;
        self
    }

    /// Takes the token from plain requests to this path, and all below it, too: `/agents/{agent}/{room}/get-messages` is where
    /// `useAgentChat` of Cloudflare's clients sends it. May be called several times.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Pattern`] for a pattern that [`Paths`](crate::Paths) would not take, or one that ends in a rest.
    pub fn also_on(mut self, pattern: &str) -> Result<Self, ConfigError> {
        self.paths.push(PathTemplate::parse(pattern)?);
        Ok(self)
    }

    /// Whether this request may carry a token in its query.
    fn is_at_home(&self, head: HeadRef<'_>) -> bool {
        if self.scope == Scope::Everywhere || is_websocket_handshake(head) {
            return true;
        }
        let path = head.requested.path();
        self.paths
            .iter()
            .any(|allowed| matches!(allowed.find(path), Found::Here(_)))
    }

    /// The raw value, if the pair is one of ours.
    fn value_of<'q>(&self, pair: &'q str) -> Option<&'q str> {
        self.names
            .iter()
            .find_map(|name| pairs::value_of(pair, name, pairs::Case::Exact))
    }

    /// Whether the URI holds one of our parameters.
    fn concerns(&self, uri: &http::Uri) -> bool {
        let mine = |query| pairs::pairs(query).any(|pair| self.value_of(pair).is_some());
        uri.query().is_some_and(mine)
    }

    /// The URI without our parameters, or `None` if it has none of them.
    fn without_token(&self, uri: &http::Uri) -> Option<http::Uri> {
        pairs::rewrite(uri, |pair| match self.value_of(pair) {
            Some(_) => None,
            None => Some(Cow::Borrowed(pair)),
        })
    }
}

impl Default for QueryParameter {
    fn default() -> Self {
        Self::access_token()
    }
}

impl TokenSource for QueryParameter {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        let Some(query) = head.uri.query() else {
            return Ok(None);
        };
        let mut values = pairs::pairs(query).filter_map(|pair| self.value_of(pair));
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(MalformedCredentials::Repeated);
        }
        if !self.is_at_home(head) {
            return Err(MalformedCredentials::Misplaced);
        }
        match pairs::decode(value) {
            Some(token) if !token.is_empty() => Ok(Some(BearerToken::new(token))),
            _ => Err(MalformedCredentials::Unreadable),
        }
    }

    fn glance<'r>(&self, head: HeadRef<'r>) -> Glance<'r> {
        if self.concerns(head.uri) || self.concerns(head.requested) {
            Glance::Unclear
        } else {
            Glance::Nothing
        }
    }

    fn carrier(&self) -> Carrier {
        Carrier::Uri
    }

    fn places(&self) -> Vec<String> {
        let names = self.names.iter();
        names.map(|name| format!("query {name}")).collect()
    }

    fn name(&self) -> &'static str {
        "query"
    }

    fn conceal(&self, head: &mut Parts) {
        let rest = self.without_token(&head.uri);
        // A nested router keeps the whole target beside the URI that it shortened; any other keeps the same one twice.
        #[cfg(feature = "axum")]
        if let Some(axum::extract::OriginalUri(original)) = head.extensions.get_mut()
            && original.query().is_some()
        {
            let rest = if *original == head.uri {
                rest.clone()
            } else {
                self.without_token(original)
            };
            if let Some(uri) = rest {
                *original = uri;
            }
        }
        if let Some(uri) = rest {
            head.uri = uri;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use MalformedCredentials::{Misplaced, Repeated, Unreadable};
    use http::Request;

    fn head(uri: &str) -> Parts {
        Request::get(uri).body(()).unwrap().into_parts().0
    }

    fn handshake(uri: &str) -> Parts {
        Request::get(uri)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    fn extract(
        source: &QueryParameter,
        head: &Parts,
    ) -> Result<Option<String>, MalformedCredentials> {
        let token = source.extract(HeadRef::from(head))?;
        Ok(token.map(|token| token.expose().to_owned()))
    }

    #[test]
    fn a_named_path_may_carry_the_token_in_a_plain_request() {
        let source = QueryParameter::access_token()
            .also_on("/agents/{agent}/{room}/get-messages")
            .unwrap();
        for (uri, expected) in [
            ("/agents/a/r/get-messages?access_token=t", Ok(true)),
            ("/agents/a/r?access_token=t", Err(Misplaced)),
            ("/agents//a/r/get-messages?access_token=t", Err(Misplaced)),
            (
                "/x/../agents/a/r/get-messages?access_token=t",
                Err(Misplaced),
            ),
            ("/chat?access_token=t", Err(Misplaced)),
            ("/agents/a/r/get-messages", Ok(false)),
        ] {
            let found = source
                .extract(HeadRef::from(&head(uri)))
                .map(|token| token.is_some());
            assert_eq!(found, expected, "{uri}");
        }
        let error = source.also_on("agents").unwrap_err();
        assert!(error.to_string().contains("agents"), "{error}");
    }

    #[test]
    fn the_token_is_found_and_read() {
        let source = QueryParameter::access_token();
        for (query, found) in [
            ("access_token=a.b.c", Ok(Some("a.b.c"))),
            ("x=1&access_token=a.b.c&y=2", Ok(Some("a.b.c"))),
            ("access%5Ftoken=a.b.c", Ok(Some("a.b.c"))),
            ("access_token=a%2Eb%2ec", Ok(Some("a.b.c"))),
            ("access_token=a+b", Ok(Some("a b"))),
            ("access_token=a=b", Ok(Some("a=b"))),
            ("", Ok(None)),
            ("&&", Ok(None)),
            ("x=access_token", Ok(None)),
            ("Access_token=a", Ok(None)),
            ("access_token_=a", Ok(None)),
            ("token=a", Ok(None)),
            ("access_token", Err(Unreadable)),
            ("access_token=", Err(Unreadable)),
            ("access_token=%", Err(Unreadable)),
            ("access_token=a%2", Err(Unreadable)),
            ("access_token=a%zz", Err(Unreadable)),
            ("access_token=%C3%28", Err(Unreadable)),
            ("access_token=%C3%A9", Ok(Some("é"))),
            ("access_token=é", Ok(Some("é"))),
            ("access_token=a%0d%0ab%00", Ok(Some("a\r\nb\0"))),
            ("access_token=a&access_token=a", Err(Repeated)),
            ("access_token=a&access_token=", Err(Repeated)),
            ("access_token=a&access%5Ftoken=b", Err(Repeated)),
            ("access_token=%&access_token=a", Err(Repeated)),
        ] {
            let head = handshake(&format!("/a?{query}"));
            let found = found.map(|token| token.map(str::to_owned));
            assert_eq!(extract(&source, &head), found, "{query}");
        }
        assert_eq!(extract(&source, &handshake("/a")), Ok(None));
    }

    #[test]
    fn a_plain_request_may_not_carry_it_unless_told() {
        let source = QueryParameter::access_token();
        let plain = head("/a?access_token=a");
        assert_eq!(extract(&source, &plain), Err(Misplaced));
        assert_eq!(extract(&source, &head("/a?b=c")), Ok(None));
        let found = extract(&source.everywhere(), &plain);
        assert_eq!(found, Ok(Some("a".to_owned())));
    }

    #[test]
    fn two_names_are_two_tokens() {
        let source = QueryParameter::named(["access_token", "token"]).unwrap();
        for (query, found) in [
            ("token=a", Ok(Some("a".to_owned()))),
            ("access_token=b", Ok(Some("b".to_owned()))),
            ("access_token=a&token=a", Err(Repeated)),
        ] {
            assert_eq!(
                extract(&source, &handshake(&format!("/a?{query}"))),
                found,
                "{query}"
            );
        }
    }

    #[test]
    fn the_uri_loses_the_token_in_every_spelling_and_nothing_else() {
        let source = QueryParameter::named(["access_token", "token"]).unwrap();
        for (before, after) in [
            ("/a?access_token=x", "/a"),
            ("/a?b=%20&access%5ftoken=x&c=+&token", "/a?b=%20&c=+"),
            ("http://h:1/a?token=x&b", "http://h:1/a?b"),
            ("/a?b=token", "/a?b=token"),
        ] {
            let mut head = head(before);
            source.conceal(&mut head);
            assert_eq!(head.uri.to_string(), after, "{before}");
        }
    }

    #[cfg(feature = "axum")]
    #[test]
    fn the_original_uri_of_axum_loses_the_token_too() {
        use axum::extract::OriginalUri;

        for (before, original, after, original_after) in [
            ("/a?token=x", "/nest/a?token=x&b=1", "/a", "/nest/a?b=1"),
            ("/a?token=x&b=1", "/a?token=x&b=1", "/a?b=1", "/a?b=1"),
            ("/a?token=x", "/a?token=y&b=1", "/a", "/a?b=1"),
            ("/a?b=1", "/a?token=x", "/a?b=1", "/a"),
            ("/a?b=1", "/a?b=1", "/a?b=1", "/a?b=1"),
        ] {
            let mut head = head(before);
            let original = OriginalUri(original.parse().unwrap());
            head.extensions.insert(original);
            QueryParameter::new("token").unwrap().conceal(&mut head);
            assert_eq!(head.uri, after);
            let OriginalUri(original) = head.extensions.get().unwrap();
            assert_eq!(original, original_after);
        }
    }

    #[test]
    fn a_name_that_reads_differently_when_encoded_is_refused() {
        for name in ["", "a b", "a=b", "a&b", "a%62", "a+b", "é", "a[]"] {
            let error = QueryParameter::new(name).unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
        assert!(QueryParameter::named([""; 0]).is_err());
    }
}
