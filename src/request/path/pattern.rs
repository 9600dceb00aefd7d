//! [`Pattern`]: the dialect in which paths are described, read once and compared exactly.

use crate::error::ConfigError;

/// Whether a pattern protects, and so widens, or exempts, and so narrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Wide,
    Narrow,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Box<str>),
    /// One segment. An exemption never matches an empty one.
    One,
}

/// What may follow the segments of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    End,
    /// A slash, and nothing behind it.
    Slash,
    /// Any rest, also none.
    Any,
    /// One or more segments, none of them empty.
    Some,
}

/// A pattern as it was given, and its parts.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    tail: Tail,
    /// How many bytes of the text the literal segments at its front take, and how many segments they are.
    literal_bytes: usize,
    literal_segments: usize,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Pattern`] for whatever the dialect does not know.
    pub(super) fn parse(text: &str, reach: Reach) -> Result<Self, ConfigError> {
        Self::read(text, reach).map_err(|problem| ConfigError::Pattern {
            pattern: text.to_owned(),
            problem,
        })
    }

    fn read(text: &str, reach: Reach) -> Result<Self, &'static str> {
        let Some(body) = text.strip_prefix('/') else {
            return Err("a pattern begins with `/`: it describes a path, without scheme and host");
        };
        let mut segments = Vec::new();
        let mut tail = Tail::End;
        let mut parts = body.split('/').peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            match Part::read(part)? {
                Part::Empty if is_last => {
                    // A protected tree has no edge to stand on: `/docs/` protects `/docs` as well.
                    if reach == Reach::Narrow {
                        tail = Tail::Slash;
                    }
                }
                Part::Empty => {
                    return Err("an empty segment: write a single `/` between two segments");
                }
                Part::Star if is_last && reach == Reach::Narrow => tail = Tail::Some,
                Part::Star | Part::Name => segments.push(Segment::One),
                Part::Literal => segments.push(Segment::Literal(part.into())),
                Part::Rest(rest) if is_last => tail = rest,
                Part::Rest(_) => {
                    return Err(
                        "a rest stands at the end only: write `*` for one segment in the middle",
                    );
                }
            }
        }
        let literals = segments.iter().map_while(|segment| match segment {
            Segment::Literal(text) => Some(1 + text.len()),
            Segment::One => None,
        });
        Ok(Self {
            text: text.into(),
            tail,
            literal_bytes: literals.clone().sum(),
            literal_segments: literals.count(),
            segments: segments.into(),
        })
    }

    /// The pattern as it was given.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn tail(&self) -> Tail {
        self.tail
    }

    /// Whether the pattern ends in a rest, of whatever kind.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.tail, Tail::Any | Tail::Some)
    }

    /// Whether the pattern names nothing and ends nowhere.
    pub(super) fn is_everything(&self) -> bool {
        self.is_open() && self.segments.iter().all(|one| *one == Segment::One)
    }

    /// Compares byte for byte with a canonical path.
    pub(super) fn matches_exactly(&self, path: &str) -> bool {
        let literals = self.text.as_bytes().get(..self.literal_bytes);
        let Some(mut rest) = literals.and_then(|front| path.as_bytes().strip_prefix(front)) else {
            return false;
        };
        if !matches!(rest, [] | [b'/', ..]) {
            return false;
        }
        for segment in self.segments.iter().skip(self.literal_segments) {
            let Some((head, behind)) = next_segment(rest) else {
                return false;
            };
            let matches = match segment {
                Segment::Literal(text) => text.as_bytes() == head,
                Segment::One => !head.is_empty(),
            };
            if !matches {
                return false;
            }
            rest = behind;
        }
        match self.tail {
            Tail::End => rest.is_empty(),
            Tail::Slash => rest == b"/",
            Tail::Any => true,
            Tail::Some => rest.len() > 1 && !rest.ends_with(b"/"),
        }
    }
}

/// Splits `/segment` off the front, or says that nothing is left.
#[inline]
fn next_segment(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (b'/', body) = rest.split_first()? else {
        return None;
    };
    let end = body.iter().position(|&byte| byte == b'/');
    Some(body.split_at(end.unwrap_or(body.len())))
}

/// What one segment of a pattern is.
enum Part {
    Empty,
    Literal,
    /// `{name}` or `:name`.
    Name,
    /// `*`.
    Star,
    Rest(Tail),
}

impl Part {
    fn read(part: &str) -> Result<Self, &'static str> {
        match part {
            "" => return Ok(Self::Empty),
            "." | ".." => return Err("a dot segment: write the path that it leads to"),
            "*" => return Ok(Self::Star),
            "**" => return Ok(Self::Rest(Tail::Any)),
            _ => {}
        }
        if let Some(inner) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            return match inner.strip_prefix('*') {
                Some(name) => named(name, Self::Rest(Tail::Any)),
                None => named(inner, Self::Name),
            };
        }
        if let Some(inner) = part.strip_prefix(':') {
            if let Some(name) = inner.strip_suffix('*') {
                return named(name, Self::Rest(Tail::Any));
            }
            if let Some(name) = inner.strip_suffix('+') {
                return named(name, Self::Rest(Tail::Some));
            }
            return named(inner, Self::Name);
        }
        match part.chars().find_map(problem) {
            Some(problem) => Err(problem),
            None => Ok(Self::Literal),
        }
    }
}

fn named(name: &str, part: Part) -> Result<Part, &'static str> {
    let mut bytes = name.bytes();
    let starts = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if starts && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        Ok(part)
    } else {
        Err(
            "a wildcard is `{name}`, `{*rest}`, `:name`, `:rest*` or `:rest+` with a name of letters, digits, `_` and `-`: \
             give optional segments and regular expressions as patterns of their own",
        )
    }
}

/// Why this character cannot stand in a literal segment.
fn problem(character: char) -> Option<&'static str> {
    match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' => None,
        '-' | '.' | '_' | '~' | '!' | '&' | '\'' | ',' | '=' | '@' => None,
        '*' | '{' | '}' | ':' => {
            Some("a wildcard stands for a whole segment: write `*` in place of the whole segment")
        }
        '%' => Some(
            "percent escapes do not belong into a pattern, escaped paths are decoded before they are compared: \
             write the letters themselves, or `*` for the segment",
        ),
        '?' => Some(
            "a `?` is no wildcard here and a query never decides: write `*` for one segment, and no query",
        ),
        '#' => Some("a fragment never reaches a server: leave it out"),
        '\\' | ';' => Some(
            "no canonical path has a `\\` or a `;`: separate segments by `/`, without parameters",
        ),
        '(' | ')' | '[' | ']' | '|' | '^' | '$' | '+' => Some(
            "regular expressions are not understood: give each alternative as a pattern of its own, or `*` for a segment",
        ),
        character if !character.is_ascii() => Some(
            "only ASCII can be compared, the others have several spellings: write `*` for the segment",
        ),
        _ => Some("this character has no place in a path: write `*` for the segment"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_exempt_pattern_is_exact() {
        for (pattern, path, matches) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/health", "/health", true),
            ("/health", "/health/", false),
            ("/health", "/Health", false),
            ("/health", "/healthz", false),
            ("/health", "/health/live", false),
            ("/health", "/", false),
            ("/docs/", "/docs/", true),
            ("/docs/", "/docs", false),
            ("/auth/*", "/auth/login", true),
            ("/auth/*", "/auth/login/github", true),
            ("/auth/*", "/auth", false),
            ("/auth/*", "/auth/", false),
            ("/auth/*", "/auth/login/", false),
            ("/auth/*", "/authority/x", false),
            ("/auth/{name}", "/auth/login", true),
            ("/auth/:name", "/auth/login/github", false),
            ("/*/login", "/auth/login", true),
            ("/*/login", "//login", false),
            ("/static/**", "/static", true),
            ("/static/**", "/static/", true),
            ("/static/{*rest}", "/static/a/b/", true),
            ("/static/:rest*", "/statics", false),
            ("/static/:rest+", "/static", false),
            ("/static/:rest+", "/static/a", true),
        ] {
            let parsed = Pattern::parse(pattern, Reach::Narrow).unwrap();
            assert_eq!(parsed.matches_exactly(path), matches, "{pattern} on {path}");
            assert_eq!(parsed.text(), pattern);
        }
    }

    #[test]
    fn what_the_dialect_does_not_know_is_refused_with_a_way_out() {
        for (pattern, word) in [
            ("", "begins with `/`"),
            ("chat", "begins with `/`"),
            ("https://a.example/chat", "begins with `/`"),
            ("*", "begins with `/`"),
            ("//", "empty segment"),
            ("//chat", "empty segment"),
            ("/chat//room", "empty segment"),
            ("/./chat", "dot segment"),
            ("/chat/..", "dot segment"),
            ("/a*b", "whole segment"),
            ("/chat*", "whole segment"),
            ("/a/***", "whole segment"),
            ("/{name}.json", "whole segment"),
            ("/{unclosed", "whole segment"),
            ("/things:batch", "whole segment"),
            ("/**/chat", "at the end only"),
            ("/{*rest}/chat", "at the end only"),
            ("/:path*/chat", "at the end only"),
            ("/{}", "a name of letters"),
            ("/{*}", "a name of letters"),
            ("/:", "a name of letters"),
            ("/:path?", "a name of letters"),
            ("/{id:[0-9]+}", "a name of letters"),
            ("/:path(.*)", "a name of letters"),
            ("/(chat|stop)", "regular expressions"),
            ("/[a-z]+", "regular expressions"),
            ("/chat$", "regular expressions"),
            ("/^chat", "regular expressions"),
            ("/chat?", "query never decides"),
            ("/chat?a=b", "query never decides"),
            ("/chat#top", "fragment"),
            ("/%63hat", "percent escapes"),
            ("/a%2fb", "percent escapes"),
            ("/a\\b", "`;`"),
            ("/a;b", "`;`"),
            ("/caf\u{e9}", "only ASCII"),
            ("/a b", "no place in a path"),
            ("/a\0", "no place in a path"),
        ] {
            for reach in [Reach::Wide, Reach::Narrow] {
                let error = Pattern::parse(pattern, reach).unwrap_err().to_string();
                assert!(error.contains(word), "{pattern}: {error}");
                assert!(error.contains(&format!("`{pattern}`")), "{error}");
            }
        }
    }
}
