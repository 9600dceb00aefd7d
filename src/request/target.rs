//! The paths of a request: the one that the client asked for, and the one that is routed.
//!
//! They differ inside a `nest` of axum, which cuts the prefix off, and behind a rewrite.

use http::{Extensions, Uri};

/// The whole target that the client asked for; with axum the one before any `nest` cut its prefix off.
///
/// It is asked for on the way of every request, which is why it is always inlined.
#[inline(always)]
pub(crate) fn requested<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r Uri {
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
