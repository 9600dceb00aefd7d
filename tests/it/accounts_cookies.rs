//! Cookies that a neighbouring host has planted, or that came twice: they open nothing, and keep no session open.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_warden::{
    MemoryAccountStore, NumericDate,
    accounts::{AccountStore, Accounts, RefreshHash, SessionRecord},
    testing::ManualClock,
};

use crate::accounts_support::{Browser, NOW, PASSWORD, Reply, Watched, accounts, builder, row};

const REFRESH: &str = "__Secure-refresh_token";

/// Sends an empty POST with these cookies beside those of the browser.
async fn post_with(browser: &mut Browser, path: &str, planted: &str) -> Reply {
    let request: Request<Full<bytes::Bytes>> = browser
        .request(Method::POST, path)
        .header("cookie", planted)
        .body(Full::default())
        .unwrap();
    browser.send(request).await
}

/// The refresh cookie of a browser, as a neighbouring host would plant it.
fn refresh_of(browser: &Browser) -> String {
    format!("{REFRESH}={}", browser.jar[REFRESH].0)
}

#[tokio::test]
async fn a_planted_refresh_cookie_alone_opens_nothing() {
    let (accounts, _) = accounts();
    let mut mallory = Browser::new(&accounts);
    mallory.register("mallory").await;
    // A browser that is signed out.
    let mut victim = Browser::at(&accounts, "192.0.2.2:1");
    let reply = post_with(&mut victim, "/auth/session/refresh", &refresh_of(&mallory)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (401, "token_inactive")
    );
    assert!(victim.jar.is_empty());
    // One whose own refresh cookie has gone, and only the planted one is there.
    let mut alice = Browser::at(&accounts, "192.0.2.2:1");
    alice.register("alice").await;
    alice.jar.remove(REFRESH);
    let reply = post_with(&mut alice, "/auth/session/refresh", &refresh_of(&mallory)).await;
    assert_eq!(reply.status, 401);
    assert_eq!(
        mallory.refresh().await.status,
        200,
        "its own session goes on"
    );
}

#[tokio::test]
async fn a_refresh_passes_over_a_planted_cookie() {
    let (accounts, _) = accounts();
    let [mut mallory, mut alice] = [(); 2].map(|()| Browser::new(&accounts));
    mallory.register("mallory").await;
    alice.register("alice").await;
    for planted in [refresh_of(&mallory), format!("{REFRESH}=made-up")] {
        let reply = post_with(&mut alice, "/auth/session/refresh", &planted).await;
        assert_eq!(reply.status, 200, "{planted}");
        assert_eq!(reply.body["user"]["username"], "alice");
    }
}

#[tokio::test]
async fn a_logout_with_planted_cookies_ends_every_session_and_clears() {
    let (accounts, _) = accounts();
    for planted in ["foreign", "made up", "many"] {
        let [mut mallory, mut alice] = [(); 2].map(|()| Browser::new(&accounts));
        mallory
            .register(&format!("mallory-{planted}").replace(' ', "_"))
            .await;
        alice
            .register(&format!("alice-{planted}").replace(' ', "_"))
            .await;
        let mut copy = alice.clone();
        // The access token has gone: the session is known by its refresh token alone.
        alice.jar.remove("__Host-jwt_token");
        let cookies = match planted {
            "foreign" => refresh_of(&mallory),
            "made up" => format!("{REFRESH}={}", "A".repeat(64)),
            // In front of the genuine one, as cookies of a longer path are.
            _ => vec![format!("{REFRESH}={}", "B".repeat(64)); 30].join("; "),
        };
        let request = alice
            .request(Method::POST, "/auth/logout")
            .body(Full::default())
            .unwrap();
        let (mut head, body) = request.into_parts();
        let own = head.headers.remove("cookie").unwrap();
        head.headers.append("cookie", cookies.parse().unwrap());
        head.headers.append("cookie", own);
        let reply = alice.send(Request::from_parts(head, body)).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.body),
            (200, &json!({ "ok": true })),
            "{planted}"
        );
        assert_eq!(reply.cookies().len(), 3, "{planted}");
        assert!(alice.jar.is_empty());
        assert_eq!(copy.get("/auth/user").await.code(), "revoked", "{planted}");
        assert_eq!(copy.refresh().await.status, 401, "{planted}");
        if planted == "foreign" {
            assert_eq!(mallory.refresh().await.status, 401, "it was recognised");
        }
    }
}

/// Under a name without `__Host-` another host or path can set a second session cookie.
#[tokio::test]
async fn twin_session_cookies_are_logged_at_login_and_a_logout_ends_the_session() {
    let clock = ManualClock::at(NOW);
    let accounts = builder(MemoryAccountStore::new(), &clock)
        .with_cookie_name("jwt_token")
        .build()
        .unwrap();
    let mut alice = Browser::new(&accounts);
    let (log, reply) = crate::silence::capture(alice.register("alice")).await;
    assert_eq!(reply.status, 200);
    assert!(!log.contains("several session cookies"), "{log}");
    let login = json!({ "username": "alice", "password": PASSWORD });
    let request = alice
        .request(Method::POST, "/auth/login")
        .header("content-type", "application/json")
        .header("cookie", "jwt_token=stale")
        .body(Full::from(login.to_string()))
        .unwrap();
    let (log, reply) = crate::silence::capture(alice.send(request)).await;
    assert_eq!(reply.status, 200);
    assert!(log.contains("several session cookies"), "{log}");
    assert!(log.contains("jwt_token") && !log.contains("stale"), "{log}");

    let mut copy = alice.clone();
    let reply = post_with(&mut alice, "/auth/logout", "jwt_token=stale").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body),
        (200, &json!({ "ok": true }))
    );
    assert_eq!(
        reply.cookies()[..2],
        [
            "jwt_token=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0",
            "__Secure-refresh_token=; HttpOnly; SameSite=Strict; Secure; Path=/auth; Max-Age=0",
        ]
    );
    assert_eq!(copy.get("/auth/user").await.code(), "revoked");
    assert_eq!(copy.refresh().await.status, 401);
}

/// Accounts with a session that was refreshed 5 000 times.
async fn long_session() -> (Accounts, String) {
    let (clock, store) = (ManualClock::at(NOW), Watched::default());
    let session = SessionRecord {
        id: "A".repeat(22),
        user_id: row("alice", "").id,
        created_at: NumericDate::from_secs(NOW),
        seen_at: NumericDate::from_secs(NOW),
        expires_at: NumericDate::from_secs(NOW + 1_000),
        user_agent: String::new(),
        refresh_hash: RefreshHash::from_bytes(&[7; 32]).unwrap(),
        refreshed_at: None,
        refreshes: 5_000,
    };
    assert!(store.register(&row("alice", ""), &session).await.unwrap());
    let made_up = format!("{}{}", session.id, "B".repeat(42));
    (builder(store, &clock).build().unwrap(), made_up)
}

#[tokio::test]
async fn a_made_up_refresh_token_is_compared_beside_the_runtime_and_counted() {
    for path in ["/auth/logout", "/auth/session/refresh"] {
        let (accounts, made_up) = long_session().await;
        let mut mallory = Browser::at(&accounts, "203.0.113.9:1");
        let id = made_up[..22].to_owned();
        mallory
            .jar
            .insert(REFRESH.into(), (made_up, "/auth".into()));
        mallory
            .jar
            .insert("__Host-refresh_session".into(), (id, "/".into()));
        let planted = mallory.clone();
        {
            let mut asked = Box::pin(mallory.post(path, Value::Null));
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let first = asked.as_mut().poll(&mut cx);
            assert!(first.is_pending(), "{path}: no thousand hashes at once");
            let expected = if path == "/auth/logout" { 200 } else { 401 };
            assert_eq!(asked.await.status, expected, "{path}");
        }
        for _ in 0..70 {
            planted.clone().post(path, Value::Null).await;
        }
        assert_eq!(
            mallory.log_in("nobody", PASSWORD).await.code(),
            "rate_limited",
            "{path}: made-up tokens count against the address"
        );
        let reply = planted.clone().post("/auth/logout", Value::Null).await;
        assert_eq!(
            (reply.status.as_u16(), reply.cookies().len()),
            (200, 3),
            "a logout always clears"
        );
        assert_eq!(accounts.password_operations(), 0, "no password was hashed");
    }
}

/// An older refresh token still says that there are two copies, and still ends its session at a logout.
#[tokio::test]
async fn a_logout_recognises_an_older_refresh_token() {
    let (accounts, clock) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    let mut older = alice.clone();
    for _ in 0..4 {
        clock.advance(std::time::Duration::from_secs(60));
        assert_eq!(alice.refresh().await.status, 200);
    }
    older.jar.remove("__Host-jwt_token");
    assert_eq!(older.post("/auth/logout", Value::Null).await.status, 200);
    assert_eq!(alice.refresh().await.status, 401);
}
