//! Keys that rotate under load: nobody who has a good token notices, and nobody gets in with a key that is gone.
//!
//! The clock stands still in all of this, so that nothing is owed to time: what opens the floor between two fetches is
//! what the fetches bring.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tower::{Layer, ServiceExt};
use tower_warden::{
    BearerToken, JwtAuth, JwtAuthLayer, RejectionKind, RemoteKeys, TokenIssuer, Verifier,
};

use crate::{
    log_lines::LogLines,
    provider::{Provider, Reply, StillClock, key, on_the_spot, signer, token, verdict},
    support::{Inner, get},
};

const ISSUER: &str = "https://id.example";
const UNKNOWN: Result<(), RejectionKind> = Err(RejectionKind::KeyUnknown);
const UNAVAILABLE: Result<(), RejectionKind> = Err(RejectionKind::KeysUnavailable);

async fn verifier(keys: RemoteKeys, clock: &StillClock) -> Verifier {
    Verifier::remote(keys)
        .with_issuer(ISSUER)
        .with_audience("api")
        .with_clock(clock.clone())
        .build()
        .await
        .unwrap()
}

async fn publishing(signer: &TokenIssuer) -> Provider {
    let signer = signer.clone();
    Provider::start(move |_| Reply::json(signer.jwk_set())).await
}

/// Signs with a new key from now on; the former one is gone at once.
fn replace(signer: &TokenIssuer, key_id: &str) {
    let former = signer.key_id().unwrap();
    signer.rotate(key(key_id)).unwrap();
    signer.retire(&former).unwrap();
}

/// Curves in pure Rust are slow without optimisation.
const REQUESTS: usize = if cfg!(feature = "aws-lc-rs") {
    10_000
} else {
    100
};
const ROTATIONS: u64 = 6;

/// Everybody's view of who may enter, ordered by what was read before and after each request.
struct Load {
    service: JwtAuth<Inner>,
    inner: Inner,
    /// A token for each rotation.
    tokens: Vec<BearerToken<'static>>,
    /// The newest rotation whose key the provider publishes, beside that of the one before.
    published: watch::Sender<u64>,
    /// The newest rotation one of whose tokens was admitted: the fetch that brought its key has finished, and with it
    /// every key is gone that was published two rotations earlier.
    fetched: AtomicU64,
    /// How many clients have asked to be let in, and are not.
    waiting: AtomicUsize,
    admitted: [AtomicUsize; ROTATIONS as usize + 1],
    refused: AtomicUsize,
}

impl Load {
    /// Sends the token of one rotation, and judges the answer by what was certain before and may have changed since.
    async fn send(&self, rotation: u64) -> bool {
        let fetched = self.fetched.load(SeqCst);
        let request = get("/chat", &self.tokens[rotation as usize]);
        let response = self.service.clone().oneshot(request).await.unwrap();
        let withdrawn = *self.published.borrow() >= rotation + 2;
        if response.status() == StatusCode::OK {
            assert!(fetched < rotation + 2, "a key that is gone: {rotation}");
            self.fetched.fetch_max(rotation, SeqCst);
            self.admitted[rotation as usize].fetch_add(1, SeqCst);
            return true;
        }
        let known = fetched >= rotation;
        assert!(!known || withdrawn, "a key that is here: {rotation}");
        // Until its key is here, a good token may be told to come again, but never that it is none.
        let convicted = response.status() == StatusCode::UNAUTHORIZED;
        assert!(!convicted || withdrawn, "a good token: {rotation}");
        self.refused.fetch_add(1, SeqCst);
        false
    }

    /// Comes with the newest token of each rotation until it is let in, and with one whose key is gone as well.
    async fn client(&self, number: usize) {
        let mut published = self.published.subscribe();
        for rotation in 1..=ROTATIONS {
            published
                .wait_for(|newest| *newest >= rotation)
                .await
                .unwrap();
            self.waiting.fetch_add(1, SeqCst);
            let admitted = loop {
                let newest = *self.published.borrow();
                if self.send(newest).await {
                    break newest;
                }
                tokio::task::yield_now().await;
            };
            self.waiting.fetch_sub(1, SeqCst);
            if number.is_multiple_of(10) && admitted >= 2 {
                assert!(!self.send(admitted - 2).await);
            }
        }
    }

    async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let waiting = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let limit = Duration::from_secs(120);
        let happened = tokio::time::timeout(limit, waiting).await;
        assert!(
            happened.is_ok(),
            "{what} never happened: {:?} let in, {:?} waiting, {:?} refused",
            self.admitted,
            self.waiting,
            self.refused
        );
    }
}

/// Every second rotation happens while all ten thousand requests wait for the fetch that the one before has caused; the
/// others as soon as a tenth of them is through.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_requests_in_flight_do_not_notice_that_keys_rotate() {
    let clock = StillClock::new();
    let signers: Vec<_> = (0..=ROTATIONS)
        .map(|rotation| signer(ISSUER, &format!("key-{rotation}"), &clock))
        .collect();
    let sets: Vec<Value> = signers
        .iter()
        .map(|signer| serde_json::from_str(&signer.jwk_set()).unwrap())
        .collect();
    let published = watch::Sender::new(0);
    let gate = Arc::new(Semaphore::new(1));
    let answered = Arc::new(AtomicUsize::new(0));
    let script = {
        let (published, gate) = (published.subscribe(), Arc::clone(&gate));
        let answered = Arc::clone(&answered);
        move |_: &str| {
            let newest = *published.borrow() as usize;
            answered.store(newest, SeqCst);
            let keys = &sets[newest.saturating_sub(1)..=newest];
            let keys: Vec<_> = keys.iter().map(|set| &set["keys"][0]).collect();
            let answer = Reply::json(json!({ "keys": keys }).to_string());
            Reply::Held(Arc::clone(&gate), Box::new(answer))
        }
    };
    let provider = Provider::start(script).await;
    // Patience for slow machines; the floor between two fetches is the usual one.
    let keys = RemoteKeys::jwks(&provider.url)
        .with_patience(Duration::from_secs(10))
        .with_timeout(Duration::from_secs(30));
    let inner = Inner::default();
    let layer = JwtAuthLayer::verifier(verifier(keys, &clock).await);
    let load = Arc::new(Load {
        service: layer.build().unwrap().layer(inner.clone()),
        inner,
        tokens: signers.iter().map(token).collect(),
        published,
        fetched: AtomicU64::new(0),
        waiting: AtomicUsize::new(0),
        admitted: Default::default(),
        refused: AtomicUsize::new(0),
    });
    let clients: Vec<_> = (0..REQUESTS)
        .map(|number| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.client(number).await })
        })
        .collect();

    for rotation in (1..=ROTATIONS).step_by(2) {
        load.published.send_replace(rotation);
        // The answer to their one question is written, and held back.
        let all = |load: &Load| {
            load.waiting.load(SeqCst) == REQUESTS && answered.load(SeqCst) == rotation as usize
        };
        load.until("ten thousand requests in flight", all).await;
        load.published.send_replace(rotation + 1);
        gate.add_permits(2);
        let next = rotation as usize + 1;
        let tenth = |load: &Load| load.admitted[next].load(SeqCst) >= REQUESTS / 10;
        load.until("a tenth of them let in", tenth).await;
    }
    for client in clients {
        client.await.unwrap();
    }

    let admitted: Vec<_> = load
        .admitted
        .iter()
        .map(|count| count.load(SeqCst))
        .collect();
    assert_eq!(admitted.iter().sum::<usize>(), load.inner.calls());
    assert!(admitted.iter().sum::<usize>() >= REQUESTS * ROTATIONS as usize);
    assert!(
        load.refused.load(SeqCst) >= REQUESTS / 10,
        "what is gone was tried"
    );
    let fetches = 1 + ROTATIONS as usize;
    assert_eq!(
        provider.hits(),
        fetches,
        "one for each rotation: {admitted:?}"
    );
}

#[tokio::test]
async fn a_provider_that_rotates_is_asked_as_often_as_it_does() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "key-0", &clock);
    let provider = publishing(&signer).await;
    let log = LogLines::capture();
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    for rotation in 1..=10 {
        let former = token(&signer);
        replace(&signer, &format!("key-{rotation}"));
        assert_eq!(verdict(&verifier, &token(&signer)).await, Ok(()));
        assert_eq!(provider.hits(), 1 + rotation);
        // The answer that lacks a key says so: nobody has to be asked once more.
        assert_eq!(verdict(&verifier, &former).await, UNKNOWN);
        assert_eq!(provider.hits(), 1 + rotation);
    }
    let lines = log.take();
    assert_eq!(lines.matches("the set is new").count(), 11, "{lines}");
    assert!(
        !lines.contains("WARN") && !lines.contains("ERROR"),
        "{lines}"
    );
}

#[tokio::test]
async fn tokens_whose_key_is_gone_do_not_delay_the_next_one() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "key-0", &clock);
    let provider = publishing(&signer).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let gone = token(&signer);
    replace(&signer, "key-1");
    assert_eq!(verdict(&verifier, &token(&signer)).await, Ok(()));
    assert_eq!(provider.hits(), 2);

    // Half a minute later nobody knows any more whether it has come back: that is asked, once.
    clock.advance(30);
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, &gone).await, UNKNOWN);
        assert_eq!(provider.hits(), 3);
    }
    // And in the same moment the provider rotates.
    replace(&signer, "key-2");
    assert_eq!(verdict(&verifier, &token(&signer)).await, Ok(()));
    assert_eq!(verdict(&verifier, &gone).await, UNKNOWN);
    assert_eq!(provider.hits(), 4);
}

#[tokio::test]
async fn a_made_up_key_delays_the_next_one_by_the_floor_at_most() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "key-0", &clock);
    let provider = publishing(&signer).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let stray = token(&crate::provider::signer(ISSUER, "stray", &clock));
    assert_eq!(verdict(&verifier, &stray).await, UNKNOWN);
    signer.rotate(key("key-1")).unwrap();
    let fresh = token(&signer);
    clock.advance(29);
    // The provider has not been asked about this one: it is to come again.
    assert_eq!(verdict(&verifier, &fresh).await, UNAVAILABLE);
    assert_eq!(verdict(&verifier, &stray).await, UNKNOWN);
    assert_eq!(provider.hits(), 2);
    clock.advance(1);
    assert_eq!(verdict(&verifier, &fresh).await, Ok(()));
    assert_eq!(provider.hits(), 3);
    // That one was not in vain, so the next may follow at once.
    assert_eq!(verdict(&verifier, &stray).await, UNKNOWN);
    assert_eq!(provider.hits(), 4);
    assert_eq!(verdict(&verifier, &stray).await, UNKNOWN);
    assert_eq!(provider.hits(), 4);
}

#[tokio::test]
async fn whatever_is_new_ends_what_was_remembered_as_unknown() {
    let clock = StillClock::new();
    let signer = signer(ISSUER, "key-0", &clock);
    let provider = Provider::always(Reply::json(signer.jwk_set())).await;
    let verifier = verifier(RemoteKeys::jwks(&provider.url), &clock).await;
    let other = crate::provider::signer(ISSUER, "other", &clock);
    // It signs before its key is published.
    assert_eq!(verdict(&verifier, &token(&other)).await, UNKNOWN);

    // A fetch that was due anyway brings another key, and not this one.
    signer.rotate(key("key-1")).unwrap();
    provider.reply(Reply::json(signer.jwk_set()));
    verifier.refresh().await.unwrap();
    assert!(on_the_spot(&verifier, &token(&signer)));

    // Now its key is published too: it is found within one fetch, and no time has passed at all.
    provider.reply(Reply::json(other.jwk_set()));
    assert_eq!(verdict(&verifier, &token(&other)).await, Ok(()));
    assert_eq!(provider.hits(), 4);
}
