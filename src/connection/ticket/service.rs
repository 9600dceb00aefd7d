//! [`TicketService`]: `POST /auth/ticket`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::Full;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use tower_service::Service;

use super::{
    Ticket, TicketOffice,
    office::{Repeated, origin},
};
use crate::{
    AnswerFuture, Rejection, RejectionKind,
    endpoint::{self, Answer},
};

/// The most bytes of a request body that are read.
const BODY_LIMIT: usize = 4 * 1024;

/// Hands out tickets to who is asking: `{"agent":"a","room":"r"}` → `{"ticket":"…","expires_in":30}`.
///
/// It stands inside an auth layer and demands a [`Principal`](crate::Principal): without one it answers 401 where a token
/// is optional, and 500 where no layer has looked at the request. The body is one JSON object of at most 4 KiB with a
/// text for each parameter of the resource path and nothing else, or the answer is 400. A store that does not answer is
/// a 503. Other methods are answered 405.
#[derive(Clone)]
pub struct TicketService(TicketOffice);

impl TicketService {
    pub(super) fn new(office: TicketOffice) -> Self {
        Self(office)
    }
}

impl<B> Service<Request<B>> for TicketService
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let office = self.0.clone();
        AnswerFuture::new(async move {
            let outcome = issue(&office, &head, body).await;
            endpoint::settle(outcome, &head, "TicketService")
        })
    }
}

async fn issue<B>(office: &TicketOffice, head: &Parts, body: B) -> Result<Answer, Rejection>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    if head.method != Method::POST {
        return Ok(endpoint::not_allowed("POST"));
    }
    let principal = endpoint::principal(head)?;
    let origin = origin(&head.headers).map_err(|Repeated| RejectionKind::RequestMalformed)?;
    let Resource(resource) = endpoint::read(body, BODY_LIMIT).await?;
    let minting = office.prepare(principal, resource, origin)?;
    let ticket = office.keep(minting).await?;
    Ok(granted(&ticket))
}

fn granted(ticket: &Ticket) -> Answer {
    let body = serde_json::json!({
        "ticket": ticket.text.expose(),
        "expires_in": ticket.expires_in.as_secs(),
    });
    endpoint::json(StatusCode::OK, &body)
}

/// A JSON object of texts, none of them named twice.
struct Resource(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Resource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Resource, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((name, text)) = map.next_entry()? {
                    if texts.insert(name, text).is_some() {
                        return Err(A::Error::custom("a member named twice"));
                    }
                }
                Ok(Resource(texts))
            }
        }
        deserializer.deserialize_map(Texts)
    }
}

impl fmt::Debug for TicketService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TicketService").field(&self.0).finish()
    }
}
