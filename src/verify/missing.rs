//! [`MissingKey`]: what becomes of a token whose key a provider has to be asked for.

use std::{mem, sync::Arc, time::Duration};

use jsonwebtoken::AlgorithmFamily;

use super::{
    attempt::{Asking, Doubt},
    authority::Authority,
    header::Header,
    issuers::more_telling,
    snapshot::Snapshot,
    token::VerifiedToken,
};
use crate::{
    BearerToken, Rejection, RejectionKind,
    keys::{Missing, PreparedKey, Refresher, Waiting},
};

/// A key that somebody is being asked for.
pub(super) struct MissingKey {
    authority: Arc<Authority>,
    id: Option<Box<str>>,
    waiting: Waiting<Snapshot>,
    /// The missing keys of the issuer's other key sets.
    others: Vec<Self>,
}

impl Authority {
    /// Decides whether a provider is asked for the key of a token that found none.
    #[cold]
    pub(super) fn ask(
        self: &Arc<Self>,
        refresher: &Refresher<Snapshot>,
        header: &Header<'_>,
        seen: Option<(&Snapshot, u64)>,
        now: Duration,
        asking: Asking,
    ) -> Doubt {
        // Whether a provider has other keys or not: theirs are public ones, and the list of algorithms is ours.
        let algorithm = header.algorithm;
        let listed = self.rules.algorithms.as_ref();
        if algorithm.family() == AlgorithmFamily::Hmac
            || listed.is_some_and(|allowed| !allowed.contains(&algorithm))
        {
            return RejectionKind::AlgorithmNotAllowed.into();
        }
        let id = header.key_id.as_deref();
        let same_id = |key: &PreparedKey| id.is_some() && key.id() == id;
        if let Some((snapshot, _)) = seen
            && snapshot.keys.keys().iter().any(same_id)
        {
            // The key is here, but it is another algorithm's, or there are two of the name.
            return RejectionKind::KeyUnknown.into();
        }
        if let Asking::Over = asking {
            return match seen {
                Some(_) => RejectionKind::KeyUnknown.into(),
                None => RejectionKind::KeysUnavailable.into(),
            };
        }
        let missing = match asking {
            Asking::Again => refresher.still_missing(id, seen.map(|(_, epoch)| epoch), now),
            _ => refresher.missing(id, seen.map(|(_, epoch)| epoch), now),
        };
        match missing {
            Missing::Unknown => RejectionKind::KeyUnknown.into(),
            Missing::Unavailable => RejectionKind::KeysUnavailable.into(),
            Missing::Wait(waiting) => Doubt::KeyMissing(MissingKey {
                authority: Arc::clone(self),
                others: Vec::new(),
                id: id.map(Into::into),
                waiting,
            }),
        }
    }
}

impl MissingKey {
    /// Adds another key set of the issuer, whose provider is being asked too.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// Waits for the providers in turn, and verifies once more with what each answered.
    pub(super) async fn settle(
        mut self,
        token: BearerToken<'static>,
    ) -> Result<Arc<VerifiedToken>, Rejection> {
        let others = mem::take(&mut self.others);
        let mut answer = self.settle_one(&token).await;
        for other in others {
            let Err(refused) = answer else {
                break;
            };
            let next = other.settle_one(&token).await;
            answer = next.map_err(|next| more_telling(refused, next));
        }
        answer
    }

    /// Waits for the provider of one key set.
    async fn settle_one(
        mut self,
        token: &BearerToken<'_>,
    ) -> Result<Arc<VerifiedToken>, Rejection> {
        let authority = Arc::clone(&self.authority);
        if !self.waiting.fetched().await {
            return Err(RejectionKind::KeysUnavailable.into());
        }
        if !self.waiting.asked() {
            // Where there was nothing to wait for, it is as if the token came only now.
            let asking = if self.waiting.waited() {
                Asking::Again
            } else {
                Asking::Allowed
            };
            self.waiting = match authority.attempt(token, asking, &|| None) {
                Ok(verified) => return Ok(verified),
                Err(Doubt::KeyMissing(next)) => next.waiting.after(&self.waiting),
                Err(doubt) => return Err(doubt.rejection()),
            };
            if !self.waiting.fetched().await {
                return Err(RejectionKind::KeysUnavailable.into());
            }
        }
        let doubt = match authority.attempt(token, Asking::Over, &|| None) {
            Ok(verified) => return Ok(verified),
            Err(doubt) => doubt.rejection(),
        };
        if doubt.kind() == RejectionKind::KeyUnknown {
            self.waiting.not_found(self.id.as_deref());
        }
        Err(doubt)
    }
}
