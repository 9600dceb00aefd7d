//! [`Lease::renew`]: which token may follow which.

use std::fmt;

use crate::{
    BearerToken, Lease, LeaseEnd, Principal, Rejection, RejectionKind, Verdict, VerifiedToken,
    connection::open::Replaced, verify::Authentication,
};

/// The policy of a layer for the renewal of its connections.
#[derive(Debug)]
pub(crate) enum Renewal {
    /// Those that fulfil these conditions, beside what holds for all.
    By(Vec<RenewalRule>),
    /// None: the layer has conditions over requests, and none that a renewal could ask in their place.
    Refused,
}

type Rule = dyn Fn(&Principal, &Principal) -> Verdict + Send + Sync;

/// A condition of the application over the present principal and the next.
pub(crate) struct RenewalRule(Box<Rule>);

impl RenewalRule {
    pub(crate) fn new<F, V>(rule: F) -> Self
    where
        F: Fn(&Principal, &Principal) -> V + Send + Sync + 'static,
        V: Into<Verdict>,
    {
        Self(Box::new(move |present, next| rule(present, next).into()))
    }

    fn ask(&self, present: &Principal, next: &Principal) -> Result<(), Rejection> {
        match (self.0)(present, next) {
            Verdict::Admit => Ok(()),
            Verdict::Refuse(rejection) => Err(rejection),
            // There is no request here that could be answered.
            Verdict::Answer(_) => Err(RejectionKind::Forbidden.into()),
        }
    }
}

impl fmt::Debug for RenewalRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenewalRule")
    }
}

impl Lease {
    /// Keeps the connection open with a newer token, and returns the principal that it names.
    ///
    /// The token is verified as the first one was, by the same keys and rules. It has to
    ///
    /// 1. name the same issuer and subject as the present one;
    /// 2. be newer: issued later, or, where both or none say when, expire later;
    /// 3. carry every scope and every role of the present one, as the connection was opened by them;
    /// 4. be tied to the same resource, where the layer has a [binding](crate::ResourceBinding);
    /// 5. fulfil what [`require_renewal`](crate::AuthLayerBuilder::require_renewal) asks.
    ///
    /// A layer with conditions of [`require`](crate::AuthLayerBuilder::require) and none of `require_renewal` refuses every
    /// renewal as [`Forbidden`](RejectionKind::Forbidden).
    ///
    /// Whatever is refused leaves the connection as it was, and a connection whose deadline comes while the token is
    /// verified has ended. The layer's
    /// [cap](crate::AuthLayerBuilder::with_connection_cap) stays where it is.
    ///
    /// # Errors
    ///
    /// [`RenewalOtherSubject`](RejectionKind::RenewalOtherSubject),
    /// [`RenewalNotNewer`](RejectionKind::RenewalNotNewer),
    /// [`ScopeInsufficient`](RejectionKind::ScopeInsufficient), [`Forbidden`](RejectionKind::Forbidden) where a role is
    /// missing or a condition says no, [`Revoked`](RejectionKind::Revoked),
    /// [`StoreUnavailable`](RejectionKind::StoreUnavailable) where nobody can tell whether it is, or what the verifier has
    /// against the token; [`ConnectionEnded`](RejectionKind::ConnectionEnded) when there is nothing left to renew.
    pub async fn renew(&self, token: &BearerToken<'_>) -> Result<Principal, Rejection> {
        let ended = || Rejection::new(RejectionKind::ConnectionEnded);
        self.check().map_err(|_| ended())?;
        let open = self.open();
        let context = open.context();
        let next = match context.authenticator.verify_renewal(token) {
            Authentication::Now(answer) => answer?,
            Authentication::Later(answer) => answer.await?,
        };
        let next = Principal::new(next, context.clone());
        let layer = &context.layer;
        layer.revocations.judge(next.token())?;
        layer.check_bound(next.token(), |_| true)?;
        let Renewal::By(rules) = &layer.renewal else {
            tracing::warn!(
                target: "tower_warden",
                "a connection was not renewed: the layer has conditions by `require`, say by `require_renewal` what to ask then"
            );
            return Err(RejectionKind::Forbidden.into());
        };
        loop {
            let present = self.principal();
            may_follow(present.token(), next.token())?;
            for binding in &layer.bindings {
                binding.check_renewal(present.token(), next.token())?;
            }
            for rule in rules {
                rule.ask(&present, &next)?;
            }
            match open.replace(&present, &next) {
                Ok(Replaced::Done) => break,
                // Another renewal was quicker: whether this one may follow it has to be asked again.
                Ok(Replaced::Overtaken) => {}
                Err(_) => return Err(ended()),
            }
        }
        // Whoever revoked the new token a moment ago has not found it here.
        if layer.revocations.is_revoked(next.token()) {
            self.end(LeaseEnd::Revoked);
            return Err(RejectionKind::Revoked.into());
        }
        Ok(next)
    }
}

/// Whether one token may take the place of another.
fn may_follow(present: &VerifiedToken, next: &VerifiedToken) -> Result<(), Rejection> {
    if !is_same_subject(present, next) {
        return Err(RejectionKind::RenewalOtherSubject.into());
    }
    if !is_newer(present, next) {
        return Err(RejectionKind::RenewalNotNewer.into());
    }
    if !present.scopes().all(|scope| next.has_scope(scope)) {
        let scopes: Vec<_> = present.scopes().collect();
        return Err(Rejection::insufficient_scope(scopes.join(" ")));
    }
    let has_role = |role| next.roles().any(|held| held == role);
    if !present.roles().all(has_role) {
        return Err(RejectionKind::Forbidden.into());
    }
    Ok(())
}

pub(super) fn is_same_subject(present: &VerifiedToken, next: &VerifiedToken) -> bool {
    // Where tokens without a subject are let in, nobody is the same as anybody.
    present.subject().is_some()
        && present.subject() == next.subject()
        && present.issuer() == next.issuer()
}

fn is_newer(present: &VerifiedToken, next: &VerifiedToken) -> bool {
    match (present.issued_at(), next.issued_at()) {
        (Some(present), Some(next)) if present != next => next > present,
        _ => match (present.expires_at(), next.expires_at()) {
            (Some(present), Some(next)) => next > present,
            // A token that never expires outlives every other, and is outlived by none.
            (Some(_), None) => true,
            (None, _) => false,
        },
    }
}
