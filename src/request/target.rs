//! The path that a request asks for, wherever routers have put it.

use http::{Extensions, Uri};

/// The path that the client asked for; with axum the one before any `nest` cut its prefix off.
///
/// It is asked for on the way of every request, which is why it is always inlined, and why each way asks for its path by
/// itself: joined before that, they take some nanoseconds more.
#[inline(always)]
pub(crate) fn requested_path<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r str {
    if extensions.is_empty() {
        uri.path()
    } else {
        original(extensions, uri).path()
    }
}

/// The whole target that the client asked for.
#[inline(always)]
pub(super) fn requested<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r Uri {
    if extensions.is_empty() {
        uri
    } else {
        original(extensions, uri)
    }
}

fn original<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    let _ = extensions;
    uri
}
