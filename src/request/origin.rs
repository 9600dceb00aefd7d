//! [`AllowedOrigins`]: which pages may use the credentials that a browser attaches by itself.

use std::net::Ipv6Addr;

use http::{HeaderName, HeaderValue, Method, header};

use super::{head::HeadRef, upgrade::may_open_a_socket};
use crate::{error::ConfigError, refuse::RejectionKind};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The value of `Sec-Fetch-Site` for a request that a page sends to its own origin.
const SAME_ORIGIN: &[u8] = b"same-origin";

/// The value of `Origin` where the browser hides the origin of the page.
const NO_ORIGIN: &[u8] = b"null";

/// What happens to a WebSocket handshake that shows no origin at all, while its credentials are a cookie.
///
/// Every browser sends `Origin` with a handshake, so one without comes from a program, which has better ways to carry a
/// token than a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MissingOrigin {
    /// It is refused with 403. The default.
    #[default]
    Refuse,
    /// It is let through: for programs that keep a cookie jar.
    Allow,
}

/// The check that stands between a cookie and a foreign page: CSRF, and the hijacking of a WebSocket.
///
/// Asked are requests with an unsafe method and those that may open a socket; reading by `GET` is left to the
/// same-origin policy of browsers. `X-Forwarded-Host` is never read, and neither is anything else that a page or a proxy
/// could add: a proxy in front has to pass `Host` on.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllowedOrigins {
    listed: Vec<Listed>,
    missing: MissingOrigin,
}

/// One origin of the list: lower-case, with its port always named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl AllowedOrigins {
    /// Reads the list, each entry as a browser writes its `Origin`: `https://app.example` or `http://localhost:3000`.
    ///
    /// The service's own origin needs no entry.
    pub(crate) fn new<O: AsRef<str>>(
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, ConfigError> {
        let listed = origins
            .into_iter()
            .map(|origin| listed(origin.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            listed,
            missing: MissingOrigin::default(),
        })
    }

    /// Says what happens to handshakes without an origin.
    #[must_use]
    pub(crate) fn with_missing(mut self, missing: MissingOrigin) -> Self {
        self.missing = missing;
        self
    }

    /// Whether a request whose credentials came by themselves may go on.
    ///
    /// The error is always [`RejectionKind::OriginForeign`].
    pub(crate) fn check<'r>(&self, head: impl Into<HeadRef<'r>>) -> Result<(), RejectionKind> {
        let head = head.into();
        let socket = may_open_a_socket(head);
        if !socket && is_safe(head.method) {
            return Ok(());
        }
        if self.is_ours(head, socket) {
            Ok(())
        } else {
            Err(RejectionKind::OriginForeign)
        }
    }

    fn is_ours(&self, head: HeadRef<'_>, socket: bool) -> bool {
        let (Ok(origin), Ok(site)) = (only(head, &header::ORIGIN), only(head, &SEC_FETCH_SITE))
        else {
            return false;
        };
        let near = site.map(|site| site == SAME_ORIGIN || site == b"none");
        match (origin, near) {
            // A page under `no-referrer` hides its origin; the browser still says whose it is.
            (Some(NO_ORIGIN), _) => site == Some(SAME_ORIGIN),
            (Some(origin), near) => Origin::parse(origin).is_some_and(|origin| {
                self.lists(&origin) || (near != Some(false) && origin.is_host_of(head))
            }),
            (None, Some(near)) => near,
            // No browser sent this: those of the last years send one of the two along with every unsafe method.
            (None, None) => !socket || self.missing == MissingOrigin::Allow,
        }
    }

    fn lists(&self, origin: &Origin<'_>) -> bool {
        self.listed.iter().any(|listed| {
            origin.scheme.eq_ignore_ascii_case(listed.scheme.as_bytes())
                && origin.host.eq_ignore_ascii_case(listed.host.as_bytes())
                && origin.port() == listed.port
        })
    }
}

/// The methods that promise to change nothing ([RFC 9110 §9.2.1]); they are compared in case.
///
/// [RFC 9110 §9.2.1]: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1
fn is_safe(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}

/// The one value of a header, none, or an error if there are two.
fn only<'r>(head: HeadRef<'r>, name: &HeaderName) -> Result<Option<&'r [u8]>, Repeated> {
    let mut lines = head.headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(Repeated),
        (line, None) => Ok(line.map(HeaderValue::as_bytes)),
    }
}

struct Repeated;

/// An origin in its parts, as it was written.
struct Origin<'r> {
    scheme: &'r [u8],
    host: &'r [u8],
    port: Option<u16>,
}

impl<'r> Origin<'r> {
    /// Reads `scheme://host[:port]` and nothing beside it; `null` is no such thing.
    fn parse(text: &'r [u8]) -> Option<Self> {
        let colon = memchr::memchr(b':', text)?;
        let (scheme, rest) = text.split_at_checked(colon)?;
        let (host, port) = host_and_port(rest.strip_prefix(b"://")?)?;
        let word = |&byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        (scheme.first()?.is_ascii_alphabetic() && scheme.iter().all(word)).then_some(Self {
            scheme,
            host,
            port,
        })
    }

    /// The port, with that of the scheme where none is written.
    fn port(&self) -> Option<u16> {
        self.port.or_else(|| default_port(self.scheme))
    }

    /// Whether this is the origin of the service that the request is sent to.
    ///
    /// The service does not know under which scheme the browser sees it, since a proxy may have ended the encryption; so
    /// the page's scheme gives both their default port.
    fn is_host_of(&self, head: HeadRef<'_>) -> bool {
        own_authority(head).is_some_and(|authority| self.is_at(authority))
    }

    /// Returns true for the origin of the service at that host and port.
    fn is_at(&self, authority: &[u8]) -> bool {
        host_and_port(authority).is_some_and(|(host, port)| {
            let port = port.or_else(|| default_port(self.scheme));
            self.host.eq_ignore_ascii_case(host) && port.is_some() && self.port() == port
        })
    }
}

/// Returns host and port of the service, as the request names them, unless it names two.
fn own_authority(head: HeadRef<'_>) -> Option<&[u8]> {
    let host = only(head, &header::HOST).ok()?;
    let authority = head.uri.authority().map(|it| it.as_str().as_bytes());
    let target = authority.or(host)?;
    // A target and a `Host` that differ are two readings of the same request.
    match host {
        Some(host) if !host.eq_ignore_ascii_case(target) => None,
        _ => Some(target),
    }
}

/// The page behind a request, as far as the browser names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// The page's origin is this value of `Origin`.
    Origin(String),
    /// The page's origin is that of the service, at this host and port: the browser names no other and says
    /// `Sec-Fetch-Site: same-origin`.
    Own(Vec<u8>),
    /// The browser names no origin, or there is no browser.
    Unnamed,
    /// `Origin` came twice, or is no text.
    Unclear,
}

impl Page {
    /// Reads the page behind this request.
    pub(crate) fn of(head: HeadRef<'_>) -> Self {
        let Ok(origin) = only(head, &header::ORIGIN) else {
            return Self::Unclear;
        };
        if origin.is_none_or(|origin| origin == NO_ORIGIN)
            && let Ok(Some(SAME_ORIGIN)) = only(head, &SEC_FETCH_SITE)
            && let Some(authority) = own_authority(head)
        {
            return Self::Own(authority.to_vec());
        }
        match origin.map(str::from_utf8) {
            None => Self::Unnamed,
            Some(Ok(origin)) if origin.is_ascii() => Self::Origin(origin.to_owned()),
            Some(_) => Self::Unclear,
        }
    }

    /// Returns true where the page is of this origin beyond doubt.
    pub(crate) fn is_of(&self, origin: &str) -> bool {
        match self {
            Self::Origin(shown) => shown == origin,
            Self::Own(authority) => {
                Origin::parse(origin.as_bytes()).is_some_and(|origin| origin.is_at(authority))
            }
            Self::Unnamed | Self::Unclear => false,
        }
    }
}

/// Reads `host[:port]`, the host being a name, an IPv4 address or an IPv6 address in brackets.
fn host_and_port(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let end = match text.first()? {
        b'[' => memchr::memchr(b']', text)? + 1,
        _ => memchr::memchr(b':', text).unwrap_or(text.len()),
    };
    let (host, port) = text.split_at_checked(end)?;
    let plain = match host {
        [b'[', address @ .., b']'] => str::from_utf8(address).ok()?.parse::<Ipv6Addr>().is_ok(),
        name => name
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    let port = match port {
        [] => None,
        // A sign or a leading zero is not how a port is written.
        [b':', digits @ ..] if matches!(digits.first(), Some(b'1'..=b'9')) => {
            Some(str::from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    (plain && !host.is_empty()).then_some((host, port))
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    if scheme.eq_ignore_ascii_case(b"https") {
        Some(443)
    } else if scheme.eq_ignore_ascii_case(b"http") {
        Some(80)
    } else {
        None
    }
}

/// Reads one entry of the list, and says of a bad one what is wrong with it.
fn listed(text: &str) -> Result<Listed, ConfigError> {
    let bad = |problem| ConfigError::Setting {
        name: "allowed origin",
        value: text.to_owned(),
        problem,
    };
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let socket = scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("wss");
    let problem = match text {
        "null" => "`null` is what every sandboxed page sends: it names nobody",
        _ if text.contains('*') => "an origin is named exactly, without `*`",
        _ if !text.is_ascii() => "write the host as browsers send it, in punycode (`xn--…`)",
        _ if socket => "a page's origin is `http` or `https`, even when it opens a WebSocket",
        _ if scheme.is_empty() => "an origin begins with its scheme: `https://app.example`",
        _ if rest.contains(['/', '?', '#']) => {
            "an origin ends with its host or port, without a path or a slash"
        }
        _ if rest.contains('@') => "an origin holds no user and no password",
        _ => "an origin is a scheme, a host and perhaps a port: `https://app.example:8443`",
    };
    let origin = Origin::parse(text.as_bytes()).filter(|_| !socket);
    let origin = origin.ok_or_else(|| bad(problem))?;
    let lower = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let host = lower(origin.host);
    // Browsers write an IPv6 address in its shortest form.
    let host = match host.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host,
    };
    Ok(Listed {
        scheme: lower(origin.scheme),
        host,
        port: origin.port(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::Request;
    use proptest::prelude::*;

    const HANDSHAKE: [(&str, &str); 2] = [("connection", "upgrade"), ("upgrade", "websocket")];

    #[track_caller]
    fn check(origins: &AllowedOrigins, method: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        match origins.check(&head) {
            Ok(()) => true,
            Err(kind) => {
                assert_eq!(kind, RejectionKind::OriginForeign);
                false
            }
        }
    }

    fn origins() -> AllowedOrigins {
        AllowedOrigins::new([
            "https://app.example",
            "http://localhost:3000",
            "HTTPS://Upper.Example:443",
            "http://[0:0::1]:80",
            "chrome-extension://abcdef",
        ])
        .unwrap()
    }

    #[test]
    fn an_origin_is_listed_or_the_services_own_or_refused() {
        let origins = origins();
        for (origin, ours) in [
            ("https://app.example", true),
            ("https://app.example:443", true),
            ("https://APP.example", true),
            ("https://upper.example", true),
            ("http://localhost:3000", true),
            ("http://[::1]", true),
            ("chrome-extension://abcdef", true),
            // The service's own, with the page's scheme giving the port.
            ("https://api.example", true),
            ("http://api.example", true),
            ("https://api.example:443", true),
            ("https://Api.Example", true),
            // Near misses.
            ("http://app.example", false),
            ("https://app.example:8443", false),
            ("https://app.example.", false),
            ("https://app.example.evil.example", false),
            ("https://evilapp.example", false),
            ("https://sub.app.example", false),
            ("http://localhost", false),
            ("https://localhost:3000", false),
            ("https://api.example:80", false),
            ("https://api.example:8443", false),
            ("ftp://api.example", false),
            ("chrome-extension://abcdeg", false),
            // No origins.
            ("null", false),
            ("", false),
            ("api.example", false),
            ("//api.example", false),
            ("https://", false),
            ("https://api.example/", false),
            ("https://api.example?", false),
            ("https://x@api.example", false),
            ("https://api.example@app.example", false),
            ("https://api.example:", false),
            ("https://api.example:0443", false),
            ("https://api.example:+443", false),
            ("https://api.example:65979", false),
            ("https://api.example, https://app.example", false),
            ("https://app.example https://app.example", false),
            ("https://[::1", false),
            ("https://[api.example]", false),
        ] {
            let own = ("host", "api.example");
            for method in ["POST", "PUT", "PATCH", "DELETE", "get", "QUERY"] {
                let found = check(&origins, method, "/a", &[own, ("origin", origin)]);
                assert_eq!(found, ours, "{method} {origin}");
            }
            let mut socket = HANDSHAKE.to_vec();
            socket.extend([own, ("origin", origin)]);
            assert_eq!(
                check(&origins, "GET", "/a", &socket),
                ours,
                "socket {origin}"
            );
            let target = "https://api.example/a";
            let found = check(&origins, "CONNECT", target, &[("origin", origin)]);
            assert_eq!(found, ours, "CONNECT {origin}");
            // Reading is not asked.
            for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
                assert!(check(&origins, method, "/a", &[own, ("origin", origin)]));
            }
        }
    }

    #[test]
    fn sec_fetch_site_confirms_the_own_origin_and_stands_in_for_it() {
        let origins = origins();
        let own = ("host", "api.example");
        for (site, alone, with_own, with_listed) in [
            (None, true, true, true),
            (Some("same-origin"), true, true, true),
            (Some("none"), true, true, true),
            (Some("same-site"), false, false, true),
            (Some("cross-site"), false, false, true),
            (Some("SAME-ORIGIN"), false, false, true),
            (Some("same-origin, none"), false, false, true),
            (Some(""), false, false, true),
        ] {
            let site = site.map(|site| ("sec-fetch-site", site));
            for (origin, expected) in [
                (None, alone),
                (Some("https://api.example"), with_own),
                (Some("https://app.example"), with_listed),
                (Some("https://evil.example"), false),
            ] {
                let headers: Vec<_> = [Some(own), site, origin.map(|it| ("origin", it))]
                    .into_iter()
                    .flatten()
                    .collect();
                let found = check(&origins, "POST", "/a", &headers);
                assert_eq!(found, expected, "{headers:?}");
            }
        }
    }

    /// A form of the page itself, under `Referrer-Policy: no-referrer`, is sent with `Origin: null`.
    #[test]
    fn same_origin_rescues_a_hidden_origin_and_no_other() {
        let origins = origins();
        let own = ("host", "api.example");
        for (origin, site, expected) in [
            (Some("null"), &["same-origin"][..], true),
            (Some("null"), &["none"], false),
            (Some("null"), &["same-site"], false),
            (Some("null"), &["cross-site"], false),
            (Some("null"), &["SAME-ORIGIN"], false),
            (Some("null"), &["same-origin", "same-origin"], false),
            (Some("null"), &["same-origin, same-origin"], false),
            (Some("null"), &[], false),
            (Some("NULL"), &["same-origin"], false),
            (Some("null "), &["same-origin"], false),
            (None, &["same-origin"], true),
            (Some("https://evil.example"), &["same-origin"], false),
            (Some(""), &["same-origin"], false),
        ] {
            let mut headers = vec![own];
            headers.extend(origin.map(|origin| ("origin", origin)));
            headers.extend(site.iter().map(|site| ("sec-fetch-site", *site)));
            for method in ["POST", "DELETE"] {
                let found = check(&origins, method, "/a", &headers);
                assert_eq!(found, expected, "{method} {origin:?} {site:?}");
            }
            headers.extend(HANDSHAKE);
            let found = check(&origins, "GET", "/a", &headers);
            assert_eq!(found, expected, "socket {origin:?} {site:?}");
        }
    }

    #[test]
    fn two_of_a_header_are_refused() {
        let origins = origins();
        let (own, page) = (("host", "api.example"), ("origin", "https://api.example"));
        let site = ("sec-fetch-site", "same-origin");
        assert!(check(&origins, "POST", "/a", &[own, page, site]));
        for headers in [
            &[own, page, page][..],
            &[own, page, ("origin", "https://app.example")],
            &[own, own, page],
            &[own, page, site, site],
            &[own, site, site],
        ] {
            assert!(!check(&origins, "POST", "/a", headers), "{headers:?}");
        }
    }

    #[test]
    fn the_own_host_is_read_from_the_target_and_host_alone() {
        let origins = AllowedOrigins::new([""; 0]).unwrap();
        let page = ("origin", "https://api.example");
        for (uri, headers, ours) in [
            ("/a", &[("host", "api.example")][..], true),
            ("/a", &[("host", "API.example:443")], true),
            ("https://api.example/a", &[], true),
            ("http://api.example/a", &[("host", "api.example")], true),
            ("/a", &[], false),
            ("/a", &[("host", "")], false),
            ("/a", &[("host", "api.example:")], false),
            ("/a", &[("host", "other.example")], false),
            ("/a", &[("host", "x@api.example")], false),
            ("https://x@api.example/a", &[], false),
            ("https://api.example/a", &[("host", "other.example")], false),
            ("https://other.example/a", &[("host", "api.example")], false),
            (
                "/a",
                &[("host", "internal"), ("x-forwarded-host", "api.example")],
                false,
            ),
            (
                "/a",
                &[("host", "internal"), ("forwarded", "host=api.example")],
                false,
            ),
        ] {
            let headers = [headers, &[page]].concat();
            assert_eq!(
                check(&origins, "POST", uri, &headers),
                ours,
                "{uri} {headers:?}"
            );
        }
    }

    #[test]
    fn without_any_origin_programs_may_post_but_not_open_sockets() {
        let (refuse, allow) = (origins(), origins().with_missing(MissingOrigin::Allow));
        assert!(check(&refuse, "POST", "/a", &[("host", "api.example")]));
        for (method, headers) in [
            ("GET", &HANDSHAKE[..]),
            ("GET", &[("upgrade", "websocket")]),
            ("GET", &[("sec-websocket-key", "x")]),
            ("CONNECT", &[("sec-websocket-version", "13")]),
            ("CONNECT", &[]),
        ] {
            let uri = "https://api.example/a";
            assert!(
                !check(&refuse, method, uri, headers),
                "{method} {headers:?}"
            );
            assert!(check(&allow, method, uri, headers), "{method} {headers:?}");
        }
    }

    #[test]
    fn an_entry_that_no_browser_sends_is_refused_at_build() {
        for (entry, hint) in [
            ("null", "sandboxed"),
            ("*", "exactly"),
            ("https://*.app.example", "exactly"),
            ("", "scheme"),
            ("app.example", "scheme"),
            ("https://app.example/", "slash"),
            ("https://app.example/path", "slash"),
            ("https://app.example?x", "slash"),
            ("https://app.example#x", "slash"),
            ("https://user@app.example", "user"),
            ("https://", "host"),
            ("https://app.example:", "port"),
            ("https://app.example:99999", "port"),
            ("https://app.example:0", "port"),
            ("https://app example", "host"),
            ("https://bücher.example", "punycode"),
            ("wss://app.example", "WebSocket"),
            ("WS://app.example", "WebSocket"),
            ("https:app.example", "scheme"),
            ("1https://app.example", "scheme"),
            (" https://app.example", "scheme"),
        ] {
            let error = AllowedOrigins::new([entry]).unwrap_err().to_string();
            assert!(error.contains(hint), "{entry}: {error}");
            assert!(error.contains(&format!("`{entry}`")), "{error}");
        }
    }

    /// What `http` makes of the text, as a slow reference: an origin is the one URI that is all scheme and authority.
    fn by_uri(text: &str) -> Option<(String, String, Option<u16>)> {
        let uri: http::Uri = text.parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let whole = format!("{scheme}://{authority}").eq_ignore_ascii_case(text);
        let port = authority
            .port_u16()
            .or_else(|| default_port(scheme.as_bytes()));
        whole.then(|| (scheme.to_lowercase(), authority.host().to_lowercase(), port))
    }

    proptest! {
        #[test]
        fn no_header_makes_the_check_panic_and_only_an_equal_origin_passes(
            origin in prop_oneof![
                "(https?|app)(://|:/)([aA]pp|api)\\.example(:443|:80|:[0-9]{0,5})?[/?#@.]?",
                "\\PC{0,30}",
            ],
            host in prop_oneof!["([aA]pi|app)\\.example(:443|:80)?", "\\PC{0,20}"],
        ) {
            let origins = AllowedOrigins::new(["https://app.example"]).unwrap();
            let (mut head, ()) = Request::post("/a").body(()).unwrap().into_parts();
            let value = |text: &str| http::HeaderValue::from_bytes(text.as_bytes());
            let (Ok(origin_value), Ok(host_value)) = (value(&origin), value(&host)) else { return Ok(()) };
            head.headers.insert(header::ORIGIN, origin_value);
            head.headers.insert(header::HOST, host_value);

            let passes = origins.check(&head).is_ok();
            let (page, listed) = (by_uri(&origin), by_uri("https://app.example"));
            let own = page.as_ref().and_then(|(scheme, ..)| by_uri(&format!("{scheme}://{host}")));
            prop_assert!(!passes || page == listed || page == own, "{} {}", origin, host);
        }
    }
}
