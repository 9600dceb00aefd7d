//! [`Explanation`], and the table of rules: what was decided, in words.

use std::fmt;

use http::Method;

use super::{
    canonical::Oddity,
    compiled::{Cause, CompiledPaths, PathDecision},
    rules::{Access, Mode},
    tree::CompiledRule,
};
use crate::error::ConfigError;

/// A decision about a method and a path, with its reason. [Displayed](fmt::Display) as one line.
///
/// ```
/// use tower_warden::{Access, Paths};
///
/// let explanation = Paths::only(["/chat"]).explain("GET", "/help/%2e%2e/CHAT")?;
/// assert_eq!(explanation.access(), Access::Required);
/// assert_eq!(explanation.rule(), Some("/chat"));
/// assert_eq!(
///     explanation.to_string(),
///     "GET /help/%2e%2e/CHAT: protected: the path is not canonical (escape of one of / \\ . % ; ? #) \
///      and may be read as lying under `/chat`",
/// );
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Explanation {
    method: Method,
    /// The path that the client asked for, and the routed one if it differs.
    requested: Judged,
    routed: Option<Judged>,
    /// The decision that counts.
    decided: Decided,
    mode: Mode,
}

/// A path, and the decision about it.
#[derive(Debug, Clone)]
struct Judged {
    path: String,
    decided: Decided,
}

/// A decision that owns its parts.
#[derive(Debug, Clone)]
struct Decided {
    access: Access,
    rule: Option<String>,
    scopes: Vec<String>,
    cause: Cause,
}

impl Decided {
    fn new(decision: &PathDecision<'_>) -> Self {
        Self {
            access: decision.access(),
            rule: decision.rule().map(str::to_owned),
            scopes: decision.scopes().iter().map(ToString::to_string).collect(),
            cause: decision.cause,
        }
    }
}

impl Explanation {
    /// What the path asks of a request.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.decided.access
    }

    /// Whether valid credentials are required.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.decided.access == Access::Required
    }

    /// The pattern of the rule that decided, or `None` where no rule matched.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.decided.rule.as_deref()
    }

    /// The scopes that a token needs here.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.decided.scopes.iter().map(String::as_str)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method)?;
        self.requested.write(f, self.mode)?;
        if let Some(routed) = &self.routed {
            f.write_str("; routed as ")?;
            routed.write(f, self.mode)?;
        }
        match &*self.decided.scopes {
            [] => Ok(()),
            scopes => write!(f, "; a token needs `{}`", scopes.join(" ")),
        }
    }
}

impl Judged {
    fn new(path: &str, decision: &PathDecision<'_>) -> Self {
        Self {
            path: path.to_owned(),
            decided: Decided::new(decision),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, mode: Mode) -> fmt::Result {
        let Decided {
            access,
            rule,
            cause,
            ..
        } = &self.decided;
        for character in self.path.chars() {
            // A path that ends a log line early could forge the next one.
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        write!(f, ": {access}: ")?;
        match (*cause, rule) {
            (Cause::Text, Some(rule)) => write!(f, "`{rule}` matches")?,
            (Cause::Decoded, Some(rule)) => write!(f, "`{rule}` matches the decoded path")?,
            (Cause::Text | Cause::Decoded, None) => f.write_str(match mode {
                Mode::All => "no rule exempts it",
                Mode::Only => "no rule protects it",
            })?,
            (Cause::Odd(oddity), rule) => write_oddity(f, oddity, rule.as_deref(), *access)?,
            (Cause::Tangled, _) => {
                f.write_str("the path has too many readings, or one that is not UTF-8")?;
            }
        }
        Ok(())
    }
}

fn write_oddity(
    f: &mut fmt::Formatter<'_>,
    oddity: Oddity,
    rule: Option<&str>,
    access: Access,
) -> fmt::Result {
    let subject = if oddity.is_no_path() {
        "the target is no path"
    } else {
        "the path is not canonical"
    };
    write!(f, "{subject} ({oddity})")?;
    match (rule, access) {
        (Some(rule), _) => write!(f, " and may be read as lying under `{rule}`"),
        (None, Access::Required) if oddity.is_undecodable() => {
            f.write_str(": it does not decode to UTF-8")
        }
        (None, Access::Required) => Ok(()),
        (None, _) => f.write_str(", but in no reading it lies under a protected tree"),
    }
}

impl CompiledPaths {
    /// Says what is decided for a method and a path, and why. A query or fragment behind the path is cut off.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for what cannot be a method.
    pub fn explain(&self, method: &str, path: &str) -> Result<Explanation, ConfigError> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| ConfigError::Setting {
            name: "explain",
            value: method.to_owned(),
            problem: "this is no HTTP method: give one such as `GET`",
        })?;
        let path = without_query(path);
        let decision = self.decide(&method, path);
        Ok(Explanation {
            requested: Judged::new(path, &decision),
            routed: None,
            decided: Decided::new(&decision),
            mode: self.mode(),
            method,
        })
    }

    /// Explains the decision about a request whose routed path differs from the path that the client asked for.
    ///
    /// Shows the decisions about both paths; the stricter one counts. A query or fragment behind a path is cut off.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for what cannot be a method.
    ///
    /// ```
    /// use tower_warden::Paths;
    ///
    /// let paths = Paths::only(["/chat"]).compile()?;
    /// assert_eq!(
    ///     paths.explain_routed("GET", "/api/chat", "/chat")?.to_string(),
    ///     "GET /api/chat: exempt: no rule protects it; routed as /chat: protected: `/chat` matches",
    /// );
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    pub fn explain_routed(
        &self,
        method: &str,
        requested: &str,
        routed: &str,
    ) -> Result<Explanation, ConfigError> {
        let mut explanation = self.explain(method, requested)?;
        let (requested, routed) = (without_query(requested), without_query(routed));
        let method = &explanation.method;
        if requested != routed {
            explanation.routed = Some(Judged::new(routed, &self.decide(method, routed)));
            explanation.decided = Decided::new(&self.decide_routed(method, requested, routed));
        }
        Ok(explanation)
    }

    /// The rules in order of precedence, one per line, and at the end what holds for all other paths.
    ///
    /// ```
    /// use tower_warden::Paths;
    ///
    /// let paths = Paths::all().exempt("/auth/*").protect("/auth/ticket").compile()?;
    /// assert_eq!(
    ///     paths.table().to_string(),
    ///     "protected /auth/ticket and below\nexempt    /auth/*\nprotected everything else",
    /// );
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    #[must_use]
    pub fn table(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            for rule in self.tree().rules() {
                write_rule(f, rule)?;
            }
            f.write_str(match self.mode() {
                Mode::All => "protected everything else",
                Mode::Only => "exempt    everything else",
            })
        })
    }
}

fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}

fn write_rule(f: &mut fmt::Formatter<'_>, rule: &CompiledRule) -> fmt::Result {
    write!(f, "{:<9} {}", rule.access, rule.pattern.text())?;
    if rule.access == Access::Required && !rule.pattern.is_open() {
        f.write_str(" and below")?;
    }
    if let Some(methods) = &rule.methods {
        let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
        write!(f, " on {}", methods.join(", "))?;
    }
    if !rule.scopes.is_empty() {
        write!(f, " with scope `{}`", rule.scopes.join(" "))?;
    }
    writeln!(f)
}
