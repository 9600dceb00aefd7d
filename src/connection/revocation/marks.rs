//! [`Marks`]: everything that is revoked, asked on every request.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{
    Revocation, RevocationTarget,
    table::{Mark, Table},
};
use crate::{NumericDate, VerifiedToken};

/// Names stand in the tables as fingerprints, hashed under a key that this process drew by lot. Two names with one
/// fingerprint would refuse one token too many, with a probability of one in 10^13 for a million entries.
#[derive(Default)]
pub(super) struct Marks {
    key: RandomState,
    token_ids: Table,
    sessions: Table,
    subjects: Table,
    api_keys: Table,
    /// Whatever was issued before that second.
    everything: AtomicU64,
}

impl Marks {
    /// Whether this token holds no longer.
    #[inline]
    pub(super) fn cover(&self, token: &VerifiedToken) -> bool {
        // A token that does not say when it was issued may have been issued at any time.
        let issued_at = token.issued_at().map_or(0, NumericDate::as_secs);
        issued_at < self.everything.load(Ordering::Acquire)
            || self.has(&self.token_ids, token.token_id(), issued_at)
            || self.has(&self.sessions, token.session_id(), issued_at)
            || self.has(
                &self.subjects,
                token.subject().map(|subject| (token.issuer(), subject)),
                issued_at,
            )
    }

    pub(super) fn cover_api_key(&self, id: &str) -> bool {
        self.has(&self.api_keys, Some(id), 0)
    }

    fn has(&self, table: &Table, name: Option<impl Hash>, issued_at: u64) -> bool {
        if table.is_empty() {
            return false;
        }
        let mark = name.and_then(|name| table.find(self.key.hash_one(name)));
        mark.is_some_and(|mark| mark.before == u64::MAX || issued_at < mark.before)
    }

    /// Adds these, and returns how many there was no room for.
    pub(super) fn add<'r>(
        &self,
        revocations: impl IntoIterator<Item = &'r Revocation>,
        room: usize,
        now: Duration,
    ) -> usize {
        let [mut token_ids, mut sessions, mut subjects, mut api_keys] = [const { Vec::new() }; 4];
        for revocation in revocations {
            if revocation.is_over(now) {
                continue;
            }
            let expires_at = revocation.expires_at().as_secs();
            let all = Mark {
                before: u64::MAX,
                expires_at,
            };
            match revocation.target() {
                RevocationTarget::TokenId(id) => token_ids.push((self.key.hash_one(&**id), all)),
                RevocationTarget::Session(id) => sessions.push((self.key.hash_one(&**id), all)),
                RevocationTarget::ApiKey(id) => api_keys.push((self.key.hash_one(&**id), all)),
                RevocationTarget::Subject {
                    issuer,
                    subject,
                    before,
                } => {
                    let name = (issuer.as_deref(), &**subject);
                    let mark = Mark {
                        before: *before,
                        expires_at,
                    };
                    subjects.push((self.key.hash_one(name), mark));
                }
                RevocationTarget::Everything { before } => {
                    self.everything.fetch_max(*before, Ordering::AcqRel);
                }
            }
        }
        let tables = [
            (&self.token_ids, token_ids),
            (&self.sessions, sessions),
            (&self.subjects, subjects),
            (&self.api_keys, api_keys),
        ];
        let mut refused = 0;
        for (table, fresh) in tables {
            if fresh.is_empty() {
                continue;
            }
            if self.len() + fresh.len() > room {
                self.purge(now);
            }
            let others = self.len() - table.len();
            refused += table.add(fresh, room.saturating_sub(others), now);
        }
        refused
    }

    pub(super) fn len(&self) -> usize {
        self.tables().iter().map(|table| table.len()).sum()
    }

    fn purge(&self, now: Duration) {
        for table in self.tables() {
            table.purge(now);
        }
    }

    fn tables(&self) -> [&Table; 4] {
        [
            &self.token_ids,
            &self.sessions,
            &self.subjects,
            &self.api_keys,
        ]
    }
}
