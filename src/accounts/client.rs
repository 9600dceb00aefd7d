//! [`Clients`]: from which address a request really comes.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderName, request::Parts};
use ipnet::IpNet;

use crate::{ConfigError, Rejection, RejectionKind};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many entries of `X-Forwarded-For` are looked at, from the right.
const MOST_HOPS: usize = 32;

type Peer = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

/// Tells the address of the client: that of the connection, or what a proxy of ours says about it.
#[derive(Clone)]
pub(super) struct Clients {
    peer: PeerSource,
    proxies: Vec<IpNet>,
}

#[derive(Clone)]
enum PeerSource {
    /// What the server put into the extensions.
    Extensions,
    Told(Arc<Peer>),
    /// Addresses are not looked at.
    Nobody,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            peer: PeerSource::Extensions,
            proxies: Vec::new(),
        }
    }
}

impl Clients {
    pub(super) fn told_by(
        &mut self,
        peer: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static,
    ) {
        self.peer = PeerSource::Told(Arc::new(peer));
    }

    pub(super) fn ignore(&mut self) {
        self.peer = PeerSource::Nobody;
    }

    /// Trusts a proxy by its address, `10.0.0.7`, or those of a network, `10.0.0.0/8`.
    pub(super) fn trust(&mut self, proxy: &str) -> Result<(), ConfigError> {
        let network = proxy.parse::<IpNet>();
        let network = network.or_else(|_| proxy.parse::<IpAddr>().map(IpNet::from));
        let network = network.map_err(|_| ConfigError::Setting {
            name: "with_trusted_proxies",
            value: proxy.to_owned(),
            problem: "a proxy is named by its address, `10.0.0.7`, or its network, `10.0.0.0/8`",
        })?;
        if network.prefix_len() == 0 {
            return Err(ConfigError::Setting {
                name: "with_trusted_proxies",
                value: proxy.to_owned(),
                problem: "whoever trusts everybody believes every client: name the proxies",
            });
        }
        self.proxies.push(network);
        Ok(())
    }

    /// The address that limits are counted for; `None` where they are not looked at.
    ///
    /// `X-Forwarded-For` is read from the right, as each proxy appends whom it heard: as far as those are ours, the one
    /// before them is the client. What stands further left, the client may have written itself. An entry that is no
    /// address ends the way, at the proxy that passed it on.
    pub(super) fn address(&self, head: &Parts) -> Result<Option<IpAddr>, Rejection> {
        let peer = match &self.peer {
            PeerSource::Nobody => return Ok(None),
            PeerSource::Extensions => connected(head),
            PeerSource::Told(peer) => peer(head),
        };
        let Some(mut address) = peer.map(|peer| peer.to_canonical()) else {
            tracing::error!(
                target: "tower_warden",
                "the accounts do not know from where a request comes: with axum serve \
                 `into_make_service_with_connect_info::<SocketAddr>()`, else put the `SocketAddr` into its extensions, or \
                 say `with_client_address`",
            );
            return Err(RejectionKind::Misconfigured.into());
        };
        let lines = head.headers.get_all(X_FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        for entry in entries.take(MOST_HOPS) {
            if !self.trusts(address) {
                break;
            }
            match read(entry) {
                Some(before) => address = before,
                None => break,
            }
        }
        Ok(Some(address))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// The other end of the connection, as the server tells it.
fn connected(head: &Parts) -> Option<IpAddr> {
    let address = head.extensions.get::<SocketAddr>().copied();
    #[cfg(feature = "axum")]
    let address = address.or_else(|| {
        let info = head
            .extensions
            .get::<axum::extract::ConnectInfo<SocketAddr>>()?;
        Some(info.0)
    });
    address.map(|address| address.ip())
}

/// An entry of the header: an address, perhaps with a port.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim();
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()));
    address.map(|address| address.to_canonical())
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::Request;

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

    /// Hazards 8, "brute force": `X-Forwarded-For` is believed only as far as proxies of ours wrote it.
    #[test]
    fn hazard_brute_force_behind_a_made_up_address() {
        let mut clients = Clients::default();
        clients.trust("10.0.0.0/8").unwrap();
        clients.trust("192.0.2.9").unwrap();
        for (peer, forwarded, address) in [
            ("203.0.113.5", &[][..], "203.0.113.5"),
            // Whoever is no proxy of ours may write what they like.
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
            let found = clients.address(&head(Some(peer), forwarded)).unwrap();
            assert_eq!(
                found,
                Some(address.parse().unwrap()),
                "{peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn an_unknown_peer_is_our_mistake_unless_addresses_are_not_looked_at() {
        let mut clients = Clients::default();
        let refused = clients.address(&head(None, &["198.51.100.1"])).unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Misconfigured);
        clients.told_by(|head| {
            head.headers
                .get("fly-client-ip")?
                .to_str()
                .ok()?
                .parse()
                .ok()
        });
        assert!(clients.address(&head(Some("10.0.0.7"), &[])).is_err());
        clients.ignore();
        assert_eq!(
            clients.address(&head(None, &["198.51.100.1"])).unwrap(),
            None
        );
    }

    #[test]
    fn whoever_trusts_everybody_is_refused() {
        for proxy in [
            "0.0.0.0/0",
            "::/0",
            "",
            "proxy.example",
            "10.0.0.0/33",
            "10.0.0.7:80",
        ] {
            let error = Clients::default().trust(proxy).unwrap_err().to_string();
            assert!(error.contains(&format!("`{proxy}`")), "{error}");
        }
    }
}
