//! Accounts in PostgreSQL: every promise kept, on the table that EdgeOne's template has made too.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use sqlx::{Connection, PgConnection};
use tower::ServiceExt;
use tower_warden::{
    NumericDate, PostgresStore,
    accounts::{AccountStore, Accounts, PasswordHashing, RefreshHash, SessionRecord, UserRecord},
    testing::conformance,
};

use crate::{engines::bounded, postgres::server::Server};

/// A schema of its own in the database of the tests, with these statements run in it.
async fn schema(statements: &'static str) -> String {
    let url = std::env::var("TEST_POSTGRES_URL");
    let url = url.expect("TEST_POSTGRES_URL names the database of the tests");
    let mut random = [0; 8];
    getrandom::fill(&mut random).unwrap();
    let name = format!("accounts_{:016x}", u64::from_le_bytes(random));
    let join = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{join}options=-c%20search_path%3D{name}");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}"));
    sqlx::raw_sql(create)
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql(statements)
        .execute(&mut connection)
        .await
        .unwrap();
    url
}

async fn open(url: &str) -> PostgresStore {
    let store = PostgresStore::connect(url).await.unwrap();
    store.with_accounts().await.unwrap()
}

fn session(user: &UserRecord, n: u8) -> SessionRecord {
    let at = NumericDate::from_secs(1_800_000_000 + u64::from(n));
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    SessionRecord {
        id: base64_simd::URL_SAFE_NO_PAD.encode_to_string(id),
        user_id: user.id.clone(),
        created_at: at,
        seen_at: at,
        expires_at: NumericDate::from_secs(1_900_000_000),
        user_agent: String::new(),
        refresh_hash: RefreshHash::from_bytes(&[n; 32]).unwrap(),
        refreshed_at: None,
        refreshes: 0,
    }
}

async fn sign(
    accounts: &Accounts,
    path: &str,
    username: &str,
    password: &str,
) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "username": username, "password": password }).to_string();
    let request = Request::post(path)
        .header("content-type", "application/json")
        .extension(SocketAddr::from(([192, 0, 2, 1], 4711)))
        .body(Full::<Bytes>::from(body))
        .unwrap();
    bounded(accounts.service().oneshot(request)).await.unwrap()
}

/// Who the session of these cookies belongs to.
async fn user(accounts: &Accounts, cookies: &str) -> u16 {
    let request = Request::get("/auth/user").header("cookie", cookies);
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let answer = bounded(accounts.service().oneshot(request)).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn every_promise_is_kept_over_several_handles() {
    let url = schema("").await;
    conformance::account_store(async || open(&url).await).await;
}

/// Many nodes of a new service start at once, and each finds the table.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn many_nodes_prepare_at_once() {
    let url = schema("").await;
    let stores = join_all((0..8).map(|_| open(&url))).await;
    for store in stores {
        assert_eq!(store.find_user("alice").await.unwrap(), None);
    }
    assert!(PostgresStore::users_sql().contains("CREATE TABLE users"));
}

/// The template's own script, and a row that its bcryptjs wrote.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn the_table_of_the_template_is_used_as_it_is() {
    let url = schema(
        "CREATE TABLE IF NOT EXISTS users (
            id            UUID         PRIMARY KEY DEFAULT gen_random_uuid(),
            username      VARCHAR(64)  NOT NULL,
            password_hash VARCHAR(255) NOT NULL,
            created_at    TIMESTAMPTZ  NOT NULL DEFAULT NOW()
        );
        CREATE UNIQUE INDEX IF NOT EXISTS users_username_lower_uniq ON users (LOWER(username));
        CREATE INDEX IF NOT EXISTS users_created_at_idx ON users (created_at DESC);
        INSERT INTO users (username, password_hash, created_at)
        VALUES ('Alice_1', '$2b$05$ED1V9h4OBNYWKOyz7x.bPePqsZezkCoXf1Wd4UBVRNJffyYPxdT0q', '2025-01-02 03:04:05.678+01');",
    )
    .await;
    let store = open(&url).await;
    let row = store.find_user("alice_1").await.unwrap().unwrap();
    assert_eq!((&*row.username, row.id.len()), ("Alice_1", 36));
    assert_eq!(row.created_at, NumericDate::from_secs(1_735_783_445));

    let accounts = Accounts::builder(store.clone(), "0123456789abcdef0123456789abcdef")
        .with_password_hashing(PasswordHashing::dangerous_for_tests())
        .build()
        .unwrap();
    for (path, username, password, status) in [
        ("/auth/login", "ALICE_1", "correct horse battery", 200),
        ("/auth/login", "alice_1", "correct horse battery", 200),
        ("/auth/login", "alice_1", "wrong horse battery", 401),
        ("/auth/register", "alice_1", "correct horse battery", 409),
        (
            "/auth/register",
            "m\u{fc}ller",
            "correct horse battery",
            200,
        ),
        (
            "/auth/register",
            "M\u{dc}LLER",
            "correct horse battery",
            409,
        ),
        ("/auth/register", "alice\0", "correct horse battery", 400),
        ("/auth/login", "alice\0", "correct horse battery", 401),
    ] {
        assert_eq!(
            sign(&accounts, path, username, password).await.status(),
            status,
            "{path} {username:?}"
        );
    }
    let renewed = store.find_user("alice_1").await.unwrap().unwrap();
    assert_ne!(renewed.password_hash, row.password_hash);
    assert_eq!(renewed.created_at, row.created_at);

    // Somebody deletes her by hand: her sessions lead nowhere.
    let alice = session(&renewed, 1);
    assert!(
        store
            .open_session(&alice, &renewed.password_hash)
            .await
            .unwrap()
    );
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("DELETE FROM users WHERE username = 'Alice_1'")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(store.find_session(&alice.id).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn another_table_of_the_name_is_refused() {
    for (statements, named) in [
        ("CREATE TABLE users (name text)", "lacks one of"),
        (
            "CREATE TABLE users (id uuid, username text UNIQUE, password_hash text, created_at timestamptz)",
            "no unique index",
        ),
        (
            "CREATE TABLE users (id uuid, username text, password_hash text, created_at timestamptz);
            CREATE UNIQUE INDEX mine ON users (lower(username)) WHERE created_at IS NULL",
            "no unique index",
        ),
    ] {
        let store = PostgresStore::connect(&schema(statements).await).await.unwrap();
        let error = store.with_accounts().await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(named), "{statements}: {source}");
    }
    for table in [
        "CREATE TABLE users (id uuid, username text, password_hash text, created_at timestamptz);
        CREATE UNIQUE INDEX mine ON users (lower(username))",
        "CREATE TABLE users (id uuid, username varchar(10), password_hash text, created_at timestamptz);
        CREATE UNIQUE INDEX mine ON users (lower(username))",
    ] {
        open(&schema(table).await).await;
    }
}

/// A login with the old password that was verified a moment ago, while the password changes: it begins no session that
/// outlives the change, whichever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn no_session_slips_through_a_change_of_the_password() {
    let url = schema("").await;
    let nodes = join_all((0..2).map(|_| open(&url))).await;
    let alice = UserRecord {
        id: String::from("6f1d3f9e-0f6c-4f0e-8a55-1f0a5a0c7e11"),
        username: String::from("alice"),
        password_hash: String::from("$2b$12$0"),
        created_at: NumericDate::from_secs(1_800_000_000),
    };
    assert!(
        nodes[0]
            .register(&alice, &session(&alice, 0))
            .await
            .unwrap()
    );
    for round in 0..30 {
        let (present, next) = (format!("$2b$12${round}"), format!("$2b$12${}", round + 1));
        let late: Vec<_> = (0..6).map(|n| session(&alice, n)).collect();
        let logins = late.iter().enumerate().map(|(n, session)| {
            let (store, present) = (&nodes[n % 2], &present);
            async move {
                tokio::time::sleep(Duration::from_micros(300 * n as u64)).await;
                store.open_session(session, present).await.unwrap()
            }
        });
        let begun = session(&alice, 99);
        let change = async {
            tokio::time::sleep(Duration::from_micros(700)).await;
            nodes[round % 2]
                .change_password(&present, &next, &begun)
                .await
                .unwrap()
        };
        let (opened, ended) = tokio::join!(join_all(logins), change);
        let ended = ended.expect("nobody else changes it");
        let now = NumericDate::from_secs(1_800_000_000);
        let left = nodes[0].list_sessions(&alice.id, now).await.unwrap();
        assert_eq!(
            left.iter().map(|it| &it.id).collect::<Vec<_>>(),
            [&begun.id]
        );
        for (session, opened) in late.iter().zip(opened) {
            assert_eq!(
                ended.contains(&session.id),
                opened,
                "who had begun is told of"
            );
        }
    }
}

/// A user is not to blame for it, and is not told that the password was wrong.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: tests/run services"]
async fn while_the_database_is_down_a_login_is_answered_503_and_nothing_is_lost() {
    const PASSWORD: &str = "correct horse battery";
    let mut server = Server::start();
    let accounts = Accounts::builder(
        open(&server.url()).await,
        "0123456789abcdef0123456789abcdef",
    )
    .with_password_hashing(PasswordHashing::dangerous_for_tests())
    .build()
    .unwrap();
    let registered = sign(&accounts, "/auth/register", "alice", PASSWORD).await;
    assert_eq!(registered.status(), 200);
    let cookies: Vec<_> = registered
        .headers()
        .get_all("set-cookie")
        .iter()
        .filter_map(|cookie| cookie.to_str().unwrap().split(';').next())
        .collect();
    let cookies = cookies.join("; ");
    assert_eq!(user(&accounts, &cookies).await, 200);

    server.crash();
    for (path, username, password) in [
        ("/auth/login", "alice", PASSWORD),
        ("/auth/login", "alice", "wrong horse battery"),
        ("/auth/login", "nobody", PASSWORD),
        ("/auth/register", "bob", PASSWORD),
    ] {
        let refused = sign(&accounts, path, username, password).await;
        assert_eq!(refused.status(), 503, "{path} {username}");
        assert!(refused.headers().contains_key("retry-after"), "{path}");
        assert!(!refused.headers().contains_key("set-cookie"), "{path}");
    }
    assert_eq!(user(&accounts, &cookies).await, 503);

    server.resume();
    assert_eq!(user(&accounts, &cookies).await, 200);
    for (path, username, status) in [
        ("/auth/login", "alice", 200),
        ("/auth/register", "alice", 409),
        ("/auth/register", "bob", 200),
    ] {
        let answer = sign(&accounts, path, username, PASSWORD).await;
        assert_eq!(answer.status(), status, "{path} {username}");
    }
}
