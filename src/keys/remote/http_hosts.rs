//! [`HttpHosts`]: hosts of a private network that are asked over http, and the addresses that they may have.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::ConfigError;

/// The hosts that `dangerous_http_from` names. None by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpHosts(Arc<[Host]>);

#[derive(Debug, Clone)]
enum Host {
    Name(Box<str>),
    /// The end of a name, with its leading dot.
    Suffix(Box<str>),
    Net(IpNet),
}

impl HttpHosts {
    /// Reads names (`keycloak`), ends of names (`*.svc.cluster.local`), addresses and networks (`10.0.0.0/8`).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] with the first entry that is none of them, or a network that is not private.
    pub(crate) fn read(hosts: &[String]) -> Result<Self, ConfigError> {
        hosts
            .iter()
            .map(|text| Host::read(text))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true where this host may be asked over http.
    pub(super) fn allow(&self, host: &str) -> bool {
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        self.0.iter().any(|allowed| match (allowed, literal) {
            (Host::Net(net), Some(address)) => {
                is_private(address) && net.contains(&address.to_canonical())
            }
            (Host::Name(name), None) => host.eq_ignore_ascii_case(name),
            (Host::Suffix(suffix), None) => host
                .len()
                .checked_sub(suffix.len())
                .filter(|start| *start > 0)
                .and_then(|start| host.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix)),
            _ => false,
        })
    }
}

impl Host {
    fn read(text: &str) -> Result<Self, ConfigError> {
        let refused = |problem| ConfigError::Setting {
            name: "dangerous_http_from",
            value: crate::telemetry::shown_url(text),
            problem,
        };
        let net = text.parse::<IpNet>().ok();
        let net = net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        if let Some(net) = net {
            if is_private(net.network()) && is_private(net.broadcast()) {
                return Ok(Self::Net(net));
            }
            return Err(refused(
                "is not within loopback, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fc00::/7",
            ));
        }
        let is_label = |label: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(is_plain)
        };
        let (name, is_suffix) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        if !name.split('.').all(is_label) {
            return Err(refused(
                "is no host: name one (`keycloak`), the end of names (`*.svc.cluster.local`) or a network (`10.0.0.0/8`), without scheme and port",
            ));
        }
        Ok(match is_suffix {
            true => Self::Suffix(format!(".{name}").into()),
            false => Self::Name(name.into()),
        })
    }
}

/// Returns true for loopback, a private network (RFC 1918) and unique local addresses (`fc00::/7`), not for link-local.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// Resolves names to private addresses only. The HTTP client dials what this returns, so that no second look-up of the
/// name can lead it elsewhere.
pub(super) struct PrivateResolver;

impl Resolve for PrivateResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::task::spawn_blocking(move || look_up(&host)).await??;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn look_up(host: &str) -> Result<Vec<SocketAddr>, io::Error> {
    let found: Vec<SocketAddr> = (host, 0).to_socket_addrs()?.collect();
    check(&found)?;
    Ok(found)
}

/// Refuses all addresses if one is not private: the name server could choose it.
fn check(found: &[SocketAddr]) -> Result<(), io::Error> {
    match found.iter().find(|address| !is_private(address.ip())) {
        None => Ok(()),
        Some(address) => Err(io::Error::other(format!(
            "{} is no address of a private network",
            address.ip()
        ))),
    }
}

impl fmt::Debug for PrivateResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateResolver")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hosts(texts: &[&str]) -> Result<HttpHosts, ConfigError> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        HttpHosts::read(&texts)
    }

    #[test]
    fn a_host_is_allowed_by_its_name_the_end_of_its_name_or_its_network() {
        let hosts = hosts(&["keycloak", "*.svc.cluster.local", "10.0.0.0/8", "fd00::/8"]).unwrap();
        for (host, allowed) in [
            ("keycloak", true),
            ("KEYCLOAK", true),
            ("keycloak.example", false),
            ("xkeycloak", false),
            ("id.svc.cluster.local", true),
            ("id.team.svc.cluster.local", true),
            ("svc.cluster.local", false),
            (".svc.cluster.local", false),
            ("evil-svc.cluster.local", false),
            ("id.svc.cluster.local.example", false),
            ("10.1.2.3", true),
            ("[::ffff:10.1.2.3]", true),
            ("11.1.2.3", false),
            ("192.168.1.1", false),
            ("[fd12::1]", true),
            ("[fe80::1]", false),
            ("169.254.169.254", false),
            ("id.example", false),
        ] {
            assert_eq!(hosts.allow(host), allowed, "{host}");
        }
        assert!(!HttpHosts::default().allow("keycloak"));
    }

    #[test]
    fn an_entry_is_a_host_or_a_private_network() {
        for text in [
            "",
            "*",
            "*.",
            "key*",
            "http://keycloak",
            "keycloak:8080",
            "user:hush@keycloak",
            "0.0.0.0/0",
            "8.8.8.8",
            "169.254.0.0/16",
            "10.0.0.0/7",
            "fe80::/10",
            "::/0",
        ] {
            let error = hosts(&["good", text]).unwrap_err().to_string();
            assert!(error.contains("dangerous_http_from"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_name_with_one_address_that_is_not_private_is_refused_whole() {
        let at = |texts: &[&str]| {
            let found = texts
                .iter()
                .map(|text| SocketAddr::new(text.parse().unwrap(), 0));
            check(&found.collect::<Vec<_>>())
        };
        for good in [
            &["127.0.0.1"][..],
            &["::1", "10.0.0.1", "172.16.0.1", "192.168.0.1"],
            &["fc00::1", "fdff::1", "::ffff:10.0.0.1"],
        ] {
            assert!(at(good).is_ok(), "{good:?}");
        }
        for bad in [
            "8.8.8.8",
            "0.0.0.0",
            "169.254.169.254",
            "172.32.0.1",
            "100.64.0.1",
            "255.255.255.255",
            "fe80::1",
            "::",
            "2001:db8::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
        ] {
            let error = at(&["10.0.0.1", bad]).unwrap_err().to_string();
            assert!(error.contains("private"), "{bad}: {error}");
        }
    }
}
