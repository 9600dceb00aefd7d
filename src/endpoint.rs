//! What the small JSON services share: who asks, what they send, and how they are answered.
//!
//! The work of such a service gives an answer or a [`Rejection`], and [`settle`] words the second as the auth layer
//! outside would.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Principal, Refusals, Rejection, RejectionKind, principal::require_principal, telemetry,
};

/// What the small JSON services answer with.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The principal of a request.
///
/// # Errors
///
/// `TokenMissing` or `Misconfigured`, as [`require_principal`] says; [`settle`] knows how to answer them.
pub(crate) fn principal(head: &Parts) -> Result<&Principal, Rejection> {
    require_principal(head).map_err(|(kind, _)| kind.into())
}

/// The answer to this request: the service's own, or the refusal as the auth layer outside words it. `service` is named
/// to the operator who has mounted it where there is none.
pub(crate) fn settle(
    outcome: Result<Answer, Rejection>,
    head: &Parts,
    service: &'static str,
) -> Answer {
    let rejection = match outcome {
        Ok(answer) => return answer,
        Err(rejection) => rejection,
    };
    match require_principal(head) {
        Ok(principal) => refuse(&rejection, principal.refusals(), Some(principal.source())),
        Err((kind, refusals)) => {
            if kind == RejectionKind::Misconfigured {
                telemetry::mounted_outside(service, head.uri.path());
            }
            refuse(&rejection, &refusals, None)
        }
    }
}

/// Answers a refusal and logs it; `source` is where the credential travelled, if one came.
pub(crate) fn refuse(
    rejection: &Rejection,
    refusals: &Refusals,
    source: Option<&'static str>,
) -> Answer {
    telemetry::refused(rejection, source);
    refusals.respond(rejection)
}

/// Reads a body that is one JSON object of at most that many bytes.
///
/// # Errors
///
/// `RequestMalformed` for everything else, whether it is too long, broken off, or no such object.
pub(crate) async fn read<T, B>(body: B, limit: usize) -> Result<T, Rejection>
where
    T: DeserializeOwned,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let malformed = RejectionKind::RequestMalformed;
    let body = Limited::new(body, limit).collect().await;
    let body = body.map_err(|_| malformed)?.to_bytes();
    // An array would be read as the members in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed.into());
    }
    serde_json::from_slice(&body).map_err(|_| malformed.into())
}

/// Whether a body was sent as `application/json`, which a page cannot make a browser send elsewhere unasked.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE);
    let media_type = media_type
        .and_then(|line| line.to_str().ok())
        .unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// An answer in JSON, which nobody keeps.
pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer that consists of its status.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// The answer to a method other than those, which are written as the header `Allow` lists them.
pub(crate) fn not_allowed(allow: &'static str) -> Answer {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

/// Response future of the services that answer in JSON, such as [`TicketService`](crate::TicketService).
pub struct AnswerFuture(Pin<Box<dyn Future<Output = Answer> + Send>>);

impl AnswerFuture {
    pub(crate) fn new(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Box::pin(answer))
    }
}

impl Future for AnswerFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for AnswerFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerFuture")
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Order {
        id: String,
    }

    /// What is read at once, as all of it is there.
    fn read_now(text: &'static str, limit: usize) -> Option<Order> {
        let reading = pin!(read(Full::<Bytes>::from(text), limit));
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(order) => order.ok(),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_body_is_one_object_within_its_limit() {
        let order = || {
            Some(Order {
                id: String::from("a"),
            })
        };
        let text = r#"{"id":"a"}"#;
        let table: [(&'static str, usize, Option<Order>); 9] = [
            (text, text.len(), order()),
            (text, text.len() - 1, None),
            (" \n{\"id\":\"a\"} ", 100, order()),
            (r#"["a"]"#, 100, None),
            (r#" ["a"]"#, 100, None),
            (r#"{"id":"a","id":"b"}"#, 100, None),
            (r#"{"id":"a"}{"#, 100, None),
            (r#"{"id":1}"#, 100, None),
            ("", 100, None),
        ];
        for (text, limit, expected) in table {
            assert_eq!(read_now(text, limit), expected, "{text:?} within {limit}");
        }
    }

    #[test]
    fn json_is_what_says_so() {
        for (line, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jsonp", false),
            ("text/plain", false),
            ("text/plain;application/json", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(line));
            assert_eq!(is_json(&headers), expected, "{line:?}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
