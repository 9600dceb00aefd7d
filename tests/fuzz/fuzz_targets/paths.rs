//! Any path: no panic, and no path that some server may read as one under `/chat` is exempt.
#![no_main]

use std::sync::LazyLock;

use http::Method;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use tower_warden::{Access, CompiledPaths, Paths};

static ALL: LazyLock<CompiledPaths> = LazyLock::new(|| {
    let paths = Paths::all()
        .exempt("/auth/*")
        .exempt("/health")
        .protect("/auth/ticket");
    paths.compile().expect("the patterns are of the dialect")
});
static ONLY: LazyLock<CompiledPaths> = LazyLock::new(|| {
    let paths = Paths::only(["/chat/:path*", "/agents/{agent}/{room}"]);
    paths.compile().expect("the patterns are of the dialect")
});

/// What a server makes of a path that decodes it, merges its slashes and resolves its dots.
fn read(path: &str, decodings: usize) -> String {
    let mut path = path.to_owned();
    for _ in 0..decodings {
        path = percent_decode_str(&path).decode_utf8_lossy().into_owned();
    }
    let mut segments = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment.to_ascii_lowercase()),
        }
    }
    segments.join("/")
}

fuzz_target!(|path: &str| {
    let all = ALL.decide(&Method::GET, path).access();
    if all == Access::Public {
        let plain = path == "/health" || path.starts_with("/auth/");
        assert!(
            plain && !path.contains("//") && !path.contains(['\\', ';', '\0']),
            "{path:?}"
        );
        assert!(
            !path
                .split('/')
                .any(|segment| segment == "." || segment == ".."),
            "{path:?}"
        );
    }
    let only = ONLY.decide(&Method::GET, path).access();
    for decodings in 0..=2 {
        let read = read(path, decodings);
        let under = |tree: &str| read == tree || read.starts_with(&format!("{tree}/"));
        if under("chat") {
            assert_eq!(all, Access::Required, "{path:?} may be read as {read:?}");
            assert_eq!(only, Access::Required, "{path:?} may be read as {read:?}");
        }
        if under("auth/ticket") {
            assert_eq!(all, Access::Required, "{path:?} may be read as {read:?}");
        }
    }
});
