//! The requests of accounts and their answers, as EdgeOne's template has them and without its holes.

use futures_util::future::join_all;
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_warden::{
    ConfigError, MemoryAccountStore, Refusals,
    accounts::{Accounts, PasswordHashing},
    testing::ManualClock,
};

use crate::{
    accounts_support::{Browser, NOW, PASSWORD, Watched, accounts, builder, row},
    support::SECRET,
};

const EDGEONE: [&str; 2] = ["/auth/register", "/auth/login"];

#[tokio::test]
async fn whoever_registers_is_signed_in() {
    let (accounts, _) = accounts();
    let mut alice = Browser::new(&accounts);
    let reply = alice.register("Alice").await;
    assert_eq!(reply.status, 200);
    let id = reply.body["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        reply.body,
        json!({ "ok": true, "user": { "id": id, "username": "Alice" } })
    );
    assert_eq!(id.len(), 36);
    assert_eq!(id.as_bytes()[14], b'4', "a UUID of version 4: {id}");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let [session, refresh, bound] = reply.cookies()[..] else {
        panic!("{:?}", reply.cookies())
    };
    let attributes = |line: &str| line.split_once("; ").unwrap().1.to_owned();
    assert!(session.starts_with("__Host-jwt_token=eyJ"));
    assert_eq!(
        attributes(session),
        "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=259200"
    );
    assert!(refresh.starts_with("__Secure-refresh_token="));
    assert_eq!(
        attributes(refresh),
        "HttpOnly; SameSite=Strict; Secure; Path=/auth; Max-Age=2592000"
    );
    assert_eq!(
        attributes(bound),
        "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=2592000"
    );
    let claims = alice.claims();
    let named = format!(
        "__Host-refresh_session={};",
        claims["sid"].as_str().unwrap()
    );
    assert!(bound.starts_with(&named), "{bound}");
    assert_eq!(claims["sub"], id);
    assert_eq!(claims["username"], "Alice");
    assert_eq!(claims["iat"], NOW);
    assert_eq!(claims["exp"], NOW + 259_200);
    for name in ["sid", "jti"] {
        assert_eq!(claims[name].as_str().unwrap().len(), 22, "{name}");
    }

    let reply = alice.get("/auth/user").await;
    assert_eq!(reply.status, 200);
    let user = json!({ "id": id, "username": "Alice" });
    assert_eq!(
        reply.body,
        json!({ "ok": true, "user": user, "exp": NOW + 259_200 })
    );
    assert!(reply.cookies().is_empty(), "the token is fresh");
}

#[tokio::test]
async fn a_login_answers_as_a_registration() {
    let (accounts, _) = accounts();
    let registered = Browser::new(&accounts).register("alice").await;
    let mut alice = Browser::new(&accounts);
    for name in ["alice", "ALICE", "\u{ff21}lice"] {
        let reply = alice.log_in(name, PASSWORD).await;
        assert_eq!(reply.status, 200, "{name}");
        assert_eq!(reply.body, registered.body);
        assert_eq!(reply.cookies().len(), 3);
        assert_eq!(alice.get("/auth/user").await.status, 200);
    }
}

/// A table of EdgeOne's goes on: names with capitals, hashes of bcryptjs, which are renewed by the way.
#[tokio::test]
async fn a_user_of_the_template_signs_in() {
    let bcryptjs = "$2b$05$ED1V9h4OBNYWKOyz7x.bPePqsZezkCoXf1Wd4UBVRNJffyYPxdT0q";
    for hashing in [
        PasswordHashing::dangerous_for_tests(),
        PasswordHashing::argon2id(7 * 1024, 5, 1).unwrap(),
    ] {
        let store = Watched::default();
        assert!(store.store.import(row("Alice_1", bcryptjs)));
        let accounts = builder(store.clone(), &ManualClock::at(NOW));
        let accounts = accounts.with_password_hashing(hashing).build().unwrap();
        let mut alice = Browser::new(&accounts);
        for name in ["Alice_1", "alice_1"] {
            let reply = alice.log_in(name, PASSWORD).await;
            assert_eq!(reply.status, 200, "{name}");
            assert_eq!(reply.body["user"]["username"], "Alice_1");
            assert_eq!(reply.body["user"]["id"], row("", "").id);
        }
        // Two logins, and the one hash of the present policy.
        assert_eq!(accounts.password_operations(), 3);
        let found = tower_warden::accounts::AccountStore::find_user(&store, "alice_1").await;
        let hash = found.unwrap().unwrap().password_hash;
        assert_ne!(hash, bcryptjs);
        assert_eq!(
            hash.starts_with("$argon2id$"),
            hashing != PasswordHashing::dangerous_for_tests()
        );
        assert_eq!(alice.log_in("alice_1", "wrong horse").await.status, 401);
    }
}

/// Devices that sign in at once, the first time after a move: each finds the old hash, and one of them renews it.
#[tokio::test]
async fn all_devices_of_a_user_of_the_template_sign_in_at_once() {
    let bcryptjs = "$2b$05$ED1V9h4OBNYWKOyz7x.bPePqsZezkCoXf1Wd4UBVRNJffyYPxdT0q";
    let store = Watched::default();
    assert!(store.store.import(row("Alice_1", bcryptjs)));
    let accounts = builder(store, &ManualClock::at(NOW));
    let accounts = accounts.with_hashing_threads(4, 100).build().unwrap();
    let logins = (0..8).map(|_| {
        let mut device = Browser::new(&accounts);
        async move { device.log_in("alice_1", PASSWORD).await.status.as_u16() }
    });
    assert_eq!(join_all(logins).await, [200; 8]);
}

/// The bodies of the template, word for word where its clients look.
#[tokio::test]
async fn edgeones_clients_find_what_they_know() {
    let accounts = builder(MemoryAccountStore::new(), &ManualClock::at(NOW))
        .with_refusals(Refusals::edgeone())
        .with_cookie_name("jwt_token")
        .build()
        .unwrap();
    let mut browser = Browser::new(&accounts);
    let reply = browser.get("/auth/user").await;
    assert_eq!(reply.status, 401);
    assert_eq!(
        reply.body,
        json!({ "error": "unauthorized", "reason": "no auth cookie" })
    );
    let reply = browser.register("alice").await;
    assert!(reply.cookies()[0].starts_with("jwt_token=eyJ"));
    for (path, username, password, status, body) in [
        (
            "/auth/register",
            "alice",
            PASSWORD,
            409,
            json!({ "error": "username_taken" }),
        ),
        (
            "/auth/login",
            "alice",
            "wrong horse",
            401,
            json!({ "error": "invalid_credentials" }),
        ),
        (
            "/auth/login",
            "nobody",
            PASSWORD,
            401,
            json!({ "error": "invalid_credentials" }),
        ),
    ] {
        let reply = browser.post(path, json!({ "username": username, "password": password }));
        let reply = reply.await;
        assert_eq!(
            (reply.status.as_u16(), reply.body),
            (status, body),
            "{path}"
        );
    }
    for (username, password, error) in [
        ("a", PASSWORD, "invalid_username"),
        ("bob", "short", "invalid_password"),
    ] {
        let body = json!({ "username": username, "password": password });
        let reply = browser.post("/auth/register", body).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.body["error"], error);
        assert!(reply.body["reason"].as_str().unwrap().contains("has"));
    }
    let reply = browser
        .post("/auth/login", json!({ "username": "alice" }))
        .await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["error"]),
        (400, &json!("bad_request"))
    );
    browser
        .jar
        .insert("jwt_token".into(), ("%".into(), "/".into()));
    let reply = browser.get("/auth/user").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["reason"]),
        (401, &json!("malformed token"))
    );
    let reply = browser.post("/auth/logout", Value::Null).await;
    assert_eq!(
        (reply.status.as_u16(), reply.body.clone()),
        (200, json!({ "ok": true }))
    );
    assert_eq!(
        reply.cookies()[0],
        "jwt_token=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
    );
}

/// Hazards 8, "mass assignment" and "long body": what is not asked for is refused, before a password is hashed.
#[tokio::test]
async fn hazard_mass_assignment() {
    let (accounts, _) = accounts();
    let mut browser = Browser::new(&accounts);
    let good = r#"{"username":"alice","password":"correct horse"}"#;
    let long = format!(
        r#"{{"username":"alice","password":"{}"}}"#,
        "a".repeat(16 * 1024)
    );
    for body in [
        r#"{"username":"alice","password":"correct horse","id":"6f1d3f9e-0f6c-4f0e-8a55-1f0a5a0c7e11"}"#,
        r#"{"username":"alice","password":"correct horse","role":"admin"}"#,
        r#"{"username":"alice","password":"correct horse","created_at":0}"#,
        r#"{"username":"alice","password":"correct horse","password":"another horse"}"#,
        r#"{"username":"alice","username":"bob","password":"correct horse"}"#,
        r#"["alice","correct horse"]"#,
        r#"{"username":"alice"}"#,
        r#"{"username":null,"password":"correct horse"}"#,
        r#"{"username":"alice","password":["correct horse"]}"#,
        r#"{"username":"alice","password":"correct horse"}{}"#,
        r#"{"username":"\ud800alice","password":"correct horse"}"#,
        "",
        &long,
    ] {
        for path in EDGEONE {
            let request = browser
                .request(Method::POST, path)
                .header("content-type", "application/json")
                .body(Full::from(body.to_owned()))
                .unwrap();
            let reply = browser.send(request).await;
            assert_eq!(
                (reply.status.as_u16(), reply.code()),
                (400, "request_malformed"),
                "{body:.80}"
            );
            assert!(!reply.headers.contains_key("www-authenticate"));
        }
    }
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let mut request = browser.request(Method::POST, "/auth/login");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Full::from(good.to_owned())).unwrap();
        assert_eq!(browser.send(request).await.status, 400, "{content_type:?}");
    }
    assert_eq!(accounts.password_operations(), 0);
    let request = browser
        .request(Method::POST, "/auth/register")
        .header("content-type", "application/json; charset=utf-8")
        .body(Full::from(good.to_owned()))
        .unwrap();
    assert_eq!(browser.send(request).await.status, 200);
}

#[tokio::test]
async fn each_path_has_its_methods() {
    let (accounts, _) = accounts();
    let mut browser = Browser::new(&accounts);
    for (method, path, status, allow) in [
        (Method::GET, "/auth/login", 405, Some("POST")),
        (Method::PUT, "/auth/register", 405, Some("POST")),
        (Method::GET, "/auth/logout", 405, Some("POST")),
        (Method::GET, "/auth/session/refresh", 405, Some("POST")),
        (Method::DELETE, "/auth/password", 405, Some("POST")),
        (Method::POST, "/auth/user", 405, Some("GET, HEAD")),
        (Method::POST, "/auth/sessions", 405, Some("GET, HEAD")),
        (Method::GET, "/auth/sessions/x", 405, Some("DELETE")),
        (Method::HEAD, "/auth/user", 401, None),
        (Method::GET, "/auth", 404, None),
        (Method::GET, "/auth/", 404, None),
        (Method::POST, "/auth/login/", 404, None),
        (Method::POST, "/auth/Login", 404, None),
        (Method::POST, "/auth//login", 404, None),
        (Method::POST, "/authlogin", 404, None),
        (Method::POST, "/login", 404, None),
    ] {
        let request = browser
            .request(method.clone(), path)
            .body(Full::default())
            .unwrap();
        let reply = browser.send(request).await;
        assert_eq!(reply.status, status, "{method} {path}");
        let allowed = reply
            .headers
            .get("allow")
            .map(|line| line.to_str().unwrap());
        assert_eq!(allowed, allow, "{method} {path}");
    }
}

/// Hazards 4, "CSRF with cookie": and a login or a registration is none of a foreign page's business either.
#[tokio::test]
async fn hazard_csrf_with_cookie() {
    let clock = ManualClock::at(NOW);
    let accounts = builder(MemoryAccountStore::new(), &clock)
        .with_allowed_origins(["https://www.example"])
        .build()
        .unwrap();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    let operations = accounts.password_operations();
    let send = async |browser: &mut Browser, path: &str, header: (&str, &str)| {
        let mut request = browser
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .body(Full::from(
                json!({ "username": "alice", "password": PASSWORD }).to_string(),
            ))
            .unwrap();
        request.headers_mut().remove("origin");
        let name: http::HeaderName = header.0.parse().unwrap();
        request
            .headers_mut()
            .insert(name, header.1.parse().unwrap());
        browser.send(request).await
    };
    for path in [
        "/auth/register",
        "/auth/login",
        "/auth/logout",
        "/auth/password",
        "/auth/session/refresh",
    ] {
        for header in [
            ("origin", "https://evil.example"),
            ("origin", "https://sub.app.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let reply = send(&mut alice, path, header).await;
            assert_eq!(
                (reply.status.as_u16(), reply.code()),
                (403, "origin_foreign"),
                "{path} {header:?}"
            );
        }
    }
    assert_eq!(
        accounts.password_operations(),
        operations,
        "nothing was tried"
    );
    assert_eq!(
        alice.get("/auth/user").await.status,
        200,
        "nobody was signed out"
    );
    for header in [
        ("origin", "https://www.example"),
        ("sec-fetch-site", "same-origin"),
        ("x-nothing", "a program"),
    ] {
        let reply = send(&mut alice, "/auth/login", header).await;
        assert_eq!(reply.status, 200, "{header:?}");
    }
}

/// Hazards 4, "two cookies of the name".
#[tokio::test]
async fn hazard_two_cookies_of_the_name() {
    let (accounts, _) = accounts();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    let doubled = format!(
        "{}; __Host-jwt_token=evil",
        alice.cookie_header("/auth/user")
    );
    // A logout ends the session all the same, and clears the cookies.
    for (method, path, status, code) in [
        (Method::GET, "/auth/user", 400, "multiple_credentials"),
        (Method::POST, "/auth/logout", 200, ""),
    ] {
        let mut request = alice.request(method, path).body(Full::default()).unwrap();
        request
            .headers_mut()
            .insert("cookie", doubled.parse().unwrap());
        let reply = alice.send(request).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (status, code),
            "{path}"
        );
    }
    assert!(alice.jar.is_empty());
}

#[tokio::test]
async fn plain_http_is_for_development() {
    let (log, built) = crate::silence::capture(async {
        builder(MemoryAccountStore::new(), &ManualClock::at(NOW))
            .with_public_origin("http://localhost:8787")
            .build()
            .unwrap()
    })
    .await;
    assert!(log.contains("plain http"), "{log}");
    let mut alice = Browser::new(&built);
    let reply = alice.register("alice").await;
    for (cookie, begins) in
        reply
            .cookies()
            .into_iter()
            .zip(["jwt_token=", "refresh_token=", "refresh_session="])
    {
        assert!(
            cookie.starts_with(begins) && !cookie.contains("Secure"),
            "{cookie}"
        );
    }
    assert_eq!(alice.get("/auth/user").await.status, 200);
}

#[test]
fn a_setting_that_cannot_be_served_fails_at_build() {
    use std::time::Duration;

    let begin = || Accounts::builder(MemoryAccountStore::new(), SECRET);
    let (second, year) = (Duration::from_secs(1), Duration::from_secs(365 * 86_400));
    let failing: [(&str, Result<Accounts, ConfigError>); 16] = [
        (
            "has 5",
            Accounts::builder(MemoryAccountStore::new(), "short").build(),
        ),
        ("has 5", begin().with_previous_secret("short").build()),
        ("with_issuer", begin().with_issuer("").build()),
        (
            "with_public_origin",
            begin().with_public_origin("http://app.example").build(),
        ),
        (
            "dangerous_without_secure",
            begin()
                .with_public_origin("http://localhost")
                .with_cookie_name("__Host-x")
                .build(),
        ),
        ("cookie name", begin().with_cookie_name("a b").build()),
        (
            "with_token_lifetime",
            begin().with_token_lifetime(second).build(),
        ),
        (
            "with_token_lifetime",
            begin().with_token_lifetime(year).build(),
        ),
        (
            "with_session_lifetime",
            begin().with_session_lifetime(second, year).build(),
        ),
        (
            "with_session_lifetime",
            begin().with_session_lifetime(year, year + second).build(),
        ),
        ("with_base_path", begin().with_base_path("/").build()),
        (
            "with_username_length",
            begin().with_username_length(3..=65).build(),
        ),
        (
            "with_hashing_threads",
            begin().with_hashing_threads(0, 1).build(),
        ),
        (
            "with_account_limit",
            begin().with_account_limit(0, second).build(),
        ),
        (
            "with_address_limit",
            begin().with_address_limit(1, Duration::ZERO).build(),
        ),
        (
            "0.0.0.0/0",
            begin().with_trusted_proxies(["0.0.0.0/0"]).build(),
        ),
    ];
    for (named, built) in failing {
        let error = built.unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
    let origins = begin().with_allowed_origins(["*"]).build();
    assert!(origins.unwrap_err().to_string().contains("`*`"));
    assert!(begin().build().is_ok());
}
