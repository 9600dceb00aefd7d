//! What does a store cost, on each engine?
//!
//! | row | question | baseline |
//! | --- | --- | --- |
//! | `…/claim first` | a resource that nobody owns is claimed | `memory/…` |
//! | `…/claim again` | the owner claims it once more | `memory/…` |
//! | `…/access` | whose is it, and what is somebody to it? | `memory/…` |
//! | `…/find key` | the record of an API key | `memory/…` |
//! | `…/ticket` | a ticket is put and taken | `memory/…` |
//!
//! Several nodes, and how long news are on their way between them, are measured by `nodes`.
//!
//! SQLite is a file in the temporary directory. PostgreSQL and Redis are those that `TEST_POSTGRES_URL` and
//! `TEST_REDIS_URL` name, where they are set: `source tests/services/start.sh; with_services cargo bench …`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tower_warden::{
    ApiKeyRecord, ApiKeyStore, Clock, KeyHash, MemoryApiKeyStore, MemoryOwnerStore, MemoryTickets,
    NumericDate, OwnerStore, PostgresStore, RedisStore, ResourceId, Role, SqliteStore, SubjectId,
    SystemClock, TicketHash, TicketRecord, TicketStore,
};

/// A name that no bench has used before, in this run or another.
fn fresh(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{count}", SystemClock.now().as_nanos())
}

fn resource() -> ResourceId {
    ResourceId::new(fresh("/agents/support/room")).unwrap()
}

fn subject(name: &str) -> SubjectId {
    SubjectId::new("https://id.example/realms/acme", name).unwrap()
}

fn owners(c: &mut Criterion, runtime: &Runtime, engine: &str, store: &dyn OwnerStore) {
    let mut group = c.benchmark_group(engine);
    let [alice, bob] = ["alice", "bob"].map(|name| subject(&fresh(name)));
    group.bench_function("claim first", |b| {
        b.iter(|| runtime.block_on(store.claim(&resource(), &alice)).unwrap());
    });
    let room = resource();
    runtime.block_on(async {
        store.claim(&room, &alice).await.unwrap();
        store.grant(&room, &bob, Role::Writer).await.unwrap();
    });
    group.bench_function("claim again", |b| {
        b.iter(|| runtime.block_on(store.claim(&room, &alice)).unwrap());
    });
    group.bench_function("access", |b| {
        b.iter(|| runtime.block_on(store.access(&room, &bob)).unwrap());
    });
    group.finish();
}

fn keys(c: &mut Criterion, runtime: &Runtime, engine: &str, store: &dyn ApiKeyStore) {
    let record = ApiKeyRecord {
        id: fresh("k").replace('-', ""),
        hash: KeyHash::from_bytes(&[7; 32]).unwrap(),
        owner: subject(&fresh("alice")),
        label: "the laptop".into(),
        scopes: vec!["chat:read".into(), "chat:write".into()],
        created_at: NumericDate::from_secs(1_800_000_000),
        expires_at: None,
        last_used_at: None,
    };
    runtime.block_on(store.insert(&record, 100)).unwrap();
    c.benchmark_group(engine).bench_function("find key", |b| {
        b.iter(|| runtime.block_on(store.find(&record.id)).unwrap().unwrap());
    });
}

fn tickets(c: &mut Criterion, runtime: &Runtime, engine: &str, store: &dyn TicketStore) {
    let now = SystemClock.now();
    let claims = r#"{\"iss\":\"https://id.example/realms/acme\",\"sub\":\"alice\",\"scope\":\"chat:read chat:write\"}"#;
    let ends = (now + Duration::from_secs(30)).as_millis();
    let text = format!(
        r#"{{"token":{{"alg":"HS256","kid":null,"typ":"JWT","claims":"{claims}","scopes":["chat:read","chat:write"],"roles":[]}},"holder":{{"issuer":"https://id.example/realms/acme","subject":"alice"}},"resource":{{"agent":"support","room":"r1"}},"origin":"https://app.example","authority":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU","expires_at":{ends}}}"#
    );
    let record = TicketRecord::from_text(&text).unwrap();
    let mut count = 0_u64;
    let mut seed = [0; 32];
    seed[8..24].copy_from_slice(&now.as_nanos().to_le_bytes());
    c.benchmark_group(engine).bench_function("ticket", |b| {
        b.iter(|| {
            count += 1;
            seed[..8].copy_from_slice(&count.to_le_bytes());
            let hash = TicketHash::from_bytes(&seed).unwrap();
            runtime.block_on(async {
                store.put(hash, record.clone(), now).await.unwrap();
                store.take(hash, None, now).await.unwrap().unwrap()
            })
        });
    });
}

fn stores(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    // A driver may need it where its connections are dropped, too.
    let _entered = runtime.enter();

    owners(c, &runtime, "memory", &MemoryOwnerStore::new());
    keys(c, &runtime, "memory", &MemoryApiKeyStore::new());
    tickets(c, &runtime, "memory", &MemoryTickets::default());

    let directory = std::env::temp_dir().join(fresh("warden-bench"));
    fs::create_dir(&directory).unwrap();
    let store = runtime.block_on(SqliteStore::open(directory.join("bench.sqlite")));
    let store = store.unwrap();
    owners(c, &runtime, "sqlite", &store);
    keys(c, &runtime, "sqlite", &store);
    tickets(c, &runtime, "sqlite", &store);
    drop(store);
    fs::remove_dir_all(&directory).unwrap();

    if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
        let store = runtime.block_on(PostgresStore::connect(&url)).unwrap();
        owners(c, &runtime, "postgres", &store);
        keys(c, &runtime, "postgres", &store);
        tickets(c, &runtime, "postgres", &store);
    }

    if let Ok(url) = std::env::var("TEST_REDIS_URL") {
        let store = runtime.block_on(RedisStore::connect(&url)).unwrap();
        owners(c, &runtime, "redis", &store);
        keys(c, &runtime, "redis", &store);
        tickets(c, &runtime, "redis", &store);
    }
}

criterion_group!(benches, stores);
criterion_main!(benches);
