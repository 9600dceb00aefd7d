//! A change of the password: every session of the user ends, and the one that asks begins anew.

use std::sync::Arc;

use http::request::Parts;

use super::{
    handle::Shared,
    hashing::Verified,
    password::Password,
    sessions::{Asking, Granted, unavailable},
};
use crate::{Rejection, RejectionKind};

impl Shared {
    /// Changes the password of whoever asks, who has to show the present one: a stolen cookie is not enough.
    pub(super) async fn change_password(
        &self,
        present: Password,
        next: Password,
        head: &Parts,
    ) -> Result<Granted, Rejection> {
        let Asking { session, user, .. } = self.asking(head).await?;
        next.check_new(self.hasher.policy().longest())
            .map_err(|why| Rejection::new(RejectionKind::PasswordInvalid).with_detail(why))?;
        let attempt = self.limits.count(self.client_address(head)?, &user.id)?;
        let client = self.client(head)?;
        let hash = Some(user.password_hash.clone());
        let verified = self.hasher.verify(client, Arc::new(present), hash).await;
        let verified = verified.inspect_err(|_| self.limits.give_back(attempt))?;
        if verified == Verified::Wrong {
            // Not 401: a page that is told so would sign its user out.
            return Err(Rejection::new(RejectionKind::Forbidden)
                .with_detail("the present password is wrong"));
        }
        self.limits.clear(attempt);
        let next = self.hasher.hash(client, Arc::new(next)).await?;

        // The others first: if that fails, nothing has changed but that somebody has to sign in again.
        let mut revoked = Vec::new();
        for other in self.sessions(&user.id).await? {
            if other.id != session.id {
                self.revoke(&other.id).await?;
                revoked.push(other.id);
            }
        }
        self.revoke_keys(&user.id).await?;
        let (begun, refresh) = self.draft(&user.id, head)?;
        let ended = self
            .store
            .change_password(&user.password_hash, &next, &begun);
        let Some(ended) = ended.await.map_err(unavailable)? else {
            return Err(Rejection::new(RejectionKind::Forbidden)
                .with_detail("the password was changed elsewhere at this moment"));
        };
        // The session that asked, and those that began meanwhile. The password has changed whatever comes of it, and they
        // are not refreshed any more.
        for id in ended.iter().filter(|id| !revoked.contains(id)) {
            if let Err(rejection) = self.revoke(id).await {
                let error: &dyn std::error::Error = &rejection;
                tracing::error!(target: "tower_warden", error, "a session goes on until its token expires");
            }
        }
        // Keys that one of these sessions made meanwhile.
        if let Err(rejection) = self.revoke_keys(&user.id).await {
            let error: &dyn std::error::Error = &rejection;
            tracing::error!(target: "tower_warden", error, "API keys made during a change of the password may go on");
        }
        self.grant(user, &begun, Some(&refresh))
    }
}
