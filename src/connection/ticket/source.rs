//! [`TicketSource`]: `?ticket=…` of a handshake.

use http::{Method, header, request::Parts};

use crate::{
    BearerToken, Carrier, Glance, HeadRef, MalformedCredentials, QueryParameter, TokenSource,
};

/// The query parameter of a ticket, and the source's name in logs.
pub(super) const NAME: &str = "ticket";

/// The query parameter `ticket`: of WebSocket handshakes, and of event streams where the office says so.
#[derive(Debug)]
pub(super) struct TicketSource {
    handshakes: QueryParameter,
    everywhere: QueryParameter,
    streams: EventStreams,
}

/// Whether a page may open an `EventSource` with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventStreams {
    Without,
    WithTicket,
}

impl TicketSource {
    pub(super) fn new(parameter: &QueryParameter, streams: EventStreams) -> Self {
        Self {
            handshakes: parameter.clone(),
            everywhere: parameter.clone().everywhere(),
            streams,
        }
    }
}

impl TokenSource for TicketSource {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        if self.streams == EventStreams::WithTicket && is_event_stream(head) {
            self.everywhere.extract(head)
        } else {
            self.handshakes.extract(head)
        }
    }

    fn glance<'r>(&self, head: HeadRef<'r>) -> Glance<'r> {
        self.everywhere.glance(head)
    }

    fn carrier(&self) -> Carrier {
        Carrier::Uri
    }

    fn places(&self) -> Vec<String> {
        self.handshakes.places()
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn conceal(&self, head: &mut Parts) {
        self.handshakes.conceal(head);
    }

    /// It is explicit, and was drawn for exactly this handshake, with which a browser sends its cookies too.
    fn outranks_ambient(&self) -> bool {
        true
    }
}

/// Whether this is what `new EventSource(…)` sends: a `GET` that accepts `text/event-stream`.
fn is_event_stream(head: HeadRef<'_>) -> bool {
    let accepted = head.headers.get_all(header::ACCEPT).iter();
    *head.method == Method::GET
        && accepted
            .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
            .filter_map(|item| item.split(|&byte| byte == b';').next())
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::Request;

    #[test]
    fn an_event_stream_is_a_get_that_accepts_one() {
        for (method, accept, expected) in [
            ("GET", Some("text/event-stream"), true),
            ("GET", Some("Text/Event-Stream; q=1"), true),
            ("GET", Some("application/json, text/event-stream"), true),
            ("GET", Some("text/event-streams"), false),
            ("GET", Some("*/*"), false),
            ("GET", None, false),
            ("POST", Some("text/event-stream"), false),
        ] {
            let mut request = Request::builder().method(method).uri("/a?ticket=t");
            if let Some(accept) = accept {
                request = request.header("accept", accept);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(
                is_event_stream(HeadRef::from(&head)),
                expected,
                "{method} {accept:?}"
            );
            let parameter = QueryParameter::new("ticket").unwrap();
            let found = |streams| {
                TicketSource::new(&parameter, streams)
                    .extract(HeadRef::from(&head))
                    .is_ok()
            };
            assert_eq!(found(EventStreams::WithTicket), expected);
            assert!(!found(EventStreams::Without));
        }
    }
}
