//! [`Lookup`]: an address of a provider that is asked about one token at a time.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::HeaderValue;

use super::{
    KeyFetchError,
    discovery::{DiscoveredSource, ProviderMetadata},
    endpoint::Endpoint,
    fetch::{HttpFetch, TIMEOUT},
};
use crate::ConfigError;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupKind {
    Introspection,
    UserInfo,
}

/// Where it is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Address(String),
    /// At the address that the discovery document of this issuer names.
    Issuer(String),
}

/// How it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct LookupSettings {
    pub(crate) client: Option<reqwest::Client>,
    pub(crate) timeout: Duration,
}

impl Default for LookupSettings {
    fn default() -> Self {
        Self {
            client: None,
            timeout: TIMEOUT,
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
        kind: LookupKind,
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
        Self::connect(place, kind, settings)
            .await
            .map_err(|error| ConfigError::keys(origin, error))
    }

    async fn connect(
        place: &Place,
        kind: LookupKind,
        settings: LookupSettings,
    ) -> Result<Self, KeyFetchError> {
        let http = settings
            .client
            .map_or_else(HttpFetch::new, |client| Ok(HttpFetch::with_client(client)))?
            .within(settings.timeout);
        let endpoint = match place {
            Place::Address(url) => Endpoint::parse(url)?,
            Place::Issuer(issuer) => discover(&http, issuer, kind).await?,
        };
        Ok(Self {
            endpoint,
            http,
            failing: AtomicBool::new(false),
        })
    }

    /// Returns the address that is asked.
    pub(crate) fn address(&self) -> &str {
        self.endpoint.as_str()
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
                endpoint = self.endpoint.as_str(), reason = error.code(), %error,
                "the provider does not answer for tokens"
            );
        }
    }

    /// Tells the operator that the address answers again, if it had failed.
    pub(crate) fn answered(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(
                target: "tower_warden",
                endpoint = self.endpoint.as_str(),
                "the provider answers for tokens again"
            );
        }
    }
}

async fn discover(
    http: &HttpFetch,
    issuer: &str,
    kind: LookupKind,
) -> Result<Endpoint, KeyFetchError> {
    let source = DiscoveredSource::over(http.clone(), issuer, issuer)?;
    let (metadata, _) = source.discover().await?;
    let url = kind.of(metadata).ok_or_else(|| KeyFetchError::Malformed {
        wanted: "discovery document for this use",
        problem: format!("it names no `{}`", kind.member()),
    })?;
    let endpoint = Endpoint::parse(&url)?;
    if issuer.starts_with("https:") && endpoint.url().scheme() != "https" {
        return Err(KeyFetchError::Address {
            url,
            problem: "what an https issuer names has to be https",
        });
    }
    Ok(endpoint)
}

impl LookupKind {
    fn of(self, metadata: ProviderMetadata) -> Option<String> {
        match self {
            Self::Introspection => metadata.introspection_endpoint,
            Self::UserInfo => metadata.userinfo_endpoint,
        }
    }

    const fn member(self) -> &'static str {
        match self {
            Self::Introspection => "introspection_endpoint",
            Self::UserInfo => "userinfo_endpoint",
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
            .field(&self.endpoint.as_str())
            .finish()
    }
}
