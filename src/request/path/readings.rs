//! [`readings`]: every way in which some server might read a path.
//!
//! Proxies and routers decode, cut and resolve in different orders, and some do it twice. So the steps are not put into
//! one order: each is applied to what each other one left, until nothing new appears.

use super::canonical::escaped_byte;

/// The most readings that are looked at, and the most bytes in all of them. A path beyond that is protected unread.
const MOST_READINGS: usize = 64;
const MOST_BYTES: usize = 32 * 1024;

/// One thing that a server may do to a path before it looks at the segments.
type Step = fn(&[u8]) -> Vec<u8>;

const STEPS: [Step; 9] = [
    decode,
    slashes_forward,
    |path| cut_segments(path, b";"),
    |path| cut_segments(path, b"?#"),
    |path| cut_segments(path, b"\0"),
    drop_control_bytes,
    drop_authority,
    merge_slashes,
    resolve_dots,
];

/// The path itself and all its other readings, or `None` where there are too many of them.
pub(super) fn readings(path: &str) -> Option<Vec<Vec<u8>>> {
    let mut first = path.as_bytes().to_vec();
    if !path.starts_with('/') {
        first.insert(0, b'/');
    }
    let mut bytes = first.len();
    let mut found = vec![first];
    let mut at = 0;
    while found.len() <= MOST_READINGS && bytes <= MOST_BYTES {
        let Some(reading) = found.get(at) else {
            return Some(found);
        };
        for next in STEPS.map(|step| step(reading)) {
            if !found.contains(&next) {
                bytes += next.len();
                found.push(next);
            }
        }
        at += 1;
    }
    None
}

/// Undoes one layer of escapes; a broken one stays as it is.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        let unescaped = if byte == b'%' {
            escaped_byte(behind)
        } else {
            None
        };
        let (byte, behind) = unescaped.unwrap_or((byte, behind));
        decoded.push(byte);
        rest = behind;
    }
    decoded
}

fn slashes_forward(path: &[u8]) -> Vec<u8> {
    let forward = |&byte: &u8| if byte == b'\\' { b'/' } else { byte };
    path.iter().map(forward).collect()
}

/// Cuts each segment at the first of these marks: parameters, and strings that end early.
fn cut_segments(path: &[u8], marks: &[u8]) -> Vec<u8> {
    let cut = |segment: &[u8]| {
        let end = segment.iter().position(|byte| marks.contains(byte));
        segment
            .get(..end.unwrap_or(segment.len()))
            .unwrap_or_default()
            .to_vec()
    };
    let segments: Vec<_> = path.split(|&byte| byte == b'/').map(cut).collect();
    segments.join(&b'/')
}

/// URL parsers of browsers drop tabs and line breaks.
fn drop_control_bytes(path: &[u8]) -> Vec<u8> {
    path.iter()
        .copied()
        .filter(|byte| !byte.is_ascii_control())
        .collect()
}

/// `//host/path` is a path to one parser and an authority with a path to the next.
fn drop_authority(path: &[u8]) -> Vec<u8> {
    match path.strip_prefix(b"//") {
        Some(rest) => {
            let end = rest.iter().position(|&byte| byte == b'/');
            end.and_then(|end| rest.get(end..)).unwrap_or(b"/").to_vec()
        }
        None => path.to_vec(),
    }
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    merged
}

/// Removes dot segments ([RFC 3986 §5.2.4]): `..` takes the segment before it along, and stops at the root.
///
/// [RFC 3986 §5.2.4]: https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4
fn resolve_dots(path: &[u8]) -> Vec<u8> {
    let mut resolved: Vec<&[u8]> = Vec::new();
    let mut ends_in_directory = false;
    for segment in path.split(|&byte| byte == b'/').skip(1) {
        ends_in_directory = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                resolved.pop();
            }
            segment => resolved.push(segment),
        }
    }
    if ends_in_directory {
        resolved.push(b"");
    }
    let mut joined = vec![b'/'];
    joined.extend(resolved.join(&b'/'));
    joined
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_reads_as(path: &str, wanted: &str) {
        let found = readings(path).unwrap();
        assert!(
            found.iter().any(|reading| reading == wanted.as_bytes()),
            "{path} is not read as {wanted}, but as {:?}",
            found
                .iter()
                .map(|reading| String::from_utf8_lossy(reading))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn every_order_of_the_steps_is_found() {
        for (path, wanted) in [
            ("/%63hat", "/chat"),
            ("/%2563hat", "/chat"),
            ("/%252563hat", "/chat"),
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
            assert_eq!(readings(path).unwrap(), [path.as_bytes()]);
        }
    }

    #[test]
    fn the_work_is_bounded() {
        for path in [
            "/a".repeat(20_000),
            format!("/%{}41", "25".repeat(100)),
            "/a;b/%3b%5c%2f%2e%2e%00%0a/%2525252e/..//x\\..\\y".to_owned(),
        ] {
            assert!(readings(&path).is_none(), "{path:.50}");
        }
        assert!(readings(&"/%41".repeat(2_000)).is_some());
    }
}
