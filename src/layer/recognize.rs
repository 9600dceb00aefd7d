//! The short way: a request whose one token was verified before is recognised by a glance, and not taken apart.
//!
//! It only ever admits. Whatever is in doubt goes the long way, which refuses it by its name.

use std::{ops::Range, sync::Arc};

use super::{gate::Gate, passage::Passage};
use crate::{
    HeadRef, PathDecision, Principal, Rejection,
    request::{Survey, survey},
    verify::VerifiedToken,
};

/// What a glance at a guarded request has told.
pub(super) enum Recognized {
    /// Who is asking. Only a requirement may still object.
    Principal(Principal, Passage),
    /// Nobody yet; among these sources are all that have to be asked.
    Nobody(Range<usize>),
}

impl Gate {
    /// Looks whose request this is, if that is to be seen.
    #[inline]
    pub(super) fn recognize(&self, head: HeadRef<'_>, rule: &PathDecision<'_>) -> Recognized {
        let Survey { concerned, token } = survey(&self.sources, head);
        let known = token.and_then(|bytes| self.known(concerned.start, bytes, head, rule));
        match known {
            Some((principal, passage)) => Recognized::Principal(principal, passage),
            None => Recognized::Nobody(concerned),
        }
    }

    /// Who is known by these bytes, which are all that the request carries, and may pass.
    #[inline]
    fn known(
        &self,
        source: usize,
        bytes: &[u8],
        head: HeadRef<'_>,
        rule: &PathDecision<'_>,
    ) -> Option<(Principal, Passage)> {
        let token = self.contexts[source].authenticator.recall(bytes)?;
        let carrier = &*self.sources[source];
        if carrier.is_ambient() {
            self.origins.check(head).ok()?;
        }
        let principal = self.vouch(source, token, rule.scopes()).ok()?;
        Some((principal, Passage::from_source(carrier)))
    }

    /// Makes a principal of a token, however that came to be believed, unless it was revoked since or lacks a scope.
    #[inline]
    pub(super) fn vouch(
        &self,
        source: usize,
        token: Arc<VerifiedToken>,
        scopes: &[Arc<str>],
    ) -> Result<Principal, Rejection> {
        self.layer.revocations.judge(&token)?;
        let principal = Principal::new(token, Arc::clone(&self.contexts[source]));
        if scopes.iter().all(|scope| principal.has_scope(scope)) {
            Ok(principal)
        } else {
            Err(Rejection::insufficient_scope(scopes.join(" ")))
        }
    }
}
