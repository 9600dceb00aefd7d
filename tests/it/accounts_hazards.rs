//! What went wrong with passwords and names elsewhere, one test for each row.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tower_warden::{
    MemoryAccountStore, MemoryRevocationStore, Revocation, RevocationStore, Revocations,
    accounts::PasswordHashing, testing::ManualClock,
};

use crate::{
    accounts_support::{Browser, NOW, PASSWORD, Reply, Watched, accounts, builder, row},
    log_lines::LogLines,
};

/// What a client can tell two answers apart by.
fn visible(reply: &Reply) -> String {
    format!("{} {:?} {}", reply.status, reply.headers, reply.body)
}

const WRONG: [(&str, &str); 7] = [
    ("alice", "wrong horse"),
    ("nobody", PASSWORD),
    ("al\u{200b}ice", PASSWORD),
    ("' OR 1=1 --", PASSWORD),
    ("alice\0", PASSWORD),
    ("alice", "pass\0word"),
    ("alice", ""),
];

#[tokio::test]
async fn hazard_user_enumeration_by_answer() {
    let (accounts, _) = accounts();
    Browser::new(&accounts).register("alice").await;
    let long = "a".repeat(1_000);
    let mut answers = Vec::new();
    for (name, password) in WRONG
        .into_iter()
        .chain([("alice", &*long), (&*long, PASSWORD)])
    {
        let reply = Browser::new(&accounts).log_in(name, password).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (401, "invalid_credentials"),
            "{name:?}"
        );
        assert_eq!(reply.headers["www-authenticate"], r#"Bearer realm="api""#);
        answers.push(visible(&reply));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

/// Each failed login is the work of one password, whatever is wrong with it.
#[tokio::test]
async fn hazard_user_enumeration_by_timing() {
    let (accounts, _) = accounts();
    Browser::new(&accounts).register("alice").await;
    let long = "a".repeat(1_000);
    for (name, password) in WRONG
        .into_iter()
        .chain([("alice", &*long), (&*long, PASSWORD)])
    {
        let before = accounts.password_operations();
        Browser::new(&accounts).log_in(name, password).await;
        assert_eq!(
            accounts.password_operations() - before,
            1,
            "{name:?} {password:?}"
        );
    }
}

/// 409 says that a name is taken, as it must; whoever asks for many is slowed down.
#[tokio::test]
async fn hazard_registration_reveals_users() {
    let (accounts, clock) = accounts();
    Browser::at(&accounts, "192.0.2.7:1")
        .register("alice")
        .await;
    let mut mallory = Browser::at(&accounts, "203.0.113.9:1");
    for _ in 0..60 {
        assert_eq!(mallory.register("alice").await.status, 409);
    }
    let reply = mallory.register("alice").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (429, "rate_limited"));
    assert_eq!(reply.headers["retry-after"], "2");
    let operations = accounts.password_operations();
    mallory.register("alice").await;
    assert_eq!(
        accounts.password_operations(),
        operations,
        "nothing is hashed for it"
    );
    clock.advance(Duration::from_secs(2));
    assert_eq!(mallory.register("alice").await.status, 409);
    assert_eq!(
        Browser::new(&accounts).register("bob").await.status,
        200,
        "at another address"
    );
}

#[tokio::test]
async fn hazard_bcrypt_cuts_at_72_bytes() {
    let (accounts, _) = accounts();
    let mut browser = Browser::new(&accounts);
    for (password, status) in [
        ("a".repeat(73), 400),
        ("a".repeat(71) + "\u{e9}", 400),
        ("a".repeat(7), 400),
        (String::from("pass\0word"), 400),
        ("a".repeat(72), 200),
    ] {
        let body = json!({ "username": "alice", "password": password });
        let reply = browser.post("/auth/register", body).await;
        assert_eq!(reply.status, status, "{} bytes", password.len());
        if status == 400 {
            assert_eq!(reply.code(), "invalid_password");
            let detail = reply.body["detail"].as_str().unwrap();
            assert!(
                detail.contains("8 to 72 bytes") || detail.contains("NUL"),
                "{detail}"
            );
        }
    }
    for (length, status) in [(71, 401), (72, 200), (73, 401), (144, 401)] {
        let reply = browser.log_in("alice", &"a".repeat(length)).await;
        assert_eq!(reply.status, status, "{length} bytes");
    }
}

#[tokio::test]
async fn hazard_panic_on_a_bad_stored_hash() {
    let clock = ManualClock::at(NOW);
    for poisoned in [
        "",
        "correct horse battery",
        "$2b$31$ED1V9h4OBNYWKOyz7x.bPePqsZezkCoXf1Wd4UBVRNJffyYPxdT0q",
        "$2b$05$\u{e9}ED1V9h4OBNYWKOyz7x.bPePqsZezkCoXf1Wd4UBVRNJffyYPxdT",
        "$argon2id$v=19$m=4294967295,t=4294967295,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAA",
    ] {
        let store = Watched::default();
        assert!(store.store.import(row("alice", poisoned)));
        let accounts = builder(store, &clock).build().unwrap();
        for password in [PASSWORD, poisoned, ""] {
            let login = async { Browser::new(&accounts).log_in("alice", password).await };
            let (log, reply) = crate::silence::capture(login).await;
            assert_eq!(
                (reply.status.as_u16(), reply.code()),
                (401, "invalid_credentials")
            );
            assert!(
                log.contains("the password hash of an account is refused"),
                "{log}"
            );
            assert!(poisoned.is_empty() || !log.contains(poisoned), "{log}");
        }
        assert_eq!(accounts.password_operations(), 3);
    }
}

/// While a hundred passwords wait to be hashed, one after the other, somebody else is answered.
#[tokio::test]
async fn hazard_bcrypt_blocks_the_runtime() {
    let clock = ManualClock::at(NOW);
    let accounts = builder(Watched::default(), &clock)
        .with_hashing_threads(1, 100)
        .build()
        .unwrap();
    let logins = (0..100).map(|n| {
        let mut browser = Browser::at(&accounts, &format!("192.0.2.{n}:1"));
        async move { browser.log_in("nobody", PASSWORD).await.status.as_u16() }
    });
    let logins = tokio::spawn(join_all(logins.collect::<Vec<_>>()));
    // The runtime has one thread: this request is answered between, or it waits for all of them.
    let answered_after = async {
        tokio::task::yield_now().await;
        let reply = Browser::new(&accounts).get("/auth/user").await;
        assert_eq!(reply.status, 401);
        accounts.password_operations()
    };
    let answered_after = answered_after.await;
    assert!(
        answered_after < 50,
        "after {answered_after} of 100 passwords"
    );
    assert_eq!(logins.await.unwrap(), [401; 100]);
    assert_eq!(accounts.password_operations(), 100);
}

/// One address with many wrong logins does not delay another: clients take turns.
#[tokio::test]
async fn a_flood_of_one_address_does_not_delay_the_login_of_another() {
    let clock = ManualClock::at(NOW);
    let accounts = builder(Watched::default(), &clock)
        .with_hashing_threads(1, 100)
        .build()
        .unwrap();
    let mut alice = Browser::at(&accounts, "192.0.2.7:1");
    alice.register("alice").await;
    let before = accounts.password_operations();
    let flood = (0..59).map(|n| {
        let mut mallory = Browser::at(&accounts, "203.0.113.9:1");
        async move { mallory.log_in(&format!("nobody{n}"), PASSWORD).await.status }
    });
    let flood = tokio::spawn(join_all(flood.collect::<Vec<_>>()));
    tokio::task::yield_now().await;
    assert_eq!(alice.log_in("alice", PASSWORD).await.status, 200);
    // The one that was in work, hers, and some that are done before this task runs again.
    let passwords = accounts.password_operations() - before;
    assert!(passwords < 30, "after {passwords} of 60 passwords");
    assert!(flood.await.unwrap().iter().all(|status| *status == 401));
}

#[tokio::test]
async fn who_comes_when_too_many_wait_is_sent_away() {
    let clock = ManualClock::at(NOW);
    let accounts = builder(Watched::default(), &clock)
        // Slow enough that all of them have come before the first is done.
        .with_password_hashing(PasswordHashing::bcrypt(10).unwrap())
        .with_hashing_threads(1, 2)
        .build()
        .unwrap();
    let logins = (0..20).map(|_| {
        let mut browser = Browser::new(&accounts);
        async move { browser.log_in("nobody", PASSWORD).await }
    });
    let mut answers = [0; 2];
    for reply in join_all(logins).await {
        if reply.status == 503 {
            assert_eq!(reply.code(), "overloaded");
            assert_eq!(reply.headers["retry-after"], "5");
            answers[1] += 1;
        } else {
            // More come than may try one account: whoever was sent away has not tried.
            assert_eq!(reply.status, 401);
            answers[0] += 1;
        }
    }
    assert!(answers[0] >= 3 && answers[1] >= 1, "{answers:?}");
}

/// Hazards 8, "brute force": twenty wrong and one right, while whose account it is signs in all the time.
#[tokio::test]
async fn hazard_brute_force() {
    let (accounts, clock) = accounts();
    let mut alice = Browser::at(&accounts, "192.0.2.7:1");
    alice.register("alice").await;
    let mut mallory = Browser::at(&accounts, "203.0.113.9:1");
    for n in 0..20 {
        let reply = mallory.log_in("alice", &format!("guess number {n}")).await;
        assert_eq!(reply.status, if n < 10 { 401 } else { 429 }, "guess {n}");
        if n == 10 {
            assert_eq!(reply.headers["retry-after"], "30");
        }
        assert_eq!(
            alice.log_in("alice", PASSWORD).await.status,
            200,
            "nobody locks her out"
        );
    }
    // The right one comes too early, and is not looked at.
    let operations = accounts.password_operations();
    for name in ["alice", "ALICE", "\u{ff41}lice"] {
        assert_eq!(mallory.log_in(name, PASSWORD).await.status, 429, "{name}");
    }
    assert_eq!(accounts.password_operations(), operations);
    clock.advance(Duration::from_secs(30));
    assert_eq!(mallory.log_in("alice", PASSWORD).await.status, 200);
    // Who mistypes, and then does not, begins anew.
    for _ in 0..9 {
        assert_eq!(mallory.log_in("alice", "mistyped").await.status, 401);
    }
    assert_eq!(mallory.log_in("alice", PASSWORD).await.status, 200);
}

/// A trusted proxy that sends no address makes its clients one, under its own address. The log says so, once.
#[tokio::test]
async fn an_entry_that_is_no_address_counts_as_the_proxys_and_is_logged_once() {
    let clock = ManualClock::at(NOW);
    let accounts = builder(MemoryAccountStore::new(), &clock)
        .with_trusted_proxies(["10.0.0.0/8"])
        .with_address_limit(2, Duration::from_secs(60))
        .build()
        .unwrap();
    let log = LogLines::capture();
    let behind = async |entry: &str| {
        let mut browser = Browser::at(&accounts, "10.0.0.7:4711");
        let body = json!({ "username": "alice", "password": "mistyped" });
        let request = browser
            .request(http::Method::POST, "/auth/login")
            .header("content-type", "application/json")
            .header("x-forwarded-for", entry)
            .body(body.to_string().into())
            .unwrap();
        browser.send(request).await.status.as_u16()
    };
    // Behind 10.0.0.8, which names none of its clients.
    let unnamed = [
        "unknown, 10.0.0.8",
        "_hidden, 10.0.0.8",
        "unknown, 10.0.0.8",
    ];
    let mut answers = Vec::new();
    for entry in unnamed {
        answers.push(behind(entry).await);
    }
    assert_eq!(answers, [401, 401, 429]);
    // A client that has a name is not among them, and neither is what another proxy sends.
    assert_eq!(behind("198.51.100.1").await, 401);
    assert_eq!(behind("unknown, 10.0.0.9").await, 401);
    let lines = log.take();
    let warnings: Vec<_> = lines
        .lines()
        .filter(|it| it.contains("X-Forwarded-For"))
        .collect();
    assert_eq!(warnings.len(), 1, "{lines}");
    assert!(
        warnings[0].contains("WARN") && warnings[0].contains("10.0.0.8"),
        "{lines}"
    );
}

/// A stolen cookie is no place to guess the password either.
#[tokio::test]
async fn hazard_brute_force_at_the_change_of_a_password() {
    let (accounts, _) = accounts();
    let mut thief = Browser::new(&accounts);
    thief.register("alice").await;
    for n in 0..12 {
        let guess =
            json!({ "current_password": format!("guess {n}"), "new_password": "another horse" });
        let reply = thief.post("/auth/password", guess).await;
        assert_eq!(reply.status, if n < 10 { 403 } else { 429 }, "guess {n}");
    }
}

/// Many at once are many: the count comes before the password is looked at.
#[tokio::test]
async fn hazard_brute_force_in_parallel() {
    let (accounts, _) = accounts();
    Browser::at(&accounts, "192.0.2.7:1")
        .register("alice")
        .await;
    let guesses = (0..40).map(|n| {
        let mut mallory = Browser::at(&accounts, "203.0.113.9:1");
        async move { mallory.log_in("alice", &format!("guess {n}")).await.status }
    });
    let answers = join_all(guesses).await;
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 10);
}

#[tokio::test]
async fn hazard_unicode_names() {
    let (accounts, _) = accounts();
    let mut browser = Browser::new(&accounts);
    assert_eq!(browser.register("Kelvin").await.status, 200);
    for same in ["kelvin", "KELVIN", "\u{212a}elvin", "\u{ff2b}elvin"] {
        let reply = browser.register(same).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (409, "username_taken"),
            "{same}"
        );
        assert_eq!(browser.log_in(same, PASSWORD).await.status, 200, "{same}");
    }
    for refused in [
        "kel\u{200b}vin",
        "\u{43a}elvin",
        "kelvin\u{202e}",
        "k\u{130}lvin",
        "\u{430}\u{440}\u{440}\u{4cf}\u{435}",
    ] {
        let reply = browser.register(refused).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (400, "invalid_username"),
            "{refused:?}"
        );
    }
}

/// Hazards 8, "NUL in Postgres text" and "SQL injection": no name of that kind ever reaches a store.
#[tokio::test]
async fn hazard_nul_and_sql_in_names() {
    let (accounts, _) = accounts();
    let mut browser = Browser::new(&accounts);
    for name in [
        "a\0",
        "alice\0",
        "' OR 1=1",
        "alice'--",
        "alice\"; drop table users",
    ] {
        let reply = browser.register(name).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (400, "invalid_username"),
            "{name:?}"
        );
        assert_eq!(browser.log_in(name, PASSWORD).await.status, 401);
    }
}

/// Exactly one of fifty gets the name; the others are told that it is taken, and by no 500.
#[tokio::test]
async fn fifty_registrations_of_one_name() {
    let (accounts, _) = accounts();
    let registrations = (0..50).map(|n| {
        let mut browser = Browser::at(&accounts, &format!("192.0.2.{n}:1"));
        let name = ["alice", "ALICE", "Alice", "\u{ff41}lice"][n % 4];
        async move { (browser.register(name).await.status.as_u16(), browser) }
    });
    let answers = join_all(registrations).await;
    let winners: Vec<_> = answers
        .iter()
        .filter(|(status, _)| *status == 200)
        .collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(
        answers.iter().filter(|(status, _)| *status == 409).count(),
        49
    );
    assert!(
        answers
            .iter()
            .all(|(status, browser)| (*status == 200) != browser.jar.is_empty())
    );
}

#[tokio::test]
async fn a_store_that_is_down_loses_nothing() {
    let (clock, store) = (ManualClock::at(NOW), Watched::default());
    let accounts = builder(store.clone(), &clock).build().unwrap();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    store.set_down(true);
    for _ in 0..30 {
        let reply = alice.log_in("alice", PASSWORD).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (503, "store_unavailable")
        );
        assert_eq!(reply.headers["retry-after"], "5");
    }
    let jar = alice.jar.clone();
    for (path, body) in [
        (
            "/auth/register",
            json!({ "username": "bob", "password": PASSWORD }),
        ),
        ("/auth/session/refresh", json!({})),
        (
            "/auth/password",
            json!({ "current_password": PASSWORD, "new_password": "another horse" }),
        ),
    ] {
        assert_eq!(alice.post(path, body).await.status, 503, "{path}");
    }
    for path in ["/auth/user", "/auth/sessions"] {
        assert_eq!(alice.get(path).await.status, 503, "{path}");
    }
    // The gate hears of a logout before the store does.
    assert_eq!(alice.post("/auth/logout", json!({})).await.status, 503);
    assert_eq!(alice.jar, jar, "no cookie was taken back");
    assert!(accounts.sweep().await.is_err());
    store.set_down(false);
    // Thirty tries that nobody judged were none.
    assert_eq!(alice.post("/auth/logout", json!({})).await.status, 200);
    assert_eq!(alice.log_in("alice", PASSWORD).await.status, 200);
    assert_eq!(alice.register("bob").await.status, 200);
}

/// The store of the revocations is down: a logout says so, keeps the cookies, and can be tried again.
#[tokio::test]
async fn a_logout_that_nobody_hears_is_tried_again() {
    #[derive(Clone)]
    struct Deaf(
        MemoryRevocationStore,
        std::sync::Arc<std::sync::atomic::AtomicBool>,
    );

    impl RevocationStore for Deaf {
        type Error = std::io::Error;
        type Feed = tower_warden::MemoryRevocationFeed;

        async fn publish(&self, revocation: &Revocation) -> Result<(), Self::Error> {
            if self.1.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(std::io::Error::other("as if it were down"));
            }
            self.0
                .publish(revocation)
                .await
                .map_err(|never| match never {})
        }

        async fn load(&self) -> Result<Vec<Revocation>, Self::Error> {
            self.0.load().await.map_err(|never| match never {})
        }

        async fn subscribe(&self) -> Result<Self::Feed, Self::Error> {
            self.0.subscribe().await.map_err(|never| match never {})
        }
    }

    let clock = ManualClock::at(NOW);
    let deaf = Deaf(
        MemoryRevocationStore::with_clock(clock.clone()),
        Default::default(),
    );
    let revocations = Revocations::builder().with_clock(clock.clone());
    let revocations = revocations.share(deaf.clone()).await.unwrap();
    let accounts = builder(Watched::default(), &clock).with_revocations(revocations);
    let accounts = accounts.build().unwrap();
    let mut alice = Browser::new(&accounts);
    alice.register("alice").await;
    deaf.1.store(true, std::sync::atomic::Ordering::SeqCst);
    let reply = alice.post("/auth/logout", json!({})).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (503, "store_unavailable")
    );
    assert_eq!(alice.jar.len(), 3, "the cookies are there for the next try");
    deaf.1.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(alice.post("/auth/logout", json!({})).await.status, 200);
    assert_eq!(
        deaf.load().await.unwrap().len(),
        1,
        "every node hears of it"
    );
    assert!(alice.jar.is_empty());
}

/// No password, no token, no name in any line of the log, in any `Debug` or any answer but a cookie.
#[tokio::test]
async fn hazard_a_password_in_a_log() {
    let clock = ManualClock::at(NOW);
    let store = Watched::default();
    let accounts = builder(store.clone(), &clock).build().unwrap();
    let secrets = [
        "correct-horse-secret",
        "another-horse-secret",
        "wrong-horse-secret",
    ];
    let [password, next, wrong] = secrets;
    let mut alice = Browser::new(&accounts);
    let mut heard = Vec::new();
    let journey = async {
        let named = |password: &str| json!({ "username": "alice-the-name", "password": password });
        let change = json!({ "current_password": password, "new_password": next });
        for (path, body) in [
            ("/auth/register", named(password)),
            ("/auth/register", named(password)),
            (
                "/auth/register",
                json!({ "username": "alice-the-name", "password": password, "x": 1 }),
            ),
            ("/auth/login", named(wrong)),
            (
                "/auth/login",
                json!({ "username": ["alice-the-name"], "password": wrong }),
            ),
            ("/auth/login", named(password)),
            ("/auth/password", change.clone()),
            ("/auth/password", change),
            ("/auth/session/refresh", json!({})),
        ] {
            let reply = alice.post(path, body).await;
            heard.push(reply.body.to_string());
            heard.extend(alice.jar.values().map(|(value, _)| format!("jar:{value}")));
        }
        store.set_down(true);
        heard.push(alice.log_in("alice-the-name", next).await.body.to_string());
        store.set_down(false);
        heard.push(alice.post("/auth/logout", json!({})).await.body.to_string());
    };
    let (log, ()) = crate::silence::capture(journey).await;
    let (tokens, bodies): (Vec<_>, Vec<_>) =
        heard.into_iter().partition(|it| it.starts_with("jar:"));
    assert!(
        tokens.len() >= 6 && log.contains("request refused"),
        "{log}"
    );
    let printed = format!("{accounts:#?} {:#?} {store:#?}", accounts.service());
    for secret in secrets {
        assert!(
            !log.contains(secret) && !printed.contains(secret),
            "{secret}"
        );
        assert!(bodies.iter().all(|body| !body.contains(secret)), "{secret}");
    }
    for token in &tokens {
        for part in token["jar:".len()..].split('.') {
            assert!(!log.contains(part) && !printed.contains(part));
        }
    }
    assert!(
        !log.contains("alice-the-name") && !printed.contains("alice-the-name"),
        "{log}"
    );
    assert!(!printed.contains(crate::support::SECRET));
}
