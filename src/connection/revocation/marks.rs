//! [`Marks`]: everything that is revoked, asked on every request.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use tokio::task::yield_now;

use super::{
    Revocation, RevocationTarget,
    everything::Everything,
    table::{Mark, SHARDS, Shards, Table, shard_of},
};
use crate::{NumericDate, VerifiedToken};

/// The number of revocations that are sorted without a pause.
const SLICE: usize = 1_024;

/// Names stand in the table as fingerprints, hashed under a key that this process drew by lot. Two names with one
/// fingerprint would refuse one token too many, with a probability of one in 10^13 for a million entries.
#[derive(Default)]
pub(super) struct Marks {
    key: RandomState,
    table: Table,
    /// The kinds that were ever revoked, a bit for each: nobody hashes for nothing.
    kinds: AtomicU8,
    everything: Everything,
}

/// What a name is the name of. Each is a bit.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A token ID, whoever issued it.
    TokenId = 1,
    /// A session, whoever issued its tokens.
    Session = 2,
    Subject = 4,
    ApiKey = 8,
    IssuersTokenId = 16,
    IssuersSession = 32,
}

impl Marks {
    /// Whether this token holds no longer.
    #[inline]
    pub(super) fn cover(&self, token: &VerifiedToken) -> bool {
        // A token that does not say when it was issued may have been issued at any time.
        let issued_at = token.issued_at().map_or(0, NumericDate::as_secs);
        if issued_at < self.everything.before() {
            return true;
        }
        let kinds = self.kinds.load(Ordering::Acquire);
        kinds != 0 && self.names(token, issued_at, kinds)
    }

    fn names(&self, token: &VerifiedToken, issued_at: u64, kinds: u8) -> bool {
        let shards = self.table.load();
        let has = |kind: Kind, issuer: Option<&str>, name: Option<&str>| {
            kinds & kind as u8 != 0
                && name.is_some_and(|name| self.has(&shards, kind, issuer, name, issued_at))
        };
        // Nothing is bound to no issuer.
        let of_issuer = |kind: Kind, name: Option<&str>| {
            let issuer = token.issuer();
            issuer.is_some() && has(kind, issuer, name)
        };
        has(Kind::TokenId, None, token.token_id())
            || of_issuer(Kind::IssuersTokenId, token.token_id())
            || has(Kind::Session, None, token.session_id())
            || of_issuer(Kind::IssuersSession, token.session_id())
            || has(Kind::Subject, token.issuer(), token.subject())
            // The principal of an API key carries the key's ID as its token's.
            || has(Kind::ApiKey, None, token.token_id())
    }

    /// Whether a session of this issuer has ended, whichever of its tokens is asked about.
    #[cfg(feature = "accounts")]
    pub(super) fn cover_session(&self, issuer: Option<&str>, id: &str) -> bool {
        let shards = self.table.load();
        self.has(&shards, Kind::Session, None, id, 0)
            || issuer.is_some() && self.has(&shards, Kind::IssuersSession, issuer, id, 0)
    }

    pub(super) fn cover_api_key(&self, id: &str) -> bool {
        self.has(&self.table.load(), Kind::ApiKey, None, id, 0)
    }

    fn has(
        &self,
        shards: &Shards,
        kind: Kind,
        issuer: Option<&str>,
        name: &str,
        issued_at: u64,
    ) -> bool {
        let mark = shards.find(self.fingerprint(kind, issuer, name));
        mark.is_some_and(|mark| mark.before == u64::MAX || issued_at < mark.before)
    }

    fn fingerprint(&self, kind: Kind, issuer: Option<&str>, name: &str) -> u64 {
        self.key.hash_one((kind as u8, issuer, name))
    }

    /// Adds these, and returns how many there was no room for.
    pub(super) fn add<'r>(
        &self,
        revocations: impl IntoIterator<Item = &'r Revocation>,
        room: usize,
        now: Duration,
    ) -> usize {
        let mut sorted = Sorted::default();
        for revocation in revocations {
            self.sort(revocation, &mut sorted, now);
        }
        // Also without a new one, as this is when those that are over go.
        self.everything.add(sorted.everything, now);
        let refused = self
            .table
            .add(sorted.marks.into_iter().flatten(), room, now);
        // Whoever sees the bit finds the marks.
        self.kinds.fetch_or(sorted.kinds, Ordering::AcqRel);
        refused
    }

    /// Adds very many, and lets other tasks run now and then. Returns how many there was no room for.
    pub(super) async fn add_all(
        &self,
        revocations: Vec<Revocation>,
        room: usize,
        now: Duration,
    ) -> usize {
        let mut sorted = Sorted::default();
        let mut revocations = revocations.into_iter();
        while revocations.len() > 0 {
            for revocation in revocations.by_ref().take(SLICE) {
                self.sort(&revocation, &mut sorted, now);
            }
            yield_now().await;
        }
        self.everything.add(sorted.everything, now);
        let mut refused = 0;
        // A part of the table is copied once, however many marks it gets.
        for marks in sorted.marks {
            refused += self.table.add(marks, room, now);
            yield_now().await;
        }
        self.kinds.fetch_or(sorted.kinds, Ordering::AcqRel);
        refused
    }

    fn sort(&self, revocation: &Revocation, sorted: &mut Sorted, now: Duration) {
        if revocation.is_over(now) {
            return;
        }
        let expires_at = revocation.expires_at().as_secs();
        let (kind, issuer, name, before) = match revocation.target() {
            RevocationTarget::TokenId { id, issuer } => {
                let kind = bound(issuer.as_ref(), Kind::TokenId, Kind::IssuersTokenId);
                (kind, issuer.as_deref(), id, u64::MAX)
            }
            RevocationTarget::Session { id, issuer } => {
                let kind = bound(issuer.as_ref(), Kind::Session, Kind::IssuersSession);
                (kind, issuer.as_deref(), id, u64::MAX)
            }
            RevocationTarget::ApiKey(id) => (Kind::ApiKey, None, id, u64::MAX),
            RevocationTarget::Subject {
                issuer,
                subject,
                before,
            } => (Kind::Subject, issuer.as_deref(), subject, *before),
            RevocationTarget::Everything { before } => {
                let before = *before;
                sorted.everything.push(Mark { before, expires_at });
                return;
            }
        };
        let fingerprint = self.fingerprint(kind, issuer, name);
        sorted.kinds |= kind as u8;
        sorted.marks[shard_of(fingerprint)].push((fingerprint, Mark { before, expires_at }));
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

/// Revocations on their way into the tables.
struct Sorted {
    kinds: u8,
    /// By the part of the table that they belong to.
    marks: [Vec<(u64, Mark)>; SHARDS],
    everything: Vec<Mark>,
}

impl Default for Sorted {
    fn default() -> Self {
        Self {
            kinds: 0,
            marks: std::array::from_fn(|_| Vec::new()),
            everything: Vec::new(),
        }
    }
}

fn bound(issuer: Option<&String>, any: Kind, one: Kind) -> Kind {
    if issuer.is_some() { one } else { any }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    #[tokio::test(flavor = "current_thread")]
    async fn reading_the_whole_lets_other_tasks_run() {
        let later = NumericDate::from_secs(9_000);
        let all = || (0..20_000).map(|n| Revocation::token_id(format!("t-{n}"), later));
        let marks = Marks::default();
        for round in 0..2 {
            let done = AtomicBool::new(false);
            let reading = async {
                assert_eq!(marks.add_all(all().collect(), 100_000, NOW).await, 0);
                done.store(true, Ordering::Release);
            };
            let others = async {
                let mut turns = 0;
                while !done.load(Ordering::Acquire) {
                    turns += 1;
                    yield_now().await;
                }
                turns
            };
            let ((), turns) = tokio::join!(reading, others);
            assert!(turns >= 64, "round {round}: {turns} turns");
            assert_eq!(marks.len(), 20_000);
            assert!((0..20_000).all(|n| {
                let shards = marks.table.load();
                marks.has(&shards, Kind::TokenId, None, &format!("t-{n}"), 0)
            }));
        }
    }
}
