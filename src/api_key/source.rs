//! [`ApiKeyHeader`]: `X-API-Key: <key>`.

use http::{HeaderName, request::Parts};

use crate::{BearerToken, ConfigError, Glance, HeadRef, MalformedCredentials, TokenSource};

/// The API key of a header, `X-API-Key` unless it is told otherwise.
///
/// One line of visible ASCII; an empty or second line is refused. The header is taken off the request before the inner
/// service sees it: a key is good for years, and nobody behind has a use for it.
///
/// ```
/// use http::Request;
/// use tower_warden::{ApiKeyHeader, HeadRef, MalformedCredentials, TokenSource};
///
/// let source = ApiKeyHeader::default();
/// let (good, ()) = Request::get("/").header("x-api-key", "tw_a_b_c").body(())?.into_parts();
/// assert_eq!(source.extract(HeadRef::from(&good)).unwrap().unwrap().expose(), "tw_a_b_c");
///
/// let two = Request::get("/").header("x-api-key", "tw_a_b_c").header("x-api-key", "tw_a_b_c");
/// let (two, ()) = two.body(())?.into_parts();
/// assert_eq!(source.extract(HeadRef::from(&two)).unwrap_err(), MalformedCredentials::Repeated);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeyHeader(HeaderName);

impl ApiKeyHeader {
    /// Another header than `X-API-Key`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for what is no header's name.
    pub fn named(name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let name = name.as_ref();
        match HeaderName::try_from(name) {
            Ok(name) => Ok(Self(name)),
            Err(_) => Err(ConfigError::Setting {
                name: "ApiKeyHeader::named",
                value: name.escape_default().to_string(),
                problem: "the name of a header consists of letters, digits and !#$%&'*+-.^_`|~",
            }),
        }
    }
}

impl Default for ApiKeyHeader {
    fn default() -> Self {
        Self(HeaderName::from_static("x-api-key"))
    }
}

impl TokenSource for ApiKeyHeader {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        let mut lines = head.headers.get_all(&self.0).iter();
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        if lines.next().is_some() {
            return Err(MalformedCredentials::Repeated);
        }
        match line.to_str() {
            Ok(text) if !text.is_empty() => Ok(Some(BearerToken::new(text))),
            _ => Err(MalformedCredentials::Unreadable),
        }
    }

    fn glance<'r>(&self, head: HeadRef<'r>) -> Glance<'r> {
        if head.headers.contains_key(&self.0) {
            Glance::Unclear
        } else {
            Glance::Nothing
        }
    }

    fn places(&self) -> Vec<String> {
        vec![format!("header {}", self.0)]
    }

    fn header(&self) -> Option<HeaderName> {
        Some(self.0.clone())
    }

    fn name(&self) -> &'static str {
        "api_key"
    }

    fn conceal(&self, head: &mut Parts) {
        head.headers.remove(&self.0);
    }
}
