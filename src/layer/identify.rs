//! Who is asking: what the head of a request tells, which is only lent.
//!
//! So a request that may go on as it came, with its token where it was and nobody else to ask, is never taken apart.

use std::{ops::Range, pin::Pin, sync::Arc};

use super::{gate::Gate, passage::Passage};
use crate::{
    BearerToken, ConflictPolicy, CredentialKind, HeadRef, PathDecision, Principal, Rejection,
    RejectionKind,
    request::{Found, Survey, plain, select, survey},
    verify::{Authenticated, Authentication, VerifiedToken},
};

/// What the head of a guarded request tells.
pub(super) struct Sight {
    pub(super) asking: Result<Asking, Blamed>,
    /// The sources that something may have to be concealed of.
    pub(super) traces: Range<usize>,
}

/// Who is asking.
pub(super) enum Asking {
    /// No token came.
    Nobody,
    /// Somebody who may pass, unless a requirement objects.
    Principal(Principal, Passage),
    /// Whoever stands behind the token of this source: somebody else has to be asked first.
    Unknown {
        source: usize,
        answer: Pin<Box<dyn Future<Output = Authenticated> + Send>>,
    },
}

/// A rejection, and the source of the token that is to blame for it.
pub(super) type Blamed = (Rejection, Option<&'static str>);

impl Gate {
    /// Looks who is asking, and whether the rule of the path lets them.
    #[inline]
    pub(super) fn look(&self, head: HeadRef<'_>, rule: &PathDecision<'_>) -> Sight {
        let Survey { concerned, token } = survey(&self.sources, head);
        let traces = match token {
            // It stays where it is.
            Some(_) => 0..0,
            None => concerned.clone(),
        };
        let source = concerned.start;
        let known = token.and_then(|bytes| self.contexts[source].authenticator.recall(bytes));
        let asking = if let Some(known) = known {
            self.check_origin(source, head)
                .and_then(|()| self.greet(source, Ok(known), rule.scopes()))
                .map(|(principal, passage)| Asking::Principal(principal, passage))
        } else if let Some(token) = token.and_then(plain) {
            self.ask(source, &token, head, rule.scopes())
        } else {
            self.read(head, concerned, rule.scopes())
        };
        Sight { asking, traces }
    }

    /// Reads the one token of the request, in these sources, and asks what stands behind it.
    fn read(
        &self,
        head: HeadRef<'_>,
        concerned: Range<usize>,
        scopes: &[Arc<str>],
    ) -> Result<Asking, Blamed> {
        let first = concerned.start;
        let selected = select(&self.sources[concerned], self.conflict_policy(head), head);
        let Some(selected) = selected.map_err(|kind| (kind.into(), None))? else {
            return Ok(Asking::Nobody);
        };
        self.ask(first + selected.source, &selected.token, head, scopes)
    }

    /// Asks what stands behind the one token of the request, which this source has found.
    fn ask(
        &self,
        source: usize,
        token: &BearerToken<'_>,
        head: HeadRef<'_>,
        scopes: &[Arc<str>],
    ) -> Result<Asking, Blamed> {
        self.check_origin(source, head)?;
        match self.contexts[source]
            .authenticator
            .authenticate(token, head, &self.layer.clients)
        {
            Authentication::Now(answer) => {
                let (principal, passage) = self.greet(source, answer, scopes)?;
                Ok(Asking::Principal(principal, passage))
            }
            Authentication::Later(answer) => Ok(Asking::Unknown { source, answer }),
        }
    }

    /// Refuses the pages of others, where a browser attaches the token by itself.
    #[inline]
    fn check_origin(&self, source: usize, head: HeadRef<'_>) -> Result<(), Blamed> {
        let source = &self.sources[source];
        if source.is_ambient() {
            let foreign = |kind: RejectionKind| (kind.into(), Some(source.name()));
            self.origins.check(head).map_err(foreign)?;
        }
        Ok(())
    }

    fn conflict_policy(&self, head: HeadRef<'_>) -> ConflictPolicy {
        let policy = self.conflict_policy_on(head.requested.path());
        // A path inside a `nest`, or behind a rewrite, has to ask for the same policy in both forms.
        if self.conflicts_on.is_empty() || policy == self.conflict_policy_on(head.uri.path()) {
            policy
        } else {
            ConflictPolicy::RejectAny
        }
    }

    fn conflict_policy_on(&self, path: &str) -> ConflictPolicy {
        for (template, policy) in &self.conflicts_on {
            match template.find(path) {
                Found::Here(_) => return *policy,
                // Nobody knows which policy is meant, so the strictest holds.
                Found::Doubtful => return ConflictPolicy::RejectAny,
                Found::Elsewhere => {}
            }
        }
        self.conflict
    }

    /// Makes a principal of what was found behind the token of a source.
    #[inline]
    pub(super) fn greet(
        &self,
        source: usize,
        answer: Authenticated,
        scopes: &[Arc<str>],
    ) -> Result<(Principal, Passage), Blamed> {
        let carrier = &*self.sources[source];
        match answer.and_then(|token| self.vouch(source, token, scopes)) {
            Ok(principal) => Ok((principal, Passage::from_source(carrier))),
            Err(rejection) => Err((rejection, Some(carrier.name()))),
        }
    }

    /// However the token came to be believed: what was revoked since, or lacks a scope, is refused here.
    #[inline]
    fn vouch(
        &self,
        source: usize,
        token: Arc<VerifiedToken>,
        scopes: &[Arc<str>],
    ) -> Result<Principal, Rejection> {
        self.layer.revocations.judge(&token)?;
        if token.kind() == CredentialKind::ConnectionToken && self.layer.bindings.is_empty() {
            return Err(RejectionKind::TypeMismatch.into());
        }
        let principal = Principal::new(token, Arc::clone(&self.contexts[source]));
        if scopes.iter().all(|scope| principal.has_scope(scope)) {
            Ok(principal)
        } else {
            Err(Rejection::insufficient_scope(scopes.join(" ")))
        }
    }
}
