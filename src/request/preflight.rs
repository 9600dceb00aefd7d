//! [`Preflight`]: the question of a browser that comes before the request, without any credentials.

use http::{HeaderMap, Method, header};

/// What happens to a CORS preflight ([Fetch §4.8]), which carries no credentials by design.
///
/// A CORS layer belongs outside the auth layer: it answers preflights itself, and it marks our refusals so that a page
/// of an allowed origin can read them. Where that cannot be, the preflight may pass.
///
/// [Fetch §4.8]: https://fetch.spec.whatwg.org/#cors-preflight-fetch
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Preflight {
    /// It is guarded as any other request. The default.
    #[default]
    Guard,
    /// It reaches the inner service without credentials, which then has to answer it by a CORS layer of its own.
    ///
    /// Only a true preflight passes: `OPTIONS` with one `Origin` and one `Access-Control-Request-Method`.
    PassThrough,
}

/// Whether this is a preflight: `OPTIONS` with both marks, each exactly once. Nothing else counts.
#[inline]
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    let once = |name| {
        let mut lines = headers.get_all(name).iter();
        lines.next().is_some_and(|line| !line.is_empty()) && lines.next().is_none()
    };
    *method == Method::OPTIONS
        && once(header::ORIGIN)
        && once(header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::Request;

    #[test]
    fn only_a_whole_preflight_is_one() {
        let origin = ("origin", "https://app.example");
        let method = ("access-control-request-method", "POST");
        for (verb, headers, expected) in [
            ("OPTIONS", &[origin, method][..], true),
            ("OPTIONS", &[origin, method, ("cookie", "a=b")], true),
            ("OPTIONS", &[origin], false),
            ("OPTIONS", &[method], false),
            ("OPTIONS", &[], false),
            ("OPTIONS", &[origin, origin, method], false),
            ("OPTIONS", &[origin, method, method], false),
            ("OPTIONS", &[origin, (method.0, "")], false),
            ("OPTIONS", &[(origin.0, ""), method], false),
            (
                "OPTIONS",
                &[origin, ("access-control-request-headers", "x")],
                false,
            ),
            ("GET", &[origin, method], false),
            ("POST", &[origin, method], false),
            ("options", &[origin, method], false),
        ] {
            let mut request = Request::builder().method(verb);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(
                is_preflight(&head.method, &head.headers),
                expected,
                "{verb} {headers:?}"
            );
        }
    }
}
