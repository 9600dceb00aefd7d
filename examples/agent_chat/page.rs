//! `GET /`: the page, and the policy under which a browser runs it.
//!
//! The page is one file. Its script and its style are named in the policy by their hashes, so that nothing runs but what
//! stands in the file, whatever a message or a name may hold.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::{
    http::{HeaderValue, header},
    response::{Html, IntoResponse},
};

const PAGE: &str = include_str!("page.html");

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash_of("script"),
        hash_of("style"),
    );
    HeaderValue::try_from(policy).expect("a policy is printable ASCII")
});

pub(crate) async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Html(PAGE))
}

/// The hash of what stands in the page's one element of that name, in the words of a policy.
fn hash_of(element: &str) -> String {
    let content = PAGE
        .split_once(&format!("<{element}"))
        .and_then(|(_, rest)| rest.split_once('>'))
        .and_then(|(_, rest)| rest.split_once(&format!("</{element}>")))
        .map(|(content, _)| content)
        .expect("the page has a script and a style");
    let hash = digest::digest(&digest::SHA256, content.as_bytes());
    let hash = base64_simd::STANDARD.encode_to_string(hash.as_ref());
    format!("'sha256-{hash}'")
}
