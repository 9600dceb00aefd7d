//! The suite of [`ApiKeyStore`].

use super::{fresh, together};
use crate::{
    ApiKeyRecord, ApiKeyStore, Inserted, KeyHash, NumericDate, Page, StoreError, SubjectId,
};

/// Holds a store to what [`ApiKeyStore`] promises. `open` gives a handle to the store under test; several handles that
/// it gives must see the same keys, as two nodes of one service do.
///
/// # Panics
///
/// At the first promise that is not kept, or when the store does not answer.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use tower_warden::{MemoryApiKeyStore, testing::conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = Arc::new(MemoryApiKeyStore::new());
/// conformance::api_key_store(async || Arc::clone(&store)).await;
/// # }
/// ```
pub async fn api_key_store<S: ApiKeyStore>(open: impl AsyncFn() -> S) {
    let (store, other) = (open().await, open().await);
    a_record_comes_back_as_it_went_in(&store, &other).await;
    an_id_is_taken_once(&store, &other).await;
    only_the_owner_revokes(&store, &other).await;
    use_is_noted_and_never_turned_back(&store, &other).await;
    use_brings_nothing_back(&store).await;
    lists_are_paged_in_order(&store).await;
    no_owner_has_more_than_the_limit(&store, &other).await;
}

fn subject(name: &str) -> SubjectId {
    SubjectId::new("https://id.example", name).expect("the suite makes good names")
}

fn record(id: String, owner: &SubjectId) -> ApiKeyRecord {
    let mut hash = [0; 32];
    getrandom::fill(&mut hash).expect("the system has randomness");
    ApiKeyRecord {
        id,
        hash: KeyHash::from_bytes(&hash).expect("a hash has 32 bytes"),
        owner: owner.clone(),
        label: String::new(),
        scopes: Vec::new(),
        created_at: NumericDate::from_secs(1_800_000_000),
        expires_at: None,
        last_used_at: None,
    }
}

/// An ID as keys have it: letters and digits.
fn id() -> String {
    fresh("k").replace('-', "")
}

#[track_caller]
fn answered<T>(answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("the store did not answer: {error:?}"),
    }
}

/// More keys than any test of the suite makes for one owner.
const MOST: u16 = 100;

/// Keeps a record, and says whether its ID was free.
async fn keep(store: &impl ApiKeyStore, record: &ApiKeyRecord) -> bool {
    answered(store.insert(record, MOST).await) == Inserted::Kept
}

async fn a_record_comes_back_as_it_went_in(store: &impl ApiKeyStore, other: &impl ApiKeyStore) {
    let alice = subject(&fresh("alice' OR 1=1; --\u{e9}"));
    let plain = record(id(), &alice);
    let full = ApiKeyRecord {
        label: "\"my\" laptop\\, it's \u{1f5dd}\r\n".into(),
        scopes: vec!["chat:read".into(), "chat:write".into()],
        created_at: NumericDate::from_secs(0),
        expires_at: Some(NumericDate::from_secs(253_402_300_799)),
        last_used_at: Some(NumericDate::from_secs(1)),
        ..record(id(), &alice)
    };
    for record in [plain, full] {
        assert_eq!(answered(store.find(&record.id).await), None);
        assert!(keep(store, &record).await);
        let found = answered(other.find(&record.id).await);
        assert_eq!(found.as_ref(), Some(&record));
        let found = found.map(|found| (found.owner.subject().to_owned(), found.label));
        let expected = (record.owner.subject().to_owned(), record.label.clone());
        assert_eq!(found, Some(expected));
    }
}

async fn an_id_is_taken_once(store: &impl ApiKeyStore, other: &impl ApiKeyStore) {
    let id = id();
    let rivals: Vec<_> = (0..20)
        .map(|n| record(id.clone(), &subject(&fresh(&format!("rival{n}")))))
        .collect();
    let nodes: [&dyn ApiKeyStore; 2] = [store, other];
    let inserts = rivals.iter().zip(nodes.into_iter().cycle());
    let answers = together(inserts.map(|(rival, node)| node.insert(rival, MOST))).await;
    let winners: Vec<_> = rivals
        .iter()
        .zip(answers)
        .filter_map(|(rival, answer)| (answered(answer) == Inserted::Kept).then_some(rival))
        .collect();
    assert_eq!(winners.len(), 1, "exactly one of many keys gets an ID");
    let found = answered(store.find(&id).await);
    assert_eq!(found.as_ref(), winners.first().copied());
    for rival in &rivals {
        let listed = answered(store.list(&rival.owner, &Page::first()).await);
        let expected = usize::from(winners.first() == Some(&rival));
        assert_eq!(
            listed.items.len(),
            expected,
            "nobody lists what was refused"
        );
    }
    assert_eq!(
        answered(store.find(&id.to_uppercase()).await),
        None,
        "an ID has one spelling"
    );
}

async fn only_the_owner_revokes(store: &impl ApiKeyStore, other: &impl ApiKeyStore) {
    let [alice, mallory] = ["alice", "mallory"].map(|name| subject(&fresh(name)));
    let namesake = SubjectId::new("https://evil.example", alice.subject());
    let namesake = namesake.expect("the suite makes good names");
    let key = record(id(), &alice);
    keep(store, &key).await;
    for stranger in [&mallory, &namesake] {
        assert!(!answered(store.revoke(stranger, &key.id).await));
    }
    assert!(!answered(store.revoke(&alice, &id()).await));
    assert!(answered(other.find(&key.id).await).is_some());
    assert!(answered(store.revoke(&alice, &key.id).await));
    assert!(
        !answered(store.revoke(&alice, &key.id).await),
        "a key is revoked once"
    );
    assert_eq!(
        answered(other.find(&key.id).await),
        None,
        "every node sees it at once"
    );
    assert_eq!(answered(store.list(&alice, &Page::first()).await).items, []);
}

async fn use_is_noted_and_never_turned_back(store: &impl ApiKeyStore, other: &impl ApiKeyStore) {
    let key = record(id(), &subject(&fresh("alice")));
    keep(store, &key).await;
    for (used, noted) in [(100, 100), (50, 100), (200, 200), (200, 200)] {
        let used = NumericDate::from_secs(used);
        answered(store.touch(&key.id, used).await);
        let expected = ApiKeyRecord {
            last_used_at: Some(NumericDate::from_secs(noted)),
            ..key.clone()
        };
        assert_eq!(
            answered(other.find(&key.id).await),
            Some(expected),
            "use at {used:?} changes nothing else"
        );
    }
}

async fn use_brings_nothing_back(store: &impl ApiKeyStore) {
    let alice = subject(&fresh("alice"));
    let key = record(id(), &alice);
    keep(store, &key).await;
    answered(store.revoke(&alice, &key.id).await);
    answered(store.touch(&key.id, NumericDate::from_secs(7)).await);
    assert_eq!(answered(store.find(&key.id).await), None);
    assert_eq!(answered(store.list(&alice, &Page::first()).await).items, []);
    let unknown = id();
    answered(store.touch(&unknown, NumericDate::from_secs(7)).await);
    assert_eq!(answered(store.find(&unknown).await), None);
}

async fn lists_are_paged_in_order(store: &impl ApiKeyStore) {
    let alice = subject(&fresh("alice"));
    let mallory = SubjectId::new("", alice.subject()).expect("the suite makes good names");
    let base = id();
    // In the order of bytes, which is no locale's: digits, capitals, small letters.
    let ids = ["1", "9", "A", "B", "Z", "a", "b", "z"].map(|ending| format!("{base}{ending}"));
    for id in ids.iter().rev() {
        keep(store, &record(id.clone(), &alice)).await;
    }
    keep(store, &record(format!("{base}M"), &mallory)).await;
    for limit in [1, 3, 8, 9] {
        let mut page = Page::first().with_limit(limit);
        let mut found = Vec::new();
        for _ in 0..=ids.len() {
            let listing = answered(store.list(&alice, &page).await);
            assert!(
                listing.items.len() <= usize::from(limit),
                "a page keeps to its limit"
            );
            found.extend(listing.items.into_iter().map(|record| record.id));
            match listing.next {
                Some(cursor) => page = Page::after(cursor).with_limit(limit),
                None => break,
            }
        }
        assert_eq!(
            found, ids,
            "pages of {limit} are the list, in the order of bytes"
        );
    }
}

async fn no_owner_has_more_than_the_limit(store: &impl ApiKeyStore, other: &impl ApiKeyStore) {
    let [alice, bob] = ["alice", "bob"].map(|name| subject(&fresh(name)));
    let many: Vec<_> = (0..60).map(|_| record(id(), &alice)).collect();
    let nodes: [&dyn ApiKeyStore; 2] = [store, other];
    let inserts = many.iter().zip(nodes.into_iter().cycle());
    let answers = together(inserts.map(|(record, node)| node.insert(record, 5))).await;
    let kept = answers.into_iter().map(answered);
    let kept = kept.filter(|answer| *answer == Inserted::Kept).count();
    assert_eq!(
        kept, 5,
        "of many keys at once there are as many as one may have"
    );
    let listed = answered(other.list(&alice, &Page::first()).await).items;
    assert_eq!(
        listed.len(),
        5,
        "an owner has no more keys than one may have"
    );
    let one_more = record(id(), &alice);
    let refused = answered(other.insert(&one_more, 5).await);
    assert_eq!(refused, Inserted::LimitReached);
    assert_eq!(answered(store.find(&one_more.id).await), None);
    assert!(
        keep(store, &record(id(), &bob)).await,
        "a limit is each owner's own"
    );
    // Each that goes makes room for one.
    if let Some(first) = listed.first() {
        assert!(answered(store.revoke(&alice, &first.id).await));
    }
    let kept = answered(other.insert(&one_more, 5).await);
    assert_eq!(
        kept,
        Inserted::Kept,
        "a key that is revoked makes room at once"
    );
    let refused = answered(store.insert(&record(id(), &alice), 5).await);
    assert_eq!(refused, Inserted::LimitReached);
}
