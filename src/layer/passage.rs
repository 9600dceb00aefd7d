//! [`Passage`]: how an admitted request came in, as far as its response is concerned.

use http::{HeaderMap, HeaderValue, header};

use crate::{Carrier, TokenSource};

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
    /// What the inner service says about either stays: whoever says it knows the answer.
    ///
    /// [RFC 9111 §3.5]: https://www.rfc-editor.org/rfc/rfc9111#section-3.5
    /// [RFC 6750 §5.3]: https://www.rfc-editor.org/rfc/rfc6750#section-5.3
    pub(super) fn mark(self, headers: &mut HeaderMap) {
        if self == Self::Plain {
            return;
        }
        headers.append(
            header::VARY,
            HeaderValue::from_static("Authorization, Cookie"),
        );
        if self == Self::Varying {
            return;
        }
        let private = HeaderValue::from_static("private");
        headers.entry(header::CACHE_CONTROL).or_insert(private);
        if self == Self::PrivateAddress {
            let nobody = HeaderValue::from_static("no-referrer");
            headers.entry(header::REFERRER_POLICY).or_insert(nobody);
        }
    }
}
