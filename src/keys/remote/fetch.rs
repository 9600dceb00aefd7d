//! [`HttpFetch`]: one careful request, for key sets, discovery documents and questions about single tokens.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode, header};
use jsonwebtoken::Algorithm;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect};

use super::{
    KeyFetchError,
    endpoint::Endpoint,
    error::chain,
    http_hosts::{HttpHosts, PrivateResolver},
    lifetime,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Discovery and keys may share a connection; the next fetch, minutes later, shall not find a dead one.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the first byte sent to the last byte read, unless configured otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes that are read of a body, counted as they are handed over: after any decompression.
pub(super) const MAX_BODY: usize = 512 * 1024;

/// An HTTP client that trusts no answer: bounded in time and size, and never led elsewhere.
#[derive(Debug, Clone)]
pub(super) struct HttpFetch {
    client: Client,
    /// Asks hosts over http that are not on loopback, and dials private addresses only.
    private: Option<Client>,
    hosts: HttpHosts,
    timeout: Duration,
}

/// A body that was read to its end.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) body: Vec<u8>,
    /// How long the server lets it be used, within our own bounds; `None` if it does not say.
    pub(super) lifetime: Option<Duration>,
    /// What the server calls it, in lower case and without parameters.
    #[cfg_attr(not(feature = "introspection"), allow(dead_code))]
    pub(super) media_type: Option<String>,
    /// What the provider says elsewhere that it signs with; empty if it does not say.
    pub(super) algorithms: Vec<Algorithm>,
}

impl HttpFetch {
    /// The client that is used unless another is handed over: no redirects, no proxy from the environment, no
    /// compression, 2 s to connect.
    pub(super) fn new() -> Result<Self, KeyFetchError> {
        built(Self::careful()).map(Self::with_client)
    }

    fn careful() -> ClientBuilder {
        Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .user_agent(concat!("tower-warden/", env!("CARGO_PKG_VERSION")))
    }

    /// Asks these hosts over http too, always with the client of this crate.
    pub(super) fn with_http_hosts(mut self, hosts: HttpHosts) -> Result<Self, KeyFetchError> {
        if !hosts.is_empty() {
            let client = Self::careful().dns_resolver(Arc::new(PrivateResolver));
            self.private = Some(built(client)?);
            self.hosts = hosts;
        }
        Ok(self)
    }

    /// Reads an address that this client may ask.
    pub(super) fn endpoint(&self, text: &str) -> Result<Endpoint, KeyFetchError> {
        Endpoint::parse(text, &self.hosts)
    }

    /// The client that asks there.
    fn client(&self, endpoint: &Endpoint) -> &Client {
        match &self.private {
            Some(private) if endpoint.is_plain_remote() => private,
            _ => &self.client,
        }
    }

    /// Uses a client of the application. What can be checked on the answer still is; whether the client follows
    /// redirects or uses a proxy is its own affair.
    pub(super) fn with_client(client: Client) -> Self {
        Self {
            client,
            private: None,
            hosts: HttpHosts::default(),
            timeout: TIMEOUT,
        }
    }

    /// Gives an answer this long to come in, from the first byte sent to the last byte read.
    pub(super) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Reads one document.
    pub(super) async fn get(&self, endpoint: &Endpoint) -> Result<Document, KeyFetchError> {
        let request = self.client(endpoint).get(endpoint.url().clone());
        let accepted = "application/json, application/jwk-set+json;q=0.9";
        self.exchange(endpoint, request, accepted).await
    }

    /// Reads what the holder of these credentials may see.
    #[cfg(feature = "introspection")]
    pub(super) async fn get_as(
        &self,
        endpoint: &Endpoint,
        credentials: HeaderValue,
    ) -> Result<Document, KeyFetchError> {
        let request = self
            .client(endpoint)
            .get(endpoint.url().clone())
            .header(header::AUTHORIZATION, credentials);
        self.exchange(endpoint, request, "application/json").await
    }

    /// Sends a form in the name of the holder of these credentials, and reads the answer.
    #[cfg(feature = "introspection")]
    pub(super) async fn post_form(
        &self,
        endpoint: &Endpoint,
        credentials: HeaderValue,
        form: String,
    ) -> Result<Document, KeyFetchError> {
        let request = self
            .client(endpoint)
            .post(endpoint.url().clone())
            .header(header::AUTHORIZATION, credentials)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        self.exchange(endpoint, request, "application/json").await
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        request: RequestBuilder,
        accepted: &'static str,
    ) -> Result<Document, KeyFetchError> {
        let response = request
            .header(header::ACCEPT, accepted)
            .timeout(self.timeout)
            .send()
            .await
            .map_err(|error| without_tls(endpoint, failed(error)))?;
        if response.url() != endpoint.url() || response.status().is_redirection() {
            return Err(KeyFetchError::Redirected);
        }
        if response.status() != StatusCode::OK {
            return Err(KeyFetchError::Status {
                status: response.status().as_u16(),
            });
        }
        // A client that decompresses takes this header off.
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(KeyFetchError::Compressed);
        }
        let lifetime = lifetime::stated(response.headers());
        let media_type = response.headers().get(header::CONTENT_TYPE);
        let media_type = media_type.and_then(essence);
        let body = read(response).await?;
        Ok(Document {
            body,
            lifetime,
            media_type,
            algorithms: Vec::new(),
        })
    }
}

fn built(client: ClientBuilder) -> Result<Client, KeyFetchError> {
    client.build().map_err(|error| KeyFetchError::Connect {
        cause: chain(&error),
    })
}

/// A media type without its parameters, in lower case.
fn essence(value: &HeaderValue) -> Option<String> {
    let essence = value.to_str().ok()?.split(';').next()?;
    Some(essence.trim().to_ascii_lowercase())
}

async fn read(mut response: Response) -> Result<Vec<u8>, KeyFetchError> {
    let too_long = KeyFetchError::TooLong { limit: MAX_BODY };
    let announced = response.content_length().unwrap_or_default();
    if announced > MAX_BODY as u64 {
        return Err(too_long);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if chunk.len() > MAX_BODY - body.len() {
            return Err(too_long);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failed(error: reqwest::Error) -> KeyFetchError {
    let error = error.without_url();
    if error.is_timeout() {
        return KeyFetchError::Timeout;
    }
    let cause = chain(&error);
    if error.is_redirect() {
        KeyFetchError::Redirected
    } else if error.is_connect() || error.is_builder() {
        KeyFetchError::Connect { cause }
    } else {
        KeyFetchError::Exchange { cause }
    }
}

/// Says what to do if this build has no TLS, which reqwest tells in its own words.
fn without_tls(endpoint: &Endpoint, error: KeyFetchError) -> KeyFetchError {
    match &error {
        KeyFetchError::Connect { cause } if cause.ends_with("scheme is not http") => {
            KeyFetchError::Address {
                url: endpoint.shown().to_owned(),
                problem: "this build has no TLS: switch on the feature `aws-lc-rs` here, or a TLS feature of reqwest",
            }
        }
        _ => error,
    }
}
