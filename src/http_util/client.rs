//! [`ClientAddress`]: the address that a request comes from.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Extensions, HeaderMap, HeaderName};

use super::TrustedProxies;
use crate::error::ConfigError;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most entries of `X-Forwarded-For` that are read, from the right.
const MAX_HOPS: usize = 32;

/// The longest part of an unreadable entry that the log shows, in characters.
const MAX_LOGGED: usize = 64;

type Peer = dyn Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync;

/// Finds the address of the client: the peer of the connection, or what a trusted proxy says about its own peer.
#[derive(Clone)]
pub(crate) struct ClientAddress {
    peer: PeerSource,
    proxies: TrustedProxies,
    /// Set once an unreadable entry was logged. Clones share it.
    warned: Arc<AtomicBool>,
}

#[derive(Clone)]
enum PeerSource {
    /// The server puts the peer into the extensions.
    Extensions,
    /// The application's own function finds the peer.
    Custom(Arc<Peer>),
    /// Addresses are ignored.
    #[cfg(feature = "accounts")]
    Ignored,
}

impl Default for ClientAddress {
    fn default() -> Self {
        Self {
            peer: PeerSource::Extensions,
            proxies: TrustedProxies::default(),
            warned: Arc::default(),
        }
    }
}

impl ClientAddress {
    /// Sets the function that finds the peer.
    pub(crate) fn set_peer(
        &mut self,
        peer: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) {
        self.peer = PeerSource::Custom(Arc::new(peer));
    }

    /// Ignores addresses: no request has one.
    #[cfg(feature = "accounts")]
    pub(crate) fn ignore(&mut self) {
        self.peer = PeerSource::Ignored;
    }

    /// Returns true where addresses are ignored.
    #[cfg(feature = "accounts")]
    pub(crate) fn is_ignored(&self) -> bool {
        matches!(self.peer, PeerSource::Ignored)
    }

    /// Trusts a proxy by its address, `10.0.0.7`, or those of a network, `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] where the text is neither, or names every address there is.
    pub(crate) fn trust(&mut self, proxy: &str) -> Result<(), ConfigError> {
        self.proxies.add(proxy)
    }

    /// Returns the client's address, or `None` where the peer is unknown or addresses are ignored.
    ///
    /// It reads headers and extensions anew each time: call it where the address is needed, not before.
    ///
    /// `X-Forwarded-For` is read from the right, as each proxy appends the address of its own peer. The first address
    /// that is no trusted proxy is the client; the client may have written what stands further left. An entry that is no
    /// address ends the walk at the trusted proxy that passed it on, and is logged once.
    pub(crate) fn find(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let mut address = self.peer(headers, extensions)?;
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        for entry in entries.take(MAX_HOPS) {
            if !self.proxies.contain(address) {
                break;
            }
            let Some(before) = read(entry) else {
                self.warn(address, entry);
                break;
            };
            address = before;
        }
        Some(address)
    }

    /// Returns the peer of the connection, or `None` where it is unknown or addresses are ignored.
    pub(super) fn peer(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = match &self.peer {
            #[cfg(feature = "accounts")]
            PeerSource::Ignored => None,
            PeerSource::Extensions => connected(extensions),
            PeerSource::Custom(peer) => peer(headers, extensions),
        };
        peer.map(|peer| peer.to_canonical())
    }

    pub(super) const fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Returns true where a proxy is trusted.
    pub(crate) fn has_proxies(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Logs the first entry that cannot be read: its clients share the address of the proxy, and its limits.
    #[cold]
    fn warn(&self, proxy: IpAddr, entry: &[u8]) {
        if self.warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let entry = String::from_utf8_lossy(entry);
        let entry: String = entry.trim().chars().take(MAX_LOGGED).collect();
        tracing::warn!(
            target: "tower_warden",
            %proxy,
            ?entry,
            "a trusted proxy sent an entry of `X-Forwarded-For` that is no IP address: its clients count as one, under the \
             proxy's own address; configure the proxy to append the address of its peer",
        );
    }
}

/// Returns the peer of the connection, as the server tells it.
fn connected(extensions: &Extensions) -> Option<IpAddr> {
    let address = extensions.get::<SocketAddr>().copied();
    #[cfg(feature = "axum")]
    let address = address.or_else(|| {
        let info = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>()?;
        Some(info.0)
    });
    address.map(|address| address.ip())
}

/// Parses one entry: an address, perhaps in brackets or quotes as `Forwarded` writes it, perhaps with a port.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim();
    let quoted = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let text = quoted.unwrap_or(text);
    let bracketed = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse::<IpAddr>().ok(),
    };
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()));
    address.map(|address| address.to_canonical())
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAddress")
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{Request, request::Parts};

    use super::*;

    fn head(peer: Option<&str>, forwarded: &[&str]) -> Parts {
        let mut request = Request::post("/auth/login");
        for line in forwarded {
            request = request.header("x-forwarded-for", *line);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        if let Some(peer) = peer {
            head.extensions
                .insert(SocketAddr::new(peer.parse().unwrap(), 4711));
        }
        head
    }

    fn find(clients: &ClientAddress, peer: Option<&str>, forwarded: &[&str]) -> Option<IpAddr> {
        let head = head(peer, forwarded);
        clients.find(&head.headers, &head.extensions)
    }

    /// Hazards 8, "brute force": `X-Forwarded-For` is believed only as far as proxies of ours wrote it.
    #[test]
    fn hazard_brute_force_behind_a_made_up_address() {
        let mut clients = ClientAddress::default();
        clients.trust("10.0.0.0/8").unwrap();
        clients.trust("192.0.2.9").unwrap();
        for (peer, forwarded, address) in [
            ("203.0.113.5", &[][..], "203.0.113.5"),
            // A client that is no trusted proxy may write any header.
            ("203.0.113.5", &["198.51.100.1"], "203.0.113.5"),
            ("10.0.0.7", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.7", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.7",
                &["1.1.1.1, 198.51.100.1, 192.0.2.9"],
                "198.51.100.1",
            ),
            (
                "10.0.0.7",
                &["1.1.1.1", "198.51.100.1", "10.1.1.1"],
                "198.51.100.1",
            ),
            ("10.0.0.7", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.7", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.7", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.7", &["\"[2001:db8::1]:4711\""], "2001:db8::1"),
            ("10.0.0.7", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.7", &["198.51.100.1"], "198.51.100.1"),
            // All are ours: the one furthest from us.
            ("10.0.0.7", &["10.0.0.8"], "10.0.0.8"),
            // No address: the proxy that passed it on.
            ("10.0.0.7", &["unknown"], "10.0.0.7"),
            ("10.0.0.7", &["198.51.100.1, , 10.0.0.8"], "10.0.0.8"),
            ("10.0.0.7", &["\u{fffd}"], "10.0.0.7"),
            ("10.0.0.7", &[""], "10.0.0.7"),
        ] {
            let found = find(&clients, Some(peer), forwarded);
            assert_eq!(
                found,
                Some(address.parse().unwrap()),
                "{peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn an_unknown_peer_has_no_address() {
        let mut clients = ClientAddress::default();
        assert_eq!(find(&clients, None, &["198.51.100.1"]), None);
        clients.set_peer(|headers, _| headers.get("fly-client-ip")?.to_str().ok()?.parse().ok());
        assert_eq!(find(&clients, Some("10.0.0.7"), &[]), None);
        let (mut head, ()) = Request::new(()).into_parts();
        head.headers
            .insert("fly-client-ip", "198.51.100.1".parse().unwrap());
        assert_eq!(
            clients.find(&head.headers, &head.extensions),
            "198.51.100.1".parse().ok()
        );
    }
}
