//! [`House`]: a service whose every gate asks one store, as a node of many has it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tower_warden::{
    ApiKeyLayer, ApiKeyStore, ApiKeys, JwtAuthLayer, NewApiKey, OwnerStore, OwnershipLayer,
    Rejection, RejectionKind, ResourceKey, SigningKey, SubjectId, TicketOffice, TicketStore,
    TokenIssuer, testing::PrincipalLayer,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PEPPER: &str = "a pepper of at least thirty-two bytes";

/// Ownership, API keys and tickets over one store, each in front of a service that counts its calls.
pub(crate) struct House {
    owned: OwnershipLayer,
    keys: ApiKeys,
    key_layer: ApiKeyLayer,
    office: TicketOffice,
    issuer: TokenIssuer,
    ticket_layer: JwtAuthLayer,
}

impl House {
    pub(crate) fn new<S: OwnerStore + ApiKeyStore + TicketStore + Clone>(store: S) -> Self {
        let key = ResourceKey::path("/agents/{agent}/{room}").unwrap();
        let keys = ApiKeys::new(store.clone(), PEPPER).unwrap();
        let office = TicketOffice::builder(store.clone()).build().unwrap();
        let ticket_layer = JwtAuthLayer::hs256(SECRET).unwrap();
        Self {
            owned: OwnershipLayer::new(store, key).claim_on_first_use(),
            key_layer: ApiKeyLayer::new(keys.clone()).build().unwrap(),
            keys,
            ticket_layer: ticket_layer.with_tickets(office.clone()).build().unwrap(),
            office,
            issuer: TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
                .build()
                .unwrap(),
        }
    }

    /// A request of somebody for a room, which the first who asks gets; the status of the answer.
    pub(crate) async fn visit(&self, who: &str, room: &str) -> u16 {
        let layer = PrincipalLayer::new(who);
        let request = Request::get(format!("/agents/a/{room}")).body(()).unwrap();
        self.send(|inner| layer.layer(self.owned.layer(inner)), request)
            .await
    }

    pub(crate) async fn new_key(&self, who: &str) -> String {
        let owner = SubjectId::new("", who).unwrap();
        let created = self.keys.create(NewApiKey::new(owner)).await.unwrap();
        created.key().expose().to_owned()
    }

    /// A request with an API key.
    pub(crate) async fn present_key(&self, key: &str) -> u16 {
        let request = Request::get("/chat").header("x-api-key", key);
        let request = request.body(()).unwrap();
        self.send(|inner| self.key_layer.layer(inner), request)
            .await
    }

    /// A fresh ticket, or the status of the refusal.
    pub(crate) async fn draw(&self, who: &str, room: &str) -> Result<String, u16> {
        let token = self.issuer.mint(who).sign().unwrap();
        let body = format!(r#"{{"agent":"a","room":"{room}"}}"#);
        let request = Request::post("/auth/ticket")
            .header("authorization", format!("Bearer {}", token.expose()))
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let service = self.ticket_layer.layer(self.office.service());
        let response = service.oneshot(request).await.unwrap();
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        Ok(answer["ticket"].as_str().unwrap().to_owned())
    }

    /// A handshake with a ticket.
    pub(crate) async fn redeem(&self, ticket: &str, room: &str) -> u16 {
        let request = Request::get(format!("/agents/a/{room}?ticket={ticket}"))
            .header("connection", "Upgrade")
            .header("upgrade", "websocket");
        let request = request.body(()).unwrap();
        self.send(|inner| self.ticket_layer.layer(inner), request)
            .await
    }

    /// Sends one request, and proves that a refusal never reaches the inner service.
    async fn send<S>(&self, layer: impl FnOnce(Inner) -> S, request: Request<()>) -> u16
    where
        S: Service<Request<()>, Response = Response<String>, Error = Infallible>,
    {
        let inner = Inner::default();
        let response = layer(inner.clone()).oneshot(request).await.unwrap();
        let rejection = response.extensions().get::<Rejection>();
        let calls = inner.0.load(Ordering::SeqCst);
        assert_eq!(
            calls,
            usize::from(rejection.is_none()),
            "calls of the inner service, {rejection:?}"
        );
        if response.status() == 503 {
            let kind = rejection.map(Rejection::kind);
            assert_eq!(kind, Some(RejectionKind::StoreUnavailable));
        }
        response.status().as_u16()
    }
}

/// What every request is after: it answers 200, and counts.
#[derive(Clone, Default)]
struct Inner(Arc<AtomicUsize>);

impl Service<Request<()>> for Inner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        self.0.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Response::new(String::new())))
    }
}
