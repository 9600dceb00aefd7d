//! [`CompiledPaths`]: the decision about one path.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use http::Method;

use super::{
    canonical::{Form, Oddity},
    pattern::{Pattern, Reach, Tail},
    readings::readings,
    rules::{Access, Mode, Paths, Rule},
    tree::{CompiledRule, EmptySegment, Question, Tree, add_scopes},
};
use crate::error::ConfigError;

/// [`Paths`] that were checked and filed, ready to decide.
///
/// The layers hold one; it is public for services that do not go through `tower`.
///
/// ```
/// use http::Method;
/// use tower_warden::{Access, Paths};
///
/// let paths = Paths::all().exempt("/health").compile()?;
/// assert_eq!(paths.decide(&Method::GET, "/health").access(), Access::Public);
/// assert_eq!(paths.decide(&Method::GET, "/health/../chat").access(), Access::Required);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct CompiledPaths {
    mode: Mode,
    tree: Tree,
    /// Paths that are exempt as they stand, whatever the method: what a health check asks for, decided beforehand.
    plain: Box<[Box<str>]>,
    /// Every scope that a protected tree asks for. A doubtful path needs them all.
    scopes: Vec<Arc<str>>,
}

/// What was decided about one path, borrowed from the rules.
#[derive(Debug, Clone)]
pub struct PathDecision<'p> {
    pub(super) access: Access,
    pub(super) scopes: Cow<'p, [Arc<str>]>,
    pub(super) rule: Option<&'p CompiledRule>,
    pub(super) cause: Cause,
}

/// How a decision came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The path as it stands.
    Text,
    /// Another reading of the path: decoded, or its segments trimmed.
    Decoded,
    /// The path cannot be read in one way.
    Odd(Oddity),
    /// There are too many ways to read it.
    Tangled,
}

impl PathDecision<'_> {
    /// What the path asks of the request.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// The scopes that a verified token needs here, all of them. Empty where none is asked for.
    #[must_use]
    pub fn scopes(&self) -> &[Arc<str>] {
        &self.scopes
    }

    /// The pattern of the rule that decided, or `None` where no rule matched.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rule.map(|rule| rule.pattern.text())
    }
}

impl CompiledPaths {
    pub(super) fn new(paths: &Paths) -> Result<Self, ConfigError> {
        let rules = paths.rules.iter().map(|rule| compile(rule, paths.mode));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let mut required = rules
            .iter()
            .filter(|rule| rule.access == Access::Required)
            .peekable();
        if paths.mode == Mode::Only && required.peek().is_none() {
            return Err(ConfigError::Missing {
                name: "Paths::only",
                problem: "without a pattern it protects nothing: list the trees to protect, or use `Paths::all`",
            });
        }
        let mut scopes = Vec::new();
        for rule in required {
            add_scopes(&mut scopes, &rule.scopes);
        }
        let (mode, tree) = (paths.mode, Tree::new(rules));
        let plain = Box::default();
        let mut compiled = Self {
            mode,
            tree,
            plain,
            scopes,
        };
        compiled.plain = compiled.decided_beforehand(paths);
        Ok(compiled)
    }

    /// The texts of exempting patterns that are themselves paths which they exempt. Where a rule looks at the method,
    /// nothing can be said without one.
    fn decided_beforehand(&self, paths: &Paths) -> Box<[Box<str>]> {
        if paths.rules.iter().any(|rule| rule.methods.is_some()) {
            return Box::default();
        }
        let texts = paths.rules.iter().map(|rule| rule.pattern.as_str());
        texts
            .filter(|text| !text.contains(['*', '{', ':']))
            .filter(|text| self.decide(&Method::GET, text).access() == Access::Public)
            .filter(|text| self.decide(&Method::GET, text).rule().is_some())
            // Beyond that, the tree is quicker.
            .take(16)
            .map(Into::into)
            .collect()
    }

    /// Whether this path is exempt as it stands; if not, it may still be exempt, which [`decide`](Self::decide) says.
    #[inline]
    pub(crate) fn exempts_plainly(&self, method: &Method, path: &str) -> bool {
        *method != Method::CONNECT && self.plain.iter().any(|plain| **plain == *path)
    }

    /// Decides about a request by its method and its raw path, as [`http::Uri::path`] gives it.
    ///
    /// It allocates only for a path with escapes, with a dot at the end of a segment, or that is not canonical.
    #[must_use]
    pub fn decide(&self, method: &Method, path: &str) -> PathDecision<'_> {
        match Form::of(method, path) {
            Form::Plain if path.ends_with('/') => self.decide_slash(method, path),
            Form::Plain => {
                let question = Question {
                    method,
                    canonical: Some(path),
                    reading: path,
                    empty: EmptySegment::Ends,
                };
                self.settle(self.tree.find(&question), Cause::Text)
            }
            Form::Varied => self.decide_varied(method, path),
            Form::Odd(oddity) => self.decide_odd(method, path, oddity),
        }
    }

    /// Decides about a request whose routed path may differ from the path that the client asked for.
    ///
    /// Inside a `nest` of axum the routed path lacks the prefix, and a rewrite replaces it. Where the two differ, both are
    /// judged and the stricter decision counts, with the scopes of both. So an exempt path must be exempt in both forms.
    ///
    /// ```
    /// use http::Method;
    /// use tower_warden::{Access, Paths};
    ///
    /// let paths = Paths::only(["/chat"]).compile()?;
    /// assert_eq!(paths.decide_routed(&Method::GET, "/api/chat", "/chat").access(), Access::Required);
    /// assert_eq!(paths.decide_routed(&Method::GET, "/api/help", "/help").access(), Access::Public);
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn decide_routed(
        &self,
        method: &Method,
        requested: &str,
        routed: &str,
    ) -> PathDecision<'_> {
        let decision = self.decide(method, requested);
        if requested == routed {
            return decision;
        }
        decision.stricter(self.decide(method, routed))
    }

    /// A canonical path that ends in a slash: its last segment is empty.
    #[cold]
    fn decide_slash(&self, method: &Method, path: &str) -> PathDecision<'_> {
        self.decide_reading(method, Some(path), path, Cause::Text)
    }

    /// A canonical path with several readings: exempt by its raw text, and only if no reading says otherwise.
    #[cold]
    fn decide_varied(&self, method: &Method, path: &str) -> PathDecision<'_> {
        let Some(readings) = readings(path) else {
            return self.doubtful(Cause::Tangled);
        };
        let mut decisions = readings.iter().enumerate().map(|(at, reading)| {
            let cause = if at == 0 { Cause::Text } else { Cause::Decoded };
            self.decide_reading(method, Some(path), reading, cause)
        });
        let first = decisions
            .next()
            .unwrap_or_else(|| self.doubtful(Cause::Tangled));
        decisions.fold(first, PathDecision::stricter)
    }

    /// A path that is not canonical: no rule exempts it, and every reading may protect it.
    #[cold]
    fn decide_odd(&self, method: &Method, path: &str, oddity: Oddity) -> PathDecision<'_> {
        let cause = Cause::Odd(oddity);
        if oddity.is_undecodable() {
            return self.doubtful(cause);
        }
        let floor = if oddity.is_no_path() {
            Access::Required
        } else {
            self.unmatched()
        };
        let unlisted = PathDecision {
            access: floor,
            scopes: Cow::Borrowed(&[]),
            rule: None,
            cause,
        };
        if floor == Access::Required && self.scopes.is_empty() {
            return unlisted;
        }
        let Some(readings) = readings(path) else {
            return self.doubtful(Cause::Tangled);
        };
        let decisions = readings
            .iter()
            .map(|reading| self.decide_reading(method, None, reading, cause));
        decisions.fold(unlisted, PathDecision::stricter)
    }

    /// Decides about one reading. Where it has an empty segment, wildcards may match it or not, and the stricter counts.
    fn decide_reading(
        &self,
        method: &Method,
        canonical: Option<&str>,
        reading: &str,
        cause: Cause,
    ) -> PathDecision<'_> {
        let find = |empty| {
            let question = Question {
                method,
                canonical,
                reading,
                empty,
            };
            self.tree.find(&question)
        };
        let rule = find(EmptySegment::Ends);
        let decision = self.settle(rule, cause);
        // An exemption of `/docs/` names the empty segment, which is more specific than a wildcard.
        let is_named = rule.is_some_and(|rule| rule.pattern.tail() == Tail::Slash);
        if is_named || !(reading.ends_with('/') || reading.contains("//")) {
            return decision;
        }
        decision.stricter(self.settle(find(EmptySegment::Matches), cause))
    }

    /// A path without a sure reading needs all that any protected tree asks for.
    fn doubtful(&self, cause: Cause) -> PathDecision<'_> {
        PathDecision {
            access: Access::Required,
            scopes: Cow::Borrowed(&self.scopes),
            rule: None,
            cause,
        }
    }

    #[inline]
    fn settle<'p>(&'p self, rule: Option<&'p CompiledRule>, cause: Cause) -> PathDecision<'p> {
        PathDecision {
            access: rule.map_or(self.unmatched(), |rule| rule.access),
            scopes: Cow::Borrowed(rule.map_or(&[], |rule| &rule.scopes)),
            rule,
            cause,
        }
    }

    /// What a path asks for that no rule matches.
    const fn unmatched(&self) -> Access {
        match self.mode {
            Mode::All => Access::Required,
            Mode::Only => Access::Public,
        }
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) const fn tree(&self) -> &Tree {
        &self.tree
    }
}

impl<'p> PathDecision<'p> {
    /// Of two decisions the stricter one, with the scopes of both. Of two equal ones, the one that names a rule.
    fn stricter(self, other: Self) -> Self {
        let rank = |decision: &Self| (decision.access, decision.rule.is_some());
        let (mut winner, loser) = if rank(&other) > rank(&self) {
            (other, self)
        } else {
            (self, other)
        };
        if loser
            .scopes
            .iter()
            .any(|scope| !winner.scopes.contains(scope))
        {
            add_scopes(winner.scopes.to_mut(), &loser.scopes);
        }
        winner
    }
}

/// Checks one rule.
fn compile(rule: &Rule, mode: Mode) -> Result<CompiledRule, ConfigError> {
    let refuse = |problem| {
        Err(ConfigError::Pattern {
            pattern: rule.pattern.clone(),
            problem,
        })
    };
    let reach = match rule.access {
        Access::Required => Reach::Wide,
        Access::Public | Access::Optional => Reach::Narrow,
    };
    let pattern = Pattern::parse(&rule.pattern, reach)?;
    match &rule.methods {
        Some(_) if rule.access == Access::Required => {
            return refuse(
                "a protection is never narrowed to methods: protect the path, and exempt the other methods by `Rule::public(..).on(..)`",
            );
        }
        Some(methods) if methods.is_empty() => {
            return refuse(
                "the rule holds for no method: name one in `on(..)`, or leave `on(..)` out",
            );
        }
        None if rule.access == Access::Public && mode == Mode::All && pattern.is_everything() => {
            return refuse(
                "it exempts everything, so nothing is protected: name what is public, or name what is protected by `Paths::only`",
            );
        }
        _ => {}
    }
    let scopes = match &rule.scopes {
        Some(_) if rule.access == Access::Public => {
            return refuse(
                "an exempt path has no token to ask for scopes: make the rule optional or required",
            );
        }
        Some(scopes) if scopes.is_empty() => {
            return refuse(
                "the list of scopes is empty: name one in `with_scopes(..)`, or leave it out",
            );
        }
        scopes => scopes.as_deref().unwrap_or_default(),
    };
    if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
        return Err(ConfigError::Setting {
            name: "Rule::with_scopes",
            value: scope.clone(),
            problem: "a scope is one word of visible ASCII without quotes and backslashes: give several ones as several items",
        });
    }
    let mut known = HashSet::new();
    Ok(CompiledRule {
        pattern,
        access: rule.access,
        methods: rule.methods.as_deref().map(Into::into),
        scopes: scopes
            .iter()
            .filter(|scope| known.insert(*scope))
            .map(|s| Arc::from(&**s))
            .collect(),
    })
}

/// `scope-token` of [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Rule;

    /// What is decided beforehand is what would be decided anyway.
    #[test]
    fn a_plain_exemption_agrees_with_the_decision() {
        let paths = Paths::all()
            .exempt("/health")
            .exempt("/")
            .exempt("/docs/")
            .exempt("/auth/*")
            .exempt("/users/{id}")
            .exempt("/mine")
            .protect("/mine")
            .optional("/feed");
        let compiled = paths.compile().unwrap();
        assert_eq!(compiled.plain.len(), 3, "{:?}", compiled.plain);
        let narrowed = paths.clone().rule(Rule::public("/x").on([Method::GET]));
        assert!(narrowed.compile().unwrap().plain.is_empty());
        let connect = Method::CONNECT;
        for path in [
            "/health",
            "/",
            "/docs/",
            "/docs",
            "/auth/*",
            "/auth/a",
            "/users/{id}",
            "/mine",
            "/feed",
            "//health",
            "/HEALTH",
            "/health/",
            "",
        ] {
            for method in [Method::GET, Method::POST, Method::OPTIONS, connect.clone()] {
                if compiled.exempts_plainly(&method, path) {
                    let decided = compiled.decide(&method, path).access();
                    assert_eq!(decided, Access::Public, "{method} {path}");
                }
            }
        }
        assert!(compiled.exempts_plainly(&Method::GET, "/health"));
        assert!(!compiled.exempts_plainly(&connect, "/health"));
    }
}
