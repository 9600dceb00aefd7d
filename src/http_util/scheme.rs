//! [`Transport`]: https or plain http, as far as the service can know.

use http::{Extensions, HeaderMap, HeaderName, header};

use super::{ClientAddress, split};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The transport by which a request reached the first of our hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A trusted proxy says that the client used https.
    Https,
    /// The client is on this machine.
    Loopback,
    /// Anything else, unclear cases included.
    Plain,
    /// The peer of the connection is unknown.
    Unknown,
}

impl ClientAddress {
    /// Returns how this request was transported.
    ///
    /// Only trusted proxies are believed. A proxy on this machine that is not trusted gives itself away by its forwarding
    /// headers, so its clients do not pass for local ones.
    pub(crate) fn transport(&self, headers: &HeaderMap, extensions: &Extensions) -> Transport {
        let Some(peer) = self.peer(headers, extensions) else {
            return Transport::Unknown;
        };
        if self.proxies().contain(peer) {
            return if says_https(headers) {
                Transport::Https
            } else {
                Transport::Plain
            };
        }
        let forwarded = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &header::FORWARDED];
        if peer.is_loopback() && !forwarded.iter().any(|name| headers.contains_key(*name)) {
            Transport::Loopback
        } else {
            Transport::Plain
        }
    }
}

/// Returns true where the forwarding headers name https for every hop that they describe, and for one at least.
///
/// Proxies append to these headers or replace them, and a client may have begun them. So one hop over http is enough for
/// a refusal.
fn says_https(headers: &HeaderMap) -> bool {
    let mut named = false;
    for line in headers.get_all(X_FORWARDED_PROTO) {
        for scheme in split(line.as_bytes(), b',') {
            if !is_secure(scheme) {
                return false;
            }
            named = true;
        }
    }
    for line in headers.get_all(header::FORWARDED) {
        for hop in split(line.as_bytes(), b',') {
            for pair in split(hop, b';') {
                let mut sides = pair.splitn(2, |&byte| byte == b'=');
                let (Some(name), Some(value)) = (sides.next(), sides.next()) else {
                    continue;
                };
                if name.trim_ascii().eq_ignore_ascii_case(b"proto") {
                    if !is_secure(unquoted(value.trim_ascii())) {
                        return false;
                    }
                    named = true;
                }
            }
        }
    }
    named
}

/// Some proxies name the scheme of a WebSocket.
fn is_secure(scheme: &[u8]) -> bool {
    let scheme = scheme.trim_ascii();
    scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss")
}

fn unquoted(value: &[u8]) -> &[u8] {
    let inner = value.strip_prefix(b"\"");
    inner.and_then(|it| it.strip_suffix(b"\"")).unwrap_or(value)
}
