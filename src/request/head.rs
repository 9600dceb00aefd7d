//! [`HeadRef`]: the head of a request that is only looked at.

use std::fmt;

use http::{Extensions, HeaderMap, Method, Request, Uri, Version, request::Parts};

use super::target::requested;

/// The head of a request, lent: what [`Parts`] holds, without taking the request apart. It prints method and path only, as
/// a token may stand in all else.
///
/// ```
/// use http::Request;
/// use tower_warden::HeadRef;
///
/// let request = Request::get("/chat").header("accept", "text/event-stream").body(())?;
/// let head = HeadRef::from(&request);
/// assert_eq!(head.uri.path(), "/chat");
/// assert!(head.headers.contains_key("accept"));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct HeadRef<'r> {
    /// The method of the request.
    pub method: &'r Method,
    /// Its target.
    pub uri: &'r Uri,
    /// The version of HTTP that it came by.
    pub version: Version,
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// What server and middleware have added.
    pub extensions: &'r Extensions,
    /// The target before any nested router cut its prefix off. It is looked for once, since it takes as long as a source.
    pub(crate) requested: &'r Uri,
}

impl fmt::Debug for HeadRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadRef")
            .field("method", self.method)
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}

impl<'r, B> From<&'r Request<B>> for HeadRef<'r> {
    #[inline]
    fn from(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
            requested: requested(request.extensions(), request.uri()),
        }
    }
}

impl<'r> From<&'r Parts> for HeadRef<'r> {
    fn from(head: &'r Parts) -> Self {
        Self {
            method: &head.method,
            uri: &head.uri,
            version: head.version,
            headers: &head.headers,
            extensions: &head.extensions,
            requested: requested(&head.extensions, &head.uri),
        }
    }
}
