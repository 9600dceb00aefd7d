//! The suite of [`TicketStore`].

use std::{collections::BTreeMap, time::Duration};

use super::{fresh, together};
use crate::{
    Clock, StoreError, SystemClock, TicketHash, TicketRecord, TicketStore, testing::PrincipalLayer,
};

/// How long the tickets of the suite are good for.
const LIFETIME: Duration = Duration::from_secs(30);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Holds a store to what [`TicketStore`] promises. `open` gives a handle to the store under test; several handles that
/// it gives must see the same tickets, as two nodes of one service do.
///
/// Time is told to the store, and moves on faster than any clock does: a store that goes by a clock of its own is found
/// out. One that lets its engine drop what has expired, by an honest clock, is not.
///
/// # Panics
///
/// At the first promise that is not kept, or when the store does not answer.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use tower_warden::{MemoryTickets, testing::conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = Arc::new(MemoryTickets::default());
/// conformance::ticket_store(async || Arc::clone(&store)).await;
/// # }
/// ```
pub async fn ticket_store<S: TicketStore>(open: impl AsyncFn() -> S) {
    let (store, other) = (open().await, open().await);
    // To the millisecond, as far as records tell time.
    let now = SystemClock.now().as_millis();
    let now = Duration::from_millis(u64::try_from(now).expect("today is not that late"));
    let suite = Suite {
        nodes: [&store, &other],
        now,
    };
    suite.a_record_comes_back_as_it_went_in().await;
    suite.a_ticket_is_taken_once().await;
    suite.one_of_many_takes_wins().await;
    suite.the_same_client_may_repeat_itself_once().await;
    suite.nobody_repeats_for_another().await;
    suite.a_repeat_has_its_window().await;
    suite.a_ticket_expires().await;
    suite.a_hash_is_put_once().await;
}

struct Suite<'s> {
    nodes: [&'s dyn TicketStore; 2],
    now: Duration,
}

/// A record of somebody who has no other ticket, that expires so long after.
fn record_until(expires_at: Duration) -> TicketRecord {
    let resource = [("agent", "a"), ("room", "r1")];
    record_of(
        &PrincipalLayer::new(fresh("alice")),
        &resource,
        None,
        expires_at,
    )
}

fn record_of(
    who: &PrincipalLayer,
    resource: &[(&str, &str)],
    origin: Option<&str>,
    expires_at: Duration,
) -> TicketRecord {
    let resource = resource
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let resource = BTreeMap::from_iter(resource);
    let principal = who.principal();
    TicketRecord::new(
        principal.token(),
        resource,
        origin.map(str::to_owned),
        String::from("an authority"),
        expires_at,
    )
}

/// A hash that nobody has used before.
fn hash() -> TicketHash {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    TicketHash::from_bytes(&bytes).expect("a hash has 32 bytes")
}

#[track_caller]
fn answered<T>(answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("the store did not answer: {error:?}"),
    }
}

fn text(record: &TicketRecord) -> String {
    record.to_text().expect("the suite makes good records")
}

impl Suite<'_> {
    /// The hash of a ticket that was just put, on the first node.
    async fn put(&self) -> TicketHash {
        self.put_record(record_until(self.now + LIFETIME)).await
    }

    async fn put_record(&self, record: TicketRecord) -> TicketHash {
        let hash = hash();
        answered(self.nodes[0].put(hash, record, self.now).await);
        hash
    }

    /// Whether the take on that node, so long after all began, got the ticket.
    async fn takes(
        &self,
        node: usize,
        hash: TicketHash,
        client: Option<&str>,
        after: Duration,
    ) -> bool {
        let now = self.now + after;
        answered(self.nodes[node].take(hash, client, now).await).is_some()
    }

    async fn a_record_comes_back_as_it_went_in(&self) {
        let until = self.now + LIFETIME;
        let plain = record_until(until + MILLISECOND);
        let hostile = PrincipalLayer::new(fresh("alice' OR 1=1; --\u{e9}\u{1f5dd}\0"))
            .with_claim("iss", "https://id.example/\"realms\"\\acme\r\n")
            .with_claim("jti", "{x}:*?[a]%_$1")
            .with_scopes(["chat:read", "chat:write"]);
        let resource = [
            ("agent", "o'neill\\\"{}\r\nDEL x"),
            ("room", "\u{212a}\u{200b}\0"),
        ];
        let hostile = record_of(&hostile, &resource, Some("https://app.example"), until);
        let groups = vec!["a group with a long name"; 400];
        let long = PrincipalLayer::new(fresh("alice")).with_claim("groups", groups);
        let long = record_of(&long, &resource, None, until);
        for record in [plain, hostile, long] {
            let hash = self.put_record(record.clone()).await;
            let found = answered(self.nodes[1].take(hash, None, self.now).await);
            let found = found.expect("what was put on one node is taken on another");
            assert_eq!(
                text(&found),
                text(&record),
                "a record comes back as it went in"
            );
            assert_eq!(found.expires_at(), record.expires_at());
        }
        let unknown = answered(self.nodes[0].take(hash(), None, self.now).await);
        assert!(unknown.is_none(), "nobody takes what was never put");
    }

    async fn a_ticket_is_taken_once(&self) {
        let [one, another] = [self.put().await, self.put().await];
        assert!(self.takes(0, one, None, Duration::ZERO).await);
        for node in [0, 1] {
            assert!(
                !self.takes(node, one, None, Duration::ZERO).await,
                "a ticket is taken once, over all nodes"
            );
        }
        assert!(
            self.takes(1, another, None, Duration::ZERO).await,
            "one ticket says nothing about another"
        );
    }

    async fn one_of_many_takes_wins(&self) {
        let clients: Vec<_> = (0..50).map(|n| format!("client-{n}")).collect();
        let named: Vec<_> = clients.iter().map(|client| Some(client.as_str())).collect();
        let same = vec![Some("the same"); clients.len()];
        for (who, winners) in [
            (vec![None; clients.len()], 1),
            (named, 1),
            // The first use, and the one repeat.
            (same, 2),
        ] {
            let hash = self.put().await;
            let asked = who.iter().zip(self.nodes.into_iter().cycle());
            let takes = asked.map(|(client, node)| node.take(hash, *client, self.now));
            let taken = together(takes).await.into_iter().map(answered);
            assert_eq!(
                taken.flatten().count(),
                winners,
                "exactly so many of many takes win"
            );
        }
    }

    async fn the_same_client_may_repeat_itself_once(&self) {
        let hash = self.put().await;
        for (node, taken) in [(0, true), (1, true), (0, false), (1, false)] {
            assert_eq!(
                self.takes(node, hash, Some("tab-1"), MILLISECOND).await,
                taken,
                "the same client may come twice, on whatever node, and not thrice"
            );
        }
    }

    async fn nobody_repeats_for_another(&self) {
        let client = "o'neill {tab} \"1\"";
        let strangers = [
            None,
            Some(""),
            Some("tab"),
            Some("O'NEILL {TAB} \"1\""),
            Some("o'neill {tab} \"1\" "),
            Some("*"),
            Some("%"),
        ];
        let hash = self.put().await;
        assert!(self.takes(0, hash, Some(client), Duration::ZERO).await);
        for stranger in strangers {
            for node in [0, 1] {
                assert!(
                    !self.takes(node, hash, stranger, MILLISECOND).await,
                    "{stranger:?} does not repeat for another"
                );
            }
        }
        assert!(
            self.takes(1, hash, Some(client), MILLISECOND).await,
            "a stranger does not take the repeat away"
        );
        assert!(!self.takes(0, hash, Some(client), MILLISECOND).await);

        let hash = self.put().await;
        assert!(self.takes(0, hash, None, Duration::ZERO).await);
        for client in strangers {
            assert!(
                !self.takes(1, hash, client, Duration::ZERO).await,
                "who names no client has no repeat, for nobody"
            );
        }
    }

    async fn a_repeat_has_its_window(&self) {
        let first = Duration::from_secs(1);
        let end = first + TicketRecord::REPEAT_WINDOW;
        for (lifetime, after, taken) in [
            (LIFETIME, end - MILLISECOND, true),
            (LIFETIME, end, false),
            (LIFETIME, LIFETIME - MILLISECOND, false),
            // The window outlasts no ticket.
            (2 * first, 2 * first - MILLISECOND, true),
            (2 * first, 2 * first, false),
        ] {
            let hash = self.put_record(record_until(self.now + lifetime)).await;
            assert!(self.takes(0, hash, Some("tab-1"), first).await);
            assert_eq!(
                self.takes(1, hash, Some("tab-1"), after).await,
                taken,
                "a repeat after {after:?} of a ticket for {lifetime:?}, first taken after {first:?}"
            );
        }
    }

    async fn a_ticket_expires(&self) {
        for client in [None, Some("tab-1")] {
            for (after, taken) in [
                (LIFETIME - MILLISECOND, true),
                (LIFETIME, false),
                (10 * LIFETIME, false),
            ] {
                let hash = self.put().await;
                assert_eq!(
                    self.takes(1, hash, client, after).await,
                    taken,
                    "{after:?} after a ticket for {LIFETIME:?} was put"
                );
            }
        }
        // A store may refuse what has expired already, or forget it.
        let hash = hash();
        let put = self.nodes[0].put(hash, record_until(self.now), self.now);
        drop(put.await);
        assert!(!self.takes(0, hash, None, Duration::ZERO).await);
    }

    async fn a_hash_is_put_once(&self) {
        let hash = self.put_record(record_until(self.now + LIFETIME)).await;
        for node in self.nodes {
            let put = node.put(hash, record_until(self.now + LIFETIME), self.now);
            assert!(put.await.is_err(), "a hash that is known is refused");
        }

        let hash = self::hash();
        let rivals: Vec<_> = (0..20).map(|_| record_until(self.now + LIFETIME)).collect();
        let asked = rivals.iter().zip(self.nodes.into_iter().cycle());
        let puts = asked.map(|(rival, node)| node.put(hash, rival.clone(), self.now));
        let answers = together(puts).await;
        let kept: Vec<_> = rivals
            .iter()
            .zip(answers)
            .filter_map(|(rival, answer)| answer.is_ok().then(|| text(rival)))
            .collect();
        assert_eq!(kept.len(), 1, "exactly one of many records gets a hash");
        let found = answered(self.nodes[1].take(hash, None, self.now).await);
        assert_eq!(
            found.as_ref().map(text),
            kept.into_iter().next(),
            "what was refused has changed nothing"
        );
    }
}
