//! [`ResourceMetadata`]: what a protected resource says about itself ([RFC 9728]), so that a refused client knows where to
//! get a token.
//!
//! [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use serde_json::{Map, Value, json};
use tower_service::Service;

use crate::{
    ConfigError,
    request::{Paths, Rule},
};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What this resource says about itself ([RFC 9728]): who issues tokens for it, and for what. Clients of the Model Context
/// Protocol begin with it.
///
/// It is named in every challenge by [`with_resource_metadata`](crate::AuthLayerBuilder::with_resource_metadata), and
/// served by [`service`](Self::service) at its two [`paths`](Self::paths): the well-known one, and the one that ends in
/// the resource's own path. Cloning it copies a pointer.
///
/// # Examples
///
/// ```
/// use tower_warden::{ConfigError, JwtAuthLayer, ResourceMetadata};
///
/// # fn main() -> Result<(), ConfigError> {
/// let metadata = ResourceMetadata::builder("https://api.example/mcp")
///     .with_authorization_server("https://id.example")
///     .with_scopes(["mcp:read", "mcp:write"])
///     .build()?;
/// assert_eq!(metadata.url(), "https://api.example/.well-known/oauth-protected-resource/mcp");
///
/// let auth = JwtAuthLayer::hs256("a secret of at least thirty-two bytes")?
///     .with_audience("https://api.example/mcp")
///     .with_resource_metadata(&metadata)
///     .build()?;
/// let mut app: axum::Router = axum::Router::new();
/// for path in metadata.paths() {
///     app = app.route_service(path, metadata.service());
/// }
/// let app = app.layer(auth);
///
/// // A client would take it for another resource.
/// assert!(ResourceMetadata::builder("https://api.example/mcp#tools").build().is_err());
/// # Ok(())
/// # }
/// ```
///
/// [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728
#[derive(Clone)]
pub struct ResourceMetadata(Arc<Published>);

struct Published {
    url: String,
    /// The well-known path, and the one with the resource's own path behind it if it has one.
    paths: Vec<String>,
    json: Bytes,
}

impl ResourceMetadata {
    /// Begins with the resource as its clients know it, which should also be the audience of its tokens: an https URL, or
    /// an http one on loopback, without query and fragment.
    pub fn builder(resource: impl Into<String>) -> ResourceMetadataBuilder {
        ResourceMetadataBuilder {
            resource: resource.into(),
            authorization_servers: Vec::new(),
            scopes: Vec::new(),
            name: None,
            documentation: None,
        }
    }

    /// Where the document stands, as challenges name it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The paths that the [service](Self::service) answers at: one for a resource without a path of its own, else two.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.paths.iter().map(String::as_str)
    }

    /// The document.
    #[must_use]
    pub fn json(&self) -> &str {
        std::str::from_utf8(&self.0.json).unwrap_or_default()
    }

    /// A service for `GET` and `HEAD` at its [paths](Self::paths), readable for pages of every origin.
    #[must_use]
    pub fn service(&self) -> ResourceMetadataService {
        ResourceMetadataService(self.clone())
    }

    /// These paths, with the document's own exempt: for the methods of reading, preflights included.
    pub(crate) fn exempted(&self, paths: Paths) -> Paths {
        self.paths().fold(paths, |paths, path| {
            let reading = [Method::GET, Method::HEAD, Method::OPTIONS];
            paths.rule(Rule::public(path).on(reading))
        })
    }
}

impl fmt::Debug for ResourceMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResourceMetadata")
            .field(&self.url())
            .finish()
    }
}

/// Builds a [`ResourceMetadata`].
#[derive(Debug, Clone)]
#[must_use = "there is no document before `build`"]
pub struct ResourceMetadataBuilder {
    resource: String,
    authorization_servers: Vec<String>,
    scopes: Vec<String>,
    name: Option<String>,
    documentation: Option<String>,
}

impl ResourceMetadataBuilder {
    /// Names an issuer of tokens for this resource, as it names itself in `iss`; it may be called several times.
    pub fn with_authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.authorization_servers.push(issuer.into());
        self
    }

    /// Names the scopes that clients may ask for; by default none.
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Names the resource for people; by default it has no name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says where developers read about it: an https URL, or an http one on loopback. By default nowhere.
    pub fn with_documentation(mut self, url: impl Into<String>) -> Self {
        self.documentation = Some(url.into());
        self
    }

    /// Checks all addresses and writes the document.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] with the first address that is neither https nor on loopback, or has what clients would
    /// not compare or find; or with a scope that no token could carry.
    pub fn build(self) -> Result<ResourceMetadata, ConfigError> {
        let resource = Address::parse("resource", &self.resource)?;
        let path = resource.plain_path()?;
        for issuer in &self.authorization_servers {
            Address::parse("with_authorization_server", issuer)?.without_query()?;
        }
        if let Some(url) = &self.documentation {
            Address::parse("with_documentation", url)?;
        }
        if let Some(scope) = self.scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(ConfigError::Setting {
                name: "with_scopes",
                value: scope.clone(),
                problem: "a scope is one word of visible ASCII without `\"` and `\\` (RFC 6749 §3.3)",
            });
        }
        let mut paths = vec![WELL_KNOWN.to_owned()];
        if !path.is_empty() {
            paths.push(format!("{WELL_KNOWN}{path}"));
        }
        let place = paths.last().map_or(WELL_KNOWN, String::as_str);
        let url = format!("{}{place}", resource.origin());
        Ok(ResourceMetadata(Arc::new(Published {
            url,
            json: self.document().to_string().into(),
            paths,
        })))
    }

    /// What was not said is left out: an empty list would claim that there is none (RFC 9728 §3.2).
    fn document(&self) -> Value {
        let list = |texts: &[String]| (!texts.is_empty()).then(|| json!(texts));
        let members = [
            ("resource", Some(json!(self.resource))),
            ("authorization_servers", list(&self.authorization_servers)),
            ("scopes_supported", list(&self.scopes)),
            ("bearer_methods_supported", Some(json!(["header"]))),
            ("resource_name", self.name.as_ref().map(|name| json!(name))),
            (
                "resource_documentation",
                self.documentation.as_ref().map(|url| json!(url)),
            ),
        ];
        let members = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(members.collect::<Map<_, _>>())
    }
}

/// An absolute URL that clients may be sent to, in its parts as they were written.
struct Address<'a> {
    name: &'static str,
    text: &'a str,
    uri: Uri,
}

impl<'a> Address<'a> {
    fn parse(name: &'static str, text: &'a str) -> Result<Self, ConfigError> {
        let refused = |problem| {
            Err(ConfigError::Setting {
                name,
                value: text.escape_default().to_string(),
                problem,
            })
        };
        // The parser would cut it off without a word.
        if text.contains('#') {
            return refused("a fragment names nothing here: cut it off");
        }
        let Ok(uri) = text.parse::<Uri>() else {
            return refused("is no absolute URL");
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return refused("is no absolute URL");
        };
        if authority.as_str().contains('@') {
            return refused("credentials do not belong in an address that is published");
        }
        match scheme {
            "https" => {}
            "http" if is_loopback(authority.host()) => {}
            "http" => return refused("http is for loopback only: use https"),
            _ => return refused("the scheme has to be https"),
        }
        Ok(Self { name, text, uri })
    }

    fn without_query(self) -> Result<Self, ConfigError> {
        if self.text.contains('?') {
            return Err(self.refused("has no query here: cut it off"));
        }
        Ok(self)
    }

    /// The path, which can be read in one way only; empty for `/` alone (RFC 9728 §3.1).
    fn plain_path(&self) -> Result<&str, ConfigError> {
        if self.text.contains('?') {
            return Err(self.refused("a resource is named without query here: cut it off"));
        }
        let path = self.uri.path();
        if path == "/" {
            return Ok("");
        }
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        let inside = path.strip_suffix('/').unwrap_or(path);
        let inside = inside.strip_prefix('/').unwrap_or(inside);
        if inside.split('/').all(plain) {
            Ok(path)
        } else {
            Err(self.refused(
                "the path has to consist of segments of letters, digits, `-`, `.`, `_` and `~`",
            ))
        }
    }

    /// Scheme, host and port, as they were written.
    fn origin(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}")
    }

    fn refused(&self, problem: &'static str) -> ConfigError {
        ConfigError::Setting {
            name: self.name,
            value: self.text.to_owned(),
            problem,
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// Answers with a [`ResourceMetadata`] at its paths, cacheable for 5 min; elsewhere 404, and 405 to other methods.
///
/// Pages of every origin may read it, as clients in browsers have to; preflights are answered. The body of a request is
/// never read.
#[derive(Debug, Clone)]
pub struct ResourceMetadataService(ResourceMetadata);

impl ResourceMetadataService {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        let published = &*self.0.0;
        if !published.paths.iter().any(|known| known == path) {
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        // Nothing of it is secret, and nothing in it depends on who asks.
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        match *method {
            Method::GET | Method::HEAD => {
                set(header::CONTENT_TYPE, "application/json");
                set(header::CACHE_CONTROL, "public, max-age=300");
                headers.insert(header::CONTENT_LENGTH, published.json.len().into());
                if method == Method::GET {
                    *response.body_mut() = Full::new(published.json.clone());
                }
            }
            // Clients of MCP send a header of their own, for which a browser asks first.
            Method::OPTIONS => {
                set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD");
                set(header::ACCESS_CONTROL_ALLOW_HEADERS, "*");
                set(header::ACCESS_CONTROL_MAX_AGE, "86400");
                *response.status_mut() = StatusCode::NO_CONTENT;
            }
            _ => {
                set(header::ALLOW, "GET, HEAD, OPTIONS");
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            }
        }
        response
    }
}

impl<B> Service<Request<B>> for ResourceMetadataService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri().path())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_document_stands_between_host_and_path() {
        for (resource, url, paths) in [
            (
                "https://api.example",
                "https://api.example/.well-known/oauth-protected-resource",
                1,
            ),
            (
                "https://api.example/",
                "https://api.example/.well-known/oauth-protected-resource",
                1,
            ),
            (
                "https://API.example:8443/mcp",
                "https://API.example:8443/.well-known/oauth-protected-resource/mcp",
                2,
            ),
            (
                "https://api.example/v1/mcp/",
                "https://api.example/.well-known/oauth-protected-resource/v1/mcp/",
                2,
            ),
            (
                "http://localhost:8787/mcp",
                "http://localhost:8787/.well-known/oauth-protected-resource/mcp",
                2,
            ),
            (
                "http://[::1]:8787",
                "http://[::1]:8787/.well-known/oauth-protected-resource",
                1,
            ),
        ] {
            let metadata = ResourceMetadata::builder(resource).build().unwrap();
            assert_eq!(metadata.url(), url);
            assert_eq!(metadata.paths().count(), paths);
            let document: Value = serde_json::from_str(metadata.json()).unwrap();
            assert_eq!(document["resource"], resource);
            assert!(metadata.exempted(Paths::all()).compile().is_ok());
        }
    }

    #[test]
    fn an_address_that_clients_would_not_trust_or_find_is_refused() {
        for resource in [
            "",
            "/mcp",
            "api.example",
            "api.example/mcp",
            "http://api.example",
            "http://127.0.0.1.example/mcp",
            "http://0.0.0.0/mcp",
            "ftp://api.example",
            "https://",
            "https://user:secret@api.example",
            "https://api.example/mcp#tools",
            "https://api.example#",
            "https://api.example/mcp?a=b",
            "https://api.example/mcp?",
            "https://api.example//mcp",
            "https://api.example/mcp//",
            "https://api.example/a/../mcp",
            "https://api.example/%6dcp",
            "https://api.example/{room}",
            "https://api.example/*",
            "https://api.example/:room",
            "https://api.example/m p",
            "https://api.exämple/",
            "https://api.example/\r\nset-cookie: a=b",
        ] {
            let error = ResourceMetadata::builder(resource).build().unwrap_err();
            let shown = resource.escape_default().to_string();
            assert!(error.to_string().contains(&shown), "{resource}: {error}");
        }
        for issuer in ["http://id.example", "https://id.example?a=b", "id.example"] {
            let builder = ResourceMetadata::builder("https://api.example");
            let refused = builder.with_authorization_server(issuer).build();
            assert!(refused.is_err(), "{issuer}");
        }
        for scope in ["", "two words", "quo\"te", "back\\slash", "ä"] {
            let builder = ResourceMetadata::builder("https://api.example");
            assert!(builder.with_scopes([scope]).build().is_err(), "{scope}");
        }
    }

    #[test]
    fn what_was_not_said_is_left_out() {
        let least = ResourceMetadata::builder("https://api.example").build();
        assert_eq!(
            serde_json::from_str::<Value>(least.unwrap().json()).unwrap(),
            json!({ "resource": "https://api.example", "bearer_methods_supported": ["header"] })
        );
        let most = ResourceMetadata::builder("https://api.example")
            .with_authorization_server("https://a.example")
            .with_authorization_server("https://b.example/")
            .with_scopes(["read", "write"])
            .with_name("The \"API\"")
            .with_documentation("https://docs.example/?page=1")
            .build();
        assert_eq!(
            serde_json::from_str::<Value>(most.unwrap().json()).unwrap(),
            json!({
                "resource": "https://api.example",
                "authorization_servers": ["https://a.example", "https://b.example/"],
                "scopes_supported": ["read", "write"],
                "bearer_methods_supported": ["header"],
                "resource_name": "The \"API\"",
                "resource_documentation": "https://docs.example/?page=1",
            })
        );
    }
}
