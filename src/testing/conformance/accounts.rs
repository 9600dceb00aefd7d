//! The suite of [`AccountStore`].

use super::{fresh, together};
use crate::{
    NumericDate, StoreError,
    accounts::{AccountStore, RefreshHash, SessionRecord, UserRecord},
};

/// Holds a store to what [`AccountStore`] promises. `open` gives a handle to the store under test; several handles that
/// it gives must see the same accounts, as two nodes of one service do.
///
/// # Panics
///
/// At the first promise that is not kept, or when the store does not answer.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use tower_warden::{MemoryAccountStore, testing::conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = Arc::new(MemoryAccountStore::new());
/// conformance::account_store(async || Arc::clone(&store)).await;
/// # }
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "accounts")))]
pub async fn account_store<S: AccountStore>(open: impl AsyncFn() -> S) {
    let (store, other) = (open().await, open().await);
    an_account_comes_back_as_it_went_in(&store, &other).await;
    a_name_is_taken_once(&store, &other).await;
    names_and_ids_are_kept_apart(&store).await;
    a_hash_is_replaced_only_by_who_read_it(&store, &other).await;
    a_session_begins_only_under_the_hash_that_was_verified(&store, &other).await;
    a_refresh_token_is_exchanged_once(&store, &other).await;
    dates_do_not_go_back(&store, &other).await;
    only_the_user_ends_a_session(&store, &other).await;
    a_new_password_ends_every_session(&store, &other).await;
    nothing_brings_a_session_back(&store).await;
    what_is_over_is_neither_listed_nor_kept(&store).await;
}

/// When the suite takes place.
const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> NumericDate {
    NumericDate::from_secs(NOW + seconds)
}

/// Random bytes, each time others.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

fn hash() -> RefreshHash {
    RefreshHash::from_bytes(&random::<32>()).expect("a hash has 32 bytes")
}

fn user(username: String) -> UserRecord {
    UserRecord {
        id: uuid::Builder::from_random_bytes(random())
            .into_uuid()
            .to_string(),
        username,
        password_hash: format!("$2b$12${}", fresh("hash")),
        created_at: at(0),
    }
}

/// A session that lasts for an hour.
fn session(user: &UserRecord, made: u64) -> SessionRecord {
    SessionRecord {
        id: base64_simd::URL_SAFE_NO_PAD.encode_to_string(random::<16>()),
        user_id: user.id.clone(),
        created_at: at(made),
        seen_at: at(made),
        expires_at: at(made + 3_600),
        user_agent: String::new(),
        refresh_hash: hash(),
        refreshed_at: None,
        refreshes: 0,
    }
}

#[track_caller]
fn answered<T>(answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("the store did not answer: {error:?}"),
    }
}

/// A new user with a first session.
async fn registered(store: &impl AccountStore) -> (UserRecord, SessionRecord) {
    let user = user(fresh("alice"));
    let session = session(&user, 0);
    assert!(answered(store.register(&user, &session).await));
    (user, session)
}

/// The IDs of the sessions that a user has at that time, in their order.
async fn listed(store: &impl AccountStore, user: &UserRecord, now: u64) -> Vec<String> {
    let sessions = answered(store.list_sessions(&user.id, at(now)).await);
    sessions.into_iter().map(|session| session.id).collect()
}

async fn an_account_comes_back_as_it_went_in(store: &impl AccountStore, other: &impl AccountStore) {
    let plain = fresh("alice");
    for name in [
        plain,
        fresh("m\u{fc}ller"),
        fresh("\u{592a}\u{90ce}.o'x@+_"),
    ] {
        let user = user(name);
        let session = SessionRecord {
            user_agent: String::from("\"Mozilla\"\\; it's \u{1f5dd}; '); --"),
            expires_at: NumericDate::from_secs(253_402_300_799),
            refreshed_at: Some(at(7)),
            refreshes: 4_000_000_000,
            ..session(&user, 1)
        };
        assert_eq!(answered(store.find_user(&user.username).await), None);
        assert_eq!(answered(store.find_session(&session.id).await), None);
        assert!(answered(store.register(&user, &session).await));
        let found = answered(other.find_user(&user.username).await);
        assert_eq!(found.as_ref(), Some(&user));
        let found = answered(other.find_session(&session.id).await);
        assert_eq!(found, Some((session, user)));
    }
}

async fn a_name_is_taken_once(store: &impl AccountStore, other: &impl AccountStore) {
    let name = fresh("alice");
    let rivals: Vec<_> = (0..20)
        .map(|_| {
            let user = user(name.clone());
            let session = session(&user, 0);
            (user, session)
        })
        .collect();
    let nodes: [&dyn AccountStore; 2] = [store, other];
    let registrations = rivals.iter().zip(nodes.into_iter().cycle());
    let answers =
        together(registrations.map(|((user, session), node)| node.register(user, session))).await;
    let winners: Vec<_> = rivals
        .iter()
        .zip(answers)
        .filter_map(|((user, _), answer)| answered(answer).then_some(user))
        .collect();
    assert_eq!(winners.len(), 1, "exactly one of many gets a name");
    let found = answered(store.find_user(&name).await);
    assert_eq!(found.as_ref(), winners.first().copied());
    for (user, session) in &rivals {
        let won = winners.first() == Some(&user);
        let found = answered(store.find_session(&session.id).await);
        assert_eq!(found.is_some(), won, "who gets no name gets no session");
    }
}

async fn names_and_ids_are_kept_apart(store: &impl AccountStore) {
    let (alice, _) = registered(store).await;
    let capitals = UserRecord {
        username: alice.username.to_uppercase(),
        ..user(String::new())
    };
    let taken = answered(store.register(&capitals, &session(&capitals, 0)).await);
    assert!(!taken, "a name is the same in capitals");
    let renamed = UserRecord {
        username: fresh("bob"),
        ..alice.clone()
    };
    let twice = answered(store.register(&renamed, &session(&renamed, 0)).await);
    assert!(!twice, "an ID is never used again");
    assert_eq!(answered(store.find_user(&renamed.username).await), None);

    // As another system has kept it.
    let old = UserRecord {
        username: fresh("Old-User"),
        ..user(String::new())
    };
    assert!(answered(store.register(&old, &session(&old, 0)).await));
    let found = answered(store.find_user(&old.username.to_lowercase()).await);
    assert_eq!(
        found,
        Some(old),
        "a row with capitals is found in small letters"
    );
    // Capitals beyond ASCII are those of Unicode, whatever `lower` of a database knows.
    let typed = UserRecord {
        username: fresh("M\u{dc}LLER"),
        ..user(String::new())
    };
    assert!(answered(store.register(&typed, &session(&typed, 0)).await));
    let small = UserRecord {
        username: typed.username.to_lowercase(),
        ..user(String::new())
    };
    let taken = answered(store.register(&small, &session(&small, 0)).await);
    assert!(!taken, "a name is the same in capitals beyond ASCII");
    let found = answered(store.find_user(&small.username).await);
    assert_eq!(found, Some(typed), "a name is kept as typed");
    for pattern in ["%", "_", "' OR 1=1 --", ""] {
        assert_eq!(
            answered(store.find_user(pattern).await),
            None,
            "{pattern:?}"
        );
    }
}

async fn a_hash_is_replaced_only_by_who_read_it(
    store: &impl AccountStore,
    other: &impl AccountStore,
) {
    let (alice, _) = registered(store).await;
    let (bob, _) = registered(store).await;
    let nodes: [&dyn AccountStore; 2] = [store, other];
    let next: Vec<_> = (0..10).map(|n| format!("$2b$12$next{n}")).collect();
    let replacing = next.iter().zip(nodes.into_iter().cycle());
    let answers = together(
        replacing.map(|(next, node)| node.replace_hash(&alice.id, &alice.password_hash, next)),
    )
    .await;
    let replaced: Vec<_> = next
        .iter()
        .zip(answers)
        .filter_map(|(next, answer)| answered(answer).then_some(next))
        .collect();
    assert_eq!(
        replaced.len(),
        1,
        "of many who read one hash exactly one replaces it"
    );
    let found = answered(other.find_user(&alice.username).await);
    let expected = UserRecord {
        password_hash: replaced
            .first()
            .map_or_else(String::new, ToString::to_string),
        ..alice.clone()
    };
    assert_eq!(found, Some(expected), "and nothing else");
    let found = answered(other.find_user(&bob.username).await);
    assert_eq!(found.as_ref(), Some(&bob), "nobody else is concerned");
    let nobody = user(fresh("nobody"));
    let unknown = store.replace_hash(&nobody.id, &nobody.password_hash, "$2b$");
    assert!(!answered(unknown.await));
}

async fn a_session_begins_only_under_the_hash_that_was_verified(
    store: &impl AccountStore,
    other: &impl AccountStore,
) {
    let (alice, first) = registered(store).await;
    let second = session(&alice, 10);
    assert!(answered(
        store.open_session(&second, &alice.password_hash).await
    ));
    let late = session(&alice, 20);
    let nobody = session(&user(fresh("nobody")), 20);
    for (session, hash) in [(&late, "$2b$12$older"), (&nobody, &*alice.password_hash)] {
        assert!(!answered(store.open_session(session, hash).await));
        assert_eq!(answered(other.find_session(&session.id).await), None);
    }
    let found = answered(other.find_session(&second.id).await);
    assert_eq!(found, Some((second.clone(), alice.clone())));
    assert_eq!(
        listed(other, &alice, 30).await,
        [second.id, first.id],
        "the latest login comes first"
    );
}

async fn a_refresh_token_is_exchanged_once(store: &impl AccountStore, other: &impl AccountStore) {
    let (alice, first) = registered(store).await;
    let nodes: [&dyn AccountStore; 2] = [store, other];
    let next: Vec<_> = (0..10).map(|_| hash()).collect();
    let exchanges = next.iter().zip(nodes.into_iter().cycle());
    let present = first.refresh_hash;
    let answers = together(
        exchanges.map(|(next, node)| node.refresh(&first.id, present, *next, at(60), at(7_200))),
    )
    .await;
    let exchanged: Vec<_> = next
        .iter()
        .zip(answers)
        .filter_map(|(next, answer)| answered(answer).then_some(*next))
        .collect();
    assert_eq!(
        exchanged.len(),
        1,
        "of many with one token exactly one exchanges it"
    );
    let expected = SessionRecord {
        refresh_hash: exchanged.first().copied().unwrap_or(present),
        refreshed_at: Some(at(60)),
        refreshes: 1,
        seen_at: at(60),
        expires_at: at(7_200),
        ..first.clone()
    };
    let found = answered(other.find_session(&first.id).await);
    assert_eq!(found, Some((expected, alice)), "and nothing else changes");
    let again = store.refresh(&first.id, present, hash(), at(61), at(7_201));
    assert!(!answered(again.await));
}

async fn dates_do_not_go_back(store: &impl AccountStore, other: &impl AccountStore) {
    let (_, first) = registered(store).await;
    for (seen, expires, seen_then, expires_then) in [
        (100, 4_000, 100, 4_000),
        (50, 3_900, 100, 4_000),
        (200, 3_900, 200, 4_000),
        (100, 5_000, 200, 5_000),
    ] {
        answered(store.touch(&first.id, at(seen), at(expires)).await);
        let found = answered(other.find_session(&first.id).await);
        let expected = SessionRecord {
            seen_at: at(seen_then),
            expires_at: at(expires_then),
            ..first.clone()
        };
        assert_eq!(found.map(|(session, _)| session), Some(expected));
    }
    answered(store.touch("AAAAAAAAAAAAAAAAAAAAAA", at(1), at(2)).await);
}

async fn only_the_user_ends_a_session(store: &impl AccountStore, other: &impl AccountStore) {
    let (alice, first) = registered(store).await;
    let (mallory, _) = registered(store).await;
    assert!(!answered(store.end_session(&mallory.id, &first.id).await));
    assert!(answered(other.find_session(&first.id).await).is_some());
    assert!(answered(store.end_session(&alice.id, &first.id).await));
    assert!(
        !answered(other.end_session(&alice.id, &first.id).await),
        "a session ends once"
    );
    assert_eq!(
        answered(other.find_session(&first.id).await),
        None,
        "every node sees it at once"
    );
}

async fn a_new_password_ends_every_session(store: &impl AccountStore, other: &impl AccountStore) {
    let (alice, first) = registered(store).await;
    let (_, foreign) = registered(store).await;
    let second = session(&alice, 10);
    assert!(answered(
        store.open_session(&second, &alice.password_hash).await
    ));
    let begun = session(&alice, 20);
    let next = "$2b$12$next";
    let refused = store.change_password("$2b$12$older", next, &begun);
    assert_eq!(answered(refused.await), None);
    assert_eq!(
        listed(other, &alice, 30).await.len(),
        2,
        "nothing has changed"
    );

    let changed = store.change_password(&alice.password_hash, next, &begun);
    let mut ended = answered(changed.await).unwrap_or_default();
    ended.sort();
    let mut expected = [first.id.clone(), second.id.clone()];
    expected.sort();
    assert_eq!(ended, expected, "each session that ended is named");
    assert_eq!(listed(other, &alice, 30).await, [begun.id]);
    assert!(answered(other.find_session(&foreign.id).await).is_some());
    let found = answered(other.find_user(&alice.username).await);
    assert_eq!(found.map(|user| user.password_hash), Some(next.to_owned()));
    let late = store.open_session(&second, &alice.password_hash);
    assert!(!answered(late.await), "the old password begins no session");
}

async fn nothing_brings_a_session_back(store: &impl AccountStore) {
    let (alice, first) = registered(store).await;
    let second = session(&alice, 10);
    answered(store.open_session(&second, &alice.password_hash).await);
    let mut ended = answered(store.end_sessions(&alice.id).await);
    ended.sort();
    let mut expected = [first.id.clone(), second.id];
    expected.sort();
    assert_eq!(ended, expected);
    assert!(answered(store.end_sessions(&alice.id).await).is_empty());
    answered(store.touch(&first.id, at(1), at(7_200)).await);
    let exchange = store.refresh(&first.id, first.refresh_hash, hash(), at(1), at(7_200));
    assert!(!answered(exchange.await));
    assert_eq!(answered(store.find_session(&first.id).await), None);
    assert!(listed(store, &alice, 0).await.is_empty());
}

async fn what_is_over_is_neither_listed_nor_kept(store: &impl AccountStore) {
    let (alice, first) = registered(store).await;
    let second = session(&alice, 10);
    answered(store.open_session(&second, &alice.password_hash).await);
    for (now, left) in [(3_599, 2), (3_600, 1), (3_609, 1), (3_610, 0)] {
        assert_eq!(listed(store, &alice, now).await.len(), left, "at {now}");
    }
    let swept = answered(store.sweep_sessions(at(3_600)).await);
    assert!(swept >= 1, "what is over is counted");
    assert_eq!(answered(store.find_session(&first.id).await), None);
    assert!(answered(store.find_session(&second.id).await).is_some());
}
