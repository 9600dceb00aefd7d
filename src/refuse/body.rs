//! [`ResponseBody`]: a refusal in the body type of the wrapped service.

use bytes::Bytes;
use http_body::Body;
use http_body_util::{
    BodyExt, Either, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};

/// A response body that can also hold a refusal, so that an accepted response passes on untouched.
///
/// It is implemented for the bodies of axum (feature `axum`) and `http-body-util`. A service with a body of its own
/// either implements it, or wraps its body as `Either<Full<Bytes>, OwnBody>`.
pub trait ResponseBody: Sized {
    /// A body that consists of these bytes.
    fn from_bytes(bytes: Bytes) -> Self;
}

impl ResponseBody for Full<Bytes> {
    fn from_bytes(bytes: Bytes) -> Self {
        Self::new(bytes)
    }
}

impl<E: 'static> ResponseBody for BoxBody<Bytes, E> {
    fn from_bytes(bytes: Bytes) -> Self {
        Full::new(bytes).map_err(|never| match never {}).boxed()
    }
}

impl<E: 'static> ResponseBody for UnsyncBoxBody<Bytes, E> {
    fn from_bytes(bytes: Bytes) -> Self {
        Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync()
    }
}

impl<L: ResponseBody, R: Body> ResponseBody for Either<L, R> {
    fn from_bytes(bytes: Bytes) -> Self {
        Self::Left(L::from_bytes(bytes))
    }
}

impl ResponseBody for String {
    /// Refusals are UTF-8; what a custom responder makes of other bytes is replaced by U+FFFD.
    fn from_bytes(bytes: Bytes) -> Self {
        Self::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(feature = "axum")]
impl ResponseBody for axum::body::Body {
    fn from_bytes(bytes: Bytes) -> Self {
        bytes.into()
    }
}
