//! The path that a request asks for, wherever routers have put it.

use http::request::Parts;

/// The path that the client asked for; with axum the one before any `nest` cut its prefix off.
#[inline]
pub(crate) fn requested_path(head: &Parts) -> &str {
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>() {
        return original.0.path();
    }
    head.uri.path()
}
