//! [`Endpoint`]: an address that keys may come from.

use std::{fmt, net::IpAddr, sync::Arc};

use reqwest::Url;

use super::{KeyFetchError, http_hosts::HttpHosts};
use crate::telemetry::shown_url;

/// An https address, or an http one on loopback or of a host that is allowed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    url: Url,
    /// The address without the values of its query, which may be keys.
    shown: Arc<str>,
}

impl Endpoint {
    /// Reads an address, and refuses what could bring keys from somewhere else than it says.
    pub(super) fn parse(text: &str, hosts: &HttpHosts) -> Result<Self, KeyFetchError> {
        let refused = |problem| KeyFetchError::Address {
            url: shown_url(text),
            problem,
        };
        let url = Url::parse(text).map_err(|_| refused("is no absolute URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" if url.host_str().is_some_and(|host| hosts.allow(host)) => {}
            "http" => {
                return Err(refused(
                    "http is for loopback only: use https, or name a host of your own network by `dangerous_http_from`",
                ));
            }
            _ => return Err(refused("the scheme has to be https")),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refused("names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "credentials do not belong in an address: hand over a client that sends them",
            ));
        }
        if url.fragment().is_some() {
            return Err(refused("a fragment names nothing here: cut it off"));
        }
        let shown = shown_url(url.as_str()).into();
        Ok(Self { url, shown })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns true for http beyond loopback.
    pub(super) fn is_plain_remote(&self) -> bool {
        self.url.scheme() == "http" && !is_loopback(&self.url)
    }

    /// Returns true for http on loopback.
    pub(super) fn is_plain_loopback(&self) -> bool {
        self.url.scheme() == "http" && is_loopback(&self.url)
    }

    /// Returns the address for errors and logs, without secrets.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.shown).finish()
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_loopback() {
        for (text, good) in [
            ("https://id.example/keys", true),
            ("https://id.example:8443/keys?tenant=a", true),
            ("https://10.0.0.1/keys", true),
            ("HTTPS://ID.EXAMPLE", true),
            ("http://localhost:8080/keys", true),
            ("http://127.0.0.1:1/keys", true),
            ("http://127.8.8.8/keys", true),
            ("http://[::1]/keys", true),
            // Other spellings of 127.0.0.1 are the same address once the URL is parsed.
            ("http://0x7f.1/keys", true),
            ("http://id.example/keys", false),
            ("http://localhost.example/keys", false),
            ("http://127.0.0.1.example/keys", false),
            ("http://127.0.0.1@id.example/keys", false),
            ("http://0.0.0.0/keys", false),
            ("http://[::ffff:127.0.0.1]/keys", false),
            ("http://10.0.0.1/keys", false),
            ("http://169.254.169.254/latest", false),
            ("https://user:secret@id.example/keys", false),
            ("https://id.example/keys#a", false),
            ("file:///etc/keys.json", false),
            ("data:application/json,{}", false),
            ("ftp://id.example/keys", false),
            ("//id.example/keys", false),
            ("id.example/keys", false),
            ("https://", false),
            ("", false),
        ] {
            let parsed = Endpoint::parse(text, &HttpHosts::default());
            assert_eq!(parsed.is_ok(), good, "{text}");
        }
    }
}
