//! Whether a request asks for a WebSocket: read narrowly where that grants something, widely where it protects.

use http::{HeaderName, Method, Version, header};

use super::head::HeadRef;

/// Whether this is a WebSocket handshake beyond doubt: only such a request may carry a token in its query.
///
/// Over HTTP/1.1 that is a `GET` with `Connection: upgrade` and `Upgrade: websocket` ([RFC 6455 §4.2.1]). Over HTTP/2
/// and 3 it is an extended `CONNECT` ([RFC 8441 §4]). Its `:protocol` lives in a type of the server (hyper's
/// `ext::Protocol`) that the core does not know, so two marks stand for it: a plain `CONNECT` has no path, and no other
/// protocol sends `Sec-WebSocket-Version`.
///
/// [RFC 6455 §4.2.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
/// [RFC 8441 §4]: https://www.rfc-editor.org/rfc/rfc8441#section-4
pub(crate) fn is_websocket_handshake<'r>(head: impl Into<HeadRef<'r>>) -> bool {
    let head = head.into();
    match head.version {
        Version::HTTP_11 => {
            *head.method == Method::GET
                && lists(head, &header::CONNECTION, b"upgrade")
                && lists(head, &header::UPGRADE, b"websocket")
        }
        Version::HTTP_2 | Version::HTTP_3 => {
            *head.method == Method::CONNECT
                && head.uri.path().starts_with('/')
                && head.headers.contains_key(header::SEC_WEBSOCKET_VERSION)
        }
        _ => false,
    }
}

/// Whether anything in this request could open a socket: such a request has to show its origin.
///
/// One mark is enough, in whatever version and with whatever method; a server behind may be less strict than we are.
pub(crate) fn may_open_a_socket<'r>(head: impl Into<HeadRef<'r>>) -> bool {
    let head = head.into();
    *head.method == Method::CONNECT
        || head.headers.contains_key(header::SEC_WEBSOCKET_KEY)
        || head.headers.contains_key(header::SEC_WEBSOCKET_VERSION)
        || lists(head, &header::UPGRADE, b"websocket")
}

/// Whether a header's comma lists, over all its lines, hold this word in any case.
fn lists(head: HeadRef<'_>, name: &HeaderName, word: &[u8]) -> bool {
    head.headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::{Request, request::Parts};

    fn head(method: &str, version: Version, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_a_whole_handshake_grants_and_any_mark_protects() {
        let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
        let both = [("connection", "Upgrade"), ("upgrade", "websocket")];
        for (method, version, uri, headers, handshake, socket) in [
            ("GET", h1, "/a", &both[..], true, true),
            (
                "GET",
                h1,
                "/a",
                &[
                    ("connection", "keep-alive,  uPgRaDe"),
                    ("upgrade", "WebSocket"),
                ],
                true,
                true,
            ),
            (
                "GET",
                h1,
                "/a",
                &[
                    ("connection", "close"),
                    ("connection", "upgrade"),
                    ("upgrade", "h2c, websocket"),
                ],
                true,
                true,
            ),
            ("POST", h1, "/a", &both, false, true),
            ("GET", Version::HTTP_10, "/a", &both, false, true),
            ("GET", h2, "/a", &both, false, true),
            ("GET", h1, "/a", &both[..1], false, false),
            ("GET", h1, "/a", &both[1..], false, true),
            (
                "GET",
                h1,
                "/a",
                &[("connection", "upgraded"), ("upgrade", "websocket")],
                false,
                true,
            ),
            (
                "GET",
                h1,
                "/a",
                &[("connection", "upgrade"), ("upgrade", "h2c")],
                false,
                false,
            ),
            ("GET", h1, "/a", &[("sec-websocket-key", "x")], false, true),
            (
                "CONNECT",
                h2,
                "https://h/a",
                &[("sec-websocket-version", "13")],
                true,
                true,
            ),
            ("CONNECT", h2, "https://h/a", &[], false, true),
            (
                "CONNECT",
                h2,
                "h:443",
                &[("sec-websocket-version", "13")],
                false,
                true,
            ),
            ("GET", h1, "/a", &[], false, false),
        ] {
            let head = head(method, version, uri, headers);
            assert_eq!(is_websocket_handshake(&head), handshake, "{head:?}");
            assert_eq!(may_open_a_socket(&head), socket, "{head:?}");
        }
    }
}
