//! The suite of [`RevocationStore`].

use std::{collections::HashSet, fmt::Debug, time::Duration};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{fresh, together};
use crate::{
    Clock, NumericDate, Revocation, RevocationFeed, RevocationStore, RevocationTarget, SystemClock,
};

/// How long the suite waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A revocation is remembered for the longest leeway, in seconds, after it has expired.
const LEEWAY: u64 = 300;

/// Holds a store to what [`RevocationStore`] promises. `open` gives a handle to the store under test; several handles
/// that it gives must see the same revocations, as two nodes of one service do.
///
/// The store has to go by the time of the system. The suite waits for some seconds, until a revocation is over.
///
/// # Panics
///
/// At the first promise that is not kept, or when the store does not answer.
///
/// # Examples
///
/// ```
/// use tower_warden::{MemoryRevocationStore, testing::conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = MemoryRevocationStore::new();
/// conformance::revocation_store(async || store.clone()).await;
/// # }
/// ```
pub async fn revocation_store<S: RevocationStore>(open: impl AsyncFn() -> S) {
    let (store, other) = (open().await, open().await);
    each_kind_comes_back_as_it_went_in(&store, &other).await;
    to_publish_again_changes_nothing(&store, &other).await;
    the_longer_memory_wins(&store, &other).await;
    a_feed_tells_what_is_published_elsewhere(&store, &other).await;
    a_feed_loses_nothing_to_a_wait_that_was_given_up(&store, &other).await;
    one_feed_is_not_the_other(&store, &other).await;
    what_is_over_is_dropped(&store, &other).await;
}

fn now() -> u64 {
    SystemClock.now().as_secs()
}

/// A revocation of nobody's token, in force for an hour.
fn revocation(name: &str) -> Revocation {
    Revocation::token_id(fresh(name), NumericDate::from_secs(now() + 3_600))
}

#[track_caller]
fn answered<T, E: Debug>(answer: Result<T, E>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("the store did not answer: {error:?}"),
    }
}

async fn publish<S: RevocationStore>(store: &S, revocation: &Revocation) {
    answered(store.publish(revocation).await);
}

async fn load<S: RevocationStore>(store: &S) -> Vec<Revocation> {
    answered(store.load().await)
}

/// Waits until all of these have come out of a feed, beside whatever others publish.
async fn hear(feed: &mut impl RevocationFeed, expected: &[Revocation]) {
    let mut missing: HashSet<_> = expected.iter().collect();
    let until = Instant::now() + PATIENCE;
    while !missing.is_empty() {
        let news = timeout_at(until, feed.next()).await;
        let news = news.unwrap_or_else(|_| panic!("the feed never told of {}", missing.len()));
        let news = news.expect("a feed lasts while its store does");
        missing.remove(&news);
    }
}

/// One of each kind, with the names and numbers that are hardest to keep.
fn each_kind() -> Vec<Revocation> {
    let soon = NumericDate::from_secs(now() + 3_600);
    let never = NumericDate::from_secs(u64::MAX);
    let hostile = [
        "' OR '1'='1",
        "\"; DROP TABLE revocations; --",
        "{x}:*?[a]\\%_$1",
        "\r\nFLUSHALL\r\n",
        "nul\0nul",
        "\u{e9}e\u{301}\u{212a}\u{200b}\u{1f5dd}",
        " ",
        &"x".repeat(10 * 1024),
    ];
    let issuer = "https://id.example/\"realms\"/'acme'";
    let subject = |issuer: Option<&str>, before| RevocationTarget::Subject {
        issuer: issuer.map(str::to_owned),
        subject: fresh("alice"),
        before,
    };
    let mut kinds = vec![
        Revocation::token_id(fresh("jti"), soon),
        Revocation::token_id(fresh("jti"), soon).of_issuer(issuer),
        Revocation::token_id(fresh("jti"), soon).of_issuer(""),
        Revocation::session(fresh("sid"), never),
        Revocation::session(fresh("sid"), soon).of_issuer(issuer),
        Revocation::new(subject(None, now()), soon),
        Revocation::new(subject(Some(""), u64::MAX), never),
        Revocation::new(subject(Some(issuer), 0), soon),
        // Beyond what a double can count, and beyond what SQL calls a bigint.
        Revocation::new(
            subject(Some(issuer), (1 << 53) + 1),
            NumericDate::from_secs((1 << 63) + 1),
        ),
        Revocation::api_key(fresh("key")),
        // No token was issued that early, whoever else looks at this store.
        Revocation::everything(NumericDate::from_secs(1), soon),
    ];
    let hostile = hostile.map(|name| Revocation::token_id(fresh(name), soon));
    kinds.extend(hostile);
    kinds
}

async fn each_kind_comes_back_as_it_went_in<S: RevocationStore>(store: &S, other: &S) {
    let kinds = each_kind();
    for (n, kind) in kinds.iter().enumerate() {
        publish([store, other][n % 2], kind).await;
    }
    for node in [store, other] {
        let found = HashSet::<_>::from_iter(load(node).await);
        for kind in &kinds {
            assert!(
                found.contains(kind),
                "{kind:?} comes back as it went in, on every node"
            );
        }
    }
    // Another case, another issuer and none are other ones.
    let one = Revocation::token_id(fresh("Jti"), NumericDate::from_secs(now() + 3_600));
    publish(store, &one).await;
    let RevocationTarget::TokenId { id, .. } = one.target() else {
        unreachable!("it was made of an ID")
    };
    let similar = [
        Revocation::token_id(id.to_lowercase(), one.expires_at()),
        Revocation::token_id(format!("{id} "), one.expires_at()),
        Revocation::session(id, one.expires_at()),
        Revocation::api_key(id),
        one.clone().of_issuer("https://id.example"),
    ];
    let found = load(store).await;
    for similar in similar {
        assert!(!found.contains(&similar), "names are kept byte by byte");
    }
}

async fn to_publish_again_changes_nothing<S: RevocationStore>(store: &S, other: &S) {
    let revocation = revocation("again");
    let nodes = [store, other].into_iter().cycle().take(20);
    let publications = nodes.map(|node| node.publish(&revocation));
    together(publications).await.into_iter().for_each(answered);
    let found = load(store).await;
    let kept = found.iter().filter(|found| **found == revocation);
    assert_eq!(
        kept.count(),
        1,
        "what is published again and again is kept once"
    );
}

async fn the_longer_memory_wins<S: RevocationStore>(store: &S, other: &S) {
    let [short, long] = [1_000, 2_000].map(|seconds| NumericDate::from_secs(now() + seconds));
    for ends in [[short, long], [long, short]] {
        let id = fresh("session");
        for end in ends {
            publish(store, &Revocation::session(&*id, end)).await;
        }
        let kept = Revocation::session(id, long);
        assert!(
            load(other).await.contains(&kept),
            "whatever else is said of a target, it is remembered as long as anybody asked for"
        );
    }
    let subject = fresh("alice");
    let before = |before, expires_at| {
        let target = RevocationTarget::Subject {
            issuer: None,
            subject: subject.clone(),
            before,
        };
        Revocation::new(target, expires_at)
    };
    let marks = [before(200, short), before(100, long)];
    for mark in &marks {
        publish(store, mark).await;
    }
    let found = load(other).await;
    for mark in &marks {
        assert!(
            found.contains(mark),
            "whichever revokes less is remembered longer"
        );
    }
}

async fn a_feed_tells_what_is_published_elsewhere<S: RevocationStore>(store: &S, other: &S) {
    let mut feed = answered(other.subscribe().await);
    let kinds = each_kind();
    for kind in &kinds {
        publish(store, kind).await;
    }
    hear(&mut feed, &kinds).await;

    let many: Vec<_> = (0..50).map(|n| revocation(&format!("many-{n}"))).collect();
    let nodes = [store, other].into_iter().cycle();
    let publications = many
        .iter()
        .zip(nodes)
        .map(|(revocation, node)| node.publish(revocation));
    together(publications).await.into_iter().for_each(answered);
    hear(&mut feed, &many).await;
}

async fn a_feed_loses_nothing_to_a_wait_that_was_given_up<S: RevocationStore>(
    store: &S,
    other: &S,
) {
    let mut feed = answered(other.subscribe().await);
    let mut missing = HashSet::new();
    for n in 0..20 {
        let revocation = revocation(&format!("impatient-{n}"));
        publish(store, &revocation).await;
        missing.insert(revocation);
        // Whoever waits gives up at once, and comes again.
        if let Ok(news) = timeout(Duration::ZERO, feed.next()).await {
            missing.remove(&news.expect("a feed lasts while its store does"));
        }
    }
    hear(&mut feed, &Vec::from_iter(missing)).await;
}

async fn one_feed_is_not_the_other<S: RevocationStore>(store: &S, other: &S) {
    let mut first = answered(store.subscribe().await);
    let mut second = answered(other.subscribe().await);
    drop(answered(other.subscribe().await));
    let revocation = [revocation("both")];
    publish(store, &revocation[0]).await;
    for feed in [&mut first, &mut second] {
        hear(feed, &revocation).await;
    }
}

async fn what_is_over_is_dropped<S: RevocationStore>(store: &S, other: &S) {
    let until = |seconds| NumericDate::from_secs(seconds);
    let leeway = Revocation::token_id(fresh("late"), until(now() - LEEWAY + 200));
    let over = Revocation::token_id(fresh("over"), until(now() - LEEWAY - 100));
    let soon = Revocation::token_id(fresh("soon"), until(now() - LEEWAY + 2));
    for revocation in [&leeway, &over, &soon] {
        publish(store, revocation).await;
    }
    let found = load(other).await;
    assert!(
        found.contains(&leeway),
        "a token may be accepted for the longest leeway after its end, and so its revocation holds"
    );
    assert!(
        !found.contains(&over),
        "nobody has to remember what is over"
    );
    let dropped = async {
        while load(other).await.contains(&soon) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let dropped = timeout(PATIENCE, dropped).await;
    assert!(dropped.is_ok(), "what was in force goes when it is over");
    assert!(load(store).await.contains(&leeway));
}
