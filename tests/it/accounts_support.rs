//! Accounts under test: a browser with a jar of cookies, and a store that can be told to fail.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_warden::{
    MemoryAccountStore, NumericDate, StoreError, StoreFuture,
    accounts::{
        AccountStore, Accounts, AccountsBuilder, PasswordHashing, RefreshHash, SessionRecord,
        UserRecord,
    },
    testing::ManualClock,
};

use crate::support::SECRET;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Accounts at that time over that store, with passwords that are quickly hashed.
pub(crate) fn builder(store: impl AccountStore, clock: &ManualClock) -> AccountsBuilder {
    Accounts::builder(store, SECRET)
        .with_password_hashing(PasswordHashing::dangerous_for_tests())
        .with_clock(clock.clone())
}

/// Accounts over a store in memory, and their clock.
pub(crate) fn accounts() -> (Accounts, ManualClock) {
    let clock = ManualClock::at(NOW);
    let accounts = builder(MemoryAccountStore::new(), &clock).build().unwrap();
    (accounts, clock)
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter();
        lines.map(|line| line.to_str().unwrap()).collect()
    }

    /// The `code` of a refusal.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// A browser at an address, which keeps cookies by name and path.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) accounts: Accounts,
    pub(crate) address: SocketAddr,
    /// Value and path by name.
    pub(crate) jar: BTreeMap<String, (String, String)>,
    pub(crate) agent: &'static str,
}

impl Browser {
    pub(crate) fn new(accounts: &Accounts) -> Self {
        Self::at(accounts, "192.0.2.1:4711")
    }

    pub(crate) fn at(accounts: &Accounts, address: &str) -> Self {
        Self {
            accounts: accounts.clone(),
            address: address.parse().unwrap(),
            jar: BTreeMap::new(),
            agent: "Mozilla/5.0",
        }
    }

    /// What it would send to that path.
    pub(crate) fn cookie_header(&self, path: &str) -> String {
        let meant = self.jar.iter().filter(|(_, (_, scope))| {
            scope == "/" || path == scope || path.starts_with(&format!("{scope}/"))
        });
        let pairs: Vec<_> = meant
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "app.example")
            .header("origin", "https://app.example")
            .header("user-agent", self.agent)
            .extension(self.address);
        let cookies = self.cookie_header(path);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        request
    }

    /// Sends whatever it is, and keeps the cookies of the answer.
    pub(crate) async fn send(&mut self, request: Request<Full<bytes::Bytes>>) -> Reply {
        let response = self.accounts.service().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let reply = Reply {
            status: head.status,
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        };
        for line in reply.cookies() {
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let path = parts.find_map(|part| part.strip_prefix("Path=")).unwrap();
            if line.ends_with("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.into(), (value.into(), path.into()));
            }
        }
        reply
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Reply {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        let request = self
            .request(Method::GET, path)
            .body(Full::default())
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Reply {
        let request = self
            .request(Method::DELETE, path)
            .body(Full::default())
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn register(&mut self, username: &str) -> Reply {
        let body = json!({ "username": username, "password": PASSWORD });
        self.post("/auth/register", body).await
    }

    pub(crate) async fn log_in(&mut self, username: &str, password: &str) -> Reply {
        let body = json!({ "username": username, "password": password });
        self.post("/auth/login", body).await
    }

    pub(crate) async fn refresh(&mut self) -> Reply {
        self.post("/auth/session/refresh", Value::Null).await
    }

    /// The token that it has.
    pub(crate) fn token(&self) -> &str {
        &self.jar["__Host-jwt_token"].0
    }

    /// The claims of that token.
    pub(crate) fn claims(&self) -> Value {
        let payload = self.token().split('.').nth(1).unwrap();
        let payload = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(payload).unwrap();
        serde_json::from_slice(&payload).unwrap()
    }
}

/// A store in memory that counts what it is asked, and can be told not to answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) store: Arc<MemoryAccountStore>,
    down: Arc<AtomicBool>,
    touched: Arc<AtomicUsize>,
}

impl Watched {
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How often it was told that a session was seen.
    pub(crate) fn touched(&self) -> usize {
        self.touched.load(Ordering::SeqCst)
    }

    fn ask<'a, T: Send + 'a>(&self, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if self.down.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::new("as if it were down")) });
        }
        answer
    }
}

impl AccountStore for Watched {
    fn register<'a>(
        &'a self,
        user: &'a UserRecord,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, bool> {
        self.ask(self.store.register(user, session))
    }

    fn find_user<'a>(&'a self, username: &'a str) -> StoreFuture<'a, Option<UserRecord>> {
        self.ask(self.store.find_user(username))
    }

    fn replace_hash<'a>(
        &'a self,
        user_id: &'a str,
        present: &'a str,
        next: &'a str,
    ) -> StoreFuture<'a, bool> {
        self.ask(self.store.replace_hash(user_id, present, next))
    }

    fn change_password<'a>(
        &'a self,
        present: &'a str,
        next: &'a str,
        session: &'a SessionRecord,
    ) -> StoreFuture<'a, Option<Vec<String>>> {
        self.ask(self.store.change_password(present, next, session))
    }

    fn open_session<'a>(
        &'a self,
        session: &'a SessionRecord,
        password_hash: &'a str,
    ) -> StoreFuture<'a, bool> {
        self.ask(self.store.open_session(session, password_hash))
    }

    fn find_session<'a>(
        &'a self,
        id: &'a str,
    ) -> StoreFuture<'a, Option<(SessionRecord, UserRecord)>> {
        self.ask(self.store.find_session(id))
    }

    fn list_sessions<'a>(
        &'a self,
        user_id: &'a str,
        now: NumericDate,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        self.ask(self.store.list_sessions(user_id, now))
    }

    fn refresh<'a>(
        &'a self,
        id: &'a str,
        present: RefreshHash,
        next: RefreshHash,
        now: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, bool> {
        self.ask(self.store.refresh(id, present, next, now, expires_at))
    }

    fn touch<'a>(
        &'a self,
        id: &'a str,
        seen_at: NumericDate,
        expires_at: NumericDate,
    ) -> StoreFuture<'a, ()> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        self.ask(self.store.touch(id, seen_at, expires_at))
    }

    fn end_session<'a>(&'a self, user_id: &'a str, id: &'a str) -> StoreFuture<'a, bool> {
        self.ask(self.store.end_session(user_id, id))
    }

    fn end_sessions<'a>(&'a self, user_id: &'a str) -> StoreFuture<'a, Vec<String>> {
        self.ask(self.store.end_sessions(user_id))
    }

    fn sweep_sessions(&self, now: NumericDate) -> StoreFuture<'_, u64> {
        self.ask(self.store.sweep_sessions(now))
    }
}

/// A row as EdgeOne's template has written it.
pub(crate) fn row(username: &str, password_hash: &str) -> UserRecord {
    UserRecord {
        id: String::from("6f1d3f9e-0f6c-4f0e-8a55-1f0a5a0c7e11"),
        username: username.to_owned(),
        password_hash: password_hash.to_owned(),
        created_at: NumericDate::from_secs(1_700_000_000),
    }
}
