//! Registration and login.

use std::sync::Arc;

use http::request::Parts;

use super::{
    UserRecord,
    handle::Shared,
    hashing::Verified,
    limits::Client,
    password::Password,
    sessions::{Granted, MOST_SESSIONS, unavailable, user_id},
    username::Username,
};
use crate::{Rejection, RejectionKind};

impl Shared {
    /// Makes an account and signs it in. Of many who want one name at once the store lets one have it.
    pub(super) async fn register(
        &self,
        username: &str,
        password: Password,
        head: &Parts,
    ) -> Result<Granted, Rejection> {
        let client = self.client(head)?;
        let invalid = |kind| move |why: String| Rejection::new(kind).with_detail(why);
        let username = Username::check_new(username, &self.username_lengths)
            .map_err(invalid(RejectionKind::UsernameInvalid))?;
        password
            .check_new(self.hasher.policy().longest())
            .map_err(invalid(RejectionKind::PasswordInvalid))?;
        let hash = self.hasher.hash(client, Arc::new(password)).await?;
        let user = UserRecord {
            id: user_id().ok_or(RejectionKind::Misconfigured)?,
            username,
            password_hash: hash,
            created_at: self.now(),
        };
        let (session, refresh) = self.draft(&user.id, head)?;
        let kept = self.store.register(&user, &session).await;
        if !kept.map_err(unavailable)? {
            return Err(RejectionKind::UsernameTaken.into());
        }
        self.grant(user, &session, Some(&refresh))
    }

    /// Signs in. An unknown name, a wrong password and a password that cannot be one are answered alike, after the same
    /// work.
    pub(super) async fn log_in(
        &self,
        username: &str,
        password: Password,
        head: &Parts,
    ) -> Result<Granted, Rejection> {
        let name = Username::fold(username);
        // What is no name is counted as it came.
        let account = name.as_ref().map_or(username, Username::as_str);
        let address = self.client_address(head)?;
        let client = address.map(Client::from);
        let attempt = self.limits.count(address, account)?;
        let password = Arc::new(password);
        // Another login may have renewed the hash since it was read; whether the password was changed is found out by a new
        // read.
        for _ in 0..2 {
            let judged = self.judge(client, name.as_ref(), &password).await;
            let (user, verified) = judged.inspect_err(|_| self.limits.give_back(attempt))?;
            let (Some(mut user), Verified::Right | Verified::RightButOld) = (user, verified) else {
                break;
            };
            self.limits.clear(attempt);
            if verified == Verified::RightButOld {
                self.rehash(client, &mut user, &password).await;
            }
            self.make_room(&user.id).await?;
            let (session, refresh) = self.draft(&user.id, head)?;
            let opened = self.store.open_session(&session, &user.password_hash).await;
            if opened.map_err(unavailable)? {
                return self.grant(user, &session, Some(&refresh));
            }
        }
        Err(RejectionKind::CredentialsInvalid.into())
    }

    /// Looks a user up and verifies the password. An error says that nobody was judged.
    async fn judge(
        &self,
        client: Option<Client>,
        name: Option<&Username>,
        password: &Arc<Password>,
    ) -> Result<(Option<UserRecord>, Verified), Rejection> {
        let user = match name {
            Some(name) => self.store.find_user(name.as_str()).await,
            None => Ok(None),
        };
        let user = user.map_err(unavailable)?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let verified = self
            .hasher
            .verify(client, Arc::clone(password), hash)
            .await?;
        Ok((user, verified))
    }

    /// Hashes a password by the present policy. Nothing depends on it: whatever fails is tried at the next login.
    async fn rehash(
        &self,
        client: Option<Client>,
        user: &mut UserRecord,
        password: &Arc<Password>,
    ) {
        if !password.fits(self.hasher.policy().longest()) {
            return;
        }
        let Ok(next) = self.hasher.hash(client, Arc::clone(password)).await else {
            return;
        };
        let present = &user.password_hash;
        match self.store.replace_hash(&user.id, present, &next).await {
            Ok(true) => user.password_hash = next,
            // Another login was quicker, or the password was changed: the store finds out when the session opens.
            Ok(false) => {}
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(target: "tower_warden", error, "a password hash could not be renewed");
            }
        }
    }

    /// Ends what is beyond the most sessions that a user may have, the ones first that were not heard of for longest.
    async fn make_room(&self, user_id: &str) -> Result<(), Rejection> {
        let mut sessions = self.sessions(user_id).await?;
        sessions.sort_by_key(|session| session.seen_at);
        let beyond = (sessions.len() + 1).saturating_sub(MOST_SESSIONS);
        for session in sessions.iter().take(beyond) {
            self.end(user_id, &session.id).await?;
        }
        Ok(())
    }
}
