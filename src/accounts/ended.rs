//! How sessions end: told to every gate first, and then forgotten.
//!
//! The revocation comes before the store: whatever fails between the two leaves a session whose tokens are refused, and a
//! client that may ask again, never a token that outlives its session.

use http::request::Parts;

use super::{
    Accounts, SessionRecord,
    handle::Shared,
    refresh::RefreshToken,
    sessions::{MOST_COOKIES, after, is_session_id, unavailable},
};
use crate::{NumericDate, Rejection, RejectionKind, Revocation, SubjectId};

impl Accounts {
    /// Ends every session of a user, and revokes their keys of
    /// [`with_api_keys`](super::AccountsBuilder::with_api_keys): for an application that blocks or deletes an account.
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

    /// Ends every session that the cookies of a request belong to, however old its tokens are. Cookies that are repeated,
    /// planted or made up are no failure, and neither is a request without any.
    ///
    /// At most eight cookies of each name are looked at, those of the browser's own session first.
    ///
    /// # Errors
    ///
    /// Only a store that does not answer: a session may go on, and the client has to ask again.
    pub(super) async fn sign_out(&self, head: &Parts) -> Result<(), Rejection> {
        let own = self.cookies.session_id(head);
        let foreign = |id: &str| own.as_ref().is_none_or(|own| own.expose() != id);
        let mut ended: Vec<String> = Vec::new();
        let mut outcome = Ok(());

        let mut signed: Vec<(String, String)> = Vec::new();
        for token in self.cookies.all_sessions(head) {
            if let Ok(token) = self.verifier.verify(&token)
                && let (Some(user), Some(id)) = (token.subject(), token.session_id())
                && !signed.iter().any(|(_, known)| known == id)
            {
                signed.push((user.to_owned(), id.to_owned()));
            }
        }
        signed.sort_by_key(|(_, id)| foreign(id));
        for (user, id) in signed.into_iter().take(MOST_COOKIES) {
            outcome = outcome.and(self.end(&user, &id).await);
            ended.push(id);
        }

        let mut refreshes: Vec<RefreshToken> = self.cookies.all_refreshes(head).collect();
        refreshes.sort_by_key(|token| foreign(&token.session()));
        for token in refreshes.into_iter().take(MOST_COOKIES) {
            if ended.contains(&token.session()) {
                continue;
            }
            match self.recognise(&token, head).await {
                Ok(Some((_, session, user))) => {
                    outcome = outcome.and(self.end(&user.id, &session.id).await);
                    ended.push(session.id);
                }
                Ok(None) => {}
                Err(error) if error.kind() == RejectionKind::StoreUnavailable => {
                    outcome = outcome.and(Err(error));
                }
                // Too many made-up tokens from this address: the others are not looked at.
                Err(_) => break,
            }
        }
        outcome
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
