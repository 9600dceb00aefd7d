//! The suite of [`OwnerStore`].

use std::collections::BTreeSet;

use super::{fresh, together};
use crate::{
    Claim, Cursor, Listing, OwnerAccess, OwnerStore, Page, ResourceId, Role, Standing, StoreError,
    SubjectId,
};

/// Holds a store to what [`OwnerStore`] promises. `open` gives a handle to the store under test; several handles that
/// it gives must see the same owners, as two nodes of one service do.
///
/// # Panics
///
/// At the first promise that is not kept, or when the store does not answer.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use tower_warden::{MemoryOwnerStore, testing::conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = Arc::new(MemoryOwnerStore::new());
/// conformance::owner_store(async || Arc::clone(&store)).await;
/// # }
/// ```
pub async fn owner_store<S: OwnerStore>(open: impl AsyncFn() -> S) {
    let (store, other) = (open().await, open().await);
    first_claim_wins(&store, &other).await;
    one_of_many_claims_wins(&store, &other).await;
    claims_are_counted(&store, &other).await;
    names_are_compared_byte_by_byte(&store).await;
    nobody_has_access_to_what_nobody_owns(&store).await;
    grants_give_and_take(&store, &other).await;
    a_transfer_needs_the_owner_and_ends_all_grants(&store, &other).await;
    one_of_many_transfers_wins(&store, &other).await;
    lists_are_paged_in_order(&store).await;
    a_cursor_is_only_a_place(&store).await;
}

pub(super) fn resource(name: &str) -> ResourceId {
    ResourceId::new(name).expect("the suite makes good names")
}

pub(super) fn subject(name: &str) -> SubjectId {
    SubjectId::new("https://id.example", name).expect("the suite makes good names")
}

#[track_caller]
pub(super) fn answered<T>(answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("the store did not answer: {error:?}"),
    }
}

/// What a subject is to a resource.
async fn standing(
    store: &impl OwnerStore,
    resource: &ResourceId,
    subject: &SubjectId,
) -> Option<Standing> {
    let access = answered(store.access(resource, subject).await);
    access.map(|access| access.standing())
}

async fn first_claim_wins(store: &impl OwnerStore, other: &impl OwnerStore) {
    let room = resource(&fresh("room"));
    let [alice, bob] = ["alice", "bob"].map(|name| subject(&fresh(name)));
    assert_eq!(
        answered(store.owner(&room).await),
        None,
        "nobody owns what nobody claimed"
    );
    for (who, claim) in [
        (&alice, Claim::Claimed),
        (&alice, Claim::AlreadyYours),
        (&bob, Claim::Other),
        (&alice, Claim::AlreadyYours),
    ] {
        assert_eq!(answered(store.claim(&room, who).await), claim);
    }
    assert_eq!(
        answered(other.claim(&room, &bob).await),
        Claim::Other,
        "another node sees the claim"
    );
    assert_eq!(answered(other.owner(&room).await), Some(alice));
}

async fn one_of_many_claims_wins(store: &impl OwnerStore, other: &impl OwnerStore) {
    let room = resource(&fresh("contested"));
    let rivals: Vec<_> = (0..50)
        .map(|n| subject(&fresh(&format!("rival{n}"))))
        .collect();
    // Everybody asks twice, once on each node.
    let nodes: [&dyn OwnerStore; 2] = [store, other];
    let asking = rivals.iter().chain(rivals.iter().rev());
    let asked: Vec<_> = asking.zip(nodes.into_iter().cycle()).collect();
    let claims = asked.iter().map(|(rival, node)| node.claim(&room, rival));
    let claims: Vec<_> = together(claims).await.into_iter().map(answered).collect();
    let won = claims.iter().filter(|claim| **claim == Claim::Claimed);
    assert_eq!(won.count(), 1, "exactly one of many first claims wins");
    let owner = answered(store.owner(&room).await);
    for ((rival, _), claim) in asked.iter().zip(claims) {
        let owns = owner.as_ref() == Some(rival);
        assert_eq!(claim != Claim::Other, owns, "whoever lost is told so");
    }
}

async fn claims_are_counted(store: &impl OwnerStore, other: &impl OwnerStore) {
    let [alice, bob] = ["counted", "uncounted"].map(|name| subject(&fresh(name)));
    let rooms: Vec<_> = (0..40).map(|_| resource(&fresh("counted"))).collect();
    let nodes: [&dyn OwnerStore; 2] = [store, other];
    let asked = rooms.iter().zip(nodes.into_iter().cycle());
    let claims = asked.map(|(room, node)| node.claim_within(room, &alice, 5));
    let claims: Vec<_> = together(claims).await.into_iter().map(answered).collect();
    let mut claimed = Vec::new();
    let mut refused = Vec::new();
    for (room, claim) in rooms.iter().zip(claims) {
        match claim {
            Claim::Claimed => claimed.push(room),
            Claim::LimitReached => refused.push(room),
            other => panic!("the claim of a resource without owner is {other:?}"),
        }
    }
    assert_eq!(claimed.len(), 5, "claims at once never go over the limit");
    let again = answered(other.claim_within(claimed[0], &alice, 5).await);
    assert_eq!(again, Claim::AlreadyYours, "the limit takes nothing away");
    let others = answered(other.claim_within(claimed[0], &bob, 0).await);
    assert_eq!(others, Claim::Other, "a resource with an owner tells so");
    assert_eq!(
        answered(store.owner(refused[0]).await),
        None,
        "a claim over the limit leaves the resource without owner"
    );
}

async fn names_are_compared_byte_by_byte(store: &impl OwnerStore) {
    let base = fresh("room");
    let longest = format!("{base}{}", "x".repeat(1024 - base.len()));
    let names = [
        base.clone(),
        base.to_uppercase(),
        format!(" {base}"),
        format!("{base} "),
        format!("{base}/"),
        format!("{base}:"),
        format!("{base}%"),
        format!("{base}_"),
        format!("{base}*"),
        format!("{base}?"),
        format!("{base}\\"),
        format!("{base}' OR '1'='1"),
        format!("{base}\"; DROP TABLE owners; --"),
        format!("{base}{{x}}"),
        format!("{base}\r\nSET x 1\r\n"),
        format!("{base}\u{e9}"),
        format!("{base}e\u{301}"),
        format!("{base}\u{200b}"),
        format!("{base}\u{212a}"),
        format!("{base}K"),
        format!("{base}k"),
        format!("{base}\u{ff2b}"),
        format!("{base}\u{1f5dd}"),
        longest,
    ];
    let one = resource(&base);
    let mut owners = BTreeSet::new();
    for name in &names {
        let room = resource(name);
        // A subject holds no control character.
        let owner = subject(&name.replace(char::is_control, "_"));
        assert_eq!(
            answered(store.claim(&room, &owner).await),
            Claim::Claimed,
            "{name:?} is a resource of its own"
        );
        assert_eq!(
            answered(store.owner(&room).await).as_ref(),
            Some(&owner),
            "{name:?} comes back as it went in"
        );
        owners.insert(owner);
    }
    assert_eq!(owners.len(), names.len());
    for owner in &owners {
        let expected = if owner.subject() == base {
            Standing::Owner
        } else {
            Standing::Stranger
        };
        assert_eq!(
            standing(store, &one, owner).await,
            Some(expected),
            "{:?} is a subject of its own",
            owner.subject()
        );
    }
    let namesakes = [
        SubjectId::new("", base.as_str()),
        SubjectId::new("https://evil.example", base.as_str()),
        SubjectId::new("https://ID.example", base.as_str()),
        SubjectId::new("https://id.exampl", format!("e{base}")),
    ];
    for namesake in namesakes {
        let namesake = namesake.expect("the suite makes good names");
        assert_eq!(
            standing(store, &one, &namesake).await,
            Some(Standing::Stranger),
            "another issuer's subject is another one"
        );
        assert_eq!(answered(store.claim(&one, &namesake).await), Claim::Other);
    }
}

async fn nobody_has_access_to_what_nobody_owns(store: &impl OwnerStore) {
    let room = resource(&fresh("unowned"));
    let [alice, bob] = ["alice", "bob"].map(|name| subject(&fresh(name)));
    assert_eq!(standing(store, &room, &alice).await, None);
    assert_eq!(
        answered(store.grant(&room, &alice, Role::Admin).await),
        None,
        "what nobody owns cannot be shared"
    );
    assert!(!answered(store.revoke(&room, &alice).await));
    assert!(
        !answered(store.transfer(&room, &alice, &bob).await),
        "what nobody owns cannot be handed over"
    );
    assert_eq!(standing(store, &room, &alice).await, None);
    assert_eq!(
        answered(store.claim(&room, &bob).await),
        Claim::Claimed,
        "none of that made an owner"
    );
    assert_eq!(
        standing(store, &room, &alice).await,
        Some(Standing::Stranger),
        "none of that left a grant behind"
    );
}

async fn grants_give_and_take(store: &impl OwnerStore, other: &impl OwnerStore) {
    let room = resource(&fresh("shared"));
    let [alice, bob] = ["alice", "bob"].map(|name| subject(&fresh(name)));
    answered(store.claim(&room, &alice).await);
    assert_eq!(
        answered(store.grant(&room, &alice, Role::Reader).await),
        Some(Standing::Owner),
        "a grant to the owner changes nothing"
    );
    assert_eq!(standing(store, &room, &alice).await, Some(Standing::Owner));
    for role in [Role::Reader, Role::Admin, Role::Writer, Role::Writer] {
        let granted = Some(Standing::Granted(role));
        assert_eq!(answered(store.grant(&room, &bob, role).await), granted);
        assert_eq!(
            standing(other, &room, &bob).await,
            granted,
            "the last grant is the one that holds"
        );
    }
    let access = answered(store.access(&room, &bob).await);
    assert_eq!(
        access.as_ref().map(OwnerAccess::owner),
        Some(&alice),
        "access names the owner"
    );
    assert_eq!(
        answered(store.claim(&room, &bob).await),
        Claim::Other,
        "a grant makes no owner"
    );
    assert!(
        !answered(store.transfer(&room, &bob, &bob).await),
        "a grant is no right to hand over"
    );
    assert!(answered(store.revoke(&room, &bob).await));
    assert!(
        !answered(store.revoke(&room, &bob).await),
        "a grant ends once"
    );
    assert_eq!(standing(other, &room, &bob).await, Some(Standing::Stranger));
    assert!(
        !answered(store.revoke(&room, &alice).await),
        "ownership is no grant"
    );
    assert_eq!(standing(store, &room, &alice).await, Some(Standing::Owner));
}

async fn a_transfer_needs_the_owner_and_ends_all_grants(
    store: &impl OwnerStore,
    other: &impl OwnerStore,
) {
    let room = resource(&fresh("handed-over"));
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| subject(&fresh(name)));
    answered(store.claim(&room, &alice).await);
    answered(store.grant(&room, &bob, Role::Writer).await);
    answered(store.grant(&room, &carol, Role::Admin).await);
    assert!(!answered(store.transfer(&room, &carol, &carol).await));
    assert_eq!(answered(store.owner(&room).await), Some(alice.clone()));
    assert!(answered(store.transfer(&room, &alice, &bob).await));
    assert!(
        !answered(store.transfer(&room, &alice, &carol).await),
        "what was handed over is not yours to hand over"
    );
    for (who, expected) in [
        (&alice, Standing::Stranger),
        (&bob, Standing::Owner),
        (&carol, Standing::Stranger),
    ] {
        assert_eq!(standing(other, &room, who).await, Some(expected));
    }
    assert!(answered(store.transfer(&room, &bob, &carol).await));
    assert_eq!(
        standing(store, &room, &bob).await,
        Some(Standing::Stranger),
        "an old grant does not come back"
    );
    let list = |who| {
        let page = Page::first();
        async move { answered(store.list(who, &page).await).items }
    };
    assert_eq!(list(&alice).await, []);
    assert_eq!(list(&bob).await, []);
    assert_eq!(list(&carol).await, [room]);
}

async fn one_of_many_transfers_wins(store: &impl OwnerStore, other: &impl OwnerStore) {
    let room = resource(&fresh("contested"));
    let alice = subject(&fresh("alice"));
    answered(store.claim(&room, &alice).await);
    let heirs: Vec<_> = (0..20)
        .map(|n| subject(&fresh(&format!("heir{n}"))))
        .collect();
    let nodes: [&dyn OwnerStore; 2] = [store, other];
    let asked = heirs.iter().zip(nodes.into_iter().cycle());
    let transfers = asked.map(|(heir, node)| node.transfer(&room, &alice, heir));
    let transfers = together(transfers).await.into_iter().map(answered);
    let mut winners: Vec<_> = heirs
        .iter()
        .zip(transfers)
        .filter(|(_, won)| *won)
        .map(|(heir, _)| heir.clone())
        .collect();
    assert_eq!(winners.len(), 1, "exactly one of many transfers wins");
    assert_eq!(answered(store.owner(&room).await), winners.pop());
}

async fn lists_are_paged_in_order(store: &impl OwnerStore) {
    let base = fresh("list");
    let alice = subject(&fresh("alice"));
    let mallory = subject(&format!("{}x", alice.subject()));
    // In the order of bytes, which is no locale's: capitals first, what is not ASCII last.
    let endings = [
        "",
        "-",
        "/",
        "0",
        "9",
        "A",
        "B",
        "Z",
        "a",
        "b",
        "z",
        "\u{e4}",
        "\u{1f5dd}",
    ];
    let mut expected: Vec<_> = endings
        .iter()
        .map(|ending| resource(&format!("{base}{ending}")))
        .collect();
    for room in expected.iter().rev() {
        answered(store.claim(room, &alice).await);
    }
    answered(store.claim(&resource(&format!("{base}M")), &mallory).await);
    expected.sort();
    for limit in [1, 4, 13, 14] {
        let mut page = Page::first().with_limit(limit);
        let mut found = Vec::new();
        for _ in 0..=endings.len() {
            let Listing { items, next } = answered(store.list(&alice, &page).await);
            assert!(
                items.len() <= usize::from(limit),
                "a page keeps to its limit"
            );
            found.extend(items);
            match next {
                Some(cursor) => page = Page::after(reparsed(&cursor)).with_limit(limit),
                None => break,
            }
        }
        assert_eq!(
            found.iter().map(ResourceId::as_str).collect::<Vec<_>>(),
            expected.iter().map(ResourceId::as_str).collect::<Vec<_>>(),
            "pages of {limit} are the list, in the order of bytes"
        );
    }
    let nobody = subject(&fresh("nobody"));
    let empty = answered(store.list(&nobody, &Page::first()).await);
    assert_eq!((empty.items, empty.next), (vec![], None));
}

/// The cursor as a client sends it back.
fn reparsed(cursor: &Cursor) -> Cursor {
    let text = cursor.to_string();
    text.parse().expect("a cursor survives its journey")
}

async fn a_cursor_is_only_a_place(store: &impl OwnerStore) {
    let base = fresh("place");
    let [alice, mallory] = ["alice", "mallory"].map(|name| subject(&fresh(name)));
    for n in 0..3 {
        let room = resource(&format!("{base}{n}"));
        answered(store.claim(&room, &alice).await);
    }
    let first = answered(store.list(&alice, &Page::first().with_limit(1)).await);
    let cursor = first.next.expect("there are three");
    let stolen = answered(store.list(&mallory, &Page::after(cursor)).await);
    assert_eq!(stolen.items, [], "a cursor opens nobody else's list");
}
