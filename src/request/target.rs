//! The path that a request asks for, wherever routers have put it.

use http::{Extensions, Uri};

/// The path that the client asked for; with axum the one before any `nest` cut its prefix off.
#[inline]
pub(crate) fn requested_path<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r str {
    #[cfg(feature = "axum")]
    if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
        return original.0.path();
    }
    let _ = extensions;
    uri.path()
}
