//! A connection lasts no longer than what its token was accepted by: a key, a secret, an answer of the provider.

use std::time::Duration;

use futures_util::SinkExt;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tower::{Layer, ServiceExt};
use tower_warden::{
    BearerToken, Introspection, JwtAuthLayer, Keys, Lease, LeaseEnd, MemoryTickets, Principal,
    RejectionKind, RemoteKeys, Revocations, SigningKey, TicketOffice, TokenIssuer, Verifier,
};

use crate::{
    lease::admit,
    provider::{Provider, Reply, StillClock, key, signer, token, verdict},
    support::{Inner, get_with, refusal, seen, upgrade},
    websocket_support::closed,
};

const OLD: &str = "the old secret of at least thirty-two bytes";
const NEW: &str = "the new secret of at least thirty-two bytes";
const ISSUER: &str = "https://id.example";

fn by(secret: &str, subject: &str) -> BearerToken<'static> {
    let issuer = TokenIssuer::builder(SigningKey::hs256(secret).unwrap());
    issuer.build().unwrap().mint(subject).sign().unwrap()
}

fn verifier() -> Verifier {
    let keys = Keys::hs256([NEW, OLD]).unwrap();
    Verifier::builder(keys).build().unwrap()
}

/// How the lease ends, which it does within some seconds.
async fn end(lease: &Lease) -> LeaseEnd {
    let ended = timeout(Duration::from_secs(20), lease.ended());
    ended.await.expect("the connection ends")
}

/// Lets everything run that is under way.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_secret_that_is_dropped_ends_what_it_keeps_open_and_nothing_else() {
    let verifier = verifier();
    let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    let old = admit(&layer, &by(OLD, "alice")).await;
    let new = admit(&layer, &by(NEW, "bob")).await;
    let (dropped, kept) = (old.lease(), new.lease());
    let renewed = new.lease();

    // To reload the same keys ends nothing.
    verifier.reload(Keys::hs256([NEW, OLD]).unwrap()).unwrap();
    settle().await;
    assert_eq!((dropped.check(), kept.check()), (Ok(()), Ok(())));

    verifier.reload(Keys::hs256([NEW]).unwrap()).unwrap();
    assert_eq!(end(&dropped).await, LeaseEnd::Revoked);
    settle().await;
    assert_eq!((kept.check(), renewed.check()), (Ok(()), Ok(())));
    // A lease that is opened afterwards by a request from before ends as well.
    assert_eq!(end(&old.lease()).await, LeaseEnd::Revoked);
    assert_eq!(kept.principal().subject(), "bob");
}

/// The message before the reload is handled, and the client is told the end with its code.
#[tokio::test]
async fn a_dropped_secret_closes_a_real_socket() {
    let verifier = verifier();
    let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    let lease = admit(&layer, &by(OLD, "alice")).await.lease();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, stream) = tokio::join!(listener.accept(), stream);
    let accepted = accepted.unwrap().0;
    let server = tokio::spawn(async move {
        let socket = WebSocketStream::from_raw_socket(accepted, Role::Server, None).await;
        let mut socket = lease.guard(socket);
        let mut handled = 0;
        while let Some(Ok(_)) = socket.recv().await {
            handled += 1;
        }
        (handled, socket.end())
    });
    let mut client = WebSocketStream::from_raw_socket(stream.unwrap(), Role::Client, None).await;
    client.send(Message::text("one")).await.unwrap();
    settle().await;
    verifier.reload(Keys::hs256([NEW]).unwrap()).unwrap();
    assert_eq!(closed(&mut client).await, (1008, String::from("revoked")));
    assert_eq!(server.await.unwrap(), (1, Some(LeaseEnd::Revoked)));
}

#[test]
fn a_reload_outside_of_a_runtime_ends_leases_at_once() {
    let verifier = verifier();
    let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let principal = runtime.unwrap().block_on(admit(&layer, &by(OLD, "alice")));
    let lease = principal.lease();
    verifier.reload(Keys::hs256([NEW]).unwrap()).unwrap();
    assert_eq!(lease.check(), Err(LeaseEnd::Revoked));
}

#[tokio::test]
async fn a_key_that_its_provider_withdraws_ends_what_it_keeps_open() {
    let clock = StillClock::new();
    let first = signer(ISSUER, "a", &clock);
    let published = first.clone();
    let provider = Provider::start(move |_| Reply::json(published.jwk_set())).await;
    let verifier = Verifier::remote(RemoteKeys::jwks(&provider.url))
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(clock.clone());
    let verifier = verifier.build().await.unwrap();
    let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    let withdrawn = admit(&layer, &token(&first)).await.lease();
    first.rotate(key("b")).unwrap();
    verifier.refresh().await.unwrap();
    let kept = admit(&layer, &token(&first)).await.lease();
    // Both keys are published while they rotate.
    settle().await;
    assert_eq!((withdrawn.check(), kept.check()), (Ok(()), Ok(())));

    let second = signer(ISSUER, "b2", &clock);
    let set: Value = serde_json::from_str(&first.jwk_set()).unwrap();
    let of = |set: &Value, id: &str| {
        let keys = set["keys"].as_array().unwrap();
        keys.iter().find(|key| key["kid"] == id).cloned().unwrap()
    };
    let more: Value = serde_json::from_str(&second.jwk_set()).unwrap();
    let set = json!({ "keys": [of(&set, "b"), of(&more, "b2")] }).to_string();
    provider.reply(Reply::json(set));
    verifier.refresh().await.unwrap();
    assert_eq!(end(&withdrawn).await, LeaseEnd::Revoked);
    settle().await;
    assert_eq!(kept.check(), Ok(()));
}

fn active(sub: &str) -> String {
    let exp = crate::provider::START + 3600;
    json!({ "active": true, "iss": ISSUER, "aud": "api", "sub": sub, "exp": exp }).to_string()
}

async fn asking(provider: &Provider, clock: &StillClock, lifetime: u64) -> Verifier {
    let introspection = Introspection::new(&provider.url, "orders", "secret")
        .with_lifetime(Duration::from_secs(lifetime));
    Verifier::introspect(introspection)
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(clock.clone())
        .build()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_token_that_its_provider_calls_inactive_ends_what_it_keeps_open() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::json(active("alice"))).await;
    let layer = JwtAuthLayer::verifier(asking(&provider, &clock, 1).await);
    let layer = layer.build().unwrap();
    let principal = admit(&layer, &BearerToken::new("opaque")).await;
    let leases: Vec<_> = (0..200).map(|_| principal.lease()).collect();
    assert_eq!(provider.hits(), 1);

    // One question for all connections of a token, each time its answer has expired; and they go on.
    for asked in 2..=3 {
        clock.advance(2);
        let waiting = async {
            while provider.hits() < asked {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), waiting).await.unwrap();
        settle().await;
        assert_eq!(provider.hits(), asked);
        assert!(leases.iter().all(|lease| lease.check().is_ok()));
    }

    provider.reply(Reply::json(r#"{"active":false}"#));
    clock.advance(2);
    for lease in &leases {
        assert_eq!(end(lease).await, LeaseEnd::Revoked);
    }
    assert_eq!(provider.hits(), 4);
}

#[tokio::test]
async fn an_answer_that_cannot_be_had_again_ends_the_connection_as_unavailable() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::json(active("alice"))).await;
    let layer = JwtAuthLayer::verifier(asking(&provider, &clock, 1).await);
    let principal = admit(&layer.build().unwrap(), &BearerToken::new("opaque")).await;
    let lease = principal.lease();
    provider.reply(Reply::status(500));
    clock.advance(2);
    assert_eq!(end(&lease).await, LeaseEnd::StoreUnavailable);
}

/// Draws a ticket with this principal, and opens a connection with it.
async fn by_ticket(
    office: &TicketOffice,
    layer: &JwtAuthLayer,
    principal: &Principal,
    between: impl FnOnce(),
) -> Result<Lease, RejectionKind> {
    let resource = [("agent", "a"), ("room", "r")];
    let resource = resource.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let ticket = office.mint(principal, resource, &HeaderMap::new()).await;
    let path = format!("/agents/a/r?ticket={}", ticket.unwrap().text.expose());
    between();
    let inner = Inner::default();
    let request = get_with(&path, upgrade());
    let response = layer.layer(inner.clone()).oneshot(request).await.unwrap();
    match refusal(&response) {
        Some(kind) => {
            assert_eq!(inner.calls(), 0);
            Err(kind)
        }
        None => Ok(seen(&response).principal.clone().unwrap().lease()),
    }
}

#[tokio::test]
async fn a_connection_by_ticket_lasts_no_longer_than_the_key_behind_the_ticket() {
    let verifier = verifier();
    let office = TicketOffice::builder(MemoryTickets::default());
    let office = office.build().unwrap();
    let layer = JwtAuthLayer::verifier(verifier.clone()).with_tickets(office.clone());
    let layer = layer.build().unwrap();
    let old = admit(&layer, &by(OLD, "alice")).await;
    let new = admit(&layer, &by(NEW, "bob")).await;
    let dropped = by_ticket(&office, &layer, &old, || ()).await.unwrap();
    let kept = by_ticket(&office, &layer, &new, || ()).await.unwrap();

    let drop_old = || verifier.reload(Keys::hs256([NEW]).unwrap()).unwrap();
    // A ticket that was drawn before opens nothing afterwards.
    let late = by_ticket(&office, &layer, &old, drop_old).await;
    assert_eq!(late.err(), Some(RejectionKind::KeyUnknown));
    assert_eq!(end(&dropped).await, LeaseEnd::Revoked);
    settle().await;
    assert_eq!(kept.check(), Ok(()));
    assert_eq!(kept.principal().subject(), "bob");
}

#[tokio::test]
async fn a_connection_by_ticket_is_asked_about_as_its_token_is() {
    let clock = StillClock::new();
    let provider = Provider::always(Reply::json(active("alice"))).await;
    let verifier = asking(&provider, &clock, 1).await;
    let office = TicketOffice::builder(MemoryTickets::default()).with_clock(clock.clone());
    let office = office.build().unwrap();
    let layer = JwtAuthLayer::verifier(verifier.clone()).with_tickets(office.clone());
    let layer = layer.build().unwrap();
    let opaque = BearerToken::new("opaque");
    let principal = admit(&layer, &opaque).await;
    let lease = by_ticket(&office, &layer, &principal, || ()).await.unwrap();

    // Another node, which has never seen the token, cannot ask about it: the client has to come again.
    let elsewhere = JwtAuthLayer::verifier(asking(&provider, &clock, 1).await);
    let elsewhere = elsewhere.with_tickets(office.clone()).build().unwrap();
    let there = by_ticket(&office, &elsewhere, &principal, || ()).await;
    let there = there.unwrap();

    clock.advance(2);
    assert_eq!(end(&there).await, LeaseEnd::Expired);
    settle().await;
    assert_eq!(lease.check(), Ok(()));
    assert_eq!(lease.principal().subject(), "alice");

    provider.reply(Reply::json(r#"{"active":false}"#));
    clock.advance(2);
    assert_eq!(end(&lease).await, LeaseEnd::Revoked);
    let refused = verdict(&verifier, &opaque).await;
    assert_eq!(refused, Err(RejectionKind::TokenInactive));
}

/// The register knows the connections of all layers that share it; a change of keys concerns those of one.
#[tokio::test]
async fn a_change_of_keys_leaves_the_connections_of_other_layers_alone() {
    let (ours, theirs) = (verifier(), verifier());
    let revocations = Revocations::new();
    let layer = |verifier: &Verifier| {
        JwtAuthLayer::verifier(verifier.clone()).with_revocations(revocations.clone())
    };
    let lease = admit(&layer(&ours).build().unwrap(), &by(OLD, "alice")).await;
    let other = admit(&layer(&theirs).build().unwrap(), &by(OLD, "alice")).await;
    let (lease, other) = (lease.lease(), other.lease());
    ours.reload(Keys::hs256([NEW]).unwrap()).unwrap();
    assert_eq!(end(&lease).await, LeaseEnd::Revoked);
    settle().await;
    assert_eq!(other.check(), Ok(()));
    assert_eq!(revocations.open_connections(), 1);
}

/// Ten thousand connections by one key are looked through in slices, and every one ends.
#[tokio::test]
async fn many_connections_end_and_the_runtime_goes_on() {
    let verifier = verifier();
    let layer = JwtAuthLayer::verifier(verifier.clone()).build().unwrap();
    let principal = admit(&layer, &by(OLD, "alice")).await;
    let leases: Vec<_> = (0..10_000).map(|_| principal.lease()).collect();
    verifier.reload(Keys::hs256([NEW]).unwrap()).unwrap();
    for lease in &leases {
        assert_eq!(end(lease).await, LeaseEnd::Revoked);
    }
}
