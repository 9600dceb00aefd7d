//! Sessions of accounts: renewed, refreshed, listed and ended, on every node.

use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_warden::{
    ApiKeys, LeaseEnd, MemoryAccountStore, MemoryApiKeyStore, MemoryRevocationStore, NewApiKey,
    Paths, Revocations, SubjectId,
    accounts::Accounts,
    testing::{ManualClock, conformance},
};

use crate::{
    accounts_support::{Browser, DAY, NOW, PASSWORD, Watched, accounts, builder},
    support::{Inner, seen},
};

const REFRESH: &str = "__Secure-refresh_token";

/// What the gate of these accounts says to the token of a browser.
async fn gate(accounts: &Accounts, browser: &Browser) -> u16 {
    let layer = accounts.auth_layer().build().unwrap();
    let inner = Inner::default();
    let request = Request::get("/chat").header("cookie", browser.cookie_header("/chat"));
    let request = request.body(String::new()).unwrap();
    layer
        .layer(inner)
        .oneshot(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn the_memory_store_keeps_every_promise() {
    let store = std::sync::Arc::new(MemoryAccountStore::new());
    conformance::account_store(async || std::sync::Arc::clone(&store)).await;
}

#[tokio::test]
async fn a_session_slides_while_it_is_heard_of() {
    let (accounts, clock) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    let begun = alice.claims();
    clock.advance(DAY + DAY / 2 - Duration::from_secs(1));
    assert!(
        alice.get("/auth/user").await.cookies().is_empty(),
        "half of it is not over"
    );
    clock.advance(Duration::from_secs(1));
    let reply = alice.get("/auth/user").await;
    assert_eq!(reply.cookies().len(), 1, "the refresh token stays as it is");
    let renewed = alice.claims();
    assert_eq!(renewed["exp"], reply.body["exp"]);
    assert_eq!(renewed["exp"], NOW + 86_400 * 9 / 2);
    assert_eq!(renewed["sid"], begun["sid"], "it is the same session");
    assert_ne!(renewed["jti"], begun["jti"]);
    // Every other day for a quarter of a year, and no longer.
    let mut days = 0;
    while alice.get("/auth/user").await.status == 200 {
        clock.advance(2 * DAY);
        days += 2;
    }
    let reply = alice.get("/auth/user").await;
    assert_eq!((reply.status.as_u16(), days), (401, 90));
}

#[tokio::test]
async fn a_session_that_nobody_hears_of_is_over() {
    let (accounts, clock) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    clock.advance(3 * DAY - Duration::from_secs(1));
    assert_eq!(alice.clone().get("/auth/user").await.status, 200);
    clock.advance(Duration::from_secs(1));
    let reply = alice.get("/auth/user").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (401, "token_expired")
    );
    // The refresh token outlives the token by far.
    let reply = alice.refresh().await;
    assert_eq!((reply.status.as_u16(), reply.cookies().len()), (200, 3));
    assert_eq!(reply.body["exp"], NOW + 6 * 86_400);
    clock.advance(30 * DAY);
    let reply = alice.refresh().await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (401, "token_expired")
    );
    assert!(alice.jar.is_empty(), "what leads nowhere is taken back");
    assert_eq!(alice.refresh().await.code(), "token_missing");
    assert_eq!(accounts.sweep().await.unwrap(), 1);
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next() {
    let (accounts, clock) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    let mut seen = vec![alice.jar[REFRESH].0.clone()];
    for _ in 0..5 {
        clock.advance(DAY);
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.get("/auth/user").await.status, 200);
        let next = alice.jar[REFRESH].0.clone();
        assert_eq!(next.len(), 64);
        assert!(!seen.contains(&next));
        seen.push(next);
    }
    // It is for one thing only, and goes nowhere else.
    assert!(!alice.cookie_header("/chat").contains(REFRESH));
}

/// Two tabs ask at once, or an answer is lost: both are given the same successor, and nobody is signed out.
#[tokio::test]
async fn two_tabs_may_refresh_at_once() {
    let (accounts, clock) = accounts();
    let mut one = Browser::new(&accounts);
    one.register("alice").await;
    let mut other = one.clone();
    let (first, second) = tokio::join!(one.refresh(), other.refresh());
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_eq!(one.jar[REFRESH], other.jar[REFRESH]);
    let mut late = Browser::new(&accounts);
    late.jar = one.jar.clone();
    one.refresh().await;
    clock.advance(Duration::from_secs(10));
    assert_eq!(late.refresh().await.status, 200, "within ten seconds");
    assert_eq!(late.jar[REFRESH], one.jar[REFRESH]);
    assert_eq!(one.refresh().await.status, 200);
}

/// A refresh token that comes a second time is in two hands: the session ends for both.
#[tokio::test]
async fn a_refresh_token_that_was_copied_ends_its_session() {
    for exchanges in [1, 2, 5] {
        let (accounts, clock) = accounts();
        let mut alice = Browser::new(&accounts);
        alice.register("alice").await;
        let mut thief = alice.clone();
        for _ in 0..exchanges {
            clock.advance(Duration::from_secs(11));
            assert_eq!(alice.refresh().await.status, 200);
        }
        clock.advance(Duration::from_secs(11));
        assert_eq!(gate(&accounts, &alice).await, 200);
        let (log, reply) = crate::silence::capture(thief.refresh()).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (401, "revoked"),
            "{exchanges}"
        );
        assert!(log.contains("a second time"), "{log}");
        // The tokens of the session are refused at once, whoever has them.
        assert_eq!(gate(&accounts, &alice).await, 401);
        assert_eq!(alice.clone().get("/auth/user").await.code(), "revoked");
        assert_eq!(alice.refresh().await.status, 401);
        assert!(alice.jar.is_empty());
        assert_eq!(alice.log_in("alice", PASSWORD).await.status, 200);
    }
}

/// Whoever knows the ID of a session, from a list or a token, cannot end it by a token that they made up.
#[tokio::test]
async fn a_forged_refresh_token_ends_nothing() {
    let (accounts, clock) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    for _ in 0..3 {
        clock.advance(Duration::from_secs(60));
        alice.refresh().await;
    }
    let genuine = alice.jar[REFRESH].0.clone();
    let id = &genuine[..21];
    let other_end = if genuine.ends_with('A') { 'B' } else { 'A' };
    for forged in [
        format!("{id}{}", "A".repeat(43)),
        format!("{}{other_end}", &genuine[..63]),
        String::from("A"),
        "A".repeat(64),
        genuine.to_lowercase(),
    ] {
        let mut mallory = Browser::at(&accounts, "203.0.113.9:1");
        mallory
            .jar
            .insert(REFRESH.into(), (forged.clone(), "/auth".into()));
        let id = "__Host-refresh_session";
        mallory.jar.insert(id.into(), alice.jar[id].clone());
        let reply = mallory.refresh().await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (401, "token_inactive"),
            "{forged}"
        );
    }
    assert_eq!(alice.refresh().await.status, 200);
    // And it is not tried without end.
    let mut mallory = Browser::at(&accounts, "203.0.113.10:1");
    let mut limited = 0;
    for _ in 0..70 {
        mallory
            .jar
            .insert(REFRESH.into(), ("A".repeat(64), "/auth".into()));
        limited += usize::from(mallory.refresh().await.status == 429);
    }
    assert_eq!(limited, 10);
}

/// Hazards 8, "logout does not revoke": on every node, for the token itself and what it keeps open.
#[tokio::test]
async fn hazard_logout_does_not_revoke() {
    let (clock, store) = (ManualClock::at(NOW), Watched::default());
    let shared = MemoryRevocationStore::with_clock(clock.clone());
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let revocations = Revocations::builder().with_clock(clock.clone());
        let revocations = revocations.share(shared.clone()).await.unwrap();
        let node = builder(store.clone(), &clock).with_issuer("https://app.example");
        nodes.push(node.with_revocations(revocations).build().unwrap());
    }
    let [one, two] = &nodes[..] else {
        unreachable!()
    };
    let mut alice = Browser::new(one);
    alice.register("alice").await;
    let mut elsewhere = Browser::new(two);
    elsewhere.log_in("alice", PASSWORD).await;
    let copy = alice.clone();

    // A connection of hers is open on the other node.
    let layer = two.auth_layer().build().unwrap();
    let request = Request::get("/chat").header("cookie", alice.cookie_header("/chat"));
    let request = request.body(String::new()).unwrap();
    let response = layer
        .layer(Inner::default())
        .oneshot(request)
        .await
        .unwrap();
    let lease = seen(&response).principal.as_ref().unwrap().lease();

    let reply = alice.post("/auth/logout", Value::Null).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body),
        (200, &json!({ "ok": true }))
    );
    assert_eq!(reply.cookies().len(), 3);
    assert!(alice.jar.is_empty());
    assert_eq!(lease.ended().await, LeaseEnd::Revoked);
    for node in &nodes {
        assert_eq!(gate(node, &copy).await, 401);
        let mut replay = copy.clone();
        replay.accounts = node.clone();
        assert_eq!(replay.get("/auth/user").await.code(), "revoked");
        assert_eq!(replay.refresh().await.status, 401);
        assert_eq!(gate(node, &elsewhere).await, 200, "another session goes on");
    }
    // Once more does no harm.
    assert_eq!(
        copy.clone().post("/auth/logout", Value::Null).await.status,
        200
    );
}

#[tokio::test]
async fn a_logout_knows_the_session_by_either_cookie() {
    for (forgotten, wait) in [("__Host-jwt_token", 0), (REFRESH, 0), ("nothing", 4)] {
        let (accounts, clock) = accounts();
        let mut alice = Browser::new(&accounts);
        alice.register("alice").await;
        let mut copy = alice.clone();
        clock.advance(wait * DAY);
        alice.jar.remove(forgotten);
        assert_eq!(alice.post("/auth/logout", Value::Null).await.status, 200);
        assert_eq!(copy.refresh().await.status, 401, "without {forgotten}");
    }
    let (accounts, _) = accounts();
    let reply = Browser::new(&accounts)
        .post("/auth/logout", Value::Null)
        .await;
    assert_eq!(reply.status, 200, "whoever is not signed in is signed out");
}

/// Hazards 8, "password change keeps old tokens".
#[tokio::test]
async fn hazard_password_change_keeps_old_tokens() {
    let (accounts, _) = accounts();
    let [mut alice, mut phone, mut thief] = [(); 3].map(|()| Browser::new(&accounts));
    alice.register("alice").await;
    phone.log_in("alice", PASSWORD).await;
    thief.log_in("alice", PASSWORD).await;
    let mut bob = Browser::new(&accounts);
    bob.register("bob").await;
    let before = alice.clone();
    let change =
        |present: &str, next: &str| json!({ "current_password": present, "new_password": next });

    for (present, next, status, code) in [
        ("wrong horse", "another horse", 403, "forbidden"),
        (PASSWORD, "short", 400, "invalid_password"),
        (PASSWORD, &*"a".repeat(73), 400, "invalid_password"),
        ("", "another horse", 403, "forbidden"),
    ] {
        let reply = thief.post("/auth/password", change(present, next)).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (status, code),
            "{present} {next}"
        );
    }
    for browser in [&alice, &phone, &thief] {
        assert_eq!(gate(&accounts, browser).await, 200, "nothing has changed");
    }
    let reply = alice
        .post("/auth/password", change(PASSWORD, "another horse"))
        .await;
    assert_eq!((reply.status.as_u16(), reply.cookies().len()), (200, 3));
    assert_eq!(reply.body["user"]["username"], "alice");
    for mut old in [before, phone, thief] {
        assert_eq!(gate(&accounts, &old).await, 401);
        assert_eq!(old.refresh().await.status, 401);
        assert_eq!(old.get("/auth/user").await.status, 401);
    }
    for browser in [&alice, &bob] {
        assert_eq!(gate(&accounts, browser).await, 200);
    }
    assert_eq!(alice.refresh().await.status, 200);
    let mut fresh = Browser::new(&accounts);
    assert_eq!(fresh.log_in("alice", PASSWORD).await.status, 401);
    assert_eq!(fresh.log_in("alice", "another horse").await.status, 200);
    let nobody = Browser::new(&accounts)
        .post("/auth/password", change(PASSWORD, PASSWORD))
        .await;
    assert_eq!(nobody.code(), "token_missing");
}

/// Keys that a thief made with a stolen session survived the change of the password.
#[tokio::test]
async fn a_new_password_and_a_sign_out_everywhere_end_the_keys_of_the_user() {
    let clock = ManualClock::at(NOW);
    let keys = ApiKeys::builder(
        MemoryApiKeyStore::new(),
        "a pepper of at least thirty-two bytes",
    )
    .with_clock(clock.clone())
    .build()
    .unwrap();
    let accounts = builder(MemoryAccountStore::new(), &clock)
        .with_issuer("https://app.example")
        .with_api_keys(keys.clone())
        .build()
        .unwrap();
    let mut alice = Browser::new(&accounts);
    let reply = alice.register("alice").await;
    let id = reply.body["user"]["id"].as_str().unwrap().to_owned();
    let owner = |id: &str| SubjectId::new("https://app.example", id).unwrap();
    let key = async |id: &str| keys.create(NewApiKey::new(owner(id))).await.unwrap();
    let (mine, others) = (key(&id).await, key("somebody-else").await);

    let change =
        |present: &str, next: &str| json!({ "current_password": present, "new_password": next });
    let wrong = change("wrong horse", "another horse");
    assert_eq!(alice.post("/auth/password", wrong).await.status, 403);
    assert!(keys.verify(mine.key()).await.is_ok(), "nothing has changed");
    let right = change(PASSWORD, "another horse");
    assert_eq!(alice.post("/auth/password", right).await.status, 200);
    assert!(keys.verify(mine.key()).await.is_err());
    assert!(keys.verify(others.key()).await.is_ok());

    let mine = key(&id).await;
    accounts.sign_out_everywhere(&id).await.unwrap();
    assert!(keys.verify(mine.key()).await.is_err());
    assert!(keys.verify(others.key()).await.is_ok());
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let (accounts, clock) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    clock.advance(Duration::from_secs(60));
    let mut phone = Browser::new(&accounts);
    phone.agent = "Phone\t\u{1f5dd} of Alice";
    phone.log_in("alice", PASSWORD).await;
    let mut mallory = Browser::new(&accounts);
    mallory.register("mallory").await;

    let reply = alice.get("/auth/sessions").await;
    assert_eq!(reply.status, 200);
    let sessions = reply.body["sessions"].as_array().unwrap().clone();
    let phones = phone.claims()["sid"].clone();
    assert_eq!(
        sessions[0],
        json!({
            "id": phones, "created_at": NOW + 60, "last_seen_at": NOW + 60,
            "expires_at": NOW + 60 + 30 * 86_400, "user_agent": "Phone\u{1f5dd} of Alice", "current": false,
        })
    );
    assert_eq!(sessions[1]["id"], alice.claims()["sid"]);
    assert_eq!(sessions[1]["current"], true);
    assert_eq!(sessions.len(), 2);
    let text = reply.body.to_string();
    assert!(!text.contains(&alice.jar[REFRESH].0[22..]) && !text.contains(alice.token()));

    let path = format!("/auth/sessions/{}", phones.as_str().unwrap());
    for wrong in [
        path.clone(),
        path.to_lowercase(),
        format!("{path}/"),
        "/auth/sessions/".into(),
    ] {
        assert_eq!(mallory.delete(&wrong).await.status, 404, "{wrong}");
    }
    assert_eq!(gate(&accounts, &phone).await, 200);
    let reply = alice.delete(&path).await;
    assert_eq!((reply.status.as_u16(), reply.cookies().len()), (204, 0));
    assert_eq!(gate(&accounts, &phone).await, 401);
    assert_eq!(alice.delete(&path).await.status, 404, "it has ended");
    assert_eq!(gate(&accounts, &alice).await, 200);

    // Her own: as a logout.
    let own = format!("/auth/sessions/{}", alice.claims()["sid"].as_str().unwrap());
    let copy = alice.clone();
    assert_eq!(alice.delete(&own).await.status, 204);
    assert!(alice.jar.is_empty());
    assert_eq!(gate(&accounts, &copy).await, 401);
}

/// A logout tells the gates first and the store then. Whatever fails between the two, the session is given no token more.
#[tokio::test]
async fn a_session_that_ended_is_not_refreshed_while_the_store_has_it_still() {
    for issuer in [None, Some("https://app.example")] {
        let (clock, store) = (ManualClock::at(NOW), Watched::default());
        let mut accounts = builder(store.clone(), &clock);
        if let Some(issuer) = issuer {
            accounts = accounts.with_issuer(issuer);
        }
        let accounts = accounts.build().unwrap();
        let mut alice = Browser::new(&accounts);
        alice.register("alice").await;
        let mut phone = Browser::new(&accounts);
        phone.log_in("alice", PASSWORD).await;
        let mut late = alice.clone();
        assert_eq!(late.refresh().await.status, 200);

        store.set_down(true);
        assert_eq!(alice.post("/auth/logout", Value::Null).await.status, 503);
        store.set_down(false);
        // The token in force, and the one before it, which may come again as its answer may have been lost.
        for browser in [&mut late, &mut alice.clone()] {
            let reply = browser.refresh().await;
            assert_eq!(
                (reply.status.as_u16(), reply.code()),
                (401, "revoked"),
                "{issuer:?}"
            );
            assert!(browser.jar.is_empty(), "what leads nowhere is taken back");
        }
        assert_eq!(phone.refresh().await.status, 200, "another session goes on");
    }
}

/// Hazards 4, "fixation": nothing of before a login survives it.
#[tokio::test]
async fn hazard_fixation() {
    let (accounts, _) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    let before = (alice.claims(), alice.jar[REFRESH].0.clone());
    alice.log_in("alice", PASSWORD).await;
    let after = alice.claims();
    for claim in ["sid", "jti"] {
        assert_ne!(before.0[claim], after[claim], "{claim}");
    }
    assert_ne!(before.1, alice.jar[REFRESH].0);
}

#[tokio::test]
async fn when_a_session_was_seen_takes_no_write_for_each_request() {
    let (clock, store) = (ManualClock::at(NOW), Watched::default());
    let accounts = builder(store.clone(), &clock).build().unwrap();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    for _ in 0..10 {
        clock.advance(Duration::from_secs(60));
        alice.get("/auth/user").await;
    }
    assert_eq!(store.touched(), 2, "once in five minutes");
    let reply = alice.get("/auth/sessions").await;
    assert_eq!(reply.body["sessions"][0]["last_seen_at"], NOW + 600);
}

#[tokio::test]
async fn nobody_has_sessions_without_end() {
    let (accounts, clock) = accounts();
    let mut first = Browser::new(&accounts);
    first.register("alice").await;
    let mut second = Browser::new(&accounts);
    second.log_in("alice", PASSWORD).await;
    for _ in 0..55 {
        clock.advance(Duration::from_secs(301));
        assert_eq!(
            second.clone().get("/auth/user").await.status,
            200,
            "it is heard of"
        );
        assert_eq!(
            Browser::new(&accounts)
                .log_in("alice", PASSWORD)
                .await
                .status,
            200
        );
    }
    let reply = second.get("/auth/sessions").await;
    assert_eq!(reply.body["sessions"].as_array().unwrap().len(), 50);
    assert_eq!(gate(&accounts, &first).await, 401);
}

#[tokio::test]
async fn an_operator_signs_somebody_out_everywhere() {
    let (accounts, _) = accounts();
    let mut alice = Browser::new(&accounts);
    let reply = alice.register("alice").await;
    let mut phone = Browser::new(&accounts);
    phone.log_in("alice", PASSWORD).await;
    let mut bob = Browser::new(&accounts);
    bob.register("bob").await;
    let id = reply.body["user"]["id"].as_str().unwrap();
    accounts.sign_out_everywhere(id).await.unwrap();
    for (browser, status) in [(&alice, 401), (&phone, 401), (&bob, 200)] {
        assert_eq!(gate(&accounts, browser).await, status);
    }
    assert_eq!(phone.refresh().await.status, 401);
    assert_eq!(alice.log_in("alice", PASSWORD).await.status, 200);
}

/// The gate of another face takes the sessions beside its own tokens.
#[tokio::test]
async fn a_layer_of_other_tokens_takes_the_cookie_too() {
    let (accounts, _) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    let layer = tower_warden::JwtAuthLayer::hs256("the secret that another issuer shares with us")
        .unwrap()
        .with_verified_source(accounts.cookie_source(), accounts.verifier())
        .with_revocations(accounts.revocations().clone())
        .with_paths(Paths::all().exempt("/auth/*"))
        .build()
        .unwrap();
    for status in [200, 401] {
        let inner = Inner::default();
        let request = Request::get("/chat").header("cookie", alice.cookie_header("/chat"));
        let request = request.body(String::new()).unwrap();
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        alice.clone().post("/auth/logout", Value::Null).await;
    }
}

/// A secret changes: what it signed is good for as long as it is named, and so are the refresh tokens.
#[tokio::test]
async fn a_secret_is_exchanged_without_signing_anybody_out() {
    let (clock, store) = (ManualClock::at(NOW), Watched::default());
    let old = builder(store.clone(), &clock).build().unwrap();
    let mut alice = Browser::new(&old);
    alice.register("alice").await;
    let next = "fedcba9876543210fedcba9876543210";
    let begin = || Accounts::builder(store.clone(), next).with_clock(clock.clone());
    let without = begin().build().unwrap();
    assert_eq!(gate(&without, &alice).await, 401);
    let with = begin()
        .with_previous_secret(crate::support::SECRET)
        .build()
        .unwrap();
    assert_eq!(gate(&with, &alice).await, 200);
    alice.accounts = with.clone();
    assert_eq!(alice.refresh().await.status, 200);
    assert_eq!(alice.refresh().await.status, 200);
    assert_eq!(gate(&without, &alice).await, 200, "signed with the new one");
}
