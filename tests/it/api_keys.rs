//! API keys: shown once, kept as a keyed hash, and principals like any other.
#![cfg(feature = "testing")]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt};
use tower_warden::{
    ApiKeyError, ApiKeyHeader, ApiKeyLayer, ApiKeyRecord, ApiKeyStore, ApiKeys,
    AuthorizationHeader, BearerToken, ConfigError, CookieAuthLayer, CookieToken, CreatedApiKey,
    CredentialKind, HeadRef, Inserted, JwtAuthLayer, Keys, LeaseEnd, Listing, MalformedCredentials,
    MemoryApiKeyStore, MemoryOwnerStore, MemoryRevocationStore, NewApiKey, NumericDate, OwnerStore,
    OwnershipLayer, Page, Paths, Principal, QueryParameter, RejectionKind, ResourceId, ResourceKey,
    Revocations, StoreError, StoreFuture, SubjectId, SubprotocolToken, TokenSource, Verifier,
    testing::{ManualClock, conformance},
};

use crate::support::{Inner, SECRET, get, get_with, issuer, refusal, seen, send, token};

const PEPPER: &str = "a pepper of at least thirty-two bytes";
const NOW: u64 = 1_800_000_000;

fn alice() -> SubjectId {
    SubjectId::new("https://id.example", "alice").unwrap()
}

/// Keys at that time, and all that their store was asked.
fn keys(clock: &ManualClock) -> (ApiKeys, Watched) {
    let store = Watched::default();
    let keys = ApiKeys::builder(store.clone(), PEPPER).with_clock(clock.clone());
    (keys.build().unwrap(), store)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn create(keys: &ApiKeys, wanted: NewApiKey) -> (String, ApiKeyRecord) {
    let created = block_on(keys.create(wanted)).unwrap();
    (created.key().expose().to_owned(), created.record().clone())
}

fn with_key(key: &str) -> Request<String> {
    get_with("/chat", [("x-api-key", key.to_owned())])
}

fn layer(keys: &ApiKeys) -> ApiKeyLayer {
    ApiKeyLayer::new(keys.clone()).build().unwrap()
}

#[tokio::test]
async fn the_memory_store_keeps_every_promise() {
    let store = Arc::new(MemoryApiKeyStore::new());
    conformance::api_key_store(async || Arc::clone(&store)).await;
}

#[tokio::test]
#[should_panic(expected = "every node")]
async fn a_store_that_cannot_forget_does_not_conform() {
    let store = Watched::default();
    store.fault(Fault::Forgetting);
    conformance::api_key_store(async || store.clone()).await;
}

#[test]
fn a_key_is_a_principal_like_any_other() {
    let clock = ManualClock::at(NOW);
    let (keys, _) = keys(&clock);
    let wanted = NewApiKey::new(alice())
        .with_label("laptop")
        .with_scopes(["chat:read", "chat:write"])
        .with_lifetime(Duration::from_secs(3600));
    let (key, record) = create(&keys, wanted);
    let response = send(&layer(&keys), with_key(&key));
    let seen = seen(&response);
    let principal = seen.principal.as_ref().unwrap();
    assert_eq!(principal.issuer(), Some("https://id.example"));
    assert_eq!(principal.subject(), "alice");
    assert_eq!(
        principal.scopes().collect::<Vec<_>>(),
        ["chat:read", "chat:write"]
    );
    assert_eq!(principal.token_id(), Some(&*record.id));
    assert_eq!(principal.source(), "api_key");
    assert_eq!(principal.issued_at(), Some(NumericDate::from_secs(NOW)));
    assert_eq!(
        principal.expires_at(),
        Some(NumericDate::from_secs(NOW + 3600))
    );
    assert!(
        !seen.headers.contains_key("x-api-key"),
        "nobody behind has a use for it"
    );
    assert_eq!(response.headers()["cache-control"], "private");
}

/// What Alice owns, her key opens; what another issuer's Alice owns, it does not.
/// A ticket would outlive the key's revocation, and a program can send its key along with the handshake.
#[test]
fn a_key_draws_no_ticket() {
    let (keys, _) = keys(&ManualClock::at(NOW));
    let (key, _) = create(&keys, NewApiKey::new(alice()));
    let response = send(&layer(&keys), with_key(&key));
    let office = tower_warden::TicketOffice::builder(tower_warden::MemoryTickets::default());
    let office = office.with_clock(ManualClock::at(NOW)).build().unwrap();
    let room = [("agent", "helper"), ("room", "lobby")];
    let room = room.map(|(name, value)| (String::from(name), String::from(value)));
    let principal = seen(&response).principal.as_ref().unwrap();
    let drawn = block_on(office.mint(principal, room, &http::HeaderMap::new()));
    assert_eq!(drawn.unwrap_err().kind(), RejectionKind::Forbidden);
}

/// A revocation by key reaches each request, and the connections that the key has opened.
#[test]
fn a_revoked_key_ends_what_it_has_opened() {
    let (keys, _) = keys(&ManualClock::at(NOW));
    let (key, record) = create(&keys, NewApiKey::new(alice()));
    let revocations = tower_warden::Revocations::new();
    let layer = ApiKeyLayer::new(keys)
        .with_revocations(revocations.clone())
        .build()
        .unwrap();
    let response = send(&layer, with_key(&key));
    let lease = seen(&response).principal.as_ref().unwrap().lease();
    let revocation = tower_warden::Revocation::api_key(&*record.id);
    block_on(revocations.revoke(revocation)).unwrap();
    assert_eq!(lease.check(), Err(tower_warden::LeaseEnd::Revoked));
    assert_eq!(
        refusal(&send(&layer, with_key(&key))),
        Some(RejectionKind::Revoked)
    );
}

/// A key that was revoked on one node ends what it has opened on another.
#[tokio::test]
async fn a_revoked_key_ends_its_connections_on_every_node() {
    let (store, marks) = (Watched::default(), MemoryRevocationStore::default());
    let node = async || {
        let revocations = Revocations::shared(marks.clone()).await.unwrap();
        let keys = ApiKeys::builder(store.clone(), PEPPER).with_revocations(revocations.clone());
        (keys.build().unwrap(), revocations)
    };
    let ((here, _), (there, revocations)) = (node().await, node().await);
    let [gone, stays] = [
        here.create(NewApiKey::new(alice())).await.unwrap(),
        here.create(NewApiKey::new(alice())).await.unwrap(),
    ];
    let layer = ApiKeyLayer::new(there)
        .with_revocations(revocations)
        .build()
        .unwrap();
    let open = async |key: &CreatedApiKey| {
        let request = with_key(key.key().expose());
        let response = layer.layer(Inner::default()).oneshot(request).await;
        let response = response.unwrap();
        seen(&response).principal.as_ref().unwrap().lease()
    };
    let [gone_lease, stays_lease] = [open(&gone).await, open(&stays).await];

    let mallory = SubjectId::new("https://evil.example", "alice").unwrap();
    assert!(!here.revoke(&mallory, &gone.record().id).await.unwrap());
    // Nobody is told if the store did not say whose it is, and it can be tried again.
    store.fault(Fault::Find);
    assert!(here.revoke(&alice(), &gone.record().id).await.is_err());
    store.heal();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(gone_lease.check(), Ok(()));
    assert!(here.revoke(&alice(), &gone.record().id).await.unwrap());

    let end = tokio::time::timeout(Duration::from_secs(10), gone_lease.ended()).await;
    assert_eq!(end.unwrap(), LeaseEnd::Revoked);
    assert_eq!(stays_lease.check(), Ok(()));
    let request = with_key(gone.key().expose());
    let response = layer.layer(Inner::default()).oneshot(request).await;
    assert_eq!(response.unwrap().status(), 401);
}

/// Keys that are made and revoked without end do not fill the table of what is revoked; where it is full for other reasons a
/// key that is revoked is good no more.
#[tokio::test]
async fn revoked_keys_are_remembered_until_all_have_heard_and_no_longer() {
    let clock = ManualClock::at(NOW);
    let day = Duration::from_secs(24 * 60 * 60);
    let revocations = Revocations::builder().with_capacity(1);
    let revocations = revocations.with_clock(clock.clone()).build();
    let keys = ApiKeys::builder(MemoryApiKeyStore::new(), PEPPER)
        .with_clock(clock.clone())
        .with_revocations(revocations.clone())
        .build()
        .unwrap();
    for lifetime in [None, Some(365 * day)] {
        let wanted = NewApiKey::new(alice());
        let wanted = match lifetime {
            Some(lifetime) => wanted.with_lifetime(lifetime),
            None => wanted,
        };
        let first = keys.create(wanted.clone()).await.unwrap();
        assert!(keys.revoke(&alice(), &first.record().id).await.unwrap());
        assert!(revocations.is_api_key_revoked(&first.record().id));

        clock.advance(29 * day);
        let second = keys.create(wanted.clone()).await.unwrap();
        let full = keys.revoke(&alice(), &second.record().id).await;
        assert!(full.is_err());
        let refused = keys.verify(second.key()).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::ApiKeyUnknown);

        clock.advance(2 * day);
        let third = keys.create(wanted).await.unwrap();
        assert!(keys.revoke(&alice(), &third.record().id).await.unwrap());
        clock.advance(31 * day);
    }
}

#[test]
fn a_key_opens_what_its_owner_owns() {
    let clock = ManualClock::at(NOW);
    let (keys, _) = keys(&clock);
    let rooms = Arc::new(MemoryOwnerStore::new());
    let room = ResourceId::new("/rooms/r1").unwrap();
    block_on(rooms.claim(&room, &alice())).unwrap();
    let namesake = SubjectId::new("https://evil.example", "alice").unwrap();
    let nobodys = SubjectId::new("", "alice").unwrap();
    for (owner, expected) in [
        (alice(), None),
        (namesake, Some(RejectionKind::NotOwner)),
        (nobodys, Some(RejectionKind::NotOwner)),
    ] {
        let (key, _) = create(&keys, NewApiKey::new(owner));
        let owned = OwnershipLayer::new(
            Arc::clone(&rooms),
            ResourceKey::path("/rooms/{id}").unwrap(),
        );
        let auth = layer(&keys);
        let layer = tower::layer::layer_fn(move |inner| auth.layer(owned.layer(inner)));
        let response = send(&layer, get_with("/rooms/r1", [("x-api-key", key)]));
        assert_eq!(refusal(&response), expected);
    }
}

#[test]
fn what_is_no_key_costs_no_question() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let (key, _) = create(&keys, NewApiKey::new(alice()));
    let other = ApiKeys::builder(MemoryApiKeyStore::new(), PEPPER).with_prefix("other");
    let (others, _) = create(&other.build().unwrap(), NewApiKey::new(alice()));
    let last = if key.ends_with('x') { "y" } else { "x" };
    let typo = key[..key.len() - 1].to_owned() + last;
    store.clear();
    let long = "tw_".to_owned() + &"a".repeat(10_000);
    for junk in [
        &typo,
        &others,
        &key.to_lowercase(),
        "tw_a_b_c",
        "x",
        "eyJ.e30.x",
        &long,
    ] {
        let response = send(&layer(&keys), with_key(junk));
        assert_eq!(
            refusal(&response),
            Some(RejectionKind::ApiKeyMalformed),
            "{junk:.80}"
        );
        assert_eq!(response.status(), 401);
        assert!(!response.body().contains(junk));
    }
    assert_eq!(store.asked(), Vec::<&str>::new());
}

#[test]
fn a_broken_carrier_is_a_400() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let (key, _) = create(&keys, NewApiKey::new(alice()));
    store.clear();
    let twice = [("x-api-key", key.clone()), ("x-api-key", key.clone())];
    let foreign = [("x-api-key", String::from("caf\u{e9}"))];
    let both = [
        ("x-api-key", key),
        (
            "authorization",
            format!("Bearer {}", token("alice").expose()),
        ),
    ];
    let jwt = JwtAuthLayer::hs256(SECRET).unwrap();
    let beside = jwt.with_api_keys(keys.clone()).build().unwrap();
    let table = [
        (
            get_with("/chat", twice),
            RejectionKind::CredentialsAmbiguous,
        ),
        (
            get_with("/chat", [("x-api-key", String::new())]),
            RejectionKind::CredentialsMalformed,
        ),
        (
            get_with("/chat", foreign),
            RejectionKind::CredentialsMalformed,
        ),
        (get_with("/chat", both), RejectionKind::CredentialsAmbiguous),
    ];
    for (request, expected) in table {
        let response = send(&beside, request);
        assert_eq!(refusal(&response), Some(expected));
        assert_eq!(response.status(), 400);
    }
    assert_eq!(store.asked(), Vec::<&str>::new());
    let response = send(&beside, get_with("/chat", []));
    assert_eq!(refusal(&response), Some(RejectionKind::TokenMissing));
    assert_eq!(refusal(&send(&beside, get("/chat", &token("alice")))), None);
}

/// Unknown, revoked, and right ID with a wrong secret: nobody can tell them apart.
#[test]
fn a_key_that_is_not_good_is_answered_in_one_way() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let (elsewhere, _) = create(
        &ApiKeys::new(MemoryApiKeyStore::new(), PEPPER).unwrap(),
        NewApiKey::new(alice()),
    );
    let (revoked, record) = create(&keys, NewApiKey::new(alice()));
    assert_eq!(refusal(&send(&layer(&keys), with_key(&revoked))), None);
    assert!(block_on(keys.revoke(&alice(), &record.id)).unwrap());
    // Somebody may write to the store, and has no pepper.
    let (mallorys, mallory) = create(
        &keys,
        NewApiKey::new(SubjectId::new("", "mallory").unwrap()),
    );
    let (_, victim) = create(&keys, NewApiKey::new(alice()));
    store.corrupt(&mallory.id, |record| record.hash = victim.hash);
    let answers = [elsewhere, revoked, mallorys].map(|key| {
        let response = send(&layer(&keys), with_key(&key));
        assert_eq!(refusal(&response), Some(RejectionKind::ApiKeyUnknown));
        let (head, body) = response.into_parts();
        (head.status, head.headers, body)
    });
    assert_eq!(answers[0].0, 401);
    assert!(
        answers[0].1["www-authenticate"]
            .to_str()
            .unwrap()
            .contains("invalid_token")
    );
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2]);
}

#[test]
fn a_key_is_bound_to_its_own_record() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let (_, victim) = create(&keys, NewApiKey::new(alice()));
    let (key, mallory) = create(
        &keys,
        NewApiKey::new(SubjectId::new("", "mallory").unwrap()),
    );
    // The hash of one's own key, in the record of somebody else's: the ID is hashed along.
    store.corrupt(&victim.id, |record| record.hash = mallory.hash);
    let response = send(
        &layer(&keys),
        with_key(&key.replace(&mallory.id, &victim.id)),
    );
    assert_eq!(refusal(&response), Some(RejectionKind::ApiKeyMalformed));
    assert_eq!(refusal(&send(&layer(&keys), with_key(&key))), None);
}

#[test]
fn a_key_expires_on_the_second() {
    let clock = ManualClock::at(NOW);
    let (keys, _) = keys(&clock);
    let wanted = NewApiKey::new(alice()).with_lifetime(Duration::from_secs(100));
    let (key, _) = create(&keys, wanted);
    for (now, expected) in [
        (NOW, None),
        (NOW + 99, None),
        (NOW + 100, Some(RejectionKind::TokenExpired)),
        (NOW + 1_000, Some(RejectionKind::TokenExpired)),
    ] {
        clock.set(now);
        assert_eq!(
            refusal(&send(&layer(&keys), with_key(&key))),
            expected,
            "{now}"
        );
    }
    let (endless, _) = create(&keys, NewApiKey::new(alice()).without_expiry());
    clock.set(NOW * 2);
    assert_eq!(refusal(&send(&layer(&keys), with_key(&endless))), None);
}

#[test]
fn the_store_never_holds_a_key() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let created = block_on(keys.create(NewApiKey::new(alice()))).unwrap();
    let key = created.key().expose();
    let secret = key.split('_').nth(2).unwrap();
    assert_eq!(secret.len(), 43);
    let record = block_on(store.find(&created.record().id)).unwrap().unwrap();
    let kept = format!(
        "{:?} {}",
        record,
        String::from_utf8_lossy(record.hash.as_bytes())
    );
    assert!(!kept.contains(secret));
    for text in [
        format!("{created:?}"),
        format!("{keys:?}"),
        format!("{record:?}"),
    ] {
        assert!(!text.contains(secret) && !text.contains(PEPPER), "{text}");
    }
    // Another pepper makes another hash: who reads the store cannot try keys out.
    let others = ApiKeys::new(store.clone(), "another pepper of thirty-two bytes").unwrap();
    assert_eq!(
        refusal(&send(&layer(&others), with_key(key))),
        Some(RejectionKind::ApiKeyUnknown)
    );
    let rotated = ApiKeys::builder(store, "another pepper of thirty-two bytes")
        .with_previous_pepper(PEPPER)
        .with_clock(clock)
        .build()
        .unwrap();
    assert_eq!(refusal(&send(&layer(&rotated), with_key(key))), None);
}

#[test]
fn use_is_told_once_a_minute() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let (key, record) = create(&keys, NewApiKey::new(alice()));
    let layer = layer(&keys);
    let last_used = || {
        let record = block_on(store.find(&record.id)).unwrap().unwrap();
        record.last_used_at.map(|date| date.as_secs() - NOW)
    };
    assert_eq!(last_used(), None);
    for second in 0..180 {
        clock.set(NOW + second);
        send(&layer, with_key(&key));
    }
    let touches = store
        .asked()
        .iter()
        .filter(|what| **what == "touch")
        .count();
    assert_eq!(touches, 3, "180 requests in three minutes");
    assert_eq!(last_used(), Some(120));
    block_on(keys.flush()).unwrap();
    assert_eq!(last_used(), Some(179));
    // A store that cannot note it does not cost anybody a request.
    store.fault(Fault::Touch);
    clock.set(NOW + 1_000);
    assert_eq!(refusal(&send(&layer, with_key(&key))), None);
}

#[test]
fn a_store_that_does_not_answer_is_a_503() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let (key, _) = create(&keys, NewApiKey::new(alice()));
    store.fault(Fault::Find);
    let response = send(&layer(&keys), with_key(&key));
    assert_eq!(refusal(&response), Some(RejectionKind::StoreUnavailable));
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}

#[test]
fn whoever_watches_learns_which_key_was_revoked() {
    let clock = ManualClock::at(NOW);
    let (keys, _) = keys(&clock);
    let (_, record) = create(&keys, NewApiKey::new(alice()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let _watch = keys.on_revoke(move |id| note.lock().unwrap().push(id.to_owned()));
    let mallory = SubjectId::new("https://evil.example", "alice").unwrap();
    for (who, id, revoked) in [
        (&mallory, &*record.id, false),
        (&alice(), "nonsense", false),
        (&alice(), &*record.id, true),
        (&alice(), &*record.id, false),
    ] {
        assert_eq!(block_on(keys.revoke(who, id)).unwrap(), revoked);
    }
    assert_eq!(*told.lock().unwrap(), [record.id]);
}

#[test]
fn what_cannot_be_granted_is_an_error() {
    let clock = ManualClock::at(NOW);
    let store = MemoryApiKeyStore::new();
    let keys = ApiKeys::builder(store, PEPPER)
        .with_clock(clock)
        .with_max_keys_per_owner(2)
        .build()
        .unwrap();
    let wanted = || NewApiKey::new(alice());
    let refused = |wanted| block_on(keys.create(wanted)).unwrap_err();
    for label in ["x".repeat(101), String::from("a\nb"), String::from("\0")] {
        assert!(matches!(
            refused(wanted().with_label(label)),
            ApiKeyError::Label
        ));
    }
    for scopes in [vec!["a b"], vec![""], vec!["a"; 51]] {
        assert!(matches!(
            refused(wanted().with_scopes(scopes)),
            ApiKeyError::Scopes
        ));
    }
    for seconds in [0, 400_000_000, u64::MAX] {
        let wanted = wanted().with_lifetime(Duration::from_secs(seconds));
        assert!(matches!(refused(wanted), ApiKeyError::Lifetime));
    }
    for _ in 0..2 {
        block_on(keys.create(wanted().with_label("\u{e9}".repeat(100)))).unwrap();
    }
    assert!(matches!(refused(wanted()), ApiKeyError::TooMany));
    let bob = NewApiKey::new(SubjectId::new("https://id.example", "bob").unwrap());
    assert!(
        block_on(keys.create(bob)).is_ok(),
        "one owner's bound is not another's"
    );
}

#[test]
fn bad_settings_fail_at_once() {
    let builder = || ApiKeys::builder(MemoryApiKeyStore::new(), PEPPER);
    for prefix in ["", "TW", "a_b", "sk-live", "0123456789abcdefg"] {
        let error = builder().with_prefix(prefix).build().unwrap_err();
        assert!(error.to_string().contains(prefix), "{error}");
    }
    for most in [0, 501] {
        assert!(builder().with_max_keys_per_owner(most).build().is_err());
    }
    let short = ApiKeys::new(MemoryApiKeyStore::new(), "hunter2").unwrap_err();
    assert!(matches!(
        short,
        ConfigError::SecretTooShort { minimum: 32, .. }
    ));
    let short = builder()
        .with_previous_pepper("hunter2")
        .build()
        .unwrap_err();
    assert!(matches!(short, ConfigError::SecretTooShort { .. }));
    let repeated = ApiKeys::new(MemoryApiKeyStore::new(), [b'z'; 48]).unwrap_err();
    assert!(repeated.to_string().contains("repeats one byte"));
    assert!(!repeated.to_string().contains("zz"), "{repeated}");
    assert!(ApiKeyHeader::named("x api key").is_err());

    let keys = builder().build().unwrap();
    let lone = ApiKeyLayer::new(keys.clone()).with_source(AuthorizationHeader::new());
    assert!(matches!(lone.build(), Err(ConfigError::Missing { .. })));
    let lone = ApiKeyLayer::new(keys.clone()).with_issuer("https://id.example");
    assert!(lone.build().is_err(), "a setting that would do nothing");
    assert!(ApiKeyLayer::hs256(SECRET).unwrap().build().is_err());
    let named = ApiKeyHeader::named("x-acme-key").unwrap();
    let jwt = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_api_keys_in(named, keys.clone());
    let layer = jwt.build().unwrap();
    let (key, _) = create(&keys, NewApiKey::new(alice()));
    assert_eq!(
        refusal(&send(&layer, get_with("/", [("x-acme-key", key.clone())]))),
        None
    );
    let elsewhere = send(&layer, with_key(&key));
    assert_eq!(refusal(&elsewhere), Some(RejectionKind::TokenMissing));
}

/// The service behind a layer that takes tokens and keys.
fn service(
    keys: &ApiKeys,
) -> impl Service<
    Request<Full<bytes::Bytes>>,
    Response = Response<Full<bytes::Bytes>>,
    Error = Infallible,
> + Clone {
    let auth = JwtAuthLayer::hs256(SECRET).unwrap();
    let auth = auth
        .with_paths(Paths::all().optional("/optional"))
        .with_api_keys(keys.clone());
    auth.build().unwrap().layer(keys.service())
}

/// Sends `method path` with a body, and gives the status and the JSON of the answer.
fn ask(keys: &ApiKeys, token: &BearerToken<'_>, line: &str, body: &str) -> (u16, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", token.expose()))
        .header("content-type", "application/json; charset=utf-8")
        .body(Full::from(body.to_owned()))
        .unwrap();
    answer(keys, request)
}

fn answer(keys: &ApiKeys, request: Request<Full<bytes::Bytes>>) -> (u16, Value) {
    block_on(async {
        let response = service(keys).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let kept = response.headers().get("cache-control");
        if ![204, 405].contains(&status) {
            assert!(kept.is_some_and(|kept| kept == "no-store"), "{status}");
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    })
}

fn scoped(subject: &str) -> BearerToken<'static> {
    issuer()
        .mint(subject)
        .with_scopes(["chat:read", "chat:write"])
        .sign()
        .unwrap()
}

#[test]
fn principals_look_after_their_own_keys() {
    let clock = ManualClock::at(NOW);
    let (keys, _) = keys(&clock);
    let (alice, bob) = (scoped("alice"), scoped("bob"));
    let body = r#"{"label":"laptop","scopes":["chat:read"],"expires_in":3600}"#;
    let (status, created) = ask(&keys, &alice, "POST /keys", body);
    assert_eq!(status, 201);
    let (id, key) = (
        created["id"].as_str().unwrap(),
        created["key"].as_str().unwrap(),
    );
    assert_eq!(created["expires_at"], NOW + 3600);
    assert_eq!(refusal(&send(&layer(&keys), with_key(key))), None);

    let (status, listed) = ask(&keys, &alice, "GET /keys", "");
    assert_eq!(status, 200);
    let expected = json!({
        "keys": [{
            "id": id,
            "label": "laptop",
            "scopes": ["chat:read"],
            "created_at": NOW,
            "expires_at": NOW + 3600,
            "last_used_at": NOW,
        }],
        "next": null,
    });
    assert_eq!(listed, expected);
    assert_eq!(ask(&keys, &bob, "GET /keys", "").1["keys"], json!([]));

    let delete = format!("DELETE /keys/{id}");
    assert_eq!(ask(&keys, &bob, &delete, "").0, 404);
    assert_eq!(ask(&keys, &alice, &delete, "").0, 204);
    let (status, problem) = ask(&keys, &alice, &delete, "");
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    let gone = send(&layer(&keys), with_key(key));
    assert_eq!(refusal(&gone), Some(RejectionKind::ApiKeyUnknown));
}

#[test]
fn a_key_is_never_wider_than_who_makes_it() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let alice = scoped("alice");
    let (status, created) = ask(&keys, &alice, "POST /keys", "{}");
    assert_eq!((status, &created["scopes"]), (201, &json!([])));
    for scopes in [
        r#"["admin"]"#,
        r#"["chat:read","admin"]"#,
        r#"["Chat:read"]"#,
    ] {
        let body = format!(r#"{{"scopes":{scopes}}}"#);
        let (status, problem) = ask(&keys, &alice, "POST /keys", &body);
        assert_eq!(
            (status, &problem["code"]),
            (403, &json!("insufficient_scope"))
        );
    }
    store.clear();
    // A stolen key makes no second one and takes none away, and neither does somebody who acts for its owner.
    let wanted = NewApiKey::new(self::alice()).with_scopes(["chat:read"]);
    let (key, record) = create(&keys, wanted);
    let issuer = issuer();
    let delegated = issuer
        .mint("alice")
        .with_claim("act", json!({ "sub": "agent" }));
    let delegated = format!("Bearer {}", delegated.sign().unwrap().expose());
    for (name, value) in [("x-api-key", key), ("authorization", delegated)] {
        for (method, path) in [
            ("POST", "/keys"),
            ("DELETE", &format!("/keys/{}", record.id)),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(name, &value)
                .header("content-type", "application/json")
                .body(Full::from("{}"))
                .unwrap();
            let (status, problem) = answer(&keys, request);
            assert_eq!(
                (status, &problem["code"]),
                (403, &json!("forbidden")),
                "{name} {method}"
            );
        }
        let list = Request::get("/keys")
            .header(name, &value)
            .body(Full::default())
            .unwrap();
        assert_eq!(answer(&keys, list).0, 200, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_a_400() {
    let clock = ManualClock::at(NOW);
    let (keys, _) = keys(&clock);
    let alice = scoped("alice");
    let long = format!(r#"{{"label":"{}"}}"#, "x".repeat(20_000));
    for body in [
        "",
        "null",
        "[]",
        "{",
        r#"{"label":7}"#,
        r#"{"label":"a","label":"b"}"#,
        r#"["laptop",["chat:read"],3600]"#,
        r#"{"owner":"bob"}"#,
        r#"{"id":"x"}"#,
        r#"{"expires_in":-1}"#,
        r#"{"expires_in":0}"#,
        r#"{"expires_in":1e30}"#,
        r#"{"expires_in":18446744073709551615}"#,
        r#"{"scopes":["a b"]}"#,
        r#"{"scopes":"chat:read"}"#,
        r#"{"label":"a\u0000b"}"#,
        &long,
    ] {
        let (status, problem) = ask(&keys, &alice, "POST /keys", body);
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("request_malformed")),
            "{body:.40}"
        );
    }
    for query in [
        "cursor=!",
        "cursor=",
        "limit=x",
        "limit=-1",
        "limit=1&limit=2",
    ] {
        assert_eq!(
            ask(&keys, &alice, &format!("GET /keys?{query}"), "").0,
            400,
            "{query}"
        );
    }
    for (line, status) in [
        ("PUT /keys", 405),
        ("DELETE /keys", 404),
        ("DELETE /keys/../keys", 404),
        ("DELETE /keys/%00", 404),
        ("GET /keys?limit=0&unknown=1", 200),
    ] {
        assert_eq!(ask(&keys, &alice, line, "").0, status, "{line}");
    }
    let form = Request::post("/keys")
        .header("authorization", format!("Bearer {}", alice.expose()))
        .header("content-type", "text/plain")
        .body(Full::from("{}"))
        .unwrap();
    assert_eq!(
        answer(&keys, form).0,
        400,
        "a form of another page sends no JSON"
    );
}

#[test]
fn lists_are_paged() {
    let clock = ManualClock::at(NOW);
    let (keys, _) = keys(&clock);
    let alice = scoped("alice");
    let mut made: Vec<_> = (0..5)
        .map(|_| ask(&keys, &alice, "POST /keys", "{}").1["id"].clone())
        .collect();
    made.sort_by_key(ToString::to_string);
    let (mut found, mut query) = (Vec::new(), String::from("GET /keys?limit=2"));
    for _ in 0..3 {
        let (status, page) = ask(&keys, &alice, &query, "");
        assert_eq!(status, 200);
        found.extend(
            page["keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| key["id"].clone()),
        );
        match page["next"].as_str() {
            Some(cursor) => query = format!("GET /keys?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(found, made);
}

#[test]
fn nobody_gets_a_key_without_a_principal() {
    let clock = ManualClock::at(NOW);
    let (keys, store) = keys(&clock);
    let request = |path: &str| {
        Request::post(path)
            .header("content-type", "application/json")
            .body(Full::from("{}"))
            .unwrap()
    };
    assert_eq!(answer(&keys, request("/keys")).0, 401);
    assert_eq!(answer(&keys, request("/optional")).0, 401);
    let bare = block_on(keys.service().oneshot(request("/keys"))).unwrap();
    assert_eq!(bare.status(), 500);
    assert_eq!(store.asked(), Vec::<&str>::new());
    store.fault(Fault::Find);
    store.fault(Fault::Insert);
    let (status, problem) = ask(&keys, &scoped("alice"), "POST /keys", "{}");
    assert_eq!(
        (status, &problem["code"]),
        (503, &json!("store_unavailable"))
    );
}

/// A store that remembers what it was asked, answers later, and fails to order.
#[derive(Debug, Clone, Default)]
struct Watched(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    store: MemoryApiKeyStore,
    asked: Mutex<Vec<&'static str>>,
    faults: Mutex<Vec<Fault>>,
    corrupted: Mutex<Vec<ApiKeyRecord>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Find,
    Insert,
    Touch,
    Forgetting,
}

impl Watched {
    fn fault(&self, fault: Fault) {
        self.0.faults.lock().unwrap().push(fault);
    }

    fn has(&self, fault: Fault) -> bool {
        self.0.faults.lock().unwrap().contains(&fault)
    }

    fn asked(&self) -> Vec<&'static str> {
        self.0.asked.lock().unwrap().clone()
    }

    fn heal(&self) {
        self.0.faults.lock().unwrap().clear();
    }

    fn clear(&self) {
        self.0.asked.lock().unwrap().clear();
    }

    /// Changes a record behind everybody's back.
    fn corrupt(&self, id: &str, change: impl FnOnce(&mut ApiKeyRecord)) {
        let mut record = block_on(self.0.store.find(id)).unwrap().unwrap();
        change(&mut record);
        self.0.corrupted.lock().unwrap().push(record);
    }

    fn ask<'a, T: Send + 'a>(
        &'a self,
        what: &'static str,
        fault: Option<Fault>,
        answer: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        self.0.asked.lock().unwrap().push(what);
        if fault.is_some_and(|fault| self.has(fault)) {
            return Box::pin(async { Err(StoreError::new("connection refused")) });
        }
        Box::pin(async {
            tokio::task::yield_now().await;
            answer.await
        })
    }
}

impl ApiKeyStore for Watched {
    fn insert<'a>(&'a self, record: &'a ApiKeyRecord, most: u16) -> StoreFuture<'a, Inserted> {
        let kept = self.0.store.insert(record, most);
        self.ask("insert", Some(Fault::Insert), kept)
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        let corrupted = self.0.corrupted.lock().unwrap();
        if let Some(record) = corrupted.iter().find(|record| record.id == id).cloned() {
            return Box::pin(async { Ok(Some(record)) });
        }
        drop(corrupted);
        self.ask("find", Some(Fault::Find), self.0.store.find(id))
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ApiKeyRecord>> {
        self.ask("list", None, self.0.store.list(owner, page))
    }

    fn revoke<'a>(&'a self, owner: &'a SubjectId, id: &'a str) -> StoreFuture<'a, bool> {
        let honest = self.0.store.revoke(owner, id);
        if self.has(Fault::Forgetting) {
            return Box::pin(async move {
                let record = self.0.store.find(id).await?;
                let revoked = honest.await?;
                self.0
                    .corrupted
                    .lock()
                    .unwrap()
                    .extend(record.filter(|_| revoked));
                Ok(revoked)
            });
        }
        self.ask("revoke", None, honest)
    }

    fn touch<'a>(&'a self, id: &'a str, used_at: NumericDate) -> StoreFuture<'a, ()> {
        self.ask("touch", Some(Fault::Touch), self.0.store.touch(id, used_at))
    }
}

#[test]
fn a_principal_of_a_key_names_nobody_in_logs() {
    let clock = ManualClock::at(NOW);
    let (keys, _) = keys(&clock);
    let (key, _) = create(&keys, NewApiKey::new(alice()));
    let response = send(&layer(&keys), with_key(&key));
    let principal: &Principal = seen(&response).principal.as_ref().unwrap();
    let text = format!("{principal:?} {:?}", principal.token());
    assert!(!text.contains("alice") && !text.contains(&key), "{text}");
}

/// A source under a name of the application's choice, which may be that of another kind of credential.
#[derive(Debug)]
struct Custom(&'static str);

impl TokenSource for Custom {
    fn extract<'r>(
        &self,
        head: HeadRef<'r>,
    ) -> Result<Option<BearerToken<'r>>, MalformedCredentials> {
        let line = head.headers.get("x-custom");
        let text = line.and_then(|line| line.to_str().ok());
        Ok(text.map(BearerToken::new))
    }

    fn name(&self) -> &'static str {
        self.0
    }
}

/// The kind is the authenticator's to say. Each public way to mount keys is here: a key makes and deletes no key by any.
#[test]
fn a_key_is_a_key_whatever_its_source_is_called() {
    let jwt = || JwtAuthLayer::hs256(SECRET).unwrap();
    let (keys, store) = keys(&ManualClock::at(NOW));
    let (key, record) = create(&keys, NewApiKey::new(alice()));
    let query = QueryParameter::new("key").unwrap().everywhere();
    let verifier = Verifier::builder(Keys::hs256([SECRET]).unwrap())
        .build()
        .unwrap();
    type Mounted = Box<dyn Fn(Request<Full<bytes::Bytes>>) -> (u16, Option<CredentialKind>)>;
    fn mount<L>(layer: L, keys: &ApiKeys) -> Mounted
    where
        L: Layer<tower_warden::ApiKeyService> + Layer<KindOf> + 'static,
        <L as Layer<tower_warden::ApiKeyService>>::Service: Service<
                Request<Full<bytes::Bytes>>,
                Response = Response<Full<bytes::Bytes>>,
                Error = Infallible,
            >,
        <L as Layer<KindOf>>::Service: Service<
                Request<Full<bytes::Bytes>>,
                Response = Response<Full<bytes::Bytes>>,
                Error = Infallible,
            >,
    {
        let keys = keys.clone();
        Box::new(move |request| {
            let copy = Request::from_parts(request.clone().into_parts().0, Full::default());
            let kind = Layer::<KindOf>::layer(&layer, KindOf);
            let kind = block_on(kind.oneshot(copy)).unwrap();
            let kind = kind.extensions().get::<CredentialKind>().copied();
            let service = Layer::<tower_warden::ApiKeyService>::layer(&layer, keys.service());
            (
                block_on(service.oneshot(request))
                    .unwrap()
                    .status()
                    .as_u16(),
                kind,
            )
        })
    }
    let built = |name: &'static str, layer: Mounted, carrier: (&'static str, String)| {
        (name, layer, carrier)
    };
    let bearer = ("authorization", format!("Bearer {key}"));
    let custom = ("x-custom", key.clone());
    let ways = [
        built(
            "ApiKeyLayer",
            mount(ApiKeyLayer::new(keys.clone()).build().unwrap(), &keys),
            ("x-api-key", key.clone()),
        ),
        built(
            "with_api_keys",
            mount(jwt().with_api_keys(keys.clone()).build().unwrap(), &keys),
            ("x-api-key", key.clone()),
        ),
        built(
            "with_api_keys of a cookie layer",
            mount(
                CookieAuthLayer::hs256(SECRET)
                    .unwrap()
                    .with_api_keys(keys.clone())
                    .build()
                    .unwrap(),
                &keys,
            ),
            ("x-api-key", key.clone()),
        ),
        built(
            "another header",
            mount(
                jwt()
                    .with_api_keys_in(ApiKeyHeader::named("x-custom").unwrap(), keys.clone())
                    .build()
                    .unwrap(),
                &keys,
            ),
            custom.clone(),
        ),
        built(
            "Authorization",
            mount(
                CookieAuthLayer::hs256(SECRET)
                    .unwrap()
                    .with_api_keys_in(AuthorizationHeader::default(), keys.clone())
                    .build()
                    .unwrap(),
                &keys,
            ),
            bearer.clone(),
        ),
        built(
            "query",
            mount(
                jwt().with_api_keys_in(query, keys.clone()).build().unwrap(),
                &keys,
            ),
            ("?key", key.clone()),
        ),
        built(
            "subprotocol",
            mount(
                jwt()
                    .with_sources([AuthorizationHeader::default()])
                    .with_api_keys_in(SubprotocolToken::default(), keys.clone())
                    .build()
                    .unwrap(),
                &keys,
            ),
            ("sec-websocket-protocol", format!("chat, bearer, {key}")),
        ),
        built(
            "cookie",
            mount(
                jwt()
                    .with_api_keys_in(CookieToken::new("key").unwrap(), keys.clone())
                    .build()
                    .unwrap(),
                &keys,
            ),
            ("cookie", format!("key={key}")),
        ),
        built(
            "custom",
            mount(
                jwt()
                    .with_api_keys_in(Custom("header"), keys.clone())
                    .build()
                    .unwrap(),
                &keys,
            ),
            custom.clone(),
        ),
        built(
            "beside a verified source",
            mount(
                ApiKeyLayer::new(keys.clone())
                    .with_verified_source(AuthorizationHeader::default(), verifier)
                    .with_api_keys_in(Custom("cookie"), keys.clone())
                    .build()
                    .unwrap(),
                &keys,
            ),
            custom,
        ),
    ];
    for (name, service, (carrier, value)) in ways {
        for (method, path) in [
            ("POST", String::from("/keys")),
            ("DELETE", format!("/keys/{}", record.id)),
        ] {
            let upgraded = carrier == "sec-websocket-protocol";
            let target = match carrier {
                "?key" => format!("{path}?key={value}"),
                _ => path,
            };
            // A subprotocol is read in handshakes only, which are `GET` or `CONNECT`: the service answers 405 there.
            let method = if upgraded { "GET" } else { method };
            let mut request = Request::builder()
                .method(method)
                .uri(target)
                .header("host", "h.example")
                .header("origin", "http://h.example")
                .header("content-type", "application/json");
            if carrier != "?key" {
                request = request.header(carrier, &value);
            }
            if upgraded {
                for (name, value) in crate::support::upgrade() {
                    request = request.header(name, value);
                }
            }
            let (status, kind) = service(request.body(Full::from("{}")).unwrap());
            assert_eq!(kind, Some(CredentialKind::ApiKey), "{name}");
            if !upgraded {
                assert_eq!(status, 403, "{name} {method}");
            }
        }
    }
    let left = block_on(store.list(&alice(), &Page::first())).unwrap();
    assert_eq!(left.items.len(), 1, "no key was made, and none was deleted");
}

/// Answers with the kind of its principal.
#[derive(Clone)]
struct KindOf;

impl<B> Service<Request<B>> for KindOf {
    type Response = Response<Full<bytes::Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::default());
        let principal = request.extensions().get::<Principal>();
        if let Some(principal) = principal {
            response
                .extensions_mut()
                .insert(principal.credential_kind());
        }
        std::future::ready(Ok(response))
    }
}

/// The other way round: a token is no key because its source is called so, and a session is one whatever its name.
#[test]
fn a_token_is_no_key_whatever_its_source_is_called() {
    let (keys, _) = keys(&ManualClock::at(NOW));
    for name in ["api_key", "ticket"] {
        let layer = JwtAuthLayer::hs256(SECRET)
            .unwrap()
            .with_sources([Custom(name)]);
        let service = layer.build().unwrap().layer(keys.service());
        let request = Request::post("/keys")
            .header("x-custom", scoped("alice").expose())
            .header("content-type", "application/json")
            .body(Full::<bytes::Bytes>::from("{}"))
            .unwrap();
        assert_eq!(
            block_on(service.oneshot(request)).unwrap().status(),
            201,
            "{name}"
        );
    }
    let layer = CookieAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let cookie = format!("jwt_token={}", token("alice").expose());
    let response = send(&layer, get_with("/chat", [("cookie", cookie)]));
    let principal = seen(&response).principal.as_ref().unwrap();
    assert_eq!(principal.credential_kind(), CredentialKind::Session);
    let layer = JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let response = send(&layer, get("/chat", &token("alice")));
    let principal = seen(&response).principal.as_ref().unwrap();
    assert_eq!(principal.credential_kind(), CredentialKind::Token);
}

#[test]
fn a_key_ends_after_90_days_unless_the_application_says_otherwise() {
    let day = Duration::from_secs(24 * 60 * 60);
    let clock = ManualClock::at(NOW);
    let builder = || ApiKeys::builder(MemoryApiKeyStore::new(), PEPPER).with_clock(clock.clone());
    let token = scoped("alice");
    let expiry = |keys: &ApiKeys, body: &str| {
        let (status, answer) = ask(keys, &token, "POST /keys", body);
        (status, answer["expires_at"].as_u64())
    };
    let in_days = |days: u64| Some(NOW + days * 24 * 60 * 60);
    let keys = builder().build().unwrap();
    for body in ["{}", r#"{"expires_in":null}"#] {
        assert_eq!(expiry(&keys, body), (201, in_days(90)), "{body}");
    }
    let created =
        |keys: &ApiKeys, wanted| block_on(keys.create(wanted)).map(|key| key.record().expires_at);
    let wanted = || NewApiKey::new(alice());
    let at = |days| in_days(days).map(NumericDate::from_secs);
    assert_eq!(created(&keys, wanted()).unwrap(), at(90));
    assert_eq!(created(&keys, wanted().without_expiry()).unwrap(), None);

    let bounded = builder()
        .with_default_lifetime(7 * day)
        .with_max_lifetime(30 * day);
    let bounded = bounded.build().unwrap();
    assert_eq!(expiry(&bounded, "{}"), (201, in_days(7)));
    assert_eq!(
        expiry(&bounded, r#"{"expires_in":2592000}"#),
        (201, in_days(30))
    );
    assert_eq!(expiry(&bounded, r#"{"expires_in":2592001}"#), (400, None));
    for wanted in [wanted().without_expiry(), wanted().with_lifetime(31 * day)] {
        assert!(matches!(
            created(&bounded, wanted),
            Err(ApiKeyError::Lifetime)
        ));
    }
    let year = 365 * day;
    for (name, builder) in [
        (
            "with_default_lifetime",
            builder().with_default_lifetime(Duration::ZERO),
        ),
        (
            "with_default_lifetime",
            builder().with_default_lifetime(11 * year),
        ),
        ("with_max_lifetime", builder().with_max_lifetime(11 * year)),
        (
            "with_default_lifetime",
            builder().with_max_lifetime(89 * day),
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert!(
            matches!(&error, ConfigError::Setting { name: named, .. } if *named == name),
            "{error}"
        );
    }
}

/// After the revocation of a subject had lapsed, its keys worked again, on one node sooner than on another.
#[tokio::test]
async fn all_keys_of_an_owner_are_revoked_for_good_on_every_node() {
    let clock = ManualClock::at(NOW);
    let (store, marks) = (Watched::default(), MemoryRevocationStore::default());
    let node = async || {
        let revocations = Revocations::shared(marks.clone()).await.unwrap();
        let keys = ApiKeys::builder(store.clone(), PEPPER)
            .with_clock(clock.clone())
            .with_revocations(revocations.clone());
        (keys.build().unwrap(), revocations)
    };
    let ((here, _), (there, revocations)) = (node().await, node().await);
    let bob = SubjectId::new("https://id.example", "bob").unwrap();
    let namesake = SubjectId::new("https://evil.example", "alice").unwrap();
    let mut gone = Vec::new();
    for _ in 0..7 {
        gone.push(
            here.create(NewApiKey::new(alice()).without_expiry())
                .await
                .unwrap(),
        );
    }
    let mut stay = Vec::new();
    for owner in [bob, namesake] {
        stay.push(here.create(NewApiKey::new(owner)).await.unwrap());
    }
    let layer = ApiKeyLayer::new(there.clone())
        .with_revocations(revocations)
        .build()
        .unwrap();
    let request = with_key(gone[0].key().expose());
    let response = layer
        .layer(Inner::default())
        .oneshot(request)
        .await
        .unwrap();
    let lease = seen(&response).principal.as_ref().unwrap().lease();

    store.fault(Fault::Find);
    assert!(here.revoke_all(&alice()).await.is_err());
    store.heal();
    assert_eq!(here.revoke_all(&alice()).await.unwrap(), 7);
    assert_eq!(here.revoke_all(&alice()).await.unwrap(), 0);
    let end = tokio::time::timeout(Duration::from_secs(10), lease.ended()).await;
    assert_eq!(end.unwrap(), LeaseEnd::Revoked);
    for days in [0, 1, 40, 4_000] {
        clock.set(NOW + days * 24 * 60 * 60);
        for keys in [&here, &there] {
            for key in &gone {
                let refused = keys.verify(key.key()).await.unwrap_err();
                assert_eq!(refused.kind(), RejectionKind::ApiKeyUnknown, "day {days}");
            }
        }
        if days <= 1 {
            for key in &stay {
                there.verify(key.key()).await.unwrap();
            }
        }
    }
}

/// Sixty requests at once made sixty keys where five were allowed.
#[test]
fn of_many_keys_at_once_no_more_are_made_than_one_may_have() {
    let keys = ApiKeys::builder(MemoryApiKeyStore::new(), PEPPER).with_max_keys_per_owner(5);
    let keys = keys.build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let answers = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..60 {
            let keys = keys.clone();
            tasks.spawn(async move { keys.create(NewApiKey::new(alice())).await });
        }
        tasks.join_all().await
    });
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(made, 5);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, ApiKeyError::TooMany));
    }
}
