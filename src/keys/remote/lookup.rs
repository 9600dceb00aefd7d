//! [`Lookup`]: an address of a provider that is asked about one token at a time.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::HeaderValue;

use super::{
    KeyFetchError,
    discovery::{DiscoveredSource, Wanted},
    endpoint::Endpoint,
    fetch::{HttpFetch, TIMEOUT},
    http_hosts::HttpHosts,
};
use crate::{ConfigError, telemetry::shown_url};

/// Where it is asked for.
#[derive(Clone)]
pub(crate) enum Place {
    Address(String),
    /// At the address that the discovery document of this issuer names.
    Issuer(String),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, text) = match self {
            Self::Address(text) => ("Address", text),
            Self::Issuer(text) => ("Issuer", text),
        };
        f.debug_tuple(name).field(&shown_url(text)).finish()
    }
}

/// How it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct LookupSettings {
    pub(crate) client: Option<reqwest::Client>,
    pub(crate) timeout: Duration,
    /// The hosts that are asked over http.
    pub(crate) http_from: Vec<String>,
}

impl Default for LookupSettings {
    fn default() -> Self {
        Self {
            client: None,
            timeout: TIMEOUT,
            http_from: Vec::new(),
        }
    }
}

/// An address that is asked about tokens, with the same care as one that keys come from.
pub(crate) struct Lookup {
    endpoint: Endpoint,
    http: HttpFetch,
    /// Whether the last question got no proper answer, so that the log says it once.
    failing: AtomicBool,
}

/// The text of an answer, and whether it is a JWT by its media type.
pub(crate) struct LookupAnswer {
    pub(crate) text: String,
    pub(crate) signed: bool,
}

impl Lookup {
    /// Checks the address, or asks the issuer for it.
    pub(crate) async fn open(
        place: &Place,
        kind: Wanted,
        settings: LookupSettings,
    ) -> Result<Self, ConfigError> {
        let bounds = Duration::from_millis(100)..=Duration::from_secs(30);
        if !bounds.contains(&settings.timeout) {
            return Err(ConfigError::Setting {
                name: "with_timeout",
                value: format!("{:?}", settings.timeout),
                problem: "choose between 100 ms and 30 s",
            });
        }
        let origin = match place {
            Place::Address(origin) | Place::Issuer(origin) => origin,
        };
        let hosts = HttpHosts::read(&settings.http_from)?;
        Self::connect(place, kind, settings, hosts)
            .await
            .map_err(|error| ConfigError::keys(origin, error))
    }

    async fn connect(
        place: &Place,
        kind: Wanted,
        settings: LookupSettings,
        hosts: HttpHosts,
    ) -> Result<Self, KeyFetchError> {
        let http = settings
            .client
            .map_or_else(HttpFetch::new, |client| Ok(HttpFetch::with_client(client)))?
            .within(settings.timeout)
            .with_http_hosts(hosts)?;
        let endpoint = match place {
            Place::Address(url) => http.endpoint(url)?,
            Place::Issuer(issuer) => {
                let source = DiscoveredSource::over(http.clone(), issuer, issuer)?;
                source.discover(kind).await?.endpoint
            }
        };
        Ok(Self {
            endpoint,
            http,
            failing: AtomicBool::new(false),
        })
    }

    /// Returns the address that is asked.
    pub(crate) fn address(&self) -> &str {
        self.endpoint.url().as_str()
    }

    /// Asks with a form.
    pub(crate) async fn post_form(
        &self,
        credentials: HeaderValue,
        form: String,
    ) -> Result<LookupAnswer, KeyFetchError> {
        let document = self.http.post_form(&self.endpoint, credentials, form).await;
        LookupAnswer::of(document?)
    }

    /// Asks in the name of whoever has these credentials.
    pub(crate) async fn get_as(
        &self,
        credentials: HeaderValue,
    ) -> Result<LookupAnswer, KeyFetchError> {
        let document = self.http.get_as(&self.endpoint, credentials).await;
        LookupAnswer::of(document?)
    }

    /// Tells the operator that the address fails, once until it answers again.
    pub(crate) fn failed(&self, error: &KeyFetchError) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "tower_warden",
                endpoint = self.endpoint.shown(), reason = error.code(), %error,
                "the provider does not answer for tokens"
            );
        }
    }

    /// Tells the operator that the address answers again, if it had failed.
    pub(crate) fn answered(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(
                target: "tower_warden",
                endpoint = self.endpoint.shown(),
                "the provider answers for tokens again"
            );
        }
    }
}

impl LookupAnswer {
    fn of(document: super::fetch::Document) -> Result<Self, KeyFetchError> {
        let media_type = document.media_type.as_deref().unwrap_or_default();
        let text = String::from_utf8(document.body).map_err(|_| KeyFetchError::Malformed {
            wanted: "JSON object",
            problem: String::from("it is not UTF-8"),
        })?;
        Ok(Self {
            text,
            signed: media_type == "application/jwt" || media_type.ends_with("+jwt"),
        })
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lookup")
            .field(&self.endpoint.shown())
            .finish()
    }
}
