//! Whose resource it is: one owner, who may share it, and nobody else gets near it.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, layer::layer_fn};
use tower_warden::{
    BearerToken, Claim, JwtAuthLayer, Listing, MemoryOwnerStore, Owned, OwnerAccess, OwnerStore,
    Owners, OwnershipLayer, Page, Paths, Refusals, RejectionKind, ResourceId, ResourceKey, Role,
    Standing, StoreError, StoreFuture, SubjectId,
};

use crate::support::{Inner, SECRET, get, get_with, issuer, refusal, send, token, upgrade};

const ROOM: &str = "/agents/support/r1";

fn room() -> ResourceId {
    ResourceId::new(ROOM).unwrap()
}

/// A subject of the tests' issuer, which names none.
fn subject(name: &str) -> SubjectId {
    SubjectId::new("", name).unwrap()
}

fn key() -> ResourceKey {
    ResourceKey::path("/agents/{agent}/{room}").unwrap()
}

/// A store in which Alice owns the room, and Bob may read, Carol write and Dave share.
async fn store() -> Arc<MemoryOwnerStore> {
    let store = Arc::new(MemoryOwnerStore::new());
    store.claim(&room(), &subject("alice")).await.unwrap();
    for (guest, role) in [
        ("bob", Role::Reader),
        ("carol", Role::Writer),
        ("dave", Role::Admin),
    ] {
        store.grant(&room(), &subject(guest), role).await.unwrap();
    }
    store
}

/// The layer behind an auth layer.
fn behind(
    auth: JwtAuthLayer,
    owned: OwnershipLayer,
) -> impl Layer<Inner, Service: Service<Request<String>, Response = Response<String>, Error = Infallible>>
{
    layer_fn(move |inner| auth.layer(owned.layer(inner)))
}

fn guarded(
    owned: OwnershipLayer,
) -> impl Layer<Inner, Service: Service<Request<String>, Response = Response<String>, Error = Infallible>>
{
    behind(auth(), owned)
}

fn auth() -> JwtAuthLayer {
    JwtAuthLayer::hs256(SECRET).unwrap().build().unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// `method` of that path, with a bearer token.
fn request(method: &str, path: &str, token: &BearerToken<'_>) -> Request<String> {
    let mut request = get(path, token);
    *request.method_mut() = method.parse().unwrap();
    request
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn the_memory_store_keeps_every_promise() {
    let store = Arc::new(MemoryOwnerStore::new());
    tower_warden::testing::conformance::owner_store(async || Arc::clone(&store)).await;
    tower_warden::testing::conformance::shared_owner_store(async || Arc::clone(&store)).await;
    let owners = Owners::new(store);
    tower_warden::testing::conformance::owner_store(async || owners.clone()).await;
}

#[test]
fn each_standing_opens_what_it_should() {
    let layer = guarded(OwnershipLayer::new(block_on(store()), key()));
    let (reading, writing) = (
        ["GET", "HEAD"],
        ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"],
    );
    for (who, reads, writes) in [
        ("alice", None, None),
        ("bob", None, Some(RejectionKind::Forbidden)),
        ("carol", None, None),
        ("dave", None, None),
        (
            "mallory",
            Some(RejectionKind::NotOwner),
            Some(RejectionKind::NotOwner),
        ),
    ] {
        let token = token(who);
        let methods = reading.iter().map(|m| (*m, reads));
        for (method, expected) in methods.chain(writing.iter().map(|m| (*m, writes))) {
            let response = send(&layer, request(method, ROOM, &token));
            assert_eq!(refusal(&response), expected, "{who} {method}");
        }
        // A socket writes, though its handshake is a `GET`.
        let mut handshake = get_with(ROOM, upgrade());
        let bearer = format!("Bearer {}", token.expose()).parse().unwrap();
        handshake.headers_mut().insert("authorization", bearer);
        assert_eq!(refusal(&send(&layer, handshake)), writes, "{who} upgrade");
    }
}

#[test]
fn the_words_are_those_of_the_mixin() {
    for (refusals, body) in [
        (Refusals::mixin(), "This chat is not yours."),
        (
            Refusals::problem(),
            r#"{"code":"not_owner","detail":"This chat is not yours.","status":403,"title":"Forbidden","type":"about:blank"}"#,
        ),
    ] {
        let auth = JwtAuthLayer::hs256(SECRET).unwrap().with_refusals(refusals);
        let owned = OwnershipLayer::new(block_on(store()), key());
        let layer = behind(auth.build().unwrap(), owned);
        let response = send(&layer, get(ROOM, &token("mallory")));
        assert_eq!(response.status(), 403);
        assert_eq!(response.body(), body);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers().contains_key("www-authenticate"));
    }
}

#[test]
fn what_nobody_owns_is_refused_unless_first_use_claims_it() {
    let empty = Arc::new(MemoryOwnerStore::new());
    let layer = guarded(OwnershipLayer::new(Arc::clone(&empty), key()));
    let response = send(&layer, get(ROOM, &token("alice")));
    assert_eq!(refusal(&response), Some(RejectionKind::NotOwner));
    assert_eq!(block_on(empty.owner(&room())).unwrap(), None);

    let layer = guarded(OwnershipLayer::new(Arc::clone(&empty), key()).claim_on_first_use());
    for (who, expected) in [
        ("alice", None),
        ("mallory", Some(RejectionKind::NotOwner)),
        ("alice", None),
    ] {
        let response = send(&layer, request("POST", ROOM, &token(who)));
        assert_eq!(refusal(&response), expected, "{who}");
    }
    assert_eq!(
        block_on(empty.owner(&room())).unwrap(),
        Some(subject("alice"))
    );
}

/// The mixin's first hole: no owner yet, and a token without a subject. Undefined equalled undefined.
#[test]
fn nobody_is_not_the_owner_of_what_nobody_owns() {
    let store = Arc::new(MemoryOwnerStore::new());
    let nameless = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .dangerous_without_subject()
        .build()
        .unwrap();
    for owned in [
        OwnershipLayer::new(Arc::clone(&store), key()),
        OwnershipLayer::new(Arc::clone(&store), key()).claim_on_first_use(),
        OwnershipLayer::new(Arc::clone(&store), key())
            .with_admin_scope("admin")
            .unwrap(),
    ] {
        let layer = behind(nameless.clone(), owned);
        let token = raw_token(&serde_json::json!({ "exp": 99_999_999_999u64, "scope": "admin" }));
        let response = send(&layer, get(ROOM, &token));
        assert_eq!(refusal(&response), Some(RejectionKind::NotOwner));
    }
    assert_eq!(block_on(store.owner(&room())).unwrap(), None);
    // By default such a token does not even come this far.
    let layer = guarded(OwnershipLayer::new(store, key()).claim_on_first_use());
    for claims in [
        serde_json::json!({ "exp": 99_999_999_999u64 }),
        serde_json::json!({ "exp": 99_999_999_999u64, "sub": "" }),
    ] {
        let response = send(&layer, get(ROOM, &raw_token(&claims)));
        assert_eq!(refusal(&response), Some(RejectionKind::ClaimInvalid));
    }
}

/// A token of ours with exactly these claims.
fn raw_token(claims: &serde_json::Value) -> BearerToken<'static> {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let header = jsonwebtoken::Header::default();
    BearerToken::new(jsonwebtoken::encode(&header, claims, &key).unwrap())
}

/// The mixin's second hole: with optional auth, whoever sent no token, or a bad one, was let near everything.
#[test]
fn ownership_is_not_skipped_where_a_token_is_optional() {
    let store = Counted::around(block_on(store()));
    let auth = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().optional("/agents/*"))
        .build()
        .unwrap();
    let layer = behind(
        auth,
        OwnershipLayer::new(store.clone(), key()).claim_on_first_use(),
    );
    let response = send(&layer, get_with(ROOM, []));
    assert_eq!(refusal(&response), Some(RejectionKind::TokenMissing));
    assert_eq!(response.status(), 401);
    let garbage = BearerToken::new("a.b.c");
    let response = send(&layer, get(ROOM, &garbage));
    assert_eq!(refusal(&response), Some(RejectionKind::TokenMalformed));
    assert_eq!(store.asked(), 0);
    assert_eq!(refusal(&send(&layer, get(ROOM, &token("alice")))), None);
}

/// The mixin's third hole: a refusal of an inner hook was ignored. Conditions come first, and what refuses, refuses.
#[test]
fn whoever_a_condition_refuses_claims_nothing() {
    let store = Counted::around(Arc::new(MemoryOwnerStore::new()));
    let auth = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .require(|principal, _| principal.subject() != "banned")
        .build()
        .unwrap();
    let layer = behind(
        auth,
        OwnershipLayer::new(store.clone(), key()).claim_on_first_use(),
    );
    let response = send(&layer, get(ROOM, &token("banned")));
    assert_eq!(refusal(&response), Some(RejectionKind::Forbidden));
    assert_eq!(store.asked(), 0);
    assert_eq!(refusal(&send(&layer, get(ROOM, &token("alice")))), None);
}

#[test]
fn mounted_wrongly_is_a_500() {
    let owned = OwnershipLayer::new(block_on(store()), key());
    let response = send(&owned, get(ROOM, &token("alice")));
    assert_eq!(refusal(&response), Some(RejectionKind::Misconfigured));
    let exempt = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_paths(Paths::all().exempt("/agents/*"))
        .build()
        .unwrap();
    let response = send(&behind(exempt, owned), get(ROOM, &token("alice")));
    assert_eq!(response.status(), 500);
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_nobodys() {
    let store = block_on(store());
    let owned = OwnershipLayer::new(Arc::clone(&store), key()).claim_on_first_use();
    let layer = guarded(owned);
    for path in [
        "//agents/support/r1",
        "/agents//support/r1",
        "/agents/support/r1/../r2",
        "/agents/support/x%2f..%2fr1",
        "/agents/support/%2e%2e/r1",
        "/agents/support/r1%00",
        "/agents/support/r%2531",
        "/agents/support/r1;x=y",
        "/agents/support/r1%",
        "/agents/support/doc%2F1",
        "/agents./support/r1",
        "/agents/support/",
        "/agents/support",
        "/",
    ] {
        for who in ["alice", "mallory"] {
            let response = send(&layer, get(path, &token(who)));
            let kind = Some(RejectionKind::ResourceUnnamed);
            assert_eq!(refusal(&response), kind, "{path}");
            assert_eq!(response.status(), 403, "{path}");
        }
    }
    // Another spelling of the same resource is no other resource.
    for path in [
        "/agents/support/%721",
        "/AGENTS/support/r1",
        "/agents/support/r1/",
        "/agents/support/r1/messages/7?room=r2",
    ] {
        let response = send(&layer, get(path, &token("mallory")));
        assert_eq!(refusal(&response), Some(RejectionKind::NotOwner), "{path}");
        assert_eq!(
            refusal(&send(&layer, get(path, &token("alice")))),
            None,
            "{path}"
        );
    }
    let alices = block_on(store.list(&subject("alice"), &Page::first())).unwrap();
    assert_eq!(alices.items, [room()], "nothing else was claimed");
}

#[test]
fn owners_are_compared_byte_by_byte_and_with_their_issuer() {
    let store = Arc::new(MemoryOwnerStore::new());
    let alice = SubjectId::new("https://id.example", "alice").unwrap();
    block_on(store.claim(&room(), &alice)).unwrap();
    let layer = guarded(OwnershipLayer::new(store, key()).claim_on_first_use());
    let by = |issuer: Option<&str>, subject: &str| {
        let mut claims = serde_json::json!({ "exp": 99_999_999_999u64, "sub": subject });
        if let Some(issuer) = issuer {
            claims["iss"] = issuer.into();
        }
        refusal(&send(&layer, get(ROOM, &raw_token(&claims))))
    };
    let issuer = Some("https://id.example");
    assert_eq!(by(issuer, "alice"), None);
    let long = "a".repeat(2_000);
    for (issuer, subject) in [
        (issuer, "Alice"),
        (issuer, "alice "),
        (issuer, " alice"),
        (issuer, "alice\0"),
        (issuer, "\u{0430}lice"),
        (issuer, "alic\u{ff45}"),
        (issuer, "alice\u{200b}"),
        (issuer, "' OR '1'='1"),
        (issuer, "\""),
        (issuer, &long),
        (None, "alice"),
        (Some(""), "alice"),
        (Some("https://id.example/"), "alice"),
        (Some("https://evil.example"), "alice"),
        (Some("https://id.examplealice"), "alice"),
    ] {
        let expected = Some(RejectionKind::NotOwner);
        assert_eq!(by(issuer, subject), expected, "{issuer:?} {subject:.20?}");
    }
}

#[test]
fn what_is_concealed_looks_like_what_is_not_there() {
    let store = block_on(store());
    let layer = guarded(OwnershipLayer::new(Arc::clone(&store), key()).conceal());
    let shown = |path: &str, who: &str| {
        let response = send(&layer, get(path, &token(who)));
        let (head, body) = response.into_parts();
        (head.status, head.headers, body)
    };
    let missing = shown("/agents/support/nowhere", "mallory");
    assert_eq!(missing.0, 404);
    for (path, who) in [
        (ROOM, "mallory"),
        ("/agents/support/nowhere", "alice"),
        ("/agents/support/r1/../r1", "mallory"),
    ] {
        assert_eq!(shown(path, who), missing, "{path} {who}");
    }
    // Whoever may read knows that it is there.
    let response = send(&layer, request("POST", ROOM, &token("bob")));
    assert_eq!(response.status(), 403);

    let own_words = || {
        let mut response = Response::new(Bytes::from_static(b"no such page"));
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        response
    };
    let layer = guarded(OwnershipLayer::new(store, key()).conceal_like(own_words));
    let response = send(&layer, get(ROOM, &token("mallory")));
    assert_eq!(refusal(&response), Some(RejectionKind::NotFound));
    assert_eq!(
        (response.status().as_u16(), response.body().as_str()),
        (404, "no such page")
    );
    assert!(response.headers().is_empty());
}

/// A principal could claim rooms without end, each by one request. An admin scope does not lift the limit.
#[test]
fn first_use_claims_no_more_than_the_limit() {
    let store = Arc::new(MemoryOwnerStore::new());
    let owned = OwnershipLayer::new(Arc::clone(&store), key()).claim_on_first_use();
    let owned = owned.with_claim_limit(2).with_admin_scope("admin").unwrap();
    let layer = guarded(owned);
    let alice = token("alice");
    let admin = issuer()
        .mint("alice")
        .with_scopes(["admin"])
        .sign()
        .unwrap();
    for (room, token, expected) in [
        ("r1", &alice, None),
        ("r2", &alice, None),
        ("r3", &alice, Some(RejectionKind::Forbidden)),
        ("r3", &admin, Some(RejectionKind::Forbidden)),
        ("r1", &alice, None),
        ("r3", &token("bob"), None),
    ] {
        let path = format!("/agents/support/{room}");
        let response = send(&layer, get(&path, token));
        assert_eq!(refusal(&response), expected, "{room}");
    }
    let third = ResourceId::new("/agents/support/r3").unwrap();
    assert_eq!(block_on(store.owner(&third)).unwrap(), Some(subject("bob")));
    // A transfer makes room.
    let first = ResourceId::new(ROOM).unwrap();
    assert!(block_on(store.transfer(&first, &subject("alice"), &subject("bob"))).unwrap());
    let fourth = send(&layer, get("/agents/support/r4", &alice));
    assert_eq!(refusal(&fourth), None);
}

#[test]
fn an_admin_scope_opens_every_resource() {
    let store = block_on(store());
    let owned = OwnershipLayer::new(Arc::clone(&store), key());
    let layer = guarded(owned.with_admin_scope("admin").unwrap());
    let admin = issuer()
        .mint("root")
        .with_scopes(["chat", "admin"])
        .sign()
        .unwrap();
    let other = issuer()
        .mint("root")
        .with_scopes(["administrator"])
        .sign()
        .unwrap();
    for (path, token, expected) in [
        (ROOM, &admin, None),
        ("/agents/support/nowhere", &admin, None),
        (ROOM, &other, Some(RejectionKind::NotOwner)),
        ("/agents/../x", &admin, Some(RejectionKind::ResourceUnnamed)),
    ] {
        let response = send(&layer, request("DELETE", path, token));
        assert_eq!(refusal(&response), expected, "{path}");
    }
    assert_eq!(
        block_on(store.owner(&room())).unwrap(),
        Some(subject("alice"))
    );
    for scope in ["", "two words", "\""] {
        let owned = OwnershipLayer::new(MemoryOwnerStore::new(), key());
        assert!(owned.with_admin_scope(scope).is_err(), "{scope}");
    }
    // Where first use claims, an admin's own room is no prey for the next who comes.
    let claiming = OwnershipLayer::new(Arc::clone(&store), key()).claim_on_first_use();
    let layer = guarded(claiming.with_admin_scope("admin").unwrap());
    let own = "/agents/support/own";
    assert_eq!(refusal(&send(&layer, get(own, &admin))), None);
    let response = send(&layer, get(own, &token("mallory")));
    assert_eq!(refusal(&response), Some(RejectionKind::NotOwner));
}

#[test]
fn the_application_may_say_which_role_a_request_needs() {
    let owned = OwnershipLayer::new(block_on(store()), key()).with_required_role(|head| {
        if head.uri.path().ends_with("/share") {
            Role::Admin
        } else {
            Role::Reader
        }
    });
    let layer = guarded(owned);
    for (who, path, expected) in [
        ("bob", ROOM, None),
        (
            "bob",
            "/agents/support/r1/share",
            Some(RejectionKind::Forbidden),
        ),
        (
            "carol",
            "/agents/support/r1/share",
            Some(RejectionKind::Forbidden),
        ),
        ("dave", "/agents/support/r1/share", None),
        ("alice", "/agents/support/r1/share", None),
        ("mallory", ROOM, Some(RejectionKind::NotOwner)),
    ] {
        let response = send(&layer, request("POST", path, &token(who)));
        assert_eq!(refusal(&response), expected, "{who} {path}");
    }
}

#[test]
fn keys_may_come_from_a_header_or_a_function() {
    let store = Arc::new(MemoryOwnerStore::new());
    block_on(store.claim(&ResourceId::new("r1").unwrap(), &subject("alice"))).unwrap();
    let header = ResourceKey::header("x-room").unwrap();
    let function = ResourceKey::by(|head| {
        let room = head.uri.query()?.strip_prefix("room=")?;
        ResourceId::new(room).ok()
    });
    // The function takes the two names for one.
    for (key, twice) in [
        (header, RejectionKind::ResourceUnnamed),
        (function, RejectionKind::NotOwner),
    ] {
        let layer = guarded(OwnershipLayer::new(Arc::clone(&store), key));
        let ask = |who: &str, room: &[&str]| {
            let mut request = get(&format!("/chat?room={}", room.join("&")), &token(who));
            for room in room {
                request
                    .headers_mut()
                    .append("x-room", room.parse().unwrap());
            }
            refusal(&send(&layer, request))
        };
        assert_eq!(ask("alice", &["r1"]), None);
        for (who, room, kind) in [
            ("mallory", &["r1"][..], RejectionKind::NotOwner),
            ("alice", &["R1"], RejectionKind::NotOwner),
            ("alice", &[], RejectionKind::ResourceUnnamed),
            ("alice", &["r1", "r1"], twice),
        ] {
            assert_eq!(ask(who, room), Some(kind), "{who} {room:?}");
        }
    }
}

#[test]
fn the_inner_service_finds_what_is_owned() {
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let inner = tower::service_fn(move |request: Request<String>| {
        let owned = request.extensions().get::<Owned>().cloned();
        *note.lock().unwrap() = owned;
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    });
    let store = block_on(store());
    let service = auth().layer(OwnershipLayer::new(Arc::clone(&store), key()).layer(inner));
    block_on(service.oneshot(get("/agents/support/r1/x", &token("bob")))).unwrap();
    let owned = seen.lock().unwrap().take().unwrap();
    assert_eq!(owned.resource(), &room());
    assert_eq!(owned.subject(), &subject("bob"));
    assert_eq!(owned.owner(), Some(&subject("alice")));
    assert_eq!(owned.standing(), Standing::Granted(Role::Reader));
    assert_eq!(owned.needed(), Role::Reader);
    assert!(owned.allows(Role::Reader) && !owned.allows(Role::Writer) && !owned.is_owner());
    assert!(!format!("{owned:?}").contains("bob"), "{owned:?}");

    // What was true at the door may change while one is inside.
    assert!(block_on(owned.confirm()).is_ok());
    block_on(store.revoke(&room(), &subject("bob"))).unwrap();
    let gone = block_on(owned.confirm()).unwrap_err();
    assert_eq!(gone.kind(), RejectionKind::NotOwner);
}

#[test]
fn a_store_that_does_not_answer_is_a_503() {
    for fault in [Fault::Access, Fault::Claim] {
        let store = Broken(MemoryOwnerStore::new(), fault);
        let layer = guarded(
            OwnershipLayer::new(store, key())
                .claim_on_first_use()
                .conceal(),
        );
        let response = send(&layer, get(ROOM, &token("alice")));
        assert_eq!(refusal(&response), Some(RejectionKind::StoreUnavailable));
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
        assert!(!response.body().contains("secret"), "{}", response.body());
    }
}

#[test]
fn whoever_watches_learns_of_every_loss() {
    let owners = Owners::new(MemoryOwnerStore::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let watch = owners.on_change(move |change| note.lock().unwrap().push(change.clone()));
    let [alice, bob] = ["alice", "bob"].map(subject);
    block_on(async {
        owners.claim(&room(), &alice).await?;
        owners.grant(&room(), &bob, Role::Writer).await?;
        owners.grant(&room(), &alice, Role::Writer).await?;
        owners.revoke(&room(), &bob).await?;
        owners.revoke(&room(), &bob).await?;
        owners.transfer(&room(), &bob, &alice).await?;
        owners.transfer(&room(), &alice, &bob).await?;
        Ok::<_, StoreError>(())
    })
    .unwrap();
    let changes = told.lock().unwrap().clone();
    assert_eq!(changes.len(), 3, "what changed nothing is not told");
    let losses = [(&bob, [false, true, false]), (&alice, [false, false, true])];
    for (who, lost) in losses {
        let found: Vec<_> = changes
            .iter()
            .map(|c| c.shuts_out(who, Role::Writer))
            .collect();
        assert_eq!(found, lost);
    }
    // What another node did is told here too.
    let other_node = Owners::new(MemoryOwnerStore::new());
    let note = Arc::clone(&told);
    other_node
        .on_change(move |change| note.lock().unwrap().push(change.clone()))
        .forever();
    other_node.announce(&changes[0]);
    assert_eq!(told.lock().unwrap().len(), 4);
    drop(watch);
    block_on(owners.grant(&room(), &alice, Role::Reader)).unwrap();
    assert_eq!(told.lock().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_first_claims_exactly_one_wins() {
    let store = Arc::new(MemoryOwnerStore::new());
    let owned = OwnershipLayer::new(Arc::clone(&store), key()).claim_on_first_use();
    let inner = Inner::default();
    let service = auth().layer(owned.layer(inner.clone()));
    let requests = (0..200).map(|n| {
        let request = request("POST", ROOM, &token(&format!("rival{n}")));
        tokio::spawn(service.clone().oneshot(request))
    });
    let requests: Vec<_> = requests.collect();
    let mut winners = Vec::new();
    for (n, response) in requests.into_iter().enumerate() {
        match response.await.unwrap().unwrap().status().as_u16() {
            200 => winners.push(subject(&format!("rival{n}"))),
            403 => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(inner.calls(), 1);
    assert_eq!(store.owner(&room()).await.unwrap(), winners.pop());
}

/// A service whose clones are not ready, as tower allows: `call` without `poll_ready` is a fault.
struct Strict(bool);

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<Request<String>> for Strict {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called before it was ready");
        std::future::ready(Ok(Response::default()))
    }
}

#[test]
fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let at_once = OwnershipLayer::new(block_on(store()), key());
    let later = OwnershipLayer::new(Counted::around(block_on(store())), key());
    for owned in [at_once, later] {
        let mut service = auth().layer(owned.layer(Strict(false)));
        block_on(async {
            for (who, status) in [("alice", 200), ("mallory", 403), ("alice", 200)] {
                let ready = service.ready().await.unwrap();
                let response = ready.call(get(ROOM, &token(who))).await.unwrap();
                assert_eq!(response.status(), status, "{who}");
            }
        });
    }
}

/// Inside a `nest`, and behind a rewrite, the path that is routed names the resource as well.
#[cfg(feature = "axum")]
#[test]
fn of_the_path_asked_for_and_the_path_routed_both_name_the_resource() {
    use axum::extract::OriginalUri;

    let layer = guarded(OwnershipLayer::new(block_on(store()), key()));
    for (requested, routed, kind) in [
        (ROOM, ROOM, None),
        ("/api/agents/support/r1", ROOM, None),
        (ROOM, "/support/r1", None),
        ("/agents/support/%721", ROOM, None),
        (
            "/agents/support/r2",
            ROOM,
            Some(RejectionKind::ResourceUnnamed),
        ),
        (
            ROOM,
            "/agents/support/r2",
            Some(RejectionKind::ResourceUnnamed),
        ),
        ("/api//r1", ROOM, Some(RejectionKind::ResourceUnnamed)),
        ("/api", "/r1", Some(RejectionKind::ResourceUnnamed)),
    ] {
        let mut request = get(routed, &token("alice"));
        let original = OriginalUri(requested.parse().unwrap());
        request.extensions_mut().insert(original);
        assert_eq!(
            refusal(&send(&layer, request)),
            kind,
            "{requested} {routed}"
        );
    }
}

/// The sub-agents of Cloudflare's routes belong to the owner of the room.
#[cfg(feature = "axum")]
#[tokio::test]
async fn a_sub_agent_of_a_room_is_guarded_and_owned() {
    use axum::{Router, routing::any};

    let app = Router::new()
        .route(
            "/agents/{agent}/{room}/sub/{class}/{name}",
            any(async |owned: Owned| owned.resource().as_str().to_owned()),
        )
        .route_layer(OwnershipLayer::new(store().await, key()))
        .layer(auth());
    let sub = format!("{ROOM}/sub/researcher/deep");
    let others = "/agents/support/r9/sub/researcher/deep".to_owned();
    for (path, who, expected) in [
        (&sub, Some("alice"), 200),
        (&sub.replace("/r1/", "/%721/"), Some("alice"), 200),
        (&sub, Some("mallory"), 403),
        (&sub.replace("/r1/", "/R1/"), Some("alice"), 403),
        (&sub.replace("/r1/", "//"), Some("alice"), 403),
        (&sub.replace("/r1/", "/r9%2f..%2fr1/"), Some("alice"), 403),
        (&others, Some("alice"), 403),
        (&sub, None, 401),
    ] {
        let mut request = get(path, &token(who.unwrap_or("alice"))).map(axum::body::Body::from);
        if who.is_none() {
            request.headers_mut().remove("authorization");
        }
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected, "{path} {who:?}");
        if expected == 200 {
            let body = axum::body::to_bytes(response.into_body(), 10_000).await;
            assert_eq!(body.unwrap(), ROOM, "the resource is the room");
        }
    }
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn an_extractor_of_axum_finds_it_behind_any_nest() {
    use axum::{Router, routing::any};

    async fn show(owned: Owned) -> String {
        format!("{} {}", owned.resource().as_str(), owned.is_owner())
    }
    let rooms = Router::new()
        .route("/{agent}/{room}", any(show))
        .route_layer(OwnershipLayer::new(store().await, key()));
    let app = Router::new()
        .nest("/agents", rooms)
        .route("/unowned", any(show))
        .layer(auth());
    let ask = |path: &'static str, who: &'static str| {
        let app = app.clone();
        async move {
            let request = get(path, &token(who)).map(axum::body::Body::from);
            let response = app.oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), 10_000).await;
            (status, String::from_utf8(body.unwrap().to_vec()).unwrap())
        }
    };
    assert_eq!(ask(ROOM, "alice").await, (200, format!("{ROOM} true")));
    assert_eq!(
        ask("/agents/support/%721", "alice").await,
        (200, format!("{ROOM} true"))
    );
    assert_eq!(ask(ROOM, "mallory").await.0, 403);
    assert_eq!(ask("/unowned", "alice").await.0, 500);
}

/// A store that counts what it is asked, and answers later.
#[derive(Debug, Clone)]
struct Counted {
    store: Arc<MemoryOwnerStore>,
    asked: Arc<AtomicUsize>,
}

impl Counted {
    fn around(store: Arc<MemoryOwnerStore>) -> Self {
        Self {
            store,
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn count(&self) -> &MemoryOwnerStore {
        self.asked.fetch_add(1, Ordering::SeqCst);
        &self.store
    }
}

/// A store that fails in one place.
#[derive(Debug)]
struct Broken(MemoryOwnerStore, Fault);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Access,
    Claim,
}

impl Broken {
    fn fail<'a, T>(&self, fault: Fault, otherwise: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if self.1 == fault {
            Box::pin(async { Err(StoreError::new("secret: connection refused")) })
        } else {
            otherwise
        }
    }
}

/// Passes each question on, by `$to` for the two that may fail and `$rest` for the others.
macro_rules! owner_store {
    ($store:ty, |$self:ident| $inner:expr, |$fault:ident, $otherwise:ident| $answer:expr) => {
        impl OwnerStore for $store {
            fn claim_within<'a>(
                &'a $self,
                resource: &'a ResourceId,
                subject: &'a SubjectId,
                most: u32,
            ) -> StoreFuture<'a, Claim> {
                let claim = $inner.claim_within(resource, subject, most);
                let ($fault, $otherwise) = (Fault::Claim, claim);
                $answer
            }

            fn owner<'a>(&'a $self, resource: &'a ResourceId) -> StoreFuture<'a, Option<SubjectId>> {
                $inner.owner(resource)
            }

            fn access<'a>(
                &'a $self,
                resource: &'a ResourceId,
                subject: &'a SubjectId,
            ) -> StoreFuture<'a, Option<OwnerAccess>> {
                let ($fault, $otherwise) = (Fault::Access, $inner.access(resource, subject));
                $answer
            }

            fn transfer<'a>(
                &'a $self,
                resource: &'a ResourceId,
                from: &'a SubjectId,
                to: &'a SubjectId,
            ) -> StoreFuture<'a, bool> {
                $inner.transfer(resource, from, to)
            }

            fn grant<'a>(
                &'a $self,
                resource: &'a ResourceId,
                subject: &'a SubjectId,
                role: Role,
            ) -> StoreFuture<'a, Option<Standing>> {
                $inner.grant(resource, subject, role)
            }

            fn revoke<'a>(
                &'a $self,
                resource: &'a ResourceId,
                subject: &'a SubjectId,
            ) -> StoreFuture<'a, bool> {
                $inner.revoke(resource, subject)
            }

            fn list<'a>(
                &'a $self,
                owner: &'a SubjectId,
                page: &'a Page,
            ) -> StoreFuture<'a, Listing<ResourceId>> {
                $inner.list(owner, page)
            }
        }
    };
}

owner_store!(Counted, |self| self.count(), |_fault, otherwise| {
    Box::pin(async {
        tokio::task::yield_now().await;
        otherwise.await
    })
});
owner_store!(Broken, |self| self.0, |fault, otherwise| self
    .fail(fault, otherwise));

/// A store that tells every claimant what they want to hear, as one that checks first and writes later does.
#[cfg(feature = "testing")]
#[derive(Debug)]
struct Flattering(MemoryOwnerStore);

#[cfg(feature = "testing")]
trait Flatter {
    fn flatter(self) -> Self;
}

#[cfg(feature = "testing")]
impl Flatter for Claim {
    fn flatter(self) -> Self {
        match self {
            Self::Other => Self::Claimed,
            honest => honest,
        }
    }
}

#[cfg(feature = "testing")]
impl Flatter for Option<OwnerAccess> {
    fn flatter(self) -> Self {
        self
    }
}

#[cfg(feature = "testing")]
owner_store!(Flattering, |self| self.0, |_fault, otherwise| {
    Box::pin(async move { otherwise.await.map(Flatter::flatter) })
});

#[cfg(feature = "testing")]
#[tokio::test]
#[should_panic(expected = "Claimed")]
async fn a_store_with_two_winners_does_not_conform() {
    tower_warden::testing::conformance::owner_store(async || Flattering(MemoryOwnerStore::new()))
        .await;
}

/// Two nodes that do not share their owners are caught, too.
#[cfg(feature = "testing")]
#[tokio::test]
#[should_panic(expected = "another node sees the claim")]
async fn a_store_that_is_not_shared_does_not_conform() {
    tower_warden::testing::conformance::owner_store(async || MemoryOwnerStore::new()).await;
}
