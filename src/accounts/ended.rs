//! How sessions end: told to every gate first, and then forgotten.
//!
//! The revocation comes before the store: whatever fails between the two leaves a session whose tokens are refused, and a
//! client that may ask again, never a token that outlives its session.

use http::request::Parts;

use super::{
    Accounts, SessionRecord,
    handle::Shared,
    refresh::RefreshToken,
    sessions::{after, is_session_id, unavailable},
};
use crate::{NumericDate, Rejection, RejectionKind, Revocation, SubjectId};

impl Accounts {
    /// Ends every session of a user, and revokes their keys of
    /// [`with_api_keys`](super::AccountsBuilder::with_api_keys): for whoever blocks or deletes an account.
    ///
    /// A [`Revocation::subject`] would not be enough: it concerns what was issued before, and a refresh token is good for
    /// a newer token. Who is blocked has to be kept from signing in besides: by another password hash in the table, or none.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] of the kind [`StoreUnavailable`](RejectionKind::StoreUnavailable): some sessions or keys may go on;
    /// call it again.
    pub async fn sign_out_everywhere(&self, user_id: &str) -> Result<(), Rejection> {
        let shared = &*self.0;
        let known = shared.sessions(user_id).await?;
        for session in &known {
            shared.revoke(&session.id).await?;
        }
        let ended = shared.store.end_sessions(user_id).await;
        for id in ended.map_err(unavailable)? {
            // Those that began meanwhile.
            if !known.iter().any(|session| session.id == id) {
                shared.revoke(&id).await?;
            }
        }
        // Last: no session is left that could make another key.
        shared.revoke_keys(user_id).await
    }
}

impl Shared {
    /// The sessions of a user that are not over, the latest login first.
    pub(super) async fn sessions(&self, user_id: &str) -> Result<Vec<SessionRecord>, Rejection> {
        let sessions = self.store.list_sessions(user_id, self.now());
        sessions.await.map_err(unavailable)
    }

    /// Revokes all API keys of this user.
    pub(super) async fn revoke_keys(&self, user_id: &str) -> Result<(), Rejection> {
        let Some(keys) = &self.api_keys else {
            return Ok(());
        };
        let issuer = self.issuer_name.as_deref().unwrap_or_default();
        // A user whose ID is no subject owns no key.
        let Ok(owner) = SubjectId::new(issuer, user_id) else {
            return Ok(());
        };
        let revoked = keys.revoke_all(&owner).await;
        revoked.map(drop).map_err(unavailable)
    }

    /// Ends a session of this user.
    pub(super) async fn end(&self, user_id: &str, id: &str) -> Result<(), Rejection> {
        self.revoke(id).await?;
        let ended = self.store.end_session(user_id, id).await;
        ended.map(drop).map_err(unavailable)
    }

    /// Ends a session if it is one of this user.
    pub(super) async fn end_own(&self, user_id: &str, id: &str) -> Result<(), Rejection> {
        if !is_session_id(id) {
            return Err(RejectionKind::NotFound.into());
        }
        // Nobody revokes by a name that they have only heard of.
        let found = self.store.find_session(id).await.map_err(unavailable)?;
        if found.is_none_or(|(session, _)| session.user_id != user_id) {
            return Err(RejectionKind::NotFound.into());
        }
        self.end(user_id, id).await
    }

    /// Ends the sessions that the cookies of a request belong to, however old its tokens are. Without any there is nothing
    /// to end, and that is no failure.
    pub(super) async fn sign_out(&self, head: &Parts) -> Result<(), Rejection> {
        if let Some(token) = self.cookies.session(head)?
            && let Ok(token) = self.verifier.verify(&token)
            && let (Some(user), Some(session)) = (token.subject(), token.session_id())
        {
            self.end(user, session).await?;
        }
        if let Some(text) = self.cookies.refresh(head)?
            && let Some(token) = RefreshToken::read(&text)
            && let Some((token, _, _, user)) = self.recognise(token).await?
        {
            self.end(&user.id, &token.session()).await?;
        }
        Ok(())
    }

    /// Has every gate refuse the tokens of a session, until the last of them has expired.
    pub(super) async fn revoke(&self, id: &str) -> Result<(), Rejection> {
        let last: NumericDate = after(self.now(), self.lifetimes.token);
        let mut revocation = Revocation::session(id, last);
        if let Some(issuer) = &self.issuer_name {
            revocation = revocation.of_issuer(issuer);
        }
        let revoked = self.revocations.revoke(revocation).await;
        revoked.map_err(|error| Rejection::new(RejectionKind::StoreUnavailable).with_source(error))
    }
}
