//! [`readings`]: every way in which some server might read a path.
//!
//! Proxies and routers decode, cut and resolve in different orders, and some do it twice. So the steps are not put into
//! one order: each is applied to what each other one left, until nothing new appears.

use super::canonical::escaped_byte;

/// The most readings of one path. A path with more of them is doubtful.
const MOST_READINGS: usize = 12;
/// The most bytes of a path that has more than one reading. A longer one is doubtful.
const MOST_BYTES: usize = 4 * 1024;

/// One thing that a server may do to a path before it looks at the segments. `None` where that fails.
type Step = fn(&str) -> Option<String>;

/// The steps, each with the marks that a path has for it to change anything.
const STEPS: [(u16, Step); 11] = [
    (PERCENT, decode),
    (BACKSLASH, |path| Some(path.replace('\\', "/"))),
    (SEMICOLON, |path| cut_segments(path, b";")),
    (QUERY, |path| cut_segments(path, b"?#")),
    (NUL, |path| cut_segments(path, b"\0")),
    (CONTROL | NUL, drop_control_bytes),
    (SLASHES, drop_authority),
    (SLASHES, merge_slashes),
    (DOT_AHEAD, resolve_dots),
    (DOT_BEHIND, delete_parents),
    (DOT_BEHIND | BLANK | CONTROL, trim_segments),
];

const PERCENT: u16 = 1;
const BACKSLASH: u16 = 1 << 1;
const SEMICOLON: u16 = 1 << 2;
const QUERY: u16 = 1 << 3;
const NUL: u16 = 1 << 4;
const CONTROL: u16 = 1 << 5;
/// A blank, or a byte that may be part of one.
const BLANK: u16 = 1 << 6;
/// A slash right behind a slash.
const SLASHES: u16 = 1 << 7;
/// A dot at the front of a segment.
const DOT_AHEAD: u16 = 1 << 8;
/// A dot at the end of a segment.
const DOT_BEHIND: u16 = 1 << 9;

/// Finds what the steps look for, in one pass.
fn marks(path: &str) -> u16 {
    let mut before = 0;
    let mut marks = 0;
    for byte in path.bytes() {
        marks |= match (before, byte) {
            (b'/', b'/') => SLASHES,
            (b'/', b'.') => DOT_AHEAD,
            (b'.', b'/') => DOT_BEHIND,
            (_, b'%') => PERCENT,
            (_, b'\\') => BACKSLASH,
            (_, b';') => SEMICOLON,
            (_, b'?' | b'#') => QUERY,
            (_, b'\0') => NUL,
            (_, b' ' | 0x80..) => BLANK,
            (_, byte) if byte.is_ascii_control() => CONTROL,
            _ => 0,
        };
        before = byte;
    }
    if before == b'.' {
        marks |= DOT_BEHIND;
    }
    marks
}

/// Lists the path itself and all its other readings.
///
/// Returns `None` for a doubtful path: it has too many readings, or one of them does not decode to UTF-8.
pub(super) fn readings(path: &str) -> Option<Vec<String>> {
    if path.len() > MOST_BYTES {
        return None;
    }
    let mut found = Vec::with_capacity(MOST_READINGS);
    found.push(if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    });
    let mut at = 0;
    while let Some(marks) = found.get(at).map(|reading| marks(reading)) {
        for (marked, step) in STEPS {
            if marks & marked == 0 {
                continue;
            }
            let next = step(found.get(at)?)?;
            if found.contains(&next) {
                continue;
            }
            if found.len() == MOST_READINGS {
                return None;
            }
            found.push(next);
        }
        at += 1;
    }
    Some(found)
}

/// Undoes one layer of escapes. Returns `None` where one is broken, or where the bytes are not UTF-8.
fn decode(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let (byte, behind) = match byte {
            b'%' => escaped_byte(behind)?,
            byte => (byte, behind),
        };
        decoded.push(byte);
        rest = behind;
    }
    String::from_utf8(decoded).ok()
}

/// Cuts each segment at the first of these marks: parameters, and strings that end early.
fn cut_segments(path: &str, marks: &[u8]) -> Option<String> {
    let mut kept = Vec::with_capacity(path.len());
    let mut is_cut = false;
    for byte in path.bytes() {
        is_cut = byte != b'/' && (is_cut || marks.contains(&byte));
        if !is_cut {
            kept.push(byte);
        }
    }
    String::from_utf8(kept).ok()
}

/// URL parsers of browsers drop tabs and line breaks.
fn drop_control_bytes(path: &str) -> Option<String> {
    Some(path.replace(|byte: char| byte.is_ascii_control(), ""))
}

/// `//host/path` is a path to one parser and an authority with a path to the next.
fn drop_authority(path: &str) -> Option<String> {
    let Some(rest) = path.strip_prefix("//") else {
        return Some(path.to_owned());
    };
    let end = rest.find('/');
    let path = end.and_then(|end| rest.get(end..)).unwrap_or("/");
    Some(path.to_owned())
}

fn merge_slashes(path: &str) -> Option<String> {
    let mut bytes = path.as_bytes().to_vec();
    bytes.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    String::from_utf8(bytes).ok()
}

/// Removes dot segments ([RFC 3986 §5.2.4]): `..` takes the segment before it along, and stops at the root.
///
/// [RFC 3986 §5.2.4]: https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4
fn resolve_dots(path: &str) -> Option<String> {
    let mut resolved = Vec::with_capacity(path.len());
    let mut ends_in_directory = false;
    for segment in segments(path).skip(1) {
        ends_in_directory = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                let parent = resolved.iter().rposition(|&byte| byte == b'/');
                resolved.truncate(parent.unwrap_or(0));
            }
            segment => {
                resolved.push(b'/');
                resolved.extend(segment);
            }
        }
    }
    if ends_in_directory {
        resolved.push(b'/');
    }
    String::from_utf8(resolved).ok()
}

/// Deletes each `../` in one pass, as filters against path traversal do. The rest may hold new ones.
fn delete_parents(path: &str) -> Option<String> {
    let mut kept = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = match rest.strip_prefix(b"../") {
            Some(behind) => behind,
            None => {
                kept.push(byte);
                behind
            }
        };
    }
    String::from_utf8(kept).ok()
}

fn trim_segments(path: &str) -> Option<String> {
    let mut trimmed = String::with_capacity(path.len());
    for segment in segments(path).skip(1) {
        trimmed.push('/');
        trimmed.push_str(trim(str::from_utf8(segment).ok()?));
    }
    Some(trimmed)
}

/// The segments, and what stands before the first slash. A loop over bytes is faster here than a search for each slash.
fn segments(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|&byte| byte == b'/')
}

/// Removes what some file systems and gateways drop from a segment: blanks at both ends, and dots at the end.
pub(super) fn trim(segment: &str) -> &str {
    match segment.trim() {
        segment @ ("." | "..") => segment,
        segment => segment.trim_end_matches(|it: char| it == '.' || it.is_whitespace()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_reads_as(path: &str, wanted: &str) {
        let found = readings(path).unwrap();
        assert!(
            found.iter().any(|reading| reading == wanted),
            "{path} is not read as {wanted}, but as {found:?}",
        );
    }

    #[test]
    fn every_order_of_the_steps_is_found() {
        for (path, wanted) in [
            ("/%63hat", "/chat"),
            ("/%2563hat", "/chat"),
            ("/%252563hat", "/chat"),
            ("/chat.", "/chat"),
            ("/chat..", "/chat"),
            ("/chat%2e", "/chat"),
            ("/chat%20", "/chat"),
            ("/%20chat", "/chat"),
            ("/%c2%a0chat%20.%20/a", "/chat/a"),
            ("/auth/%20..%20/chat", "/chat"),
            ("/auth/..././../chat", "/chat"),
            ("/auth/....//chat", "/chat"),
            ("/auth/....%5c%5cchat", "/chat"),
            ("//chat", "/chat"),
            ("/./chat", "/chat"),
            ("/auth/../chat", "/chat"),
            ("/auth/%2e%2e/chat", "/chat"),
            ("/auth/..%2fchat", "/chat"),
            ("/auth/..%5cchat", "/chat"),
            ("/auth\\..\\chat", "/chat"),
            ("/auth/..;/chat", "/chat"),
            ("/auth/..%3ba=b/chat", "/chat"),
            ("/auth/%252e%252e/chat", "/chat"),
            ("/chat;a=b", "/chat"),
            ("/chat%00.html", "/chat"),
            ("/chat%3fa", "/chat"),
            ("/ch%0aat", "/chat"),
            ("//host/chat", "/chat"),
            ("/../../chat", "/chat"),
            // Dots resolved by a proxy before the escapes are decoded behind it.
            ("/a%2fb/../%63hat", "/chat"),
            ("/a//../chat", "/a/chat"),
            ("/a//../chat", "/chat"),
            ("chat", "/chat"),
            ("", "/"),
            ("/chat/x/..", "/chat/"),
        ] {
            assert_reads_as(path, wanted);
        }
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        for path in ["/", "/chat", "/chat/", "/a.b/c"] {
            assert_eq!(readings(path).unwrap(), [path]);
        }
    }

    #[test]
    fn the_work_is_bounded() {
        for path in [
            "/a".repeat(2_049),
            "/%41".repeat(1_025),
            "//..//%3b/..".repeat(28),
            format!("/%{}41", "25".repeat(100)),
            "/a;b/%3b%5c%2f%2e%2e%00%0a/%2525252e/..//x\\..\\y".to_owned(),
        ] {
            assert!(readings(&path).is_none(), "{path:.50}");
        }
        assert!(readings(&"/%41".repeat(1_024)).is_some());
        assert!(readings(&"/a".repeat(2_048)).is_some());
    }

    #[test]
    fn what_does_not_decode_has_no_readings() {
        for path in [
            "/a%",
            "/a%2",
            "/a%u002e",
            "/a%c0%ae",
            "/a%25",
            "/a%25zz",
            "/a%25c0%25ae",
        ] {
            assert!(readings(path).is_none(), "{path}");
        }
    }
}
