//! Tickets: one handshake, one resource, one origin, and never wider than the token they were drawn with.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_warden::{
    Algorithm, AuthLayerBuilder, Bearer, BearerToken, Clock, ConfigError, JwtAuthLayer, Key, Keys,
    MemoryTickets, Mint, Paths, RejectionKind, ResourceBinding, Rule, SigningKey, StoreError,
    StoreFuture, TicketHash, TicketOffice, TicketOfficeBuilder, TicketRecord, TicketStore,
    TokenIssuer, Verifier,
};

use crate::support::{Inner, SECRET, get, get_with, refusal, seen, send, upgrade};

const NOW: u64 = 1_000_000;
const BODY: &str = r#"{"agent":"a","room":"r1"}"#;
const PATH: &str = "/agents/a/r1";
const INVALID: Option<RejectionKind> = Some(RejectionKind::TicketInvalid);

/// Time in milliseconds, moved by hand.
#[derive(Debug, Clone)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW * 1_000)))
    }

    /// This many milliseconds after the start.
    fn set(&self, millis: u64) {
        self.0.store(NOW * 1_000 + millis, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store elsewhere: it keeps text, answers later, counts, and fails when told.
#[derive(Debug, Clone, Default)]
struct Remote {
    memory: Arc<MemoryTickets>,
    texts: Arc<Mutex<Vec<String>>>,
    asked: Arc<AtomicUsize>,
    down: Arc<AtomicUsize>,
}

impl Remote {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer<T>(
        &self,
        inner: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.down.load(Ordering::SeqCst) == 1 {
            return Err(StoreError::new("connection refused"));
        }
        inner.await
    }
}

impl TicketStore for Remote {
    fn put(&self, hash: TicketHash, record: TicketRecord, now: Duration) -> StoreFuture<'_, ()> {
        let text = record.to_text().unwrap();
        let record = TicketRecord::from_text(&text).unwrap();
        self.texts.lock().unwrap().push(format!("{hash} {text}"));
        Box::pin(self.answer(self.memory.put(hash, record, now)))
    }

    fn take<'a>(
        &'a self,
        hash: TicketHash,
        client: Option<&'a str>,
        now: Duration,
    ) -> StoreFuture<'a, Option<TicketRecord>> {
        Box::pin(self.answer(self.memory.take(hash, client, now)))
    }
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn the_memory_store_keeps_every_promise() {
    let store = Arc::new(MemoryTickets::default());
    tower_warden::testing::conformance::ticket_store(async || Arc::clone(&store)).await;
    let remote = Remote::default();
    tower_warden::testing::conformance::ticket_store(async || remote.clone()).await;
}

/// Two nodes that do not share their tickets are caught.
#[cfg(feature = "testing")]
#[tokio::test]
#[should_panic(expected = "taken on another")]
async fn a_store_that_is_not_shared_does_not_conform() {
    tower_warden::testing::conformance::ticket_store(async || MemoryTickets::default()).await;
}

/// An office, the layer that guards it, and who signs for its users.
struct House {
    clock: Hands,
    office: TicketOffice,
    issuer: TokenIssuer,
}

impl House {
    fn new() -> Self {
        Self::with(MemoryTickets::default(), |office| office)
    }

    /// Its clients may repeat a handshake, by the parameter that Cloudflare's have.
    fn repeating(store: impl TicketStore) -> Self {
        Self::with(store, |office| office.with_client_parameter("_pk"))
    }

    fn with(
        store: impl TicketStore,
        finish: impl FnOnce(TicketOfficeBuilder) -> TicketOfficeBuilder,
    ) -> Self {
        let clock = Hands::new();
        let office = TicketOffice::builder(store).with_clock(clock.clone());
        Self {
            office: finish(office).build().unwrap(),
            issuer: TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
                .with_clock(clock.clone())
                .build()
                .unwrap(),
            clock,
        }
    }

    fn builder(&self) -> AuthLayerBuilder<Bearer> {
        JwtAuthLayer::hs256(SECRET)
            .unwrap()
            .with_clock(self.clock.clone())
            .with_tickets(self.office.clone())
    }

    fn layer(&self) -> JwtAuthLayer {
        self.builder().build().unwrap()
    }

    fn token(&self, finish: impl FnOnce(Mint<'_>) -> Mint<'_>) -> BearerToken<'static> {
        finish(self.issuer.mint("alice")).sign().unwrap()
    }

    /// `POST /auth/ticket` through the layer.
    fn post(
        &self,
        token: &BearerToken<'_>,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Full<Bytes>> {
        let mut request = Request::post("/auth/ticket")
            .header("authorization", format!("Bearer {}", token.expose()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        run(self.layer().layer(self.office.service()).oneshot(request)).unwrap()
    }

    #[track_caller]
    fn draw_with(&self, token: &BearerToken<'_>, headers: &[(&str, &str)]) -> String {
        let response = self.post(token, headers, BODY);
        assert_eq!(response.status(), 200);
        text(response)["ticket"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn draw(&self) -> String {
        self.draw_with(&self.token(|mint| mint), &[])
    }

    /// A handshake, as it is refused or not.
    #[track_caller]
    fn shake(&self, target: &str) -> Option<RejectionKind> {
        refusal(&send(&self.layer(), handshake(target, &[])))
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn text(response: Response<Full<Bytes>>) -> Value {
    let body = run(response.into_body().collect()).unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

fn handshake(target: &str, headers: &[(&'static str, &str)]) -> Request<String> {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.to_string()));
    get_with(target, upgrade().into_iter().chain(headers))
}

fn with_ticket(path: &str, ticket: &str) -> String {
    format!("{path}?ticket={ticket}")
}

#[test]
fn a_ticket_opens_one_socket_as_its_token_would() {
    let house = House::new();
    let token = house.token(|mint| {
        mint.with_scopes(["chat", "history"])
            .with_claim("roles", ["reader"])
            .with_claim("sid", "s1")
            .with_lifetime(Duration::from_secs(600))
    });
    let layer = house.builder().with_roles_claim("roles").build().unwrap();
    let plain = send(&layer, get("/chat", &token));
    let plain = seen(&plain).principal.as_ref().unwrap().clone();

    let response = house.post(&token, &[], BODY);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer = text(response);
    assert_eq!(answer.as_object().unwrap().len(), 2);
    assert_eq!(answer["expires_in"], 30);
    let ticket = answer["ticket"].as_str().unwrap();
    assert_eq!(ticket.len(), 43);

    let target = format!("{PATH}?x=1&ticket={ticket}&y=2");
    let response = send(&layer, handshake(&target, &[]));
    let seen = seen(&response);
    assert_eq!(seen.uri, "/agents/a/r1?x=1&y=2");
    let principal = seen.principal.as_ref().unwrap();
    assert_eq!(principal.source(), "ticket");
    assert_eq!(principal.subject(), "alice");
    assert_eq!(principal.expires_at(), plain.expires_at());
    assert_eq!(principal.token_id(), plain.token_id());
    assert_eq!(principal.algorithm(), plain.algorithm());
    assert_eq!(principal.token().claims_text(), plain.token().claims_text());
    assert!(principal.scopes().eq(["chat", "history"]));
    // The layer that drew the ticket knew of no roles, so neither does the one that takes it.
    assert_eq!(principal.roles().count(), 0);
    assert_eq!(principal.token().token().expose(), ticket);

    let again = send(&layer, handshake(&target, &[]));
    assert_eq!((again.status().as_u16(), refusal(&again)), (401, INVALID));
    assert!(again.body().contains(r#""code":"ticket_invalid""#));
    let challenge = again.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"error="invalid_token""#));
}

#[test]
fn two_tickets_are_never_alike() {
    let store = MemoryTickets::default().with_capacity_per_subject(100);
    let house = House::with(store, |office| office);
    let tickets: std::collections::HashSet<_> = (0..100).map(|_| house.draw()).collect();
    assert_eq!(tickets.len(), 100);
}

#[test]
fn a_ticket_is_for_its_own_agent_and_room_and_a_wrong_use_spends_it() {
    for (path, expected) in [
        ("/agents/a/r1", None),
        ("/agents/a/r1/sub", None),
        ("/agents/%61/r1", None),
        ("/agents/b/r1", Some(RejectionKind::ResourceMismatch)),
        ("/agents/a/r2", Some(RejectionKind::ResourceMismatch)),
        ("/agents/A/r1", Some(RejectionKind::ResourceMismatch)),
        ("/agents/r1/a", Some(RejectionKind::ResourceMismatch)),
        ("/agents/a", Some(RejectionKind::ResourceMismatch)),
        ("/chat", Some(RejectionKind::ResourceMismatch)),
        ("//agents/a/r1", Some(RejectionKind::ResourceMismatch)),
        ("/agents/b/../a/r1", Some(RejectionKind::ResourceMismatch)),
        ("/agents/a%2Fr1", Some(RejectionKind::ResourceMismatch)),
    ] {
        let house = House::new();
        let ticket = house.draw();
        let response = send(&house.layer(), handshake(&with_ticket(path, &ticket), &[]));
        assert_eq!(refusal(&response), expected, "{path}");
        if expected.is_some() {
            assert_eq!(response.status(), 403);
        }
        let target = with_ticket(PATH, &ticket);
        assert_eq!(house.shake(&target), INVALID, "{path}");
    }
}

#[test]
fn a_ticket_that_a_page_drew_is_for_pages_of_its_origin() {
    const APP: (&str, &str) = ("origin", "https://app.example");
    const EVIL: (&str, &str) = ("origin", "https://evil.example");
    const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");
    const HOST: (&str, &str) = ("host", "app.example");
    let foreign = Some(RejectionKind::OriginForeign);
    for (drawn, shown, expected) in [
        (&[APP][..], &[APP][..], None),
        (&[APP], &[EVIL], foreign),
        (&[APP], &[], foreign),
        (&[APP], &[APP, APP], foreign),
        (&[APP], &[APP, EVIL], foreign),
        (&[APP], &[("origin", "null")], foreign),
        (&[APP], &[("origin", "https://app.example:443")], foreign),
        (
            &[APP],
            &[("origin", "https://app.example.evil.example")],
            foreign,
        ),
        // What an `EventSource` sends to its own origin, which is named by `Host`.
        (&[APP], &[SAME, HOST], None),
        (&[APP], &[SAME, HOST, ("origin", "null")], None),
        (
            &[("origin", "https://app.example:443")],
            &[SAME, HOST],
            None,
        ),
        (&[("origin", "http://app.example")], &[SAME, HOST], None),
        (
            &[("origin", "https://app.example:8443")],
            &[SAME, HOST],
            foreign,
        ),
        (&[EVIL], &[SAME, HOST], foreign),
        (&[APP], &[SAME], foreign),
        (&[APP], &[HOST], foreign),
        (&[APP], &[SAME, HOST, HOST], foreign),
        (&[APP], &[SAME, ("host", "api.example")], foreign),
        (&[APP], &[SAME, SAME, HOST], foreign),
        (&[APP], &[("sec-fetch-site", "none"), HOST], foreign),
        (&[APP], &[("sec-fetch-site", "same-site"), HOST], foreign),
        (&[APP], &[SAME, HOST, EVIL], foreign),
        (&[("origin", "null")], &[SAME, HOST], foreign),
        (&[("origin", "null")], &[APP], foreign),
        (&[], &[APP], None),
        (&[], &[], None),
    ] {
        let house = House::new();
        let ticket = house.draw_with(&house.token(|mint| mint), drawn);
        let target = with_ticket(PATH, &ticket);
        let response = send(&house.layer(), handshake(&target, shown));
        assert_eq!(refusal(&response), expected, "{drawn:?} {shown:?}");
        // Whoever tried it from elsewhere has spent it.
        let again = send(&house.layer(), handshake(&target, drawn));
        assert_eq!(refusal(&again), INVALID);
    }
    let house = House::new();
    let response = house.post(&house.token(|mint| mint), &[APP, EVIL], BODY);
    assert_eq!(refusal(&response), Some(RejectionKind::RequestMalformed));
}

#[test]
fn a_ticket_expires_with_its_time() {
    for (millis, expected) in [
        (0, None),
        (29_999, None),
        (30_000, INVALID),
        (90_000, INVALID),
    ] {
        let house = House::new();
        let target = with_ticket(PATH, &house.draw());
        house.clock.set(millis);
        assert_eq!(house.shake(&target), expected, "{millis} ms");
    }
}

#[test]
fn a_ticket_ends_no_later_than_its_token() {
    let short = |house: &House| house.token(|mint| mint.with_lifetime(Duration::from_secs(10)));
    // What is drawn after so many milliseconds is good for so many seconds.
    for (millis, expires_in) in [(0, 10), (500, 9), (9_000, 1)] {
        let house = House::new();
        let token = short(&house);
        house.clock.set(millis);
        let answer = text(house.post(&token, &[], BODY));
        assert_eq!(answer["expires_in"], expires_in);
        let target = with_ticket(PATH, answer["ticket"].as_str().unwrap());
        // The token itself has a leeway of 30 s; the ticket has none.
        house.clock.set(10_000);
        assert_eq!(house.shake(&target), INVALID);
    }
    for millis in [9_001, 10_000, 39_999] {
        let house = House::new();
        let token = short(&house);
        house.clock.set(millis);
        let response = house.post(&token, &[], BODY);
        assert_eq!(refusal(&response), Some(RejectionKind::TokenExpired));
        assert_eq!(response.status(), 401);
    }
}

#[test]
fn who_did_not_hear_the_answer_may_repeat_the_handshake_for_two_seconds() {
    let with_client = |ticket: &str, client: &str| format!("{PATH}?_pk={client}&ticket={ticket}");
    for (first, second, millis, expected) in [
        ("c1", "c1", 0, None),
        ("c1", "c1", 1_999, None),
        ("c1", "%631", 1_000, None),
        ("c1", "c1", 2_000, INVALID),
        ("c1", "c2", 0, INVALID),
        ("c1", "C1", 0, INVALID),
        ("c1", "", 0, INVALID),
        ("", "", 0, INVALID),
        ("", "c1", 0, INVALID),
        ("c1", "c1&_pk=c1", 0, INVALID),
        ("c1&_pk=c1", "c1&_pk=c1", 0, INVALID),
        ("%", "%", 0, INVALID),
    ] {
        let house = House::repeating(MemoryTickets::default());
        let ticket = house.draw();
        assert_eq!(house.shake(&with_client(&ticket, first)), None);
        house.clock.set(millis);
        let second = with_client(&ticket, second);
        assert_eq!(house.shake(&second), expected, "{first} {second} {millis}");
    }

    let house = House::repeating(MemoryTickets::default());
    let ticket = house.draw();
    let target = with_client(&ticket, "c1");
    assert_eq!(house.shake(&target), None);
    // A repeat is still for the same agent, and nobody has a second one.
    let elsewhere = format!("/agents/b/r1?_pk=c1&ticket={ticket}");
    house.clock.set(1_900);
    let wrong = Some(RejectionKind::ResourceMismatch);
    assert_eq!(house.shake(&elsewhere), wrong);
    // It was the only one.
    assert_eq!(house.shake(&target), INVALID);

    // Who comes with another ID meanwhile does not use the repeat up.
    let target = with_client(&house.draw(), "c1");
    assert_eq!(house.shake(&target), None);
    let other = target.replace("c1", "c2");
    assert_eq!(house.shake(&other), INVALID);
    assert_eq!(house.shake(&target), None);
    assert_eq!(house.shake(&target), INVALID);
    house.clock.set(2_100);

    let long = "c".repeat(129);
    let target = with_client(&house.draw(), &long);
    assert_eq!(
        (house.shake(&target), house.shake(&target)),
        (None, INVALID)
    );

    // Nor does it reach beyond the end of the ticket.
    let target = with_client(&house.draw(), "c1");
    house.clock.set(2_100 + 29_500);
    assert_eq!(house.shake(&target), None);
    house.clock.set(2_100 + 30_000);
    assert_eq!(house.shake(&target), INVALID);
}

#[test]
fn a_ticket_is_good_once_unless_a_parameter_of_repeats_is_named() {
    let default = House::new();
    let refusing = House::with(MemoryTickets::default(), |office| {
        office.with_client_parameter("_pk").without_repeats()
    });
    for house in [default, refusing] {
        let target = format!("{PATH}?_pk=c&ticket={}", house.draw());
        assert_eq!(
            (house.shake(&target), house.shake(&target)),
            (None, INVALID)
        );
    }

    let house = House::with(MemoryTickets::default(), |office| {
        office.with_client_parameter("client")
    });
    let target = format!("{PATH}?_pk=c&ticket={}", house.draw());
    assert_eq!(
        (house.shake(&target), house.shake(&target)),
        (None, INVALID)
    );
    let target = format!("{PATH}?client=c&ticket={}", house.draw());
    assert_eq!((house.shake(&target), house.shake(&target)), (None, None));
}

#[test]
fn what_cannot_be_a_ticket_never_reaches_the_store() {
    let remote = Remote::default();
    let house = House::with(remote.clone(), |office| office);
    let ticket = house.draw();
    let asked = remote.asked();
    let malformed = Some(RejectionKind::CredentialsMalformed);
    for (value, expected) in [
        (String::new(), malformed),
        ("%00".to_owned(), INVALID),
        (format!("{}%00", &ticket[..42]), INVALID),
        ("%".to_owned(), malformed),
        ("a".to_owned(), INVALID),
        ("A".repeat(10_240), INVALID),
        (ticket[..42].to_owned(), INVALID),
        (format!("{ticket}="), INVALID),
        (format!("{ticket}+"), INVALID),
        (format!("{ticket}%0"), malformed),
        (ticket.to_lowercase() + "x", INVALID),
        (house.token(|mint| mint).expose().to_owned(), INVALID),
        (
            format!("{ticket}&ticket={ticket}"),
            Some(RejectionKind::CredentialsAmbiguous),
        ),
    ] {
        let target = with_ticket(PATH, &value);
        assert_eq!(house.shake(&target), expected, "{value}");
    }
    assert_eq!(remote.asked(), asked);
    // Guesses of the right form are asked for, and are nobody's.
    for guess in ["A".repeat(43), "_".repeat(42) + "8"] {
        assert_eq!(house.shake(&with_ticket(PATH, &guess)), INVALID);
    }
    assert_eq!(remote.asked(), asked + 2);
    assert_eq!(house.shake(&with_ticket(PATH, &ticket)), None);
}

#[test]
fn a_store_that_is_down_gives_and_admits_nothing() {
    let remote = Remote::default();
    let house = House::with(remote.clone(), |office| office);
    let token = house.token(|mint| mint);
    let target = with_ticket(PATH, &house.draw());
    remote.down.store(1, Ordering::SeqCst);
    let minted = house.post(&token, &[], BODY);
    let shaken = send(&house.layer(), handshake(&target, &[]));
    for (status, headers, kind) in [
        (minted.status(), minted.headers(), refusal(&minted)),
        (shaken.status(), shaken.headers(), refusal(&shaken)),
    ] {
        assert_eq!(status, 503);
        assert_eq!(kind, Some(RejectionKind::StoreUnavailable));
        assert_eq!(headers["retry-after"], "5");
        assert!(!headers.contains_key("www-authenticate"));
    }
    assert!(!shaken.body().contains("connection refused"));
    remote.down.store(0, Ordering::SeqCst);
    assert_eq!(house.shake(&target), None);
    assert_eq!(house.shake(&target), INVALID);
}

/// A store that drops nothing by itself.
#[derive(Debug, Default)]
struct Hoard(Mutex<std::collections::HashMap<TicketHash, TicketRecord>>);

impl TicketStore for Hoard {
    fn put(&self, hash: TicketHash, record: TicketRecord, _: Duration) -> StoreFuture<'_, ()> {
        self.0.lock().unwrap().insert(hash, record);
        Box::pin(async { Ok(()) })
    }

    fn take<'a>(
        &'a self,
        hash: TicketHash,
        _: Option<&'a str>,
        _: Duration,
    ) -> StoreFuture<'a, Option<TicketRecord>> {
        let record = self.0.lock().unwrap().remove(&hash);
        Box::pin(async { Ok(record) })
    }
}

#[test]
fn a_store_that_is_late_to_drop_what_expired_is_not_believed() {
    for (millis, expected) in [(29_999, None), (30_000, INVALID)] {
        let house = House::with(Hoard::default(), |office| office);
        let target = with_ticket(PATH, &house.draw());
        house.clock.set(millis);
        assert_eq!(house.shake(&target), expected);
    }
}

#[test]
fn a_full_store_keeps_what_it_has_until_it_is_taken_or_expires() {
    let house = House::with(MemoryTickets::with_capacity(2), |office| office);
    let token = house.token(|mint| mint);
    let tickets = [house.draw(), house.draw()];
    let full = house.post(&token, &[], BODY);
    assert_eq!(refusal(&full), Some(RejectionKind::StoreUnavailable));
    assert_eq!(full.status(), 503);
    assert_eq!(house.shake(&with_ticket(PATH, &tickets[0])), None);
    house.draw();
    let full = house.post(&token, &[], BODY);
    assert_eq!(full.status(), 503);
    house.clock.set(30_000);
    house.draw();
    house.draw();
}

#[test]
fn one_user_does_not_fill_the_store_for_others() {
    let store = MemoryTickets::default().with_capacity_per_subject(2);
    for (store, most) in [(MemoryTickets::default(), 64), (store, 2)] {
        let house = House::repeating(store);
        let alice = house.token(|mint| mint);
        let bob = house.issuer.mint("bob").sign().unwrap();
        let other = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
            .with_issuer("https://id.example")
            .with_clock(house.clock.clone())
            .build()
            .unwrap();
        let namesake = other.mint("alice").sign().unwrap();
        let refused = || refusal(&house.post(&alice, &[], BODY));
        let full = Some(RejectionKind::StoreUnavailable);

        let tickets: Vec<_> = (0..most).map(|_| house.draw_with(&alice, &[])).collect();
        assert_eq!(refused(), full);
        assert_eq!(house.post(&alice, &[], BODY).status(), 503);
        house.draw_with(&bob, &[]);
        house.draw_with(&namesake, &[]);
        // Each that is taken makes room for one.
        assert_eq!(house.shake(&with_ticket(PATH, &tickets[0])), None);
        house.draw_with(&alice, &[]);
        assert_eq!(refused(), full);
        // One that may be repeated is still there, and goes with its repeat or after 2 s.
        let repeated = format!("{PATH}?_pk=c&ticket={}", tickets[1]);
        assert_eq!(house.shake(&repeated), None);
        assert_eq!(refused(), full);
        assert_eq!(house.shake(&repeated), None);
        let ticket = house.draw_with(&alice, &[]);
        assert_eq!(refused(), full);
        assert_eq!(house.shake(&format!("{PATH}?_pk=c&ticket={ticket}")), None);
        house.clock.set(2_000);
        house.draw_with(&alice, &[]);
        assert_eq!(refused(), full);
        // So does the end of their time.
        house.clock.set(32_000);
        (0..most).for_each(|_| _ = house.draw_with(&alice, &[]));
        assert_eq!(refused(), full);
    }
}

#[test]
fn the_store_never_sees_a_ticket_or_a_signature() {
    let remote = Remote::default();
    let house = House::with(remote.clone(), |office| office);
    let token = house.token(|mint| mint);
    let ticket = house.draw_with(&token, &[]);
    let texts = remote.texts.lock().unwrap().join("\n");
    let signature = token.expose().rsplit('.').next().unwrap();
    assert!(texts.contains("alice"), "{texts}");
    assert!(!texts.contains(&ticket));
    assert!(!texts.contains(signature));
}

#[test]
fn a_record_of_another_form_is_nobody() {
    let remote = Remote::default();
    let house = House::with(remote.clone(), |office| office);
    house.draw();
    let text = remote.texts.lock().unwrap()[0].clone();
    let (_, text) = text.split_once(' ').unwrap();
    assert!(TicketRecord::from_text(text).is_ok());
    for text in [
        "",
        "{}",
        "null",
        &text[..text.len() - 1],
        &text.replacen('{', r#"{"admin":true,"#, 1),
        &text.replace("HS256", "none"),
    ] {
        assert!(TicketRecord::from_text(text).is_err(), "{text}");
    }
    let record = TicketRecord::from_text(text).unwrap();
    assert!(!format!("{record:?}").contains("alice"));
}

#[test]
fn a_body_that_is_not_one_resource_is_a_400() {
    let remote = Remote::default();
    let house = House::with(remote.clone(), |office| office);
    let token = house.token(|mint| mint);
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        r#"["a","r1"]"#.to_owned(),
        "{}".to_owned(),
        r#"{"agent":"a"}"#.to_owned(),
        r#"{"agent":"a","room":""}"#.to_owned(),
        r#"{"agent":"a","room":null}"#.to_owned(),
        r#"{"agent":"a","room":1}"#.to_owned(),
        r#"{"agent":"a","Room":"r"}"#.to_owned(),
        r#"{"agent":"a","room":"r","sub":"bob"}"#.to_owned(),
        r#"{"agent":"a","room":"r","room":"s"}"#.to_owned(),
        r#"{"agent":"a","room":"r"}}"#.to_owned(),
        r#"{"agent":"a","room":"r"} {}"#.to_owned(),
        r#"{"agent":"a","room":"r",}"#.to_owned(),
        "agent=a&room=r".to_owned(),
        format!(r#"{{"agent":"a","room":"{}"}}"#, "r".repeat(4_096)),
        format!("{BODY}{}", " ".repeat(4_096)),
        "[".repeat(4_000),
    ] {
        let response = house.post(&token, &[], body.clone());
        assert_eq!(response.status(), 400, "{body}");
        assert_eq!(refusal(&response), Some(RejectionKind::RequestMalformed));
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert!(!response.headers().contains_key("www-authenticate"));
        assert_eq!(text(response)["code"], "request_malformed");
    }
    let response = house.post(&token, &[], &b"{\"agent\":\"\xff\",\"room\":\"r\"}"[..]);
    assert_eq!(response.status(), 400);
    assert_eq!(remote.asked(), 0);
    let whole = format!("{BODY}{}", " ".repeat(4_096 - BODY.len()));
    assert_eq!(house.post(&token, &[], whole).status(), 200);
}

#[test]
fn only_a_principal_draws_tickets() {
    let remote = Remote::default();
    let house = House::with(remote.clone(), |office| office);
    let ask = |layer: &JwtAuthLayer, method: &str| {
        let request = Request::builder().method(method).uri("/auth/ticket");
        let request = request.body(Full::new(Bytes::from(BODY))).unwrap();
        run(layer.layer(house.office.service()).oneshot(request)).unwrap()
    };
    assert_eq!(ask(&house.layer(), "POST").status(), 401);
    let optional = house
        .builder()
        .with_paths(Paths::all().optional("/auth/ticket"));
    let anonymous = ask(&optional.build().unwrap(), "POST");
    assert_eq!(anonymous.status(), 401);
    assert_eq!(refusal(&anonymous), Some(RejectionKind::TokenMissing));
    let public = house.builder().with_paths(Paths::all().exempt("/auth/*"));
    let unguarded = ask(&public.build().unwrap(), "POST");
    assert_eq!(unguarded.status(), 500);
    assert_eq!(refusal(&unguarded), Some(RejectionKind::Misconfigured));

    let optional = house
        .builder()
        .with_paths(Paths::all().optional("/auth/ticket"));
    let read = ask(&optional.build().unwrap(), "GET");
    assert_eq!(read.status(), 405);
    assert_eq!(read.headers()["allow"], "POST");
    assert_eq!(remote.asked(), 0);
}

#[test]
fn a_ticket_draws_no_ticket() {
    let house = House::with(MemoryTickets::default(), |office| {
        office.with_resource_path("/{agent}/{room}")
    });
    let target = with_ticket("/a/r1", &house.draw());
    let response = send(&house.layer(), handshake(&target, &[]));
    let principal = seen(&response).principal.clone().unwrap();
    let resource = [("agent", "b"), ("room", "r")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let refused = run(house
        .office
        .mint(&principal, resource.clone(), &HeaderMap::new()));
    assert_eq!(refused.unwrap_err().kind(), RejectionKind::Forbidden);
    let refused = house.issuer.connection_token(
        &principal,
        [("agent", "b")],
        TokenIssuer::CONNECTION_LIFETIME,
    );
    assert!(refused.is_err());

    let token = house.token(|mint| mint);
    let response = send(&house.layer(), get("/chat", &token));
    let principal = seen(&response).principal.clone().unwrap();
    let ticket = run(house.office.mint(&principal, resource, &HeaderMap::new())).unwrap();
    assert_eq!(ticket.expires_in, Duration::from_secs(30));
    assert_eq!(
        house.shake(&with_ticket("/b/r", ticket.text.expose())),
        None
    );
}

#[test]
fn a_ticket_travels_with_handshakes_and_with_event_streams_when_told() {
    let missing = Some(RejectionKind::TokenMissing);
    let stream = |target: &str| get_with(target, [("accept", "text/event-stream".to_owned())]);
    let house = House::new();
    let target = with_ticket(PATH, &house.draw());
    let layer = house.layer();
    assert_eq!(refusal(&send(&layer, get_with(&target, []))), missing);
    assert_eq!(refusal(&send(&layer, stream(&target))), missing);
    assert_eq!(house.shake(&target), None);

    let house = House::with(MemoryTickets::default(), |office| {
        office.with_event_streams()
    });
    let target = with_ticket(PATH, &house.draw());
    let layer = house.layer();
    assert_eq!(refusal(&send(&layer, get_with(&target, []))), missing);
    let response = send(&layer, stream(&target));
    assert_eq!(seen(&response).uri, PATH);
    assert_eq!(refusal(&send(&layer, stream(&target))), INVALID);
}

/// A browser sends `Origin` with the `POST` that draws, and none with the `GET` of an `EventSource` to its own origin.
#[test]
fn an_event_source_of_the_own_origin_comes_without_origin() {
    let house = House::with(MemoryTickets::default(), |office| {
        office.with_event_streams()
    });
    let token = house.token(|mint| mint);
    for (site, host, expected) in [
        ("same-origin", "app.example", None),
        (
            "same-site",
            "app.example",
            Some(RejectionKind::OriginForeign),
        ),
        (
            "same-origin",
            "api.example",
            Some(RejectionKind::OriginForeign),
        ),
    ] {
        let target = with_ticket(
            PATH,
            &house.draw_with(&token, &[("origin", "https://app.example")]),
        );
        let headers = [
            ("accept", "text/event-stream".to_owned()),
            ("sec-fetch-site", site.to_owned()),
            ("host", host.to_owned()),
        ];
        let response = send(&house.layer(), get_with(&target, headers));
        assert_eq!(refusal(&response), expected, "{site} {host}");
    }
}

/// RFC 8441: the handshake of HTTP/2 is a `CONNECT` with a path.
#[test]
fn a_ticket_opens_a_socket_over_http_2_and_for_its_resource_only() {
    let house = House::new();
    let connect = |path: &str, ticket: &str| {
        Request::connect(format!("https://h.example{path}?ticket={ticket}"))
            .version(http::Version::HTTP_2)
            .header("sec-websocket-version", "13")
            .body(String::new())
            .unwrap()
    };
    let layer = house.layer();
    let ticket = house.draw();
    assert_eq!(refusal(&send(&layer, connect(PATH, &ticket))), None);
    assert_eq!(refusal(&send(&layer, connect(PATH, &ticket))), INVALID);
    let response = send(&layer, connect("/agents/b/r1", &house.draw()));
    assert_eq!(refusal(&response), Some(RejectionKind::ResourceMismatch));
}

#[test]
fn a_ticket_beside_a_token_is_the_second_one() {
    let house = House::new();
    let token = house.token(|mint| mint);
    let bearer = format!("Bearer {}", token.expose());
    let target = with_ticket(PATH, &house.draw());
    let response = send(
        &house.layer(),
        handshake(&target, &[("authorization", &bearer)]),
    );
    assert_eq!(
        refusal(&response),
        Some(RejectionKind::CredentialsAmbiguous)
    );
}

/// `mortise` took a ticket for the last word, and `bike4mind` let one widen the scopes of its key.
#[test]
fn every_rule_of_the_layer_is_asked_again() {
    let house = House::new();
    let elsewhere = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_clock(house.clock.clone())
        .with_tickets(house.office.clone());
    let refused = |layer: AuthLayerBuilder<Bearer>| {
        let token = house.token(|mint| mint.with_scopes(["chat"]).with_claim("agent", "b"));
        let target = with_ticket(PATH, &house.draw_with(&token, &[]));
        refusal(&send(&layer.build().unwrap(), handshake(&target, &[])))
    };
    let scoped = Paths::all().rule(Rule::required("/agents/**").with_scopes(["admin"]));
    let bound = ResourceBinding::path("/agents/{agent}").claim("agent", "agent");
    for (layer, expected) in [
        (house.builder(), None),
        (
            elsewhere.with_audience("payments"),
            Some(RejectionKind::AudienceMismatch),
        ),
        (
            house.builder().with_issuer("https://id.example"),
            Some(RejectionKind::IssuerMismatch),
        ),
        (
            house.builder().with_paths(scoped),
            Some(RejectionKind::ScopeInsufficient),
        ),
        (
            house.builder().with_resource_binding(bound),
            Some(RejectionKind::ResourceMismatch),
        ),
        (
            house.builder().require(|principal, _| {
                // As a list of revoked tokens would say it.
                principal.token_id().is_none()
            }),
            Some(RejectionKind::Forbidden),
        ),
    ] {
        assert_eq!(refused(layer), expected);
    }
}

#[test]
fn a_token_that_grew_too_old_meanwhile_is_refused() {
    let house = House::new();
    let builder = house
        .builder()
        .with_max_age(Duration::from_secs(10))
        .with_leeway(Duration::ZERO);
    let layer = builder.build().unwrap();
    let target = with_ticket(PATH, &house.draw());
    house.clock.set(10_000);
    let response = send(&layer, handshake(&target, &[]));
    assert_eq!(refusal(&response), Some(RejectionKind::TokenTooOld));
}

#[test]
fn of_a_thousand_redemptions_one_wins_and_its_one_repeat() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    type NameOf = fn(usize) -> String;
    let nameless: NameOf = |_| String::new();
    let distinct: NameOf = |client| format!("&_pk=c{client}");
    let same: NameOf = |_| String::from("&_pk=c");
    for (name, expected) in [(nameless, 1), (distinct, 1), (same, 2)] {
        for remote in [false, true] {
            let house = if remote {
                House::repeating(Remote::default())
            } else {
                House::repeating(MemoryTickets::default())
            };
            let ticket = house.draw();
            let inner = Inner::default();
            let service = house.layer().layer(inner.clone());
            let barrier = Arc::new(tokio::sync::Barrier::new(1_000));
            let statuses = runtime.block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                for client in 0..1_000 {
                    let pk = name(client);
                    let request = handshake(&format!("{PATH}?ticket={ticket}{pk}"), &[]);
                    let (service, barrier) = (service.clone(), Arc::clone(&barrier));
                    tasks.spawn(async move {
                        barrier.wait().await;
                        service.oneshot(request).await.unwrap().status().as_u16()
                    });
                }
                tasks.join_all().await
            });
            let winners = statuses.iter().filter(|status| **status == 200).count();
            let losers = statuses.iter().filter(|status| **status == 401).count();
            let counted = (winners, losers, inner.calls());
            assert_eq!(counted, (expected, 1_000 - expected, expected));
        }
    }
}

#[test]
fn a_session_cookie_draws_tickets_that_its_own_verifier_takes() {
    let house = House::new();
    let sessions = tower_warden::Verifier::builder(
        tower_warden::Keys::hs256(["another secret of thirty-two bytes!"]).unwrap(),
    )
    .with_issuer("sessions")
    .with_clock(house.clock.clone())
    .build()
    .unwrap();
    let layer = house
        .builder()
        .with_issuer("https://id.example")
        .with_verified_source(tower_warden::CookieToken::new("session").unwrap(), sessions)
        .build()
        .unwrap();
    let issuer =
        TokenIssuer::builder(SigningKey::hs256("another secret of thirty-two bytes!").unwrap())
            .with_issuer("sessions")
            .with_clock(house.clock.clone())
            .build()
            .unwrap();
    let cookie = format!("session={}", issuer.mint("carol").sign().unwrap().expose());
    let draw = || {
        let request = Request::post("/auth/ticket")
            .header("cookie", &cookie)
            .header("host", "app.example")
            .header("origin", "https://app.example")
            .body(Full::new(Bytes::from(BODY)))
            .unwrap();
        let response = run(layer.layer(house.office.service()).oneshot(request)).unwrap();
        assert_eq!(response.status(), 200);
        with_ticket(PATH, text(response)["ticket"].as_str().unwrap())
    };
    let app = ("origin", "https://app.example");
    let session = ("cookie", cookie.as_str());
    // A browser sends the session along with the handshake, and cannot be told not to.
    for headers in [
        &[app][..],
        &[app, session],
        &[app, ("cookie", "session=junk")],
    ] {
        let target = draw();
        let response = send(&layer, handshake(&target, headers));
        let principal = seen(&response).principal.as_ref().unwrap();
        assert_eq!(principal.source(), "ticket");
        assert_eq!(principal.subject(), "carol");
        assert_eq!(principal.issuer(), Some("sessions"));
        // A spent ticket is not rescued by a session that is good.
        let again = send(&layer, handshake(&target, &[app, session]));
        assert_eq!(refusal(&again), INVALID);
    }
    // The ticket's own origin is what counts, not that the service would take the cookie from there.
    let evil = ("origin", "https://evil.example");
    let response = send(&layer, handshake(&draw(), &[evil, session]));
    assert_eq!(refusal(&response), Some(RejectionKind::OriginForeign));
}

#[test]
fn an_office_that_cannot_be_kept_does_not_open() {
    let office = || TicketOffice::builder(MemoryTickets::default());
    for seconds in [1, 30, 60] {
        let office = office().with_lifetime(Duration::from_secs(seconds));
        assert!(office.build().is_ok());
    }
    for lifetime in [
        Duration::ZERO,
        Duration::from_millis(999),
        Duration::from_millis(60_001),
        Duration::MAX,
    ] {
        let refused = office().with_lifetime(lifetime).build();
        assert!(matches!(refused, Err(ConfigError::Setting { .. })));
    }
    let refused = office().with_client_parameter("a b").build();
    assert!(matches!(refused, Err(ConfigError::Setting { .. })));
    let refused = office().with_resource_path("/agents/*").build();
    assert!(matches!(refused, Err(ConfigError::Pattern { .. })));
}

#[test]
fn the_resource_may_be_of_any_shape() {
    let house = House::with(MemoryTickets::default(), |office| {
        office.with_resource_path("/feed/:topic")
    });
    let token = house.token(|mint| mint);
    assert_eq!(house.post(&token, &[], BODY).status(), 400);
    let body = json!({"topic": "r 1é"}).to_string();
    let answer = text(house.post(&token, &[], body));
    let target = with_ticket("/feed/r%201%C3%A9", answer["ticket"].as_str().unwrap());
    assert_eq!(house.shake(&target), None);
}

/// A partner's key signed the issuer and subject of ours. Our layer refused the token, and accepted its ticket.
#[test]
fn only_the_authority_that_verified_the_token_takes_its_ticket() {
    const PARTNER: &str = "another secret of at least 32 bytes";
    let house = House::new();
    let layer = |keys: Keys| {
        JwtAuthLayer::keys(keys)
            .with_clock(house.clock.clone())
            .with_tickets(house.office.clone())
    };
    let partner = || layer(Keys::hs256([PARTNER]).unwrap()).build().unwrap();
    let forger = TokenIssuer::builder(SigningKey::hs256(PARTNER).unwrap())
        .with_clock(house.clock.clone())
        .build()
        .unwrap();
    let token = forger.mint("alice").sign().unwrap();
    let draw = || {
        let request = Request::post("/auth/ticket")
            .header("authorization", format!("Bearer {}", token.expose()))
            .body(Full::new(Bytes::from(BODY)))
            .unwrap();
        let response = run(partner().layer(house.office.service()).oneshot(request)).unwrap();
        with_ticket(PATH, text(response)["ticket"].as_str().unwrap())
    };
    let unknown = Some(RejectionKind::KeyUnknown);
    let named = |id: &str| {
        let key = Key::secret(SECRET, Algorithm::HS256).unwrap().with_id(id);
        Keys::new([key]).unwrap()
    };
    let both = || Keys::hs256([SECRET, PARTNER]).unwrap();
    for (name, layer, expected) in [
        ("ours", house.layer(), unknown),
        (
            "ours under an ID",
            layer(named("a")).build().unwrap(),
            unknown,
        ),
        ("the partner's", partner(), None),
        ("both keys", layer(both()).build().unwrap(), None),
    ] {
        let target = draw();
        let refused = refusal(&send(&layer, handshake(&target, &[])));
        assert_eq!(refused, expected, "{name}");
        // A wrong use spends it.
        assert_eq!(refusal(&send(&partner(), handshake(&target, &[]))), INVALID);
    }

    // A key that was withdrawn since takes its tickets along, and draws no more.
    let verifier = Verifier::builder(both()).with_clock(house.clock.clone());
    let verifier = verifier.build().unwrap();
    let layer = JwtAuthLayer::verifier(verifier.clone()).with_tickets(house.office.clone());
    let layer = layer.build().unwrap();
    let response = send(&layer, get("/chat", &token));
    let principal = seen(&response).principal.clone().unwrap();
    let target = draw();
    verifier.reload(Keys::hs256([SECRET]).unwrap()).unwrap();
    assert_eq!(refusal(&send(&layer, handshake(&target, &[]))), unknown);
    let resource = [("agent", "a"), ("room", "r1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let drawn = run(house.office.mint(&principal, resource, &HeaderMap::new()));
    assert_eq!(drawn.unwrap_err().kind(), RejectionKind::KeyUnknown);
}
