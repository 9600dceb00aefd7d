//! [`RequiredHttps`]: the refusal of requests over plain http.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};

use crate::{
    ConfigError, HeadRef, Rejection, RejectionKind,
    http_util::{ClientAddress, Transport},
    request::may_open_a_socket,
};

/// The builder's setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum HttpsSetting {
    #[default]
    Optional,
    Required,
    Redirected,
}

impl HttpsSetting {
    /// Checks the setting together with the public origin.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] for a redirect without a public origin, [`ConfigError::Setting`] for an origin that is not
    /// one of https.
    pub(super) fn settle(
        self,
        public_origin: Option<&str>,
    ) -> Result<Option<RequiredHttps>, ConfigError> {
        let redirected = public_origin.map(RequiredHttps::redirected).transpose()?;
        match (self, redirected) {
            (Self::Optional, _) => Ok(None),
            (Self::Required, _) => Ok(Some(RequiredHttps::refused())),
            (Self::Redirected, Some(redirected)) => Ok(Some(redirected)),
            (Self::Redirected, None) => Err(ConfigError::Missing {
                name: "with_public_origin",
                problem: "`with_https_redirect` sends clients there",
            }),
        }
    }
}

/// The refusal, or the redirect, of requests over plain http.
#[derive(Debug, Clone)]
pub(super) struct RequiredHttps {
    /// The origin that a `GET` is sent to: `https://app.example`, without a slash at its end.
    redirect: Option<String>,
}

/// The answer to a request over plain http.
pub(super) enum PlainHttp {
    Redirect(Box<Response<Bytes>>),
    Rejection(Rejection),
}

impl RequiredHttps {
    /// Refuses all such requests.
    pub(super) const fn refused() -> Self {
        Self { redirect: None }
    }

    /// Sends a `GET` to this origin, and refuses the rest.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] where this is no origin of https.
    pub(super) fn redirected(origin: &str) -> Result<Self, ConfigError> {
        let problem = |problem| ConfigError::Setting {
            name: "with_public_origin",
            value: origin.to_owned(),
            problem,
        };
        let uri = origin.parse::<Uri>().ok();
        let authority = uri.as_ref().and_then(Uri::authority);
        let (Some("https"), Some(authority)) = (uri.as_ref().and_then(Uri::scheme_str), authority)
        else {
            return Err(problem(
                "a redirect leads to an origin of https: `https://app.example`",
            ));
        };
        let plain = origin.len() == "https://".len() + authority.as_str().len();
        if !plain || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(problem(
                "an origin is a scheme, a host and perhaps a port, without a slash at its end: `https://app.example`",
            ));
        }
        Ok(Self {
            redirect: Some(origin.to_owned()),
        })
    }

    /// Checks how a request came.
    ///
    /// # Errors
    ///
    /// The answer to a request that came over plain http, or over a connection whose peer is unknown.
    pub(super) fn check(
        &self,
        head: HeadRef<'_>,
        clients: &ClientAddress,
    ) -> Result<(), PlainHttp> {
        match clients.transport(head.headers, head.extensions) {
            Transport::Https | Transport::Loopback => Ok(()),
            Transport::Plain => Err(match self.location(head) {
                Some(location) => PlainHttp::Redirect(Box::new(redirect(location))),
                None => PlainHttp::Rejection(RejectionKind::HttpsRequired.into()),
            }),
            Transport::Unknown => {
                tracing::error!(
                    target: "tower_warden",
                    "`with_required_https` needs the peer of each connection: with axum serve \
                     `into_make_service_with_connect_info::<SocketAddr>()`, else put the `SocketAddr` into the extensions, \
                     or say `with_client_address`",
                );
                Err(PlainHttp::Rejection(RejectionKind::Misconfigured.into()))
            }
        }
    }

    /// Returns the same path and query at the public origin, for a `GET` that opens no socket.
    fn location(&self, head: HeadRef<'_>) -> Option<HeaderValue> {
        let origin = self.redirect.as_ref()?;
        let target = head.requested.path_and_query()?.as_str();
        if *head.method != Method::GET || !target.starts_with('/') || may_open_a_socket(head) {
            return None;
        }
        HeaderValue::try_from(format!("{origin}{target}")).ok()
    }
}

/// The answer is not stored: the address may hold a token.
fn redirect(location: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let rejection = Rejection::from(RejectionKind::HttpsRequired);
    response.extensions_mut().insert(rejection);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_redirect_leads_to_an_origin_of_https() {
        for origin in [
            "https://app.example",
            "https://app.example:8443",
            "https://[::1]",
        ] {
            assert!(RequiredHttps::redirected(origin).is_ok(), "{origin}");
        }
        for origin in [
            "",
            "app.example",
            "http://app.example",
            "https://",
            "https://app.example/",
            "https://app.example/chat",
            "https://app.example?a",
            "https://user@app.example",
        ] {
            let error = RequiredHttps::redirected(origin).unwrap_err().to_string();
            assert!(error.contains(&format!("`{origin}`")), "{error}");
        }
    }
}
