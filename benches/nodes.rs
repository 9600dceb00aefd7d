//! What does it cost to be many?
//!
//! | row | question |
//! | --- | --- |
//! | `revocation` | how long after `revoke` on one node does a connection end on another? median and p99 |
//! | `ownership` | the same after the end of a grant |
//! | `owned requests` | how many in a second, with one, two and three nodes over one store, 32 at a time on each? |
//!
//! Baseline: the engine in memory. SQLite is a file in the temporary directory; PostgreSQL and Redis are measured where
//! `TEST_POSTGRES_URL` and `TEST_REDIS_URL` name one.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    convert::Infallible,
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Request, Response};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    BearerToken, JwtAuthLayer, Lease, MemoryOwnerStore, MemoryRevocationStore, NumericDate,
    OwnerStore, Owners, OwnershipLayer, PostgresStore, RedisStore, ResourceId, ResourceKey,
    Revocation, RevocationStore, Revocations, Role, SharedOwnerStore, SigningKey, SqliteStore,
    SubjectId, TokenIssuer,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// How often a delay is measured.
const DELAYS: usize = 200;

/// How long requests are counted.
const COUNTING: Duration = Duration::from_secs(3);

const AT_A_TIME: usize = 32;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    println!("engine      row               figure");
    let (owners, marks) = (
        Arc::new(MemoryOwnerStore::new()),
        MemoryRevocationStore::new(),
    );
    engine("memory", async || (Arc::clone(&owners), marks.clone())).await;

    let file = env::temp_dir().join(format!("nodes-{}.db", std::process::id()));
    engine("sqlite", async || {
        let store = SqliteStore::open(&file).await.unwrap();
        (store.clone(), store)
    })
    .await;
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
    }

    if let Ok(url) = env::var("TEST_POSTGRES_URL") {
        engine("postgres", async || {
            let store = PostgresStore::connect(&url).await.unwrap();
            (store.clone(), store)
        })
        .await;
    }
    if let Ok(url) = env::var("TEST_REDIS_URL") {
        engine("redis", async || {
            let store = RedisStore::connect(&url).await.unwrap();
            (store.clone(), store)
        })
        .await;
    }
}

/// A node as an application has it.
struct Node {
    owners: Owners,
    revocations: Revocations,
    auth: JwtAuthLayer,
    owned: OwnershipLayer,
}

impl Node {
    async fn new(owners: impl SharedOwnerStore, marks: impl RevocationStore) -> Self {
        let owners = Owners::shared(owners).await.unwrap();
        let Ok(revocations) = Revocations::shared(marks).await else {
            panic!("the store cannot be read");
        };
        let auth = JwtAuthLayer::hs256(SECRET).unwrap();
        let auth = auth.with_revocations(revocations.clone()).build().unwrap();
        let key = ResourceKey::path("/agents/{agent}/{room}").unwrap();
        Self {
            owned: OwnershipLayer::new(owners.clone(), key).claim_on_first_use(),
            owners,
            revocations,
            auth,
        }
    }

    /// Sends a request to a room, and opens its lease.
    async fn enter(&self, room: &ResourceId, token: &BearerToken<'_>) -> Lease {
        let handler = service_fn(async |request: Request<String>| {
            let lease = Lease::from_head(&request.into_parts().0).unwrap();
            let mut response = Response::new(String::new());
            response.extensions_mut().insert(lease);
            Ok::<_, Infallible>(response)
        });
        let service = self.auth.layer(self.owned.layer(handler));
        let mut response = service.oneshot(request(room, token)).await.unwrap();
        response.extensions_mut().remove().expect("let in")
    }
}

fn request(room: &ResourceId, token: &BearerToken<'_>) -> Request<String> {
    Request::post(room.as_str())
        .header("authorization", format!("Bearer {}", token.expose()))
        .body(String::new())
        .unwrap()
}

/// A subject, and a token of theirs with an ID.
fn somebody(name: &str) -> (SubjectId, BearerToken<'static>) {
    let issuer = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap());
    let token = issuer.build().unwrap().mint(name).sign().unwrap();
    (SubjectId::new("", name).unwrap(), token)
}

async fn engine<O: SharedOwnerStore, R: RevocationStore>(
    name: &str,
    open: impl AsyncFn() -> (O, R),
) {
    let node = async || {
        let (owners, marks) = open().await;
        Node::new(owners, marks).await
    };
    let nodes = [node().await, node().await, node().await];
    // What another run has left belongs to others.
    let run = std::process::id();
    let [here, there, _] = &nodes;

    let mut delays = Vec::new();
    for round in 0..DELAYS {
        let (_, token) = somebody(&format!("alice-{run}-{round}"));
        let room = ResourceId::new(format!("/agents/revoked/{run}-{round}")).unwrap();
        let lease = there.enter(&room, &token).await;
        let ended = tokio::spawn(async move {
            lease.ended().await;
            Instant::now()
        });
        let soon = NumericDate::from_secs(u64::MAX);
        let id = here.enter(&room, &token).await.principal();
        let began = Instant::now();
        let revocation = Revocation::token_id(id.token_id().unwrap(), soon);
        here.revocations.revoke(revocation).await.unwrap();
        delays.push(ended.await.unwrap() - began);
    }
    report(name, "revocation", delays);

    let mut delays = Vec::new();
    let (alice, _) = somebody(&format!("owner-{run}"));
    for round in 0..DELAYS {
        let (bob, token) = somebody(&format!("bob-{run}-{round}"));
        let room = ResourceId::new(format!("/agents/shared/{run}-{round}")).unwrap();
        here.owners.claim(&room, &alice).await.unwrap();
        here.owners.grant(&room, &bob, Role::Writer).await.unwrap();
        let lease = there.enter(&room, &token).await;
        let ended = tokio::spawn(async move {
            lease.ended().await;
            Instant::now()
        });
        let began = Instant::now();
        here.owners.revoke(&room, &bob).await.unwrap();
        delays.push(ended.await.unwrap() - began);
    }
    report(name, "ownership", delays);

    for count in 1..=nodes.len() {
        let served = throughput(&nodes[..count], run).await;
        println!("{name:<11} owned requests    {count} nodes: {served:>9.0} per second");
    }
}

fn report(engine: &str, row: &str, mut delays: Vec<Duration>) {
    delays.sort_unstable();
    let milliseconds = |share: usize| delays[delays.len() * share / 100].as_secs_f64() * 1_000.0;
    let (median, p99) = (milliseconds(50), milliseconds(99));
    println!("{engine:<11} {row:<17} median {median:>8.3} ms, p99 {p99:>8.3} ms");
}

async fn throughput(nodes: &[Node], run: u32) -> f64 {
    let served = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        for number in 0..AT_A_TIME {
            let (_, token) = somebody(&format!("user-{run}-{number}"));
            let room = format!("/agents/busy/{run}-{place}-{number}");
            let room = ResourceId::new(room).unwrap();
            let handler = service_fn(async |_: Request<String>| {
                Ok::<_, Infallible>(Response::new(String::new()))
            });
            let service = node.auth.layer(node.owned.layer(handler));
            let served = Arc::clone(&served);
            tasks.push(tokio::spawn(async move {
                loop {
                    let answer = service.clone().oneshot(request(&room, &token)).await;
                    assert_eq!(answer.unwrap().status(), 200);
                    served.fetch_add(1, Ordering::Relaxed);
                    // Memory never waits, and whoever counts has to have a turn.
                    tokio::task::consume_budget().await;
                }
            }));
        }
    }
    // The first requests open connections and claim their rooms.
    sleep(COUNTING / 3).await;
    let (began, before) = (Instant::now(), served.load(Ordering::Relaxed));
    sleep(COUNTING).await;
    let count = served.load(Ordering::Relaxed) - before;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    rate
}
