//! [`ResourceBinding`]: a token for one agent opens that agent only.

use std::borrow::Cow;

use http::request::Parts;

use crate::{
    ClaimPath, ConfigError, CredentialKind, Principal, RejectionKind, VerifiedToken,
    request::{Found, PathTemplate, requested, source::pairs},
};

/// Ties what a token says to the resource that the request names.
///
/// A *path* binding holds for the paths of its pattern and all that lies beneath them, letters of either case; others
/// are not its business, so a route that leaves a segment out needs a binding of its own. A path that can be read in
/// two ways is refused wherever it seems to lead. So is a path with an empty segment in the place of a parameter.
/// Parameters are compared decoded, byte by byte.
///
/// Where axum's `OriginalUri` and the URI differ (inside a `nest`, behind a rewrite), both paths are read. If they name
/// different resources, the request is refused.
///
/// A *query* binding holds for the requests that carry the parameter; twice in one query, it is refused.
///
/// A token whose claim is another one, of another type or missing is answered 403 `wrong_resource`. Where the claim is
/// an array, one of its strings has to be the resource.
///
/// An API key has no claims but `sub`, so a binding of any other claim refuses it. A connection token needs a binding for
/// each of its claims; [`TokenIssuer::connection_token`](crate::TokenIssuer::connection_token) says more. Neither is
/// affected by [`when_present`](Self::when_present).
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden::{JwtAuthLayer, ResourceBinding, SigningKey, TokenIssuer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = "0123456789abcdef0123456789abcdef";
/// let auth = JwtAuthLayer::hs256(secret)?
///     .with_resource_binding(
///         ResourceBinding::path("/agents/{agent}/{room}").claim("agent", "agent").claim("room", "room"),
///     )
///     .with_resource_binding(ResourceBinding::query("userId").subject())
///     .build()?;
/// let service = auth.layer(service_fn(async |_: Request<String>| {
///     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// }));
///
/// let issuer = TokenIssuer::builder(SigningKey::hs256(secret)?).build()?;
/// let token = issuer.mint("alice").with_claim("agent", "helper").with_claim("room", "r1").sign()?;
/// for (path, status) in [
///     ("/agents/helper/r1", 200),
///     ("/agents/helper/r1?userId=alice", 200),
///     ("/agents/helper/r2", 403),
///     ("/agents/other/r1", 403),
///     ("//agents/helper/r1", 403),
///     ("/agents/helper/r1?userId=bob", 403),
/// ] {
///     let request = Request::get(path)
///         .header("authorization", format!("Bearer {}", token.expose()))
///         .body(String::new())?;
///     assert_eq!(service.clone().oneshot(request).await?.status(), status, "{path}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a binding holds once a layer has it"]
pub struct ResourceBinding {
    place: Place,
    ties: Vec<Tie>,
    unbound: Unbound,
    failure: Option<ConfigError>,
}

/// Where the request names its resource.
#[derive(Debug)]
enum Place {
    Path(PathTemplate),
    Query(String),
    /// Nowhere: the failure says why.
    Broken,
}

/// What of the token has to be the resource.
#[derive(Debug)]
enum Tie {
    Claim { path: ClaimPath, parameter: usize },
    Audience(Pattern),
}

/// What becomes of a token that is bound to no resource at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unbound {
    Refused,
    Admitted,
}

impl ResourceBinding {
    /// Binds the parameters of these paths: `/agents/{agent}/{room}`, in the dialect of [`Paths`](crate::Paths),
    /// without wildcards that have no name.
    pub fn path(pattern: impl AsRef<str>) -> Self {
        match PathTemplate::parse(pattern.as_ref()) {
            Ok(template) => Self::new(Place::Path(template)),
            Err(error) => Self::new(Place::Broken).failed(error),
        }
    }

    /// Binds a query parameter, wherever it comes; it is read as forms are.
    pub fn query(name: impl Into<String>) -> Self {
        let name = name.into();
        if pairs::is_plain_name(&name) {
            return Self::new(Place::Query(name));
        }
        Self::new(Place::Broken).failed(ConfigError::Setting {
            name: "ResourceBinding::query",
            value: name,
            problem: "a parameter's name consists of letters, digits, `-`, `.`, `_` and `~`",
        })
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            ties: Vec::new(),
            unbound: Unbound::Refused,
            failure: None,
        }
    }

    /// Demands that this claim is the parameter of that name.
    pub fn claim(mut self, claim: impl Into<ClaimPath>, parameter: &str) -> Self {
        let path = claim.into();
        if !path.is_complete() {
            return self.failed(ConfigError::Setting {
                name: "ResourceBinding::claim",
                value: format!("{path:?}"),
                problem: "each step of the path needs a name",
            });
        }
        match self.parameter(parameter) {
            Some(parameter) => self.ties.push(Tie::Claim { path, parameter }),
            None => return self.unknown("ResourceBinding::claim", parameter),
        }
        self
    }

    /// Demands that the only parameter is the token's subject.
    pub fn subject(self) -> Self {
        let name = match &self.place {
            Place::Path(template) => match template.names() {
                [name] => name.to_string(),
                names => {
                    let value = names.join(", ");
                    return self.failed(ConfigError::Setting {
                        name: "ResourceBinding::subject",
                        value,
                        problem: "there is not exactly one parameter: name it by `claim(\"sub\", ..)`",
                    });
                }
            },
            Place::Query(name) => name.clone(),
            Place::Broken => return self,
        };
        self.claim("sub", &name)
    }

    /// Demands that one of the token's audiences is this text, with the parameters in their places: `agent:{agent}`.
    ///
    /// The text is read in one way only: behind each parameter but the last stands something, and a value that holds
    /// the first character of it is refused.
    pub fn audience(mut self, pattern: &str) -> Self {
        match Pattern::parse(pattern, |name| self.parameter(name)) {
            Ok(pattern) => self.ties.push(Tie::Audience(pattern)),
            Err(problem) if !matches!(self.place, Place::Broken) => {
                return self.failed(ConfigError::Setting {
                    name: "ResourceBinding::audience",
                    value: pattern.to_owned(),
                    problem,
                });
            }
            Err(_) => {}
        }
        self
    }

    /// Lets tokens pass that are bound to nothing: those without the claim, or without an audience that begins as the
    /// pattern does. By default they are refused.
    ///
    /// API keys and connection tokens that lack the claim are refused in either case.
    pub fn when_present(mut self) -> Self {
        self.unbound = Unbound::Admitted;
        self
    }

    /// The place of a parameter among all of them.
    fn parameter(&self, name: &str) -> Option<usize> {
        match &self.place {
            Place::Path(template) => template.names().iter().position(|known| **known == *name),
            Place::Query(known) => (known == name).then_some(0),
            // The first failure is the one to tell of.
            Place::Broken => Some(0),
        }
    }

    fn unknown(self, setting: &'static str, parameter: &str) -> Self {
        self.failed(ConfigError::Setting {
            name: setting,
            value: parameter.to_owned(),
            problem: "there is no such parameter: name one of the pattern",
        })
    }

    fn failed(mut self, error: ConfigError) -> Self {
        self.failure.get_or_insert(error);
        self
    }

    /// Says what is wrong with it, before any request does.
    pub(crate) fn checked(mut self) -> Result<Self, ConfigError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.ties.is_empty() {
            return Err(ConfigError::Missing {
                name: "ResourceBinding",
                problem: "say what the resource has to equal: `claim`, `audience` or `subject`",
            });
        }
        Ok(self)
    }

    /// Whether the principal's token is for what the request asks for.
    pub(crate) fn check(&self, principal: &Principal, head: &Parts) -> Result<(), RejectionKind> {
        let Some(values) = self.resource(head)? else {
            return Ok(());
        };
        // A key or a connection token outlives the handler that made it, so the absence of a claim is no permission.
        let admits_unbound = self.unbound == Unbound::Admitted
            && !matches!(
                principal.credential_kind(),
                CredentialKind::ApiKey | CredentialKind::ConnectionToken
            );
        let token = principal.token();
        let bound = self.ties.iter().all(|tie| match tie.holds(token, &values) {
            Some(holds) => holds,
            None => admits_unbound,
        });
        bound.then_some(()).ok_or(RejectionKind::ResourceMismatch)
    }

    /// Returns whether the token has something that this binding ties to a resource, other than its subject.
    pub(crate) fn binds(&self, token: &VerifiedToken) -> bool {
        self.ties.iter().any(|tie| tie.binds(token))
    }

    /// Returns whether this binding compares that top-level claim.
    pub(crate) fn compares(&self, name: &str) -> bool {
        self.claims().any(|path| *path == ClaimPath::new([name]))
    }

    /// Returns whether the request names a resource of this binding.
    pub(crate) fn concerns(&self, head: &Parts) -> bool {
        matches!(self.resource(head), Ok(Some(_)))
    }

    /// Returns the claims that this binding compares.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        self.ties.iter().filter_map(|tie| match tie {
            Tie::Claim { path, .. } => Some(path),
            Tie::Audience(_) => None,
        })
    }

    /// Whether a newer token of a connection is for the same resource as the present one. Which one that was the request
    /// has said, long ago: so what ties a token has to be the same in both.
    pub(crate) fn check_renewal(
        &self,
        present: &VerifiedToken,
        next: &VerifiedToken,
    ) -> Result<(), RejectionKind> {
        let same = self.ties.iter().all(|tie| tie.is_same(present, next));
        same.then_some(()).ok_or(RejectionKind::ResourceMismatch)
    }

    /// The parameters of a request that is the business of this binding.
    fn resource<'r>(&self, head: &'r Parts) -> Result<Option<Vec<Cow<'r, str>>>, RejectionKind> {
        match &self.place {
            Place::Path(template) => {
                let requested = requested(&head.extensions, &head.uri);
                match template.find_routed(requested, &head.uri) {
                    Found::Here(values) => Ok(Some(values)),
                    Found::Elsewhere => Ok(None),
                    Found::Doubtful => Err(RejectionKind::ResourceMismatch),
                }
            }
            Place::Query(name) => match pairs::single(head.uri.query(), name) {
                Ok(found) => Ok(found.map(|value| vec![value])),
                Err(pairs::Unreadable) => Err(RejectionKind::ResourceMismatch),
            },
            Place::Broken => Err(RejectionKind::Misconfigured),
        }
    }
}

impl Tie {
    /// Whether it ties the next token to whatever it ties the present one to.
    fn is_same(&self, present: &VerifiedToken, next: &VerifiedToken) -> bool {
        match self {
            Self::Claim { path, .. } => present.claim_value(path) == next.claim_value(path),
            Self::Audience(pattern) => {
                let near = |found: &&str| found.starts_with(pattern.beginning());
                let bound = |token: &VerifiedToken| token.audiences().any(|found| near(&found));
                bound(present) == bound(next)
                    && present
                        .audiences()
                        .filter(near)
                        .all(|held| next.audiences().any(|found| found == held))
            }
        }
    }

    /// Returns whether the token has what this tie compares. Every token has a subject, so that one does not count.
    fn binds(&self, token: &VerifiedToken) -> bool {
        match self {
            Self::Claim { path, .. } => {
                *path != ClaimPath::new(["sub"]) && token.claim_value(path).is_some()
            }
            Self::Audience(pattern) => {
                let mut audiences = token.audiences();
                audiences.any(|found| found.starts_with(pattern.beginning()))
            }
        }
    }

    /// Whether the token is for this resource, or `None` if it is for none at all.
    fn holds(&self, token: &VerifiedToken, values: &[Cow<'_, str>]) -> Option<bool> {
        match self {
            Self::Claim { path, parameter } => match values.get(*parameter) {
                Some(wanted) => token.claim_holds(path, wanted),
                None => Some(false),
            },
            Self::Audience(pattern) => {
                let wanted = pattern.fill(values);
                let mut near = token
                    .audiences()
                    .filter(|found| found.starts_with(pattern.beginning()))
                    .peekable();
                near.peek()?;
                Some(wanted.is_some_and(|wanted| near.any(|found| found == wanted)))
            }
        }
    }
}

/// A text with parameters in it, such as `agent:{agent}`.
#[derive(Debug)]
struct Pattern(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Literal(Box<str>),
    Parameter(usize),
}

impl Pattern {
    fn parse(text: &str, parameter: impl Fn(&str) -> Option<usize>) -> Result<Self, &'static str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('{') {
                let (name, behind) = inner.split_once('}').ok_or("a `{` without its `}`")?;
                let place = parameter(name)
                    .ok_or("there is no such parameter: name one of the pattern's own")?;
                if let Some(Piece::Parameter(_)) = pieces.last() {
                    return Err("two parameters in a row: put a separator between them");
                }
                pieces.push(Piece::Parameter(place));
                rest = behind;
            } else {
                let (literal, behind) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
                if literal.contains('}') {
                    return Err("a `}` without its `{`");
                }
                pieces.push(Piece::Literal(literal.into()));
                rest = behind;
            }
        }
        if pieces.is_empty() {
            return Err("an audience has a name");
        }
        Ok(Self(pieces))
    }

    /// What stands before the first parameter.
    fn beginning(&self) -> &str {
        match self.0.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// The text with these values, or `None` if other values give the same text.
    fn fill(&self, values: &[Cow<'_, str>]) -> Option<String> {
        let mut text = String::new();
        let mut pieces = self.0.iter().peekable();
        let last = self
            .0
            .iter()
            .rposition(|piece| matches!(piece, Piece::Parameter(_)));
        let mut at = 0;
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Parameter(place) => {
                    let value = values.get(*place)?;
                    // Without its separator in it, a value ends at the first one; the last value ends with the text.
                    if let Some(Piece::Literal(separator)) = pieces.peek()
                        && last != Some(at)
                        && value.contains(separator.chars().next()?)
                    {
                        return None;
                    }
                    text.push_str(value);
                }
            }
            at += 1;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fill(pattern: &str, values: &[&str]) -> Option<String> {
        let names = ["agent", "room"];
        let pattern =
            Pattern::parse(pattern, |name| names.iter().position(|it| *it == name)).unwrap();
        let values: Vec<_> = values.iter().map(|it| Cow::Borrowed(*it)).collect();
        pattern.fill(&values)
    }

    #[test]
    fn an_audience_names_one_resource_only() {
        for (pattern, values, expected) in [
            ("agent:{agent}", ["a", "r"], Some("agent:a")),
            ("agent:{agent}", ["a:b", "r"], Some("agent:a:b")),
            ("{agent}/{room}", ["a", "r/s"], Some("a/r/s")),
            ("{agent}/{room}", ["a/r", "s"], None),
            ("{agent}::{room}", ["a:", "s"], None),
            ("x{room}-{agent}-y", ["a", "r"], Some("xr-a-y")),
            ("fixed", ["a", "r"], Some("fixed")),
        ] {
            assert_eq!(
                fill(pattern, &values).as_deref(),
                expected,
                "{pattern} {values:?}"
            );
        }
    }

    #[test]
    fn a_binding_that_binds_nothing_is_refused_before_it_serves() {
        for (binding, hint) in [
            (ResourceBinding::path("/agents/{agent}"), "claim"),
            (ResourceBinding::path("/agents/*").subject(), "`/agents/*`"),
            (
                ResourceBinding::path("/agents/{agent}").claim("agent", "room"),
                "`room`",
            ),
            (
                ResourceBinding::path("/agents/{agent}").claim("a..b", "agent"),
                "step",
            ),
            (
                ResourceBinding::path("/agents/{agent}/{room}").subject(),
                "agent, room",
            ),
            (
                ResourceBinding::path("/agents/{agent}").audience("{room}"),
                "{room}",
            ),
            (
                ResourceBinding::path("/a/{agent}/{room}").audience("{agent}{room}"),
                "separator",
            ),
            (
                ResourceBinding::path("/a/{agent}").audience("{agent"),
                "without",
            ),
            (
                ResourceBinding::path("/a/{agent}").audience("agent}"),
                "without",
            ),
            (ResourceBinding::path("/a/{agent}").audience(""), "name"),
            (ResourceBinding::query("user id").subject(), "`user id`"),
            (ResourceBinding::query("userId").when_present(), "claim"),
        ] {
            let error = binding.checked().unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
