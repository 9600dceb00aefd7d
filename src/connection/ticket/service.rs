//! [`TicketService`]: `POST /auth/ticket`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use tower_service::Service;

use super::{
    Ticket, TicketOffice,
    office::{Repeated, origin},
};
use crate::{Principal, Rejection, RejectionKind, principal::require_principal, telemetry};

/// The most bytes of a request body that are read.
const BODY_LIMIT: usize = 4 * 1024;

/// Hands out tickets to who is asking: `{"agent":"a","room":"r"}` → `{"ticket":"…","expires_in":30}`.
///
/// It stands inside an auth layer and demands a [`Principal`]: without one it answers 401 where a token is optional,
/// and 500 where no layer has looked at the request. The body is one JSON object of at most 4 KiB with a text for each
/// parameter of the resource path and nothing else, or the answer is 400. A store that does not answer is a 503. Other
/// methods are answered 405.
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
    type Future = TicketServiceFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return TicketServiceFuture::ready(not_allowed());
        }
        let principal = match require_principal(&head) {
            Ok(principal) => principal.clone(),
            Err((kind, refusals)) => {
                let rejection = kind.into();
                telemetry::refused(&rejection, None);
                return TicketServiceFuture::ready(refusals.respond(&rejection));
            }
        };
        let office = self.0.clone();
        TicketServiceFuture(Box::pin(async move {
            match issue(&office, &principal, &head.headers, body).await {
                Ok(ticket) => granted(&ticket),
                Err(rejection) => {
                    telemetry::refused(&rejection, Some(principal.source()));
                    principal.refusals().respond(&rejection)
                }
            }
        }))
    }
}

async fn issue<B>(
    office: &TicketOffice,
    principal: &Principal,
    headers: &HeaderMap,
    body: B,
) -> Result<Ticket, Rejection>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    let malformed = RejectionKind::RequestMalformed;
    let origin = origin(headers).map_err(|Repeated| malformed)?;
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body = body.map_err(|_| malformed)?.to_bytes();
    let Resource(resource) = serde_json::from_slice(&body).map_err(|_| malformed)?;
    let minting = office.prepare(principal, resource, origin)?;
    office.keep(minting).await
}

fn granted(ticket: &Ticket) -> Response<Full<Bytes>> {
    let body = serde_json::json!({
        "ticket": ticket.text.expose(),
        "expires_in": ticket.expires_in.as_secs(),
    });
    let mut response = Response::new(Full::from(body.to_string()));
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn not_allowed() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let allow = HeaderValue::from_static("POST");
    response.headers_mut().insert(header::ALLOW, allow);
    response
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

/// Response future of [`TicketService`].
pub struct TicketServiceFuture(Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>);

impl TicketServiceFuture {
    fn ready(response: Response<Full<Bytes>>) -> Self {
        Self(Box::pin(ready(response)))
    }
}

impl Future for TicketServiceFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for TicketServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketServiceFuture")
    }
}
