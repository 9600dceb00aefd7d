//! [`Paths`], [`Rule`] and [`Access`]: what the application says about its paths.

use std::fmt;

use http::Method;

use super::{compiled::CompiledPaths, explain::Explanation};
use crate::error::ConfigError;

/// What a path asks of a request. Ordered by strictness, so the greater one wins a tie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Nothing: credentials are not even looked at.
    Public,
    /// Nothing, but credentials that come are verified, and bad ones are refused.
    ///
    /// Without any the request is anonymous: the inner service finds no [`Principal`](crate::Principal), not even one
    /// that another layer outside put there. Who asks is for the layer to say whose rule this is.
    Optional,
    /// Valid credentials.
    Required,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Public => "exempt",
            Self::Optional => "optional",
            Self::Required => "protected",
        })
    }
}

/// One pattern and what it asks for: the long form of [`Paths::exempt`], [`Paths::optional`] and [`Paths::protect`].
///
/// ```
/// use http::Method;
/// use tower_warden::{Paths, Rule};
///
/// let paths = Paths::all()
///     .rule(Rule::public("/posts/**").on([Method::GET, Method::HEAD]))
///     .rule(Rule::required("/admin").with_scopes(["admin"]));
/// assert_eq!(paths.explain("GET", "/posts/1")?.to_string(), "GET /posts/1: exempt: `/posts/**` matches");
/// assert!(paths.explain("DELETE", "/posts/1")?.is_protected());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Rule {
    pub(super) pattern: String,
    pub(super) access: Access,
    pub(super) methods: Option<Vec<Method>>,
    pub(super) scopes: Option<Vec<String>>,
}

impl Rule {
    /// Exempts what matches the pattern exactly, letter case included.
    pub fn public(pattern: impl Into<String>) -> Self {
        Self::new(pattern, Access::Public)
    }

    /// Makes credentials optional for what matches the pattern exactly, letter case included.
    pub fn optional(pattern: impl Into<String>) -> Self {
        Self::new(pattern, Access::Optional)
    }

    /// Protects what matches the pattern, in any letter case, and everything below it.
    pub fn required(pattern: impl Into<String>) -> Self {
        Self::new(pattern, Access::Required)
    }

    fn new(pattern: impl Into<String>, access: Access) -> Self {
        Self {
            pattern: pattern.into(),
            access,
            methods: None,
            scopes: None,
        }
    }

    /// Narrows an exempt or optional rule to these methods; by default it holds for all. `HEAD` is not `GET`.
    ///
    /// A protection is never narrowed: that is a [`ConfigError::Pattern`] when the paths are compiled.
    pub fn on(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// Asks for all of these scopes ([RFC 6749 §3.3]); by default none is needed.
    ///
    /// On an optional rule they bind a request that carries credentials. Only the rule that decides counts: a more
    /// specific rule does not inherit the scopes of a wider one. Rules of the same pattern add theirs up.
    ///
    /// [RFC 6749 §3.3]: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }
}

/// What a path means when no rule matches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    All,
    Only,
}

/// Which paths need credentials. By default [all](Self::all) of them do.
///
/// # Patterns
///
/// | segment | stands for |
/// | --- | --- |
/// | `chat` | itself |
/// | `*`, `{name}`, `:name` | one segment; a protection also matches an empty one |
/// | `**`, `{*rest}`, `:rest*` | any rest, also none; last segment only |
/// | `:rest+` | a rest of one or more segments; last segment only |
///
/// A pattern begins with `/`. Letters, digits and `-._~!&',=@` stand for themselves; regular expressions, percent
/// escapes, characters beyond ASCII and wildcards for a part of a segment are refused when the paths are compiled.
///
/// # Protecting widens, exempting narrows
///
/// - A **protected** pattern covers its whole subtree, ignores the case of letters and is compared with every reading of
///   the path. `/chat` protects `/chat`, `/chat/`, `/Chat/room`, `/%63hat`, `/chat.` and `/chat%20`. `/users/{id}/keys`
///   protects `/users//keys`, and `/users/{id}` protects `/users/`.
/// - An **exempt** or **optional** pattern is compared exactly, with the text as it was sent: `/health` exempts neither
///   `/health/` nor `/Health`. A trailing `/*` there means one or more whole segments; so `/auth/*` exempts
///   `/auth/login` and `/auth/login/github`, but neither `/auth` nor `/auth/`.
///
/// # Which rule wins
///
/// The most specific one: segment by segment from the left a literal beats a wildcard for one segment, that beats the
/// end of the pattern, and that beats a rest. On a tie the stricter rule wins, in whatever order they were given. A path
/// with an empty segment is judged twice, with wildcards that match it and with wildcards that do not, and the stricter
/// decision counts. Only an exemption that names the slash at the end, such as `/users/`, beats `/users/{id}` there.
///
/// # Security
///
/// Only a **canonical** path is ever exempt or optional: one that begins with `/` and has no empty or dot segment, no
/// `\`, no `;`, no control byte or byte beyond ASCII, no broken escape, and no escape of `/ \ . % ; ? #`, of a control
/// byte or of what is not UTF-8. Any other path is protected. With [`only`](Self::only) it is protected if any reading
/// of it lies under a protected tree. The readings are the path decoded, its dots resolved, its slashes merged, its
/// parameters cut, the dots and blanks at the ends of its segments dropped, and each `../` deleted in one pass, in every
/// order.
///
/// Three kinds of targets are protected in either mode:
/// - a path that does not decode to UTF-8, also in its second decoding: `/a%`, `/a%u002e`, `/a%c0%ae`, `/a%25`;
/// - a path with more than 12 readings, or with several readings and more than 4 KiB;
/// - the target `*`, and that of `CONNECT`.
///
/// The first two need the scopes of every protected rule. Query, fragment and headers never decide.
///
/// Inside a `nest` of axum, and behind a rewrite, the routed path is not the one that the client asked for. The layers
/// judge both, and the stricter decision counts: a rule protects by either form, and an exempt path must be exempt in
/// both. Write `.exempt("/api/health").exempt("/health")` for a layer inside `nest("/api", …)`, or mount the layer
/// outside of it.
///
/// ```
/// use tower_warden::Paths;
///
/// let paths = Paths::all().exempt("/auth/*").protect("/auth/ticket");
/// assert!(!paths.explain("POST", "/auth/login")?.is_protected());
/// assert!(paths.explain("POST", "/auth/ticket")?.is_protected());
/// assert_eq!(
///     paths.explain("GET", "/auth/../chat")?.to_string(),
///     "GET /auth/../chat: protected: the path is not canonical (dot segment)",
/// );
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Paths {
    pub(super) mode: Mode,
    pub(super) rules: Vec<Rule>,
}

impl Paths {
    /// Protects everything except what is exempt. This is the default.
    pub const fn all() -> Self {
        Self {
            mode: Mode::All,
            rules: Vec::new(),
        }
    }

    /// Protects only these trees; everything else is public.
    ///
    /// What is forgotten here stands open, so prefer [`all`](Self::all) wherever the exempt paths can be listed.
    ///
    /// ```
    /// use tower_warden::Paths;
    ///
    /// let paths = Paths::only(["/chat/:path*", "/stop/:path*"]);
    /// assert!(paths.explain("GET", "/chat")?.is_protected());
    /// assert!(paths.explain("GET", "//chat/room")?.is_protected());
    /// assert!(!paths.explain("GET", "/chatter")?.is_protected());
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    pub fn only(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            mode: Mode::Only,
            rules: patterns.into_iter().map(Rule::required).collect(),
        }
    }

    /// Adds [`Rule::public`].
    pub fn exempt(self, pattern: impl Into<String>) -> Self {
        self.rule(Rule::public(pattern))
    }

    /// Adds [`Rule::required`].
    pub fn protect(self, pattern: impl Into<String>) -> Self {
        self.rule(Rule::required(pattern))
    }

    /// Adds [`Rule::optional`].
    pub fn optional(self, pattern: impl Into<String>) -> Self {
        self.rule(Rule::optional(pattern))
    }

    /// Adds a rule. The order of rules does not matter.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Checks the rules and files them for fast decisions. The layers do this when they are built.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Pattern`] for a pattern outside the dialect, a protection narrowed to methods, an exemption that
    /// asks for scopes, and an exemption from [`all`](Self::all) that leaves nothing protected;
    /// [`ConfigError::Missing`] for [`only`](Self::only) without a pattern; [`ConfigError::Setting`] for a scope that
    /// no token can carry.
    pub fn compile(&self) -> Result<CompiledPaths, ConfigError> {
        CompiledPaths::new(self)
    }

    /// Explains the decision about a method and a path. A query or fragment behind the path is cut off.
    ///
    /// [`CompiledPaths::explain_routed`] explains it where another path is routed.
    ///
    /// # Errors
    ///
    /// Those of [`compile`](Self::compile), and [`ConfigError::Setting`] for what cannot be a method.
    pub fn explain(&self, method: &str, path: &str) -> Result<Explanation, ConfigError> {
        self.compile()?.explain(method, path)
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self::all()
    }
}
