//! [`StreamBound`]: a lease and a policy, about to be laid over a body.

use http::{HeaderMap, header};
use http_body::Body;

use super::{LeasedBody, StreamPolicy};
use crate::Lease;

/// A lease and a policy, about to be laid over the body of an answer.
///
/// [`StreamLeaseLayer`](crate::StreamLeaseLayer) makes one for each answer; a service whose body has a type of its own
/// does by hand what the layer does for others:
///
/// ```
/// use http::Response;
/// use tower_warden::{Lease, LeasedBody, StreamBound, StreamPolicy};
///
/// fn bounded<B>(response: Response<B>, lease: Lease) -> Response<LeasedBody<B>>
/// where
///     B: http_body::Body + Send + Unpin + 'static,
/// {
///     let bound = StreamBound::new(lease, StreamPolicy::Close, response.headers());
///     response.map(|body| bound.over(body))
/// }
/// ```
#[derive(Debug)]
pub struct StreamBound {
    pub(super) lease: Lease,
    pub(super) policy: StreamPolicy,
    pub(super) form: Form,
}

/// Whether a last word can be added to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It is an event stream: one more event may stand at its end.
    Events,
    /// It has to stay as it is.
    Opaque,
}

impl StreamBound {
    /// Binds an answer with these headers to a lease.
    #[must_use]
    pub fn new(lease: Lease, policy: StreamPolicy, headers: &HeaderMap) -> Self {
        Self {
            lease,
            policy,
            form: Form::of(headers),
        }
    }

    /// Lays it over a body; one that may not be moved is pinned to a box before (`Box::pin`).
    ///
    /// Where the body does not know its size and a tokio runtime is running, a task watches over the end, so that what
    /// feeds the body is dropped then even if nobody reads it.
    pub fn over<B: Body + Send + Unpin + 'static>(self, body: B) -> LeasedBody<B> {
        LeasedBody::new(body, self)
    }
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let is_event_stream = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"));
        // Nothing can be appended to what was compressed, or counted.
        let is_sealed = headers.contains_key(header::CONTENT_ENCODING)
            || headers.contains_key(header::CONTENT_LENGTH);
        if is_event_stream && !is_sealed {
            Self::Events
        } else {
            Self::Opaque
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_added_to_nothing_but_plain_event_streams() {
        let events = ("content-type", "text/event-stream");
        let table: [(&[(&str, &str)], Form); 8] = [
            (&[events], Form::Events),
            (
                &[("content-type", "Text/Event-Stream; charset=utf-8")],
                Form::Events,
            ),
            (&[events, ("content-encoding", "gzip")], Form::Opaque),
            (&[events, ("content-length", "10")], Form::Opaque),
            (&[("content-type", "application/json")], Form::Opaque),
            (&[("content-type", "text/event-streams")], Form::Opaque),
            (&[("content-type", "application/x-ndjson")], Form::Opaque),
            (&[], Form::Opaque),
        ];
        for (headers, form) in table {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>();
            assert_eq!(Form::of(&headers), form, "{headers:?}");
        }
    }
}
