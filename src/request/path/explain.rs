//! [`Explanation`], and the table of rules: what was decided, in words.

use std::fmt;

use http::Method;

use super::{
    canonical::Oddity,
    compiled::{Cause, CompiledPaths},
    rules::{Access, Mode},
    tree::CompiledRule,
};
use crate::error::ConfigError;

/// What was decided about a method and a path, and why. [Displayed](fmt::Display) as one line.
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
    path: String,
    access: Access,
    rule: Option<String>,
    scopes: Vec<String>,
    cause: Cause,
    mode: Mode,
}

impl Explanation {
    /// What the path asks of a request.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Whether valid credentials are required.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.access == Access::Required
    }

    /// The pattern of the rule that decided, or `None` where no rule matched.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// The scopes that a token needs here.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method)?;
        for character in self.path.chars() {
            // A path that ends a log line early could forge the next one.
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        write!(f, ": {}: ", self.access)?;
        match (self.cause, &self.rule) {
            (Cause::Text, Some(rule)) => write!(f, "`{rule}` matches")?,
            (Cause::Decoded, Some(rule)) => write!(f, "`{rule}` matches the decoded path")?,
            (Cause::Text | Cause::Decoded, None) => f.write_str(match self.mode {
                Mode::All => "no rule exempts it",
                Mode::Only => "no rule protects it",
            })?,
            (Cause::Odd(oddity), rule) => write_oddity(f, oddity, rule.as_deref(), self.access)?,
            (Cause::Tangled, _) => f.write_str("there are too many ways to read the path")?,
        }
        match &*self.scopes {
            [] => Ok(()),
            scopes => write!(f, "; a token needs `{}`", scopes.join(" ")),
        }
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
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let decision = self.decide(&method, path);
        Ok(Explanation {
            path: path.to_owned(),
            access: decision.access(),
            rule: decision.rule().map(str::to_owned),
            scopes: decision.scopes().iter().map(ToString::to_string).collect(),
            cause: decision.cause,
            mode: self.mode(),
            method,
        })
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
