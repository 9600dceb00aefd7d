//! [`PathTemplate`]: which resource a path names, read with the same doubts as the paths that are guarded.

use std::{borrow::Cow, ptr};

use http::{Method, Uri};

use super::{
    canonical::{Form, escaped_byte},
    pattern::{Pattern, Reach},
    readings::trim,
};
use crate::error::ConfigError;

/// A pattern whose wildcards have names, such as `/agents/{agent}/{room}`.
///
/// As every pattern that protects, it covers its whole subtree and ignores the case of its literal segments. Parameters
/// are decoded once; what may be read in two ways is read in none.
#[derive(Debug, Clone)]
pub(crate) struct PathTemplate {
    segments: Box<[Segment]>,
    names: Box<[Box<str>]>,
}

#[derive(Debug, Clone)]
enum Segment {
    Literal(Box<str>),
    Parameter,
}

/// What a template finds in a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'r> {
    /// The path lies elsewhere.
    Elsewhere,
    /// The path is not canonical: nobody knows where it lies.
    Doubtful,
    /// The values of the parameters, in the order of their names.
    Here(Vec<Cow<'r, str>>),
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Pattern`] for whatever the dialect of paths does not know, and for wildcards without a name of
    /// their own.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        Pattern::parse(text, Reach::Wide)?;
        Self::read(text).map_err(|problem| ConfigError::Pattern {
            pattern: text.to_owned(),
            problem,
        })
    }

    /// Reads what the dialect has accepted already.
    fn read(text: &str) -> Result<Self, &'static str> {
        let mut segments = Vec::new();
        let mut names: Vec<Box<str>> = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty()) {
            let name = match part.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
                Some(name) => Some(name),
                None => part.strip_prefix(':'),
            };
            match name {
                Some(name) if !name.contains(['*', '+']) => {
                    if names.iter().any(|known| **known == *name) {
                        return Err("a parameter named twice: give each its own name");
                    }
                    names.push(name.into());
                    segments.push(Segment::Parameter);
                }
                None if !part.contains('*') => segments.push(Segment::Literal(part.into())),
                None if part == "*" => {
                    return Err("a wildcard without a name: write `{name}`");
                }
                _ => {
                    return Err(
                        "a rest names no resource: leave it out, whatever lies beneath is covered",
                    );
                }
            }
        }
        Ok(Self {
            segments: segments.into(),
            names: names.into(),
        })
    }

    /// The names of the parameters, in their order.
    pub(crate) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Finds the parameters of a request in the path that the client asked for and in the path that is routed.
    ///
    /// Where the paths differ, both are read. Two paths that name different resources are [`Found::Doubtful`].
    pub(crate) fn find_routed<'r>(&self, requested: &'r Uri, routed: &'r Uri) -> Found<'r> {
        let found = self.find(requested.path());
        if ptr::eq(requested, routed) || requested.path() == routed.path() {
            return found;
        }
        match (found, self.find(routed.path())) {
            (Found::Elsewhere, found) | (found, Found::Elsewhere) => found,
            (found, other) if found == other => found,
            _ => Found::Doubtful,
        }
    }

    /// Finds the parameters in a raw path.
    pub(crate) fn find<'r>(&self, path: &'r str) -> Found<'r> {
        // The method decides nothing here: an extended `CONNECT` has a path, and a plain one has none that is
        // canonical.
        if matches!(Form::of(&Method::GET, path), Form::Odd(_)) {
            return Found::Doubtful;
        }
        let mut values = Vec::with_capacity(self.names.len());
        let mut parts = path.split('/').skip(1);
        for segment in &self.segments {
            let Some(part) = parts.next() else {
                return Found::Elsewhere;
            };
            let Some(part) = decode(part) else {
                return Found::Doubtful;
            };
            match segment {
                Segment::Literal(text) if text.eq_ignore_ascii_case(&part) => {}
                Segment::Literal(text) if text.eq_ignore_ascii_case(trim(&part)) => {
                    return Found::Doubtful;
                }
                Segment::Literal(_) => return Found::Elsewhere,
                // Some routers match an empty segment, and it names nothing.
                Segment::Parameter if part.is_empty() => return Found::Doubtful,
                Segment::Parameter => values.push(part),
            }
        }
        Found::Here(values)
    }
}

/// A segment of a canonical path without its escapes.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let (byte, behind) = match byte {
            b'%' => escaped_byte(behind)?,
            byte => (byte, behind),
        };
        decoded.push(byte);
        rest = behind;
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn found(template: &str, path: &str) -> Found<'static> {
        match PathTemplate::parse(template).unwrap().find(path) {
            Found::Elsewhere => Found::Elsewhere,
            Found::Doubtful => Found::Doubtful,
            Found::Here(values) => Found::Here(
                values
                    .into_iter()
                    .map(|it| Cow::Owned(it.into_owned()))
                    .collect(),
            ),
        }
    }

    #[test]
    fn a_resource_is_read_in_one_way_or_not_at_all() {
        let here = |values: [&str; 2]| Found::Here(values.map(|it| it.to_owned().into()).to_vec());
        for (path, expected) in [
            ("/agents/a/r1", here(["a", "r1"])),
            ("/AGENTS/a/r1", here(["a", "r1"])),
            ("/agents/A/r1/get-messages", here(["A", "r1"])),
            ("/agents/a/r1/", here(["a", "r1"])),
            ("/agents/vic%74im/r%201", here(["victim", "r 1"])),
            ("/agent%73/a/caf%C3%A9", here(["a", "café"])),
            ("/agents/a+b/r", here(["a+b", "r"])),
            ("/agents", Found::Elsewhere),
            ("/agents/a", Found::Elsewhere),
            ("/agents/", Found::Doubtful),
            ("/agents/a/", Found::Doubtful),
            ("/chat/a/r1", Found::Elsewhere),
            ("/chat./a/r1", Found::Elsewhere),
            ("/agents./a/r1", Found::Doubtful),
            ("/%20agents%20/a/r1", Found::Doubtful),
            ("/agents/a/r1.", here(["a", "r1."])),
            ("/", Found::Elsewhere),
            ("//agents/a/r1", Found::Doubtful),
            ("/agents//a/r1", Found::Doubtful),
            ("/agents/a/../b/r1", Found::Doubtful),
            ("/agents/a%2Fr1", Found::Doubtful),
            ("/agents/a/r%00", Found::Doubtful),
            ("/agents/a/r%", Found::Doubtful),
            ("/agents/a/r%2574", Found::Doubtful),
            ("/agents/a/r;x", Found::Doubtful),
            ("/chat/..", Found::Doubtful),
            ("", Found::Doubtful),
            ("*", Found::Doubtful),
        ] {
            assert_eq!(found("/agents/{agent}/{room}", path), expected, "{path}");
        }
        assert_eq!(found("/feed", "/feed/x"), Found::Here(Vec::new()));
        assert_eq!(
            found("/u/:id", "/u/7"),
            Found::Here(vec!["7".to_owned().into()])
        );
    }

    #[test]
    fn where_two_paths_differ_both_are_read() {
        let template = PathTemplate::parse("/agents/{agent}").unwrap();
        let here = || Found::Here(vec!["a".into()]);
        for (requested, routed, expected) in [
            ("/agents/a", "/agents/a", here()),
            ("/api/agents/a", "/agents/a", here()),
            ("/agents/a", "/a", here()),
            ("/agents/a/x", "/agents/%61", here()),
            ("/agents/a", "/agents/b", Found::Doubtful),
            ("/agents/a", "//a", Found::Doubtful),
            ("/api//a", "/agents/a", Found::Doubtful),
            ("/api/a", "/a", Found::Elsewhere),
        ] {
            let (requested, routed) = (requested.parse().unwrap(), routed.parse().unwrap());
            assert_eq!(
                template.find_routed(&requested, &routed),
                expected,
                "{requested} {routed}"
            );
        }
    }

    #[test]
    fn a_template_without_names_for_its_wildcards_is_refused() {
        for text in [
            "agents/{a}",
            "/agents/*",
            "/agents/*/{room}",
            "/agents/**",
            "/agents/{*rest}",
            "/agents/:rest*",
            "/agents/:rest+",
            "/{a}/{a}",
            "/x{a}",
            "/a//b",
            "/a?b",
        ] {
            let error = PathTemplate::parse(text).unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic_and_a_plain_one_is_read_as_it_stands(
            path in "\\PC{0,40}",
            agent in "[a-zA-Z0-9_-]{1,12}",
            room in "[a-zA-Z0-9_-]{1,12}",
        ) {
            let template = PathTemplate::parse("/agents/{agent}/{room}").unwrap();
            let _ = template.find(&path);
            let plain = format!("/agents/{agent}/{room}");
            prop_assert_eq!(template.find(&plain), Found::Here(vec![agent.into(), room.into()]));
        }
    }
}
