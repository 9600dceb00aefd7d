//! [`Passage`]: how an admitted request came in, as far as its response is concerned.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{Carrier, TokenSource, http_util::split};

/// What caches have to know about the response to an admitted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// Nothing: no token was looked at, or it came in `Authorization`, which caches respect by themselves.
    Plain,
    /// Another answer might stand here for a request with credentials.
    Varying,
    /// The answer belongs to one user.
    Private,
    /// The same, and its address held a token.
    PrivateAddress,
}

impl Passage {
    /// The passage of a request whose token came from that source.
    pub(super) fn from_source(source: &dyn TokenSource) -> Self {
        match source.carrier() {
            Carrier::Authorization => Self::Plain,
            Carrier::Uri => Self::PrivateAddress,
            Carrier::Other => Self::Private,
        }
    }

    /// Keeps shared caches from handing one user's answer to another ([RFC 9111 §3.5]), and pages from telling others
    /// the address that held a token ([RFC 6750 §5.3]).
    ///
    /// `vary` names the headers in which the layer looks for tokens. An answer is `private` unless the inner service says
    /// `public`, `private` or `no-store`. A `Referrer-Policy` of the inner service stays.
    ///
    /// [RFC 9111 §3.5]: https://www.rfc-editor.org/rfc/rfc9111#section-3.5
    /// [RFC 6750 §5.3]: https://www.rfc-editor.org/rfc/rfc6750#section-5.3
    pub(super) fn mark(self, headers: &mut HeaderMap, vary: Option<HeaderValue>) {
        if self == Self::Plain {
            return;
        }
        if let Some(vary) = vary {
            headers.append(header::VARY, vary);
        }
        if self == Self::Varying {
            return;
        }
        make_private(headers);
        if self == Self::PrivateAddress {
            let nobody = HeaderValue::from_static("no-referrer");
            headers.entry(header::REFERRER_POLICY).or_insert(nobody);
        }
    }
}

/// Returns the value of `Vary` that names the headers of these sources, or `None` where they read none.
pub(super) fn vary(sources: &[Arc<dyn TokenSource>]) -> Option<HeaderValue> {
    let mut names: Vec<HeaderName> = Vec::new();
    for name in sources.iter().filter_map(|source| source.header()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    if names.is_empty() {
        return None;
    }
    HeaderValue::try_from(names.join(", ")).ok()
}

/// Adds `private` to `Cache-Control`, unless it stands there or the inner service decides otherwise.
///
/// `max-age` alone decides nothing: a shared cache stores such an answer where no `Authorization` came.
fn make_private(headers: &mut HeaderMap) {
    const PRIVATE: HeaderValue = HeaderValue::from_static("private");
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, PRIVATE);
        return;
    }
    let mut lines = headers.get_all(header::CACHE_CONTROL).iter();
    if lines.any(|line| split(line.as_bytes(), b',').any(decides)) {
        return;
    }
    // One line, as some caches read no second one.
    let mut value = b"private".to_vec();
    for line in headers.get_all(header::CACHE_CONTROL) {
        if !line.is_empty() {
            value.extend_from_slice(b", ");
            value.extend_from_slice(line.as_bytes());
        }
    }
    let value = HeaderValue::from_bytes(&value).unwrap_or(PRIVATE);
    headers.insert(header::CACHE_CONTROL, value);
}

/// Returns true for a directive that says by itself whether shared caches may store the answer. `private="set-cookie"`
/// is none: it lets them store all but that field.
fn decides(directive: &[u8]) -> bool {
    let directive = directive.trim_ascii();
    [&b"public"[..], b"private", b"no-store"]
        .iter()
        .any(|word| directive.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The `Cache-Control` of the inner service, and that of the answer.
    #[test]
    fn what_is_not_said_to_be_public_is_private() {
        for (said, read) in [
            (&[][..], &["private"][..]),
            (&["max-age=60"], &["private, max-age=60"]),
            (
                &["max-age=60", "must-revalidate"],
                &["private, max-age=60, must-revalidate"],
            ),
            (&["s-maxage=60"], &["private, s-maxage=60"]),
            (&["no-cache"], &["private, no-cache"]),
            (&[""], &["private"]),
            (
                &["no-cache=\"x, public, y\""],
                &["private, no-cache=\"x, public, y\""],
            ),
            (
                &["private=\"set-cookie\""],
                &["private, private=\"set-cookie\""],
            ),
            (&["publicity"], &["private, publicity"]),
            (&["public, max-age=60"], &["public, max-age=60"]),
            (&["max-age=60", "Public"], &["max-age=60", "Public"]),
            (&["no-store"], &["no-store"]),
            (&["max-age=60, PRIVATE"], &["max-age=60, PRIVATE"]),
        ] {
            for passage in [Passage::Private, Passage::PrivateAddress] {
                let mut headers = HeaderMap::new();
                for line in said {
                    headers.append(header::CACHE_CONTROL, line.parse().unwrap());
                }
                passage.mark(&mut headers, None);
                let lines: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
                assert_eq!(lines, read, "{said:?}");
            }
        }
    }
}
