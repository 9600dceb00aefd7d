//! [`TrustedProxies`]: the proxies whose forwarding headers are believed.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::ConfigError;

/// The addresses and networks of trusted proxies; none by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Adds a proxy by its address, `10.0.0.7`, or the proxies of a network, `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] where the text is neither, or names every address there is.
    pub(crate) fn add(&mut self, proxy: &str) -> Result<(), ConfigError> {
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
                problem: "this network holds every address, so every client would be believed: name the proxies",
            });
        }
        self.0.push(network);
        Ok(())
    }

    /// Returns true where no proxy is trusted.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true where this address is one of a trusted proxy. IPv4-mapped addresses have to be canonical.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_network_of_every_address_is_refused() {
        for proxy in [
            "0.0.0.0/0",
            "::/0",
            "",
            "proxy.example",
            "10.0.0.0/33",
            "10.0.0.7:80",
        ] {
            let error = TrustedProxies::default()
                .add(proxy)
                .unwrap_err()
                .to_string();
            assert!(error.contains(&format!("`{proxy}`")), "{error}");
        }
    }

    #[test]
    fn an_address_and_a_network_are_trusted() {
        let mut proxies = TrustedProxies::default();
        proxies.add("10.0.0.0/8").unwrap();
        proxies.add("2001:db8::9").unwrap();
        for (address, trusted) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("2001:db8::9", true),
            ("2001:db8::a", false),
        ] {
            assert_eq!(
                proxies.contain(address.parse().unwrap()),
                trusted,
                "{address}"
            );
        }
    }
}
