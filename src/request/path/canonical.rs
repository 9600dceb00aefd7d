//! [`Form`]: whether a path can be read in one way only.

use std::fmt;

use http::Method;

/// How many ways there are to read a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One: as it stands.
    Plain,
    /// Canonical, with harmless escapes, or with a dot at the end of a segment: as it stands, decoded, and trimmed.
    Varied,
    /// Nobody knows.
    Odd(Oddity),
}

/// Why a path is not canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    Connect,
    NoLeadingSlash,
    EmptySegment,
    DotSegment,
    Backslash,
    Parameter,
    QueryOrFragment,
    ControlByte,
    ForeignByte,
    BadEscape,
    EscapedMark,
    EscapedControl,
    EscapedNonText,
}

impl Oddity {
    /// Tells whether the target has no path at all. No mode exempts it.
    pub(super) const fn is_no_path(self) -> bool {
        matches!(self, Self::Connect | Self::NoLeadingSlash)
    }

    /// Tells whether the path does not decode to UTF-8. No mode exempts it, and it needs the scopes of every rule.
    pub(super) const fn is_undecodable(self) -> bool {
        matches!(self, Self::BadEscape | Self::EscapedNonText)
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "method CONNECT",
            Self::NoLeadingSlash => "no leading slash",
            Self::EmptySegment => "empty segment",
            Self::DotSegment => "dot segment",
            Self::Backslash => "backslash",
            Self::Parameter => "path parameter",
            Self::QueryOrFragment => "query or fragment in the path",
            Self::ControlByte => "control byte or blank",
            Self::ForeignByte => "byte beyond ASCII",
            Self::BadEscape => "bad escape",
            Self::EscapedMark => "escape of one of / \\ . % ; ? #",
            Self::EscapedControl => "escape of a control byte",
            Self::EscapedNonText => "escapes that are not UTF-8",
        })
    }
}

/// A place to compare with: the constant would be built and dropped at each comparison.
static CONNECT: Method = Method::CONNECT;

impl Form {
    #[inline]
    pub(super) fn of(method: &Method, path: &str) -> Self {
        if *method == CONNECT {
            return Self::Odd(Oddity::Connect);
        }
        let bytes = path.as_bytes();
        if is_plain(bytes) {
            return Self::Plain;
        }
        match oddity(bytes) {
            Some(oddity) => Self::Odd(oddity),
            None if bytes.contains(&b'%') || ends_a_segment_in_a_dot(bytes) => Self::Varied,
            None => Self::Plain,
        }
    }
}

/// Whether nothing in the path calls for a closer look. Says no to `/.well-known`, which is fine after all.
#[inline]
fn is_plain(path: &[u8]) -> bool {
    let mut marks = 0;
    let mut before = 0;
    for &byte in path {
        let class = CLASS.get(usize::from(byte)).copied().unwrap_or(UNUSUAL);
        // A slash or a dot right behind a slash opens an empty segment or, perhaps, a dot segment. A slash right behind a
        // dot ends a segment that some servers trim.
        marks |= class & (before << 1 | UNUSUAL);
        before = class;
    }
    marks == 0 && path.first() == Some(&b'/') && before & DOT == 0
}

const SLASH: u8 = 1;
/// One bit beside [`SLASH`], so that the class before, shifted, asks for it exactly behind a slash.
const SLASH_OR_DOT: u8 = 1 << 1;
const DOT: u8 = 1 << 3;
/// One bit beside [`DOT`], which only a slash has: it is asked for exactly behind a dot.
const SLASH_BEHIND_DOT: u8 = 1 << 4;
/// The highest bit, so that it leaves when the class is shifted.
const UNUSUAL: u8 = 1 << 7;

/// What each byte may mean.
static CLASS: [u8; 256] = {
    let mut class = [UNUSUAL; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        class[byte as usize] = match byte {
            b'/' => SLASH | SLASH_OR_DOT | SLASH_BEHIND_DOT,
            b'.' => SLASH_OR_DOT | DOT,
            b'%' | b'\\' | b';' | b'?' | b'#' => UNUSUAL,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Tells whether a segment ends in a dot, which some file systems and gateways drop.
fn ends_a_segment_in_a_dot(path: &[u8]) -> bool {
    path.ends_with(b".") || path.windows(2).any(|pair| pair == b"./")
}

/// The first thing that makes the path readable in two ways.
fn oddity(path: &[u8]) -> Option<Oddity> {
    let Some((b'/', body)) = path.split_first() else {
        return Some(Oddity::NoLeadingSlash);
    };
    // It weighs the most, so it is looked for first.
    let escape = odd_escape(body);
    if escape.is_some_and(Oddity::is_undecodable) {
        return escape;
    }
    let mut segments = body.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"" if segments.peek().is_some() => return Some(Oddity::EmptySegment),
            b"." | b".." => return Some(Oddity::DotSegment),
            _ => {}
        }
    }
    for &byte in body {
        match byte {
            b'\\' => return Some(Oddity::Backslash),
            b';' => return Some(Oddity::Parameter),
            b'?' | b'#' => return Some(Oddity::QueryOrFragment),
            0..=b' ' | 0x7f => return Some(Oddity::ControlByte),
            0x80.. => return Some(Oddity::ForeignByte),
            _ => {}
        }
    }
    escape
}

/// Finds an escape that is broken, or else escapes that are not UTF-8, or else one that hides a character with a meaning
/// of its own.
fn odd_escape(path: &[u8]) -> Option<Oddity> {
    if !path.contains(&b'%') {
        return None;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut hidden = None;
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let Some((byte, behind)) = escaped_byte(rest) else {
            return Some(Oddity::BadEscape);
        };
        match byte {
            b'/' | b'\\' | b'.' | b'%' | b';' | b'?' | b'#' => {
                hidden = hidden.or(Some(Oddity::EscapedMark));
            }
            byte if byte.is_ascii_control() => hidden = hidden.or(Some(Oddity::EscapedControl)),
            _ => {}
        }
        decoded.push(byte);
        rest = behind;
    }
    // Overlong forms such as `%c0%af` were slashes to some servers.
    match std::str::from_utf8(&decoded) {
        Ok(_) => hidden,
        Err(_) => Some(Oddity::EscapedNonText),
    }
}

/// Reads the two digits behind a `%`, and gives the byte and what follows.
pub(super) fn escaped_byte(rest: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], behind) = rest.split_first_chunk::<2>()?;
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some((digit(*high)? << 4 | digit(*low)?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_path_is_read_in_one_way() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a.b/c..d/.x",
            "/.well-known/jwks.json",
            "/~u/a-b_c!$&'()*+,=:@",
            "/{x}",
        ] {
            assert_eq!(Form::of(&Method::GET, path), Form::Plain, "{path}");
        }
        for path in [
            "/%20",
            "/%63hat",
            "/caf%C3%A9",
            "/.well-known/%41",
            "/a%7e/",
            "/chat.",
            "/chat../a",
            "/...",
        ] {
            assert_eq!(Form::of(&Method::GET, path), Form::Varied, "{path}");
        }
    }

    #[test]
    fn whatever_can_be_read_in_two_ways_is_odd() {
        for (path, oddity) in [
            ("", Oddity::NoLeadingSlash),
            ("*", Oddity::NoLeadingSlash),
            ("a/b", Oddity::NoLeadingSlash),
            ("//", Oddity::EmptySegment),
            ("/a//b", Oddity::EmptySegment),
            ("/a//", Oddity::EmptySegment),
            ("/.", Oddity::DotSegment),
            ("/a/..", Oddity::DotSegment),
            ("/a/./b", Oddity::DotSegment),
            ("/a\\b", Oddity::Backslash),
            ("/a;b", Oddity::Parameter),
            ("/a?b", Oddity::QueryOrFragment),
            ("/a#b", Oddity::QueryOrFragment),
            ("/a\0", Oddity::ControlByte),
            ("/a b", Oddity::ControlByte),
            ("/a\u{7f}", Oddity::ControlByte),
            ("/\u{e9}", Oddity::ForeignByte),
            ("/a%", Oddity::BadEscape),
            ("/a%2", Oddity::BadEscape),
            ("/a%zz", Oddity::BadEscape),
            ("/a%+f", Oddity::BadEscape),
            ("/a%u002f", Oddity::BadEscape),
            ("/a%2fb", Oddity::EscapedMark),
            ("/a%2Fb", Oddity::EscapedMark),
            ("/a%5cb", Oddity::EscapedMark),
            ("/a%2eb", Oddity::EscapedMark),
            ("/a%252f", Oddity::EscapedMark),
            ("/a%3bb", Oddity::EscapedMark),
            ("/a%3fb", Oddity::EscapedMark),
            ("/a%23b", Oddity::EscapedMark),
            ("/a%00", Oddity::EscapedControl),
            ("/a%0d%0a", Oddity::EscapedControl),
            ("/a%c0%af", Oddity::EscapedNonText),
            ("/a%ff", Oddity::EscapedNonText),
            ("/a/../b%", Oddity::BadEscape),
            ("/a%2fb%", Oddity::BadEscape),
            ("/a%2f%c0%ae", Oddity::EscapedNonText),
        ] {
            assert_eq!(Form::of(&Method::GET, path), Form::Odd(oddity), "{path:?}");
        }
        assert_eq!(Form::of(&Method::CONNECT, "/a"), Form::Odd(Oddity::Connect));
    }
}
