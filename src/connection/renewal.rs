//! [`Lease::renew`]: a newer token for a connection that is open.

use http::Request;

use super::{Lease, LeaseEnd};
use crate::{
    BearerToken, Principal, Rejection, RejectionKind, VerifiedToken, verify::Authentication,
};

impl Lease {
    /// Keeps the connection open with a newer token, and returns the principal that it names.
    ///
    /// The token is verified as the first one was, by the same keys and rules. It has to
    ///
    /// 1. name the same issuer and subject as the present one;
    /// 2. be newer: issued later, or, where both or none say when, expire later;
    /// 3. carry every scope of the present one, as the connection was opened by them.
    ///
    /// Whatever is refused leaves the connection as it was. The layer's
    /// [cap](crate::AuthLayerBuilder::with_connection_cap) stays where it is.
    ///
    /// # Errors
    ///
    /// [`RenewalOtherSubject`](RejectionKind::RenewalOtherSubject),
    /// [`RenewalNotNewer`](RejectionKind::RenewalNotNewer),
    /// [`ScopeInsufficient`](RejectionKind::ScopeInsufficient), or what the verifier has against the token;
    /// [`ConnectionEnded`](RejectionKind::ConnectionEnded) when there is nothing left to renew.
    pub async fn renew(&self, token: &BearerToken<'_>) -> Result<Principal, Rejection> {
        let open = self.open();
        if self.check().is_err() {
            return Err(RejectionKind::ConnectionEnded.into());
        }
        // A renewal comes within the connection: there is no request that could carry anything else.
        let (head, ()) = Request::new(()).into_parts();
        let next = match open.context().authenticator.authenticate(token, &head) {
            Authentication::Now(answer) => answer?,
            Authentication::Later(answer) => answer.await?,
        };
        let revocations = &open.context().layer.revocations;
        if revocations.is_revoked(&next) {
            return Err(RejectionKind::Revoked.into());
        }
        match open.replace(next, may_follow) {
            Ok(judgement) => judgement?,
            Err(_) => return Err(RejectionKind::ConnectionEnded.into()),
        }
        // Whoever revoked the new token a moment ago has not found it here.
        if revocations.is_revoked(&open.token()) {
            open.end(LeaseEnd::Revoked);
            return Err(RejectionKind::Revoked.into());
        }
        Ok(self.principal())
    }
}

/// Whether one token may take the place of another.
fn may_follow(present: &VerifiedToken, next: &VerifiedToken) -> Result<(), Rejection> {
    // Where tokens without a subject are let in, nobody is the same as anybody.
    let same = present.issuer() == next.issuer()
        && present.subject() == next.subject()
        && present.subject().is_some();
    if !same {
        return Err(RejectionKind::RenewalOtherSubject.into());
    }
    if !is_newer(present, next) {
        return Err(RejectionKind::RenewalNotNewer.into());
    }
    if !present.scopes().all(|scope| next.has_scope(scope)) {
        let scopes: Vec<_> = present.scopes().collect();
        return Err(Rejection::insufficient_scope(scopes.join(" ")));
    }
    Ok(())
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
